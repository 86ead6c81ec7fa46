/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/anchor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/sha2.h>

#include "base/arena.h"
#include "base/hash.h"
#include "dnssec/algorithm.h"
#include "dnssec/dnskey.h"
#include "dnssec/ds.h"
#include "wire/codes.h"
#include "wire/name.h"

enum { ANCHOR_ARENA_MAX = 64 * 1024 * 1024 };

struct item { /* as it was said, newest first */
	struct item *next;
	const uint8_t *owner;
	const char *reason;
	int64_t until_s;
	const uint8_t *rdata;
	uint16_t type; /* 0: negative */
	uint16_t len;
};

struct anchor_set {
	struct arena *arena;
	unsigned holders;
	bool sealed;
	unsigned labels_max; /* of all owners: no need to look at longer names */
	struct item *items;
	size_t item_count;
	struct anchor *anchors; /* by owner, negative before positive */
	size_t count;
};

struct anchor_set *anchor_set_new(void)
{
	struct arena *arena = arena_new(ANCHOR_ARENA_MAX);
	struct anchor_set *set = calloc(1, sizeof(*set));
	if (!arena || !set) {
		arena_free(arena);
		free(set);
		return NULL;
	}
	set->arena = arena;
	set->holders = 1;
	return set;
}

struct anchor_set *anchor_set_hold(struct anchor_set *set)
{
	set->holders++;
	return set;
}

void anchor_set_drop(struct anchor_set *set)
{
	if (!set || --set->holders)
		return;
	arena_free(set->arena);
	free(set);
}

static struct item *item_new(struct anchor_set *set, const uint8_t *owner)
{
	assert(!set->sealed);
	struct item *item = arena_alloc(set->arena, sizeof(*item));
	uint8_t *name = arena_dup(set->arena, owner, name_len(owner));
	if (!item || !name)
		return NULL;
	name_lower(name);
	item->owner = name;
	item->next = set->items;
	set->items = item;
	set->item_count++;
	return item;
}

static bool item_add(struct anchor_set *set, const uint8_t *owner, uint16_t type,
	const uint8_t *rdata, size_t len)
{
	struct item *item = item_new(set, owner);
	if (!item)
		return true;
	item->rdata = arena_dup(set->arena, rdata, len);
	item->type = type;
	item->len = (uint16_t)len;
	return true;
}

/* RFC 4034 section 5.1.4 */
static size_t ds_of_key(const uint8_t *owner, const struct dnskey *key,
	uint8_t out[static 4 + SHA256_DIGEST_SIZE])
{
	uint8_t name[NAME_MAX_LEN];
	struct sha256_ctx sha;
	sha256_init(&sha);
	sha256_update(&sha, name_copy_lower(name, owner), name);
	sha256_update(&sha, key->rdata_len, key->rdata);
	out[0] = (uint8_t)(key->tag >> 8);
	out[1] = (uint8_t)key->tag;
	out[2] = key->algorithm;
	out[3] = DIGEST_SHA256;
	sha256_digest(&sha, SHA256_DIGEST_SIZE, out + 4);
	return 4 + SHA256_DIGEST_SIZE;
}

bool anchor_set_add(struct anchor_set *set, const uint8_t *owner, uint16_t type,
	const uint8_t *rdata, size_t len)
{
	enum { DS_MIN = 5 };
	struct dnskey key;
	uint8_t made[4 + SHA256_DIGEST_SIZE];
	if (len > UINT16_MAX)
		return false;
	if (type == TYPE_DS)
		/* with a digest of the wrong length too: no key fits it, so the zone
		 * is bogus. Without the anchor it would be unsigned */
		return len >= DS_MIN && item_add(set, owner, TYPE_DS, rdata, len);
	if (type != TYPE_DNSKEY || !dnskey_read(&key, rdata, len) ||
		!dnskey_is_usable(&key))
		return false;
	return item_add(set, owner, TYPE_DNSKEY, rdata, len) &&
	       item_add(set, owner, TYPE_DS, made, ds_of_key(owner, &key, made));
}

void anchor_set_negative(struct anchor_set *set, const uint8_t *owner,
	const char *reason, int64_t until_s)
{
	struct item *item = item_new(set, owner);
	if (!item)
		return;
	item->reason = reason ? arena_strdup(set->arena, reason) : NULL;
	item->until_s = until_s;
}

/* data.iana.org/root-anchors/root-anchors.xml */
void anchor_set_builtin(struct anchor_set *set)
{
	static const uint8_t root[1] = { 0 };
	static const uint8_t ksk[2][4 + SHA256_DIGEST_SIZE] = {
		{ 20326 >> 8, 20326 & 0xff, ALGORITHM_RSASHA256, DIGEST_SHA256, 0xe0,
			0x6d, 0x44, 0xb8, 0x0b, 0x8f, 0x1d, 0x39, 0xa9, 0x5c, 0x0b,
			0x0d, 0x7c, 0x65, 0xd0, 0x84, 0x58, 0xe8, 0x80, 0x40, 0x9b,
			0xbc, 0x68, 0x34, 0x57, 0x10, 0x42, 0x37, 0xc7, 0xf8, 0xec,
			0x8d },
		{ 38696 >> 8, 38696 & 0xff, ALGORITHM_RSASHA256, DIGEST_SHA256, 0x68,
			0x3d, 0x2d, 0x0a, 0xcb, 0x8c, 0x9b, 0x71, 0x2a, 0x19, 0x48,
			0xb2, 0x7f, 0x74, 0x12, 0x19, 0x29, 0x8d, 0x0a, 0x45, 0x0d,
			0x61, 0x2c, 0x48, 0x3a, 0xf4, 0x44, 0xa4, 0xc0, 0xfb, 0x2b,
			0x16 },
	};
	for (size_t i = 0; i < 2; i++)
		anchor_set_add(set, root, TYPE_DS, ksk[i], sizeof(ksk[i]));
}

/* --- sealing ------------------------------------------------------------------- */

/* Doubles come to stand side by side; else no order is meant but owner and kind. */
static int item_order(const void *a_ptr, const void *b_ptr)
{
	const struct item *a = *(const struct item *const *)a_ptr;
	const struct item *b = *(const struct item *const *)b_ptr;
	const int owner = name_order(a->owner, b->owner);
	if (owner)
		return owner;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (!a->type)
		return a->until_s > b->until_s ? -1 : a->until_s < b->until_s;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->rdata, b->rdata, a->len);
}

static bool item_same(const struct item *a, const struct item *b)
{
	return a->type == b->type && name_equal(a->owner, b->owner) &&
	       (!a->type ||
		       (a->len == b->len && memcmp(a->rdata, b->rdata, a->len) == 0));
}

/* The records of items[0..count), all of one owner and type. */
static struct rrset rrset_of(
	struct anchor_set *set, struct item *const *items, size_t count, uint16_t type)
{
	struct rrset rr = { .name = items[0]->owner, .type = type, .rclass = CLASS_IN };
	size_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += 2u + items[i]->len;
	uint8_t *data = arena_alloc(set->arena, len);
	if (!data)
		return rr;
	rr.data = data;
	for (size_t i = 0; i < count && rr.count < UINT16_MAX; i++) {
		memcpy(data, &items[i]->len, 2);
		memcpy(data + 2, items[i]->rdata, items[i]->len);
		data += 2 + items[i]->len;
		rr.count++;
	}
	rr.data_len = (uint32_t)(data - rr.data);
	return rr;
}

/* The anchor that items[0] begins; returns how many items it takes. */
static size_t anchor_begin(struct anchor_set *set, struct anchor *a,
	struct item *const *items, size_t count)
{
	const struct item *first = items[0];
	a->owner = first->owner;
	if (!first->type) {
		a->kind = ANCHOR_NEGATIVE;
		a->reason = first->reason;
		a->until_s = first->until_s;
		return 1;
	}
	size_t ds = 0, keys = 0; /* DS is the lower type */
	while (ds < count && items[ds]->type == TYPE_DS &&
		name_equal(items[ds]->owner, a->owner))
		ds++;
	while (ds + keys < count && items[ds + keys]->type == TYPE_DNSKEY &&
		name_equal(items[ds + keys]->owner, a->owner))
		keys++;
	a->kind = ANCHOR_POSITIVE;
	a->until_s = ANCHOR_FOREVER;
	a->ds = rrset_of(set, items, ds, TYPE_DS);
	if (keys)
		a->keys = rrset_of(set, items + ds, keys, TYPE_DNSKEY);
	return ds + keys;
}

bool anchor_set_seal(struct anchor_set *set)
{
	static_assert(TYPE_DS < TYPE_DNSKEY, "anchor_begin()");
	assert(!set->sealed);
	set->sealed = true;
	struct item **items =
		arena_alloc(set->arena, set->item_count * sizeof(struct item *));
	set->anchors = arena_alloc(set->arena, set->item_count * sizeof(*set->anchors));
	if (arena_overflowed(set->arena))
		return false;
	size_t count = 0;
	for (struct item *i = set->items; i; i = i->next)
		items[count++] = i;
	qsort(items, count, sizeof(struct item *), item_order);
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (!kept || !item_same(items[kept - 1], items[i]))
			items[kept++] = items[i];
	for (size_t i = 0; i < kept;) {
		struct anchor *a = &set->anchors[set->count++];
		i += anchor_begin(set, a, items + i, kept - i);
		const unsigned labels = name_labels(a->owner);
		if (labels > set->labels_max)
			set->labels_max = labels;
	}
	return !arena_overflowed(set->arena);
}

/* --- searching ----------------------------------------------------------------- */

/* At this very name. */
static const struct anchor *anchor_at(
	const struct anchor_set *set, const uint8_t *name, int64_t now_s)
{
	size_t low = 0, high = set->count;
	while (low < high) { /* the first whose owner is not before the name */
		const size_t mid = low + (high - low) / 2;
		if (name_order(set->anchors[mid].owner, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < set->count; low++) {
		const struct anchor *a = &set->anchors[low];
		if (!name_equal(a->owner, name))
			return NULL;
		if (a->kind == ANCHOR_POSITIVE || now_s < a->until_s)
			return a;
	}
	return NULL;
}

const struct anchor *anchor_find(
	const struct anchor_set *set, const uint8_t *name, int64_t now_s)
{
	assert(set->sealed);
	const unsigned labels = name_labels(name);
	if (labels > set->labels_max)
		name = name_strip(name, labels - set->labels_max);
	for (;; name = name_parent(name)) {
		const struct anchor *a = anchor_at(set, name, now_s);
		if (a || name_is_root(name))
			return a;
	}
}

const struct anchor *anchor_find_type(
	const struct anchor_set *set, const uint8_t *name, uint16_t type, int64_t now_s)
{
	return anchor_find(set, type == TYPE_DS ? name_parent(name) : name, now_s);
}

const char *anchor_reason(
	const struct anchor_set *set, const uint8_t *name, int64_t now_s)
{
	const struct anchor *a = anchor_find(set, name, now_s);
	return a && a->kind == ANCHOR_NEGATIVE ? a->reason : NULL;
}

size_t anchor_set_count(const struct anchor_set *set)
{
	return set->count;
}

const struct anchor *anchor_set_at(const struct anchor_set *set, size_t i)
{
	assert(i < set->count);
	return &set->anchors[i];
}

uint64_t anchor_set_hash(const struct anchor_set *set)
{
	static const struct hash_key fixed_key = { 0x73686f616c616e63,
		0x686f727320736574 };
	struct hash_state s;
	hash_begin(&s, &fixed_key);
	for (size_t i = 0; i < set->count; i++) {
		const struct anchor *a = &set->anchors[i];
		hash_add(&s, a->owner, name_len(a->owner));
		hash_add(&s, &a->ds.data_len, sizeof(a->ds.data_len));
		hash_add(&s, a->ds.data, a->ds.data_len);
	}
	return hash_end(&s);
}

int64_t anchor_set_next_s(const struct anchor_set *set, int64_t now_s)
{
	int64_t next = ANCHOR_FOREVER;
	for (size_t i = 0; i < set->count; i++) {
		const struct anchor *a = &set->anchors[i];
		if (a->kind == ANCHOR_NEGATIVE && a->until_s > now_s &&
			a->until_s < next)
			next = a->until_s;
	}
	return next;
}
