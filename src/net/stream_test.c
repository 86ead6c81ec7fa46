/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/limits.h"

enum { HELD_MAX = 256 };

enum answer_mode { ANSWER_NOW, ANSWER_NEVER, ANSWER_HOLD, ANSWER_SKIP, ANSWER_CLOSE };

struct world {
	struct loop *loop;
	struct counters counters;
	struct stream_conf conf;
	struct stream_server *server;
	struct addr at;
	enum answer_mode mode;
	size_t answer_len; /* 0: as long as the query */
	int queries, closed, drained;
	size_t last_len;
	uint8_t last[65535];
	struct addr last_from, last_to;
	struct stream_id held[HELD_MAX]; /* unanswered */
	uint8_t held_first[HELD_MAX];
	int held_count;
};

static uint8_t answer[65535];

static void query_handle(void *ctx, struct stream_server *s, struct stream_id id,
	const struct addr *from, const struct addr *to, const uint8_t *data, size_t len)
{
	struct world *w = ctx;
	w->queries++;
	w->last_len = len;
	memcpy(w->last, data, len);
	w->last_from = *from;
	w->last_to = *to;
	if (w->mode == ANSWER_HOLD && w->held_count < HELD_MAX) {
		w->held[w->held_count] = id;
		w->held_first[w->held_count++] = len ? data[0] : 0;
	} else if (w->mode == ANSWER_SKIP) {
		stream_skip(s, id);
	} else if (w->mode == ANSWER_CLOSE) {
		stream_close(s, id);
		assert_false(stream_reply(s, id, data, len));
	} else if (w->mode == ANSWER_NOW) {
		if (w->answer_len)
			stream_reply(s, id, answer, w->answer_len);
		else
			stream_reply(s, id, data, len);
	}
	/* still readable, whatever became of the connection: ASan watches */
	for (size_t i = 0; i < len; i++)
		assert_int_equal(w->last[i], data[i]);
}

static void connection_closed(void *ctx, struct stream_id id)
{
	struct world *w = ctx;
	assert_true(id.conn != 0);
	w->closed++;
}

static void world_drained(void *ctx)
{
	struct world *w = ctx;
	w->drained++;
}

static void server_start(struct world *w)
{
	const struct stream_hooks hooks = {
		.query = query_handle, .closed = connection_closed, .ctx = w
	};
	struct sockaddr_in name = { .sin_family = AF_INET };
	socklen_t len = sizeof(name);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 1024), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_true(addr_from_sockaddr(&w->at, (struct sockaddr *)&name));
	w->server = stream_server_new(w->loop, fd, &w->conf, &hooks, &w->counters);
	assert_non_null(w->server);
}

static int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	w->loop = loop_new();
	w->conf = (struct stream_conf){ .max_clients = 64,
		.max_clients_per_address = 32,
		.pipeline = 100,
		.idle_ms = 60000 };
	*state = w;
	return 0;
}

static int world_teardown(void **state)
{
	struct world *w = *state;
	stream_server_free(w->server);
	assert_int_equal(w->counters.tcp_clients, 0);
	loop_free(w->loop);
	free(w);
	return 0;
}

/* A little while: to see that nothing more happens. */
static void turns(struct world *w, int count)
{
	while (count--)
		loop_turn(w->loop, 1);
}

/* The machine may be busy: wait for what must come. */
#define UNTIL(w, condition)                                                            \
	do {                                                                           \
		for (int tries_ = 0; tries_ < 3000 && !(condition); tries_++)          \
			loop_turn((w)->loop, 1);                                       \
		assert_true(condition);                                                \
	} while (0)

/* A client at 127.0.0.`host`. */
static int client_from(struct world *w, uint8_t host)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f000000u | host) };
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(w->at.port),
		.sin_addr.s_addr = htonl(0x7f000001u) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const uint64_t before = w->counters.tcp_accepted + w->counters.tcp_clients_shed;
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(fd_set_nonblock(fd), 0);
	UNTIL(w, w->counters.tcp_accepted + w->counters.tcp_clients_shed > before);
	return fd;
}

static void client_ask(int fd, uint8_t first, uint16_t len)
{
	uint8_t msg[2 + 65535] = { (uint8_t)(len >> 8), (uint8_t)len, first };
	assert_int_equal(send(fd, msg, 2u + len, MSG_NOSIGNAL), 2 + len);
}

/* One whole answer, or -1: nothing; 0 length is -2, the end of the stream -3. */
static int client_hear(int fd, uint8_t *msg)
{
	uint8_t head[2];
	const ssize_t n = recv(fd, head, 2, MSG_PEEK);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return -3;
	if (n < 2)
		return -1;
	const ssize_t len = head[0] << 8 | head[1];
	static uint8_t whole[2 + 65535];
	if (recv(fd, whole, (size_t)len + 2, MSG_PEEK) < len + 2)
		return -1;
	assert_int_equal(recv(fd, whole, (size_t)len + 2, 0), len + 2);
	if (msg)
		memcpy(msg, whole + 2, (size_t)len);
	return len ? (int)len : -2;
}

static int client_wait(struct world *w, int fd, uint8_t *msg)
{
	int got = -1;
	for (int i = 0; i < 1000 && got == -1; i++) {
		loop_turn(w->loop, 1);
		got = client_hear(fd, msg);
	}
	return got;
}

static void every_split_of_a_message_gives_the_same_message(void **state)
{
	struct world *w = *state;
	server_start(w);
	const uint8_t two[] = { 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'z' };
	for (size_t first = 0; first < sizeof(two); first++)
		for (size_t second = first; second < sizeof(two); second++) {
			const int fd = client_from(w, 1);
			const int before = w->queries;
			send(fd, two, first, 0);
			UNTIL(w, w->queries == before + (first >= 5) + (first >= 7));
			send(fd, two + first, second - first, 0);
			UNTIL(w, w->queries == before + (second >= 5) + (second >= 7));
			send(fd, two + second, sizeof(two) - second, 0);
			UNTIL(w, w->queries == before + 3);
			uint8_t msg[65535];
			assert_int_equal(client_wait(w, fd, msg), 3);
			assert_memory_equal(msg, "abc", 3);
			assert_int_equal(client_wait(w, fd, msg), -2);
			assert_int_equal(client_wait(w, fd, msg), 1);
			close(fd);
			UNTIL(w, !stream_server_clients(w->server));
		}
}

static void the_longest_message_comes_byte_by_byte_and_in_one_go(void **state)
{
	struct world *w = *state;
	server_start(w);
	const int fd = client_from(w, 1);
	client_ask(fd, 1, 700);
	uint8_t bytes[702] = { 700 >> 8, 700 & 255 };
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = i < 2 ? bytes[i] : (uint8_t)i;
		assert_int_equal(send(fd, &bytes[i], 1, 0), 1);
		loop_turn(w->loop, 0);
	}
	UNTIL(w, w->queries == 2);
	assert_memory_equal(w->last, bytes + 2, 700);
	for (int i = 0; i < 3; i++) {
		client_ask(fd, 7, 65535);
		UNTIL(w, w->queries == 3 + i);
		assert_int_equal(w->last_len, 65535);
	}
	char text[ADDR_TEXT_MAX];
	assert_string_equal(addr_ip_text(&w->last_to, text), "127.0.0.1");
	assert_int_equal(w->last_to.port, w->at.port);
	close(fd);
}

static void a_promise_of_65535_bytes_never_kept_ends_by_time(void **state)
{
	struct world *w = *state;
	w->conf.idle_ms = 60;
	server_start(w);
	const int fd = client_from(w, 1);
	const int64_t began = loop_now(w->loop)->mono_us;
	assert_int_equal(send(fd, "\xff\xff", 2, 0), 2);
	/* a byte now and then is no activity */
	while (client_hear(fd, NULL) == -1 &&
		loop_now(w->loop)->mono_us < began + 2000000) {
		send(fd, "x", 1, MSG_NOSIGNAL);
		loop_turn(w->loop, 5);
	}
	/* counted from the accepting, a little before */
	assert_in_range(loop_now(w->loop)->mono_us - began, 50000, 1900000);
	assert_int_equal(w->queries, 0);
	assert_int_equal(w->counters.tcp_timeouts, 1);
	assert_int_equal(w->closed, 1);
	close(fd);
}

static void a_hundred_pipelined_queries_are_answered_out_of_order(void **state)
{
	struct world *w = *state;
	w->mode = ANSWER_HOLD;
	server_start(w);
	const int fd = client_from(w, 1);
	for (int i = 0; i < 130; i++)
		client_ask(fd, (uint8_t)i, 20);
	UNTIL(w, w->queries == 100);
	turns(w, 5);
	assert_int_equal(w->queries, 100); /* the rest waits */
	for (int i = 99; i >= 0; i--) {
		const uint8_t reply[20] = { w->held_first[i] };
		assert_true(stream_reply(w->server, w->held[i], reply, sizeof(reply)));
	}
	UNTIL(w, w->queries == 130);
	uint8_t msg[65535];
	for (int i = 99; i >= 0; i--) {
		assert_int_equal(client_wait(w, fd, msg), 20);
		assert_int_equal(msg[0], i);
	}
	assert_int_equal(client_hear(fd, msg), -1);
	for (int i = 100; i < 130; i++)
		stream_skip(w->server, w->held[i]);
	client_ask(fd, 77, 20);
	UNTIL(w, w->queries == 131);
	close(fd);
	/* it still waits for an answer: closed without one it is gone when that can't
	 * be sent */
	assert_true(stream_reply(w->server, w->held[130], msg, 20));
	UNTIL(w, w->closed == 1);
	assert_false(stream_reply(w->server, w->held[130], msg, 20)); /* too late */
	stream_skip(w->server, w->held[130]);
}

static void a_flood_on_one_connection_comes_in_shares(void **state)
{
	struct world *w = *state;
	enum {
		MESSAGES = 1000,
		SHARES = 2 * 32 /* read, and once more in the flush */
	};
	static uint8_t flood[MESSAGES * 22];
	w->mode = ANSWER_SKIP;
	server_start(w);
	const int fd = client_from(w, 1);
	turns(w, 2);
	for (int i = 0; i < MESSAGES; i++)
		flood[22 * i + 1] = 20;
	assert_int_equal(send(fd, flood, sizeof(flood), 0), sizeof(flood));
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 2 * MESSAGES / SHARES && w->queries < MESSAGES; i++) {
		const int before = w->queries;
		loop_turn(w->loop, 1);
		assert_in_range(w->queries - before, 0, SHARES);
	}
	assert_int_equal(w->queries, MESSAGES); /* also those behind the end */
	UNTIL(w, w->closed == 1);
	close(fd);
}

static void a_client_that_ended_its_side_still_gets_its_answers(void **state)
{
	struct world *w = *state;
	w->mode = ANSWER_HOLD;
	w->conf.pipeline = 2; /* the third waits behind the end of the stream */
	server_start(w);
	const int fd = client_from(w, 1);
	for (uint8_t i = 0; i < 3; i++)
		client_ask(fd, i, 20);
	shutdown(fd, SHUT_WR);
	UNTIL(w, w->queries == 2);
	uint8_t msg[65535];
	for (int i = 0; i < 3; i++) {
		assert_int_equal(client_hear(fd, msg), -1);
		UNTIL(w, w->held_count > i);
		assert_true(stream_reply(w->server, w->held[i], answer, 30));
		assert_int_equal(client_wait(w, fd, msg), 30);
	}
	assert_int_equal(w->queries, 3);
	assert_int_equal(client_wait(w, fd, msg), -3);
	assert_int_equal(w->closed, 1);
	close(fd);
}

static void a_slow_reader_is_read_no_further_and_closed_when_it_owes_too_much(
	void **state)
{
	struct world *w = *state;
	w->mode = ANSWER_HOLD;
	server_start(w);
	const int fd = client_from(w, 1);
	const int small = 4096;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 99; i++)
		client_ask(fd, 1, 20);
	UNTIL(w, w->held_count == 99);
	int taken = 0;
	for (int i = 0; i < 99; i++) {
		taken += stream_reply(w->server, w->held[i], answer, 65535);
		turns(w, 1);
	}
	assert_in_range(taken, LIMIT_TCP_OUT_BYTES / 65537, 98);
	assert_int_equal(w->counters.tcp_slow_readers, 1);
	assert_int_equal(w->closed, 1);
	close(fd);

	UNTIL(w, w->closed == 1);

	/* one that reads slowly, but reads, is served in full */
	w->mode = ANSWER_NOW;
	w->answer_len = 60000;
	const int slow = client_from(w, 1);
	const int before = w->queries;
	for (int i = 0; i < 99; i++)
		client_ask(slow, 1, 20);
	turns(w, 5);
	assert_true(w->queries - before < 99);
	static uint8_t part[5000];
	size_t got = 0;
	const size_t wanted = (size_t)99 * (2 + 60000);
	for (int i = 0; i < 20000 && got < wanted; i++) {
		const ssize_t n = recv(slow, part, sizeof(part), 0);
		assert_int_not_equal(n, 0);
		got += n > 0 ? (size_t)n : 0;
		loop_turn(w->loop, n < 0);
	}
	assert_int_equal(got, wanted);
	assert_int_equal(w->queries - before, 99);
	close(slow);
}

static void who_does_not_read_for_the_idle_time_is_closed(void **state)
{
	struct world *w = *state;
	w->conf.idle_ms = 50;
	w->mode = ANSWER_HOLD;
	server_start(w);
	const int small = 4096;
	/* inherited by what is accepted */
	setsockopt(stream_server_fd(w->server), SOL_SOCKET, SO_SNDBUF, &small,
		sizeof(small));
	const int fd = client_from(w, 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 99; i++)
		client_ask(fd, 1, 20);
	UNTIL(w, w->held_count == 99);
	/* more than the kernel's buffers, less than the limit is ever left */
	for (int i = 0; i < 99; i++)
		assert_true(stream_reply(w->server, w->held[i], answer, 5000));
	UNTIL(w, w->closed == 1);
	assert_int_equal(w->counters.tcp_slow_readers, 1);
	close(fd);
}

static void a_query_under_way_is_not_idle(void **state)
{
	struct world *w = *state;
	w->conf.idle_ms = 30;
	w->mode = ANSWER_HOLD;
	server_start(w);
	const int fd = client_from(w, 1);
	client_ask(fd, 1, 20);
	UNTIL(w, w->held_count == 1);
	const int64_t until = loop_refresh(w->loop)->mono_us + 120000;
	while (loop_now(w->loop)->mono_us < until)
		loop_turn(w->loop, 10);
	assert_int_equal(w->closed, 0);
	assert_true(stream_reply(w->server, w->held[0], answer, 10));
	assert_int_equal(client_wait(w, fd, NULL), 10);
	assert_int_equal(client_wait(w, fd, NULL), -3); /* now it was idle */
	assert_int_equal(w->counters.tcp_timeouts, 1);
	close(fd);
}

static void the_longest_idle_client_makes_room(void **state)
{
	struct world *w = *state;
	w->conf.max_clients = 4;
	w->conf.max_clients_per_address = 3;
	server_start(w);
	int fd[7];
	for (int i = 0; i < 3; i++)
		fd[i] = client_from(w, 1);
	w->mode = ANSWER_HOLD;
	client_ask(fd[0], 1, 20); /* busy */
	UNTIL(w, w->held_count == 1);
	fd[3] = client_from(w, 1); /* the fourth of this address: fd[1] goes */
	assert_int_equal(client_wait(w, fd[1], NULL), -3);
	assert_int_equal(stream_server_clients(w->server), 3);
	fd[4] = client_from(w, 2);
	fd[5] = client_from(w, 3); /* the fifth of all: fd[2] goes */
	assert_int_equal(client_wait(w, fd[2], NULL), -3);
	assert_int_equal(stream_server_clients(w->server), 4);
	assert_int_equal(w->counters.tcp_clients_shed, 2);
	client_ask(fd[3], 1, 20);
	client_ask(fd[4], 1, 20);
	client_ask(fd[5], 1, 20);
	UNTIL(w, w->held_count == 4);
	fd[6] = client_from(w, 4); /* nobody is idle: it has to go itself */
	assert_int_equal(client_wait(w, fd[6], NULL), -3);
	assert_int_equal(w->counters.tcp_clients_shed, 3);
	assert_int_equal(w->counters.tcp_accepted, 6);
	for (int i = 0; i < w->held_count; i++)
		assert_true(stream_reply(w->server, w->held[i], answer, 5));
	assert_int_equal(client_wait(w, fd[0], NULL), 5);
	for (int i = 0; i < 7; i++)
		close(fd[i]);
}

/* --- others of the host ---------------------------------------------------------- */

static void others_count(
	void *ctx, enum stream_kind kind, const struct addr *from, int change)
{
	(void)ctx, (void)kind, (void)from, (void)change;
}

static unsigned others_of(void *ctx, enum stream_kind kind, const struct addr *from)
{
	(void)ctx, (void)kind, (void)from;
	return 0;
}

static unsigned others_all(void *ctx, enum stream_kind kind)
{
	const unsigned *all = ctx;
	(void)kind;
	return *all;
}

static void a_full_host_keeps_nobody_out_where_nobody_is(void **state)
{
	struct world *w = *state;
	unsigned all = 128;
	const struct stream_census census = { others_count, others_of, others_all,
		&all };
	w->conf.max_clients = 128; /* two of them are ours in any case */
	w->conf.census = &census;
	server_start(w);
	int fd[6];
	fd[0] = client_from(w, 1);
	fd[1] = client_from(w, 2);
	assert_int_equal(stream_server_clients(w->server), 2);
	assert_int_equal(w->counters.tcp_clients_shed, 0);
	fd[2] = client_from(w, 3); /* beyond these each bears its part: fd[0] goes */
	assert_int_equal(client_wait(w, fd[0], NULL), -3);
	assert_int_equal(stream_server_clients(w->server), 2);
	w->mode = ANSWER_HOLD;
	client_ask(fd[1], 1, 20);
	client_ask(fd[2], 1, 20);
	UNTIL(w, w->held_count == 2);
	fd[3] = client_from(w, 4); /* nobody is idle */
	assert_int_equal(client_wait(w, fd[3], NULL), -3);
	assert_int_equal(w->counters.tcp_clients_shed, 2);
	all = 127;
	fd[4] = client_from(w, 4);
	fd[5] = client_from(w, 5);
	assert_int_equal(stream_server_clients(w->server), 4);
	for (int i = 0; i < 6; i++)
		close(fd[i]);
	stream_server_free(w->server); /* before its census goes */
	w->server = NULL;
}

static void ids_of_closed_connections_are_not_found_again(void **state)
{
	struct world *w = *state;
	w->conf.max_clients = 1; /* always the same slot */
	w->mode = ANSWER_HOLD;
	server_start(w);
	for (int i = 0; i < 5; i++) {
		const int fd = client_from(w, 1);
		client_ask(fd, 1, 20);
		UNTIL(w, w->held_count == i + 1);
		const struct linger reset = { .l_onoff = 1 };
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
		UNTIL(w, w->closed == i + 1);
	}
	const int fd = client_from(w, 1);
	assert_int_equal(w->held_count, 5);
	for (int i = 0; i < 5; i++) {
		assert_false(stream_reply(w->server, w->held[i], answer, 5));
		stream_close(w->server, w->held[i]);
		struct stream_id other = w->held[i];
		other.conn++;
		stream_close(w->server, other); /* no such slot */
	}
	assert_int_equal(stream_server_clients(w->server), 1);
	close(fd);
}

static void a_query_hook_may_close_or_skip(void **state)
{
	struct world *w = *state;
	w->mode = ANSWER_SKIP;
	server_start(w);
	int fd = client_from(w, 1);
	client_ask(fd, 1, 20);
	client_ask(fd, 2, 20);
	UNTIL(w, w->queries == 2);
	assert_int_equal(client_hear(fd, NULL), -1);
	w->mode = ANSWER_CLOSE;
	client_ask(fd, 1, 20);
	send(fd, "\0\1x", 3, MSG_NOSIGNAL);
	UNTIL(w, w->closed == 1);
	assert_int_equal(w->queries, 3);
	assert_int_equal(client_wait(w, fd, NULL), -3);
	close(fd);
}

static void a_reset_is_survived_with_answers_due(void **state)
{
	struct world *w = *state;
	w->mode = ANSWER_HOLD;
	w->conf.pipeline = 1; /* reading is stopped: only the hangup tells */
	server_start(w);
	const int fd = client_from(w, 1);
	client_ask(fd, 1, 20);
	UNTIL(w, w->held_count == 1);
	const struct linger reset = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	UNTIL(w, w->closed == 1);
	assert_false(stream_reply(w->server, w->held[0], answer, 5));
}

static void draining_takes_who_waits_answers_and_then_tells(void **state)
{
	struct world *w = *state;
	w->mode = ANSWER_HOLD;
	server_start(w);
	const int old = client_from(w, 1);
	client_ask(old, 1, 20);
	UNTIL(w, w->held_count == 1);
	/* connected, not yet accepted */
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(w->at.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(waiting, (struct sockaddr *)&to, sizeof(to)), 0);
	fd_set_nonblock(waiting);
	stream_server_drain(w->server, world_drained, w);
	assert_int_equal(stream_server_fd(w->server), -1);
	assert_int_equal(stream_server_clients(w->server), 2);
	const int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(late, (struct sockaddr *)&to, sizeof(to)), -1);
	/* its query may take a while: a long path, a slow client */
	const int64_t end_us = loop_refresh(w->loop)->mono_us + 800 * 1000;
	while (loop_refresh(w->loop)->mono_us < end_us)
		loop_turn(w->loop, 5);
	assert_int_equal(stream_server_clients(w->server), 2);
	client_ask(waiting, 2, 20);
	UNTIL(w, w->held_count == 2);
	for (int i = 0; i < 2; i++)
		assert_true(stream_reply(w->server, w->held[i], answer, 9));
	assert_int_equal(client_wait(w, old, NULL), 9);
	assert_int_equal(client_wait(w, waiting, NULL), 9);
	assert_int_equal(w->drained, 0);
	assert_int_equal(client_wait(w, old, NULL), -3);
	UNTIL(w, w->drained == 1);
	close(old);
	close(waiting);
	close(late);
}

static void out_of_descriptors_pauses_accepting_and_recovers(void **state)
{
	struct world *w = *state;
	server_start(w);
	const int idle = client_from(w, 1);
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(w->at.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	fd_set_nonblock(fd);
	struct rlimit before, none;
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 3; /* all numbers below are taken */
	setrlimit(RLIMIT_NOFILE, &none);
	turns(w, 5);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(w->counters.fd_exhausted, 1);    /* paused: not in each turn */
	assert_int_equal(client_wait(w, idle, NULL), -3); /* made room */
	client_ask(fd, 1, 20);
	assert_int_equal(client_wait(w, fd, NULL), 20);
	close(fd);
	close(idle);
}

static void a_socket_from_elsewhere_is_served(void **state)
{
	struct world *w = *state;
	const struct stream_hooks hooks = { .query = query_handle, .ctx = w };
	w->server = stream_server_new(w->loop, -1, &w->conf, &hooks, &w->counters);
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	struct addr from;
	assert_true(addr_from_text(&from, "192.0.2.1", 4000));
	assert_true(stream_server_adopt(w->server, fd[0], &from, &from));
	client_ask(fd[1], 5, 33);
	assert_int_equal(client_wait(w, fd[1], NULL), 33);
	assert_true(addr_equal(&w->last_from, &from));
	stream_server_drain(w->server, world_drained, w);
	close(fd[1]);
	UNTIL(w, w->drained == 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(every_split_of_a_message_gives_the_same_message),
		T(the_longest_message_comes_byte_by_byte_and_in_one_go),
		T(a_promise_of_65535_bytes_never_kept_ends_by_time),
		T(a_hundred_pipelined_queries_are_answered_out_of_order),
		T(a_flood_on_one_connection_comes_in_shares),
		T(a_client_that_ended_its_side_still_gets_its_answers),
		T(a_slow_reader_is_read_no_further_and_closed_when_it_owes_too_much),
		T(who_does_not_read_for_the_idle_time_is_closed),
		T(a_query_under_way_is_not_idle),
		T(the_longest_idle_client_makes_room),
		T(a_full_host_keeps_nobody_out_where_nobody_is),
		T(ids_of_closed_connections_are_not_found_again),
		T(a_query_hook_may_close_or_skip),
		T(a_reset_is_survived_with_answers_due),
		T(draining_takes_who_waits_answers_and_then_tells),
		T(out_of_descriptors_pauses_accepting_and_recovers),
		T(a_socket_from_elsewhere_is_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
