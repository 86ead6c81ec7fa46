/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_drain_test.c - a server that stops. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(draining_takes_who_waits_answers_and_then_tells),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
