/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls.c - the side of servers: what all its layers share, certificates that change,
 * tickets. */
#include "net/tls.h"

#include <assert.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "net/tls_internal.h"

const char *const tls_dot[] = { "dot", NULL };
const char *const tls_https[] = { "h2", "http/1.1", NULL };

/* AES-128 first for who leaves it to us. */
static const char priorities[] = TLS_PRIORITIES ":%SERVER_PRECEDENCE";

struct tls_server {
	struct tls_shared shared;
	struct tls_conf conf;
	struct counters *counters;
	gnutls_priority_t priority;
	struct tls_cred *cred;
	uint64_t stamp, stamp_seen; /* of the files in use; of the last look */
	int64_t again_s;            /* when they become valid; 0: they are, or never */
	struct tls_tickets tickets;
	int64_t wall_s;
};

struct client_layer { /* of a client's connection */
	struct tls_layer tls;
	struct tls_server *server;
	struct tls_cred *cred;
	bool https;
};

/* Each kind has its own. */
#define COUNT(y, what)                                                                 \
	do {                                                                           \
		if ((y)->https)                                                        \
			counter_up((y)->server->counters, doh_##what);                 \
		else                                                                   \
			counter_up((y)->server->counters, tls_##what);                 \
	} while (0)

static struct client_layer *client_of(struct tls_layer *y)
{
	return (struct client_layer *)y;
}

static void shook(struct tls_layer *y)
{
	const struct client_layer *c = client_of(y);
	COUNT(c, handshakes);
	if (gnutls_session_is_resumed(y->session))
		COUNT(c, resumed);
	y->ticket_due = gnutls_protocol_get_version(y->session) == GNUTLS_TLS1_3;
}

static void failed(struct tls_layer *y, int result)
{
	const struct client_layer *c = client_of(y);
	if (!y->base.stray_header) /* else it is no handshake that failed */
		COUNT(c, handshakes_failed);
	log_debug(TLS, "handshake: %s", gnutls_strerror(result));
}

static void leave(struct tls_layer *y)
{
	tls_cred_drop(client_of(y)->cred);
}

static const struct tls_role role = { shook, failed, NULL, leave };

static int hello(gnutls_session_t session, unsigned type, unsigned when,
	unsigned incoming, const gnutls_datum_t *msg)
{
	(void)type;
	(void)when;
	const struct client_layer *y = gnutls_session_get_ptr(session);
	if (incoming)
		tls_tickets_choose(
			&y->server->tickets, session, msg, y->server->wall_s);
	return 0;
}

/* What the client asks for is known, the certificate is not chosen yet. */
static int choose(gnutls_session_t session)
{
	const struct client_layer *y = gnutls_session_get_ptr(session);
	char name[256];
	size_t len = sizeof(name);
	unsigned type;
	if (gnutls_server_name_get(session, name, &len, &type, 0) < 0 ||
		type != GNUTLS_NAME_DNS || strnlen(name, sizeof(name)) == sizeof(name))
		return 0;
	gnutls_certificate_credentials_t x509 = tls_names_find(y->cred->names, name);
	return x509 ? gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, x509) : 0;
}

static int session_start(struct client_layer *y, int fd, const char *const *protocols)
{
	struct tls_server *t = y->server;
	int e = tls_layer_init(&y->tls, &t->shared, &role, fd, GNUTLS_SERVER);
	if (e < 0)
		return e;
	gnutls_session_t session = y->tls.session;
	gnutls_handshake_set_hook_function(
		session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, hello);
	if (y->cred->names)
		gnutls_handshake_set_post_client_hello_function(session, choose);
	e = gnutls_priority_set(session, t->priority);
	if (e >= 0)
		e = gnutls_credentials_set(
			session, GNUTLS_CRD_CERTIFICATE, y->cred->x509);
	if (e >= 0)
		e = tls_tickets_enable(&t->tickets, session);
	/* who speaks something else is told so, RFC 7301 section 3.2 (ALPACA) */
	if (e >= 0)
		e = tls_offer(session, protocols,
			GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
	return e;
}

struct stream_layer *layer_tls_new(void *ctx, int fd)
{
	const struct tls_profile *p = ctx;
	struct client_layer *y = calloc(1, sizeof(*y));
	if (!y)
		return NULL;
	y->server = p->server;
	y->cred = tls_cred_hold(p->server->cred);
	y->https = p->protocols == tls_https;
	if (session_start(y, fd, p->protocols) >= 0)
		return &y->tls.base;
	y->tls.base.ops->free(&y->tls.base);
	return NULL;
}

/* --- what all of them share ------------------------------------------------------- */

/* What the log says once may be missed; what is measured may have an alarm. */
static void look_at_end(struct tls_server *t)
{
	tls_cred_warn(t->cred, &t->conf, t->wall_s);
	counter_set(t->counters, tls_certificate_not_after_seconds,
		tls_cred_end(t->cred, t->conf.pair_count));
}

struct tls_server *tls_server_new(const struct tls_conf *conf,
	struct counters *counters, char error[static TLS_ERROR_MAX])
{
	struct tls_server *t = calloc(1, sizeof(*t));
	const char *where;
	if (!t || !tls_shared_init(&t->shared)) {
		free(t);
		snprintf(error, TLS_ERROR_MAX, "out of memory");
		return NULL;
	}
	t->conf = *conf;
	t->counters = counters;
	t->wall_s = time(NULL);
	t->stamp = t->stamp_seen = tls_cred_stamp(conf);
	const int e = gnutls_priority_init(&t->priority, priorities, &where);
	if (e < 0)
		snprintf(error, TLS_ERROR_MAX, "TLS: %s", gnutls_strerror(e));
	else
		t->cred = tls_cred_load(conf, t->wall_s, error);
	if (!t->cred) {
		tls_server_free(t);
		return NULL;
	}
	look_at_end(t);
	tls_tickets_renew(&t->tickets, conf, t->wall_s);
	return t;
}

void tls_server_free(struct tls_server *t)
{
	if (!t)
		return;
	assert(!t->cred || t->cred->refs == 1);
	tls_cred_drop(t->cred);
	if (t->priority)
		gnutls_priority_deinit(t->priority);
	tls_shared_fini(&t->shared);
	explicit_bzero(&t->tickets, sizeof(t->tickets));
	free(t);
}

bool tls_server_is_sound(const struct tls_server *t, char error[static TLS_ERROR_MAX])
{
	return tls_cred_is_sound(t->cred, &t->conf, t->wall_s, error);
}

bool tls_check(const struct tls_conf *conf, bool sound, unsigned *warnings,
	char error[static TLS_ERROR_MAX])
{
	const int64_t wall_s = time(NULL);
	*warnings = 0;
	if (!conf->pair_count)
		return true;
	struct tls_cred *c = tls_cred_load(conf, wall_s, error);
	bool fine = c != NULL;
	if (fine && sound)
		fine = tls_cred_is_sound(c, conf, wall_s, error);
	if (fine)
		*warnings = tls_cred_warn(c, conf, wall_s);
	tls_cred_drop(c);
	return fine;
}

static void stays(struct tls_server *t, const char *why)
{
	counter_up(t->counters, tls_reloads_failed);
	log_error(
		TLS, "the certificate in use stays, the new one is unusable: %s", why);
}

/* Certificate and key are two files: looked at when a second went by without a change. */
static void reload(struct tls_server *t)
{
	char error[TLS_ERROR_MAX];
	const uint64_t stamp = tls_cred_stamp(&t->conf);
	const bool still = stamp == t->stamp_seen;
	const bool old = t->cred->renew_s && t->wall_s > t->cred->renew_s;
	const bool due = t->again_s && t->wall_s >= t->again_s;
	t->stamp_seen = stamp;
	if (!old && !due && (stamp == t->stamp || !still))
		return;
	t->stamp = stamp;
	t->again_s = 0;
	struct tls_cred *fresh = tls_cred_load(&t->conf, t->wall_s, error);
	if (!fresh) {
		stays(t, error);
		return;
	}
	if (tls_cred_is_worse(
		    fresh, t->cred, &t->conf, t->wall_s, &t->again_s, error)) {
		stays(t, error);
		tls_cred_drop(fresh);
		return;
	}
	tls_cred_drop(t->cred);
	t->cred = fresh;
	counter_up(t->counters, tls_reloads);
	if (t->conf.pair_count)
		log_notice(TLS, "new certificate: %s", t->conf.pairs[0].cert);
}

void tls_server_secret_changed(struct tls_server *t)
{
	t->tickets.epoch = 0; /* no hour that is */
	tls_tickets_renew(&t->tickets, &t->conf, t->wall_s);
}

void tls_server_tick(struct tls_server *t, int64_t wall_s)
{
	t->wall_s = wall_s;
	tls_tickets_renew(&t->tickets, &t->conf, wall_s);
	reload(t);
	look_at_end(t);
}
