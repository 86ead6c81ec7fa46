/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/https.c - DNS over HTTP/2 (RFC 8484), on nghttp2.
 *
 * What one client can make us hold: LIMIT_DOH_STREAMS requests at a time, each for owner.request_us
 * until it is complete, 80 KiB of bodies (the connection's window opens again only when a body is
 * complete, or the largest is given up for the others), 2 KiB of path each and of the fields that
 * rules want to see, and the answers that it does not take, which the connection counts as unsent.
 * Frames that ask for nothing have a budget that only requests refill. */
#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/log.h"
#include "net/codec.h"
#include "net/doh.h"
#include "net/proxy.h"

enum {
	BODY_MAX = 65535,
	BODY_START = 512,
	WINDOW = 80 * 1024, /* of the connection and of each request */
	WINDOW_LEFT = WINDOW - BODY_MAX,
	LOOK_US = 1000 * 1000,
	MESSAGE_MIN = 12, /* a DNS header */
	AT_QR = 2,
	IDLE_A_REQUEST = 8, /* frames that ask for nothing, for each request */
	MAX_SETTINGS = 32,
	MAX_ACKS = 100,        /* PING and SETTINGS that wait for their ACK to leave */
	MAX_CONTINUATIONS = 8, /* CVE-2024-28182 */
	RESETS_BURST = 50,     /* CVE-2023-44487: RST_STREAM of the client */
	RESETS_A_SECOND = 5,
	HEADER_LIST = 16 * 1024,
};

/* One request and its answer. */
struct exchange {
	int32_t id;
	enum { METHOD_OTHER, METHOD_GET, METHOD_POST, METHOD_HEAD } method;
	unsigned status; /* 0: fine so far */
	unsigned fields;
	bool has_path, is_message, has_dns;
	bool expects;  /* "expect: 100-continue" */
	uint8_t *body; /* the query, then the answer or the error's text */
	size_t len, cap;
	size_t sent;
	size_t window; /* of the connection, taken by the body */
	int64_t begun_us;
	char *kept; /* fields that the owner wants */
	size_t kept_len;
	bool complete, answered;
	bool seen; /* at the last look, answered and not complete */
	struct exchange *prev, *next;
};

struct https {
	struct stream_codec base;
	struct codec_owner owner;
	nghttp2_session *session;
	struct exchange *exchanges; /* nghttp2 knows them by their streams */
	size_t held;
	size_t bodies;    /* of the window, taken by all that are not complete */
	int64_t look_us;  /* for late ones, next time */
	const char *told; /* fields of the request that is handed out */
	size_t told_len;
	unsigned idle_left;   /* frames that ask for nothing */
	unsigned resets_left; /* that we must send: CVE-2025-8671 */
	unsigned taken_left;  /* of the client: CVE-2023-44487 */
	bool failed;          /* a broken connection, or not HTTP/2 at all */
	bool refused;
	bool leaving, ending;
	bool started; /* the client has spoken: until then it may speak HTTP/1.1 */
};

static struct https *https_of(struct stream_codec *c)
{
	return (struct https *)c;
}

/* --- answers ---------------------------------------------------------------------- */

static const struct {
	unsigned status;
	const char *text;
} errors[] = {
	{ 400, "400 Bad Request: no DNS query\n" },
	{ 403, "403 Forbidden\n" },
	{ 404, "404 Not Found: try /dns-query\n" },
	{ 405, "405 Method Not Allowed: GET, HEAD or POST\n" },
	{ 408, "408 Request Timeout\n" },
	{ 413, "413 Content Too Large\n" },
	{ 414, "414 URI Too Long\n" },
	{ 415, "415 Unsupported Media Type: application/dns-message\n" },
	{ 431, "431 Request Header Fields Too Large\n" },
	{ 500, "500 Internal Server Error\n" },
};

static nghttp2_nv field(const char *name, const char *value, uint8_t flags)
{
	union { /* nghttp2 copies or reads only */
		const char *text;
		uint8_t *data;
	} n = { name }, v = { value };
	return (nghttp2_nv){ n.data, v.data, strlen(name), strlen(value),
		(uint8_t)(flags | NGHTTP2_NV_FLAG_NO_COPY_NAME) };
}

static ssize_t body_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
	uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	(void)session;
	(void)id;
	(void)buf;
	(void)ctx;
	const struct exchange *x = source->ptr;
	const size_t left = x->len - x->sent;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (left <= len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)(left < len ? left : len);
}

static int body_send(nghttp2_session *session, nghttp2_frame *frame,
	const uint8_t *head, size_t len, nghttp2_data_source *source, void *ctx)
{
	enum { HEAD_LEN = 9 };
	(void)session;
	struct https *h = ctx;
	struct exchange *x = source->ptr;
	if (frame->data.padlen || len > x->len - x->sent)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (!h->owner.send(h->owner.ctx, head, HEAD_LEN, x->body + x->sent, len))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	x->sent += len;
	h->held -= len;
	if (x->sent == x->len)
		h->owner.mark(h->owner.ctx);
	return 0;
}

/* What x->body holds leaves. */
static void respond(
	struct https *h, struct exchange *x, const nghttp2_nv *fields, size_t count)
{
	const nghttp2_data_provider body = { .source.ptr = x,
		.read_callback = body_read };
	x->answered = true;
	x->sent = 0;
	if (x->method == METHOD_HEAD)
		x->len = 0;
	h->held += x->len;
	if (nghttp2_submit_response(h->session, x->id, fields, count,
		    x->method == METHOD_HEAD ? NULL : &body) != 0)
		h->failed = true;
}

static bool body_set(struct exchange *x, const void *data, size_t len)
{
	if (x->cap < len) {
		uint8_t *more = realloc(x->body, len);
		if (!more)
			return false;
		x->body = more;
		x->cap = len;
	}
	memcpy(x->body, data, len);
	x->len = len;
	return true;
}

static void respond_error(struct https *h, struct exchange *x, unsigned status)
{
	char number[8], length[16];
	const char *text = "";
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (errors[i].status == status)
			text = errors[i].text;
	if (x->answered)
		return;
	counter_up(h->owner.counters, doh_errors);
	if (!body_set(x, text, strlen(text)))
		x->len = 0;
	snprintf(number, sizeof(number), "%u", status);
	snprintf(length, sizeof(length), "%zu", x->len);
	const nghttp2_nv fields[] = {
		field(":status", number, 0),
		field("content-type", "text/plain", NGHTTP2_NV_FLAG_NO_COPY_VALUE),
		field("content-length", length, 0),
		field("cache-control", "no-store", NGHTTP2_NV_FLAG_NO_COPY_VALUE),
		field("allow", "GET, HEAD, POST", NGHTTP2_NV_FLAG_NO_COPY_VALUE),
	};
	respond(h, x, fields, status == 405 ? 5 : 4);
}

static void https_answer(
	struct stream_codec *base, uint32_t request, const uint8_t *msg, size_t len)
{
	struct https *h = https_of(base);
	struct exchange *x =
		nghttp2_session_get_stream_user_data(h->session, (int32_t)request);
	char length[16], age[32];
	if (!x || x->answered)
		return;
	if (!body_set(x, msg, len)) {
		respond_error(h, x, 500);
		return;
	}
	snprintf(length, sizeof(length), "%zu", len);
	snprintf(age, sizeof(age), "max-age=%u", doh_fresh_s(msg, len));
	const nghttp2_nv fields[] = {
		field(":status", "200", NGHTTP2_NV_FLAG_NO_COPY_VALUE),
		field("content-type", "application/dns-message",
			NGHTTP2_NV_FLAG_NO_COPY_VALUE),
		field("content-length", length, 0),
		field("cache-control", age, 0),
	};
	respond(h, x, fields, sizeof(fields) / sizeof(*fields));
}

static void https_skip(struct stream_codec *base, uint32_t request)
{
	struct https *h = https_of(base);
	struct exchange *x =
		nghttp2_session_get_stream_user_data(h->session, (int32_t)request);
	if (x)
		respond_error(h, x, 403);
}

/* --- requests --------------------------------------------------------------------- */

static void exchange_free(struct https *h, struct exchange *x)
{
	*(x->prev ? &x->prev->next : &h->exchanges) = x->next;
	if (x->next)
		x->next->prev = x->prev;
	free(x->body);
	free(x->kept);
	free(x);
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct https *h = ctx;
	if (frame->hd.type != NGHTTP2_HEADERS ||
		frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct exchange *x = calloc(1, sizeof(*x));
	if (!x)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	x->id = frame->hd.stream_id;
	x->begun_us = h->owner.now_us(h->owner.ctx);
	x->next = h->exchanges;
	if (x->next)
		x->next->prev = x;
	h->exchanges = x;
	nghttp2_session_set_stream_user_data(session, x->id, x);
	return 0;
}

static void take_path(struct exchange *x, const uint8_t *path, size_t len)
{
	uint8_t plain[DOH_PATH_MAX];
	const uint8_t *dns;
	size_t dns_len;
	if (len <= DOH_PATH_MAX && memchr(path, '%', len)) {
		len = doh_path_plain(path, len, plain);
		path = plain;
	}
	const unsigned status = doh_path_read(path, len, &dns, &dns_len);
	x->has_path = true;
	if (status != 200)
		x->status = status;
	if (!dns || x->status)
		return;
	uint8_t msg[DOH_PATH_MAX];
	const int got = doh_base64url(dns, dns_len, msg, sizeof(msg));
	x->has_dns = got > 0 && body_set(x, msg, (size_t)got);
}

static bool is(const char *name, const uint8_t *what, size_t len)
{
	return strlen(name) == len && memcmp(name, what, len) == 0;
}

static bool is_wanted(const char *names, const uint8_t *name, size_t len)
{
	while (names && *names) {
		const size_t n = strcspn(names, " ");
		if (n && n == len && memcmp(names, name, len) == 0)
			return true;
		names += n + (names[n] == ' ');
	}
	return false;
}

/* False: too much, or no text. */
static bool field_keep(struct exchange *x, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t value_len)
{
	if (name_len + value_len + 2 > LIMIT_DOH_KEPT_FIELDS - x->kept_len ||
		memchr(value, 0, value_len))
		return false;
	char *more = realloc(x->kept, x->kept_len + name_len + value_len + 2);
	if (!more)
		return false;
	x->kept = more;
	more += x->kept_len;
	memcpy(more, name, name_len);
	more[name_len] = 0;
	memcpy(more + name_len + 1, value, value_len);
	more[name_len + 1 + value_len] = 0;
	x->kept_len += name_len + value_len + 2;
	return true;
}

/* RFC 9110 section 10.1.1: without regard to case. */
static bool is_continue(const uint8_t *value, size_t len)
{
	static const char own[] = "100-continue";
	return len == sizeof(own) - 1 &&
	       strncasecmp((const char *)value, own, len) == 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len,
	uint8_t flags, void *ctx)
{
	(void)flags;
	const struct https *h = ctx;
	struct exchange *x =
		nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!x)
		return 0;
	if (++x->fields > LIMIT_DOH_FIELDS && !x->status)
		x->status = 431;
	if (is_wanted(h->owner.fields, name, name_len) && !x->status &&
		!field_keep(x, name, name_len, value, value_len))
		x->status = 431;
	if (is(":method", name, name_len))
		x->method = is("GET", value, value_len)    ? METHOD_GET
			    : is("POST", value, value_len) ? METHOD_POST
			    : is("HEAD", value, value_len) ? METHOD_HEAD
							   : METHOD_OTHER;
	else if (is(":path", name, name_len))
		take_path(x, value, value_len);
	else if (is("content-type", name, name_len))
		x->is_message = doh_is_message(value, value_len);
	else if (is("expect", name, name_len))
		x->expects = is_continue(value, value_len);
	else if (is("content-length", name, name_len) &&
		 (value_len > 5 || strtoul((const char *)value, NULL, 10) > BODY_MAX) &&
		 !x->status)
		x->status = 413;
	return 0;
}

/* The client may send as much again on other streams. */
static void window_back(struct https *h, struct exchange *x)
{
	if (x->window)
		nghttp2_session_consume_connection(h->session, x->window);
	h->bodies -= x->window;
	x->window = 0;
}

/* One connection may be a proxy's, for many clients: who does not go on must not keep the others
 * from sending theirs. */
static void give_up_largest(struct https *h)
{
	struct exchange *largest = NULL;
	for (struct exchange *x = h->exchanges; x; x = x->next)
		if (!x->answered && (!largest || x->window > largest->window))
			largest = x;
	if (!largest || !largest->window)
		return;
	window_back(h, largest);
	respond_error(h, largest, 413);
}

static void end_late(struct https *h)
{
	const int64_t now_us = h->owner.now_us(h->owner.ctx);
	if (now_us < h->look_us)
		return;
	h->look_us = now_us + LOOK_US;
	for (struct exchange *x = h->exchanges; x; x = x->next) {
		if (x->complete)
			continue;
		/* It goes on after its answer, or does not take it. Not at once: curl throws
		 * away an answer with a reset right behind it. */
		if (x->answered && x->seen)
			nghttp2_submit_rst_stream(
				h->session, NGHTTP2_FLAG_NONE, x->id, NGHTTP2_NO_ERROR);
		x->seen = x->answered;
		if (x->answered || now_us < x->begun_us + h->owner.request_us)
			continue;
		window_back(h, x);
		respond_error(h, x, 408);
	}
}

static bool body_append(struct exchange *x, const uint8_t *data, size_t len)
{
	if (len > BODY_MAX - x->len)
		return false;
	if (x->len + len > x->cap) {
		size_t cap = x->cap ? x->cap : BODY_START;
		while (cap < x->len + len)
			cap *= 2;
		uint8_t *more = realloc(x->body, cap);
		if (!more)
			return false;
		x->body = more;
		x->cap = cap;
	}
	memcpy(x->body + x->len, data, len);
	x->len += len;
	return true;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
	const uint8_t *data, size_t len, void *ctx)
{
	struct https *h = ctx;
	struct exchange *x = nghttp2_session_get_stream_user_data(session, id);
	if (!x || x->status || x->method != METHOD_POST || x->answered) {
		nghttp2_session_consume_connection(session, len);
		return 0;
	}
	x->window += len;
	h->bodies += len;
	if (x->has_dns) { /* ?dns= of a POST means nothing */
		x->has_dns = false;
		x->len = 0;
	}
	if (!body_append(x, data, len)) {
		window_back(h, x);
		respond_error(h, x, 413);
	} else if (h->bodies > WINDOW - WINDOW_LEFT &&
		   !(flags & NGHTTP2_FLAG_END_STREAM)) {
		give_up_largest(h);
	}
	return 0;
}

/* Status of a request by its fields alone; 0: fine so far. */
static unsigned judge_fields(const struct exchange *x)
{
	if (x->status)
		return x->status;
	if (!x->has_path)
		return 400;
	if (x->method == METHOD_OTHER)
		return 405;
	if (x->method == METHOD_POST && !x->is_message)
		return 415;
	return 0;
}

/* Of one that has come whole. 0: its query can be asked. */
static unsigned judge(const struct exchange *x)
{
	const unsigned status = judge_fields(x);
	if (status)
		return status;
	if (x->method == METHOD_POST && x->has_dns) /* an empty body */
		return 400;
	if (x->len < MESSAGE_MIN || x->body[AT_QR] & 0x80)
		return 400;
	return 0;
}

static void complete(struct https *h, struct exchange *x)
{
	window_back(h, x);
	x->complete = true;
	if (x->answered || h->ending)
		return;
	const unsigned status = judge(x);
	if (status) {
		respond_error(h, x, status);
		return;
	}
	h->idle_left += IDLE_A_REQUEST;
	if (h->idle_left > LIMIT_DOH_IDLE_FRAMES)
		h->idle_left = LIMIT_DOH_IDLE_FRAMES;
	/* the answer replaces the query in x->body: it is the caller's until then */
	uint8_t *msg = x->body;
	const size_t len = x->len;
	char *kept = x->kept;
	h->told = kept;
	h->told_len = x->kept_len;
	x->body = NULL;
	x->len = x->cap = 0;
	x->kept = NULL;
	x->kept_len = 0;
	h->owner.message(h->owner.ctx, (uint32_t)x->id, msg, len);
	h->told = NULL;
	h->told_len = 0;
	free(kept);
	free(msg);
}

/* The client waits to hear whether its body is wanted. */
static void answer_expectation(struct https *h, struct exchange *x)
{
	const unsigned status = judge_fields(x);
	const nghttp2_nv go_on = field(":status", "100", NGHTTP2_NV_FLAG_NO_COPY_VALUE);
	x->expects = false;
	if (status)
		respond_error(h, x, status);
	else if (nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, x->id, NULL,
			 &go_on, 1, NULL) != 0)
		h->failed = true;
}

/* --- frames ----------------------------------------------------------------------- */

static void too_much(struct https *h, const char *what)
{
	if (h->ending)
		return;
	h->ending = true;
	counter_up(h->owner.counters, doh_floods);
	log_debug(DOH, "connection ended: too many %s", what);
	nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void count_idle(struct https *h)
{
	if (!h->idle_left)
		too_much(h, "frames that ask for nothing");
	else
		h->idle_left--;
}

/* A frame of a type that nobody knows: to be ignored. */
static int on_unknown(nghttp2_session *session, void **payload,
	const nghttp2_frame_hd *head, void *ctx)
{
	(void)session;
	(void)payload;
	(void)head;
	count_idle(ctx);
	return NGHTTP2_ERR_CANCEL;
}

/* Each frame of the others. */
static int on_head(nghttp2_session *session, const nghttp2_frame_hd *head, void *ctx)
{
	switch (head->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		return 0;
	case NGHTTP2_DATA:
		if (nghttp2_session_get_stream_user_data(session, head->stream_id))
			return 0; /* on_frame() sees what is in it */
		break;
	default:
		break;
	}
	count_idle(ctx);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct https *h = ctx;
	if (frame->hd.type == NGHTTP2_RST_STREAM) {
		if (!h->taken_left)
			too_much(h, "requests taken back");
		else
			h->taken_left--;
	}
	/* with the octet that says how much: padding alone */
	if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == frame->data.padlen &&
		!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
		count_idle(h);
		return 0;
	}
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	struct exchange *x =
		nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (x && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		complete(h, x);
	else if (x && x->status)
		respond_error(h, x, x->status); /* without waiting for its body */
	else if (x && x->expects)
		answer_expectation(h, x);
	return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	(void)session;
	struct https *h = ctx;
	if (frame->hd.type != NGHTTP2_RST_STREAM ||
		frame->rst_stream.error_code == NGHTTP2_NO_ERROR)
		return 0;
	if (!h->resets_left)
		too_much(h, "broken requests");
	else
		h->resets_left--;
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
	(void)error;
	struct https *h = ctx;
	struct exchange *x = nghttp2_session_get_stream_user_data(session, id);
	if (!x)
		return 0;
	window_back(h, x);
	if (x->answered) {
		h->held -= x->len - x->sent;
		h->taken_left += x->sent == x->len && h->taken_left < RESETS_BURST;
	}
	nghttp2_session_set_stream_user_data(session, id, NULL);
	exchange_free(h, x);
	return 0;
}

static ssize_t on_send(
	nghttp2_session *session, const uint8_t *data, size_t len, int flags, void *ctx)
{
	(void)session;
	(void)flags;
	struct https *h = ctx;
	if (!h->owner.send(h->owner.ctx, data, len, NULL, 0))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return (ssize_t)len;
}

/* --- the codec -------------------------------------------------------------------- */

#define ONLY_HTTP2 "DNS over HTTPS is served over HTTP/2 only\r\n"

/* Somebody speaks HTTP/1.1: it is told in its own words. A PROXY header that reaches us is
 * one that nobody takes here. */
static void refuse(struct https *h, const uint8_t *data, size_t len)
{
	static const char text[] = "HTTP/1.1 505 HTTP Version Not Supported\r\n"
				   "content-type: text/plain\r\n"
				   "content-length: 43\r\n"
				   "connection: close\r\n\r\n" ONLY_HTTP2;
	static_assert(sizeof(ONLY_HTTP2) - 1 == 43, "the length told");
	h->refused = true;
	if (proxy_is_header(data, len))
		h->owner.stray_header(h->owner.ctx);
	if (len && data[0] >= 'A' && data[0] <= 'Z') {
		counter_up(h->owner.counters, doh_errors);
		h->owner.send(h->owner.ctx, text, sizeof(text) - 1, NULL, 0);
	}
}

static void https_input(struct stream_codec *base, const uint8_t *data, size_t len)
{
	struct https *h = https_of(base);
	if (h->failed || h->refused)
		return;
	h->started = true;
	const ssize_t n = nghttp2_session_mem_recv(h->session, data, len);
	if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
		refuse(h, data, len);
	} else if (n < 0) {
		log_debug(DOH, "connection ended: %s", nghttp2_strerror((int)n));
		if (n == NGHTTP2_ERR_FLOODED)
			counter_up(h->owner.counters, doh_floods);
		nghttp2_session_terminate_session(
			h->session, n == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
							     : NGHTTP2_PROTOCOL_ERROR);
		h->failed = nghttp2_session_send(h->session) != 0;
		h->refused = true;
	}
}

static const char *https_fields(const struct stream_codec *base, size_t *len)
{
	const struct https *h = (const struct https *)base;
	*len = h->told_len;
	return h->told;
}

static void https_output(struct stream_codec *base)
{
	struct https *h = https_of(base);
	if (!h->started || h->failed || h->refused)
		return;
	end_late(h);
	if (nghttp2_session_send(h->session) != 0)
		h->failed = true;
}

static size_t https_held(const struct stream_codec *base)
{
	return ((const struct https *)base)->held;
}

static void https_leave(struct stream_codec *base)
{
	struct https *h = https_of(base);
	if (!h->leaving && !h->refused)
		nghttp2_submit_shutdown_notice(h->session);
	h->leaving = true;
}

static void https_goodbye(struct stream_codec *base)
{
	struct https *h = https_of(base);
	if (!h->failed && !h->refused)
		nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
}

static bool https_over(const struct stream_codec *base)
{
	const struct https *h = (const struct https *)base;
	return h->failed || h->refused ||
	       (!nghttp2_session_want_read(h->session) &&
		       !nghttp2_session_want_write(h->session));
}

static void https_free(struct stream_codec *base)
{
	struct https *h = https_of(base);
	nghttp2_session_del(h->session); /* without on_close */
	while (h->exchanges) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it left the list */
		exchange_free(h, h->exchanges);
	free(h);
}

static const struct codec_ops https_ops = {
	.input = https_input,
	.answer = https_answer,
	.skip = https_skip,
	.fields = https_fields,
	.output = https_output,
	.held = https_held,
	.leave = https_leave,
	.goodbye = https_goodbye,
	.over = https_over,
	.free = https_free,
};

static nghttp2_session_callbacks *callbacks_new(void)
{
	nghttp2_session_callbacks *cb;
	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NULL;
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	nghttp2_session_callbacks_set_send_data_callback(cb, body_send);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_head);
	nghttp2_session_callbacks_set_unpack_extension_callback(cb, on_unknown);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	return cb;
}

static nghttp2_option *option_new(void)
{
	nghttp2_option *o;
	if (nghttp2_option_new(&o) != 0)
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(o, (uint8_t)type);
	nghttp2_option_set_max_settings(o, MAX_SETTINGS);
	nghttp2_option_set_max_outbound_ack(o, MAX_ACKS);
	nghttp2_option_set_max_continuations(o, MAX_CONTINUATIONS);
	nghttp2_option_set_stream_reset_rate_limit(o, RESETS_BURST, RESETS_A_SECOND);
	return o;
}

static bool session_start(struct https *h)
{
	/* the same for all connections: made once */
	static nghttp2_session_callbacks *callbacks;
	static nghttp2_option *option;
	if (!callbacks)
		callbacks = callbacks_new();
	if (!option)
		option = option_new();
	if (!callbacks || !option ||
		nghttp2_session_server_new2(&h->session, callbacks, h, option) != 0)
		return false;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->owner.max_requests },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};
	return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
		       sizeof(settings) / sizeof(*settings)) == 0 &&
	       nghttp2_session_set_local_window_size(
		       h->session, NGHTTP2_FLAG_NONE, 0, WINDOW) == 0;
}

struct stream_codec *codec_https_new(const struct codec_owner *owner)
{
	struct https *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	*h = (struct https){ .base = { &https_ops },
		.owner = *owner,
		.idle_left = LIMIT_DOH_IDLE_FRAMES,
		.resets_left = RESETS_BURST,
		.taken_left = RESETS_BURST };
	if (h->owner.max_requests > LIMIT_DOH_STREAMS)
		h->owner.max_requests = LIMIT_DOH_STREAMS;
	if (session_start(h))
		return &h->base;
	https_free(&h->base);
	return NULL;
}
