/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf.c - the configuration's tables, defaults and lists. */
#include "conf/conf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	CONF_ARENA_MAX = 512 * 1024 * 1024, /* block lists with millions of names */
};

const struct conf_option_row conf_option_rows[] = {
#define X(type, field, lua, def, low, high, help)                                      \
	{ #field, lua, help, CONF_TYPE_##type, offsetof(struct conf, field),           \
		(double)(def), (double)(low), (double)(high) },
	CONF_OPTIONS(X)
#undef X
};
const size_t conf_option_count = sizeof(conf_option_rows) / sizeof(conf_option_rows[0]);

static const char *const flag_names[CONF_FLAG_COUNT] = {
#define X(name) [CONF_BIT_##name] = #name,
	CONF_FLAGS(X)
#undef X
};

static const struct {
	const char *name;
	bool on;
} modules[MODULE_COUNT] = {
#define X(name, on) [MODULE_##name] = { #name, on },
	CONF_MODULES(X)
#undef X
};

static const struct {
	const char *name;
	bool served;
} kinds[] = {
	[KIND_DNS] = { "dns", true },
	[KIND_TLS] = { "tls", true },
	[KIND_DOH2] = { "doh2", true },
	[KIND_DOH_LEGACY] = { "doh_legacy", false },
	[KIND_WEBMGMT] = { "webmgmt", false },
	[KIND_CONTROL] = { "control", false },
	[KIND_XDP] = { "xdp", false },
};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

int conf_flag_find(const char *name)
{
	for (int i = 0; i < CONF_FLAG_COUNT; i++)
		if (strcasecmp(name, flag_names[i]) == 0)
			return i;
	return -1;
}

const char *conf_flag_name(unsigned bit)
{
	assert(bit < CONF_FLAG_COUNT);
	return flag_names[bit];
}

bool conf_flag_on(const struct conf *c, enum conf_flag flag)
{
	return (c->flags & (uint32_t)flag) != 0;
}

int conf_module_find(const char *name)
{
	for (int i = 0; i < MODULE_COUNT; i++)
		if (strcmp(name, modules[i].name) == 0)
			return i;
	return -1;
}

const char *conf_module_name(enum conf_module m)
{
	assert((unsigned)m < MODULE_COUNT);
	return modules[m].name;
}

const char *conf_kind_name(enum conf_kind kind)
{
	assert((unsigned)kind < KIND_COUNT);
	return kinds[kind].name;
}

int conf_kind_find(const char *name)
{
	for (int i = 0; i < (int)KIND_COUNT; i++)
		if (strcmp(name, kinds[i].name) == 0)
			return i;
	return -1;
}

bool conf_kind_served(enum conf_kind kind)
{
	assert((unsigned)kind < KIND_COUNT);
	return kinds[kind].served;
}

const struct conf_option_row *conf_option_find(const char *lua_or_field)
{
	for (size_t i = 0; i < conf_option_count; i++) {
		const struct conf_option_row *row = &conf_option_rows[i];
		if (strcmp(row->field, lua_or_field) == 0 ||
			strcmp(row->lua, lua_or_field) == 0)
			return row;
	}
	return NULL;
}

/* One value at a row's place, of the row's type. */
union value {
	bool flag;
	uint32_t u32;
	int64_t ms;
	uint64_t size;
};

double conf_option_get(const struct conf *c, const struct conf_option_row *row)
{
	const char *at = (const char *)c + row->offset;
	union value v = { 0 };
	switch (row->type) {
	case CONF_TYPE_BOOL:
		memcpy(&v.flag, at, sizeof(v.flag));
		return v.flag;
	case CONF_TYPE_U32:
	case CONF_TYPE_SECONDS:
		memcpy(&v.u32, at, sizeof(v.u32));
		return v.u32;
	case CONF_TYPE_MS:
		memcpy(&v.ms, at, sizeof(v.ms));
		return (double)v.ms;
	case CONF_TYPE_SIZE:
		memcpy(&v.size, at, sizeof(v.size));
		return (double)v.size;
	}
	return 0;
}

static void option_store(
	struct conf *c, const struct conf_option_row *row, double value)
{
	char *at = (char *)c + row->offset;
	union value v = { 0 };
	switch (row->type) {
	case CONF_TYPE_BOOL:
		v.flag = value > 0;
		memcpy(at, &v.flag, sizeof(v.flag));
		break;
	case CONF_TYPE_U32:
	case CONF_TYPE_SECONDS:
		v.u32 = (uint32_t)value;
		memcpy(at, &v.u32, sizeof(v.u32));
		break;
	case CONF_TYPE_MS:
		v.ms = (int64_t)value;
		memcpy(at, &v.ms, sizeof(v.ms));
		break;
	case CONF_TYPE_SIZE:
		v.size = (uint64_t)value;
		memcpy(at, &v.size, sizeof(v.size));
		break;
	}
}

bool conf_option_set(struct conf *c, const struct conf_option_row *row, double value,
	char error[static 256])
{
	/* written so that not-a-number fails too */
	if (!(value >= row->low && value <= row->high)) {
		snprintf(error, 256, "%s: %.14g is not within %.14g..%.14g", row->lua,
			value, row->low, row->high);
		return false;
	}
	if (value != (double)(int64_t)value) {
		snprintf(
			error, 256, "%s: %.14g is not a whole number", row->lua, value);
		return false;
	}
	option_store(c, row, value);
	return true;
}

void *conf_push(struct conf *c, void *array_ptr, size_t *count, size_t item_len)
{
	/* capacity is the power of two at or above the count: no field needed for it */
	char *array;
	memcpy(&array, array_ptr, sizeof(array));
	if ((*count & (*count - 1)) == 0) {
		const size_t cap = *count ? *count * 2 : 1;
		char *wider = arena_alloc(c->arena, cap * item_len);
		if (!wider)
			return NULL;
		if (*count)
			memcpy(wider, array, *count * item_len);
		array = wider;
		memcpy(array_ptr, &array, sizeof(array));
	}
	char *item = array + *count * item_len;
	memset(item, 0, item_len);
	++*count;
	return item;
}

int conf_name_order(const uint8_t *a, const uint8_t *b)
{
	for (;;) {
		if (*a != *b)
			return (int)*a - (int)*b;
		if (*a == 0)
			return 0;
		const int order = memcmp(a + 1, b + 1, *a);
		if (order)
			return order;
		b += *a + 1;
		a += *a + 1;
	}
}

static int names_compare(const void *a, const void *b)
{
	const uint8_t *const *x = a, *const *y = b;
	return conf_name_order(*x, *y);
}

void conf_names_sort(const uint8_t **names, size_t count)
{
	if (count)
		qsort(names, count, sizeof(*names), names_compare);
}

const uint8_t *conf_names_find(
	const uint8_t *const *names, size_t count, const uint8_t *name, bool exact)
{
	for (;; name = name_parent(name)) {
		size_t low = 0, high = count;
		while (low < high) {
			const size_t mid = low + (high - low) / 2;
			const int order = conf_name_order(name, names[mid]);
			if (order == 0)
				return names[mid];
			if (order < 0)
				high = mid;
			else
				low = mid + 1;
		}
		if (exact || *name == 0)
			return NULL;
	}
}

bool conf_listen_add(
	struct conf *c, const struct conf_listen *l, char error[static 256])
{
	for (size_t i = 0; i < c->listen_count; i++) {
		const struct conf_listen *old = &c->listens[i];
		if (addr_equal(&old->addr, &l->addr)) {
			char text[ADDR_TEXT_MAX];
			snprintf(error, 256,
				"net.listen: %s is listened on already, by %s:%d",
				addr_to_text(&l->addr, text), old->where.file,
				old->where.line);
			return false;
		}
	}
	struct conf_listen *new =
		conf_push(c, &c->listens, &c->listen_count, sizeof(*new));
	if (!new) {
		snprintf(error, 256, "net.listen: out of memory");
		return false;
	}
	*new = *l;
	c->listen_said = true;
	return true;
}

static const uint8_t *name_keep(struct conf *c, const uint8_t *name)
{
	uint8_t *kept = arena_dup(c->arena, name, name_len(name));
	if (kept)
		name_lower(kept);
	return kept;
}

bool conf_hint_add(struct conf *c, const uint8_t *name, const struct addr *addr)
{
	const uint8_t *kept = name_keep(c, name);
	const uint32_t order =
		c->hint_count ? c->hints[c->hint_count - 1].order + 1 : 0;
	struct conf_hint *hint = conf_push(c, &c->hints, &c->hint_count, sizeof(*hint));
	if (!kept || !hint)
		return false;
	*hint = (struct conf_hint){ .name = kept, .addr = *addr, .order = order };
	hint->addr.port = 0;
	return true;
}

size_t conf_hint_del(struct conf *c, const uint8_t *name, const struct addr *addr)
{
	struct conf_hint *kept = NULL;
	size_t kept_count = 0, gone = 0;
	for (size_t i = 0; i < c->hint_count; i++) {
		const struct conf_hint *h = &c->hints[i];
		if (name_equal(h->name, name) &&
			(!addr || addr_same_ip(&h->addr, addr))) {
			gone++;
			continue;
		}
		struct conf_hint *to = conf_push(c, &kept, &kept_count, sizeof(*to));
		if (!to)
			return 0;
		*to = *h;
	}
	if (gone) {
		c->hints = kept;
		c->hint_count = kept_count;
	}
	return gone;
}

bool conf_root_add(struct conf *c, const uint8_t *name, const struct addr *addr)
{
	const uint8_t *kept = name_keep(c, name);
	struct conf_root *root = conf_push(c, &c->roots, &c->root_count, sizeof(*root));
	if (!kept || !root)
		return false;
	*root = (struct conf_root){ .name = kept, .addr = *addr };
	if (!root->addr.port)
		root->addr.port = 53;
	return true;
}

static int hint_compare_name(const void *a, const void *b)
{
	const struct conf_hint *x = a, *y = b;
	const int order = conf_name_order(x->name, y->name);
	if (order)
		return order;
	return (x->order > y->order) - (x->order < y->order);
}

static int addr_order(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return (int)a->family - (int)b->family;
	return memcmp(a->ip, b->ip, sizeof(a->ip));
}

static int hint_compare_addr(const void *a, const void *b)
{
	const struct conf_hint *const *x = a, *const *y = b;
	const int order = addr_order(&(*x)->addr, &(*y)->addr);
	if (order)
		return order;
	return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

static void hints_sort(struct conf *c)
{
	enum { ITEM_LEN = sizeof(void *) }; /* a list of pointers */
	c->hints_by_addr = NULL;
	if (!c->hint_count)
		return;
	qsort(c->hints, c->hint_count, sizeof(*c->hints), hint_compare_name);
	c->hints_by_addr = arena_alloc(c->arena, c->hint_count * ITEM_LEN);
	if (!c->hints_by_addr)
		return;
	for (size_t i = 0; i < c->hint_count; i++)
		c->hints_by_addr[i] = &c->hints[i];
	qsort(c->hints_by_addr, c->hint_count, ITEM_LEN, hint_compare_addr);
}

const struct conf_hint *conf_hint_find(
	const struct conf *c, const uint8_t *name, size_t *count)
{
	size_t low = 0, high = c->hint_count;
	while (low < high) { /* the first that is not below */
		const size_t mid = low + (high - low) / 2;
		if (conf_name_order(c->hints[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	size_t end = low;
	while (end < c->hint_count && conf_name_order(c->hints[end].name, name) == 0)
		end++;
	*count = end - low;
	return *count ? &c->hints[low] : NULL;
}

const uint8_t *conf_hint_ptr(const struct conf *c, const struct addr *addr)
{
	size_t low = 0, high = c->hints_by_addr ? c->hint_count : 0;
	while (low < high) { /* the first above: the one before it was said last */
		const size_t mid = low + (high - low) / 2;
		if (addr_order(&c->hints_by_addr[mid]->addr, addr) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || addr_order(&c->hints_by_addr[low - 1]->addr, addr) != 0)
		return NULL;
	return c->hints_by_addr[low - 1]->name;
}

/* https://www.internic.net/domain/named.root as of 2025 */
static const struct {
	char letter;
	const char *v4, *v6;
} builtin_roots[] = {
	{ 'a', "198.41.0.4", "2001:503:ba3e::2:30" },
	{ 'b', "170.247.170.2", "2801:1b8:10::b" },
	{ 'c', "192.33.4.12", "2001:500:2::c" },
	{ 'd', "199.7.91.13", "2001:500:2d::d" },
	{ 'e', "192.203.230.10", "2001:500:a8::e" },
	{ 'f', "192.5.5.241", "2001:500:2f::f" },
	{ 'g', "192.112.36.4", "2001:500:12::d0d" },
	{ 'h', "198.97.190.53", "2001:500:1::53" },
	{ 'i', "192.36.148.17", "2001:7fe::53" },
	{ 'j', "192.58.128.30", "2001:503:c27::2:30" },
	{ 'k', "193.0.14.129", "2001:7fd::1" },
	{ 'l', "199.7.83.42", "2001:500:9f::42" },
	{ 'm', "202.12.27.33", "2001:dc3::35" },
};

static bool roots_builtin(struct conf *c)
{
	uint8_t name[] = "\001a\014root-servers\003net";
	for (size_t i = 0; i < sizeof(builtin_roots) / sizeof(builtin_roots[0]); i++) {
		struct addr v4, v6;
		if (!addr_from_text(&v4, builtin_roots[i].v4, 53) ||
			!addr_from_text(&v6, builtin_roots[i].v6, 53))
			return false;
		name[1] = (uint8_t)builtin_roots[i].letter;
		if (!conf_root_add(c, name, &v4) || !conf_root_add(c, name, &v6))
			return false;
	}
	return true;
}

struct conf *conf_new(void)
{
	struct arena *arena = arena_new(CONF_ARENA_MAX);
	if (!arena)
		return NULL;
	struct conf *c = arena_alloc(arena, sizeof(*c));
	if (!c) {
		arena_free(arena);
		return NULL;
	}
	c->arena = arena;
	c->file = c->instance = c->run_folder = "";
	for (size_t i = 0; i < conf_option_count; i++)
		option_store(c, &conf_option_rows[i], conf_option_rows[i].def);
	for (unsigned i = 0; i < MODULE_COUNT; i++)
		c->modules |= (uint32_t)modules[i].on << i;
	c->anchor_builtin = true;
	c->log_level = LOG_LEVEL_NOTICE;
	c->log_target = LOG_TO_STDERR;
	if (!roots_builtin(c) || !conf_dns64_default(c)) {
		conf_free(c);
		return NULL;
	}
	return c;
}

static void listen_default(struct conf *c, const char *ip, bool optional)
{
	struct conf_listen l = {
		.kind = KIND_DNS, .optional = optional, .where = { c->file, 0 }
	};
	char error[256];
	if (addr_from_text(&l.addr, ip, 53))
		conf_listen_add(c, &l, error);
}

void conf_finish(struct conf *c)
{
	if (!c->listen_said) {
		listen_default(c, "127.0.0.1", false);
		listen_default(c, "::1", true);
		c->listen_said = false;
	}
	if (!c->root_count)
		roots_builtin(c);
	hints_sort(c);
	c->hash = conf_hash(c);
	c->domain = conf_domain_hash(c);
}

void conf_free(struct conf *c)
{
	if (c)
		arena_free(c->arena); /* c itself lies in it */
}
