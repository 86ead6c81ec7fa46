/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A GnuTLS client on one end of a socket pair, the stream server on the other. */
#include "net/tls.h"

#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/limits.h"
#include "net/stream.h"
#include "net/tls_client.h"
#include "net/tls_internal.h"
#include "net/upstream.h"

enum { TURNS_MAX = 1000, START_S = 1800000000 };

struct world {
	struct loop *loop;
	struct counters counters;
	struct tls_server *tls;
	struct tls_profile profile;
	struct stream_server *server;
	struct tls_conf conf;
	unsigned clients_max;
	int listening; /* -1: sockets are brought */
	int queries;
};

struct peer {
	gnutls_session_t session;
	gnutls_certificate_credentials_t cred;
	int fd;
};

static time_t fake_s = START_S;

static time_t fake_time(time_t *out)
{
	if (out)
		*out = fake_s;
	return fake_s;
}

/* Another host has another `ctx`. */
static void secret(void *ctx, uint64_t epoch, uint8_t out[static TLS_SECRET_LEN])
{
	const char *host = ctx;
	tls_secret_derive((const uint8_t *)host, strlen(host), epoch, out);
}

static void query_handle(void *ctx, struct stream_server *s, struct stream_id id,
	const struct addr *from, const struct addr *to, const uint8_t *data, size_t len)
{
	struct world *w = ctx;
	(void)from;
	(void)to;
	w->queries++;
	stream_reply(s, id, data, len);
}

static void process_start(struct world *w, char *host)
{
	char error[TLS_ERROR_MAX] = "";
	w->conf = (struct tls_conf){ .secret = secret, .ctx = host };
	w->tls = tls_server_new(&w->conf, &w->counters, error);
	assert_string_equal(error, "");
	tls_server_tick(w->tls, fake_s);
	w->profile = (struct tls_profile){ w->tls, tls_dot };
	const struct stream_conf conf = { .kind = STREAM_TLS,
		.max_clients = w->clients_max,
		.max_clients_per_address = w->clients_max,
		.pipeline = 100,
		.idle_ms = 60000,
		.layer_new = layer_tls_new,
		.layer_ctx = &w->profile };
	const struct stream_hooks hooks = { .query = query_handle, .ctx = w };
	w->server =
		stream_server_new(w->loop, w->listening, &conf, &hooks, &w->counters);
	assert_non_null(w->server);
}

static void process_end(struct world *w)
{
	stream_server_free(w->server);
	tls_server_free(w->tls);
}

static int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	fake_s = START_S;
	gnutls_global_set_time_function(fake_time);
	w->loop = loop_new();
	w->clients_max = 16;
	w->listening = -1;
	process_start(w, (char[]){ "this host" });
	*state = w;
	return 0;
}

static int world_teardown(void **state)
{
	struct world *w = *state;
	process_end(w);
	loop_free(w->loop);
	free(w);
	return 0;
}

/* It has said nothing. */
static void peer_init(struct world *w, struct peer *p, const char *priority)
{
	int ends[2];
	const struct addr from = { .family = 4 };
	const gnutls_datum_t dot = { (unsigned char *)"dot", 3 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_true(stream_server_adopt(w->server, ends[1], &from, &from));
	p->fd = ends[0];
	gnutls_init(&p->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	gnutls_certificate_allocate_credentials(&p->cred);
	gnutls_credentials_set(p->session, GNUTLS_CRD_CERTIFICATE, p->cred);
	assert_int_equal(gnutls_priority_set_direct(p->session, priority, NULL), 0);
	gnutls_alpn_set_protocols(p->session, &dot, 1, 0);
	gnutls_transport_set_int(p->session, p->fd);
}

/* It has said hello. */
static void peer_start(struct world *w, struct peer *p, const char *priority,
	const gnutls_datum_t *ticket)
{
	peer_init(w, p, priority);
	if (ticket)
		gnutls_session_set_data(p->session, ticket->data, ticket->size);
	assert_int_equal(gnutls_handshake(p->session), GNUTLS_E_AGAIN);
}

static void peer_open(struct world *w, struct peer *p, const char *priority,
	const gnutls_datum_t *ticket)
{
	int e = GNUTLS_E_AGAIN;
	peer_start(w, p, priority, ticket);
	for (int i = 0; i < TURNS_MAX && e == GNUTLS_E_AGAIN; i++) {
		loop_turn(w->loop, 0);
		e = gnutls_handshake(p->session);
	}
	assert_int_equal(e, 0);
}

/* A question of `len` octets and its answer, which is the same. */
static void peer_ask(struct world *w, struct peer *p, size_t len)
{
	uint8_t *out = malloc(len + 2), *in = malloc(len + 2);
	for (size_t i = 2; i < len + 2; i++)
		out[i] = (uint8_t)(i * 7);
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	size_t sent = 0, got = 0;
	for (int i = 0; i < TURNS_MAX && got < len + 2; i++) {
		ssize_t n = sent < len + 2 ? gnutls_record_send(p->session, out + sent,
						     len + 2 - sent)
					   : 0;
		sent += n > 0 ? (size_t)n : 0;
		loop_turn(w->loop, 0);
		n = gnutls_record_recv(p->session, in + got, len + 2 - got);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, len + 2);
	assert_memory_equal(in, out, got);
	free(out);
	free(in);
}

static void peer_close(struct world *w, struct peer *p, gnutls_datum_t *ticket)
{
	if (ticket)
		assert_int_equal(gnutls_session_get_data2(p->session, ticket), 0);
	gnutls_bye(p->session, GNUTLS_SHUT_WR);
	gnutls_deinit(p->session);
	gnutls_certificate_free_credentials(p->cred);
	fd_close(&p->fd);
	for (int i = 0; i < TURNS_MAX && stream_server_clients(w->server); i++)
		loop_turn(w->loop, 0);
	assert_int_equal(stream_server_clients(w->server), 0);
}

/* One connection with a ticket; it is replaced by the new one. Was it resumed? */
static bool resumes(struct world *w, const char *priority, gnutls_datum_t *ticket)
{
	struct peer p;
	const uint64_t before = w->counters.tls_resumed;
	peer_open(w, &p, priority, ticket->data ? ticket : NULL);
	peer_ask(w, &p, 40);
	const bool resumed = gnutls_session_is_resumed(p.session);
	assert_int_equal(w->counters.tls_resumed - before, resumed);
	gnutls_free(ticket->data);
	peer_close(w, &p, ticket);
	return resumed;
}

static const char *const versions[] = { "NORMAL:-VERS-ALL:+VERS-TLS1.3",
	"NORMAL:-VERS-ALL:+VERS-TLS1.2" };

static void messages_of_all_sizes_come_back(void **state)
{
	struct world *w = *state;
	for (unsigned v = 0; v < 2; v++) {
		static const size_t sizes[] = { 1, 40, 512, 16382, 16383, 40000,
			65535 };
		struct peer p;
		peer_open(w, &p, versions[v], NULL);
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			peer_ask(w, &p, sizes[i]);
		peer_close(w, &p, NULL);
	}
	assert_int_equal(w->counters.tls_handshakes, 2);
	assert_int_equal(w->counters.tls_clients, 0);
}

static void sessions_are_resumed_by_the_next_process(void **state)
{
	struct world *w = *state;
	for (unsigned v = 0; v < 2; v++) {
		gnutls_datum_t ticket = { 0 };
		assert_false(resumes(w, versions[v], &ticket));
		assert_true(resumes(w, versions[v], &ticket));
		process_end(w);
		process_start(w, (char[]){ "this host" });
		assert_true(resumes(w, versions[v], &ticket));
		process_end(w);
		process_start(w, (char[]){ "another host" });
		assert_false(resumes(w, versions[v], &ticket));
		gnutls_free(ticket.data);
		process_end(w);
		process_start(w, (char[]){ "this host" });
	}
}

enum { RECORD_HEAD = 5, RECORD_HANDSHAKE = 22 };

/* A client whose handshake messages lie in records of `piece` octets. */
struct cutter {
	int fd;
	size_t piece;
	bool secret; /* from here on records are encrypted */
};

static ssize_t cutter_pull(gnutls_transport_ptr_t ctx, void *to, size_t len)
{
	const struct cutter *c = ctx;
	return recv(c->fd, to, len, 0);
}

static ssize_t cutter_push(gnutls_transport_ptr_t ctx, const void *data, size_t len)
{
	struct cutter *c = ctx;
	uint8_t out[64 * 1024];
	size_t out_len = 0;
	const uint8_t *at = data;
	for (size_t left = len; left;) {
		const size_t body = (size_t)(at[3] << 8 | at[4]);
		assert_true(left >= RECORD_HEAD + body);
		c->secret |= at[0] != RECORD_HANDSHAKE;
		const size_t piece = c->secret ? body : c->piece;
		for (size_t done = 0; done < body; done += piece) {
			const size_t n = body - done < piece ? body - done : piece;
			memcpy(out + out_len, at, RECORD_HEAD);
			out[out_len + 3] = (uint8_t)(n >> 8);
			out[out_len + 4] = (uint8_t)n;
			memcpy(out + out_len + RECORD_HEAD, at + RECORD_HEAD + done, n);
			out_len += RECORD_HEAD + n;
		}
		at += RECORD_HEAD + body;
		left -= RECORD_HEAD + body;
	}
	assert_int_equal(send(c->fd, out, out_len, 0), out_len);
	return (ssize_t)len;
}

static void cutter_take(struct peer *p, struct cutter *c)
{
	c->fd = p->fd;
	gnutls_transport_set_ptr(p->session, c);
	gnutls_transport_set_pull_function(p->session, cutter_pull);
	gnutls_transport_set_push_function(p->session, cutter_push);
}

static void a_handshake_message_may_lie_in_many_records(void **state)
{
	struct world *w = *state;
	static const size_t pieces[] = { 200, 20, 3 };
	for (unsigned v = 0; v < 2; v++)
		for (unsigned i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
			struct peer p;
			struct cutter c = { .piece = pieces[i] };
			int e = GNUTLS_E_AGAIN;
			peer_init(w, &p, versions[v]);
			cutter_take(&p, &c);
			for (int k = 0; k < TURNS_MAX && e == GNUTLS_E_AGAIN; k++) {
				e = gnutls_handshake(p.session);
				loop_turn(w->loop, 0);
			}
			assert_int_equal(e, 0);
			peer_ask(w, &p, 40);
			peer_close(w, &p, NULL);
		}
	assert_int_equal(w->counters.tls_handshakes, 6);
	assert_int_equal(w->counters.tls_handshakes_failed, 0);
}

static void one_in_very_many_records_is_given_up(void **state)
{
	struct world *w = *state;
	struct peer p;
	uint8_t hello[6 * 2 * LIMIT_TLS_HANDSHAKE_RECORDS];
	peer_init(w, &p, versions[0]);
	for (size_t i = 0; i < sizeof(hello); i += 6)
		memcpy(hello + i, (const uint8_t[]){ RECORD_HANDSHAKE, 3, 1, 0, 1, 0 },
			6);
	hello[5] = 1;  /* ClientHello */
	hello[17] = 9; /* of 9 << 8 octets */
	assert_int_equal(send(p.fd, hello, sizeof(hello), 0), sizeof(hello));
	for (int i = 0; i < TURNS_MAX && stream_server_clients(w->server); i++)
		loop_turn(w->loop, 0);
	assert_int_equal(stream_server_clients(w->server), 0);
	assert_int_equal(w->counters.tls_handshakes_failed, 1);
	assert_int_equal(w->counters.tls_handshakes_put_off, 0);
	gnutls_deinit(p.session);
	gnutls_certificate_free_credentials(p.cred);
	fd_close(&p.fd);
}

/* What is no data of a client, in the same segment as data. */
static void a_key_update_before_a_question_holds_nothing_up(void **state)
{
	struct world *w = *state;
	struct peer p;
	peer_open(w, &p, versions[0], NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(gnutls_session_key_update(p.session, 0), 0);
		peer_ask(w, &p, 40);
		assert_int_equal(
			gnutls_session_key_update(p.session, GNUTLS_KU_PEER), 0);
		peer_ask(w, &p, 400);
	}
	peer_close(w, &p, NULL);
}

/* At every hour of a day, so that GnuTLS's own spans begin in between. */
static void tickets_are_good_in_their_hour_and_the_next(void **state)
{
	struct world *w = *state;
	for (unsigned i = 0; i < 24; i++) {
		const char *version = versions[i % 2];
		gnutls_datum_t ticket = { 0 };
		fake_s = START_S / 86400 * 86400 + i * TLS_EPOCH_S + 3000;
		tls_server_tick(w->tls, fake_s);
		assert_false(resumes(w, version, &ticket));
		fake_s += 1200; /* the next hour: the old key is still understood */
		tls_server_tick(w->tls, fake_s);
		assert_true(resumes(w, version, &ticket));
		gnutls_free(ticket.data);
	}
	gnutls_datum_t old = { 0 };
	assert_false(resumes(w, versions[1], &old));
	fake_s += 2 * TLS_EPOCH_S;
	tls_server_tick(w->tls, fake_s);
	assert_false(resumes(w, versions[1], &old));
	gnutls_free(old.data);
}

/* --- many at once ----------------------------------------------------------------- */

enum { CROWD = 2 * LIMIT_TLS_HANDSHAKES_A_TURN + 1 };

static bool peer_heard(const struct peer *p)
{
	char c;
	return recv(p->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void a_crowd_of_clients_shakes_hands_in_several_turns(void **state)
{
	struct world *w = *state;
	struct peer crowd[CROWD];
	unsigned heard = 0;
	process_end(w);
	w->clients_max = CROWD;
	process_start(w, (char[]){ "this host" });
	for (unsigned i = 0; i < CROWD; i++)
		peer_start(w, &crowd[i], versions[0], NULL);
	for (unsigned turn = 1; turn <= 3; turn++) {
		loop_turn(w->loop, 0);
		heard = 0;
		for (unsigned i = 0; i < CROWD; i++)
			heard += peer_heard(&crowd[i]);
		const unsigned most = turn * LIMIT_TLS_HANDSHAKES_A_TURN;
		assert_int_equal(heard, most < CROWD ? most : CROWD);
	}
	assert_int_equal(w->counters.tls_handshakes_put_off,
		CROWD - LIMIT_TLS_HANDSHAKES_A_TURN + 1);
	for (unsigned i = 0; i < CROWD; i++) {
		gnutls_deinit(crowd[i].session);
		gnutls_certificate_free_credentials(crowd[i].cred);
		fd_close(&crowd[i].fd);
	}
}

struct asker {
	struct upstream *upstream;
	unsigned answers;
};

static void answer_note(
	void *ctx, struct ask *a, enum ask_event what, const uint8_t *msg, size_t len)
{
	struct asker *asker = ctx;
	(void)msg;
	(void)len;
	assert_int_equal(what, ASK_MESSAGE);
	asker->answers++;
	upstream_cancel(asker->upstream, a);
}

static void a_crowd_of_servers_is_connected_to_in_several_turns(void **state)
{
	struct world *w = *state;
	const uint8_t question[17] = { 0, 1, 1, 0, 0, 1, [13] = 1, [15] = 1 };
	const struct tls_peer_conf insecure = { .insecure = true };
	const struct upstream_conf conf = { .max_asks = CROWD };
	struct sockaddr_in name = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(name);
	struct addr at;
	struct random rnd;
	struct asker asker = { 0 };
	struct tls_peer *peers[CROWD];
	char error[TLS_ERROR_MAX];
	random_init(&rnd);
	process_end(w);
	w->clients_max = CROWD;
	w->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->listening, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(w->listening, CROWD), 0);
	assert_int_equal(getsockname(w->listening, (struct sockaddr *)&name, &len), 0);
	assert_true(addr_from_sockaddr(&at, (struct sockaddr *)&name));
	process_start(w, (char[]){ "this host" });
	struct tls_client *client = tls_client_new(&w->counters);
	struct upstream *up = upstream_new(w->loop, &conf, &rnd, &w->counters);
	asker.upstream = up;
	for (unsigned i = 0; i < CROWD; i++) {
		peers[i] = tls_peer_new(client, &insecure, error);
		struct upstream_line *l = upstream_line_new(up, &at, peers[i]);
		assert_non_null(upstream_ask_line(l, question, sizeof(question),
			60 * 1000 * 1000, answer_note, &asker));
	}
	for (int i = 0; i < TURNS_MAX && asker.answers < CROWD; i++) {
		const uint64_t before = w->counters.upstream_tls_handshakes;
		loop_turn(w->loop, 100);
		assert_in_range(w->counters.upstream_tls_handshakes - before, 0,
			LIMIT_TLS_CLIENT_HANDSHAKES_A_TURN);
	}
	assert_int_equal(asker.answers, CROWD);
	assert_int_equal(w->counters.upstream_tls_handshakes, CROWD);
	assert_true(w->counters.upstream_tls_put_off > 0);
	upstream_free(up);
	for (unsigned i = 0; i < CROWD; i++)
		tls_peer_free(peers[i]);
	tls_client_free(client);
}

static void the_end_of_a_certificate_is_told_in_steps(void **state)
{
	(void)state;
	enum { DAY = 86400 };
	const int64_t end = START_S;
	const struct tls_dates quarter = { end - 90 * DAY, end, 0 },
			       week = { end - 6 * DAY, end, 0 };
	static const struct {
		int64_t left_s, step;
	} rows[] = {
		{ 91 * DAY, TLS_STEP_EARLY },
		{ 90 * DAY, TLS_STEP_NONE },
		{ 14 * DAY + 1, TLS_STEP_NONE },
		{ 14 * DAY, 14 },
		{ 7 * DAY + 1, 14 },
		{ 7 * DAY, 7 },
		{ 3 * DAY, 3 },
		{ DAY + 1, 3 },
		{ DAY, 1 },
		{ DAY - 1, 0 },
		{ 0, 0 },
		{ -1, -1 },
		{ -DAY, -1 },
		{ -DAY - 1, -2 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(
			tls_dates_step(&quarter, end - rows[i].left_s) == rows[i].step);
	assert_true(tls_dates_step(&week, end - 6 * DAY) == TLS_STEP_NONE);
	assert_true(tls_dates_step(&week, end - 2 * DAY) == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_certificate_is_told_in_steps),
		cmocka_unit_test_setup_teardown(
			messages_of_all_sizes_come_back, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(
			a_handshake_message_may_lie_in_many_records, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(one_in_very_many_records_is_given_up,
			world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(
			a_key_update_before_a_question_holds_nothing_up, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(
			sessions_are_resumed_by_the_next_process, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(
			tickets_are_good_in_their_hour_and_the_next, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(
			a_crowd_of_clients_shakes_hands_in_several_turns, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(
			a_crowd_of_servers_is_connected_to_in_several_turns,
			world_setup, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
