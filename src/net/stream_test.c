/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_test.c - messages in, answers out. */
#include "net/stream_world.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"

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
	const time_t end = until_end();
	while (w->queries < MESSAGES && until_left(end)) {
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
	const time_t end = until_end();
	while (got < wanted && until_left(end)) {
		const ssize_t n = recv(slow, part, sizeof(part), 0);
		assert_int_not_equal(n, 0);
		got += n > 0 ? (size_t)n : 0;
		loop_turn(w->loop, n < 0);
	}
	assert_int_equal(got, wanted);
	assert_int_equal(w->queries - before, 99);
	close(slow);
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

static void a_socket_from_elsewhere_is_served(void **state)
{
	struct world *w = *state;
	const struct stream_hooks hooks = world_hooks(w);
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
	const struct CMUnitTest tests[] = {
		STORY(every_split_of_a_message_gives_the_same_message),
		STORY(the_longest_message_comes_byte_by_byte_and_in_one_go),
		STORY(a_hundred_pipelined_queries_are_answered_out_of_order),
		STORY(a_flood_on_one_connection_comes_in_shares),
		STORY(a_client_that_ended_its_side_still_gets_its_answers),
		STORY(a_slow_reader_is_read_no_further_and_closed_when_it_owes_too_much),
		STORY(ids_of_closed_connections_are_not_found_again),
		STORY(a_query_hook_may_close_or_skip),
		STORY(a_reset_is_survived_with_answers_due),
		STORY(a_socket_from_elsewhere_is_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
