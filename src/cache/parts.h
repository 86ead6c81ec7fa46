/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/parts.h - signatures of a finished answer that are not kept again: they are taken
 * from the entries of the sets that they belong to.
 *
 * A part names such an entry by its place in the log and its check, so it is that very
 * entry or none: when it was moved, replaced and written over, the finished answer is a
 * miss, and is made anew from the sets. Whether the answer may still be given is judged by
 * its own head: it depends on the same names and ends no later. */
#pragma once

#include "cache/cache.h"
#include "wire/msg.h"

enum {
	PARTS_MAX = 8,
	CUTS_MAX = 32,
	PART_MIN = 48, /* octets of RDATA: fewer are not worth it */
};

struct part {
	uint64_t ref, check;
	uint64_t hash; /* of its key: it is in use with the answer */
};

/* `len` octets at `at` of the message are those at `from` of the part's value. */
struct cut {
	uint16_t at, len;
	uint32_t from : 24, part : 8;
};

struct parts {
	unsigned count, cut_count;
	struct part part[PARTS_MAX];
	struct cut cut[CUTS_MAX]; /* by `at` */
};

/* Which RRSIG records of the message lie in the cache; `key` is the answer's. */
void parts_find(struct cache *c, const struct cache_key *key, const struct msg *m,
	struct parts *out);
/* Puts them in. False: one is gone. */
bool parts_fill(struct cache *c, const struct parts *p, uint8_t *msg, size_t len);
