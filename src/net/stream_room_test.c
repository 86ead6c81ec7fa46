/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_room_test.c - who may come, who must go. */
#include "net/stream_world.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"

static void a_promise_of_65535_bytes_never_kept_ends_by_time(void **state)
{
	struct world *w = *state;
	w->conf.idle_ms = 60;
	server_start(w);
	const int fd = client_from(w, 1);
	assert_int_equal(send(fd, "\xff\xff", 2, 0), 2);
	/* a byte now and then is no activity */
	for (int ms = 0; ms < 60; ms += 5) {
		assert_int_equal(w->closed, 0);
		send(fd, "x", 1, MSG_NOSIGNAL);
		turns(w, 1);
		pass(w, 5);
	}
	UNTIL(w, w->closed == 1);
	assert_int_equal(client_wait(w, fd, NULL), -3);
	assert_int_equal(w->queries, 0);
	assert_int_equal(w->counters.tcp_timeouts, 1);
	close(fd);
}

static void who_sends_only_what_gets_no_answer_is_idle(void **state)
{
	struct world *w = *state;
	w->conf.idle_ms = 60;
	w->mode = ANSWER_SKIP;
	server_start(w);
	const int fd = client_from(w, 1);
	for (int ms = 0; ms < 60; ms += 5) {
		const int before = w->queries;
		assert_int_equal(w->closed, 0);
		send(fd, "\0\0\0\5junk!", 9, MSG_NOSIGNAL);
		UNTIL(w, w->queries == before + 2);
		pass(w, 5);
	}
	UNTIL(w, w->closed == 1);
	assert_int_equal(w->counters.tcp_timeouts, 1);
	close(fd);
}

static void who_sent_what_gets_no_answer_makes_room_first(void **state)
{
	struct world *w = *state;
	w->conf.max_clients = 3;
	server_start(w);
	int fd[4];
	for (int i = 0; i < 3; i++)
		fd[i] = client_from(w, (uint8_t)(1 + i));
	w->mode = ANSWER_SKIP;
	client_ask(fd[1], 1, 20);
	UNTIL(w, w->queries == 1);
	w->mode = ANSWER_HOLD;
	client_ask(fd[2], 1, 20);
	UNTIL(w, w->held_count == 1);
	w->mode = ANSWER_SKIP; /* with a query under way it is busy nevertheless */
	client_ask(fd[2], 1, 20);
	UNTIL(w, w->queries == 3);
	fd[3] = client_from(w, 4);
	assert_int_equal(client_wait(w, fd[1], NULL), -3);
	assert_int_equal(w->counters.tcp_clients_shed, 1);
	w->mode = ANSWER_NOW; /* an answer makes up for it */
	client_ask(fd[3], 1, 20);
	assert_int_equal(client_wait(w, fd[3], NULL), 20);
	fd[1] = client_from(w, 5);
	assert_int_equal(client_wait(w, fd[0], NULL), -3);
	assert_int_equal(stream_server_clients(w->server), 3);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
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
	turns(w, 5);
	assert_int_equal(w->closed, 0);
	const time_t end = until_end();
	while (!w->closed && until_left(end)) {
		turns(w, 1); /* what the kernel still takes counts */
		pass(w, 50);
	}
	assert_int_equal(w->closed, 1);
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
	for (int ms = 0; ms < 120; ms += 10)
		pass(w, 10);
	assert_int_equal(w->closed, 0);
	assert_true(stream_reply(w->server, w->held[0], answer, 10));
	assert_int_equal(client_wait(w, fd, NULL), 10);
	pass(w, 29);
	assert_int_equal(w->closed, 0);
	pass(w, 1); /* now it was idle */
	assert_int_equal(client_wait(w, fd, NULL), -3);
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

/* A layer whose handshake is over when the client has sent something. */
static int shake(struct stream_layer *y)
{
	uint8_t byte;
	return recv(y->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 ? LAYER_DONE
								   : LAYER_WANT_READ;
}

static struct stream_layer *layer_shy_new(void *ctx, int fd)
{
	static struct layer_ops ops;
	struct stream_layer *y = layer_plain_new(ctx, fd);
	ops = *y->ops;
	ops.handshake = shake;
	y->ops = &ops;
	return y;
}

static int client_heard(struct world *w, uint8_t host)
{
	const int fd = client_from(w, host);
	client_ask(fd, 1, 20);
	assert_int_equal(client_wait(w, fd, NULL), 20);
	return fd;
}

static void of_one_address_the_idle_go_before_handshakes_unless_these_are_many(
	void **state)
{
	struct world *w = *state;
	w->conf.max_clients_per_address = 8;
	w->conf.layer_new = layer_shy_new;
	server_start(w);
	int fd[11];
	fd[0] = client_from(
		w, 1); /* shakes hands for longer than all others are idle */
	for (int i = 1; i < 8; i++)
		fd[i] = client_heard(w, 1);
	fd[8] = client_from(w, 1);
	assert_int_equal(client_wait(w, fd[1], NULL), -3);
	fd[9] = client_from(w, 1);
	assert_int_equal(client_wait(w, fd[2], NULL), -3);
	assert_int_equal(client_hear(fd[0], NULL), -1);
	fd[10] = client_from(
		w, 1); /* three of eight shake hands: more than their share */
	assert_int_equal(client_wait(w, fd[0], NULL), -3);
	assert_int_equal(w->counters.tcp_clients_shed, 3);
	assert_int_equal(client_hear(fd[3], NULL), -1);
	for (int i = 0; i < 11; i++)
		close(fd[i]);
}

static void of_one_address_too_who_sent_what_gets_no_answer_goes_first(void **state)
{
	struct world *w = *state;
	w->conf.max_clients_per_address = 3;
	server_start(w);
	int fd[4];
	for (int i = 0; i < 3; i++)
		fd[i] = client_heard(w, 1);
	w->mode = ANSWER_SKIP;
	client_ask(fd[2], 1, 20);
	UNTIL(w, w->queries == 4);
	fd[3] = client_from(w, 1);
	assert_int_equal(client_wait(w, fd[2], NULL), -3);
	assert_int_equal(client_hear(fd[0], NULL), -1);
	assert_int_equal(w->counters.tcp_clients_shed, 1);
	for (int i = 0; i < 4; i++)
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
	turns(w, 5);
	assert_int_equal(w->counters.tcp_accepted, 1);
	pass(w, 1000);
	assert_int_equal(client_wait(w, fd, NULL), 20);
	close(fd);
	close(idle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_promise_of_65535_bytes_never_kept_ends_by_time),
		STORY(who_sends_only_what_gets_no_answer_is_idle),
		STORY(who_sent_what_gets_no_answer_makes_room_first),
		STORY(who_does_not_read_for_the_idle_time_is_closed),
		STORY(a_query_under_way_is_not_idle),
		STORY(the_longest_idle_client_makes_room),
		STORY(of_one_address_the_idle_go_before_handshakes_unless_these_are_many),
		STORY(of_one_address_too_who_sent_what_gets_no_answer_goes_first),
		STORY(a_full_host_keeps_nobody_out_where_nobody_is),
		STORY(out_of_descriptors_pauses_accepting_and_recovers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
