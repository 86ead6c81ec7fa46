/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/iter.c - the machine: a table of steps, one loop over it, and the one budget. */
#include "iter/iter.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dnssec/anchor.h"
#include "iter/state.h"

static const struct {
	const char *name, *words;
	enum step (*run)(struct iter *it, struct frame *f);
} steps[STATE_COUNT] = {
#define X(state, step, words) [STATE_##state] = { #state, words, step },
	ITER_STATES(X)
#undef X
};

/* --- begin and end ------------------------------------------------------------ */

static bool begin(struct iter *it)
{
	uint8_t *name = arena_alloc(it->arena, NAME_MAX_LEN);
	if (!name)
		return false;
	name_copy_lower(name, it->q.name);
	it->q.name = name;
	it->generation = cache_generation(it->env.cache);
	it->epoch = cache_epoch(it->env.cache);
	it->work = dnssec_work_full();
	it->ede_origin = EDE_NONE;
	struct frame *f = iter_frame_push(it, name, it->q.type, FOR_CLIENT);
	if (!f)
		return false;
	f->route = it->q.route;
	f->no_cache = it->q.no_cache || iter_flag(it, CONF_NO_CACHE);
	return true;
}

struct iter *iter_new(
	const struct iter_env *env, const struct iter_query *q, const struct now *now)
{
	struct arena *arena = arena_new(LIMIT_ARENA);
	struct arena *scratch = arena_new(LIMIT_ARENA);
	struct iter *it = arena ? arena_alloc(arena, sizeof(*it)) : NULL;
	if (it && scratch) {
		it->env = *env;
		if (env->anchors)
			anchor_set_hold(env->anchors);
		it->q = *q;
		it->arena = arena;
		it->scratch = scratch;
		it->now = *now;
		it->begin_us = now->mono_us;
		if (begin(it)) {
			if (!q->stale)
				counter_up(env->counters, resolutions);
			return it;
		}
	}
	if (it && scratch)
		anchor_set_drop(it->env.anchors);
	if (arena)
		arena_free(arena);
	if (scratch)
		arena_free(scratch);
	return NULL;
}

void iter_free(struct iter *it)
{
	if (!it)
		return;
	struct arena *arena = it->arena; /* `it` itself lies in it */
	for (unsigned i = 0; i < LIMIT_FRAMES && it->frames[i]; i++)
		if (it->frames[i]->held_arena)
			arena_free(it->frames[i]->held_arena);
	anchor_set_drop(it->env.anchors);
	arena_free(it->scratch);
	arena_free(arena);
}

const struct iter_answer *iter_answer(const struct iter *it)
{
	assert(it->over);
	return &it->answer;
}

bool iter_is_judging(const struct iter *it, unsigned reply)
{
	for (unsigned i = 0; i <= it->depth && !it->over; i++)
		if (it->frames[i]->accepted == reply &&
			it->frames[i]->state == STATE_VALIDATE)
			return true;
	return false;
}

uint64_t iter_generation(const struct iter *it)
{
	return it->generation;
}

/* --- the machine -------------------------------------------------------------- */

/* What every turn costs, whatever it does. False: the resolution is over. */
static bool pay_turn(struct iter *it)
{
	if (++it->steps <= LIMIT_STEPS && !arena_overflowed(it->arena))
		return true;
	counter_up(it->env.counters, budget_steps_exhausted);
	iter_give_up(it, EDE_OTHER, "too much work");
	return false;
}

static bool pay_time(struct iter *it)
{
	if (it->now.mono_us - it->begin_us < LIMIT_QUERY_TIME_MS * 1000LL)
		return true;
	counter_up(it->env.counters, budget_time_exhausted);
	iter_give_up(it, EDE_NO_REACHABLE_AUTHORITY, "time is up");
	return false;
}

static void count_work(struct iter *it, const struct dnssec_work *before)
{
	struct counters *c = it->env.counters;
	const uint32_t checks = it->work.checks - before->checks;
	const uint32_t blocks = it->work.sha1_blocks - before->sha1_blocks;
	counter_add(c, dnssec_checks, checks);
	counter_add(c, dnssec_failures, it->work.failures - before->failures);
	counter_add(c, dnssec_sha1_blocks, blocks);
	if (checks > c->dnssec_step_checks)
		counter_set(c, dnssec_step_checks, checks);
	if (blocks > c->dnssec_step_blocks)
		counter_set(c, dnssec_step_blocks, blocks);
}

void iter_step(struct iter *it, const struct iter_event *ev, const struct now *now,
	struct iter_wish *wish)
{
	*wish = (struct iter_wish){ .want = ITER_DONE };
	if (it->over)
		return;
	it->now = *now;
	it->event = ev;
	it->wish = wish;
	it->slice = ev->kind == ITER_CONTINUE ? WORK_PER_STEP : 0;
	const struct dnssec_work before = it->work;
	if (!pay_time(it))
		return;
	for (unsigned turn = 0; !it->over; turn++) {
		if (turn == TURNS_PER_STEP) {
			wish->want = ITER_AGAIN;
			break;
		}
		if (!pay_turn(it))
			break;
		struct frame *f = iter_frame_top(it);
		if (steps[f->state].run(it, f) == STEP_WISH)
			break;
	}
	if (it->over)
		wish->want = ITER_DONE;
	count_work(it, &before);
	it->event = NULL;
	it->wish = NULL;
}

/* --- frames ------------------------------------------------------------------- */

struct frame *iter_frame_top(struct iter *it)
{
	return it->frames[it->depth];
}

static bool is_too_deep(const struct iter *it, enum purpose purpose)
{
	unsigned addresses = 0;
	for (unsigned i = 0; i <= it->depth; i++)
		addresses += it->frames[i]->purpose == FOR_ADDRESS;
	return it->depth + 1 >= LIMIT_FRAMES ||
	       (purpose == FOR_ADDRESS && addresses >= LIMIT_DEPTH);
}

/* The reply that led here is kept for when the frame goes on. */
static bool hold_reply(struct iter *it, struct frame *f)
{
	struct arena *fresh = arena_new(LIMIT_ARENA);
	if (!fresh)
		return false;
	f->held = it->reply;
	f->held_arena = it->scratch;
	it->reply = (struct reply){ 0 };
	it->scratch = fresh;
	return true;
}

static void take_back_reply(struct iter *it, struct frame *f)
{
	arena_free(it->scratch);
	it->scratch = f->held_arena;
	it->reply = f->held;
	f->held_arena = NULL;
}

struct frame *iter_frame_push(
	struct iter *it, const uint8_t *name, uint16_t type, enum purpose purpose)
{
	const bool first = !it->frames[0];
	if (!first && is_too_deep(it, purpose)) {
		counter_up(it->env.counters, budget_depth_exhausted);
		return NULL;
	}
	struct frame *f = arena_alloc(it->arena, sizeof(*f));
	if (!f)
		return NULL;
	if (purpose == FOR_TRUST && !hold_reply(it, iter_frame_top(it)))
		return NULL;
	f->state = STATE_LOOKUP;
	f->purpose = purpose;
	f->status = CACHE_SECURE; /* until something less is taken */
	f->note = f->bogus_ede = EDE_NONE;
	f->asked = f->name = name;
	f->type = type;
	f->cut_labels = NAME_LABELS_MAX;
	f->ede = EDE_NONE;
	if (!first)
		it->depth++;
	it->frames[it->depth] = f;
	return f;
}

enum step iter_frame_done(struct iter *it, struct frame *f)
{
	if (it->depth == 0) {
		if (dns64_goes_on(it, f))
			return STEP_ON;
		answer_build(it, f);
		it->over = true;
		return STEP_WISH;
	}
	it->depth--; /* the frame below finds the finished one above itself */
	struct frame *below = iter_frame_top(it);
	if (f->purpose == FOR_TRUST) {
		take_back_reply(it, below);
		trust_take(it, below);
	}
	assert(below->state ==
		(f->purpose == FOR_TRUST ? STATE_VALIDATE : STATE_ADDRESS));
	return STEP_ON;
}

enum step iter_frame_fail(struct iter *it, struct frame *f, int ede)
{
	f->failed = true;
	f->rcode = RCODE_SERVFAIL;
	f->ede = ede;
	f->count = 0;
	f->state = STATE_DONE;
	log_debug(RESOLV, "%s failed", iter_text(f->asked, f->type));
	/* what only failed here must not be told to others: no route, or a loop of this
	 * resolution's own */
	const bool local = it->q.stale || (it->local_trouble && !it->other_trouble);
	/* there is an answer still: whoever asks after its end may try */
	const bool refresh = it->q.refresh && it->depth == 0;
	if (!local && !refresh && !(f->looped && it->depth > 0))
		store_failure(it, f->asked_domain, f->asked, f);
	if (!local && !refresh && f->name != f->asked && !f->looped)
		store_failure(it, f->route.domain, f->name,
			f); /* other aliases may lead here */
	return STEP_ON;
}

enum step iter_give_up(struct iter *it, int ede, const char *why)
{
	struct frame *f = it->frames[0];
	log_debug(RESOLV, "%s given up: %s, %u packets, %u steps",
		iter_text(f->asked, f->type), why, it->packets, it->steps);
	if (!it->ede_text[0])
		snprintf(it->ede_text, sizeof(it->ede_text), "%s", why);
	it->depth = 0;
	f->looped = false;
	f->name =
		f->asked; /* the alias's target may be fine, with a budget of its own */
	iter_frame_fail(it, f, ede);
	answer_build(it, f);
	it->over = true;
	return STEP_WISH;
}

/* --- small things that all steps want ----------------------------------------- */

bool iter_flag(const struct iter *it, enum conf_flag flag)
{
	return it->q.route.flags & (uint32_t)flag;
}

bool iter_family_allowed(const struct iter *it, uint8_t family)
{
	const struct conf *c = it->env.conf;
	if (family == 4)
		return c->net_ipv4 && !iter_flag(it, CONF_NO_IPV4);
	return family == 6 && c->net_ipv6 && !iter_flag(it, CONF_NO_IPV6);
}

void iter_trouble(struct iter *it, const struct addr *server, const char *what)
{
	char text[ADDR_TEXT_MAX];
	const size_t used = strlen(it->ede_text);
	addr_ip_text(server, text);
	/* the first ones tell most; what does not fit is left out whole */
	if (used + strlen(text) + strlen(what) + 4 < sizeof(it->ede_text))
		snprintf(it->ede_text + used, sizeof(it->ede_text) - used, "%s%s %s",
			used ? ", " : "", text, what);
	log_debug(ITERAT, "%s: %s", text, what);
}

const char *iter_text(const uint8_t *name, uint16_t type)
{
	static char text[NAME_TEXT_MAX + 20];
	char type_text[16];
	name_to_text(name, text);
	const size_t len = strlen(text);
	snprintf(text + len, sizeof(text) - len, " %s", type_to_text(type, type_text));
	return text;
}

const char *iter_where(const struct iter *it, char buf[static 512])
{
	const struct frame *f = it->frames[it->depth];
	char server[ADDR_TEXT_MAX] = "", zone[NAME_TEXT_MAX] = "";
	if (f->server)
		addr_to_text(&f->server->addr, server);
	if (f->cut)
		name_to_text(f->cut->zone, zone);
	snprintf(buf, 512, "%.200s: %s%s%s%s%.100s, depth %u, %u packets, %u steps",
		iter_text(f->name, f->type), it->over ? "done" : steps[f->state].words,
		server[0] ? " " : "", server, zone[0] ? " of " : "", zone, it->depth,
		it->packets, it->steps);
	return buf;
}
