/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "loop/until.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char trace[256];

static void trace_add(char c)
{
	const size_t len = strlen(trace);
	assert_true(len + 1 < sizeof(trace));
	trace[len] = c;
	trace[len + 1] = '\0';
}

static int loop_setup(void **state)
{
	trace[0] = '\0';
	*state = loop_new();
	return *state ? 0 : -1;
}

static int loop_teardown(void **state)
{
	loop_free(*state);
	return 0;
}

static void letter_fires(void *ctx)
{
	trace_add(*(const char *)ctx);
}

static void timers_fire_in_order_of_time_then_of_setting(void **state)
{
	struct loop *l = *state;
	struct timer t[5] = { 0 };
	const int64_t now = loop_now(l)->mono_us;
	static const char names[] = "abcde";
	static const int after_us[] = { 3000, 1000, 2000, 1000, 5000 };
	for (int i = 0; i < 5; i++)
		loop_timer_set(
			l, &t[i], now + after_us[i], letter_fires, (void *)&names[i]);
	loop_timer_set(l, &t[4], now + 1500, letter_fires, (void *)&names[4]);
	loop_timer_clear(l, &t[2]);
	const time_t end = until_end();
	while (strlen(trace) < 4 && until_left(end))
		loop_turn(l, 10);
	assert_string_equal(trace, "bdea");
	assert_false(loop_timer_is_set(&t[0]));
}

static int64_t last_fired;
static unsigned fired_count;

static void order_is_checked(void *ctx)
{
	const struct timer *t = ctx;
	assert_true(t->at_us >= last_fired);
	last_fired = t->at_us;
	fired_count++;
}

static void a_thousand_random_timers_keep_the_heap_in_order(void **state)
{
	struct loop *l = *state;
	enum { COUNT = 1000 };
	struct timer *t = calloc(COUNT, sizeof(*t));
	assert_non_null(t);
	const int64_t now = loop_now(l)->mono_us - 1000000;
	unsigned seed = 1, cleared = 0;
	last_fired = 0;
	fired_count = 0;
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < COUNT; i++)
			loop_timer_set(l, &t[i], now + rand_r(&seed) % 100000,
				order_is_checked, &t[i]);
	for (int i = 0; i < COUNT; i += 3) {
		loop_timer_clear(l, &t[i]);
		cleared++;
	}
	loop_turn(l, 0);
	assert_int_equal(fired_count, COUNT - cleared);
	free(t);
}

struct rearm {
	struct loop *l;
	struct timer t;
	int count;
};

static void timer_sets_itself(void *ctx)
{
	struct rearm *r = ctx;
	r->count++;
	loop_timer_set(r->l, &r->t, 0, timer_sets_itself, r);
}

static void a_timer_that_is_always_due_does_not_stop_the_loop(void **state)
{
	struct rearm r = { .l = *state };
	struct timer later[20] = { 0 }; /* however many others there are */
	for (int i = 0; i < 20; i++)
		loop_timer_set(r.l, &later[i], INT64_MAX - i, timer_sets_itself, &r);
	loop_timer_set(r.l, &r.t, 0, timer_sets_itself, &r);
	loop_turn(r.l, 1000);
	assert_int_equal(r.count, 1);
	loop_turn(r.l, 1000);
	assert_int_equal(r.count, 2);
	loop_timer_clear(r.l, &r.t);
	for (int i = 0; i < 20; i++)
		loop_timer_clear(r.l, &later[i]);
}

struct pair {
	struct loop *l;
	struct watch w[2];
	int fd[2][2];
	int calls;
};

/* Whichever comes first deletes both and gives their descriptors to somebody else. */
static void first_deletes_both(void *ctx, unsigned events)
{
	struct pair *p = ctx;
	assert_true(events & LOOP_READ);
	p->calls++;
	for (int i = 0; i < 2; i++) {
		const int fd = p->w[i].fd;
		loop_unwatch(p->l, &p->w[i]);
		assert_int_equal(p->w[i].fd, -1);
		loop_unwatch(p->l, &p->w[i]);
		close(fd);
		p->fd[i][0] = -1;
	}
	/* the same slots and the same descriptor numbers, nothing to read */
	for (int i = 0; i < 2; i++) {
		int fd[2];
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
		p->fd[i][0] = fd[0];
		close(p->fd[i][1]);
		p->fd[i][1] = fd[1];
		assert_int_equal(loop_watch(p->l, &p->w[i], fd[0], LOOP_READ,
					 first_deletes_both, p),
			0);
	}
}

static void stale_events_of_deleted_watches_are_not_delivered(void **state)
{
	struct pair p = { .l = *state };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p.fd[i]),
			0);
		assert_int_equal(loop_watch(p.l, &p.w[i], p.fd[i][0], LOOP_READ,
					 first_deletes_both, &p),
			0);
		assert_int_equal(write(p.fd[i][1], "x", 1), 1);
	}
	loop_turn(p.l, 1000);
	assert_int_equal(p.calls, 1);
	loop_turn(p.l, 0);
	assert_int_equal(p.calls, 1);
	for (int i = 0; i < 2; i++) {
		loop_unwatch(p.l, &p.w[i]);
		close(p.fd[i][0]);
		close(p.fd[i][1]);
	}
}

static unsigned seen_events;

static void letter_is_read(void *ctx, unsigned events)
{
	(void)events;
	trace_add(*(const char *)ctx);
}

static void a_closed_descriptor_is_not_heard_again(void **state)
{
	struct loop *l = *state;
	struct pair_of_watches {
		struct watch w;
		int fd[2];
	} p[2];
	memset(p, 0, sizeof(p));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, p[i].fd), 0);
		assert_int_equal(loop_watch(l, &p[i].w, p[i].fd[0], LOOP_READ,
					 letter_is_read, (void *)&"ab"[i]),
			0);
		assert_int_equal(write(p[i].fd[1], "x", 1), 1);
	}
	loop_unwatch_close(l, &p[0].w, &p[0].fd[0]);
	assert_int_equal(p[0].fd[0], -1);
	loop_unwatch_close(l, &p[0].w, &p[0].fd[0]); /* once more does no harm */
	loop_turn(l, 10);
	assert_string_equal(trace, "b");
	loop_unwatch_close(l, &p[1].w, &p[1].fd[0]);
	for (int i = 0; i < 2; i++)
		close(p[i].fd[1]);
}

static void events_are_seen(void *ctx, unsigned events)
{
	(void)ctx;
	seen_events |= events;
}

static void a_hangup_is_told_with_what_was_asked_for(void **state)
{
	struct loop *l = *state;
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	struct watch w = { .fd = -1 };
	assert_int_equal(loop_watch(l, &w, fd[0], LOOP_READ, events_are_seen, NULL), 0);
	assert_int_equal(loop_watch(l, &(struct watch){ .fd = -1 }, fd[0], LOOP_READ,
				 events_are_seen, NULL),
		-EEXIST);
	seen_events = 0;
	loop_turn(l, 0);
	assert_int_equal(seen_events, 0);
	assert_int_equal(loop_watch_events(l, &w, LOOP_READ | LOOP_WRITE), 0);
	loop_turn(l, 0);
	assert_int_equal(seen_events, LOOP_WRITE);
	close(fd[1]);
	loop_turn(l, 0);
	assert_int_equal(seen_events, LOOP_READ | LOOP_WRITE | LOOP_HANGUP);
	loop_unwatch(l, &w);
	assert_int_equal(loop_watch_events(l, &w, LOOP_READ), -EBADF);
	close(fd[0]);
}

struct chain {
	struct loop *l;
	struct defer d[3];
	struct timer t;
};

static void chain_first(void *ctx)
{
	struct chain *c = ctx;
	trace_add('1');
	loop_defer(c->l, &c->d[1]);
	loop_defer(c->l, &c->d[2]);
	loop_undefer(c->l, &c->d[2]);
	loop_undefer(c->l, &c->d[2]);
}

static void chain_timer(void *ctx)
{
	struct chain *c = ctx;
	trace_add('t');
	loop_defer(c->l, &c->d[0]);
	loop_defer(c->l, &c->d[0]);
}

static void deferred_functions_run_once_at_the_end_of_the_turn(void **state)
{
	struct chain c = { .l = *state };
	c.d[0] = (struct defer){ .fn = chain_first, .ctx = &c };
	c.d[1] = (struct defer){ .fn = letter_fires, .ctx = (void *)"2" };
	c.d[2] = (struct defer){ .fn = letter_fires, .ctx = (void *)"!" };
	loop_timer_set(c.l, &c.t, 0, chain_timer, &c);
	loop_turn(c.l, 1000);
	assert_string_equal(trace, "t12");
	loop_turn(c.l, 0);
	assert_string_equal(trace, "t12");
}

static void signal_is_seen(void *ctx, int signo)
{
	loop_stop(ctx, signo);
}

static void signals_arrive_as_events_and_stop_gives_the_code(void **state)
{
	struct loop *l = *state;
	sigset_t before;
	sigprocmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(loop_signal(l, SIGUSR1, signal_is_seen, l), 0);
	assert_int_equal(loop_signal(l, SIGUSR2, signal_is_seen, l), 0);
	assert_int_equal(loop_signal(l, 0, signal_is_seen, l), -EINVAL);
	kill(getpid(), SIGUSR2);
	assert_int_equal(loop_run(l), SIGUSR2);
	kill(getpid(), SIGUSR1);
	assert_int_equal(loop_run(l), SIGUSR1);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void works_for_a_while(void *ctx)
{
	(void)ctx;
	usleep(3000);
}

static void the_longest_turn_is_work_without_waiting(void **state)
{
	struct loop *l = *state;
	struct timer t = { 0 };
	struct loop_numbers n;
	const time_t end = until_end();
	do { /* a busy machine may keep us from our work for as long as we wait */
		loop_timer_set(l, &t, loop_refresh(l)->mono_us + 20000,
			works_for_a_while, NULL);
		while (loop_timer_is_set(&t))
			loop_turn(l, 100);
		n = loop_numbers_take(l);
	} while (n.longest_us >= 20000 && until_left(end));
	assert_in_range(n.longest_us, 3000, 19999);
	assert_true(n.turns >= 1);
	assert_int_equal(loop_numbers_take(l).longest_us, 0);
}

struct two {
	struct loop *l;
	int pipe[2][2];
	struct watch watch[2];
	unsigned read[2];
};

static struct two two;

/* Costs more than a turn may. */
static void reads_slowly(void *ctx, unsigned events)
{
	const long i = (long)ctx;
	char c;
	(void)events;
	assert_int_equal(read(two.pipe[i][0], &c, 1), 1);
	two.read[i]++;
	while (!loop_turn_is_spent(two.l))
		;
}

static void what_a_turn_has_no_time_for_comes_in_the_next_before_anything_new(
	void **state)
{
	two = (struct two){ .l = *state };
	assert_false(loop_turn_is_spent(two.l)); /* no limit yet */
	loop_limit_turn(two.l, 200);
	for (long i = 0; i < 2; i++) {
		assert_int_equal(pipe(two.pipe[i]), 0);
		assert_int_equal(write(two.pipe[i][1], "abcdefgh", 8), 8);
		loop_watch(two.l, &two.watch[i], two.pipe[i][0], LOOP_READ,
			reads_slowly, (void *)i);
	}
	for (unsigned n = 1; n <= 8; n++) {
		loop_turn(two.l, 1000);
		assert_int_equal(two.read[0] + two.read[1], n);
		/* both have more to read all the time, and take turns */
		assert_in_range(two.read[0], n / 2, n / 2 + 1);
	}
	assert_int_equal(loop_numbers_take(two.l).cut, 8);
	for (int i = 0; i < 2; i++) {
		loop_unwatch(two.l, &two.watch[i]);
		close(two.pipe[i][0]);
		close(two.pipe[i][1]);
	}
}

static unsigned slow_fired;

static void fires_slowly(void *ctx)
{
	(void)ctx;
	slow_fired++;
	const int64_t began_us = clock_read().mono_us;
	while (clock_read().mono_us - began_us < 200)
		;
}

static void timers_that_cost_much_fire_over_several_turns(void **state)
{
	struct loop *l = *state;
	struct timer t[5] = { 0 };
	loop_limit_turn(l, 200);
	slow_fired = 0;
	for (int i = 0; i < 5; i++)
		loop_timer_set(l, &t[i], 0, fires_slowly, NULL);
	for (unsigned n = 1; n <= 5; n++) {
		loop_turn(l, 1000);
		assert_int_equal(slow_fired, n);
	}
	assert_int_equal(loop_numbers_take(l).cut, 4);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
	const struct CMUnitTest tests[] = {
		T(timers_fire_in_order_of_time_then_of_setting),
		T(a_thousand_random_timers_keep_the_heap_in_order),
		T(a_timer_that_is_always_due_does_not_stop_the_loop),
		T(stale_events_of_deleted_watches_are_not_delivered),
		T(a_closed_descriptor_is_not_heard_again),
		T(a_hangup_is_told_with_what_was_asked_for),
		T(deferred_functions_run_once_at_the_end_of_the_turn),
		T(signals_arrive_as_events_and_stop_gives_the_code),
		T(the_longest_turn_is_work_without_waiting),
		T(timers_that_cost_much_fire_over_several_turns),
		T(what_a_turn_has_no_time_for_comes_in_the_next_before_anything_new),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
