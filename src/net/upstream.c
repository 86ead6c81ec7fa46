/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/upstream.c - a socket or TCP connection for each question, which the next question to
 * the same server may inherit.
 *
 * Life of an ask: OPEN until it is cancelled or an event ends it. While the callback of
 * the last event runs it is OVER: not in flight any more, its memory not yet in use
 * again, cancelling it harmless. A connection belongs to one ask, or is idle and
 * belongs to nobody. */
#include "net/upstream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/limits.h"
#include "net/frame.h"
#include "net/port.h"
#include "net/upstream_internal.h"

enum {
	PORT_FIRST = 1024,
	PORT_COUNT = 65536 - PORT_FIRST,
	PORT_TRIES = 6,
	MESSAGES_A_WAKEUP = 8, /* forged answers must not hold the loop */
	CONN_IDLE_US = 2000 * 1000,
	ASKS_A_CHUNK = 64,
};

struct conn {
	struct upstream *upstream;
	struct addr server;
	int fd;
	struct watch watch;
	struct timer idle_timer;
	struct ask *ask; /* NULL: idle */
	struct frame in;
	uint8_t *out; /* the question with its length */
	size_t out_len, out_sent;
	bool reused;   /* by the second question or a later one */
	bool answered; /* a message has come for this question, and nothing was wrong
			  since */
	bool reading;  /* a message of its buffer is handed out: the connection stays
			  until then */
	struct conn *prev, *next; /* of the idle ones, oldest first */
};

struct ask_chunk {
	struct ask_chunk *next;
	struct ask asks[ASKS_A_CHUNK];
};

union upstream_name {
	struct sockaddr sa;
	struct sockaddr_storage any;
};

union upstream_control {
	struct cmsghdr align;
	uint8_t bytes[64];
};

static void udp_ready(void *ctx);
static void conn_ready(void *ctx, unsigned events);

/* --- asks ------------------------------------------------------------------ */

static struct ask *ask_take(struct upstream *u)
{
	if (u->in_flight >= u->conf.max_asks)
		return NULL;
	if (!u->free) {
		struct ask_chunk *chunk = calloc(1, sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->next = u->chunks;
		u->chunks = chunk;
		for (int i = 0; i < ASKS_A_CHUNK; i++) {
			chunk->asks[i].next_free = u->free;
			u->free = &chunk->asks[i];
		}
	}
	struct ask *a = u->free;
	u->free = a->next_free;
	a->upstream = u;
	a->state = ASK_OPEN;
	a->conn = NULL;
	a->port = NULL;
	a->clean = a->answered = false;
	a->line = NULL;
	u->in_flight++;
	return a;
}

static void conn_rest(struct conn *c);

/* Nothing of it is watched any more; its memory stays. */
static void ask_end(struct ask *a)
{
	struct upstream *u = a->upstream;
	assert(a->state == ASK_OPEN);
	a->state = ASK_OVER;
	a->generation++;
	u->in_flight--;
	loop_timer_clear(u->loop, &a->timer);
	if (a->port) {
		if (a->answered)
			ports_keep(a->port);
		else
			ports_close(a->port);
		a->port = NULL;
	}
	if (a->line)
		line_ask_end(a);
	if (a->conn) {
		a->conn->ask = NULL;
		if (!a->conn->reading)
			conn_rest(a->conn);
		a->conn = NULL;
	}
}

static void ask_free(struct ask *a)
{
	assert(a->state == ASK_OVER);
	a->state = ASK_FREE;
	a->next_free = a->upstream->free;
	a->upstream->free = a;
}

void ask_finish(struct ask *a, enum ask_event what)
{
	ask_end(a);
	a->fn(a->ctx, a, what, NULL, 0);
	ask_free(a);
}

static void ask_timer(void *ctx)
{
	struct ask *a = ctx;
	struct upstream *u = a->upstream;
	if (a->at_timer == ASK_TIMEOUT && a->port) {
		const int fd = ports_release(a->port);
		a->port = NULL;
		late_keep(u->late, fd, &a->server, &a->mark, a->sent_us);
	}
	if (a->at_timer == ASK_TIMEOUT && a->line)
		line_ask_late(a);
	ask_finish(a, a->at_timer);
}

/* An end that is known now and told by the loop. */
static void ask_end_soon(struct ask *a, enum ask_event what)
{
	a->at_timer = what;
	loop_timer_set(a->upstream->loop, &a->timer, 0, ask_timer, a);
}

bool ask_deliver(struct ask *a, const uint8_t *msg, size_t len)
{
	const uint32_t generation = a->generation;
	counter_add(a->upstream->counters, upstream_bytes, len);
	a->fn(a->ctx, a, ASK_MESSAGE, msg, len);
	return a->generation == generation;
}

/* --- sockets --------------------------------------------------------------- */

static int bind_to(int fd, const struct addr *a)
{
	union upstream_name name;
	const socklen_t len = addr_to_sockaddr(a, &name.any);
	return bind(fd, &name.sa, len) < 0 ? -errno : 0;
}

/* A port that nobody can foresee; the kernel's own choice knows fewer. */
static int bind_random_port(struct upstream *u, int fd, struct addr local)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		local.port = (uint16_t)(PORT_FIRST + random_below(u->rnd, PORT_COUNT));
		const int e = bind_to(fd, &local);
		if (e != -EADDRINUSE && e != -EACCES)
			return e;
	}
	local.port = 0;
	return bind_to(fd, &local);
}

static struct addr outgoing_for(const struct upstream *u, const struct addr *server)
{
	const struct addr *set =
		server->family == 6 ? &u->conf.outgoing_v6 : &u->conf.outgoing_v4;
	if (set->family == server->family)
		return *set;
	return (struct addr){ .family = server->family };
}

static void set_int(int fd, int level, int option, int value)
{
	/* options that an older kernel lacks are a defence less, no failure */
	setsockopt(fd, level, option, &value, sizeof(value));
}

static void socket_refuse_fragments(int fd, uint8_t family)
{
	if (family == 6) {
		set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
		set_int(fd, IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 1);
	} else {
		set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
		set_int(fd, IPPROTO_IP, IP_RECVFRAGSIZE, 1);
	}
}

int upstream_connect(int fd, const struct addr *server)
{
	union upstream_name name;
	const socklen_t len = addr_to_sockaddr(server, &name.any);
	return connect(fd, &name.sa, len) < 0 ? -errno : 0;
}

int upstream_socket(struct upstream *u, const struct addr *server, int type)
{
	const int family = server->family == 6 ? AF_INET6 : AF_INET;
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) &&
		(ports_shed(u->ports) || late_shed(u->late)))
		fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		const int e = -errno;
		if (e == -EMFILE || e == -ENFILE)
			counter_up(u->counters, fd_exhausted);
		return e;
	}
	const struct addr local = outgoing_for(u, server);
	int e = 0;
	if (type == SOCK_DGRAM) {
		socket_refuse_fragments(fd, server->family);
		e = bind_random_port(u, fd, local);
	} else {
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		static const uint8_t zero[16];
		if (memcmp(local.ip, zero, sizeof(zero)) != 0) {
			struct addr any_port = local;
			any_port.port = 0;
			set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
			e = bind_to(fd, &any_port);
		}
	}
	if (!e)
		return fd;
	int closing = fd;
	fd_close(&closing);
	return e;
}

/* --- UDP ------------------------------------------------------------------- */

/* 0 or -errno. */
static int udp_send(struct ask *a, struct port *p, const uint8_t *msg, size_t len)
{
	a->port = p;
	p->fn = udp_ready;
	p->ctx = a;
	return send(p->fd, msg, len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* By the socket that an earlier question was answered to. */
static bool udp_send_kept(struct ask *a, const uint8_t *msg, size_t len)
{
	struct port *p = ports_take(a->upstream->ports, &a->server);
	if (!p)
		return false;
	if (!udp_send(a, p, msg, len))
		return true;
	/* an ICMP error came since, or our address is gone: not sent */
	ports_close(p);
	a->port = NULL;
	return false;
}

/* By this socket, -1: a fresh one. 0 or -errno. */
static int udp_send_by(struct ask *a, int fd, const uint8_t *msg, size_t len)
{
	struct upstream *u = a->upstream;
	int e = 0;
	if (fd < 0) {
		fd = upstream_socket(u, &a->server, SOCK_DGRAM);
		if (fd < 0)
			return fd;
		e = upstream_connect(fd, &a->server);
	}
	struct port *p = e ? NULL : ports_add(u->ports, fd, &a->server);
	if (!p) {
		fd_close(&fd);
		return e ? e : -ENOMEM;
	}
	e = udp_send(a, p, msg, len);
	/* a full queue loses it as the network might: the time-out covers both */
	return e == -EAGAIN || e == -ECONNREFUSED ? 0 : e;
}

/* 0 or -errno. */
static int udp_start(struct ask *a, const uint8_t *msg, size_t len)
{
	struct upstream *u = a->upstream;
	late_mark(u->late, msg, len, &a->mark);
	a->sent_us = loop_now(u->loop)->mono_us;
	const int fd = late_take(u->late, &a->server, &a->mark);
	a->clean = fd < 0;
	if (fd < 0 && udp_send_kept(a, msg, len))
		return 0;
	return udp_send_by(a, fd, msg, len);
}

static bool was_fragmented(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		const bool v4 =
			c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVFRAGSIZE;
		const bool v6 = c->cmsg_level == IPPROTO_IPV6 &&
				c->cmsg_type == IPV6_RECVFRAGSIZE;
		int size = 0;
		if (v4 || v6)
			memcpy(&size, CMSG_DATA(c), sizeof(size));
		if (size)
			return true;
	}
	return false;
}

/* One datagram. False: no more, or the ask ended. */
static bool udp_receive(struct ask *a)
{
	struct upstream *u = a->upstream;
	union upstream_name name;
	union upstream_control control;
	struct iovec iov = { u->scratch, sizeof(u->scratch) };
	struct msghdr m = {
		.msg_name = &name,
		.msg_namelen = sizeof(name),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	const ssize_t n = recvmsg(a->port->fd, &m, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return false;
	const bool clean = a->clean;
	a->clean = false;
	if (n < 0) /* an ICMP error may be forged: reading took it away, the wait goes
		      on */
		return true;
	struct addr from;
	/* what came between bind and connect may be anybody's */
	if (!addr_from_sockaddr(&from, &name.sa) || !addr_equal(&from, &a->server))
		return true;
	if (was_fragmented(&m)) {
		counter_up(u->counters, upstream_fragments);
		return true;
	}
	a->answered = clean && late_fits(u->late, &a->mark, u->scratch, (size_t)n);
	const bool open = ask_deliver(a, u->scratch, (size_t)n);
	if (open)
		a->answered = false;
	return open;
}

static void udp_ready(void *ctx)
{
	struct ask *a = ctx;
	for (int i = 0; i < MESSAGES_A_WAKEUP && udp_receive(a); i++)
		;
}

/* --- TCP ------------------------------------------------------------------- */

static void conn_unlink_idle(struct conn *c)
{
	struct upstream *u = c->upstream;
	*(c->prev ? &c->prev->next : &u->idle_first) = c->next;
	*(c->next ? &c->next->prev : &u->idle_last) = c->prev;
	c->prev = c->next = NULL;
	u->idle_count--;
	loop_timer_clear(u->loop, &c->idle_timer);
}

static void conn_free(struct conn *c)
{
	loop_unwatch(c->upstream->loop, &c->watch);
	fd_close(&c->fd);
	frame_fini(&c->in);
	free(c->out);
	free(c);
}

static void conn_expire(void *ctx)
{
	struct conn *c = ctx;
	conn_unlink_idle(c);
	conn_free(c);
}

/* Its ask is over: keep it for the next question if it is in order. */
static void conn_rest(struct conn *c)
{
	struct upstream *u = c->upstream;
	if (!c->answered || frame_held(&c->in) || c->out_sent < c->out_len) {
		conn_free(c);
		return;
	}
	if (u->idle_count >= LIMIT_UPSTREAM_IDLE)
		conn_expire(u->idle_first);
	free(c->out);
	c->out = NULL;
	c->out_len = c->out_sent = 0;
	c->prev = u->idle_last;
	c->next = NULL;
	*(u->idle_last ? &u->idle_last->next : &u->idle_first) = c;
	u->idle_last = c;
	u->idle_count++;
	loop_timer_set(u->loop, &c->idle_timer,
		loop_now(u->loop)->mono_us + CONN_IDLE_US, conn_expire, c);
}

/* False: it is broken. */
static bool conn_write(struct conn *c)
{
	while (c->out_sent < c->out_len) {
		const ssize_t n = send(c->fd, c->out + c->out_sent,
			c->out_len - c->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n <= 0)
			break;
		c->out_sent += (size_t)n;
	}
	const bool more = c->out_sent < c->out_len;
	return loop_watch_events(c->upstream->loop, &c->watch,
		       LOOP_READ | (more ? LOOP_WRITE : 0u)) == 0;
}

/* A new connection under way: 0 or -errno. */
static int conn_connect(struct conn *c)
{
	struct upstream *u = c->upstream;
	const int fd = upstream_socket(u, &c->server, SOCK_STREAM);
	if (fd < 0)
		return fd;
	c->fd = fd;
	c->out_sent = 0;
	const int e = upstream_connect(fd, &c->server);
	if (e && e != -EINPROGRESS)
		return e;
	return loop_watch(
		u->loop, &c->watch, fd, LOOP_READ | LOOP_WRITE, conn_ready, c);
}

static bool is_local_failure(int e)
{
	return e != -ECONNREFUSED && e != -ECONNRESET && e != -ETIMEDOUT;
}

/* The connection is of no use any more: its ask tries a fresh one if a kept one was
 * closed under it (RFC 7766 section 6.2.4), else it is over. */
static void conn_broken(struct conn *c)
{
	struct ask *a = c->ask;
	if (!a) { /* idle */
		conn_expire(c);
		return;
	}
	loop_unwatch(c->upstream->loop, &c->watch);
	fd_close(&c->fd);
	if (c->reused && !c->answered && !frame_held(&c->in)) {
		c->reused = false;
		const int e = conn_connect(c);
		if (!e)
			return;
		ask_finish(a, is_local_failure(e) ? ASK_UNREACHABLE : ASK_CLOSED);
		return;
	}
	c->answered = false; /* not to be kept */
	ask_finish(a, ASK_CLOSED);
}

/* Whole messages to the asker. False: its ask is over, or the connection is. */
static bool conn_deliver(struct conn *c)
{
	struct ask *a = c->ask;
	const uint8_t *msg;
	size_t len;
	bool open = true;
	c->reading = true;
	while (open && frame_next(&c->in, &msg, &len)) {
		c->answered = true;
		open = ask_deliver(a, msg, len);
	}
	c->reading = false;
	const bool settled = frame_settle(&c->in);
	if (!settled)
		c->answered = false;
	if (!open)
		conn_rest(c);
	else if (!settled)
		conn_broken(c);
	return open && settled;
}

/* False: no more for now, or c is gone. */
static bool conn_read(struct conn *c)
{
	size_t room;
	uint8_t *to = frame_room(&c->in, c->upstream->scratch, &room);
	const ssize_t n = to ? recv(c->fd, to, room, MSG_DONTWAIT) : 0;
	const int error = errno;
	if (n > 0) {
		frame_added(&c->in, (size_t)n);
		return conn_deliver(c) && (size_t)n == room;
	}
	const bool settled = frame_settle(&c->in); /* nothing came: nothing to copy */
	if (n < 0 && error == EINTR && settled)
		return true;
	if (n == 0 || error != EAGAIN || !settled)
		conn_broken(c);
	return false;
}

static void conn_ready(void *ctx, unsigned events)
{
	(void)events;
	struct conn *c = ctx;
	if (!c->ask) {
		conn_expire(c); /* closed, or speaks unasked */
		return;
	}
	if (c->out_sent < c->out_len && !conn_write(c)) {
		conn_broken(c);
		return;
	}
	for (int i = 0; i < MESSAGES_A_WAKEUP && conn_read(c); i++)
		;
}

static struct conn *conn_find_idle(struct upstream *u, const struct addr *server)
{
	for (struct conn *c = u->idle_last; c; c = c->prev)
		if (addr_equal(&c->server, server)) {
			conn_unlink_idle(c);
			return c;
		}
	return NULL;
}

static struct conn *conn_new(struct upstream *u, const struct addr *server)
{
	struct conn *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->upstream = u;
	c->server = *server;
	c->fd = -1;
	c->watch.fd = -1;
	return c;
}

/* 0 or -errno. */
static int tcp_start(struct ask *a, const uint8_t *msg, size_t len)
{
	struct upstream *u = a->upstream;
	struct conn *c = conn_find_idle(u, &a->server);
	const bool reused = c != NULL;
	if (!c)
		c = conn_new(u, &a->server);
	if (!c)
		return -ENOMEM;
	c->ask = a;
	a->conn = c;
	c->reused = reused;
	c->answered = false;
	c->out = malloc(len + 2);
	if (!c->out)
		return -ENOMEM;
	c->out[0] = (uint8_t)(len >> 8);
	c->out[1] = (uint8_t)len;
	memcpy(c->out + 2, msg, len);
	c->out_len = len + 2;
	if (!reused)
		return conn_connect(c);
	/* what goes wrong here goes wrong again in conn_ready(), where it may be told
	 */
	if (!conn_write(c))
		loop_watch_events(u->loop, &c->watch, LOOP_READ | LOOP_WRITE);
	return 0;
}

/* --- for the asker --------------------------------------------------------- */

static struct ask *ask_new(
	struct upstream *u, const struct addr *server, ask_fn *fn, void *ctx)
{
	struct ask *a = ask_take(u);
	if (!a)
		return NULL;
	a->server = *server;
	a->fn = fn;
	a->ctx = ctx;
	return a;
}

static void ask_wait(struct ask *a, int64_t timeout_us)
{
	struct loop *l = a->upstream->loop;
	a->at_timer = ASK_TIMEOUT;
	loop_timer_set(l, &a->timer, loop_now(l)->mono_us + timeout_us, ask_timer, a);
}

struct ask *upstream_ask(struct upstream *u, const struct addr *server, bool tcp,
	const uint8_t *msg, size_t len, int64_t timeout_us, ask_fn *fn, void *ctx)
{
	assert(len <= UINT16_MAX && fn);
	struct ask *a = ask_new(u, server, fn, ctx);
	if (!a)
		return NULL;
	int e = -EAFNOSUPPORT;
	if (server->family)
		e = tcp ? tcp_start(a, msg, len) : udp_start(a, msg, len);
	if (e) {
		ask_end_soon(
			a, tcp && !is_local_failure(e) ? ASK_CLOSED : ASK_UNREACHABLE);
		return a;
	}
	counter_up(u->counters, upstream_queries);
	if (tcp)
		counter_up(u->counters, upstream_tcp);
	else
		counter_up(u->counters, upstream_udp);
	ask_wait(a, timeout_us);
	return a;
}

struct ask *upstream_ask_line(struct upstream_line *line, const uint8_t *msg,
	size_t len, int64_t timeout_us, ask_fn *fn, void *ctx)
{
	assert(len <= UINT16_MAX && fn);
	struct upstream *u = line_upstream(line);
	struct ask *a = ask_new(u, line_server(line), fn, ctx);
	if (!a)
		return NULL;
	if (!line_ask_begin(line, a, msg, len)) {
		ask_end_soon(a, ASK_UNREACHABLE);
		return a;
	}
	counter_up(u->counters, upstream_queries);
	counter_up(u->counters, upstream_tls);
	ask_wait(a, timeout_us);
	return a;
}

void upstream_cancel(struct upstream *u, struct ask *a)
{
	assert(a->upstream == u && a->state != ASK_FREE);
	if (a->state == ASK_OVER)
		return; /* in the callback of its last event */
	ask_end(a);
	ask_free(a);
}

size_t upstream_in_flight(const struct upstream *u)
{
	return u->in_flight;
}

void upstream_network_changed(struct upstream *u)
{
	ports_forget(u->ports);
}

static void late_answer(void *ctx, const struct addr *server, int64_t rtt_us)
{
	struct upstream *u = ctx;
	if (u->conf.late)
		u->conf.late(u->conf.late_ctx, server, rtt_us);
}

struct upstream *upstream_new(struct loop *l, const struct upstream_conf *conf,
	struct random *rnd, struct counters *counters)
{
	struct upstream *u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->loop = l;
	u->conf = *conf;
	u->rnd = rnd;
	u->counters = counters;
	u->late = late_new(l, rnd, counters, late_answer, u);
	u->ports = ports_new(l, rnd, counters);
	if (u->late && u->ports)
		return u;
	upstream_free(u);
	return NULL;
}

void upstream_free(struct upstream *u)
{
	if (!u)
		return;
	for (struct ask_chunk *chunk = u->chunks; chunk; chunk = chunk->next)
		for (int i = 0; i < ASKS_A_CHUNK; i++)
			if (chunk->asks[i].state == ASK_OPEN)
				upstream_cancel(u, &chunk->asks[i]);
	while (u->lines)
		line_free(u->lines);
	while (u->idle_first)
		conn_expire(u->idle_first);
	late_free(u->late);
	ports_free(u->ports);
	while (u->chunks) {
		struct ask_chunk *next = u->chunks->next;
		free(u->chunks);
		u->chunks = next;
	}
	free(u);
}
