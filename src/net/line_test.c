/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server on loopback. A layer of ours stands for TLS (tls_client.c is not linked), the clock is
 * ours too, so nothing here waits for a time-out. */
#include "net/upstream.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/limits.h"
#include "loop/until.h"
#include "net/tls_client.h"

enum {
	ASKS_MAX = 600,
	HEAD_LEN = 12,
	QUESTION_LEN = HEAD_LEN + 12,
	SECOND_US = 1000 * 1000,
};

/* --- in place of TLS and of the clock ---------------------------------------------- */

enum handshake { SHAKES, BREAKS, UNTRUSTED, HANGS };

struct tls_peer {
	enum handshake how;
	bool stuck; /* the socket takes nothing */
	unsigned layers, goodbyes;
};

struct stub_layer {
	struct stream_layer base; /* first */
	struct tls_peer *peer;
	enum handshake how;
};

static struct stub_layer *layer_of(const struct stream_layer *y)
{
	return (struct stub_layer *)(uintptr_t)y;
}

static int stub_handshake(struct stream_layer *y)
{
	const enum handshake how = layer_of(y)->how;
	return how == SHAKES  ? LAYER_DONE
	       : how == HANGS ? LAYER_WANT_READ
			      : LAYER_BROKEN;
}

static ssize_t stub_read(struct stream_layer *y, void *buf, size_t len)
{
	const ssize_t n = recv(y->fd, buf, len, MSG_DONTWAIT);
	return n >= 0 ? n : errno == EAGAIN ? LAYER_WANT_READ : LAYER_BROKEN;
}

static ssize_t stub_write(struct stream_layer *y, const void *data, size_t len)
{
	if (layer_of(y)->peer->stuck)
		return LAYER_WANT_WRITE;
	const ssize_t n = send(y->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n >= 0 ? n : errno == EAGAIN ? LAYER_WANT_WRITE : LAYER_BROKEN;
}

static bool stub_buffered(struct stream_layer *y)
{
	(void)y;
	return false;
}

static void stub_goodbye(struct stream_layer *y)
{
	layer_of(y)->peer->goodbyes++;
}

static void stub_free(struct stream_layer *y)
{
	layer_of(y)->peer->layers--;
	free(y);
}

static const struct layer_ops stub_ops = { stub_handshake, stub_read, stub_write,
	stub_buffered, stub_goodbye, stub_free };

struct stream_layer *layer_tls_client_new(struct tls_peer *p, int fd)
{
	struct stub_layer *y = calloc(1, sizeof(*y));
	*y = (struct stub_layer){
		.base = { .ops = &stub_ops, .fd = fd }, .peer = p, .how = p->how
	};
	p->layers++;
	return &y->base;
}

bool layer_tls_client_why(const struct stream_layer *y, char why[static TLS_ERROR_MAX])
{
	snprintf(why, TLS_ERROR_MAX, "it is a test");
	return layer_of(y)->how == UNTRUSTED;
}

static int64_t fake_us;

struct now clock_read(void)
{
	return (struct now){ .mono_us = fake_us, .wall_ms = fake_us / 1000 };
}

/* --- the world --------------------------------------------------------------------- */

struct note { /* of an ask */
	struct ask *a;
	int messages;
	bool over;
	enum ask_event end;
	uint8_t msg[HEAD_LEN + 200]; /* the last one */
	size_t len;
};

struct world {
	struct loop *loop;
	struct random rnd;
	struct counters counters;
	struct upstream *up;
	struct upstream_line *line;
	struct tls_peer peer;
	struct addr at;
	int server;
	struct note notes[ASKS_MAX];
	unsigned asked;
};

static void turns(struct world *w, unsigned count)
{
	while (count--)
		loop_turn(w->loop, 1);
}

static void pass(struct world *w, int64_t us)
{
	fake_us += us;
	turns(w, 3);
}

static void server_open(struct world *w)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
		.sin_port = htons(w->at.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(name);
	const int on = 1;
	w->server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(w->server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(w->server, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(w->server, 100), 0);
	assert_int_equal(getsockname(w->server, (struct sockaddr *)&name, &len), 0);
	assert_true(addr_from_sockaddr(&w->at, (struct sockaddr *)&name));
}

static int world_setup(void **state)
{
	static const struct upstream_conf conf = { .max_asks = ASKS_MAX };
	struct world *w = calloc(1, sizeof(*w));
	fake_us = 1000 * (int64_t)SECOND_US;
	w->loop = loop_new();
	random_init(&w->rnd);
	w->up = upstream_new(w->loop, &conf, &w->rnd, &w->counters);
	server_open(w);
	w->line = upstream_line_new(w->up, &w->at, &w->peer);
	*state = w;
	return 0;
}

static int world_teardown(void **state)
{
	struct world *w = *state;
	upstream_free(w->up);
	assert_int_equal(w->peer.layers, 0);
	assert_int_equal(w->counters.upstream_tls_connections, 0);
	loop_free(w->loop);
	fd_close(&w->server);
	free(w);
	return 0;
}

static void note_event(
	void *ctx, struct ask *a, enum ask_event what, const uint8_t *msg, size_t len)
{
	struct note *n = ctx;
	assert_false(n->over);
	if (what != ASK_MESSAGE) {
		n->over = true;
		n->end = what;
		return;
	}
	assert_true(a == n->a && len <= sizeof(n->msg));
	memcpy(n->msg, msg, len);
	n->len = len;
	n->messages++;
}

/* The question of an ask, under the asker's own id. */
static void question_make(unsigned i, uint8_t out[static QUESTION_LEN])
{
	static const uint8_t head[HEAD_LEN] = { 0, 0, 1, 0, 0, 1 };
	memcpy(out, head, HEAD_LEN);
	out[0] = 0xab;
	out[1] = (uint8_t)i;
	snprintf((char *)out + HEAD_LEN, 8, "\6n%05u", i);
	memcpy(out + HEAD_LEN + 7, "\0\0\1\0\1", 5);
}

static struct note *ask_for(struct world *w, int64_t timeout_us)
{
	uint8_t msg[QUESTION_LEN];
	assert_true(w->asked < ASKS_MAX);
	struct note *n = &w->notes[w->asked];
	question_make(w->asked++, msg);
	n->a = upstream_ask_line(w->line, msg, sizeof(msg), timeout_us, note_event, n);
	assert_non_null(n->a);
	return n;
}

static struct note *ask(struct world *w)
{
	return ask_for(w, 60 * (int64_t)SECOND_US);
}

static void answered(struct world *w, struct note *n)
{
	uint8_t msg[QUESTION_LEN];
	UNTIL(w, n->messages);
	question_make((unsigned)(n - w->notes), msg);
	msg[2] |= 0x80;
	assert_int_equal(n->len, sizeof(msg));
	assert_memory_equal(n->msg, msg, sizeof(msg)); /* with the asker's id */
	upstream_cancel(w->up, n->a);
}

/* --- the server -------------------------------------------------------------------- */

static int server_accept(struct world *w)
{
	int fd = -1;
	UNTIL(w, fd >= 0 || (fd = accept4(w->server, NULL, NULL, SOCK_CLOEXEC)) >= 0);
	return fd;
}

static bool nobody_comes(struct world *w)
{
	turns(w, 5);
	const int fd = accept4(w->server, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0;
}

struct question {
	uint8_t bytes[2 + QUESTION_LEN]; /* with its length */
	unsigned number;
};

static struct question server_hear(struct world *w, int fd)
{
	struct question q;
	size_t got = 0;
	const time_t end = until_end();
	while (got < sizeof(q.bytes) && until_left(end)) {
		const ssize_t n =
			recv(fd, q.bytes + got, sizeof(q.bytes) - got, MSG_DONTWAIT);
		assert_int_not_equal(n, 0);
		got += n > 0 ? (size_t)n : 0;
		loop_turn(w->loop, n < 0);
	}
	assert_int_equal(got, sizeof(q.bytes));
	assert_memory_equal(q.bytes, "\0\30", 2);
	q.number =
		(unsigned)strtoul((const char *)q.bytes + 2 + HEAD_LEN + 2, NULL, 10);
	return q;
}

static bool server_hears_nothing(struct world *w, int fd)
{
	uint8_t byte;
	turns(w, 5);
	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0;
}

static bool server_is_left(struct world *w, int fd)
{
	uint8_t byte;
	ssize_t n = -1;
	const time_t end = until_end();
	while (n < 0 && until_left(end)) {
		turns(w, 1);
		n = recv(fd, &byte, 1, MSG_DONTWAIT);
	}
	return n == 0;
}

static void server_say(int fd, struct question q)
{
	q.bytes[4] |= 0x80;
	assert_int_equal(send(fd, q.bytes, sizeof(q.bytes), 0), sizeof(q.bytes));
}

/* --- what is asked and answered ---------------------------------------------------- */

static void questions_share_a_connection_and_answers_come_in_any_order(void **state)
{
	struct world *w = *state;
	struct note *n[3] = { ask(w), ask(w), ask(w) };
	int fd = server_accept(w);
	struct question q[3];
	for (unsigned i = 0; i < 3; i++)
		q[i] = server_hear(w, fd);
	assert_memory_not_equal(q[0].bytes + 2, q[1].bytes + 2, 2);
	for (unsigned i = 3; i--;)
		server_say(fd, q[i]);
	for (unsigned i = 0; i < 3; i++)
		answered(w, n[i]);
	assert_true(nobody_comes(w));
	assert_int_equal(w->counters.upstream_mismatch, 0);
	fd_close(&fd);
}

static void what_fits_no_question_is_for_nobody(void **state)
{
	struct world *w = *state;
	struct note *n = ask(w), *gone = ask(w);
	int fd = server_accept(w);
	const struct question q = server_hear(w, fd);
	struct question late = server_hear(w, fd), bad = q;
	bad.bytes[2] ^= 0x80; /* the id's random part */
	server_say(fd, bad);
	bad = q;
	bad.bytes[2 + HEAD_LEN + 3] ^= 1; /* another name */
	server_say(fd, bad);
	bad = q;
	bad.bytes[2 + QUESTION_LEN - 3] ^= 1; /* another type */
	server_say(fd, bad);
	bad = q;
	bad.bytes[2 + 5] = 2; /* two questions */
	server_say(fd, bad);
	bad = q;
	bad.bytes[2 + HEAD_LEN] = 63; /* a name that ends nowhere */
	server_say(fd, bad);
	upstream_cancel(w->up, gone->a);
	server_say(fd, late); /* the asker has gone */
	UNTIL(w, w->counters.upstream_mismatch == 6);
	assert_int_equal(n->messages, 0);
	bad = q;
	bad.bytes[2 + 5] = 0; /* none: its asker judges */
	server_say(fd, bad);
	UNTIL(w, n->messages == 1);
	server_say(fd, q);
	UNTIL(w, n->messages == 2);
	answered(w, n);
	assert_int_equal(gone->messages, 0);
	fd_close(&fd);
}

static void a_place_is_not_answered_for_who_had_it_before(void **state)
{
	struct world *w = *state;
	int fd = -1;
	for (unsigned i = 0; i < 20; i++) {
		struct note *first = ask(w);
		if (fd < 0)
			fd = server_accept(w);
		const struct question old = server_hear(w, fd);
		upstream_cancel(w->up, first->a);
		struct note *next = ask(w);
		const struct question q = server_hear(w, fd);
		server_say(fd, old);
		server_say(fd, q);
		answered(w, next);
	}
	assert_int_equal(w->counters.upstream_mismatch, 20);
	fd_close(&fd);
}

/* --- connections that end ---------------------------------------------------------- */

static void what_a_connection_leaves_over_is_asked_again(void **state)
{
	struct world *w = *state;
	struct note *n[3] = { ask(w), ask(w), ask(w) };
	int fd = server_accept(w);
	server_say(fd, server_hear(w, fd));
	server_hear(w, fd);
	server_hear(w, fd);
	answered(w, n[0]);
	fd_close(&fd); /* it bears one at a time, as it seems */
	fd = server_accept(w);
	struct question q = server_hear(w, fd);
	assert_int_equal(q.number, 1);
	assert_true(server_hears_nothing(w, fd));
	int other = server_accept(w); /* the third goes by another */
	server_say(other, server_hear(w, other));
	server_say(fd, q);
	answered(w, n[1]);
	answered(w, n[2]);
	assert_int_equal(w->counters.upstream_tls_again, 2);
	fd_close(&fd);
	fd_close(&other);
}

static void a_question_is_sent_four_times_at_most(void **state)
{
	struct world *w = *state;
	struct note *unlucky = ask(w);
	for (unsigned i = 0; i < LIMIT_TLS_SENDS; i++) {
		int fd = server_accept(w);
		assert_int_equal(server_hear(w, fd).number, 0);
		for (unsigned k = 0; k < 2; k++) { /* others are served */
			struct note *other = ask(w);
			server_say(fd, server_hear(w, fd));
			answered(w, other);
		}
		fd_close(&fd);
	}
	UNTIL(w, unlucky->over);
	assert_int_equal(unlucky->end, ASK_CLOSED);
	assert_int_equal(w->counters.upstream_tls_again, LIMIT_TLS_SENDS - 1);
}

static void a_connection_that_says_no_dns_is_closed(void **state)
{
	struct world *w = *state;
	struct note *n = ask(w);
	int fd = server_accept(w);
	server_hear(w, fd);
	assert_int_equal(send(fd, "\0\3HEL", 5, 0), 5);
	UNTIL(w, n->over);
	assert_int_equal(n->end, ASK_CLOSED);
	assert_true(server_is_left(w, fd));
	fd_close(&fd);
}

static void who_closes_at_once_ends_what_waits(void **state)
{
	struct world *w = *state;
	struct note *n[2] = { ask(w), ask(w) };
	int fd = server_accept(w);
	server_hear(w, fd);
	fd_close(&fd);
	UNTIL(w, n[0]->over && n[1]->over);
	assert_int_equal(n[0]->end, ASK_CLOSED);
	assert_int_equal(w->counters.upstream_tls_failed, 1);
}

/* --- connections that do not come about -------------------------------------------- */

static void who_is_not_trusted_is_not_asked(void **state)
{
	struct world *w = *state;
	w->peer.how = UNTRUSTED;
	int64_t wait = SECOND_US;
	for (unsigned i = 0; i < 6; i++) {
		struct note *n = ask(w), *more;
		int fd = server_accept(w);
		UNTIL(w, n->over);
		assert_int_equal(n->end, ASK_UNTRUSTED);
		assert_true(server_is_left(w, fd)); /* and heard nothing */
		fd_close(&fd);
		pass(w, wait - 600 * 1000);
		more = ask(w); /* no try for so long: told at once */
		UNTIL(w, more->over);
		assert_int_equal(more->end, ASK_UNTRUSTED);
		assert_true(nobody_comes(w));
		pass(w, 600 * 1000);
		wait = 2 * wait < 10 * SECOND_US ? 2 * wait : 10 * SECOND_US;
	}
	assert_int_equal(w->counters.upstream_tls_untrusted, 6);
	assert_int_equal(w->peer.goodbyes, 0);
}

static void asks_wait_for_a_try_that_is_near(void **state)
{
	struct world *w = *state;
	w->peer.how = BREAKS;
	struct note *first = ask(w);
	int fd = server_accept(w);
	UNTIL(w, first->over);
	assert_int_equal(first->end, ASK_CLOSED);
	fd_close(&fd);
	w->peer.how = SHAKES;
	struct note *n = ask(w);
	assert_true(nobody_comes(w) && !n->over);
	pass(w, 100 * 1000);
	fd = server_accept(w);
	server_say(fd, server_hear(w, fd));
	answered(w, n);
	fd_close(&fd);
}

static void a_port_where_nobody_listens_is_tried_later(void **state)
{
	struct world *w = *state;
	fd_close(&w->server);
	struct note *n = ask(w);
	UNTIL(w, n->over);
	assert_int_equal(n->end, ASK_CLOSED);
	server_open(w);
	n = ask(w);
	pass(w, 100 * 1000);
	int fd = server_accept(w);
	server_say(fd, server_hear(w, fd));
	answered(w, n);
	fd_close(&fd);
}

static void a_handshake_that_hangs_is_given_up(void **state)
{
	struct world *w = *state;
	w->peer.how = HANGS;
	struct note *early = ask_for(w, SECOND_US), *n = ask(w);
	int fd = server_accept(w);
	pass(w, SECOND_US);
	UNTIL(w, early->over);
	assert_int_equal(early->end, ASK_TIMEOUT);
	assert_false(n->over);
	pass(w, 3 * SECOND_US);
	UNTIL(w, n->over);
	assert_int_equal(n->end, ASK_CLOSED);
	assert_true(server_is_left(w, fd));
	fd_close(&fd);
}

/* --- how long and how many ----------------------------------------------------------- */

static void an_idle_connection_is_closed_with_a_goodbye(void **state)
{
	struct world *w = *state;
	struct note *n = ask(w);
	int fd = server_accept(w);
	server_say(fd, server_hear(w, fd));
	answered(w, n);
	turns(w, 3);
	pass(w, 9 * SECOND_US);
	n = ask(w); /* what is asked meanwhile keeps it */
	server_say(fd, server_hear(w, fd));
	answered(w, n);
	turns(w, 3);
	pass(w, 9 * SECOND_US);
	assert_int_equal(w->peer.layers, 1);
	pass(w, SECOND_US);
	assert_true(server_is_left(w, fd));
	assert_int_equal(w->peer.goodbyes, 1);
	fd_close(&fd);
}

/* An answer with the option of RFC 7828. */
static void server_say_keepalive(int fd, struct question q, uint8_t units)
{
	uint8_t reply[sizeof(q.bytes) + 17] = { 0 };
	static const uint8_t opt[16] = { 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 6, 0, 11, 0,
		2 };
	memcpy(reply, q.bytes, sizeof(q.bytes));
	reply[1] += 17;
	reply[4] |= 0x80;
	reply[2 + 11] = 1; /* additional */
	memcpy(reply + sizeof(q.bytes), opt, sizeof(opt));
	reply[sizeof(reply) - 1] = units;
	assert_int_equal(send(fd, reply, sizeof(reply), 0), sizeof(reply));
}

static void a_server_says_how_long_it_keeps_a_connection(void **state)
{
	struct world *w = *state;
	struct note *n = ask(w);
	int fd = server_accept(w);
	server_say_keepalive(fd, server_hear(w, fd), 200); /* 20 s */
	UNTIL(w, n->messages);
	upstream_cancel(w->up, n->a);
	turns(w, 3);
	pass(w, 19 * SECOND_US);
	assert_int_equal(w->peer.layers, 1);
	n = ask(w);
	struct note *second = ask(w);
	const struct question q = server_hear(w, fd);
	server_say_keepalive(fd, q, 0); /* no more, please */
	UNTIL(w, n->messages);
	upstream_cancel(w->up, n->a);
	struct note *third = ask(w);
	int other = server_accept(w);
	server_say(other, server_hear(w, other));
	answered(w, third);
	assert_int_equal(w->peer.layers, 2); /* it still owes an answer */
	server_say(fd, server_hear(w, fd));
	answered(w, second);
	assert_true(server_is_left(w, fd));
	assert_int_equal(w->peer.goodbyes, 1);
	fd_close(&fd);
	fd_close(&other);
}

static void a_connection_that_fell_silent_gets_no_more_questions(void **state)
{
	struct world *w = *state;
	struct note *n = ask_for(w, SECOND_US);
	int fd = server_accept(w);
	server_hear(w, fd);
	pass(w, SECOND_US);
	UNTIL(w, n->over);
	assert_int_equal(n->end, ASK_TIMEOUT);
	n = ask(w);
	int other = server_accept(w);
	assert_true(server_is_left(w, fd));
	server_say(other, server_hear(w, other));
	answered(w, n);
	fd_close(&fd);
	fd_close(&other);
}

static void so_many_connections_and_questions_and_no_more(void **state)
{
	struct world *w = *state;
	enum { ALL = LIMIT_TLS_CONNECTIONS * LIMIT_TLS_PIPELINE, MORE = 10 };
	int fds[LIMIT_TLS_CONNECTIONS];
	struct question first[LIMIT_TLS_CONNECTIONS];
	for (unsigned i = 0; i < ALL + MORE; i++)
		ask(w);
	for (unsigned i = 0; i < LIMIT_TLS_CONNECTIONS; i++)
		fds[i] = server_accept(w);
	for (unsigned i = 0; i < LIMIT_TLS_CONNECTIONS; i++) {
		first[i] = server_hear(w, fds[i]);
		for (unsigned k = 1; k < LIMIT_TLS_PIPELINE; k++)
			server_hear(w, fds[i]);
		assert_true(server_hears_nothing(w, fds[i]));
	}
	assert_true(nobody_comes(w));
	/* one that is answered, or that nobody waits for any more, makes room */
	server_say(fds[0], first[0]);
	answered(w, &w->notes[first[0].number]);
	assert_int_equal(server_hear(w, fds[0]).number, ALL);
	upstream_cancel(w->up, w->notes[first[3].number].a);
	assert_int_equal(server_hear(w, fds[3]).number, ALL + 1);
	upstream_cancel(w->up, w->notes[ALL + 5].a); /* in the queue */
	for (unsigned i = 0; i < LIMIT_TLS_CONNECTIONS; i++)
		fd_close(&fds[i]);
}

static void who_does_not_read_is_owed_so_much_only(void **state)
{
	struct world *w = *state;
	enum { LONG = 60000 };
	static uint8_t msg[LONG];
	struct note *n = ask(w);
	int fd = server_accept(w);
	server_say(fd, server_hear(w, fd));
	answered(w, n);
	question_make(500, msg);
	w->peer.stuck = true;
	for (unsigned i = 0; i < 4; i++) {
		n = &w->notes[w->asked++];
		n->a = upstream_ask_line(w->line, msg, LONG, SECOND_US, note_event, n);
	}
	int other = server_accept(w); /* 120,000 octets wait: the rest goes elsewhere */
	pass(w, SECOND_US);
	UNTIL(w, n->over);
	assert_int_equal(n->end, ASK_TIMEOUT);
	fd_close(&fd);
	fd_close(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(questions_share_a_connection_and_answers_come_in_any_order),
		TEST(what_fits_no_question_is_for_nobody),
		TEST(a_place_is_not_answered_for_who_had_it_before),
		TEST(what_a_connection_leaves_over_is_asked_again),
		TEST(a_question_is_sent_four_times_at_most),
		TEST(a_connection_that_says_no_dns_is_closed),
		TEST(who_closes_at_once_ends_what_waits),
		TEST(who_is_not_trusted_is_not_asked),
		TEST(asks_wait_for_a_try_that_is_near),
		TEST(a_port_where_nobody_listens_is_tried_later),
		TEST(a_handshake_that_hangs_is_given_up),
		TEST(an_idle_connection_is_closed_with_a_goodbye),
		TEST(a_server_says_how_long_it_keeps_a_connection),
		TEST(a_connection_that_fell_silent_gets_no_more_questions),
		TEST(so_many_connections_and_questions_and_no_more),
		TEST(who_does_not_read_is_owed_so_much_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
