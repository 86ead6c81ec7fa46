/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/answer.h - a finished wire answer as a cache value, and its patching in place.
 *
 * Stored: the message without OPT, and the offsets of its TTLs. Handed out: a copy with
 * id, flags (RD, CD), question case and TTLs put right; the caller adds OPT. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"

/* In cache_meta.user: it refers to other entries of its segment. */
enum { ANSWER_HAS_PARTS = 1 };

/* Store the message (header, question, records, no OPT). Its meta gives age and
 * dependencies. */
bool answer_put(struct cache *c, const struct cache_key *key, const struct now *now,
	const struct cache_meta *meta, const uint8_t *msg, size_t len);

/* The length of the message written to `out`, or 0: a miss, or longer than cap (then
 * *too_long is set). `id`, `flags` (RD and CD are taken over) and `qname` (case) are
 * the client's; `rotate` != 0 rotates the records of the answer section's last RRset
 * where it has several. TTLs have the entry's age taken off. */
size_t answer_get(struct cache *c, const struct cache_key *key, const struct now *now,
	uint16_t id, uint16_t flags, const uint8_t *qname, uint32_t rotate,
	uint8_t *out, size_t cap, struct cache_meta *meta, bool *too_long);
