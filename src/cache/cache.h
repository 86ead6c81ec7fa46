/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/cache.h - the shared cache: one segment of fixed size, mapped by all instances.
 *
 * Readers take no lock and write nothing; a writer killed at any instruction leaves
 * nothing wrong to be served: a reader copies, then verifies checksum and key on its
 * copy. Damage is a miss and a counter. Values are any bytes of 0..CACHE_VALUE_MAX. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/random.h"

enum {
	CACHE_VALUE_MAX = 80 * 1024,
	CACHE_LAYOUT = 1,
	CACHE_SIZE_MIN = 1024 * 1024,
};

enum cache_kind {
	/* a bundle of one RRset (plus proofs, for a wildcard expansion) */
	CACHE_RRSET = 1,
	/* a bundle of SOA and proofs; key with the type */
	CACHE_NODATA = 2,
	/* the same; key with type 0: all names below too (RFC 8020) */
	CACHE_NXDOMAIN = 3,
	/* finished wire answer, see cache/answer.h */
	CACHE_ANSWER = 4,
	/* RFC 9520: rcode and ede in meta, no value */
	CACHE_FAILURE = 5,
	/* NS RRset at a zone cut as the parent's referral gave it */
	CACHE_CUT = 6,
	/* no data: one of the host is at work on this name and type */
	CACHE_MARK = 7,
	/* a bundle of one NSEC, NSEC3 or SOA that was found secure; the number of labels
	 * of its zone stands in the key's flags: a delegation has one on each side */
	CACHE_DENIAL = 8,
};

enum cache_status { CACHE_UNCHECKED, CACHE_INSECURE, CACHE_SECURE };

/* Trust of data, RFC 2181 section 5.4.1: lower never replaces higher that is still
 * alive. */
enum cache_rank {
	RANK_GLUE = 1,       /* additional section of a referral */
	RANK_REFERRAL = 2,   /* authority section of a referral */
	RANK_ADDITIONAL = 3, /* additional section of an authoritative answer */
	RANK_AUTHORITY = 4,  /* authority section of an authoritative answer */
	RANK_ANSWER = 5,     /* answer section, not authoritative (forwarder) */
	RANK_AUTH_ANSWER = 6,
};

enum { CACHE_KEY_DO = 1, CACHE_KEY_CD = 2 };

struct cache_key {
	uint8_t kind;
	uint8_t flags; /* CACHE_KEY_*: for CACHE_ANSWER and CACHE_FAILURE */
	uint16_t type;
	uint16_t rclass;
	/* hash of all settings that change what is resolved or trusted */
	uint64_t domain;
	const uint8_t *name; /* any case: it is compared and hashed in lower case */
};

struct cache_meta {
	int64_t stored_s; /* wall clock; entries from the future are misses */
	int64_t expire_s;
	/* both as they were at the start of the resolution */
	uint64_t generation;
	uint32_t epoch;
	uint8_t status, rank;
	uint16_t rcode;
	int16_t ede;
	uint16_t user; /* the caller's own bits */
	/* names that the value depends on besides the key's (CNAME targets, signers):
	 * wire names one behind the other, `deps_len` bytes; a clear of any of them
	 * clears the entry */
	const uint8_t *deps;
	uint16_t deps_len;
};

/* In the last tenth of its life: whoever asks now may have it fetched anew. */
static inline bool cache_is_due(const struct cache_meta *m, const struct now *now)
{
	return (m->expire_s - now_wall_s(now)) * 10 <= m->expire_s - m->stored_s;
}

struct cache_conf {
	const char *run_folder; /* the segment is <run_folder>/shm/cache-v<layout> */
	size_t size;            /* bytes */
	bool existing;          /* only one that is there, whatever its size */
};

struct cache;

/* Never NULL but for lack of memory, or with `existing`: where no file can be had, a private segment serves
 * and a warning is logged. */
struct cache *cache_open(
	const struct cache_conf *conf, struct counters *counters, struct random *rnd);
void cache_close(struct cache *c);
/* Another size while all run: a new segment with the entries that fit, renamed over the
 * old one; everyone goes over to it at the next look. 0, -EINVAL, -ENOSPC, -EAGAIN
 * (another change is under way for more than 3 s), -ENODEV: it is private. Takes seconds
 * for each GB. */
int cache_resize(struct cache *c, size_t size);

/* Copy the live entry into buf (`cap` >= CACHE_VALUE_MAX recommended) and meta;
 * meta->deps points into buf's tail or is NULL. Returns the value's length, or -1: a
 * miss (none, expired, cleared, other epoch, damaged, over cap). */
int cache_get(struct cache *c, const struct cache_key *key, const struct now *now,
	struct cache_meta *meta, uint8_t *buf, size_t cap);
/* Only look: expired entries too when `stale` (serve-stale, cache show). */
int cache_peek(struct cache *c, const struct cache_key *key, const struct now *now,
	struct cache_meta *meta, uint8_t *buf, size_t cap, bool stale);
/* Of several that are about to be looked up, for each: fetch where the index tells of it into
 * the processor's cache; then, for each, what it names. So they wait for memory together. What
 * the first gives is the second's. */
uint64_t cache_ahead(const struct cache *c, const struct cache_key *key);
void cache_ahead_entry(const struct cache *c, uint64_t ahead);
/* False if not stored: too large, a live entry of higher rank or better status stands
 * there, or its generation was cleared meanwhile. Never waits. */
bool cache_put(struct cache *c, const struct cache_key *key, const struct now *now,
	const struct cache_meta *meta, const uint8_t *value, size_t len);

/* Was it cleared since `generation`? Of what has no entry of its own, and is made of others
 * that are live. */
bool cache_is_cleared(
	struct cache *c, const struct cache_key *key, uint64_t generation);

/* To be read at the start of a resolution and handed to cache_put. */
uint64_t cache_generation(const struct cache *c);
uint32_t cache_epoch(const struct cache *c);
void cache_epoch_raise(struct cache *c);

/* A secret that all instances on this segment have, one for each `which`: for keys that
 * must be equal on all of them. */
struct hash_key;
void cache_host_key(const struct cache *c, unsigned which, struct hash_key *out);

/* Forget, on all instances at once: name exactly (or with its subtree), one type or all
 * (0). False: forgotten, but it could not be noted beside the snapshot on disk (logged). */
bool cache_clear(struct cache *c, const uint8_t *name, bool subtree, uint16_t type);
bool cache_clear_all(struct cache *c);
/* Before clears are acknowledged: waits until they are on the snapshot's disk, for 100 ms at
 * most. False: it takes longer, and goes on in a child. True at once where there was none. */
bool cache_settle_clears(struct cache *c);

/* Once a second from the loop: notices a removed, replaced, resized or cut segment and
 * maps anew. */
void cache_tick(struct cache *c, const struct now *now);

struct cache_stats {
	uint64_t size, entries, bytes_used, inserts, evictions, clears;
	bool is_private;
	char path[256];
};
void cache_stats(const struct cache *c, struct cache_stats *out);
size_t cache_size(const struct cache *c, bool *is_private);
/* Walk over live entries (slow; for cache show and count): fn returns false to stop. */
void cache_walk(struct cache *c, const struct now *now,
	bool (*fn)(void *ctx, const struct cache_key *key,
		const struct cache_meta *meta, const uint8_t *value, size_t len),
	void *ctx);
