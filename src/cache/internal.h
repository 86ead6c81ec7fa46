/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/internal.h - for the finished answers' short way: an entry without a second
 * copy. */
#pragma once

#include "cache/cache.h"
#include "cache/entry.h"

/* As cache_get, but the verified private copy itself; it lives until the next call.
 * NULL: a miss. */
const union entry *cache_get_entry(
	struct cache *c, const struct cache_key *key, const struct now *now);
void cache_entry_meta(const union entry *e, struct cache_meta *meta);
