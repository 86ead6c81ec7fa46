/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client: one thread, so many connections, so many queries out on each.
 *
 * Kept connections ask as many again as were answered, in one write. The others ask one
 * question and end; the next one takes their place. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { BUFFER = 65536, QUERY_MAX = 300, EVENTS = 64 };

struct conn {
	int fd;
	SSL *ssl;
	SSL_SESSION *ticket;
	nghttp2_session *h2;
	bool ready; /* handshake done */
	uint8_t in[BUFFER];
	size_t in_len;
	uint8_t out[BUFFER];
	size_t out_len;
	unsigned due; /* queries to send */
	unsigned answered;
	bool dead;
};

static struct {
	const struct load *l;
	int ep;
	SSL_CTX *tls;
	nghttp2_session_callbacks *callbacks;
	uint8_t query[QUERY_MAX];
	size_t query_len;
	char length[8];
	uint64_t done, errors, connections, resumed;
	bool working;
} b;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_query(void)
{
	static const uint8_t head[12] = { 0, 7, 1, 0, 0, 1 };
	uint8_t *at = b.query;
	memcpy(at, head, sizeof(head));
	at += sizeof(head);
	for (const char *label = b.l->name; *label;) {
		const size_t len = strcspn(label, ".");
		*at++ = (uint8_t)len;
		memcpy(at, label, len);
		at += len;
		label += len + (label[len] == '.');
	}
	memcpy(at, "\0\0\1\0\1", 5);
	b.query_len = (size_t)(at + 5 - b.query);
	snprintf(b.length, sizeof(b.length), "%zu", b.query_len);
}

/* --- HTTP/2 ----------------------------------------------------------------------- */

static ssize_t h2_send(
	nghttp2_session *s, const uint8_t *data, size_t len, int flags, void *ctx)
{
	(void)s;
	(void)flags;
	struct conn *c = ctx;
	if (len > sizeof(c->out) - c->out_len)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	memcpy(c->out + c->out_len, data, len);
	c->out_len += len;
	return (ssize_t)len;
}

static ssize_t h2_body(nghttp2_session *s, int32_t id, uint8_t *to, size_t len,
	uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	(void)s;
	(void)id;
	(void)len;
	(void)source;
	(void)ctx;
	memcpy(to, b.query, b.query_len);
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)b.query_len;
}

static int h2_closed(nghttp2_session *s, int32_t id, uint32_t error, void *ctx)
{
	(void)s;
	(void)id;
	struct conn *c = ctx;
	b.errors += error != 0;
	c->answered++;
	return 0;
}

static int h2_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
	void *ctx)
{
	(void)s;
	(void)f;
	(void)flags;
	(void)ctx;
	if (name_len == 7 && memcmp(name, ":status", 7) == 0 &&
		(value_len != 3 || memcmp(value, "200", 3) != 0))
		b.errors++;
	return 0;
}

static void h2_start(struct conn *c)
{
	if (!b.callbacks) {
		nghttp2_session_callbacks_new(&b.callbacks);
		nghttp2_session_callbacks_set_send_callback(b.callbacks, h2_send);
		nghttp2_session_callbacks_set_on_stream_close_callback(
			b.callbacks, h2_closed);
		nghttp2_session_callbacks_set_on_header_callback(
			b.callbacks, h2_header);
	}
	nghttp2_session_client_new(&c->h2, b.callbacks, c);
	nghttp2_submit_settings(c->h2, 0, NULL, 0);
}

static nghttp2_nv field(const char *name, const char *value)
{
	union { /* nghttp2 copies them */
		const char *text;
		uint8_t *data;
	} n = { name }, v = { value };
	return (nghttp2_nv){ n.data, v.data, strlen(name), strlen(value),
		NGHTTP2_NV_FLAG_NONE };
}

static void h2_ask(struct conn *c)
{
	const nghttp2_nv fields[] = { field(":method", "POST"),
		field(":scheme", "https"), field(":authority", "localhost"),
		field(":path", "/dns-query"),
		field("content-type", "application/dns-message"),
		field("accept", "application/dns-message"),
		field("content-length", b.length) };
	const nghttp2_data_provider body = { .read_callback = h2_body };
	nghttp2_submit_request(c->h2, NULL, fields, 7, &body, NULL);
}

/* --- connections ------------------------------------------------------------------ */

static int ticket_new(SSL *ssl, SSL_SESSION *session)
{
	struct conn *c = SSL_get_app_data(ssl);
	SSL_SESSION_free(c->ticket);
	c->ticket = session;
	return 1;
}

static void conn_open(struct conn *c)
{
	static const uint8_t dot[] = "\3dot", h2[] = "\2h2";
	const struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(b.l->port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int on = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->dead = connect(c->fd, (const struct sockaddr *)&at, sizeof(at)) < 0 &&
		  errno != EINPROGRESS;
	c->ready = b.l->kind == KIND_TCP;
	c->in_len = c->out_len = 0;
	c->answered = 0;
	c->due = b.l->how == HOW_KEPT ? b.l->in_flight : 1;
	b.connections++;
	if (b.l->kind != KIND_TCP) {
		c->ssl = SSL_new(b.tls);
		SSL_set_app_data(c->ssl, c);
		SSL_set_fd(c->ssl, c->fd);
		SSL_set_connect_state(c->ssl);
		const bool https = b.l->kind == KIND_DOH;
		SSL_set_alpn_protos(c->ssl, https ? h2 : dot, https ? 3 : 4);
		if (b.l->how == HOW_RESUMED && c->ticket)
			SSL_set_session(c->ssl, c->ticket);
	}
	if (b.l->kind == KIND_DOH)
		h2_start(c);
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
	epoll_ctl(b.ep, EPOLL_CTL_ADD, c->fd, &e);
}

static void conn_close(struct conn *c)
{
	nghttp2_session_del(c->h2);
	c->h2 = NULL;
	if (c->ssl) {
		if (c->ready && !c->dead)
			SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
	}
	c->ssl = NULL;
	close(c->fd);
	c->fd = -1;
}

static ssize_t conn_recv(struct conn *c)
{
	uint8_t *to = c->in + c->in_len;
	const size_t room = sizeof(c->in) - c->in_len;
	ssize_t n;
	if (c->ssl) {
		n = SSL_read(c->ssl, to, (int)room);
		if (n <= 0)
			return SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ
				       ? 0
				       : -1;
		return n;
	}
	n = recv(c->fd, to, room, 0);
	return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

static void frames_read(struct conn *c)
{
	size_t at = 0;
	while (c->in_len - at >= 2) {
		const size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];
		if (c->in_len - at < 2 + len)
			break;
		b.errors += (c->in[at + 5] & 15) != 0;
		at += 2 + len;
		c->answered++;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

static void conn_read(struct conn *c)
{
	for (ssize_t n; !c->dead && (n = conn_recv(c)) != 0;) {
		if (n < 0) {
			c->dead = true;
			return;
		}
		if (c->h2) {
			c->dead = nghttp2_session_mem_recv(c->h2, c->in, (size_t)n) < 0;
			continue;
		}
		c->in_len += (size_t)n;
		frames_read(c);
	}
}

static void conn_write(struct conn *c)
{
	for (; c->due; c->due--) {
		if (c->h2) {
			h2_ask(c);
			continue;
		}
		uint8_t *at = c->out + c->out_len;
		at[0] = (uint8_t)(b.query_len >> 8);
		at[1] = (uint8_t)b.query_len;
		memcpy(at + 2, b.query, b.query_len);
		c->out_len += 2 + b.query_len;
	}
	if (c->h2)
		nghttp2_session_send(c->h2);
	if (!c->out_len)
		return;
	/* small: the socket takes it whole */
	const ssize_t n = c->ssl ? SSL_write(c->ssl, c->out, (int)c->out_len)
				 : send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
	c->dead |= n != (ssize_t)c->out_len;
	c->out_len = 0;
}

static bool conn_handshake(struct conn *c)
{
	const int e = SSL_do_handshake(c->ssl);
	if (e == 1) {
		c->ready = true;
		b.resumed += SSL_session_reused(c->ssl) > 0;
		return true;
	}
	const int why = SSL_get_error(c->ssl, e);
	c->dead = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
	return false;
}

static void conn_event(struct conn *c, unsigned events)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	if (events & EPOLLOUT)
		epoll_ctl(b.ep, EPOLL_CTL_MOD, c->fd, &e);
	if (c->ready || conn_handshake(c)) {
		conn_read(c);
		b.done += b.working ? c->answered : 0;
		if (b.l->how == HOW_KEPT) {
			/* before the start all that was asked is answered, then nothing */
			c->due += b.working ? c->answered : 0;
			c->answered = b.working ? 0 : c->answered;
		}
		if (!c->dead)
			conn_write(c);
	}
	if (c->dead || (b.l->how != HOW_KEPT && c->answered)) {
		b.errors += c->dead && !c->answered;
		conn_close(c);
		c->dead = false;
		conn_open(c);
	}
}

static void turn(int wait_ms)
{
	struct epoll_event events[EVENTS];
	const int n = epoll_wait(b.ep, events, EVENTS, wait_ms);
	for (int i = 0; i < n; i++)
		conn_event(events[i].data.ptr, events[i].events);
}

/* Kept connections are there, the others have tickets. */
static bool all_ready(const struct conn *conns)
{
	for (unsigned i = 0; i < b.l->conns; i++)
		if (b.l->how == HOW_KEPT ? conns[i].answered < b.l->in_flight
					 : b.l->how == HOW_RESUMED && !conns[i].ticket)
			return false;
	return true;
}

int load_run(const struct load *l)
{
	b.l = l;
	b.ep = epoll_create1(0);
	b.tls = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(
		b.tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(b.tls, ticket_new);
	SSL_CTX_set_options(b.tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
	make_query();
	struct conn *conns = calloc(l->conns, sizeof(*conns));
	for (unsigned i = 0; i < l->conns; i++)
		conn_open(&conns[i]);
	const double warm = now() + 5;
	while (!all_ready(conns) && now() < warm)
		turn(10);
	if (!all_ready(conns)) {
		printf("never ready\n");
		return 1;
	}
	char line[16];
	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	b.working = true;
	b.errors = b.connections = b.resumed = 0;
	const double start = now();
	for (unsigned i = 0; l->how == HOW_KEPT && i < l->conns; i++) {
		conns[i].due = l->in_flight;
		conns[i].answered = 0;
		conn_write(&conns[i]);
	}
	while (now() - start < l->seconds)
		turn(100);
	printf("{\"queries\": %lu, \"errors\": %lu, \"connections\": %lu, \"resumed\": "
	       "%lu, "
	       "\"seconds\": %.3f}\n",
		(unsigned long)b.done, (unsigned long)b.errors,
		(unsigned long)b.connections, (unsigned long)b.resumed, now() - start);
	return b.errors != 0;
}
