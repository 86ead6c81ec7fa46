/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/udp.c - batches of datagrams in, batches of answers out.
 *
 * All buffers are made once per server. An answer written in the callback stays in its
 * datagram's reply buffer and leaves with the batch; a later one, or one that the
 * kernel did not take, is copied into a ring of bounded size and leaves at the end of
 * the turn or when the socket is writable.
 *
 * With a ring (shard.h) queries are received into memory that outlives the process; one
 * that is not answered in its batch is kept there in a slot, which is freed when its
 * answer has left or will never come. */
#include "net/udp.h"

#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/limits.h"
#include "shard.h"

enum {
	BATCH = 32,           /* datagrams a system call */
	BATCHES_A_WAKEUP = 4, /* then upstream answers have their turn */
	LOOK_AHEAD_MIN = 4,   /* fewer have little to wait for together */
	TURN_CHECK = 4, /* datagrams after which it is asked what the turn has cost */
	BATCHES_A_DRAIN = 2048, /* a queue that never ends is not drained for ever */
	REPLY_CAP = 4096,
	CONTROL_CAP = 64,
	REPLAYS_A_TURN =
		16, /* what a dead process left must not crowd out what comes now */
	REPLAY_US = 1000, /* from one such turn to the next */
};

static_assert((int)BATCH == (int)SHARD_RING_BATCH, "one vector for both");
static_assert((int)LIMIT_DATAGRAM == (int)SHARD_RING_DATAGRAM, "one length for both");

static_assert(LIMIT_UDP_OUT_BYTES >= 4 * REPLY_CAP, "room for some answers");

union udp_name {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage any;
};

union udp_control {
	struct cmsghdr align;
	uint8_t bytes[CONTROL_CAP];
};

static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) <= CONTROL_CAP, "fits");
static_assert(CMSG_SPACE(sizeof(struct in_pktinfo)) <= CONTROL_CAP, "fits");

/* One direction of a batch. */
struct batch {
	struct mmsghdr head[BATCH];
	struct iovec iov[BATCH];
	union udp_name name[BATCH];
	union udp_control control[BATCH];
};

/* An answer that waits in the ring, its bytes right behind it. */
struct waiting {
	struct udp_peer to;
	uint32_t len;
	uint32_t span; /* from this head to the next one */
};

struct udp_server {
	struct loop *loop;
	int fd;
	int from; /* what is read: fd, but while another one is emptied */
	struct watch watch;
	struct defer defer;
	udp_query_fn *fn;
	udp_ahead_fn *ahead; /* NULL: nobody wants it */
	udp_next_fn *next;
	void *ctx;

	struct addr bound;
	bool wildcard; /* answers must name their source */
	bool paused;
	bool busy; /* in a batch */
	/* Of the batch: what came, and what was handled. The rest, if any, waits for the
	 * next turn. */
	unsigned filled, handled;
	struct timer go_on;
	bool dying; /* freed in a callback */

	struct shard_member *member; /* NULL: not steered */
	struct shard_ring *shard;    /* NULL: queries are received into `in` */
	int at;                      /* entry of the batch under work, -1: none */
	uint32_t at_slot;            /* the replayed one under work, 0: none */
	struct timer replay;

	/* Ring of struct waiting; a head never wraps: the rest before the end is
	 * skipped. */
	size_t ring_head; /* oldest */
	size_t ring_tail; /* next free */
	size_t ring_used;
	uint64_t dropped, received;

	struct batch in;
	struct batch out;
	struct udp_peer peer[BATCH];
	size_t reply_len[BATCH];
	uint8_t data[BATCH][LIMIT_DATAGRAM];
	uint8_t reply[BATCH][REPLY_CAP];
	_Alignas(struct waiting) uint8_t ring[LIMIT_UDP_OUT_BYTES];
};

static void udp_flush(struct udp_server *s);

/* --- where from, where to -------------------------------------------------- */

static void peer_take_pktinfo(
	struct udp_server *s, struct udp_peer *peer, struct cmsghdr *c)
{
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		peer->to = (struct addr){ .family = 4, .port = s->bound.port };
		/* spec_dst, not addr: a broadcast can't be a source */
		memcpy(peer->to.ip, &info.ipi_spec_dst, 4);
		peer->ifindex = (uint32_t)info.ipi_ifindex;
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		peer->ifindex = info.ipi6_ifindex;
		if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
			return;
		peer->to = (struct addr){ .family = 6, .port = s->bound.port };
		memcpy(peer->to.ip, &info.ipi6_addr, 16);
		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			peer->to.scope = info.ipi6_ifindex;
	}
}

static bool peer_read(struct udp_server *s, struct udp_peer *peer, struct msghdr *m)
{
	*peer = (struct udp_peer){ 0 };
	if (m->msg_namelen < sizeof(struct sockaddr_in) ||
		!addr_from_sockaddr(&peer->from, m->msg_name) || !peer->from.port)
		return false; /* an answer to port 0 can't be sent */
	if (!s->wildcard)
		peer->to = s->bound;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		peer_take_pktinfo(s, peer, c);
	return true;
}

/* Control data that makes the answer leave from peer->to. The interface is left to the
 * routes, except where the address means nothing without it. */
static size_t peer_write_pktinfo(
	const struct udp_peer *peer, union udp_control *control)
{
	struct cmsghdr *c = &control->align;
	if (peer->to.family == 4) {
		struct in_pktinfo info = { 0 };
		memcpy(&info.ipi_spec_dst, peer->to.ip, 4);
		*c = (struct cmsghdr){ .cmsg_level = IPPROTO_IP,
			.cmsg_type = IP_PKTINFO,
			.cmsg_len = CMSG_LEN(sizeof(info)) };
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	if (peer->to.family == 6) {
		struct in6_pktinfo info = { 0 };
		memcpy(&info.ipi6_addr, peer->to.ip, 16);
		if (peer->to.scope || peer->from.scope)
			info.ipi6_ifindex = peer->ifindex;
		*c = (struct cmsghdr){ .cmsg_level = IPPROTO_IPV6,
			.cmsg_type = IPV6_PKTINFO,
			.cmsg_len = CMSG_LEN(sizeof(info)) };
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	return 0;
}

/* --- out ------------------------------------------------------------------- */

/* `data` must live until udp_send_batch(). */
static void udp_put(struct udp_server *s, unsigned i, const struct udp_peer *to,
	const uint8_t *data, size_t len)
{
	struct batch *b = &s->out;
	union {
		const uint8_t *in;
		void *out;
	} base = { .in = data }; /* sendmmsg(2) does not write there */
	b->iov[i] = (struct iovec){ .iov_base = base.out, .iov_len = len };
	struct msghdr *m = &b->head[i].msg_hdr;
	*m = (struct msghdr){ .msg_iov = &b->iov[i], .msg_iovlen = 1 };
	m->msg_name = &b->name[i];
	m->msg_namelen = addr_to_sockaddr(&to->from, &b->name[i].any);
	if (s->wildcard) {
		m->msg_controllen = peer_write_pktinfo(to, &b->control[i]);
		m->msg_control = m->msg_controllen ? &b->control[i] : NULL;
	}
}

/* Send out.head[0..count-1]. Returns how many are done with: sent, or impossible to
 * send and counted. Fewer than count: the kernel takes no more now. */
static unsigned udp_send_batch(struct udp_server *s, unsigned count)
{
	unsigned done = 0;
	while (done < count) {
		const int n = sendmmsg(s->fd, s->out.head + done, count - done, 0);
		if (n > 0) {
			done += (unsigned)n;
		} else if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			break;
		} else if (n < 0 && errno != EINTR) {
			/* no route back, a firewall, a forged source: this one only */
			s->dropped++;
			done++;
		}
	}
	return done;
}

static struct waiting *ring_at(struct udp_server *s, size_t at)
{
	/* aligned: the ring is, and every span is a multiple */
	return (struct waiting *)(void *)(s->ring + at);
}

/* Room for a head and `len` bytes in one piece; NULL: full. */
static struct waiting *ring_put(struct udp_server *s, size_t len)
{
	enum { ALIGN = _Alignof(struct waiting) };
	const size_t span = (sizeof(struct waiting) + len + ALIGN - 1) / ALIGN * ALIGN;
	const size_t end_room = sizeof(s->ring) - s->ring_tail;
	size_t skip = 0;
	if (span > end_room)
		skip = end_room;
	if (s->ring_used + skip + span > sizeof(s->ring))
		return NULL;
	if (skip) {
		if (skip >=
			sizeof(struct waiting)) /* else the reader knows by itself */
			*ring_at(s, s->ring_tail) =
				(struct waiting){ .span = (uint32_t)skip };
		s->ring_used += skip;
		s->ring_tail = 0;
	}
	struct waiting *w = ring_at(s, s->ring_tail);
	*w = (struct waiting){ .len = (uint32_t)len, .span = (uint32_t)span };
	s->ring_tail = (s->ring_tail + span) % sizeof(s->ring);
	s->ring_used += span;
	return w;
}

/* The span at `at`: of an entry, or of the skipped rest before the end. */
static size_t ring_span(struct udp_server *s, size_t at, bool *entry)
{
	const size_t end_room = sizeof(s->ring) - at;
	*entry = false;
	if (end_room < sizeof(struct waiting))
		return end_room;
	*entry = ring_at(s, at)->to.from.family != 0;
	return ring_at(s, at)->span;
}

void udp_server_forget(struct udp_server *s, const struct udp_peer *peer)
{
	if (s->shard && peer->slot)
		shard_ring_release(s->shard, peer->slot);
}

void udp_server_reply(struct udp_server *s, const struct udp_peer *to,
	const uint8_t *data, size_t len)
{
	if (!to->from.family)
		return;
	struct waiting *w = len <= UINT16_MAX ? ring_put(s, len) : NULL;
	if (!w) {
		s->dropped++;
		udp_server_forget(s, to);
		return;
	}
	w->to = *to;
	memcpy(w + 1, data, len);
	if (!(s->watch.events & LOOP_WRITE)) /* else it is tried when writable */
		loop_defer(s->loop, &s->defer);
}

static void udp_want(struct udp_server *s)
{
	const unsigned events =
		(s->paused ? 0u : LOOP_READ) | (s->ring_used ? LOOP_WRITE : 0u);
	loop_watch_events(s->loop, &s->watch, events);
}

/* Up to a batch of what waits; false: the kernel takes no more now. */
static bool udp_flush_batch(struct udp_server *s)
{
	size_t at = s->ring_head, spans[BATCH], walked = 0;
	const struct udp_peer *to[BATCH];
	unsigned count = 0;
	while (count < BATCH && walked < s->ring_used) {
		bool entry;
		const size_t span = ring_span(s, at, &entry);
		if (entry) {
			struct waiting *w = ring_at(s, at);
			udp_put(s, count, &w->to, (const uint8_t *)(w + 1), w->len);
			to[count] = &w->to;
		}
		walked += span;
		at = (at + span) % sizeof(s->ring);
		if (entry)
			spans[count++] = walked; /* with what was skipped before it */
	}
	const unsigned done = udp_send_batch(s, count);
	assert(done <= count);
	for (unsigned i = 0; i < done; i++)
		udp_server_forget(s, to[i]);
	const size_t gone = done == count ? walked : done ? spans[done - 1] : 0;
	s->ring_head = (s->ring_head + gone) % sizeof(s->ring);
	s->ring_used -= gone;
	return done == count;
}

static void udp_flush(struct udp_server *s)
{
	while (s->ring_used && udp_flush_batch(s))
		;
	if (!s->ring_used)
		s->ring_head = s->ring_tail = 0;
	udp_want(s);
}

static void udp_defer(void *ctx)
{
	udp_flush(ctx);
}

/* The answers of a batch from this entry on, straight from their reply buffers. */
static void udp_answer_batch(struct udp_server *s, unsigned first)
{
	unsigned count = 0, from[BATCH];
	for (unsigned i = first; i < s->handled; i++)
		if (s->reply_len[i]) {
			udp_put(s, count, &s->peer[i], s->reply[i], s->reply_len[i]);
			from[count++] = i;
		}
	if (!count)
		return;
	unsigned done = 0;
	if (!(s->watch.events & LOOP_WRITE)) /* else the kernel's queue is full */
		done = udp_send_batch(s, count);
	assert(done <= count);
	for (unsigned i = 0; i < done; i++)
		udp_server_forget(s, &s->peer[from[i]]);
	for (unsigned i = done; i < count; i++) {
		struct udp_peer *peer = &s->peer[from[i]];
		if (s->shard && !peer->slot)
			peer->slot = shard_ring_keep(s->shard, from[i]);
		udp_server_reply(s, peer, s->reply[from[i]], s->reply_len[from[i]]);
	}
}

/* --- in -------------------------------------------------------------------- */

/* recvmmsg(2) overwrites the lengths. */
static void udp_prepare(struct udp_server *s)
{
	for (unsigned i = 0; i < BATCH; i++) {
		struct msghdr *m = &s->in.head[i].msg_hdr;
		m->msg_namelen = sizeof(s->in.name[i]);
		m->msg_controllen = sizeof(s->in.control[i]);
		m->msg_flags = 0;
	}
}

/* One query to the callback; its answer, if any, is in s->reply[i]. */
static void udp_handle(struct udp_server *s, unsigned i, struct udp_peer *peer,
	const struct shard_datagram *from)
{
	struct udp_datagram d = {
		.peer = *peer,
		.data = from->data,
		.len = from->len,
		.cut = from->head.msg_flags & MSG_TRUNC,
		.reply = s->reply[i],
		.reply_cap = REPLY_CAP,
		.tries = from->tries,
	};
	s->at = (int)i;
	s->at_slot = from->slot;
	s->peer[i].slot = from->slot;
	s->fn(s->ctx, s, &d);
	s->at = -1;
	assert(d.reply_len <= REPLY_CAP);
	s->reply_len[i] = d.reply_len;
	if (!d.reply_len && !d.later)
		udp_server_forget(s, &s->peer[i]);
}

void udp_server_keep(struct udp_server *s, struct udp_peer *peer)
{
	if (!s->shard || s->at < 0)
		return;
	struct udp_peer *own = &s->peer[s->at];
	if (!own->slot)
		own->slot = shard_ring_keep(s->shard, (unsigned)s->at);
	peer->slot = own->slot;
}

/* The i-th of the batch, wherever it was received. */
static void udp_read(struct udp_server *s, unsigned i, struct shard_datagram *out)
{
	if (s->shard) {
		shard_ring_work(s->shard, i);
		shard_ring_at(s->shard, i, out);
		return;
	}
	*out = (struct shard_datagram){
		.head = s->in.head[i].msg_hdr,
		.data = s->data[i],
		.len = s->in.head[i].msg_len,
	};
}

/* How many came, or -errno. */
static int udp_receive(struct udp_server *s)
{
	if (s->shard)
		return shard_ring_receive(
			s->shard, s->from, loop_now(s->loop)->mono_us);
	udp_prepare(s);
	const int n = recvmmsg(s->from, s->in.head, BATCH, 0, NULL);
	return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

static void udp_look_ahead(struct udp_server *s, unsigned count)
{
	uint64_t ahead[BATCH];
	if (!s->ahead || count < LOOK_AHEAD_MIN)
		return;
	for (unsigned i = 0; i < count; i++) {
		struct shard_datagram d;
		udp_read(s, i, &d);
		ahead[i] = s->ahead(s->ctx, d.data, d.len);
	}
	for (unsigned i = 0; i < count; i++)
		if (ahead[i])
			s->next(s->ctx, ahead[i]);
}

/* False: nothing came. */
static bool udp_fill(struct udp_server *s)
{
	int n = -1;
	const bool steered = s->member && s->from == s->fd;
	if (steered)
		shard_member_mark(s->member);
	/* an error is a signal, or what an ICMP message left on a parked socket: read
	 * on */
	for (int tries = 0; tries < 4 && n < 0; tries++)
		n = udp_receive(s);
	if (steered && n >= 0)
		shard_member_took(s->member, (unsigned)n, n < BATCH);
	s->filled = n > 0 ? (unsigned)n : 0;
	s->handled = 0;
	s->received += s->filled;
	if (!s->filled)
		return false;
	s->busy = true;
	udp_look_ahead(s, s->filled);
	s->busy = false;
	return true;
}

static void udp_go_on(void *ctx);

/* Until the turn has cost enough, or `all`. */
static void udp_handle_batch(struct udp_server *s, bool all)
{
	bool more = s->handled < s->filled;
	while (more) {
		const unsigned i = s->handled++;
		struct shard_datagram d;
		udp_read(s, i, &d);
		s->reply_len[i] = 0;
		if (peer_read(s, &s->peer[i], &d.head))
			udp_handle(s, i, &s->peer[i], &d);
		more = s->handled < s->filled &&
		       (all || s->dying || s->handled % TURN_CHECK != 0 ||
			       !loop_turn_is_spent(s->loop));
	}
}

/* Returns how many came; -1: s was freed meanwhile. */
static int udp_batch(struct udp_server *s, bool all)
{
	if (s->handled == s->filled && !udp_fill(s))
		return 0;
	const unsigned first = s->handled;
	s->busy = true;
	udp_handle_batch(s, all);
	udp_answer_batch(s, first);
	if (s->handled < s->filled) {
		if (s->shard)
			shard_ring_done(s->shard, s->handled);
		loop_timer_set(s->loop, &s->go_on, loop_now(s->loop)->mono_us + 1,
			udp_go_on, s);
	} else {
		if (s->shard)
			shard_ring_batch_done(s->shard);
		loop_timer_clear(s->loop, &s->go_on);
	}
	s->busy = false;
	if (s->dying) {
		udp_server_free(s);
		return -1;
	}
	return (int)s->filled;
}

/* The rest of a batch that one turn was too short for. */
static void udp_go_on(void *ctx)
{
	struct udp_server *s = ctx;
	if (s->handled < s->filled)
		udp_batch(s, false);
}

/* --- what a dead process held ---------------------------------------------- */

static bool udp_replay_one(struct udp_server *s)
{
	struct shard_datagram d;
	const int64_t oldest_us = loop_now(s->loop)->mono_us - UDP_REPLAY_US;
	if (!shard_ring_replay(s->shard, oldest_us, &d))
		return false;
	struct udp_peer *peer = &s->peer[0];
	s->reply_len[0] = 0;
	if (!peer_read(s, peer, &d.head)) {
		shard_ring_release(s->shard, d.slot);
		return true;
	}
	udp_handle(s, 0, peer, &d);
	if (s->reply_len[0])
		udp_server_reply(s, peer, s->reply[0], s->reply_len[0]);
	return true;
}

static void udp_replay(void *ctx)
{
	struct udp_server *s = ctx;
	bool more = true;
	s->busy = true;
	for (int i = 0; more && i < REPLAYS_A_TURN && !s->dying; i++)
		more = udp_replay_one(s);
	s->busy = false;
	if (s->dying)
		udp_server_free(s);
	else if (more)
		loop_timer_set(s->loop, &s->replay,
			loop_now(s->loop)->mono_us + REPLAY_US, udp_replay, s);
}

void udp_server_take_over(struct udp_server *s)
{
	if (s->shard && shard_ring_take_over(s->shard))
		loop_timer_set(
			s->loop, &s->replay, loop_now(s->loop)->mono_us, udp_replay, s);
}

static void udp_ready(void *ctx, unsigned events)
{
	struct udp_server *s = ctx;
	if (events & LOOP_HANGUP) {
		int error; /* an ICMP error of a parked socket: reading it clears it */
		socklen_t len = sizeof(error);
		getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	}
	if (events & LOOP_WRITE)
		udp_flush(s);
	if (!(events & LOOP_READ))
		return;
	for (int i = 0; i < BATCHES_A_WAKEUP; i++)
		if (udp_batch(s, false) < BATCH || s->handled < s->filled ||
			loop_turn_is_spent(s->loop))
			return; /* s may be gone when it was less than a batch */
}

/* False: s was freed meanwhile. */
static bool udp_drain(struct udp_server *s)
{
	int n = 1;
	for (int i = 0; i < BATCHES_A_DRAIN && n > 0; i++)
		n = udp_batch(s, true);
	return n >= 0;
}

void udp_server_drain(struct udp_server *s)
{
	udp_drain(s);
}

/* False: s was freed meanwhile. */
static bool udp_drain_from(struct udp_server *s, int fd)
{
	assert(!s->busy);
	s->from = fd;
	const bool there = udp_drain(s);
	if (there)
		s->from = s->fd;
	fd_close(&fd);
	return there;
}

void udp_server_drain_from(struct udp_server *s, int fd)
{
	udp_drain_from(s, fd);
}

int udp_server_move(struct udp_server *s, int fd)
{
	int old = s->fd;
	assert(!s->busy);
	loop_unwatch(s->loop, &s->watch);
	const int e = loop_watch(s->loop, &s->watch, fd, LOOP_READ, udp_ready, s);
	if (e) {
		loop_watch(s->loop, &s->watch, old, LOOP_READ, udp_ready, s);
		return e;
	}
	s->fd = fd;
	if (udp_drain_from(s, old))
		udp_want(s);
	return 0;
}

/* All of them at once (the ring bounds how many), for who leaves would drop them. */
static void udp_replay_rest(struct udp_server *s)
{
	loop_timer_clear(s->loop, &s->replay);
	s->busy = true;
	while (s->shard && !s->dying && udp_replay_one(s))
		;
	s->busy = false;
}

void udp_server_pause(struct udp_server *s)
{
	if (!s->busy && s->handled < s->filled && udp_batch(s, true) < 0)
		return;
	if (!s->busy)
		udp_replay_rest(s);
	if (s->dying && !s->busy) {
		udp_server_free(s);
		return;
	}
	s->paused = true;
	udp_want(s);
}

/* --- its life -------------------------------------------------------------- */

static bool addr_is_wildcard(const struct addr *a)
{
	static const uint8_t zero[16];
	return memcmp(a->ip, zero, sizeof(zero)) == 0;
}

struct udp_server *udp_server_new(struct loop *l, int fd, udp_query_fn *fn, void *ctx)
{
	union udp_name name = { 0 };
	socklen_t name_len = sizeof(name);
	struct udp_server *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->loop = l;
	s->fn = fn;
	s->ctx = ctx;
	s->fd = s->from = fd;
	s->at = -1;
	s->defer = (struct defer){ .fn = udp_defer, .ctx = s };
	if (getsockname(fd, &name.sa, &name_len) < 0 ||
		!addr_from_sockaddr(&s->bound, &name.sa)) {
		free(s);
		return NULL;
	}
	s->wildcard = addr_is_wildcard(&s->bound);
	for (unsigned i = 0; i < BATCH; i++) {
		s->in.iov[i] = (struct iovec){ s->data[i], sizeof(s->data[i]) };
		s->in.head[i].msg_hdr = (struct msghdr){
			.msg_name = &s->in.name[i],
			.msg_iov = &s->in.iov[i],
			.msg_iovlen = 1,
			.msg_control = &s->in.control[i],
		};
	}
	const int e = loop_watch(l, &s->watch, fd, LOOP_READ, udp_ready, s);
	if (e) {
		errno = -e;
		free(s);
		return NULL;
	}
	return s;
}

void udp_server_free(struct udp_server *s)
{
	if (!s)
		return;
	if (s->busy) {
		s->dying = true;
		return;
	}
	udp_flush(s);
	loop_undefer(s->loop, &s->defer);
	loop_timer_clear(s->loop, &s->replay);
	loop_timer_clear(s->loop, &s->go_on);
	loop_unwatch(s->loop, &s->watch);
	fd_close(&s->fd);
	free(s);
}

void udp_server_look_ahead(struct udp_server *s, udp_ahead_fn *ahead, udp_next_fn *next)
{
	s->ahead = ahead;
	s->next = next;
}

void udp_server_use_ring(struct udp_server *s, struct shard_ring *ring)
{
	s->shard = ring;
}

void udp_server_use_member(struct udp_server *s, struct shard_member *m)
{
	s->member = m;
}

int udp_server_fd(const struct udp_server *s)
{
	return s->fd;
}

static uint32_t udp_meminfo(const struct udp_server *s, int which)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);
	if (getsockopt(s->fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[which];
}

uint64_t udp_server_kernel_drops(const struct udp_server *s)
{
	return udp_meminfo(s, SK_MEMINFO_DROPS);
}

uint64_t udp_server_queue_bytes(const struct udp_server *s)
{
	return udp_meminfo(s, SK_MEMINFO_RMEM_ALLOC);
}

uint64_t udp_server_received(const struct udp_server *s)
{
	return s->received;
}

uint64_t udp_server_dropped(const struct udp_server *s)
{
	return s->dropped;
}
