/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/state.h - struct cache, for the files that make the cache together: segment.c
 * (which file is ours), judge.c (keys, what may be handed out), stay.c (what is kept),
 * cache.c (reading, writing, clearing), look.c (walks). */
#pragma once

#include "base/chore.h"
#include "cache/cache.h"
#include "cache/clear.h"
#include "cache/entry.h"
#include "cache/internal.h"
#include "cache/shared.h"
#include "cache/snapshot.h"
#include "shm/shm.h"
#include "wire/name.h"

struct cache {
	struct shm shm;
	struct shared shared;
	struct clear_index clear;
	struct counters *counters;
	struct random *rnd;
	char folder[200];
	size_t want_size;
	bool is_private, is_new, existing;
	bool reserved;   /* all of its blocks, at the last look */
	bool wants_huge; /* reserved by us, just now: its pages may grow */
	struct chore reserver, grower, syncer;
	char unsynced
		[SNAPSHOT_FOLDER]; /* where the list of clears is not yet on disk */
	int lock; /* held while another file may take the place of ours; -1 */
	int64_t retry_mono_us, remap_us;
	uint32_t last_epoch; /* in case the word is damaged */
	/* Hashes of what this instance read, a bit each, in this half round of MAIN and
	 * the one before: readers write nothing shared, so each keeps its own memory of
	 * what is in use. */
	uint64_t *seen[2];
	uint64_t seen_bits, seen_half_lap;
	union entry copy; /* what the last look-up found */
	union entry build;
	union entry victim;
};

/* --- segment.c --------------------------------------------------- */

/* Our file was replaced: go over to its successor. False: there is none yet. */
bool segment_follow(struct cache *c, const struct now *now);

/* Nobody else has it open now. */
bool cache_alone(struct cache *c);
/* True: nobody else has it open, and it stays open. False: let go of, for good. */
bool cache_leave(struct cache *c);

/* Before anything is read or written. False: everything is a miss now. A segment that
 * another one takes the place of is no longer cleared by anyone. Keys hash the same in a
 * successor, or all of it is new. */
static inline bool segment_usable(struct cache *c, const struct now *now)
{
	return __builtin_expect(!shm_replaced(&c->shm), 1) || segment_follow(c, now);
}

/* --- judge.c ----------------------------------------------------- */

/* A key as it is hashed and compared: by words, zeros behind the name. No wire name is the
 * beginning of another, so the zeros do not make two names equal. */
struct lookup {
	uint64_t hash;
	struct {
		uint64_t domain;
		union {
			struct {
				uint16_t type, rclass;
				uint8_t kind, flags, name_len, zero;
			};
			uint64_t first;
		};
		union {
			uint8_t name[NAME_MAX_LEN];
			uint64_t words[(NAME_MAX_LEN + 7) / 8];
		};
	} k;
};

enum verdict { VERDICT_LIVE, VERDICT_EXPIRED, VERDICT_DEAD, VERDICT_CLEARED };

void lookup_init(struct lookup *l, const struct cache *c, const struct cache_key *key);
bool lookup_is(const struct lookup *l, const union entry *e);
/* Into c->copy. False: there is none; `where` may then be a damaged slot that may have
 * been it. */
bool lookup_find(struct cache *c, const struct lookup *l, struct shared_found *where);
/* Of two entries with one key, in whichever slots two writers put them, all take the same
 * for the newer. */
uint64_t judge_newness(const union entry *e);
struct cache_key judge_key(const union entry *e);
uint32_t judge_epoch(struct cache *c);
bool judge_deps(const uint8_t *deps, size_t len);
enum verdict judge(struct cache *c, const union entry *e, const struct now *now);

/* --- stay.c ------------------------------------------------------ */

void stay_start(struct cache *c); /* with each new segment */
void stay_free(struct cache *c);
/* A look-up is under way that may end in stay_read. */
void stay_prefetch(const struct cache *c, uint64_t hash);
/* c->copy was read. */
void stay_read(struct cache *c, const struct lookup *l, const struct shared_found *at,
	const struct now *now);
/* What an answer in use rests on is in use. False: it should be read by itself, so that it
 * moves. */
bool stay_part(struct cache *c, uint64_t ref, uint64_t hash);
/* Before `size` bytes go into MAIN: what they would be written over, and was read here
 * lately, is written again first. */
void stay_rescue(struct cache *c, size_t size, const struct now *now);
/* Where a key goes; `old`: what the index has, or had, of it. */
enum shared_region stay_region(
	const struct cache *c, const struct lookup *l, struct shared_found *old);
