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
/* An entry whose lengths and names fit, from a file: stored under the generation and epoch
 * given, unless something alive stands there. False: not stored. */
bool cache_restore(struct cache *c, const union entry *e, uint64_t generation,
	uint32_t epoch, const struct now *now);
void cache_entry_meta(const union entry *e, struct cache_meta *meta);
