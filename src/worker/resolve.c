/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/resolve.c - the table of resolutions and the pump between iter and the world.
 *
 * Invariants of a resolution between two steps:
 * - exactly one thing will wake it: an open ask, a place in a fetch's queue (with a
 * timer), or its place in the ready queue; `wish.ask` is what it asks or waits for;
 * - owner is set: `fetch` is its lease on fetch_key; fetch is set without owner: it
 * waits there. */
#include "worker/resolve.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "wire/codes.h"

enum {
	BUCKETS = 16384, /* power of two */
	CLIENT_SLOTS =
		65536, /* counts by hashed address: a collision counts two as one */
	READY_A_TURN = 256, /* steps of the ready queue before others have their turn */
	PUMP_STEPS = 64,    /* steps of one resolution without waiting */
	FETCH_TICK_US = 50 * 1000,
	LEASE_MIN_US = 1000 * 1000,
	LEASE_MAX_US = 5000 * 1000,
	SHED_AGE_US = 500 * 1000, /* a resolution this old makes room for a new one */
};

/* What makes two questions equal. */
struct question {
	uint64_t hash;
	uint64_t domain;
	uint32_t flags;
	uint16_t type, rclass;
	bool cd, no_cache, cache_only;
	uint8_t name_len;
	uint8_t name[NAME_MAX_LEN]; /* lower case */
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
	int64_t begun_us, sent_us;
	struct timer timer; /* patience with another's fetch */

	struct fetch *fetch;
	bool owner;
	bool key_used; /* shared_key was joined once: never wait for the same thing
			  twice */
	struct fetch_key fetch_key, shared_key;

	enum pending pending;
	struct iter_event event; /* PENDING_EVENT; msg is ours */
	uint8_t *event_msg;

	struct waiter *first, **last;
	unsigned waiters;
	struct waiter *direct; /* the asker, while its call lasts */
	bool *ended;           /* for the call that must know */
	uint32_t epoch;
	bool stuck;
};

struct resolve {
	struct resolve_env env;
	struct hash_key key;
	struct fetch_table *fetches;
	struct resolution *buckets[BUCKETS];
	struct resolution *oldest, *newest;
	struct resolution *ready_first, **ready_last;
	struct timer ready_timer, tick_timer;
	size_t ready_count, in_flight, waiters, joined;
	uint16_t per_client[CLIENT_SLOTS];
};

static void pump(struct resolution *s, struct iter_event ev);

static int64_t now_us(const struct resolve *r)
{
	return loop_now(r->env.loop)->mono_us;
}

/* --- the table ------------------------------------------------------------------ */

static void question_fill(
	const struct resolve *r, struct question *out, const struct resolve_query *q)
{
	out->domain = q->iter.route.domain;
	out->flags = q->iter.route.flags;
	out->type = q->iter.type;
	out->rclass = q->iter.rclass;
	out->cd = q->iter.checking_disabled;
	out->no_cache = q->iter.no_cache;
	out->cache_only = q->cache_only;
	out->name_len = (uint8_t)name_copy_lower(out->name, q->iter.name);
	struct hash_state h;
	hash_begin(&h, &r->key);
	hash_add(&h, out->name, out->name_len);
	hash_add(&h, &out->type, sizeof(out->type));
	hash_add(&h, &out->domain, sizeof(out->domain));
	out->hash = hash_end(&h);
}

static bool question_equal(const struct question *a, const struct question *b)
{
	return a->hash == b->hash && a->type == b->type && a->rclass == b->rclass &&
	       a->cd == b->cd && a->no_cache == b->no_cache &&
	       a->cache_only == b->cache_only && a->domain == b->domain &&
	       a->flags == b->flags && a->name_len == b->name_len &&
	       memcmp(a->name, b->name, a->name_len) == 0;
}

static struct resolution *table_find(const struct resolve *r, const struct question *q)
{
	struct resolution *s = r->buckets[q->hash & (BUCKETS - 1)];
	while (s && !question_equal(&s->question, q))
		s = s->next;
	return s;
}

static void table_add(struct resolve *r, struct resolution *s)
{
	struct resolution **bucket = &r->buckets[s->question.hash & (BUCKETS - 1)];
	s->next = *bucket;
	*bucket = s;
	s->older = r->newest;
	s->newer = NULL;
	if (r->newest)
		r->newest->newer = s;
	else
		r->oldest = s;
	r->newest = s;
	r->in_flight++;
	counter_set(r->env.counters, resolutions_in_flight, r->in_flight);
}

static void table_remove(struct resolve *r, struct resolution *s)
{
	struct resolution **at = &r->buckets[s->question.hash & (BUCKETS - 1)];
	while (*at != s) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = s->next;
	*(s->older ? &s->older->newer : &r->oldest) = s->newer;
	*(s->newer ? &s->newer->older : &r->newest) = s->older;
	r->in_flight--;
	counter_set(r->env.counters, resolutions_in_flight, r->in_flight);
}

/* --- the ready queue ----------------------------------------------------------------
 */

static void ready_run(void *ctx);

static void ready_add(struct resolution *s)
{
	struct resolve *r = s->r;
	s->ready_next = NULL;
	*r->ready_last = s;
	r->ready_last = &s->ready_next;
	r->ready_count++;
	if (!loop_timer_is_set(&r->ready_timer))
		loop_timer_set(r->env.loop, &r->ready_timer, now_us(r), ready_run, r);
}

static void ready_remove(struct resolution *s)
{
	struct resolve *r = s->r;
	struct resolution **at = &r->ready_first;
	while (*at && *at != s)
		at = &(*at)->ready_next;
	if (!*at)
		return;
	*at = s->ready_next;
	r->ready_count--;
	if (r->ready_last == &s->ready_next)
		r->ready_last = at;
}

static void pending_clear(struct resolution *s)
{
	if (s->pending != PENDING_NONE)
		ready_remove(s);
	free(s->event_msg);
	s->event_msg = NULL;
	s->pending = PENDING_NONE;
}

static void pending_event(struct resolution *s, enum iter_event_kind kind, bool shared)
{
	assert(s->pending == PENDING_NONE);
	s->pending = PENDING_EVENT;
	s->event = (struct iter_event){ .kind = kind, .shared = shared };
	ready_add(s);
}

/* --- the question outstanding
 * ---------------------------------------------------------- */

static void fetch_gone(struct resolution *s)
{
	s->fetch = NULL;
	s->owner = false;
	s->r->joined--;
}

static void fetch_tick_run(void *ctx)
{
	struct resolve *r = ctx;
	fetch_tick(r->fetches, loop_now(r->env.loop));
	if (r->joined)
		loop_timer_set(r->env.loop, &r->tick_timer, now_us(r) + FETCH_TICK_US,
			fetch_tick_run, r);
}

static void fetch_taken(struct resolution *s, struct fetch *f, bool owner)
{
	struct resolve *r = s->r;
	s->fetch = f;
	s->owner = owner;
	s->fetch_key = s->wish.ask.key;
	r->joined++;
	if (!loop_timer_is_set(&r->tick_timer))
		loop_timer_set(r->env.loop, &r->tick_timer, now_us(r) + FETCH_TICK_US,
			fetch_tick_run, r);
}

/* Nothing is asked nor waited for any more; a lease that we own stays. */
static void question_end(struct resolution *s)
{
	struct resolve *r = s->r;
	if (s->ask)
		r->env.cancel(r->env.ask_ctx, s->ask);
	s->ask = NULL;
	loop_timer_clear(r->env.loop, &s->timer);
	if (s->fetch && !s->owner) {
		struct fetch *f = s->fetch;
		fetch_gone(s);
		fetch_leave(r->fetches, f);
	}
}

static void lease_end(struct resolution *s)
{
	if (!s->owner)
		return;
	struct fetch *f = s->fetch;
	fetch_gone(s);
	fetch_abandon(s->r->fetches, f, loop_now(s->r->env.loop));
}

static bool key_equal(const struct fetch_key *a, const struct fetch_key *b)
{
	return a->h[0] == b->h[0] && a->h[1] == b->h[1];
}

static void ask_event(
	void *ctx, struct ask *a, enum ask_event what, const uint8_t *msg, size_t len)
{
	static const enum iter_event_kind kinds[] = {
		[ASK_MESSAGE] = ITER_MESSAGE,
		[ASK_TIMEOUT] = ITER_TIMEOUT,
		[ASK_UNREACHABLE] = ITER_UNREACHABLE,
		[ASK_CLOSED] = ITER_CLOSED,
	};
	struct resolution *s = ctx;
	assert(s->ask == a);
	if (what != ASK_MESSAGE)
		s->ask = NULL; /* over by itself */
	pump(s, (struct iter_event){
			.kind = kinds[what],
			.msg = msg,
			.len = len,
			.rtt_us = what == ASK_MESSAGE ? now_us(s->r) - s->sent_us : 0,
		});
}

/* False: the table of asks is full, or no memory. */
static bool ask_send(struct resolution *s)
{
	const struct resolve_env *env = &s->r->env;
	const struct iter_ask *a = &s->wish.ask;
	s->sent_us = now_us(s->r);
	s->ask = env->ask(env->ask_ctx, &a->server, a->tcp, a->msg, a->len,
		a->timeout_us, ask_event, s);
	return s->ask;
}

static void patience_over(void *ctx)
{
	struct resolution *s = ctx;
	question_end(s);
	pump(s, (struct iter_event){ .kind = ITER_TIMEOUT, .shared = true });
}

static int64_t lease_us(const struct iter_ask *a)
{
	const int64_t want = 3 * a->timeout_us;
	if (want < LEASE_MIN_US)
		return LEASE_MIN_US;
	return want > LEASE_MAX_US ? LEASE_MAX_US : want;
}

enum joined { JOINED_ASK, JOINED_WAIT, JOINED_RESULT };

/* Find out whether somebody asks the same already. */
static enum joined fetch_try(struct resolution *s, struct iter_event *ev)
{
	struct resolve *r = s->r;
	const struct iter_ask *a = &s->wish.ask;
	if (s->owner && !(a->joinable && key_equal(&a->key, &s->fetch_key)))
		lease_end(s);
	if (!a->joinable || s->owner ||
		(s->key_used && key_equal(&a->key, &s->shared_key)))
		return JOINED_ASK;

	struct fetch *f = NULL;
	const uint8_t *pkt = NULL;
	size_t len = 0;
	const struct now *now = loop_now(r->env.loop);
	switch (fetch_join(r->fetches, &a->key, now, lease_us(a), s, &f, &pkt, &len)) {
	case FETCH_OWNER:
		fetch_taken(s, f, true);
		return JOINED_ASK;
	case FETCH_WAITER:
		fetch_taken(s, f, false);
		s->key_used = true;
		s->shared_key = a->key;
		counter_up(r->env.counters, upstream_joined);
		loop_timer_set(r->env.loop, &s->timer, now->mono_us + lease_us(a),
			patience_over, s);
		return JOINED_WAIT;
	case FETCH_RESULT:
		s->key_used = true;
		s->shared_key = a->key;
		counter_up(r->env.counters, upstream_joined);
		*ev = (struct iter_event){
			.kind = ITER_MESSAGE, .shared = true, .msg = pkt, .len = len
		};
		return JOINED_RESULT;
	case FETCH_ALONE:
		break;
	}
	return JOINED_ASK;
}

/* --- the end
 * ---------------------------------------------------------------------------- */

static uint64_t client_hash(const struct resolve *r, const struct client *c)
{
	return hash_sip13(&r->key, c->peer.from.ip, sizeof(c->peer.from.ip));
}

static uint16_t *client_count(struct resolve *r, const struct waiter *w)
{
	return &r->per_client[client_hash(r, &w->client) & (CLIENT_SLOTS - 1)];
}

static void tell(
	struct resolve *r, struct waiter *w, const struct resolve_result *result)
{
	if (w->done)
		w->done(w->ctx, result);
	else
		r->env.answer(r->env.ctx, w, result);
}

static void resolution_free(struct resolution *s)
{
	question_end(s);
	lease_end(s);
	pending_clear(s);
	iter_free(s->iter);
	free(s);
}

/* Tells everyone; `s` is gone afterwards. */
static void finish(struct resolution *s, const struct iter_answer *answer)
{
	struct resolve *r = s->r;
	question_end(s);
	lease_end(s);
	table_remove(r, s);
	const struct resolve_result result = {
		.answer = answer,
		.generation = iter_generation(s->iter),
		.epoch = s->epoch,
		.domain = s->question.domain,
		.type = s->question.type,
		.rclass = s->question.rclass,
	};
	if (s->ended)
		*s->ended = true;
	if (s->direct)
		tell(r, s->direct, &result);
	while (s->first) {
		struct waiter *w = s->first;
		s->first = w->next;
		if (!w->done) {
			--*client_count(r, w);
			r->waiters--;
		}
		tell(r, w, &result);
		free(w);
	}
	resolution_free(s);
}

static void finish_failed(struct resolution *s, int ede, const char *text)
{
	const struct iter_answer failed = {
		.rcode = RCODE_SERVFAIL, .ede = ede, .ede_text = text
	};
	finish(s, &failed);
}

/* --- the pump
 * ------------------------------------------------------------------------------ */

/* Carry out ITER_ASK. True: `ev` says how it went already. */
static bool ask_begin(struct resolution *s, struct iter_event *ev)
{
	question_end(s);
	switch (fetch_try(s, ev)) {
	case JOINED_WAIT:
		return false;
	case JOINED_RESULT:
		return true;
	case JOINED_ASK:
		break;
	}
	if (ask_send(s))
		return false;
	*ev = (struct iter_event){ .kind = ITER_UNREACHABLE };
	return true;
}

/* Waiting without anything to wait for: another's answer that did not fit. True: go on
 * with `ev`. */
static bool wait_check(struct resolution *s, struct iter_event *ev)
{
	if (s->ask || (s->fetch && !s->owner))
		return false;
	if (s->stuck) {
		char where[512];
		log_error(WORKER, "resolution waits for nothing: %s",
			iter_where(s->iter, where));
		finish_failed(s, EDE_OTHER, "internal error");
		return false;
	}
	s->stuck = true;
	*ev = (struct iter_event){ .kind = ITER_TIMEOUT, .shared = true };
	return true;
}

/* One step. True: the next event is in `ev`; false: `s` waits, or is gone. */
static bool pump_step(struct resolution *s, struct iter_event *ev)
{
	struct resolve *r = s->r;
	iter_step(s->iter, ev, loop_now(r->env.loop), &s->wish);
	if (s->wish.accepted && !ev->shared && s->owner) {
		struct fetch *f = s->fetch;
		fetch_gone(s);
		fetch_publish(r->fetches, f, loop_now(r->env.loop), ev->msg, ev->len);
	}
	switch (s->wish.want) {
	case ITER_WAIT:
		return wait_check(s, ev);
	case ITER_ASK:
		s->stuck = false;
		if (s->question.cache_only) {
			finish_failed(s, EDE_NOT_AUTHORITATIVE, "not in the cache");
			return false;
		}
		return ask_begin(s, ev);
	case ITER_AGAIN:
		question_end(s);
		pending_event(s, ITER_CONTINUE, false);
		return false;
	case ITER_DONE:
		finish(s, iter_answer(s->iter));
		return false;
	}
	return false;
}

static void pump(struct resolution *s, struct iter_event ev)
{
	for (unsigned i = 0; i < PUMP_STEPS; i++)
		if (!pump_step(s, &ev))
			return;
	/* failing at once again and again: let others have their turn */
	if (ev.kind == ITER_MESSAGE)
		ev.kind = ITER_TIMEOUT;
	pending_event(s, ev.kind, ev.shared);
}

static void ready_step(struct resolution *s)
{
	const enum pending what = s->pending;
	s->pending = PENDING_NONE;
	if (what == PENDING_TAKE_OVER) {
		if (!ask_send(s))
			pump(s, (struct iter_event){ .kind = ITER_UNREACHABLE });
		return;
	}
	/* pump() may free s, and the message must outlive the step */
	uint8_t *msg = s->event_msg;
	s->event_msg = NULL;
	pump(s, s->event);
	free(msg);
}

static void ready_run(void *ctx)
{
	struct resolve *r = ctx;
	/* who comes meanwhile comes in the next turn */
	size_t left = r->ready_count < READY_A_TURN ? r->ready_count : READY_A_TURN;
	for (; left && r->ready_first; left--) {
		struct resolution *s = r->ready_first;
		r->ready_count--;
		r->ready_first = s->ready_next;
		if (!r->ready_first)
			r->ready_last = &r->ready_first;
		ready_step(s);
	}
	if (r->ready_first)
		loop_timer_set(r->env.loop, &r->ready_timer, now_us(r), ready_run, r);
}

/* From inside fetch_publish, fetch_abandon or fetch_tick: only note it. */
static void fetch_woken(
	void *ctx, void *waiter, enum fetch_wake what, const uint8_t *pkt, size_t len)
{
	struct resolve *r = ctx;
	struct resolution *s = waiter;
	loop_timer_clear(r->env.loop, &s->timer);
	assert(s->pending == PENDING_NONE);
	if (what == FETCH_WAKE_TAKE_OVER) {
		s->owner = true;
		s->pending = PENDING_TAKE_OVER;
		ready_add(s);
		return;
	}
	fetch_gone(s);
	s->event_msg = malloc(len ? len : 1);
	pending_event(s, s->event_msg ? ITER_MESSAGE : ITER_TIMEOUT, true);
	if (s->event_msg) {
		if (len)
			memcpy(s->event_msg, pkt, len);
		s->event.msg = s->event_msg;
		s->event.len = len;
	}
}

/* --- for the server
 * ------------------------------------------------------------------------- */

/* The waiter's own copy at the end of the queue. False: a limit or no memory. */
static bool waiter_add(struct resolution *s, const struct waiter *w)
{
	struct resolve *r = s->r;
	uint16_t *count = client_count(r, w);
	if (!w->done &&
		(r->waiters >= LIMIT_WAITERS || *count >= LIMIT_WAITERS_PER_CLIENT))
		return false;
	if (s->waiters >= LIMIT_WAITERS_PER_QUERY)
		return false;
	struct waiter *own = malloc(sizeof(*own));
	if (!own)
		return false;
	*own = *w;
	own->next = NULL;
	own->slot = NULL;
	own->q.name = own->name;
	*s->last = own;
	s->last = &own->next;
	s->waiters++;
	if (!w->done) {
		++*count;
		r->waiters++;
	}
	return true;
}

/* A table full of slow resolutions must not keep new ones out. */
static bool make_room(struct resolve *r)
{
	if (r->in_flight < LIMIT_QUERIES_IN_FLIGHT)
		return true;
	struct resolution *s = r->oldest;
	if (now_us(r) - s->begun_us < SHED_AGE_US)
		return false;
	counter_up(r->env.counters, queries_shed);
	finish_failed(s, EDE_OTHER, "too many queries under way");
	return true;
}

static struct resolution *resolution_new(
	struct resolve *r, const struct resolve_query *q)
{
	struct resolution *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->iter = iter_new(&r->env.iter, &q->iter, loop_now(r->env.loop));
	if (!s->iter) {
		free(s);
		return NULL;
	}
	s->r = r;
	s->last = &s->first;
	s->begun_us = now_us(r);
	s->epoch = cache_epoch(r->env.iter.cache);
	return s;
}

enum resolve_outcome resolve_ask(
	struct resolve *r, const struct resolve_query *q, struct waiter *w)
{
	struct question question;
	question_fill(r, &question, q);
	struct resolution *s = table_find(r, &question);
	if (s) {
		if (!waiter_add(s, w))
			return RESOLVE_BUSY;
		counter_up(r->env.counters, queries_joined);
		return RESOLVE_LATER;
	}
	if (!make_room(r))
		return RESOLVE_BUSY;
	s = resolution_new(r, q);
	if (!s)
		return RESOLVE_BUSY;
	s->question = question;
	table_add(r, s);

	bool ended = false;
	s->ended = &ended;
	s->direct = w;
	pump(s, (struct iter_event){ .kind = ITER_START });
	if (ended)
		return RESOLVE_DONE;
	s->ended = NULL;
	s->direct = NULL;
	if (waiter_add(s, w))
		return RESOLVE_LATER;
	table_remove(r, s);
	resolution_free(s);
	return RESOLVE_BUSY;
}

void resolve_give_up(struct resolve *r, int ede, const char *text)
{
	while (r->oldest) {
		struct resolution *s = r->oldest;
		finish_failed(s, ede, text);
		assert(r->oldest != s);
	}
}

size_t resolve_in_flight(const struct resolve *r)
{
	return r->in_flight;
}

size_t resolve_waiting(const struct resolve *r)
{
	return r->waiters;
}

struct resolve *resolve_new(const struct resolve_env *env)
{
	struct resolve *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->env = *env;
	r->ready_last = &r->ready_first;
	random_fill(env->random, &r->key, sizeof(r->key));
	r->fetches = fetch_table_new(LIMIT_QUERIES_IN_FLIGHT, fetch_woken, r);
	if (!r->fetches) {
		free(r);
		return NULL;
	}
	return r;
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	while (r->oldest) {
		struct resolution *s = r->oldest;
		table_remove(r, s);
		while (s->first) {
			struct waiter *w = s->first;
			s->first = w->next;
			free(w);
		}
		resolution_free(s);
		assert(r->oldest != s);
	}
	loop_timer_clear(r->env.loop, &r->ready_timer);
	loop_timer_clear(r->env.loop, &r->tick_timer);
	fetch_table_free(r->fetches);
	free(r);
}
