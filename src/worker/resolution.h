/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/resolution.h - inside worker: one resolution, shared by the table (resolve.c)
 * and the pump (pump.c).
 *
 * Invariants between two steps:
 * - exactly one thing will wake it: an open ask, a place in a fetch's queue (with a
 *   timer), or its place in the ready queue; `wish.ask` is what it asks or waits for;
 * - owner is set: `fetch` is its lease on fetch_key; fetch is set without owner: it
 *   waits there;
 * - `unjudged` are leases too, which end with their judgement, with the resolution, or
 *   by judge_timer: so two that wait for each other's do not wait for long. */
#pragma once

#include "base/hash.h"
#include "worker/resolve.h"

enum {
	RESOLVE_BUCKETS = 16384, /* power of two */
	/* counts by hashed address: a collision counts two as one */
	RESOLVE_CLIENT_SLOTS = 65536,
};

/* What makes two questions equal. */
struct question {
	uint64_t hash;
	uint64_t domain;
	uint32_t flags;
	uint16_t type, rclass;
	bool cd, as_is, no_cache, cache_only, refresh;
	uint64_t generation; /* who comes after a clear must not get what was before */
	uint8_t name_len;
	uint8_t name[NAME_MAX_LEN]; /* lower case */
};

/* A lease on what was accepted but is not judged yet: those who wait for it get it when
 * its RRsets lie in the cache as what they are, so one of the host checks them. */
struct unjudged {
	struct unjudged *next;
	struct fetch *fetch;
	unsigned reply; /* its number */
	size_t len;
	uint8_t msg[];
};

enum pending { PENDING_NONE, PENDING_EVENT, PENDING_TAKE_OVER };

struct resolution {
	struct resolve *r;
	struct resolution *next;          /* in the bucket */
	struct resolution *older, *newer; /* by start */
	struct resolution *ready_next;
	struct question question;
	struct iter *iter;
	struct iter_wish wish;
	struct ask *ask;
	int64_t begun_us, sent_us, first_us;
	struct timer timer; /* patience with another's fetch */

	struct fetch *fetch;
	bool owner;
	bool key_used; /* shared_key was joined once: never wait for the same thing
			  twice */
	struct fetch_key fetch_key, shared_key;
	struct unjudged *unjudged;
	struct timer judge_timer;

	enum pending pending;
	struct iter_event event; /* PENDING_EVENT; msg is ours */
	uint8_t *event_msg;

	struct waiter *first, **last;
	unsigned waiters;
	struct waiter *direct;     /* the asker, while its call lasts */
	bool no_room;              /* its asker may not wait: nothing is asked for it */
	struct iter_answer answer; /* once finished */
	struct resolution *telling_next; /* finished; not all who wait were told yet */
	bool *ended;                     /* for the call that must know */
	uint32_t epoch;
	bool stuck;

	struct route route;
	struct timer stale_timer; /* how long clients wait where stale data is */
	bool stale_told;          /* they had that: later ones do not wait */
};

struct resolve {
	struct resolve_env env;
	struct hash_key key;
	struct fetch_table *fetches;
	struct resolution *buckets[RESOLVE_BUCKETS];
	struct resolution *oldest, *newest;
	struct resolution *ready_first, **ready_last;
	struct resolution *telling_first, **telling_last;
	struct timer ready_timer, tick_timer, tell_timer;
	struct watch fetch_watch; /* other instances' wakes */
	size_t ready_count, in_flight, waiters, joined;
	uint16_t per_client[RESOLVE_CLIENT_SLOTS];
};

static inline int64_t resolve_now_us(const struct resolve *r)
{
	return loop_now(r->env.loop)->mono_us;
}

/* pump.c: step `s` with this event and carry out what it wants, until it waits or is
 * gone. */
void pump_run(struct resolution *s, struct iter_event ev);
/* Nothing is asked, waited for, owned or queued any more. */
void pump_drop(struct resolution *s);
/* fetch_table_new's wake: only notes it. */
void pump_woken(
	void *ctx, void *waiter, enum fetch_wake what, const uint8_t *pkt, size_t len);

/* stale.c: may expired data stand in for this failure? */
bool stale_helps(const struct resolution *s, const struct iter_answer *failed);
/* A finished resolution of the same question from the cache alone, expired data too; to
 * be freed. NULL: there is none, or it is not wanted. */
struct iter *stale_find(const struct resolution *s);

/* resolve.c: tells everyone who waits, a crowd over several turns; `s` is not the
 * caller's any more. */
void resolution_finish(struct resolution *s, const struct iter_answer *answer);
/* As it ended by itself: instead of a failure, stale data if there is. */
void resolution_done(struct resolution *s);
void resolution_fail(struct resolution *s, int ede, const char *text);
