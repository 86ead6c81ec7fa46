/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/resolve.c - the table of resolutions and those who wait for them. */
#include "worker/resolve.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "wire/codes.h"
#include "worker/resolution.h"

enum {
	SHED_AGE_US = 500 * 1000, /* a resolution this old makes room for a new one */
	TELL_AT_ONCE = 8,         /* of those who wait for one answer */
	TELL_A_TURN = 16,         /* and then of all */
};

/* --- the table ------------------------------------------------------------------ */

static void question_fill(
	const struct resolve *r, struct question *out, const struct resolve_query *q)
{
	out->domain = q->iter.route.domain;
	out->flags = q->iter.route.flags;
	out->type = q->iter.type;
	out->rclass = q->iter.rclass;
	out->cd = q->iter.checking_disabled;
	out->as_is = q->iter.as_is;
	out->no_cache = q->iter.no_cache;
	out->cache_only = q->cache_only;
	out->refresh = q->iter.refresh;
	out->generation = cache_generation(r->env.iter.cache);
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
	       a->cd == b->cd && a->as_is == b->as_is && a->no_cache == b->no_cache &&
	       a->cache_only == b->cache_only && a->refresh == b->refresh &&
	       a->generation == b->generation && a->domain == b->domain &&
	       a->flags == b->flags && a->name_len == b->name_len &&
	       memcmp(a->name, b->name, a->name_len) == 0;
}

static struct resolution *table_find(const struct resolve *r, const struct question *q)
{
	struct resolution *s = r->buckets[q->hash & (RESOLVE_BUCKETS - 1)];
	while (s && !question_equal(&s->question, q))
		s = s->next;
	return s;
}

static void table_add(struct resolve *r, struct resolution *s)
{
	struct resolution **bucket =
		&r->buckets[s->question.hash & (RESOLVE_BUCKETS - 1)];
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
	struct resolution **at = &r->buckets[s->question.hash & (RESOLVE_BUCKETS - 1)];
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

/* --- the end ---------------------------------------------------------------------- */

static uint64_t client_hash(const struct resolve *r, const struct client *c)
{
	return hash_sip13(&r->key, c->from.ip, sizeof(c->from.ip));
}

static uint16_t *client_count(struct resolve *r, const struct waiter *w)
{
	return &r->per_client[client_hash(r, &w->client) & (RESOLVE_CLIENT_SLOTS - 1)];
}

static void tell(
	struct resolve *r, struct waiter *w, const struct resolve_result *result)
{
	if (w->done)
		w->done(w->ctx, result);
	else
		r->env.answer(r->env.ctx, w, result);
}

static struct resolve_result result_of(const struct resolution *s)
{
	return (struct resolve_result){
		.answer = &s->answer,
		.generation = iter_generation(s->iter),
		.epoch = s->epoch,
		.domain = s->question.domain,
		.type = s->question.type,
		.rclass = s->question.rclass,
	};
}

static void resolution_free(struct resolution *s)
{
	pump_drop(s);
	loop_timer_clear(s->r->env.loop, &s->stale_timer);
	iter_free(s->iter);
	free(s);
}

/* False: `left` are told, more wait. */
static bool tell_waiters(struct resolution *s, unsigned *left)
{
	struct resolve *r = s->r;
	const struct resolve_result result = result_of(s);
	for (; *left && s->first; --*left) {
		struct waiter *w = s->first;
		s->first = w->next;
		if (!w->done) {
			--*client_count(r, w);
			r->waiters--;
		}
		tell(r, w, &result);
		free(w);
	}
	return !s->first;
}

static void tell_more(struct resolve *r, unsigned left)
{
	while (r->telling_first) {
		struct resolution *s = r->telling_first;
		if (!tell_waiters(s, &left))
			return;
		r->telling_first = s->telling_next;
		if (!r->telling_first)
			r->telling_last = &r->telling_first;
		resolution_free(s);
	}
}

static void tell_run(void *ctx)
{
	struct resolve *r = ctx;
	tell_more(r, TELL_A_TURN);
	if (r->telling_first)
		loop_timer_set(
			r->env.loop, &r->tell_timer, resolve_now_us(r), tell_run, r);
}

/* A thousand who wait for 60 KB each must not hold the loop. */
static void tell_later(struct resolution *s)
{
	struct resolve *r = s->r;
	s->telling_next = NULL;
	*r->telling_last = s;
	r->telling_last = &s->telling_next;
	if (!loop_timer_is_set(&r->tell_timer))
		loop_timer_set(
			r->env.loop, &r->tell_timer, resolve_now_us(r), tell_run, r);
}

void resolution_finish(struct resolution *s, const struct iter_answer *answer)
{
	struct resolve *r = s->r;
	unsigned left = TELL_AT_ONCE;
	pump_drop(s);
	table_remove(r, s);
	/* who is told in a later turn gets this answer, not the stale one */
	loop_timer_clear(r->env.loop, &s->stale_timer);
	s->answer = *answer;
	if (s->ended)
		*s->ended = true;
	if (s->direct) {
		const struct resolve_result result = result_of(s);
		tell(r, s->direct, &result);
	}
	if (tell_waiters(s, &left))
		resolution_free(s);
	else
		tell_later(s);
}

void resolution_done(struct resolution *s)
{
	struct iter *stale =
		stale_helps(s, iter_answer(s->iter)) ? stale_find(s) : NULL;
	if (stale) {
		iter_free(s->iter);
		s->iter = stale;
	}
	resolution_finish(s, iter_answer(s->iter));
}

void resolution_fail(struct resolution *s, int ede, const char *text)
{
	const struct iter_answer failed = {
		.rcode = RCODE_SERVFAIL, .ede = ede, .ede_text = text
	};
	resolution_finish(s, &failed);
}

/* --- for the server --------------------------------------------------------------- */

static bool may_wait(struct resolve *r, const struct waiter *w)
{
	return w->done || (r->waiters < LIMIT_WAITERS &&
				  *client_count(r, w) < LIMIT_WAITERS_PER_CLIENT);
}

/* The waiter's own copy at the end of the queue. False: a limit or no memory. */
static bool waiter_add(struct resolution *s, const struct waiter *w)
{
	struct resolve *r = s->r;
	if (!may_wait(r, w) || s->waiters >= LIMIT_WAITERS_PER_QUERY)
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
		++*client_count(r, w);
		r->waiters++;
	}
	return true;
}

/* Those who wait go over to `to`; internal ones stay, they want what is fresh. */
static void move_clients(struct resolution *s, struct resolution *to)
{
	struct waiter **at = &s->first;
	while (*at) {
		struct waiter *w = *at;
		if (w->done) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = NULL;
		s->waiters--;
		*to->last = w;
		to->last = &w->next;
	}
	s->last = at;
}

/* Clients need not wait longer; the resolution goes on, for the cache. They are told by
 * a finished one of their own. */
static void stale_due(void *ctx)
{
	struct resolution *s = ctx;
	struct iter *stale = stale_find(s);
	struct resolution *told = stale ? calloc(1, sizeof(*told)) : NULL;
	if (!told) {
		iter_free(stale);
		return;
	}
	s->stale_told = true;
	told->r = s->r;
	told->iter = stale;
	told->question = s->question;
	told->epoch = s->epoch;
	told->last = &told->first;
	told->answer = *iter_answer(stale);
	move_clients(s, told);
	unsigned left = TELL_AT_ONCE;
	if (tell_waiters(told, &left))
		resolution_free(told);
	else
		tell_later(told);
}

/* False: he must wait. */
static bool stale_answer(const struct resolution *s, struct waiter *w)
{
	struct iter *stale = s->stale_told && !w->done ? stale_find(s) : NULL;
	if (!stale)
		return false;
	struct resolve_result result = result_of(s);
	result.answer = iter_answer(stale);
	tell(s->r, w, &result);
	iter_free(stale);
	return true;
}

/* A table full of slow resolutions must not keep new ones out. */
static bool make_room(struct resolve *r)
{
	if (r->in_flight < LIMIT_QUERIES_IN_FLIGHT)
		return true;
	struct resolution *s = r->oldest;
	if (resolve_now_us(r) - s->begun_us < SHED_AGE_US)
		return false;
	counter_up(r->env.counters, queries_shed);
	resolution_fail(s, EDE_OTHER, "too many queries under way");
	return true;
}

static struct resolution *resolution_new(
	struct resolve *r, const struct resolve_query *q)
{
	/* glibc's calloc never gives what was freed last, which is warm */
	struct resolution *s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->iter = iter_new(&r->env.iter, &q->iter, loop_now(r->env.loop));
	if (!s->iter) {
		free(s);
		return NULL;
	}
	s->r = r;
	s->last = &s->first;
	s->begun_us = resolve_now_us(r);
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
		if (stale_answer(s, w))
			return RESOLVE_DONE;
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
	s->route = q->iter.route;
	table_add(r, s);

	bool ended = false;
	s->ended = &ended;
	s->direct = w;
	s->no_room = !may_wait(r, w);
	pump_run(s, (struct iter_event){ .kind = ITER_START });
	if (ended)
		return RESOLVE_DONE;
	s->ended = NULL;
	s->direct = NULL;
	if (waiter_add(s, w)) {
		if (r->env.serve_stale && !w->done)
			loop_timer_set(r->env.loop, &s->stale_timer,
				s->begun_us + r->env.stale_after_us, stale_due, s);
		return RESOLVE_LATER;
	}
	table_remove(r, s);
	resolution_free(s);
	return RESOLVE_BUSY;
}

void resolve_give_up(struct resolve *r, int ede, const char *text)
{
	while (r->oldest) {
		struct resolution *s = r->oldest;
		resolution_fail(s, ede, text);
		assert(r->oldest != s);
	}
	tell_more(r, UINT_MAX);
}

void resolve_set_anchors(struct resolve *r, struct anchor_set *set)
{
	r->env.iter.anchors = set;
}

size_t resolve_in_flight(const struct resolve *r)
{
	return r->in_flight;
}

size_t resolve_waiting(const struct resolve *r)
{
	return r->waiters;
}

static void fetches_moved(void *ctx, unsigned events)
{
	struct resolve *r = ctx;
	(void)events;
	fetch_moved(r->fetches, loop_now(r->env.loop));
}

/* Without it the ticks notice, later. */
static void watch_fetches(struct resolve *r)
{
	const int fd = fetch_fd(r->fetches);
	if (fd >= 0)
		(void)loop_watch(
			r->env.loop, &r->fetch_watch, fd, LOOP_READ, fetches_moved, r);
}

struct resolve *resolve_new(const struct resolve_env *env)
{
	struct resolve *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->env = *env;
	r->ready_last = &r->ready_first;
	r->telling_last = &r->telling_first;
	random_fill(env->random, &r->key, sizeof(r->key));
	r->fetches = fetch_table_new(LIMIT_QUERIES_IN_FLIGHT, pump_woken, r);
	if (!r->fetches || (env->run_folder && !fetch_share(r->fetches, env->run_folder,
						       env->random))) {
		fetch_table_free(r->fetches);
		free(r);
		return NULL;
	}
	r->fetch_watch.fd = -1;
	watch_fetches(r);
	return r;
}

void resolve_check(struct resolve *r)
{
	loop_unwatch(r->env.loop, &r->fetch_watch);
	fetch_check(r->fetches);
	watch_fetches(r);
	const struct fetch_numbers n = fetch_numbers(r->fetches);
	counter_set(r->env.counters, fetches_joined, n.host_joined);
	counter_set(r->env.counters, fetches_taken_over, n.taken_over);
	counter_set(r->env.counters, fetches_damaged, n.damaged);
}

/* Whoever waits for it is not told. */
static void forget(struct resolution *s)
{
	while (s->first) {
		struct waiter *w = s->first;
		s->first = w->next;
		free(w);
	}
	resolution_free(s);
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	while (r->oldest) {
		struct resolution *s = r->oldest;
		table_remove(r, s);
		forget(s);
		assert(r->oldest != s);
	}
	while (r->telling_first) {
		struct resolution *s = r->telling_first;
		r->telling_first = s->telling_next;
		forget(s);
	}
	loop_timer_clear(r->env.loop, &r->tell_timer);
	loop_timer_clear(r->env.loop, &r->ready_timer);
	loop_timer_clear(r->env.loop, &r->tick_timer);
	loop_unwatch(r->env.loop, &r->fetch_watch);
	fetch_table_free(r->fetches);
	free(r);
}
