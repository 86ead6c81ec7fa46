/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/pages.h - the names (or hashes) at which a zone's known denials begin, in order:
 * what a hash table of NSEC and NSEC3 RRsets lacks for RFC 8198.
 *
 * Only where to look: the record itself, its signatures, status, generation and epoch are
 * those of the cache entry (CACHE_DENIAL) that it leads to. So a page that is lost, old or
 * wrong costs a miss. Keys are any bytes, sorted as memcmp does. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/random.h"
#include "cache/cache.h"
#include "cache/keylist.h"

enum { PAGES_SALT_MAX = 64, PAGES_KEY_MAX = 120 };

/* What a zone's records are, one kind at a time. */
struct pages_chain {
	uint16_t type; /* NSEC or NSEC3 */
	uint16_t iterations;
	uint8_t salt_len;
	uint8_t salt[PAGES_SALT_MAX];
};

struct pages;

/* `run_folder` NULL: private memory. The size follows from the cache's. NULL only for lack of memory. */
struct pages *pages_open(const char *run_folder, struct cache *cache,
	struct counters *counters, struct random *rnd);
void pages_close(struct pages *p);
/* Once a second, after cache_tick. */
void pages_tick(struct pages *p);

/* What is known of the zone (any case); it is what pages_find then searches, until the
 * next call. False: nothing. */
bool pages_zone(struct pages *p, uint64_t domain, const uint8_t *zone,
	const struct now *now, struct pages_chain *out);
/* The greatest key that is not above `key`; where there is none, the last of all (NSEC3
 * goes round). False: nothing near it is known. */
bool pages_find(struct pages *p, const uint8_t *key, size_t len, const struct now *now,
	struct keylist_key *out);
/* A denial that begins at `key` is in the cache until `end_s`. False: not noted. */
bool pages_add(struct pages *p, uint64_t domain, const uint8_t *zone,
	const struct pages_chain *chain, const uint8_t *key, size_t len, int64_t end_s,
	const struct now *now);

/* --- zones whose denials prove nothing for other names --------------------------- */

/* One more name of this zone that nobody knows is to be asked for. False: too many were in
 * vain. *uncounted: pages_vain was never said of this zone. */
bool pages_may_ask(
	struct pages *p, const uint8_t *zone, const struct now *now, bool *uncounted);
/* A denial of an opt-out or online-signed zone came: from now on its new names count, and
 * this one, if it was `uncounted`. */
void pages_vain(
	struct pages *p, const uint8_t *zone, const struct now *now, bool uncounted);
/* The name was there. */
void pages_fruitful(struct pages *p, const uint8_t *zone, const struct now *now);
