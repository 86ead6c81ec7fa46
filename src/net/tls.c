/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls.c - the layer: what the socket gives is decrypted, what is written encrypted.
 *
 * One receive and one send a call: GnuTLS reads from and writes to buffers of ours, which
 * all layers share while they are in use; a layer keeps a copy only of what is left over.
 * GnuTLS therefore never sees a full socket: write() takes what was encrypted as written
 * only when the socket has taken all of it. */
#include "net/tls.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "net/tls_internal.h"

enum {
	IN_LEN = 32 * 1024,         /* from one receive */
	RECORD_LEN = 16 * 1024,     /* RFC 8446 section 5.1 */
	WRITE_MAX = 4 * RECORD_LEN, /* at once */
	OUT_MAX = 256 * 1024,       /* more than any handshake or write makes */
	PROTOCOLS_MAX = 4,
	WARNINGS_MAX = 8, /* alerts in one read that end nothing */
};

const char *const tls_dot[] = { "dot", NULL };
const char *const tls_https[] = { "h2", "http/1.1", NULL };

/* AEAD with forward secrecy only, AES-128 first for who leaves it to us. */
static const char priorities[] =
	"NONE:+VERS-TLS1.3:+VERS-TLS1.2:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
	":+AEAD:+ECDHE-ECDSA:+ECDHE-RSA:+GROUP-X25519:+GROUP-SECP256R1"
	":+GROUP-SECP384R1:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-RSA-SHA224"
	":-SIGN-ECDSA-SHA224:+COMP-NULL:+CTYPE-SRV-X509:+CTYPE-CLI-X509"
	":%SERVER_PRECEDENCE";

struct tls_server {
	struct tls_conf conf;
	struct counters *counters;
	gnutls_priority_t priority;
	struct tls_cred *cred;
	uint64_t stamp, stamp_seen; /* of the files in use; of the last look */
	struct tls_tickets tickets;
	int64_t wall_s;
	uint8_t in[IN_LEN];
	uint8_t *out;
	size_t out_len, out_cap;
};

struct tls_layer {
	struct stream_layer base;
	struct tls_server *server;
	struct tls_cred *cred;
	gnutls_session_t session;
	const uint8_t *in; /* received, not yet taken by GnuTLS: shared or kept */
	size_t in_len;
	uint8_t *kept;
	uint8_t *out; /* what the socket did not take */
	size_t out_start, out_end;
	size_t promised; /* plain bytes in it, not yet told as written */
	bool drained;    /* the socket is empty */
	bool ended;      /* and will give no more */
	bool ticket_due;
	bool shook; /* the handshake is over */
};

static struct tls_layer *layer_of(struct stream_layer *y)
{
	return (struct tls_layer *)y;
}

/* --- the socket ------------------------------------------------------------------- */

static bool receive(struct tls_layer *y)
{
	struct tls_server *t = y->server;
	ssize_t n;
	do {
		n = recv(y->base.fd, t->in, sizeof(t->in), MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		y->drained = true;
		return errno == EAGAIN;
	}
	y->ended = n == 0;
	y->drained = (size_t)n < sizeof(t->in);
	y->in = t->in;
	y->in_len = (size_t)n;
	return true;
}

static ssize_t pull(gnutls_transport_ptr_t ctx, void *to, size_t len)
{
	struct tls_layer *y = ctx;
	if (!y->in_len && !y->drained && !receive(y)) {
		gnutls_transport_set_errno(y->session, ECONNRESET);
		return -1;
	}
	if (!y->in_len && !y->ended) {
		gnutls_transport_set_errno(y->session, EAGAIN);
		return -1;
	}
	if (len > y->in_len)
		len = y->in_len;
	memcpy(to, y->in, len);
	y->in += len;
	y->in_len -= len;
	return (ssize_t)len;
}

static ssize_t push(gnutls_transport_ptr_t ctx, const giovec_t *parts, int count)
{
	struct tls_layer *y = ctx;
	struct tls_server *t = y->server;
	size_t sum = 0;
	for (int i = 0; i < count; i++)
		sum += parts[i].iov_len;
	if (sum > t->out_cap - t->out_len) {
		gnutls_transport_set_errno(y->session, ENOBUFS);
		return -1;
	}
	for (int i = 0; i < count; i++) {
		memcpy(t->out + t->out_len, parts[i].iov_base, parts[i].iov_len);
		t->out_len += parts[i].iov_len;
	}
	return (ssize_t)sum;
}

/* Bytes taken; -1: the connection is broken. */
static ssize_t send_some(struct tls_layer *y, const uint8_t *data, size_t len)
{
	ssize_t n;
	do {
		n = send(y->base.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n >= 0 || errno != EAGAIN ? n : 0;
}

/* What GnuTLS pushed leaves; the rest is kept. LAYER_DONE, _WANT_WRITE, _BROKEN. */
static int flush(struct tls_layer *y)
{
	struct tls_server *t = y->server;
	const size_t len = t->out_len;
	t->out_len = 0;
	if (!len)
		return LAYER_DONE;
	if (y->out_start < y->out_end) { /* GnuTLS answered while a rest waits */
		const size_t rest = y->out_end - y->out_start;
		uint8_t *more = rest + len <= OUT_MAX ? malloc(rest + len) : NULL;
		if (!more)
			return LAYER_BROKEN;
		memcpy(more, y->out + y->out_start, rest);
		memcpy(more + rest, t->out, len);
		free(y->out);
		y->out = more;
		y->out_start = 0;
		y->out_end = rest + len;
		return LAYER_WANT_WRITE;
	}
	const ssize_t n = send_some(y, t->out, len);
	if (n < 0)
		return LAYER_BROKEN;
	if ((size_t)n == len)
		return LAYER_DONE;
	const size_t rest = len - (size_t)n;
	y->out = malloc(rest);
	if (!y->out)
		return LAYER_BROKEN;
	memcpy(y->out, t->out + n, rest);
	y->out_start = 0;
	y->out_end = rest;
	return LAYER_WANT_WRITE;
}

/* The rest of before. */
static int flush_rest(struct tls_layer *y)
{
	if (y->out_start == y->out_end)
		return LAYER_DONE;
	const ssize_t n =
		send_some(y, y->out + y->out_start, y->out_end - y->out_start);
	if (n < 0)
		return LAYER_BROKEN;
	y->out_start += (size_t)n;
	if (y->out_start < y->out_end)
		return LAYER_WANT_WRITE;
	free(y->out);
	y->out = NULL;
	y->out_start = y->out_end = 0;
	return LAYER_DONE;
}

/* The shared buffer goes to the next: keep what is left. False: out of memory. */
static bool settle(struct tls_layer *y)
{
	y->drained = y->ended;
	if (!y->in_len) {
		free(y->kept);
		y->kept = NULL;
		y->in = NULL;
		return true;
	}
	uint8_t *kept = malloc(y->in_len);
	if (!kept)
		return false;
	memcpy(kept, y->in, y->in_len);
	free(y->kept);
	y->kept = kept;
	y->in = kept;
	return true;
}

/* --- the layer -------------------------------------------------------------------- */

static void count_handshake(struct tls_layer *y)
{
	struct counters *c = y->server->counters;
	counter_up(c, tls_handshakes);
	if (gnutls_session_is_resumed(y->session))
		counter_up(c, tls_resumed);
	y->ticket_due = gnutls_protocol_get_version(y->session) == GNUTLS_TLS1_3;
}

static int tls_handshake(struct stream_layer *base)
{
	struct tls_layer *y = layer_of(base);
	int e = flush_rest(y);
	if (e != LAYER_DONE || y->shook)
		return e;
	int result;
	do {
		result = gnutls_handshake(y->session);
	} while (result == GNUTLS_E_INTERRUPTED ||
		 result == GNUTLS_E_WARNING_ALERT_RECEIVED);
	if (result == GNUTLS_E_SUCCESS)
		count_handshake(y);
	const bool fatal = result < 0 && result != GNUTLS_E_AGAIN;
	if (fatal) {
		counter_up(y->server->counters, tls_handshakes_failed);
		log_debug(TLS, "handshake: %s", gnutls_strerror(result));
		gnutls_alert_send_appropriate(y->session, result);
	}
	e = flush(y);
	if (fatal || e == LAYER_BROKEN || !settle(y))
		return LAYER_BROKEN;
	y->shook = result == GNUTLS_E_SUCCESS;
	return e == LAYER_DONE && !y->shook ? LAYER_WANT_READ : e;
}

/* More than the first record of what came. LAYER_* when there is nothing (more). */
static int read_records(struct tls_layer *y, uint8_t *to, size_t len, size_t *got)
{
	unsigned warnings = 0;
	*got = 0;
	while (*got < len) {
		const ssize_t n = gnutls_record_recv(y->session, to + *got, len - *got);
		if (n > 0)
			*got += (size_t)n;
		else if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION)
			return LAYER_DONE;
		else if (n == GNUTLS_E_AGAIN)
			return LAYER_WANT_READ;
		else if (n != GNUTLS_E_INTERRUPTED &&
			 (n != GNUTLS_E_WARNING_ALERT_RECEIVED ||
				 ++warnings > WARNINGS_MAX))
			return LAYER_BROKEN; /* renegotiation too */
		if (n > 0 && !y->in_len && !gnutls_record_check_pending(y->session))
			break; /* a call that would say so is saved */
	}
	return LAYER_WANT_READ;
}

static ssize_t tls_read(struct stream_layer *base, void *buf, size_t len)
{
	struct tls_layer *y = layer_of(base);
	size_t got;
	const int end = read_records(y, buf, len, &got);
	/* it may have answered, a key update for one */
	if (end == LAYER_BROKEN || flush(y) == LAYER_BROKEN || !settle(y))
		return LAYER_BROKEN;
	return got ? (ssize_t)got : end;
}

/* Plain bytes encrypted into the shared buffer; -1: broken. */
static ssize_t encrypt(struct tls_layer *y, const uint8_t *data, size_t len)
{
	size_t done = 0;
	if (y->ticket_due) { /* leaves with the first answer */
		y->ticket_due = false;
		if (gnutls_session_ticket_send(y->session, 1, 0) < 0)
			return -1;
	}
	if (len > WRITE_MAX)
		len = WRITE_MAX;
	for (unsigned i = 0; done < len;) {
		size_t some = len - done < RECORD_LEN ? len - done : RECORD_LEN;
		while (i < y->base.end_count && y->base.ends[i] <= done)
			i++;
		if (i < y->base.end_count && y->base.ends[i] - done < some)
			some = y->base.ends[i] - done;
		const ssize_t n = gnutls_record_send(y->session, data + done, some);
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static ssize_t tls_write(struct stream_layer *base, const void *data, size_t len)
{
	struct tls_layer *y = layer_of(base);
	int e = flush_rest(y);
	if (e != LAYER_DONE)
		return e;
	if (y->promised) {
		assert(y->promised <= len);
		const size_t written = y->promised;
		y->promised = 0;
		return (ssize_t)written;
	}
	const ssize_t n = encrypt(y, data, len);
	if (n < 0)
		return LAYER_BROKEN;
	e = flush(y);
	if (e == LAYER_DONE)
		return n;
	y->promised = (size_t)n;
	return e;
}

static bool tls_buffered(struct stream_layer *base)
{
	struct tls_layer *y = layer_of(base);
	return y->in_len || gnutls_record_check_pending(y->session);
}

static void tls_goodbye(struct stream_layer *base)
{
	struct tls_layer *y = layer_of(base);
	if (y->out_start < y->out_end)
		return; /* it would stand in the middle of a record */
	gnutls_bye(y->session, GNUTLS_SHUT_WR);
	send_some(y, y->server->out, y->server->out_len);
	y->server->out_len = 0;
}

static void tls_free(struct stream_layer *base)
{
	struct tls_layer *y = layer_of(base);
	if (y->session)
		gnutls_deinit(y->session);
	tls_cred_drop(y->cred);
	free(y->kept);
	free(y->out);
	free(y);
}

static const struct layer_ops tls_ops = {
	.handshake = tls_handshake,
	.read = tls_read,
	.write = tls_write,
	.buffered = tls_buffered,
	.goodbye = tls_goodbye,
	.free = tls_free,
};

static int hello(gnutls_session_t session, unsigned type, unsigned when,
	unsigned incoming, const gnutls_datum_t *msg)
{
	(void)type;
	(void)when;
	const struct tls_layer *y = gnutls_session_get_ptr(session);
	if (incoming)
		tls_tickets_choose(
			&y->server->tickets, session, msg, y->server->wall_s);
	return 0;
}

static int offer(gnutls_session_t session, const char *const *protocols)
{
	gnutls_datum_t names[PROTOCOLS_MAX];
	unsigned count = 0;
	for (; protocols[count] && count < PROTOCOLS_MAX; count++) {
		union { /* GnuTLS copies them */
			const char *text;
			unsigned char *data;
		} u = { protocols[count] };
		names[count] =
			(gnutls_datum_t){ u.data, (unsigned)strlen(protocols[count]) };
	}
	/* who speaks something else is told so, RFC 7301 section 3.2 (ALPACA) */
	return gnutls_alpn_set_protocols(session, names, count,
		GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
}

static int session_start(struct tls_layer *y, const char *const *protocols)
{
	struct tls_server *t = y->server;
	int e = gnutls_init(&y->session, GNUTLS_SERVER | GNUTLS_NONBLOCK |
						 GNUTLS_NO_SIGNAL |
						 GNUTLS_NO_AUTO_SEND_TICKET);
	if (e < 0)
		return e;
	gnutls_session_set_ptr(y->session, y);
	gnutls_transport_set_ptr(y->session, y);
	gnutls_transport_set_pull_function(y->session, pull);
	gnutls_transport_set_vec_push_function(y->session, push);
	gnutls_handshake_set_timeout(y->session, GNUTLS_INDEFINITE_TIMEOUT);
	gnutls_handshake_set_hook_function(
		y->session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, hello);
	e = gnutls_priority_set(y->session, t->priority);
	if (e >= 0)
		e = gnutls_credentials_set(
			y->session, GNUTLS_CRD_CERTIFICATE, y->cred->x509);
	if (e >= 0)
		e = tls_tickets_enable(&t->tickets, y->session);
	if (e >= 0)
		e = offer(y->session, protocols);
	return e;
}

struct stream_layer *layer_tls_new(void *ctx, int fd)
{
	const struct tls_profile *p = ctx;
	struct tls_layer *y = calloc(1, sizeof(*y));
	if (!y)
		return NULL;
	y->base = (struct stream_layer){ .ops = &tls_ops, .fd = fd };
	y->server = p->server;
	y->cred = tls_cred_hold(p->server->cred);
	if (session_start(y, p->protocols) >= 0)
		return &y->base;
	tls_free(&y->base);
	return NULL;
}

/* --- what all of them share ------------------------------------------------------- */

struct tls_server *tls_server_new(const struct tls_conf *conf,
	struct counters *counters, char error[static TLS_ERROR_MAX])
{
	struct tls_server *t = calloc(1, sizeof(*t));
	const char *where;
	if (!t || !(t->out = malloc(OUT_MAX))) {
		free(t);
		snprintf(error, TLS_ERROR_MAX, "out of memory");
		return NULL;
	}
	t->conf = *conf;
	t->counters = counters;
	t->out_cap = OUT_MAX;
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
	free(t->out);
	explicit_bzero(&t->tickets, sizeof(t->tickets));
	free(t);
}

bool tls_check(const struct tls_conf *conf, char error[static TLS_ERROR_MAX])
{
	if (!conf->pair_count)
		return true;
	struct tls_cred *c = tls_cred_load(conf, time(NULL), error);
	tls_cred_drop(c);
	return c != NULL;
}

/* Certificate and key are two files: looked at when a second went by without a change. */
static void reload(struct tls_server *t)
{
	char error[TLS_ERROR_MAX];
	const uint64_t stamp = tls_cred_stamp(&t->conf);
	const bool still = stamp == t->stamp_seen;
	const bool old = t->cred->renew_s && t->wall_s > t->cred->renew_s;
	t->stamp_seen = stamp;
	if (!old && (stamp == t->stamp || !still))
		return;
	t->stamp = stamp;
	struct tls_cred *fresh = tls_cred_load(&t->conf, t->wall_s, error);
	if (!fresh) {
		counter_up(t->counters, tls_reloads_failed);
		log_error(TLS,
			"the certificate in use stays, the new one is unusable: %s",
			error);
		return;
	}
	tls_cred_drop(t->cred);
	t->cred = fresh;
	counter_up(t->counters, tls_reloads);
	if (t->conf.pair_count)
		log_notice(TLS, "new certificate: %s", t->conf.pairs[0].cert);
}

void tls_server_tick(struct tls_server *t, int64_t wall_s)
{
	t->wall_s = wall_s;
	tls_tickets_renew(&t->tickets, &t->conf, wall_s);
	reload(t);
}
