/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "loop/until.h"

/* The clock stands but for what a test lets pass. */
static int64_t clock_us;

struct now clock_read(void)
{
	return (struct now){ .mono_us = clock_us, .wall_ms = clock_us / 1000 };
}

struct world {
	struct loop *loop;
	struct random rnd;
	struct counters counters;
	struct ports *ports;
	struct addr server;
};

static int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	clock_us = INT64_C(1000) * 1000 * 1000;
	w->loop = loop_new();
	random_init(&w->rnd);
	w->ports = ports_new(w->loop, &w->rnd, &w->counters);
	assert_true(addr_from_text(&w->server, "192.0.2.1", 53));
	*state = w;
	return w->ports ? 0 : -1;
}

static int world_teardown(void **state)
{
	struct world *w = *state;
	ports_free(w->ports);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void pass(struct world *w, int ms)
{
	clock_us += ms * INT64_C(1000);
	loop_turn(w->loop, 0);
}

/* The other end of the pair is in *other, if asked for. */
static struct port *add(struct world *w, const struct addr *server, int *other)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	if (other)
		*other = fds[1];
	else
		close(fds[1]);
	struct port *p = ports_add(w->ports, fds[0], server);
	assert_non_null(p);
	return p;
}

static void so_many_are_kept_and_the_oldest_goes(void **state)
{
	struct world *w = *state;
	struct addr server = w->server;
	/* each is readable at once, since its other end is closed; but no turn is made */
	for (unsigned i = 0; i < LIMIT_PORTS_KEPT + 3; i++) {
		server.port = (uint16_t)(1000 + i);
		ports_keep(add(w, &server, NULL));
	}
	assert_int_equal(ports_kept(w->ports), LIMIT_PORTS_KEPT);
	assert_int_equal(w->counters.upstream_ports_shed, 3);
	for (unsigned i = 0; i < LIMIT_PORTS_KEPT + 3; i++) {
		server.port = (uint16_t)(1000 + i);
		struct port *p = ports_take(w->ports, &server);
		assert_int_equal(p != NULL, i >= 3);
		if (p) {
			assert_true(addr_equal(&p->server, &server));
			assert_null(p->fn);
			ports_close(p);
		}
	}
	assert_int_equal(ports_kept(w->ports), 0);
	assert_false(ports_shed(w->ports));
}

static void each_is_lent_once(void **state)
{
	struct world *w = *state;
	assert_null(ports_take(w->ports, &w->server));
	struct port *a = add(w, &w->server, NULL), *b = add(w, &w->server, NULL);
	assert_null(ports_take(w->ports, &w->server));
	ports_keep(a);
	ports_keep(b);
	struct port *one = ports_take(w->ports, &w->server);
	struct port *two = ports_take(w->ports, &w->server);
	assert_true((one == a && two == b) || (one == b && two == a));
	assert_null(ports_take(w->ports, &w->server));
	ports_close(one);
	ports_keep(two);
	assert_true(ports_shed(w->ports));
	assert_null(ports_take(w->ports, &w->server));
}

static void note(void *ctx)
{
	struct port *p = ctx;
	char text[8];
	assert_int_equal(read(p->fd, text, sizeof(text)), 4);
	p->fn = NULL;
}

static void what_comes_goes_to_who_took_it_or_ends_it(void **state)
{
	struct world *w = *state;
	int other;
	struct port *p = add(w, &w->server, &other);
	p->fn = note;
	p->ctx = p;
	assert_int_equal(write(other, "mine", 4), 4);
	loop_turn(w->loop, 1000);
	assert_null(p->fn);
	ports_keep(p);
	assert_int_equal(ports_kept(w->ports), 1);
	assert_int_equal(write(other, "stray", 5), 5);
	UNTIL(w, !ports_kept(w->ports));
	assert_int_equal(w->counters.upstream_ports_strays, 1);
	assert_int_equal(write(other, "gone", 4), -1);
	close(other);
}

static void none_outlives_its_life(void **state)
{
	struct world *w = *state;
	int others[3];
	struct port *kept = add(w, &w->server, &others[0]);
	struct port *taken = add(w, &w->server, &others[1]);
	struct port *late = add(w, &w->server, &others[2]);
	ports_keep(kept);
	ports_keep(late);
	clock_us += LIMIT_PORT_LIFE_MS * INT64_C(1000);
	loop_refresh(w->loop);
	/* not closed by its timer yet, nor lent any more */
	assert_null(ports_take(w->ports, &w->server));
	assert_int_equal(ports_kept(w->ports), 0);
	ports_keep(taken);
	assert_int_equal(ports_kept(w->ports), 0);
	for (int i = 0; i < 3; i++)
		close(others[i]);
}

static void the_timer_closes_what_nobody_asks_for(void **state)
{
	struct world *w = *state;
	int other;
	ports_keep(add(w, &w->server, &other));
	pass(w, LIMIT_PORT_LIFE_MS - 1);
	assert_int_equal(ports_kept(w->ports), 1);
	pass(w, 1);
	assert_int_equal(ports_kept(w->ports), 0);
	assert_int_equal(w->counters.upstream_ports_strays, 0);
	close(other);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(so_many_are_kept_and_the_oldest_goes),
		T(each_is_lent_once),
		T(what_comes_goes_to_who_took_it_or_ends_it),
		T(none_outlives_its_life),
		T(the_timer_closes_what_nobody_asks_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
