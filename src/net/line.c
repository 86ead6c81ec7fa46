/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/line.c - questions to one server over TLS: a few long-lived connections that all
 * questions share (RFC 7858, RFC 7766 section 6.2).
 *
 * An ask waits in the line's queue, or is under way on a connection, in the slot that the
 * lower bits of its id name. Answers come in any order and are found by id and question. A
 * connection that ends under its asks gives them back to the queue: the server may have been
 * restarted, or closes after some answers, and then `window` learns how many it bears. What
 * may call an asker back runs from the loop only. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/outbox.h"
#include "net/tls_client.h"
#include "net/upstream_internal.h"
#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/msg.h"
#include "wire/name.h"

enum {
	SLOT_BITS = 7,
	SLOTS = 1 << SLOT_BITS,
	HEADER = 12,
	READS_A_WAKEUP = 4,
	OUT_MAX = 64 * 1024,      /* what a server that does not read is owed */
	CONNECT_US = 4000 * 1000, /* TCP and TLS */
	IDLE_US = 10 * 1000 * 1000,
	IDLE_MAX_US = 120 * 1000 * 1000, /* whatever the server promises */
	KEEPALIVE_US = 100 * 1000,       /* its unit */
	STALL_MS = 10 * 1000,            /* unacknowledged data: a dead path */
	BACKOFF_US = 100 * 1000,         /* doubled by each failure */
	BACKOFF_UNTRUSTED_US = 1000 * 1000,
	BACKOFF_MAX_US = 10 * 1000 * 1000,
	PATIENCE_US = 500 * 1000, /* so long asks wait for the next try */
	SAY_AGAIN_US = 60 * 1000 * 1000,
};
static_assert((int)SLOTS == (int)LIMIT_TLS_PIPELINE, "a slot for each question");

struct line_conn {
	struct upstream_line *line;
	struct line_conn *next;
	int fd;
	struct watch watch;
	struct timer timer; /* to connect; to be idle */
	struct stream_layer *layer;
	bool shaking; /* connecting, handshake */
	bool silent;  /* an ask timed out and nothing has come since it was sent */
	bool leaving; /* the server wants no more */
	int read_wants, write_wants;
	struct frame in;
	struct outbox out;
	struct ask *slots[SLOTS];
	unsigned count; /* of them */
	unsigned answers;
	int64_t heard_us;
	int64_t idle_us;
};

struct upstream_line {
	struct upstream *upstream;
	struct upstream_line *next;
	struct addr server;
	struct tls_peer *peer;
	struct line_conn *conns;
	unsigned conn_count;
	struct ask *first, *last; /* the queue */
	struct defer work;
	struct timer retry;
	unsigned window;   /* questions at a time on one connection */
	unsigned failures; /* in a row */
	enum ask_event failure;
	int64_t retry_us; /* no connection is tried before */
	int64_t said_us;  /* when its failure was logged last; 0: it works */
};

static void line_work(void *ctx);
static void conn_ready(void *ctx, unsigned events);

/* --- the queue -------------------------------------------------------------------- */

static void queue_put(struct upstream_line *l, struct ask *a, bool front)
{
	a->on = NULL;
	a->prev = front ? NULL : l->last;
	a->next = front ? l->first : NULL;
	*(a->prev ? &a->prev->next : &l->first) = a;
	*(a->next ? &a->next->prev : &l->last) = a;
}

static void queue_remove(struct upstream_line *l, struct ask *a)
{
	*(a->prev ? &a->prev->next : &l->first) = a->next;
	*(a->next ? &a->next->prev : &l->last) = a->prev;
	a->prev = a->next = NULL;
}

static void work_soon(struct upstream_line *l)
{
	loop_defer(l->upstream->loop, &l->work);
}

/* --- connections ------------------------------------------------------------------ */

static int64_t now_us(const struct upstream_line *l)
{
	return loop_now(l->upstream->loop)->mono_us;
}

static void conn_free(struct line_conn *c, bool politely)
{
	struct upstream_line *l = c->line;
	struct line_conn **at = &l->conns;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	l->conn_count--;
	counter_add(l->upstream->counters, upstream_tls_connections, -1);
	if (politely && !c->shaking && c->layer && c->layer->ops->goodbye)
		c->layer->ops->goodbye(c->layer);
	if (c->layer)
		c->layer->ops->free(c->layer);
	loop_timer_clear(l->upstream->loop, &c->timer);
	loop_unwatch_close(l->upstream->loop, &c->watch, &c->fd);
	frame_fini(&c->in);
	outbox_fini(&c->out);
	free(c);
}

/* All in the queue are over; who asks anew stands behind them. */
static void queue_fail(struct upstream_line *l, enum ask_event what)
{
	unsigned count = 0;
	for (const struct ask *a = l->first; a; a = a->next)
		count++;
	for (; count && l->first; count--)
		ask_finish(l->first, what);
}

static bool has_live(const struct upstream_line *l)
{
	for (const struct line_conn *c = l->conns; c; c = c->next)
		if (!c->shaking && !c->leaving)
			return true;
	return false;
}

static void say_failure(struct upstream_line *l, enum ask_event what, const char *why)
{
	char addr[ADDR_TEXT_MAX];
	if (l->said_us && now_us(l) - l->said_us < SAY_AGAIN_US)
		return;
	l->said_us = now_us(l);
	addr_to_text(&l->server, addr);
	if (what == ASK_UNTRUSTED)
		log_error(
			TLS, "%s is not asked: it is not authenticated: %s", addr, why);
	else
		log_warning(TLS, "%s: no TLS connection: %s", addr, why);
}

/* A connection came to nothing: the next one is tried later, each time later. */
static void line_failed(struct upstream_line *l, enum ask_event what, const char *why)
{
	const int64_t first = what == ASK_UNTRUSTED ? BACKOFF_UNTRUSTED_US : BACKOFF_US;
	int64_t wait = first << (l->failures < 16 ? l->failures : 16);
	if (wait > BACKOFF_MAX_US)
		wait = BACKOFF_MAX_US;
	say_failure(l, what, why);
	l->failures++;
	l->failure = what;
	l->retry_us = now_us(l) + wait;
	counter_up(l->upstream->counters, upstream_tls_failed);
	if (what == ASK_UNTRUSTED)
		counter_up(l->upstream->counters, upstream_tls_untrusted);
	if (!has_live(l))
		queue_fail(l, what);
}

static void line_works(struct upstream_line *l)
{
	char addr[ADDR_TEXT_MAX];
	if (l->said_us)
		log_notice(TLS, "%s answers over TLS again",
			addr_to_text(&l->server, addr));
	l->failures = 0;
	l->said_us = l->retry_us = 0;
}

/* Its asks go back to the queue, in front; those that were sent too often end there. */
static void asks_back(struct line_conn *c)
{
	struct upstream_line *l = c->line;
	for (unsigned i = SLOTS; i--;) {
		struct ask *a = c->slots[i];
		c->slots[i] = NULL;
		if (!a)
			continue;
		a->over_soon = a->sends >= LIMIT_TLS_SENDS || a->answered;
		queue_put(l, a, true);
		if (!a->over_soon)
			counter_up(l->upstream->counters, upstream_tls_again);
	}
	c->count = 0;
}

static void conn_broken(struct line_conn *c, enum ask_event what, const char *why)
{
	struct upstream_line *l = c->line;
	const bool failed = !c->answers && (c->shaking || c->count);
	if (c->answers && c->count) /* so many it bears at a time */
		l->window = c->answers < l->window ? c->answers : l->window;
	asks_back(c);
	conn_free(c, false);
	if (failed)
		line_failed(l, what, why);
	work_soon(l);
}

static void conn_out_of_time(void *ctx)
{
	struct line_conn *c = ctx;
	if (c->shaking)
		conn_broken(c, ASK_CLOSED, "connecting takes too long");
	else
		conn_free(c, true); /* idle */
}

static void conn_wait(struct line_conn *c, int64_t us)
{
	loop_timer_set(c->line->upstream->loop, &c->timer, now_us(c->line) + us,
		conn_out_of_time, c);
}

static unsigned wants_event(int wants)
{
	return wants == LAYER_WANT_WRITE ? LOOP_WRITE : LOOP_READ;
}

static bool conn_settle(struct line_conn *c)
{
	unsigned events = wants_event(c->read_wants);
	if (!c->shaking && outbox_len(&c->out))
		events |= wants_event(c->write_wants);
	return loop_watch_events(c->line->upstream->loop, &c->watch, events) == 0;
}

static void conn_open(struct upstream_line *l)
{
	struct upstream *u = l->upstream;
	const int fd = upstream_socket(u, &l->server, SOCK_STREAM);
	struct line_conn *c = fd >= 0 ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		int closing = fd;
		if (fd >= 0)
			fd_close(&closing);
		line_failed(
			l, ASK_UNREACHABLE, fd < 0 ? strerror(-fd) : "out of memory");
		return;
	}
	const unsigned stall = STALL_MS;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stall, sizeof(stall));
	*c = (struct line_conn){ .line = l,
		.next = l->conns,
		.fd = fd,
		.shaking = true,
		.read_wants = LAYER_WANT_WRITE,
		.write_wants = LAYER_WANT_WRITE,
		.idle_us = IDLE_US };
	l->conns = c;
	l->conn_count++;
	counter_up(u->counters, upstream_tls_connections);
	const int e = upstream_connect(fd, &l->server);
	if (e && e != -EINPROGRESS) {
		conn_broken(c, e == -ECONNREFUSED ? ASK_CLOSED : ASK_UNREACHABLE,
			strerror(-e));
		return;
	}
	c->layer = layer_tls_client_new(l->peer, fd);
	if (!c->layer ||
		loop_watch(u->loop, &c->watch, fd, LOOP_WRITE, conn_ready, c)) {
		conn_broken(c, ASK_UNREACHABLE, "out of memory");
		return;
	}
	conn_wait(c, CONNECT_US);
}

/* --- writing ---------------------------------------------------------------------- */

/* Into a free slot, with an id that says which, and else is random: a late answer to the
 * question that had the slot before fits in neither id nor question. */
static void conn_take(struct line_conn *c, struct ask *a)
{
	struct upstream_line *l = c->line;
	unsigned slot = 0;
	while (c->slots[slot])
		slot++;
	const uint16_t id = random_u16(l->upstream->rnd);
	const unsigned len = a->len;
	a->id = (uint16_t)((id & ~(SLOTS - 1u)) | slot);
	const uint8_t head[4] = { (uint8_t)(len >> 8), (uint8_t)len,
		(uint8_t)(a->id >> 8), (uint8_t)a->id };
	if (!outbox_room(&c->out, 2u + len))
		return;
	outbox_add(&c->out, head, sizeof(head));
	outbox_add(&c->out, a->msg + 2, len - 2);
	queue_remove(l, a);
	c->slots[slot] = a;
	c->count++;
	a->on = c;
	a->sends++;
	a->sent_us = now_us(l);
	loop_timer_clear(l->upstream->loop, &c->timer);
}

/* False: it is broken. */
static bool conn_write(struct line_conn *c)
{
	c->write_wants = outbox_write(&c->out, c->layer);
	return c->write_wants != LAYER_BROKEN && conn_settle(c);
}

/* --- reading ---------------------------------------------------------------------- */

/* The question of `msg` is that of the ask, or it holds none (RFC 7873 section 5.4 and the like: its
 * asker judges). */
static bool question_fits(const struct ask *a, const uint8_t *msg, size_t len)
{
	const uint16_t count = (uint16_t)(msg[4] << 8 | msg[5]);
	if (count != 1)
		return count == 0;
	const size_t name = name_check(msg + HEADER, len - HEADER);
	if (!name || HEADER + name + 4 > len || HEADER + name + 4 > a->len)
		return false;
	return name_check(a->msg + HEADER, a->len - HEADER) == name &&
	       name_equal(msg + HEADER, a->msg + HEADER) &&
	       memcmp(msg + HEADER + name, a->msg + HEADER + name, 4) == 0;
}

static void heed_keepalive(struct line_conn *c, const uint8_t *msg, size_t len)
{
	struct msg m;
	if (!msg_read(&m, msg, len) || m.keepalive < 0)
		return;
	/* RFC 7828 section 3.4: 0 asks to close as soon as all is answered */
	c->leaving = m.keepalive == 0;
	const int64_t us = m.keepalive * (int64_t)KEEPALIVE_US;
	c->idle_us = us < IDLE_MAX_US ? us : IDLE_MAX_US;
}

/* False: what comes is no DNS. */
static bool conn_message(struct line_conn *c, uint8_t *msg, size_t len)
{
	struct upstream_line *l = c->line;
	if (len < HEADER)
		return false;
	const uint16_t id = (uint16_t)(msg[0] << 8 | msg[1]);
	struct ask *a = c->slots[id & (SLOTS - 1)];
	if (!a || a->id != id || !question_fits(a, msg, len)) {
		counter_up(l->upstream->counters, upstream_mismatch);
		return true; /* its asker has gone, or it answers nobody */
	}
	heed_keepalive(c, msg, len);
	c->answers++;
	if (c->answers > 2 * l->window && l->window < SLOTS)
		l->window *= 2;
	if (l->window > SLOTS)
		l->window = SLOTS;
	if (l->failures || l->said_us)
		line_works(l);
	msg[0] = a->msg[0];
	msg[1] = a->msg[1];
	a->answered = true;
	ask_deliver(a, msg, len);
	return true;
}

/* False: c is gone. */
static bool conn_deliver(struct line_conn *c)
{
	const uint8_t *msg;
	size_t len;
	bool fine = true;
	c->heard_us = now_us(c->line);
	c->silent = false;
	while (fine && frame_next(&c->in, &msg, &len)) {
		/* the frame's own memory */
		uint8_t *own = c->in.buf + (msg - c->in.buf);
		fine = conn_message(c, own, len);
	}
	if (fine && frame_settle(&c->in))
		return true;
	conn_broken(c, ASK_CLOSED, fine ? "out of memory" : "it sends no DNS");
	return false;
}

/* False: no more for now, or c is gone. */
static bool conn_read(struct line_conn *c)
{
	size_t room;
	uint8_t *to = frame_room(&c->in, c->line->upstream->scratch, &room);
	const ssize_t n = to ? c->layer->ops->read(c->layer, to, room) : LAYER_BROKEN;
	if (n > 0) {
		frame_added(&c->in, (size_t)n);
		return conn_deliver(c);
	}
	const bool settled = frame_settle(&c->in);
	if (n == LAYER_DONE || n == LAYER_BROKEN || !settled) {
		conn_broken(c, ASK_CLOSED,
			n == LAYER_DONE ? "it closes without an answer"
					: "the connection breaks");
		return false;
	}
	c->read_wants = (int)n;
	return false;
}

/* --- one connection's turn -------------------------------------------------------- */

static void conn_shake(struct line_conn *c)
{
	char why[TLS_ERROR_MAX];
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
		conn_broken(c, ASK_CLOSED, strerror(error));
		return;
	}
	struct upstream *u = c->line->upstream;
	if (!loop_quota_take(
		    u->loop, &u->handshakes, LIMIT_TLS_CLIENT_HANDSHAKES_A_TURN)) {
		counter_up(u->counters, upstream_tls_put_off);
		return;
	}
	const int result = c->layer->ops->handshake(c->layer);
	if (result == LAYER_BROKEN) {
		const bool untrusted = layer_tls_client_why(c->layer, why);
		conn_broken(c, untrusted ? ASK_UNTRUSTED : ASK_CLOSED,
			why[0] ? why : "the handshake fails");
		return;
	}
	c->read_wants = result;
	if (result == LAYER_DONE) {
		c->shaking = false;
		c->read_wants = LAYER_WANT_READ;
		conn_wait(c, c->idle_us);
		work_soon(c->line);
	}
	if (!conn_settle(c))
		conn_broken(c, ASK_UNREACHABLE, "out of memory");
}

static void conn_ready(void *ctx, unsigned events)
{
	(void)events;
	struct line_conn *c = ctx;
	if (c->shaking) {
		conn_shake(c);
		return;
	}
	if (outbox_len(&c->out) && !conn_write(c)) {
		conn_broken(c, ASK_CLOSED, "the connection breaks");
		return;
	}
	struct upstream_line *l = c->line;
	c->read_wants = LAYER_WANT_READ;
	bool more = true;
	for (int i = 0; i < READS_A_WAKEUP && more; i++)
		more = conn_read(c);
	/* what it asks for next, whether it is still there: at the end of the turn */
	work_soon(l);
}

/* --- the line's work -------------------------------------------------------------- */

static struct line_conn *conn_with_room(struct upstream_line *l)
{
	struct line_conn *best = NULL;
	for (struct line_conn *c = l->conns; c; c = c->next)
		if (!c->shaking && !c->silent && !c->leaving && c->count < l->window &&
			outbox_len(&c->out) < OUT_MAX &&
			(!best || c->count < best->count))
			best = c;
	return best;
}

static bool is_connecting(const struct upstream_line *l)
{
	for (const struct line_conn *c = l->conns; c; c = c->next)
		if (c->shaking)
			return true;
	return false;
}

/* Those that are done, and those that have something to send. */
static void conns_look(struct upstream_line *l)
{
	struct line_conn *next;
	for (struct line_conn *c = l->conns; c; c = next) {
		next = c->next;
		if (c->shaking)
			continue;
		const bool buffered = c->layer->ops->buffered(c->layer);
		if (!c->count && (c->silent || c->leaving)) {
			conn_free(c, true);
			continue;
		}
		if (!c->count && !loop_timer_is_set(&c->timer))
			conn_wait(c, c->idle_us);
		if (!conn_write(c)) {
			conn_broken(c, ASK_CLOSED, "the connection breaks");
			return; /* and is called again */
		}
		if (buffered) { /* epoll does not know of those bytes */
			conn_ready(c, 0);
			return;
		}
	}
}

static void retry_now(void *ctx)
{
	work_soon(ctx);
}

/* Asks wait and no connection has room. */
static void want_connection(struct upstream_line *l)
{
	const int64_t wait = l->retry_us - now_us(l);
	if (is_connecting(l) || l->conn_count >= LIMIT_TLS_CONNECTIONS)
		return;
	if (wait <= 0)
		conn_open(l);
	else if (!has_live(l) && wait > PATIENCE_US)
		queue_fail(l, l->failure);
	else
		loop_timer_set(l->upstream->loop, &l->retry, l->retry_us, retry_now, l);
}

static void over_finish(struct upstream_line *l)
{
	for (struct ask *a = l->first; a;) {
		if (!a->over_soon) {
			a = a->next;
			continue;
		}
		ask_finish(a, ASK_CLOSED);
		a = l->first; /* the list may be another one now */
	}
}

static void line_work(void *ctx)
{
	struct upstream_line *l = ctx;
	over_finish(l);
	for (struct line_conn *c; l->first && (c = conn_with_room(l));) {
		struct ask *a = l->first;
		conn_take(c, a);
		if (!a->on)
			break; /* out of memory: the time-out covers it */
	}
	conns_look(l);
	if (l->first)
		want_connection(l);
}

/* --- asks ------------------------------------------------------------------------- */

struct upstream *line_upstream(const struct upstream_line *l)
{
	return l->upstream;
}

const struct addr *line_server(const struct upstream_line *l)
{
	return &l->server;
}

bool line_ask_begin(
	struct upstream_line *l, struct ask *a, const uint8_t *msg, size_t len)
{
	if (len < HEADER)
		return false;
	a->msg = malloc(len);
	if (!a->msg)
		return false;
	memcpy(a->msg, msg, len);
	a->len = (uint16_t)len;
	a->line = l;
	a->sends = 0;
	a->answered = a->over_soon = false;
	queue_put(l, a, false);
	work_soon(l);
	return true;
}

void line_ask_end(struct ask *a)
{
	struct upstream_line *l = a->line;
	if (a->on) {
		a->on->slots[a->id & (SLOTS - 1)] = NULL;
		a->on->count--;
		work_soon(l); /* room, or idle */
	} else {
		queue_remove(l, a);
	}
	free(a->msg);
	a->msg = NULL;
	a->line = NULL;
	a->on = NULL;
}

void line_ask_late(struct ask *a)
{
	struct line_conn *c = a->on;
	if (c && c->heard_us < a->sent_us)
		c->silent = true; /* who asks next goes by another connection */
}

struct upstream_line *upstream_line_new(
	struct upstream *u, const struct addr *server, struct tls_peer *peer)
{
	struct upstream_line *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	*l = (struct upstream_line){ .upstream = u,
		.next = u->lines,
		.server = *server,
		.peer = peer,
		.window = SLOTS,
		.work = { .fn = line_work, .ctx = l } };
	u->lines = l;
	return l;
}

void line_free(struct upstream_line *l)
{
	struct upstream *u = l->upstream;
	assert(!l->first);
	while (l->conns) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it left the list */
		conn_free(l->conns, true);
	loop_undefer(u->loop, &l->work);
	loop_timer_clear(u->loop, &l->retry);
	struct upstream_line **at = &u->lines;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free(l);
}
