/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/look.c - walks over all entries, counts, and what the snapshot needs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/state.h"

size_t cache_size(const struct cache *c, bool *is_private)
{
	*is_private = c->is_private;
	return c->shm.size;
}

void cache_stats(const struct cache *c, struct cache_stats *out)
{
	struct shared_counts counts;
	shared_count(&c->shared, &counts);
	*out = (struct cache_stats){
		.size = c->shm.size,
		.entries = counts.entries,
		.bytes_used = counts.bytes,
		.inserts = counts.inserts,
		.evictions = counts.evictions,
		.clears = counts.clears,
		.is_private = c->is_private,
	};
	snprintf(out->path, sizeof(out->path), "%s", c->shm.path);
}

void cache_walk_entries(struct cache *c, const struct now *now,
	bool (*fn)(void *ctx, const union entry *e), void *ctx)
{
	union entry *e = malloc(sizeof(*e)); /* fn may look things up */
	if (!e)
		return;
	bool more = true;
	for (uint64_t i = 0; more && i < shared_slots(&c->shared); i++) {
		const uint64_t ref = shared_slot_ref(&c->shared, i);
		if (!ref || shared_copy(&c->shared, ref, e) != COPIED)
			continue;
		const struct entry_head *h = &e->head;
		if (name_check(entry_name(e), h->name_len) == h->name_len &&
			judge(c, e, now) == VERDICT_LIVE)
			more = fn(ctx, e);
	}
	free(e);
}

struct walk {
	bool (*fn)(void *ctx, const struct cache_key *key,
		const struct cache_meta *meta, const uint8_t *value, size_t len);
	void *ctx;
};

static bool walk_one(void *ctx, const union entry *e)
{
	const struct walk *w = ctx;
	const struct cache_key key = judge_key(e);
	struct cache_meta meta;
	cache_entry_meta(e, &meta);
	return w->fn(w->ctx, &key, &meta, entry_value(e), e->head.value_len);
}

void cache_walk(struct cache *c, const struct now *now,
	bool (*fn)(void *ctx, const struct cache_key *key,
		const struct cache_meta *meta, const uint8_t *value, size_t len),
	void *ctx)
{
	struct walk w = { fn, ctx };
	cache_walk_entries(c, now, walk_one, &w);
}

/* --- for the snapshot -------------------------------------------- */

bool cache_restore(struct cache *c, const union entry *e, uint64_t generation,
	uint32_t epoch, const struct now *now)
{
	const struct cache_key key = judge_key(e);
	struct lookup l;
	struct shared_found at;
	if (!segment_usable(c, now))
		return false;
	lookup_init(&l, c, &key);
	if (lookup_find(c, &l, &at) && judge(c, &c->copy, now) == VERDICT_LIVE)
		return false;
	struct cache_meta meta;
	cache_entry_meta(e, &meta);
	meta.generation = generation;
	meta.epoch = epoch;
	return cache_put(c, &key, now, &meta, entry_value(e), e->head.value_len);
}
