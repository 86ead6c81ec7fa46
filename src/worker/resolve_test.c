/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pump with a scripted resolver core and a scripted upstream: no network, no DNS.
 */
#include "worker/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "loop/until.h"
#include "wire/codes.h"
#include "worker/resolution.h"

/* --- a clock that goes when the test says so --------------------------------------- */

static int64_t fake_us;
static int64_t reading_us; /* what each look at it costs: a slow machine */

struct now clock_read(void)
{
	fake_us += reading_us;
	return (struct now){ .mono_us = fake_us, .wall_ms = fake_us / 1000 };
}

/* --- a resolver core that does as the test says ----------------------------------- */

struct iter {
	struct iter_query q;
	uint8_t name[NAME_MAX_LEN];
	unsigned steps;
	enum iter_event_kind last;
	bool last_shared;
	size_t last_len;
	unsigned judging; /* number of the reply */
};

typedef void script_fn(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish);
static script_fn *script;
static unsigned iters_made, iters_alive;
static struct iter_answer good_answer = { .ede = EDE_NONE };
static struct iter_answer stale_found = { .ede = EDE_STALE_ANSWER };
static enum iter_want stale_wants;
static unsigned stale_steps;

struct iter *iter_new(
	const struct iter_env *env, const struct iter_query *q, const struct now *now)
{
	(void)env, (void)now;
	struct iter *it = calloc(1, sizeof(*it));
	it->q = *q;
	name_copy(it->name, q->name);
	iters_made++;
	iters_alive++;
	return it;
}

void iter_free(struct iter *it)
{
	if (!it)
		return;
	iters_alive--;
	free(it);
}

void iter_step(struct iter *it, const struct iter_event *ev, const struct now *now,
	struct iter_wish *wish)
{
	(void)now;
	if (it->q.stale) {
		stale_steps++;
		wish->want = stale_wants;
		return;
	}
	it->steps++;
	it->last = ev->kind;
	it->last_shared = ev->shared;
	it->last_len = ev->len;
	*wish = (struct iter_wish){ .want = ITER_WAIT };
	script(it, ev, wish);
}

const struct iter_answer *iter_answer(const struct iter *it)
{
	return it->q.stale ? &stale_found : &good_answer;
}

bool iter_is_judging(const struct iter *it, unsigned reply)
{
	return it->judging == reply;
}

uint64_t iter_generation(const struct iter *it)
{
	(void)it;
	return 7;
}

const char *iter_where(const struct iter *it, char buf[static 512])
{
	(void)it;
	buf[0] = 0;
	return buf;
}

static const uint8_t wire[] = { 1, 2, 3, 4 };

static void want_ask(struct iter_wish *wish, uint64_t key)
{
	wish->want = ITER_ASK;
	wish->ask = (struct iter_ask){
		.server = { .family = 4, .ip = { 192, 0, 2, 1 }, .port = 53 },
		.msg = wire,
		.len = sizeof(wire),
		.timeout_us = 400000,
		.joinable = key != 0,
		.key = { { key, key } }
	};
}

static void script_done(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	(void)it, (void)ev;
	wish->want = ITER_DONE;
}

/* Ask; the first message is the answer, everything else a failure. */
static void script_ask(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	(void)it;
	if (ev->kind == ITER_START) {
		want_ask(wish, 5);
		return;
	}
	wish->want = ITER_DONE;
	wish->accepted = ev->kind == ITER_MESSAGE;
}

/* --- an upstream that remembers --------------------------------------------------- */

struct ask {
	ask_fn *fn;
	void *ctx;
	bool open;
};

static struct ask asks[64];
static unsigned asked;
static bool upstream_full;

static struct ask *fake_ask(
	void *ctx, const struct iter_ask *what, ask_fn *fn, void *fn_ctx)
{
	(void)ctx;
	assert_int_equal(what->len, sizeof(wire));
	assert_memory_equal(what->msg, wire, what->len);
	if (upstream_full || asked == 64)
		return NULL;
	struct ask *a = &asks[asked++];
	*a = (struct ask){ fn, fn_ctx, true };
	return a;
}

static void fake_cancel(void *ctx, struct ask *a)
{
	(void)ctx;
	assert_true(a->open);
	a->open = false;
}

static void upstream_says(struct ask *a, enum ask_event what)
{
	assert_true(a->open);
	if (what != ASK_MESSAGE)
		a->open = false;
	a->fn(a->ctx, a, what, what == ASK_MESSAGE ? wire : NULL,
		what == ASK_MESSAGE ? sizeof(wire) : 0);
}

/* --- the set-up ------------------------------------------------------------------- */

static struct {
	struct loop *loop;
	struct cache *cache;
	struct counters counters;
	struct random random;
	struct resolve *r;
	unsigned answers;
	uint16_t rcode;
	int ede;
	const void *last_slot;
} t;

static void on_answer(void *ctx, struct waiter *w, const struct resolve_result *result)
{
	(void)ctx;
	t.answers++;
	t.rcode = result->answer->rcode;
	t.ede = result->answer->ede;
	t.last_slot = w->slot;
	assert_ptr_equal(w->q.name, w->name);
	assert_int_equal(result->generation, 7);
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	memset(asks, 0, sizeof(asks));
	asked = iters_made = iters_alive = 0;
	upstream_full = false;
	script = script_ask;
	good_answer = (struct iter_answer){ .ede = EDE_NONE, .ede_origin = EDE_NONE };
	stale_found = (struct iter_answer){ .ede = EDE_STALE_ANSWER };
	stale_wants = ITER_DONE;
	stale_steps = 0;
	fake_us = INT64_C(1000) * 1000 * 1000;
	reading_us = 0;
	random_init(&t.random);
	t.loop = loop_new();
	const struct cache_conf conf = { .run_folder = "/nonexistent/run",
		.size = CACHE_SIZE_MIN };
	t.cache = cache_open(&conf, &t.counters, &t.random);
	const struct resolve_env env = {
		.loop = t.loop,
		.iter = { .cache = t.cache },
		.counters = &t.counters,
		.random = &t.random,
		.ask = fake_ask,
		.cancel = fake_cancel,
		.answer = on_answer,
	};
	t.r = resolve_new(&env);
	return t.r && t.loop && t.cache ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	resolve_free(t.r);
	cache_close(t.cache);
	loop_free(t.loop);
	return iters_alive ? -1 : 0;
}

/* So much later. */
static void pass(int64_t us)
{
	fake_us += us;
	loop_turn(t.loop, 0);
}

static enum resolve_outcome ask_as(uint8_t letter, uint8_t client, bool cache_only)
{
	struct reply_slot slot = { 0 };
	struct waiter w = {
		.client.from = { .family = 4, .ip = { 10, 0, 0, client }, .port = 999 },
		.slot = &slot,
	};
	const uint8_t name[] = { 1, letter, 0 };
	memcpy(w.name, name, sizeof(name));
	w.q.name = w.name;
	w.q.name_len = sizeof(name);
	const struct resolve_query q = {
		.iter = { .name = w.name, .type = TYPE_A, .rclass = CLASS_IN },
		.cache_only = cache_only,
	};
	return resolve_ask(t.r, &q, &w);
}

static enum resolve_outcome ask(uint8_t letter)
{
	return ask_as(letter, 1, false);
}

/* --- the stories ------------------------------------------------------------------ */

static void answer_from_the_cache_comes_within_the_call(void **state)
{
	(void)state;
	script = script_done;
	assert_int_equal(ask('a'), RESOLVE_DONE);
	assert_int_equal(t.answers, 1);
	assert_non_null(t.last_slot);
	assert_int_equal(resolve_in_flight(t.r), 0);
}

static void equal_questions_share_one_resolution(void **state)
{
	(void)state;
	assert_int_equal(ask('a'), RESOLVE_LATER);
	assert_int_equal(ask('A'), RESOLVE_LATER);
	assert_int_equal(iters_made, 1);
	assert_int_equal(asked, 1);
	assert_int_equal(resolve_waiting(t.r), 2);
	upstream_says(&asks[0], ASK_MESSAGE);
	assert_int_equal(t.answers, 2);
	assert_null(t.last_slot);
	assert_int_equal(t.counters.queries_joined, 1);
	assert_int_equal(resolve_waiting(t.r), 0);
	assert_false(asks[0].open);
}

static void equal_fetches_are_asked_once_and_shared(void **state)
{
	(void)state;
	ask('a');
	ask('b');
	assert_int_equal(iters_made, 2);
	assert_int_equal(asked, 1);
	assert_int_equal(t.counters.upstream_joined, 1);
	upstream_says(&asks[0], ASK_MESSAGE);
	assert_int_equal(t.answers, 1); /* the other in a turn of its own */
	UNTIL(&t, t.answers == 2);
	/* a late comer has the result at once */
	assert_int_equal(ask('c'), RESOLVE_DONE);
	assert_int_equal(asked, 1);
}

/* What came for the first key is judged with what comes for the second. */
static void script_judges(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	if (ev->kind == ITER_START) {
		want_ask(wish, 5);
	} else if (ev->kind == ITER_MESSAGE && !ev->shared && !it->judging) {
		wish->reply = it->judging = 1;
		want_ask(wish, 6);
		wish->accepted = true;
	} else {
		wish->want = ITER_DONE;
		wish->accepted = ev->kind == ITER_MESSAGE && !ev->shared;
		wish->reply = 2;
		it->judging = 0;
	}
}

static void who_waits_gets_a_reply_when_it_is_judged(void **state)
{
	(void)state;
	script = script_judges;
	ask('a');
	ask('b');
	upstream_says(&asks[0], ASK_MESSAGE);
	loop_turn(t.loop, 0);
	assert_int_equal(asked, 2);
	assert_int_equal(t.answers, 0);
	ask('c'); /* waits too */
	assert_int_equal(asked, 2);
	upstream_says(&asks[1], ASK_MESSAGE);
	assert_int_equal(t.answers, 1);
	UNTIL(&t, t.answers == 3);
	assert_int_equal(asked, 2);
	ask('d');
	assert_int_equal(t.answers, 4);
}

static void a_turn_of_steps_ends_by_the_clock(void **state)
{
	(void)state;
	ask('a');
	ask('b');
	ask('c');
	upstream_says(&asks[0], ASK_MESSAGE);
	reading_us = 1000; /* one step takes longer than all of a turn's may */
	for (unsigned told = 1; told < 3; told++) {
		assert_int_equal(t.answers, told);
		loop_turn(t.loop, 0);
	}
	assert_int_equal(t.answers, 3);
	assert_int_equal(asked, 1);
}

static void who_waits_gets_a_reply_whose_judgement_fails(void **state)
{
	(void)state;
	script = script_judges;
	ask('a');
	ask('b');
	upstream_says(&asks[0], ASK_MESSAGE);
	upstream_says(&asks[1], ASK_TIMEOUT);
	assert_int_equal(t.answers, 1);
	UNTIL(&t, t.answers == 2);
	assert_int_equal(asked, 2);
}

static void who_waits_does_not_wait_long_for_a_judgement(void **state)
{
	(void)state;
	script = script_judges;
	ask('a');
	ask('b');
	upstream_says(&asks[0], ASK_MESSAGE);
	pass(700 * 1000);
	assert_int_equal(t.answers, 0);
	pass(200 * 1000);
	UNTIL(&t, t.answers == 1); /* the other one's own judgement goes on */
	assert_int_equal(asked, 2);
	upstream_says(&asks[1], ASK_MESSAGE);
	assert_int_equal(t.answers, 2);
}

static void a_waiter_takes_over_when_the_owner_gives_up(void **state)
{
	(void)state;
	ask('a');
	ask('b');
	upstream_says(&asks[0], ASK_TIMEOUT);
	assert_int_equal(t.answers, 1);
	UNTIL(&t, asked == 2);
	upstream_says(&asks[1], ASK_MESSAGE);
	assert_int_equal(t.answers, 2);
}

static unsigned tries;
/* One that asks after some work. */
static void script_ask_late(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	(void)it;
	if (ev->kind == ITER_START)
		wish->want = ITER_AGAIN;
	else if (ev->kind == ITER_CONTINUE)
		want_ask(wish, 5);
	else
		wish->want = ITER_DONE;
}

static void a_waiter_has_no_more_patience_than_time(void **state)
{
	(void)state;
	ask('a');
	script = script_ask_late;
	ask('b');
	t.r->newest->begun_us -= (LIMIT_QUERY_TIME_MS - 30) * INT64_C(1000);
	UNTIL(&t, t.counters.upstream_joined == 1);
	pass(29 * 1000);
	assert_int_equal(t.answers, 0);
	pass(2 * 1000);
	UNTIL(&t, t.answers == 1);
	assert_int_equal(asked, 1);
}

static void script_two_servers(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	(void)it;
	if (ev->kind == ITER_START || (ev->kind == ITER_TIMEOUT && tries++ == 0)) {
		want_ask(wish, 5);
		return;
	}
	wish->want = ITER_DONE;
	wish->accepted = ev->kind == ITER_MESSAGE;
}

static void owner_keeps_the_fetch_for_its_next_server(void **state)
{
	(void)state;
	tries = 0;
	script = script_two_servers;
	ask('a');
	ask('b');
	upstream_says(&asks[0], ASK_TIMEOUT);
	loop_turn(t.loop, 0);
	assert_int_equal(asked, 2); /* by the owner, not by the waiter */
	assert_int_equal(t.answers, 0);
	upstream_says(&asks[1], ASK_MESSAGE);
	UNTIL(&t, t.answers == 2);
	assert_int_equal(asked, 2);
}

static void script_hears_unreachable(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	if (ev->kind == ITER_START) {
		want_ask(wish, 0);
		return;
	}
	assert_int_equal(ev->kind, ITER_UNREACHABLE);
	script_done(it, ev, wish);
}

static void full_upstream_is_a_local_failure(void **state)
{
	(void)state;
	upstream_full = true;
	script = script_hears_unreachable;
	assert_int_equal(ask('a'), RESOLVE_DONE);
}

static void script_never_content(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	if (it->steps > 500)
		script_done(it, ev, wish);
	else
		want_ask(wish, 0);
}

static void failing_at_once_gives_others_a_turn(void **state)
{
	(void)state;
	upstream_full = true;
	script = script_never_content;
	assert_int_equal(ask('a'), RESOLVE_LATER);
	UNTIL(&t, t.answers == 1);
}

static void script_long_work(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	if (it->steps == 3) {
		assert_int_equal(ev->kind, ITER_CONTINUE);
		script_done(it, ev, wish);
	} else {
		wish->want = ITER_AGAIN;
	}
}

static void again_continues_in_later_turns(void **state)
{
	(void)state;
	script = script_long_work;
	assert_int_equal(ask('a'), RESOLVE_LATER);
	loop_turn(t.loop, 0);
	assert_int_equal(t.answers, 0);
	loop_turn(t.loop, 0);
	assert_int_equal(t.answers, 1);
}

static void script_waits_forever(
	struct iter *it, const struct iter_event *ev, struct iter_wish *wish)
{
	(void)it, (void)ev, (void)wish;
}

static void waiting_for_nothing_ends_as_servfail(void **state)
{
	(void)state;
	script = script_waits_forever;
	assert_int_equal(ask('a'), RESOLVE_DONE);
	assert_int_equal(t.rcode, RCODE_SERVFAIL);
}

static void cache_only_never_asks(void **state)
{
	(void)state;
	assert_int_equal(ask_as('a', 1, true), RESOLVE_DONE);
	assert_int_equal(t.rcode, RCODE_SERVFAIL);
	assert_int_equal(asked, 0);
}

static void one_client_cannot_pile_up_answers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LIMIT_WAITERS_PER_CLIENT; i++)
		assert_int_equal(ask('a'), RESOLVE_LATER);
	assert_int_equal(asked, 1);
	assert_int_equal(ask('b'), RESOLVE_DONE);
	assert_int_equal(t.rcode, RCODE_SERVFAIL);
	assert_int_equal(asked, 1); /* nor make us ask more */
	assert_int_equal(ask_as('b', 2, false), RESOLVE_LATER);
	assert_int_equal(ask_as('a', 2, false), RESOLVE_BUSY); /* 1,024 wait there */
	upstream_says(&asks[0], ASK_MESSAGE);
	for (int i = 0; i < LIMIT_WAITERS_PER_CLIENT && resolve_waiting(t.r); i++)
		loop_turn(t.loop, 0);
	assert_int_equal(t.answers, LIMIT_WAITERS_PER_CLIENT + 2); /* and "b" */
	assert_int_equal(ask('c'), RESOLVE_DONE); /* the counts went down again */
}

static void a_crowd_is_told_over_several_turns(void **state)
{
	(void)state;
	const unsigned crowd = 200;
	for (unsigned i = 0; i < crowd; i++)
		ask('a');
	upstream_says(&asks[0], ASK_MESSAGE);
	assert_in_range(t.answers, 1, crowd / 2);
	assert_int_equal(resolve_in_flight(t.r), 0);
	assert_int_equal(resolve_waiting(t.r), crowd - t.answers);
	for (unsigned i = 0; i < 5; i++) {
		const unsigned before = t.answers;
		loop_turn(t.loop, 0);
		assert_in_range(t.answers - before, 1, crowd / 4);
	}
	/* at the end there are no more turns */
	resolve_give_up(t.r, EDE_NOT_READY, "shutting down");
	assert_int_equal(t.answers, crowd);
	assert_int_equal(resolve_waiting(t.r), 0);
}

static void giving_up_tells_everyone(void **state)
{
	(void)state;
	ask('a');
	ask('a');
	ask('b');
	resolve_give_up(t.r, EDE_NOT_READY, "shutting down");
	assert_int_equal(t.answers, 3);
	assert_int_equal(t.rcode, RCODE_SERVFAIL);
	assert_int_equal(resolve_in_flight(t.r), 0);
	assert_false(asks[0].open);
}

static void an_answer_that_does_not_fit_leaves_the_ask_open(void **state)
{
	(void)state;
	script = script_two_servers;
	tries = 0;
	ask('a');
	script = script_waits_forever;
	upstream_says(&asks[0], ASK_MESSAGE);
	assert_true(asks[0].open);
	script = script_ask;
	upstream_says(&asks[0], ASK_MESSAGE);
	assert_int_equal(t.answers, 1);
}

/* --- stale answers --- */

enum { STALE_AFTER_US = 20 * 1000 };

static int set_up_stale(void **state)
{
	if (set_up(state))
		return -1;
	resolve_free(t.r);
	const struct resolve_env env = {
		.loop = t.loop,
		.iter = { .cache = t.cache },
		.counters = &t.counters,
		.random = &t.random,
		.serve_stale = true,
		.stale_after_us = STALE_AFTER_US,
		.ask = fake_ask,
		.cancel = fake_cancel,
		.answer = on_answer,
	};
	t.r = resolve_new(&env);
	return t.r ? 0 : -1;
}

static void a_slow_resolution_goes_on_after_its_stale_answer(void **state)
{
	(void)state;
	assert_int_equal(ask('a'), RESOLVE_LATER);
	assert_int_equal(ask('a'), RESOLVE_LATER);
	pass(STALE_AFTER_US - 1000);
	assert_int_equal(t.answers, 0);
	pass(1000);
	UNTIL(&t, t.answers == 2);
	assert_int_equal(t.ede, EDE_STALE_ANSWER);
	assert_int_equal(resolve_waiting(t.r), 0);
	assert_int_equal(resolve_in_flight(t.r), 1);
	/* who comes now does not wait at all */
	assert_int_equal(ask('a'), RESOLVE_DONE);
	assert_int_equal(t.answers, 3);
	assert_int_equal(asked, 1);
	assert_true(asks[0].open);
	upstream_says(&asks[0], ASK_MESSAGE);
	assert_int_equal(resolve_in_flight(t.r), 0);
	assert_int_equal(t.answers, 3);
}

static void a_crowd_that_is_told_by_and_by_gets_the_fresh_answer(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < 30; i++)
		assert_int_equal(ask_as('a', i, false), RESOLVE_LATER);
	fake_us += 2 * STALE_AFTER_US; /* both are due in the same turn */
	loop_refresh(t.loop);
	upstream_says(&asks[0], ASK_MESSAGE);
	assert_true(t.answers < 30);
	for (unsigned i = 0; i < 10 && t.answers < 30; i++) {
		loop_turn(t.loop, 0);
		assert_int_equal(t.ede, EDE_NONE);
	}
	assert_int_equal(t.answers, 30);
}

static void without_stale_data_clients_wait_on(void **state)
{
	(void)state;
	stale_found.rcode = RCODE_SERVFAIL;
	ask('a');
	for (unsigned i = 0; i < 5; i++)
		pass(STALE_AFTER_US / 2);
	assert_int_equal(t.answers, 0);
	upstream_says(&asks[0], ASK_MESSAGE);
	assert_int_equal(t.answers, 1);
	assert_int_equal(t.ede, EDE_NONE);
}

static void a_failure_is_answered_with_stale_data(void **state)
{
	(void)state;
	good_answer.rcode = RCODE_SERVFAIL;
	good_answer.ede = EDE_NO_REACHABLE_AUTHORITY;
	script = script_done;
	assert_int_equal(ask('a'), RESOLVE_DONE);
	assert_int_equal(t.ede, EDE_STALE_ANSWER);
}

static void stale_data_is_looked_for_in_one_step(void **state)
{
	(void)state;
	good_answer.rcode = RCODE_SERVFAIL;
	good_answer.ede = EDE_NO_REACHABLE_AUTHORITY;
	script = script_done;
	stale_wants = ITER_AGAIN;
	assert_int_equal(ask('a'), RESOLVE_DONE);
	assert_int_equal(t.ede, EDE_NO_REACHABLE_AUTHORITY);
	assert_int_equal(stale_steps, 1);
}

static void what_is_bogus_is_not_answered_with_stale_data(void **state)
{
	(void)state;
	good_answer.rcode = RCODE_SERVFAIL;
	script = script_done;
	good_answer.ede = EDE_BOGUS;
	ask('a');
	assert_int_equal(t.ede, EDE_BOGUS);
	good_answer.ede = EDE_CACHED_ERROR;
	good_answer.ede_origin = EDE_BOGUS;
	ask('a');
	assert_int_equal(t.ede, EDE_CACHED_ERROR);
	assert_int_equal(t.rcode, RCODE_SERVFAIL);
	good_answer.ede = EDE_NOT_AUTHORITATIVE;
	good_answer.ede_origin = EDE_NONE;
	ask_as('a', 1, true); /* RD=0 */
	assert_int_equal(t.ede, EDE_NOT_AUTHORITATIVE);
}

static void who_comes_after_a_clear_does_not_join(void **state)
{
	(void)state;
	ask('a');
	cache_clear_all(t.cache);
	ask('a');
	assert_int_equal(iters_made, 2);
	assert_int_equal(resolve_in_flight(t.r), 2);
}

#define STALE(fn) cmocka_unit_test_setup_teardown(fn, set_up_stale, tear_down)
#define STORY(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(answer_from_the_cache_comes_within_the_call),
		STORY(equal_questions_share_one_resolution),
		STORY(equal_fetches_are_asked_once_and_shared),
		STORY(who_waits_gets_a_reply_when_it_is_judged),
		STORY(a_turn_of_steps_ends_by_the_clock),
		STORY(who_waits_gets_a_reply_whose_judgement_fails),
		STORY(who_waits_does_not_wait_long_for_a_judgement),
		STORY(a_waiter_takes_over_when_the_owner_gives_up),
		STORY(a_waiter_has_no_more_patience_than_time),
		STORY(owner_keeps_the_fetch_for_its_next_server),
		STORY(full_upstream_is_a_local_failure),
		STORY(failing_at_once_gives_others_a_turn),
		STORY(again_continues_in_later_turns),
		STORY(waiting_for_nothing_ends_as_servfail),
		STORY(cache_only_never_asks),
		STORY(one_client_cannot_pile_up_answers),
		STORY(a_crowd_is_told_over_several_turns),
		STORY(giving_up_tells_everyone),
		STORY(an_answer_that_does_not_fit_leaves_the_ask_open),
		STALE(a_slow_resolution_goes_on_after_its_stale_answer),
		STALE(a_crowd_that_is_told_by_and_by_gets_the_fresh_answer),
		STALE(without_stale_data_clients_wait_on),
		STALE(a_failure_is_answered_with_stale_data),
		STALE(stale_data_is_looked_for_in_one_step),
		STALE(what_is_bogus_is_not_answered_with_stale_data),
		STORY(who_comes_after_a_clear_does_not_join),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
