/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_drain_test.c - a server that stops. */
#include "net/stream_internal.h"
#include "net/stream_world.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

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
	for (int ms = 0; ms < 800; ms += 5)
		pass(w, 5);
	assert_int_equal(stream_server_clients(w->server), 2);
	client_ask(waiting, 2, 20);
	UNTIL(w, w->held_count == 2);
	for (int i = 0; i < 2; i++)
		assert_true(stream_reply(w->server, w->held[i], answer, 9));
	assert_int_equal(client_wait(w, old, NULL), 9);
	assert_int_equal(client_wait(w, waiting, NULL), 9);
	pass(w, 500);
	assert_int_equal(client_wait(w, old, NULL), -3);
	pass(w, 200);
	assert_int_equal(client_wait(w, waiting, NULL), -3);
	turns(w, 5);
	assert_int_equal(w->drained, 0);
	pass(w, 500);
	UNTIL(w, w->drained == 1);
	close(old);
	close(waiting);
	close(late);
}

/* Asks a millisecond after each answer until the end of the stream. Answers heard. */
static int ask_until_the_end(struct world *w, int fd, int *asked)
{
	int heard = 0, got = 20;
	for (; got == 20; ++*asked) {
		pass(w, 1);
		client_ask(fd, 1, 20);
		got = client_wait(w, fd, NULL);
		heard += got == 20;
	}
	assert_int_equal(got, -3);
	return heard;
}

static void who_never_pauses_leaves_right_after_an_answer(void **state)
{
	struct world *w = *state;
	int asked = 0;
	server_start(w);
	const int fd = client_from(w, 1);
	stream_server_drain(w->server, world_drained, w);
	const int heard = ask_until_the_end(w, fd, &asked);
	assert_in_range(heard, asked - 1, asked); /* one was on its way, or none */
	assert_int_equal(w->queries, heard);
	assert_int_equal(w->drained, 0); /* the client has not said goodbye */
	close(fd);
	UNTIL(w, w->drained == 1);
}

static void who_pauses_leaves_in_a_pause_and_is_not_reset(void **state)
{
	struct world *w = *state;
	int asked = 0;
	server_start(w);
	const int fd = client_from(w, 1);
	const struct conn *c = w->server->conns; /* the only one */
	assert_true(c->open);
	stream_server_drain(w->server, world_drained, w);
	while (!c->left) { /* a burst, then a pause longer than the server's */
		for (int i = 0; i < 3; i++, asked++)
			client_ask(fd, 1, 20);
		for (int i = 0; i < 3; i++)
			assert_int_equal(client_wait(w, fd, NULL), 20);
		for (int ms = 0; ms < 30; ms++)
			pass(w, 1);
	}
	assert_int_equal(client_wait(w, fd, NULL), -3);
	assert_int_equal(w->queries, asked);
	/* too late: it is neither answered nor a reset */
	client_ask(fd, 1, 20);
	turns(w, 5);
	client_ask(fd, 1, 20);
	turns(w, 5);
	assert_int_equal(client_hear(fd, NULL), -3);
	assert_int_equal(recv(fd, answer, 1, 0), 0);
	assert_int_equal(w->queries, asked);
	assert_int_equal(w->closed, 0);
	close(fd);
	UNTIL(w, w->drained == 1);
	assert_int_equal(w->counters.tcp_timeouts, 0); /* it did nothing wrong */
}

static void who_does_not_say_goodbye_is_not_waited_for(void **state)
{
	struct world *w = *state;
	server_start(w);
	const int fd = client_from(w, 1);
	client_ask(fd, 1, 20);
	assert_int_equal(client_wait(w, fd, NULL), 20);
	stream_server_drain(w->server, world_drained, w);
	pass(w, 500);
	assert_int_equal(client_wait(w, fd, NULL), -3);
	turns(w, 5);
	assert_int_equal(w->drained, 0);
	pass(w, 500);
	UNTIL(w, w->drained == 1);
	close(fd);
}

/* Whatever is there; how many bytes. */
static size_t client_take(int fd)
{
	static uint8_t bytes[65535];
	const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
	return n > 0 ? (size_t)n : 0;
}

/* What it has asked before we stopped, it gets: as slowly as it reads, and after we left. */
static void who_reads_late_gets_all_its_answers(void **state)
{
	enum { QUERIES = 200, LEN = 4000, SNDBUF = 65536 };
	struct world *w = *state;
	const int sndbuf = SNDBUF;
	w->answer_len = LEN;
	server_start(w);
	const int fd = client_from(w, 1);
	const struct conn *c = w->server->conns; /* the only one */
	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	for (int i = 0; i < QUERIES; i++)
		client_ask(fd, 1, 20);
	UNTIL(w, conn_owed(c) > 0);
	stream_server_drain(w->server, world_drained, w);
	for (int ms = 0; ms < 2500; ms += 5)
		pass(w, 5);
	assert_true(c->open && conn_owed(c));
	size_t got = 0;
	UNTIL(w, (got += client_take(fd)) >= (size_t)QUERIES * (LEN + 2));
	assert_int_equal(w->queries, QUERIES);
	UNTIL(w, !conn_owed(c));
	pass(w, 500);
	assert_int_equal(client_wait(w, fd, NULL), -3);
	assert_int_equal(w->counters.tcp_slow_readers, 0);
	close(fd);
	UNTIL(w, w->drained == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(draining_takes_who_waits_answers_and_then_tells),
		STORY(who_never_pauses_leaves_right_after_an_answer),
		STORY(who_pauses_leaves_in_a_pause_and_is_not_reset),
		STORY(who_does_not_say_goodbye_is_not_waited_for),
		STORY(who_reads_late_gets_all_its_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
