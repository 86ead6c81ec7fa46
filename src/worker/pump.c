/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/pump.c - between a resolution's wishes and the world: its steps, asks, joined
 * fetches, the ready queue. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "wire/codes.h"
#include "worker/poison.h"
#include "worker/resolution.h"

enum {
	READY_A_TURN = 256, /* steps of the ready queue before others have their turn */
	READY_US = 100,     /* and time: all costly work is done here (iter_may_work) */
	PUMP_STEPS = 64,    /* steps of one resolution without waiting */
	FETCH_TICK_US = 50 * 1000,
	LEASE_MIN_US = 1000 * 1000,
	ALONE_US = 2000 * 1000, /* of the time: what is left for asking alone */
	LEASE_MAX_US = 5000 * 1000,
	JUDGE_US =
		800 *
		1000, /* less than a lease: so long validation keeps others waiting */
};

/* --- the ready queue ----------------------------------------------------- */

static void ready_run(void *ctx);

static void ready_add(struct resolution *s)
{
	struct resolve *r = s->r;
	s->ready_next = NULL;
	*r->ready_last = s;
	r->ready_last = &s->ready_next;
	r->ready_count++;
	if (!loop_timer_is_set(&r->ready_timer))
		loop_timer_set(
			r->env.loop, &r->ready_timer, resolve_now_us(r), ready_run, r);
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

/* --- the question outstanding ----------------------------------------------------- */

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
		loop_timer_set(r->env.loop, &r->tick_timer,
			resolve_now_us(r) + FETCH_TICK_US, fetch_tick_run, r);
}

static void fetch_taken(struct resolution *s, struct fetch *f, bool owner)
{
	struct resolve *r = s->r;
	s->fetch = f;
	s->owner = owner;
	s->fetch_key = s->wish.ask.key;
	r->joined++;
	if (!loop_timer_is_set(&r->tick_timer))
		loop_timer_set(r->env.loop, &r->tick_timer,
			resolve_now_us(r) + FETCH_TICK_US, fetch_tick_run, r);
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

/* --- accepted, not judged yet -------------------------------------------------------- */

static void publish(
	struct resolution *s, struct fetch *f, const uint8_t *msg, size_t len)
{
	struct resolve *r = s->r;
	r->joined--;
	fetch_publish(r->fetches, f, loop_now(r->env.loop), msg, len);
}

/* Those that are judged by now, or `all`. */
static void unjudged_publish(struct resolution *s, bool all)
{
	struct unjudged **at = &s->unjudged;
	while (*at) {
		struct unjudged *u = *at;
		if (!all && iter_is_judging(s->iter, u->reply)) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		publish(s, u->fetch, u->msg, u->len);
		free(u);
	}
	if (!s->unjudged)
		loop_timer_clear(s->r->env.loop, &s->judge_timer);
}

static void judging_takes_long(void *ctx)
{
	unjudged_publish(ctx, true);
}

/* The owner's reply was accepted: to those who wait, now or once it is judged. */
static void accepted(struct resolution *s, const struct iter_event *ev)
{
	struct resolve *r = s->r;
	struct fetch *f = s->fetch;
	const bool waits = iter_is_judging(s->iter, s->wish.reply) &&
			   fetch_owns(r->fetches, f, loop_now(r->env.loop));
	struct unjudged *u = waits ? malloc(sizeof(*u) + ev->len) : NULL;
	s->fetch = NULL;
	s->owner = false;
	if (!u) {
		publish(s, f, ev->msg, ev->len);
		return;
	}
	*u = (struct unjudged){ s->unjudged, f, s->wish.reply, ev->len };
	memcpy(u->msg, ev->msg, ev->len);
	s->unjudged = u;
	if (!loop_timer_is_set(&s->judge_timer))
		loop_timer_set(r->env.loop, &s->judge_timer,
			resolve_now_us(r) + JUDGE_US, judging_takes_long, s);
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
		[ASK_UNTRUSTED] = ITER_UNTRUSTED,
		[ASK_CLOSED] = ITER_CLOSED,
	};
	struct resolution *s = ctx;
	assert(s->ask == a);
	if (what != ASK_MESSAGE)
		s->ask = NULL; /* over by itself */
	struct iter_event ev = { .kind = kinds[what], .msg = msg, .len = len };
	if (what == ASK_MESSAGE) {
		ev.rtt_us = resolve_now_us(s->r) - s->sent_us;
		ev.first_us = resolve_now_us(s->r) - s->first_us;
	}
	pump_run(s, ev);
}

/* False: the table of asks is full, or no memory. */
static bool ask_send(struct resolution *s)
{
	const struct resolve_env *env = &s->r->env;
	const struct iter_ask *a = &s->wish.ask;
	s->sent_us = resolve_now_us(s->r);
	if (!a->again)
		s->first_us = s->sent_us;
	s->ask = env->ask(env->ask_ctx, a, ask_event, s);
	return s->ask;
}

static void patience_over(void *ctx)
{
	struct resolution *s = ctx;
	question_end(s);
	pump_run(s, (struct iter_event){ .kind = ITER_TIMEOUT, .shared = true });
}

static int64_t lease_us(const struct iter_ask *a)
{
	const int64_t want = 3 * a->timeout_us;
	if (want < LEASE_MIN_US)
		return LEASE_MIN_US;
	return want > LEASE_MAX_US ? LEASE_MAX_US : want;
}

/* Until when another's fetch is waited for, as long as its owner lives (if not, we take it
 * over): until little is left of the question's own time. Instances that ask beside a slow
 * owner would give an attacker as many equal questions to guess at. */
static int64_t patience_end(const struct resolution *s, int64_t now_us)
{
	const int64_t end_us = s->begun_us + LIMIT_QUERY_TIME_MS * INT64_C(1000);
	const int64_t lease_end_us = now_us + lease_us(&s->wish.ask);
	if (lease_end_us < end_us - ALONE_US)
		return end_us - ALONE_US;
	return lease_end_us < end_us ? lease_end_us : end_us;
}

enum joined { JOINED_ASK, JOINED_WAIT, JOINED_RESULT };

/* Find out whether somebody asks the same already. */
static enum joined fetch_try(struct resolution *s, struct iter_event *ev)
{
	struct resolve *r = s->r;
	const struct iter_ask *a = &s->wish.ask;
	const struct now *now = loop_now(r->env.loop);
	if (s->owner && !(a->joinable && key_equal(&a->key, &s->fetch_key) &&
				fetch_owns(r->fetches, s->fetch, now)))
		lease_end(s);
	if (!a->joinable || s->owner ||
		(s->key_used && key_equal(&a->key, &s->shared_key)))
		return JOINED_ASK;

	struct fetch *f = NULL;
	const uint8_t *pkt = NULL;
	size_t len = 0;
	switch (fetch_join(r->fetches, &a->key, now, lease_us(a), s, &f, &pkt, &len)) {
	case FETCH_OWNER:
		fetch_taken(s, f, true);
		return JOINED_ASK;
	case FETCH_WAITER:
		fetch_taken(s, f, false);
		s->key_used = true;
		s->shared_key = a->key;
		counter_up(r->env.counters, upstream_joined);
		loop_timer_set(r->env.loop, &s->timer, patience_end(s, now->mono_us),
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

/* --- the pump --------------------------------------------------------------------- */

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
		resolution_fail(s, EDE_OTHER, "internal error");
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
	if (s->unjudged)
		unjudged_publish(s, false);
	if (s->wish.accepted && !ev->shared && s->owner)
		accepted(s, ev);
	switch (s->wish.want) {
	case ITER_WAIT:
		return wait_check(s, ev);
	case ITER_ASK:
		s->stuck = false;
		if (s->question.cache_only) {
			resolution_fail(s, EDE_NOT_AUTHORITATIVE, "not in the cache");
			return false;
		}
		if (s->no_room) {
			counter_up(r->env.counters, queries_shed);
			resolution_fail(s, EDE_OTHER, "too many queries under way");
			return false;
		}
		return ask_begin(s, ev);
	case ITER_AGAIN:
		question_end(s);
		pending_event(s, ITER_CONTINUE, false);
		return false;
	case ITER_DONE:
		resolution_done(s);
		return false;
	}
	return false;
}

static bool pump_steps(struct resolution *s, struct iter_event *ev)
{
	for (unsigned i = 0; i < PUMP_STEPS; i++)
		if (!pump_step(s, ev))
			return false; /* s may be gone */
	return true;
}

void pump_run(struct resolution *s, struct iter_event ev)
{
	const struct question *q = &s->question;
	const struct poison_mark before = poison_begin(q->name, q->type, q->rclass);
	const bool more = pump_steps(s, &ev);
	poison_end(before);
	if (!more)
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
			pump_run(s, (struct iter_event){ .kind = ITER_UNREACHABLE });
		return;
	}
	/* pump() may free s, and the message must outlive the step */
	uint8_t *msg = s->event_msg;
	s->event_msg = NULL;
	pump_run(s, s->event);
	free(msg);
}

static void ready_run(void *ctx)
{
	struct resolve *r = ctx;
	/* who comes meanwhile comes in the next turn */
	size_t left = r->ready_count < READY_A_TURN ? r->ready_count : READY_A_TURN;
	const int64_t end_us = clock_read().mono_us + READY_US;
	const int64_t cpu_us = clock_cpu_us();
	for (; left && r->ready_first; left--) {
		struct resolution *s = r->ready_first;
		r->ready_count--;
		r->ready_first = s->ready_next;
		if (!r->ready_first)
			r->ready_last = &r->ready_first;
		ready_step(s);
		if (clock_read().mono_us >= end_us)
			break;
	}
	const uint64_t used_us = (uint64_t)(clock_cpu_us() - cpu_us);
	if (used_us > r->env.counters->dnssec_longest_cpu_us)
		counter_set(r->env.counters, dnssec_longest_cpu_us, used_us);
	if (r->ready_first)
		loop_timer_set(
			r->env.loop, &r->ready_timer, resolve_now_us(r), ready_run, r);
}

/* From inside fetch_publish, fetch_abandon or fetch_tick: only note it. */
void pump_woken(
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

void pump_drop(struct resolution *s)
{
	question_end(s);
	lease_end(s);
	unjudged_publish(s, true);
	pending_clear(s);
}
