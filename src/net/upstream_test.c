/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/limits.h"
#include "loop/until.h"

enum { EVENTS_MAX = 32 };

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
	struct upstream *up;
	int server; /* what is asked */
	struct addr at;
	bool cancel_at_message;
	bool ask_again_at_message;
	bool cancel_at_end;
	int events;
	enum ask_event what[EVENTS_MAX];
	struct ask *asks[EVENTS_MAX];
	size_t len[EVENTS_MAX];
	uint8_t first[EVENTS_MAX];
	int late; /* late answers told */
	int64_t late_us;
};

static void event_note(
	void *ctx, struct ask *a, enum ask_event what, const uint8_t *msg, size_t len)
{
	struct world *w = ctx;
	assert_true(w->events < EVENTS_MAX);
	const int i = w->events++;
	w->what[i] = what;
	w->asks[i] = a;
	w->len[i] = len;
	w->first[i] = len ? msg[0] : 0;
	if (what == ASK_MESSAGE && w->cancel_at_message)
		upstream_cancel(w->up, a);
	if (what != ASK_MESSAGE && w->cancel_at_end)
		upstream_cancel(w->up, a);
	if (what == ASK_MESSAGE && w->ask_again_at_message) {
		w->ask_again_at_message = false;
		assert_non_null(upstream_ask(w->up, &w->at, false,
			(const uint8_t *)"again", 5, 1000000, event_note, w));
	}
	if (what == ASK_MESSAGE) /* still readable after a cancel: ASan watches */
		assert_int_equal(w->first[i], len ? msg[0] : 0);
}

static void late_note(void *ctx, const struct addr *server, int64_t rtt_us)
{
	struct world *w = ctx;
	assert_true(addr_equal(server, &w->at));
	w->late++;
	w->late_us = rtt_us;
}

static int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	clock_us = INT64_C(1000) * 1000 * 1000;
	w->loop = loop_new();
	random_init(&w->rnd);
	const struct upstream_conf conf = {
		.max_asks = 100, .late = late_note, .late_ctx = w
	};
	w->up = upstream_new(w->loop, &conf, &w->rnd, &w->counters);
	w->server = -1;
	*state = w;
	return w->up ? 0 : -1;
}

static int world_teardown(void **state)
{
	struct world *w = *state;
	upstream_free(w->up);
	loop_free(w->loop);
	fd_close(&w->server);
	free(w);
	return 0;
}

static void pass(struct world *w, int ms)
{
	clock_us += ms * INT64_C(1000);
	loop_turn(w->loop, 0);
}

static void server_open(struct world *w, int type, const char *ip)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	assert_true(addr_from_text(&w->at, ip, 0));
	w->server = socket(w->at.family == 6 ? AF_INET6 : AF_INET,
		type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(w->server, (struct sockaddr *)&name, addr_to_sockaddr(&w->at, &name)) <
		0)
		skip(); /* no IPv6 here */
	if (type == SOCK_STREAM)
		assert_int_equal(listen(w->server, 100), 0);
	assert_int_equal(getsockname(w->server, (struct sockaddr *)&name, &len), 0);
	assert_true(addr_from_sockaddr(&w->at, (struct sockaddr *)&name));
}

static struct ask *ask(struct world *w, bool tcp, int timeout_ms)
{
	const int before = w->events;
	struct ask *a = upstream_ask(w->up, &w->at, tcp, (const uint8_t *)"question", 8,
		timeout_ms * 1000, event_note, w);
	assert_int_equal(w->events, before); /* never from in there */
	return a;
}

/* What the server hears: from whom. */
static struct addr server_hear(struct world *w, size_t len)
{
	struct sockaddr_storage name;
	socklen_t name_len = sizeof(name);
	uint8_t buf[512];
	ssize_t n = -1;
	const time_t end = until_end();
	while (n < 0 && until_left(end)) {
		n = recvfrom(w->server, buf, sizeof(buf), 0, (struct sockaddr *)&name,
			&name_len);
		if (n < 0)
			loop_turn(w->loop, 1);
	}
	assert_int_equal(n, (ssize_t)len);
	struct addr from;
	assert_true(addr_from_sockaddr(&from, (struct sockaddr *)&name));
	return from;
}

static void say(int fd, const struct addr *to, const void *data, size_t len)
{
	struct sockaddr_storage name;
	const socklen_t name_len = addr_to_sockaddr(to, &name);
	assert_int_equal(sendto(fd, data, len, 0, (struct sockaddr *)&name, name_len),
		(ssize_t)len);
}

static void each_message_is_handed_over_until_cancelled(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	struct ask *a = ask(w, false, 5000);
	assert_int_equal(upstream_in_flight(w->up), 1);
	const struct addr client = server_hear(w, 8);
	assert_true(client.port >= 1024);
	say(w->server, &client, "1", 1);
	say(w->server, &client, "22", 2);
	UNTIL(w, w->events == 2);
	assert_int_equal(w->what[1], ASK_MESSAGE);
	assert_int_equal(w->len[1], 2);
	assert_int_equal(w->counters.upstream_bytes, 3);
	assert_int_equal(w->counters.upstream_udp, 1);
	/* cancelled inside the callback: what else is queued stays unheard */
	w->cancel_at_message = true;
	say(w->server, &client, "3", 1);
	say(w->server, &client, "4", 1);
	UNTIL(w, w->events == 3);
	loop_turn(w->loop, 5);
	assert_int_equal(w->events, 3);
	assert_ptr_equal(w->asks[2], a);
	assert_int_equal(upstream_in_flight(w->up), 0);
}

static void an_ask_in_the_place_of_a_cancelled_one_is_another(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	ask(w, false, 5000);
	const struct addr client = server_hear(w, 8);
	w->cancel_at_message = w->ask_again_at_message = true;
	say(w->server, &client, "1", 1);
	say(w->server, &client, "2", 1);
	UNTIL(w, w->events == 1);
	const struct addr second = server_hear(w, 5);
	assert_int_equal(upstream_in_flight(w->up), 1);
	assert_int_equal(w->events, 1);
	say(w->server, &second, "33", 2);
	UNTIL(w, w->events == 2);
	assert_int_equal(w->first[1], '3');
}

static void a_stranger_is_not_heard(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	ask(w, false, 60);
	const struct addr client = server_hear(w, 8);
	const int stranger = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	say(stranger, &client, "forged", 6);
	close(stranger);
	for (int i = 0; i < 5; i++)
		loop_turn(w->loop, 1);
	assert_int_equal(w->events, 0);
	pass(w, 60);
	UNTIL(w, w->events == 1);
	assert_int_equal(w->what[0], ASK_TIMEOUT);
}

/* An ICMP error can be forged: nobody listens, yet it is the time-out that ends it. */
static void port_unreachable_does_not_end_the_wait(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	fd_close(&w->server);
	w->cancel_at_end = true; /* harmless there */
	ask(w, false, 50);
	for (int i = 0; i < 5; i++)
		loop_turn(w->loop, 1);
	pass(w, 49);
	assert_int_equal(w->events, 0);
	pass(w, 1);
	UNTIL(w, w->events == 1);
	assert_int_equal(w->what[0], ASK_TIMEOUT);
	assert_int_equal(upstream_in_flight(w->up), 0);
}

/* "a. A", id 0x1234 */
static const uint8_t message[] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0,
	0, 1, 0, 1 };

static void ask_message(struct world *w, int timeout_ms)
{
	upstream_ask(w->up, &w->at, false, message, sizeof(message), timeout_ms * 1000,
		event_note, w);
}

static void a_repeat_goes_out_by_the_same_socket(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	ask_message(w, 30);
	const struct addr first = server_hear(w, sizeof(message));
	pass(w, 30);
	UNTIL(w, w->events == 1);
	assert_int_equal(w->what[0], ASK_TIMEOUT);
	ask_message(w, 5000);
	const struct addr second = server_hear(w, sizeof(message));
	assert_true(addr_equal(&first, &second));
	say(w->server, &first, "late", 4);
	UNTIL(w, w->events == 2);
	assert_int_equal(w->what[1], ASK_MESSAGE);
	assert_int_equal(w->late, 0);
}

static void a_late_answer_tells_how_slow_the_server_is(void **state)
{
	struct world *w = *state;
	uint8_t answer[sizeof(message)];
	memcpy(answer, message, sizeof(answer));
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	ask_message(w, 30);
	const struct addr client = server_hear(w, sizeof(message));
	pass(w, 30);
	UNTIL(w, w->events == 1);
	say(w->server, &client, answer, sizeof(answer)); /* no response */
	answer[2] = 0x81;
	answer[1] ^= 1;
	say(w->server, &client, answer, sizeof(answer)); /* another's */
	for (int i = 0; i < 10; i++)
		loop_turn(w->loop, 2);
	assert_int_equal(w->late, 0);
	answer[1] ^= 1;
	say(w->server, &client, answer, sizeof(answer));
	UNTIL(w, w->late == 1);
	assert_true(w->late_us >= 30000);
	assert_int_equal(w->events, 1);
	assert_int_equal(w->counters.upstream_late, 1);
}

static void late_answers_are_waited_for_by_so_many_only(void **state)
{
	struct world *w = *state;
	uint8_t asked[sizeof(message)];
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	memcpy(asked, message, sizeof(asked));
	for (int i = 0; i < LIMIT_ASKS_LATE + 10; i++) {
		asked[0] = (uint8_t)(i >> 8);
		asked[1] = (uint8_t)i;
		w->events = 0;
		assert_non_null(upstream_ask(
			w->up, &w->at, false, asked, sizeof(asked), 0, event_note, w));
		UNTIL(w, w->events == 1);
	}
	assert_int_equal(w->counters.upstream_late_shed, 10);
}

/* --- sockets kept for the next question ------------------------------------- */

static void answer_message(struct world *w, const struct addr *client)
{
	uint8_t answer[sizeof(message)];
	memcpy(answer, message, sizeof(answer));
	answer[2] = 0x81;
	say(w->server, client, answer, sizeof(answer));
}

/* Asks, answers, cancels in the callback; from where it was asked. */
static struct addr round_trip(struct world *w)
{
	w->events = 0;
	w->cancel_at_message = true;
	ask_message(w, 5000);
	const struct addr client = server_hear(w, sizeof(message));
	answer_message(w, &client);
	UNTIL(w, w->events == 1);
	assert_int_equal(upstream_in_flight(w->up), 0);
	return client;
}

static int socket_at(uint16_t port)
{
	for (int fd = 3; fd < 200; fd++) {
		struct sockaddr_storage name;
		socklen_t len = sizeof(name);
		struct addr at;
		if (getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
			addr_from_sockaddr(&at, (struct sockaddr *)&name) &&
			at.port == port)
			return fd;
	}
	return -1;
}

/* Ports are drawn, so another one proves nothing against the same one drawn twice: what
 * counts is what is counted. */
static void a_socket_answered_in_order_serves_the_next_question(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	const struct addr first = round_trip(w);
	for (uint64_t reused = 1; reused < LIMIT_PORT_QUESTIONS; reused++) {
		const struct addr next = round_trip(w);
		assert_int_equal(w->counters.upstream_ports_reused, reused);
		assert_true(addr_equal(&first, &next));
	}
	round_trip(w);
	assert_int_equal(w->counters.upstream_ports_reused, LIMIT_PORT_QUESTIONS - 1);
	assert_int_equal(w->counters.upstream_ports_strays, 0);
}

/* Whoever runs a server learns ports, but none by which another server is asked. */
static void another_server_is_asked_from_a_port_of_its_own(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	round_trip(w);
	fd_close(&w->server);
	server_open(w, SOCK_DGRAM, "127.0.0.2");
	round_trip(w);
	assert_int_equal(w->counters.upstream_ports_reused, 0);
}

static void questions_at_one_time_have_a_port_each(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	round_trip(w);
	w->events = 0;
	ask_message(w, 5000);
	const struct addr one = server_hear(w, sizeof(message));
	ask_message(w, 5000);
	const struct addr two = server_hear(w, sizeof(message));
	assert_false(addr_equal(&one, &two)); /* both are open */
	assert_in_range(w->counters.upstream_ports_reused, 0, 1);
}

static void a_guess_costs_the_socket_its_next_question(void **state)
{
	struct world *w = *state;
	uint8_t guess[sizeof(message)];
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	memcpy(guess, message, sizeof(guess));
	guess[2] = 0x81;
	guess[1] ^= 1;
	/* before the answer */
	ask_message(w, 5000);
	const struct addr first = server_hear(w, sizeof(message));
	say(w->server, &first, guess, sizeof(guess));
	UNTIL(w, w->events == 1);
	w->cancel_at_message = true;
	answer_message(w, &first);
	UNTIL(w, w->events == 2);
	assert_int_equal(upstream_in_flight(w->up), 0);
	const struct addr second = round_trip(w);
	assert_int_equal(w->counters.upstream_ports_reused, 0);
	/* after it, while nothing is asked */
	say(w->server, &second, guess, sizeof(guess));
	UNTIL(w, socket_at(second.port) < 0);
	round_trip(w);
	assert_int_equal(w->counters.upstream_ports_reused, 0);
	upstream_network_changed(w->up);
	/* an asker that takes a guess for an end */
	w->events = 0;
	ask_message(w, 5000);
	const struct addr third = server_hear(w, sizeof(message));
	say(w->server, &third, guess, sizeof(guess));
	UNTIL(w, w->events == 1);
	assert_int_equal(upstream_in_flight(w->up), 0);
	round_trip(w);
	assert_int_equal(w->counters.upstream_ports_reused, 0);
}

static void a_question_without_its_answer_takes_its_socket_along(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	/* given up */
	struct ask *a = upstream_ask(w->up, &w->at, false, message, sizeof(message),
		5000 * 1000, event_note, w);
	server_hear(w, sizeof(message));
	upstream_cancel(w->up, a);
	round_trip(w);
	assert_int_equal(w->counters.upstream_ports_reused, 0);
	upstream_network_changed(w->up);
	/* sent twice: two answers may come */
	w->events = 0;
	ask_message(w, 20);
	const struct addr slow = server_hear(w, sizeof(message));
	pass(w, 20);
	UNTIL(w, w->events == 1);
	const struct addr repeat = round_trip(w);
	assert_true(addr_equal(&slow, &repeat));
	round_trip(w);
	assert_int_equal(w->counters.upstream_ports_reused, 0);
}

static void a_kept_socket_that_can_not_send_is_replaced(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	const struct addr first = round_trip(w);
	const int fd = socket_at(first.port);
	if (fd >= 0)
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
	round_trip(w); /* heard all the same */
}

static void a_change_of_the_network_ends_what_was_kept(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	const struct addr first = round_trip(w);
	upstream_network_changed(w->up);
	assert_int_equal(socket_at(first.port), -1);
	round_trip(w);
	assert_int_equal(w->counters.upstream_ports_reused, 0);
}

static void what_nobody_asks_by_is_closed_soon(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	const struct addr first = round_trip(w);
	pass(w, LIMIT_PORT_LIFE_MS - 1);
	assert_true(socket_at(first.port) >= 0);
	pass(w, 1);
	UNTIL(w, socket_at(first.port) < 0);
	assert_int_equal(w->counters.upstream_ports_strays, 0);
}

static void ipv6_is_asked_too(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "::1");
	ask(w, false, 5000);
	const struct addr client = server_hear(w, 8);
	say(w->server, &client, "6", 1);
	UNTIL(w, w->events == 1);
	assert_int_equal(w->first[0], '6');
}

static void ports_come_from_the_whole_range(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	unsigned low = 0, high = 0, repeated = 0;
	uint16_t last = 0;
	for (int i = 0; i < 90; i++) {
		struct ask *a = ask(w, false, 5000);
		const struct addr client = server_hear(w, 8);
		low += client.port < 16384;
		high += client.port > 61000; /* over the kernel's own default range */
		repeated += client.port == last;
		last = client.port;
		upstream_cancel(w->up, a);
	}
	assert_in_range(low, 5, 45);
	assert_true(high > 0);
	assert_true(repeated < 3);
}

static void what_can_not_be_sent_is_told_by_the_loop(void **state)
{
	struct world *w = *state;
	/* the limited broadcast address: EACCES */
	assert_true(addr_from_text(&w->at, "255.255.255.255", 53));
	ask(w, false, 5000);
	UNTIL(w, w->events == 1);
	assert_int_equal(w->what[0], ASK_UNREACHABLE);
	w->at = (struct addr){ 0 };
	ask(w, true, 5000);
	UNTIL(w, w->events == 2);
	assert_int_equal(w->what[1], ASK_UNREACHABLE);
	assert_true(addr_from_text(&w->at, "127.0.0.1", 53));
	struct rlimit before, none;
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	ask(w, false, 5000);
	ask(w, true, 5000);
	setrlimit(RLIMIT_NOFILE, &before);
	UNTIL(w, w->events == 4);
	assert_int_equal(w->what[2], ASK_UNREACHABLE);
	assert_int_equal(w->what[3], ASK_UNREACHABLE);
	assert_int_equal(w->counters.fd_exhausted, 2);
	assert_int_equal(w->counters.upstream_udp + w->counters.upstream_tcp, 0);
	/* cancelled before the loop tells it */
	w->at = (struct addr){ 0 };
	upstream_cancel(w->up, ask(w, false, 5000));
	loop_turn(w->loop, 5);
	assert_int_equal(w->events, 4);
}

static void an_outgoing_address_is_used_or_the_failure_told(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	upstream_free(w->up);
	struct upstream_conf conf = { .max_asks = 2 };
	assert_true(addr_from_text(&conf.outgoing_v4, "127.0.0.9", 0));
	w->up = upstream_new(w->loop, &conf, &w->rnd, &w->counters);
	ask(w, false, 5000);
	char text[ADDR_TEXT_MAX];
	const struct addr client = server_hear(w, 8);
	assert_string_equal(addr_ip_text(&client, text), "127.0.0.9");
	ask(w, false, 5000);
	assert_null(ask(w, false, 5000)); /* the table is full */
	upstream_free(w->up);
	assert_true(addr_from_text(&conf.outgoing_v4, "192.0.2.7", 0));
	w->up = upstream_new(w->loop, &conf, &w->rnd, &w->counters);
	ask(w, false, 5000);
	ask(w, true, 5000);
	UNTIL(w, w->events == 2);
	assert_int_equal(w->what[0], ASK_UNREACHABLE);
	assert_int_equal(w->what[1], ASK_UNREACHABLE);
}

/* --- TCP ------------------------------------------------------------------- */

static int server_accept(struct world *w)
{
	int fd = -1;
	UNTIL(w, fd >= 0 || (fd = accept4(w->server, NULL, NULL,
				     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	return fd;
}

static void server_read_question(struct world *w, int fd)
{
	uint8_t buf[10];
	size_t got = 0;
	const time_t end = until_end();
	while (got < sizeof(buf) && until_left(end)) {
		const ssize_t n = recv(fd, buf + got, sizeof(buf) - got, 0);
		assert_int_not_equal(n, 0);
		got += n > 0 ? (size_t)n : 0;
		loop_turn(w->loop, n < 0);
	}
	assert_int_equal(got, sizeof(buf));
	assert_memory_equal(buf, "\0\10question", 10);
}

static void a_message_over_tcp_comes_whole_in_pieces(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_STREAM, "127.0.0.1");
	ask(w, true, 5000);
	int fd = server_accept(w);
	server_read_question(w, fd);
	static const char two[] = "\0\3abc\0\1z";
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(send(fd, two + i, 1, 0), 1);
		loop_turn(w->loop, 1);
	}
	UNTIL(w, w->events == 2);
	assert_int_equal(w->len[0], 3);
	assert_int_equal(w->first[1], 'z');
	/* the longest one */
	static uint8_t longest[2 + 65535] = { 255, 255, 'L' };
	for (size_t sent = 0; sent < sizeof(longest);) {
		const ssize_t n = send(fd, longest + sent, sizeof(longest) - sent, 0);
		sent += n > 0 ? (size_t)n : 0;
		loop_turn(w->loop, 1);
	}
	UNTIL(w, w->events == 3);
	assert_int_equal(w->len[2], 65535);
	assert_int_equal(w->counters.upstream_tcp, 1);
	/* half a message, then the end */
	assert_int_equal(send(fd, "\0\5ab", 4, 0), 4);
	fd_close(&fd);
	UNTIL(w, w->events == 4);
	assert_int_equal(w->what[3], ASK_CLOSED);
	assert_int_equal(upstream_in_flight(w->up), 0);
}

static void tcp_refused_or_silent_or_closed_is_told(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_STREAM, "127.0.0.1");
	ask(w, true, 50);
	pass(w, 50);
	UNTIL(w, w->events == 1);
	assert_int_equal(w->what[0], ASK_TIMEOUT);
	ask(w, true, 5000);
	int fd = server_accept(w);
	fd_close(&fd);
	fd = server_accept(w);
	fd_close(&fd);
	UNTIL(w, w->events == 2);
	assert_int_equal(w->what[1], ASK_CLOSED);
	fd_close(&w->server);
	ask(w, true, 5000);
	UNTIL(w, w->events == 3);
	assert_int_equal(w->what[2], ASK_CLOSED);
}

static void a_connection_is_kept_for_the_next_question(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_STREAM, "127.0.0.1");
	w->cancel_at_message = true;
	ask(w, true, 5000);
	int fd = server_accept(w);
	for (int i = 0; i < 3; i++) {
		server_read_question(w, fd);
		assert_int_equal(send(fd, "\0\1a", 3, 0), 3);
		UNTIL(w, w->events == i + 1);
		ask(w, true, 5000);
	}
	assert_int_equal(accept(w->server, NULL, NULL), -1);
	server_read_question(w, fd);
	/* closed under the question: asked again on a fresh connection */
	fd_close(&fd);
	fd = server_accept(w);
	server_read_question(w, fd);
	assert_int_equal(send(fd, "\0\2bb", 4, 0), 4);
	UNTIL(w, w->events == 4);
	assert_int_equal(w->what[3], ASK_MESSAGE);
	assert_int_equal(w->len[3], 2);
	/* idle and closed by the server: the next question sees nothing of it */
	fd_close(&fd);
	loop_turn(w->loop, 5);
	ask(w, true, 5000);
	fd = server_accept(w);
	server_read_question(w, fd);
	fd_close(&fd);
	UNTIL(w, w->events == 5);
	assert_int_equal(w->what[4], ASK_CLOSED);
}

static void a_connection_that_says_more_than_asked_is_not_kept(void **state)
{
	struct world *w = *state;
	server_open(w, SOCK_STREAM, "127.0.0.1");
	w->cancel_at_message = true;
	ask(w, true, 5000);
	int fd = server_accept(w);
	server_read_question(w, fd);
	assert_int_equal(send(fd, "\0\1a\0\1b", 6, 0), 6);
	UNTIL(w, w->events == 1);
	loop_turn(w->loop, 5);
	assert_int_equal(w->events, 1);
	ask(w, true, 5000);
	int second = server_accept(w);
	server_read_question(w, second);
	fd_close(&fd);
	fd_close(&second);
}

/* --- fragments: in a network of its own with a small MTU ------------------- */

static int fragments_in_child(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return 77;
	if (system("ip link set lo up mtu 1280 2>/dev/null") != 0)
		return 77;
	struct world *w;
	if (world_setup((void **)&w))
		return 1;
	server_open(w, SOCK_DGRAM, "127.0.0.1");
	ask(w, false, 5000);
	const struct addr client = server_hear(w, 8);
	static uint8_t big[3000] = { 'F' };
	say(w->server, &client, big, sizeof(big)); /* leaves in three pieces */
	say(w->server, &client, "ok", 2);
	UNTIL(w, w->events == 1);
	if (w->first[0] != 'o' || w->counters.upstream_fragments != 1)
		return 2;
	world_teardown((void **)&w);
	return 0;
}

static void answers_in_fragments_are_not_accepted(void **state)
{
	(void)state;
	const pid_t pid = fork();
	if (!pid)
		_exit(fragments_in_child());
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* no right to make a network */
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(each_message_is_handed_over_until_cancelled),
		T(an_ask_in_the_place_of_a_cancelled_one_is_another),
		T(a_stranger_is_not_heard),
		T(port_unreachable_does_not_end_the_wait),
		T(a_repeat_goes_out_by_the_same_socket),
		T(a_late_answer_tells_how_slow_the_server_is),
		T(late_answers_are_waited_for_by_so_many_only),
		T(a_socket_answered_in_order_serves_the_next_question),
		T(another_server_is_asked_from_a_port_of_its_own),
		T(questions_at_one_time_have_a_port_each),
		T(a_guess_costs_the_socket_its_next_question),
		T(a_question_without_its_answer_takes_its_socket_along),
		T(a_kept_socket_that_can_not_send_is_replaced),
		T(a_change_of_the_network_ends_what_was_kept),
		T(what_nobody_asks_by_is_closed_soon),
		T(ipv6_is_asked_too),
		T(ports_come_from_the_whole_range),
		T(what_can_not_be_sent_is_told_by_the_loop),
		T(an_outgoing_address_is_used_or_the_failure_told),
		T(a_message_over_tcp_comes_whole_in_pieces),
		T(tcp_refused_or_silent_or_closed_is_told),
		T(a_connection_is_kept_for_the_next_question),
		T(a_connection_that_says_more_than_asked_is_not_kept),
		T(answers_in_fragments_are_not_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
