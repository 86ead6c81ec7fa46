/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/carry.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cache/bundle.h"
#include "cli/cacheline.h"
#include "wire/codes.h"

/* --- out --------------------------------------------------------- */

struct out {
	FILE *file;
	struct carry_count *count;
};

static bool write_line(FILE *file, const char *before, char *line)
{
	const bool fine = line && fprintf(file, "%s%s\n", before, line) > 0;
	free(line);
	return fine;
}

static bool write_entry(
	FILE *file, const struct cacheline_head *h, const struct bundle_item *items)
{
	/* a set by itself needs no head */
	const bool plain = h->kind == CACHE_RRSET && h->items == 1;
	bool fine = plain || write_line(file, "", cacheline_head_write(h));
	for (unsigned i = 0; fine && i < h->items; i++) {
		char before[24] = "";
		if (!plain)
			snprintf(before, sizeof(before), "+%s\t",
				cacheline_section_name(items[i].section));
		fine = write_line(file, before,
			cacheline_write(&items[i].rr, h->expire_s, h->domain, h->rank));
	}
	return fine;
}

/* All of an entry or nothing: first into memory. */
static bool export_one(void *ctx, const struct cache_key *key,
	const struct cache_meta *m, const uint8_t *value, size_t len)
{
	struct out *x = ctx;
	struct bundle_item items[BUNDLE_MAX];
	if (!cacheline_kind_name(key->kind))
		return true;
	const int count = bundle_read(value, len, key->name, items);
	struct cacheline_head h = { .kind = key->kind,
		.type = key->type,
		.rank = m->rank,
		.domain = key->domain,
		.expire_s = m->expire_s,
		.items = count > 0 ? (unsigned)count : 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);
	name_copy_lower(h.name, key->name);
	bool fine = memory && count >= 0 && write_entry(memory, &h, items);
	fine = memory && fclose(memory) == 0 && fine;
	if (fine && fwrite(text, 1, size, x->file) == size)
		x->count->done++;
	else
		x->count->skipped++;
	free(text);
	return !ferror(x->file);
}

bool carry_out(
	struct cache *c, const struct now *now, FILE *file, struct carry_count *count)
{
	struct out x = { file, count };
	cache_walk(c, now, export_one, &x);
	return !ferror(file);
}

/* --- in ---------------------------------------------------------- */

struct in {
	struct cache *cache;
	const struct now *now;
	FILE *file;
	struct carry_count *count;
	uint64_t generation;
	uint32_t epoch;
	char *line; /* CACHELINE_MAX */
	uint64_t number;
	/* the entry that is being read */
	struct cacheline_head head;
	struct cacheline *lines; /* BUNDLE_MAX */
	struct bundle_item items[BUNDLE_MAX];
	unsigned have;
};

static bool put_entry(struct in *x)
{
	static uint8_t value[CACHE_VALUE_MAX];
	const struct cacheline_head *h = &x->head;
	const int64_t now_s = now_wall_s(x->now);
	const struct cache_key key = { .kind = h->kind,
		.type = h->type,
		.rclass = CLASS_IN,
		.domain = h->domain,
		.name = h->name };
	const struct cache_meta meta = { .stored_s = now_s,
		.expire_s = h->expire_s,
		.generation = x->generation,
		.epoch = x->epoch,
		.status = CACHE_UNCHECKED,
		.rank = h->rank,
		.rcode = h->kind == CACHE_NXDOMAIN ? RCODE_NXDOMAIN : RCODE_NOERROR,
		.ede = -1 };
	const size_t len = h->items ? bundle_write(value, sizeof(value), h->name,
					      x->items, h->items)
				    : 0;
	return (len || !h->items) && h->expire_s > now_s &&
	       cache_put(x->cache, &key, x->now, &meta, value, len);
}

static void end_entry(struct in *x)
{
	if (put_entry(x))
		x->count->done++;
	else
		x->count->skipped++;
	x->head.items = x->have = 0;
}

/* A line of an entry that has begun. */
static const char *read_item(struct in *x)
{
	char *at = x->line;
	struct bundle_item *item = &x->items[x->have];
	struct cacheline *l = &x->lines[x->have];
	if (!cacheline_section_read(&at, &item->section))
		return "not a set of the entry above";
	const char *wrong = cacheline_read(at, now_wall_s(x->now), l);
	if (wrong)
		return wrong;
	item->rr = l->rr;
	if (++x->have == x->head.items)
		end_entry(x);
	return NULL;
}

static const char *read_line(struct in *x)
{
	struct cacheline *l = &x->lines[0];
	if (x->have < x->head.items)
		return read_item(x);
	if (!*x->line || *x->line == '#')
		return NULL;
	if (*x->line == '@') {
		const char *wrong =
			cacheline_head_read(x->line, now_wall_s(x->now), &x->head);
		if (wrong)
			x->head.items = 0;
		else if (!x->head.items)
			end_entry(x);
		return wrong;
	}
	const char *wrong = cacheline_read(x->line, now_wall_s(x->now), l);
	if (wrong)
		return wrong;
	x->head = (struct cacheline_head){ .kind = CACHE_RRSET,
		.type = l->rr.type,
		.rank = l->rank,
		.domain = l->domain,
		.expire_s = l->expire_s,
		.items = 1 };
	name_copy(x->head.name, l->name);
	x->items[0] = (struct bundle_item){ SECTION_ANSWER, l->rr };
	end_entry(x);
	return NULL;
}

static bool read_all(struct in *x)
{
	while (fgets(x->line, CACHELINE_MAX, x->file)) {
		char *end = strchr(x->line, '\n');
		const char *wrong = end || feof(x->file) ? NULL : "too long";
		x->number++;
		if (end)
			*end = 0;
		if (!wrong)
			wrong = read_line(x);
		if (!wrong)
			continue;
		fprintf(stderr, "shoal: line %" PRIu64 ": %s\n", x->number, wrong);
		return false;
	}
	if (x->head.items)
		fprintf(stderr, "shoal: the file ends within an entry\n");
	return !ferror(x->file) && !x->head.items;
}

bool carry_in(
	struct cache *c, const struct now *now, FILE *file, struct carry_count *count)
{
	static struct in x;
	x = (struct in){ .cache = c, .now = now, .file = file, .count = count };
	x.generation = cache_generation(c);
	x.epoch = cache_epoch(c);
	x.line = malloc(CACHELINE_MAX);
	x.lines = malloc(BUNDLE_MAX * sizeof(*x.lines));
	const bool fine = x.line && x.lines && read_all(&x);
	free(x.line);
	free(x.lines);
	return fine;
}
