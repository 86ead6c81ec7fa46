/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf_zone.c - what stands in zone-file form: root hints, single records, single
 * RDATA. */
#include "conf/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libzscanner/scanner.h>

#include "conf/zone_read.h"
#include "wire/codes.h"

enum { TEXT_RECORD_MAX = 128 * 1024 }; /* one record in text form */

struct zone_read {
	zone_record_fn *fn;
	void *ctx;
	const char *path; /* NULL: a text */
	char *error;      /* 256 bytes */
	bool failed;
};

static void zone_on_record(zs_scanner_t *s)
{
	struct zone_read *z = s->process.data;
	const struct zone_record rr = { s->r_owner, s->r_type, s->r_data,
		(uint16_t)s->r_data_length };
	z->error[0] = 0;
	if (z->fn(z->ctx, &rr))
		return;
	z->failed = true;
	s->state = ZS_STATE_STOP;
	if (z->path) {
		char reason[160];
		snprintf(reason, sizeof(reason), "%.159s", z->error);
		snprintf(z->error, 256, "%.64s:%llu: %s", z->path,
			(unsigned long long)s->line_counter, reason);
	}
}

static void zone_on_error(zs_scanner_t *s)
{
	struct zone_read *z = s->process.data;
	const char *why = zs_strerror(s->error.code);
	if (z->path)
		snprintf(z->error, 256, "%.160s:%llu: %s", z->path,
			(unsigned long long)s->line_counter, why);
	else
		snprintf(z->error, 256, "%s", why);
	z->failed = true;
	s->state = ZS_STATE_STOP;
}

static bool file_is_readable(const char *path, char error[static 256])
{
	struct stat st;
	int err = 0;
	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		err = errno;
	else if (S_ISDIR(st.st_mode))
		err = EISDIR;
	if (err)
		snprintf(error, 256, "%.160s: %s", path, strerror(err));
	return err == 0;
}

static bool zone_read(const char *path, const char *text, zone_record_fn *fn, void *ctx,
	char error[static 256])
{
	error[0] = 0;
	if (path && !file_is_readable(path, error))
		return false;
	zs_scanner_t *s = malloc(sizeof(*s)); /* over 100 KB: not on the stack */
	struct zone_read z = { fn, ctx, path, error, false };
	if (!s || zs_init(s, ".", CLASS_IN, 3600) != 0) {
		free(s);
		snprintf(error, 256, "out of memory");
		return false;
	}
	int rc = zs_set_processing(s, zone_on_record, zone_on_error, &z);
	if (rc == 0 && path)
		rc = zs_set_input_file(s, path);
	else if (rc == 0 && text)
		rc = zs_set_input_string(s, text, strlen(text));
	if (rc != 0 || zs_parse_all(s) != 0) {
		if (!error[0])
			snprintf(error, 256, "%.160s: %s", path ? path : "text",
				zs_strerror(s->error.code));
		z.failed = true;
	}
	zs_deinit(s);
	free(s);
	return !z.failed;
}

/* --- root hints --------------------------------------------------------------- */

struct root_entry { /* an address record of the file; used if an NS of the root names it
		     */
	const uint8_t *name;
	struct addr addr;
};

struct root_read {
	struct conf *c;
	const uint8_t **servers;
	size_t server_count;
	struct root_entry *entries;
	size_t entry_count;
	char *error;
};

static bool root_on_address(struct root_read *r, const struct zone_record *rr)
{
	struct root_entry *e =
		conf_push(r->c, &r->entries, &r->entry_count, sizeof(*e));
	uint8_t *name = arena_dup(r->c->arena, rr->owner, name_len(rr->owner));
	if (!e || !name)
		return false;
	name_lower(name);
	e->name = name;
	e->addr.family = rr->type == TYPE_A ? 4 : 6;
	e->addr.port = 53;
	memcpy(e->addr.ip, rr->rdata, rr->type == TYPE_A ? 4 : 16);
	return true;
}

static bool root_on_record(void *ctx, const struct zone_record *rr)
{
	struct root_read *r = ctx;
	if (rr->type == TYPE_A || rr->type == TYPE_AAAA)
		return root_on_address(r, rr);
	if (rr->type != TYPE_NS || !name_is_root(rr->owner))
		return true;
	const uint8_t **server =
		conf_push(r->c, &r->servers, &r->server_count, sizeof(*server));
	uint8_t *name = arena_dup(r->c->arena, rr->rdata, rr->rdata_len);
	if (!server || !name)
		return false;
	name_lower(name);
	*server = name;
	return true;
}

bool conf_root_file(struct conf *c, const char *path, char error[static 256])
{
	struct root_read r = { .c = c, .error = error };
	if (!zone_read(path, NULL, root_on_record, &r, error))
		return false;
	conf_names_sort(r.servers, r.server_count);
	struct conf_root *old = c->roots;
	const size_t old_count = c->root_count;
	c->roots = NULL;
	c->root_count = 0;
	for (size_t i = 0; i < r.entry_count; i++) {
		const struct root_entry *e = &r.entries[i];
		if (conf_names_find(r.servers, r.server_count, e->name, true))
			conf_root_add(c, e->name, &e->addr);
	}
	if (!c->root_count) {
		c->roots = old;
		c->root_count = old_count;
		snprintf(error, 256, "%.160s: no address of a name server of the root",
			path);
		return false;
	}
	return true;
}

/* --- one record ---------------------------------------------------------------- */

/* No directive, no line break outside parentheses; with the line's end that the scanner
 * wants. */
bool zone_read_record(const char *text, const char *head, zone_record_fn *fn, void *ctx,
	char error[static 256])
{
	char *line = NULL;
	if (strlen(head) + strlen(text) + 2 > TEXT_RECORD_MAX ||
		text[strspn(text, " \t\r\n")] == '$' ||
		asprintf(&line, "%s%s\n", head, text) < 0) {
		snprintf(error, 256, "not a record");
		return false;
	}
	const bool fine = zone_read(NULL, line, fn, ctx, error);
	free(line);
	return fine;
}

/* --- one RDATA ---------------------------------------------------------------- */

struct rdata_read {
	uint16_t type;
	uint8_t *out;
	size_t cap;
	int len;
	char *error;
};

static bool rdata_on_record(void *ctx, const struct zone_record *rr)
{
	struct rdata_read *r = ctx;
	if (r->len >= 0 || rr->type != r->type || rr->rdata_len > r->cap)
		return false;
	memcpy(r->out, rr->rdata, rr->rdata_len);
	r->len = rr->rdata_len;
	return true;
}

int conf_rdata_from_text(uint16_t type, const char *text, uint8_t *out, size_t cap)
{
	char error[256], name[16], head[32];
	struct rdata_read r = { type, out, cap, -1, error };
	snprintf(head, sizeof(head), ". 0 IN %s ", type_to_text(type, name));
	return zone_read_record(text, head, rdata_on_record, &r, error) ? r.len : -1;
}
