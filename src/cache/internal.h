/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/internal.h - entries without a second copy, for the finished answers' short way
 * and for the snapshot. */
#pragma once

#include "cache/cache.h"
#include "cache/entry.h"

/* As cache_get, but the verified private copy itself; it lives until the next call.
 * NULL: a miss. */
const union entry *cache_get_entry(
	struct cache *c, const struct cache_key *key, const struct now *now);
/* All live entries, each verified and judged; false stops. */
void cache_walk_entries(struct cache *c, const struct now *now,
	bool (*fn)(void *ctx, const union entry *e), void *ctx);
/* Bytes of an entry whose lengths and name fit, from a file: stored under the generation
 * and epoch given, unless something alive stands there. False: not stored. */
bool cache_restore(struct cache *c, const uint8_t *bytes, uint64_t generation,
	uint32_t epoch, const struct now *now);
/* Was the segment made new since this was asked last? */
bool cache_take_new(struct cache *c);
const char *cache_folder(const struct cache *c);
void cache_entry_meta(const union entry *e, struct cache_meta *meta);
