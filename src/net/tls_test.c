/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A GnuTLS client on one end of a socket pair, the stream server on the other. */
#include "net/tls.h"

#include <gnutls/gnutls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "net/stream.h"

enum { TURNS_MAX = 1000, START_S = 1800000000 };

struct world {
	struct loop *loop;
	struct counters counters;
	struct tls_server *tls;
	struct tls_profile profile;
	struct stream_server *server;
	struct tls_conf conf;
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
		.max_clients = 16,
		.max_clients_per_address = 16,
		.pipeline = 100,
		.idle_ms = 60000,
		.layer_new = layer_tls_new,
		.layer_ctx = &w->profile };
	const struct stream_hooks hooks = { .query = query_handle, .ctx = w };
	w->server = stream_server_new(w->loop, -1, &conf, &hooks, &w->counters);
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

static void peer_open(struct world *w, struct peer *p, const char *priority,
	const gnutls_datum_t *ticket)
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
	if (ticket)
		gnutls_session_set_data(p->session, ticket->data, ticket->size);
	int e = GNUTLS_E_AGAIN;
	for (int i = 0; i < TURNS_MAX && e == GNUTLS_E_AGAIN; i++) {
		e = gnutls_handshake(p->session);
		loop_turn(w->loop, 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			messages_of_all_sizes_come_back, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(
			sessions_are_resumed_by_the_next_process, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(
			tickets_are_good_in_their_hour_and_the_next, world_setup,
			world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
