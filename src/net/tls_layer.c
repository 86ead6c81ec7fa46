/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls_layer.c - the bytes of a TLS connection, of either side: what the socket gives is
 * decrypted, what is written encrypted.
 *
 * One receive and one send a call: GnuTLS reads from and writes to buffers of ours, which
 * all layers of an owner share while they are in use; a layer keeps a copy only of what is
 * left over. GnuTLS therefore never sees a full socket: write() takes what was encrypted as
 * written only when the socket has taken all of it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "net/proxy.h"
#include "net/tls_internal.h"

enum {
	RECORD_LEN = 16 * 1024,     /* RFC 8446 section 5.1 */
	WRITE_MAX = 4 * RECORD_LEN, /* at once */
	OUT_MAX = 256 * 1024,       /* more than any handshake or write makes */
	PROTOCOLS_MAX = 4,
	OTHERS_MAX = 64, /* records in one read that hold no data */
};

static struct tls_layer *layer_of(struct stream_layer *y)
{
	return (struct tls_layer *)y;
}

bool tls_shared_init(struct tls_shared *t)
{
	t->out = malloc(OUT_MAX);
	t->out_len = 0;
	t->out_cap = OUT_MAX;
	return t->out;
}

void tls_shared_fini(struct tls_shared *t)
{
	free(t->out);
	t->out = NULL;
}

/* --- the socket ------------------------------------------------------------------- */

static bool receive(struct tls_layer *y)
{
	struct tls_shared *t = y->shared;
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
	y->base.stray_header |= !y->shook && proxy_is_header(t->in, (size_t)n);
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
	struct tls_shared *t = y->shared;
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
	struct tls_shared *t = y->shared;
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

/* What a session that is over pushed must not leave with another's bytes. */
static int broken(struct tls_layer *y)
{
	y->shared->out_len = 0;
	return LAYER_BROKEN;
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

/* GnuTLS takes a record at a time, and a message may lie in many (RFC 8446 section 5.1): what was
 * received goes on until nothing is left, for no event will tell of it. */
static int shake(struct tls_layer *y)
{
	for (;;) {
		const int result = gnutls_handshake(y->session);
		const bool more = result == GNUTLS_E_AGAIN && y->in_len;
		if (!more && result != GNUTLS_E_INTERRUPTED &&
			result != GNUTLS_E_WARNING_ALERT_RECEIVED)
			return result;
		if (++y->records > LIMIT_TLS_HANDSHAKE_RECORDS)
			return GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS;
	}
}

static int tls_handshake(struct stream_layer *base)
{
	struct tls_layer *y = layer_of(base);
	int e = flush_rest(y);
	if (e != LAYER_DONE || y->shook)
		return e;
	const int result = shake(y);
	if (result == GNUTLS_E_SUCCESS)
		y->role->shook(y);
	const bool fatal = result < 0 && result != GNUTLS_E_AGAIN;
	if (fatal) {
		y->role->failed(y, result);
		gnutls_alert_send_appropriate(y->session, result);
	}
	e = flush(y);
	if (fatal || e == LAYER_BROKEN || !settle(y))
		return LAYER_BROKEN;
	y->shook = result == GNUTLS_E_SUCCESS;
	return e == LAYER_DONE && !y->shook ? LAYER_WANT_READ : e;
}

/* TLS 1.2: work for whoever asks for it. RFC 5246 section 7.2.2 has the words. */
static int renegotiation_refuse(struct tls_layer *y)
{
	gnutls_alert_send(y->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
	flush(y);
	return LAYER_BROKEN;
}

/* A record without data was read: a key update, a ticket, a warning. There may be more behind it
 * that was received with it, and of which no event will tell. */
static bool goes_on(ssize_t result, unsigned *others)
{
	if (result == GNUTLS_E_INTERRUPTED)
		return true;
	return (result == GNUTLS_E_AGAIN ||
		       result == GNUTLS_E_WARNING_ALERT_RECEIVED) &&
	       ++*others <= OTHERS_MAX;
}

/* More than the first record of what came. LAYER_* when there is nothing (more). */
static int read_records(struct tls_layer *y, uint8_t *to, size_t len, size_t *got)
{
	unsigned others = 0;
	*got = 0;
	while (*got < len) {
		const ssize_t n = gnutls_record_recv(y->session, to + *got, len - *got);
		if (n > 0)
			*got += (size_t)n;
		else if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION)
			return LAYER_DONE;
		else if (n == GNUTLS_E_AGAIN && !y->in_len)
			return LAYER_WANT_READ;
		else if (n == GNUTLS_E_REHANDSHAKE)
			return renegotiation_refuse(y);
		else if (!goes_on(n, &others))
			return LAYER_BROKEN;
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
		return broken(y);
	if (y->role->heard)
		y->role->heard(y);
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
		return broken(y);
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
	send_some(y, y->shared->out, y->shared->out_len);
	y->shared->out_len = 0;
}

static void tls_free(struct stream_layer *base)
{
	struct tls_layer *y = layer_of(base);
	if (y->session)
		gnutls_deinit(y->session);
	if (y->role->leave) /* what the session used may go now */
		y->role->leave(y);
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

int tls_layer_init(struct tls_layer *y, struct tls_shared *shared,
	const struct tls_role *role, int fd, unsigned side)
{
	y->base = (struct stream_layer){ .ops = &tls_ops, .fd = fd };
	y->shared = shared;
	y->role = role;
	const int e = gnutls_init(&y->session,
		side | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_AUTO_SEND_TICKET);
	if (e < 0)
		return e;
	gnutls_session_set_ptr(y->session, y);
	gnutls_transport_set_ptr(y->session, y);
	gnutls_transport_set_pull_function(y->session, pull);
	gnutls_transport_set_vec_push_function(y->session, push);
	gnutls_handshake_set_timeout(y->session, GNUTLS_INDEFINITE_TIMEOUT);
	return 0;
}

int tls_offer(gnutls_session_t session, const char *const *protocols, unsigned flags)
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
	return gnutls_alpn_set_protocols(session, names, count, flags);
}
