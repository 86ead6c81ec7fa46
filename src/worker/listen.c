/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "shard.h"
#include "worker/fast.h"
#include "worker/kept.h"
#include "worker/poison.h"
#include "worker/proxied.h"
#include "worker/secure.h"
#include "worker/server.h"
#include "worker/steering.h"
#include "worker/watchmen.h"

enum {
	RCVBUF_WANTED =
		8 * 1024 *
		1024, /* doubled by the kernel: some 20,000 small datagrams, what
				    half a second without a reader piles up at 40,000/s */
	LEAVE_TICK_US = 1000 * 1000,
	/* ticks until nobody waits for an answer of a server that goes: each is set when the
	 * one before has come, so the time that a stopped process slept does not count */
	LEAVE_TICKS = LIMIT_QUERY_TIME_MS / 1000 + 3,
};

/* --- queries come in ----------------------------------------------------- */

/* Two processes were killed while they worked on it, by whatever. */
static void suspect(
	struct worker *w, const struct udp_datagram *d, const uint8_t *data, size_t len)
{
	struct query q;
	if (!w->poison || query_read(&q, data, len) != QUERY_OK)
		return;
	log_warning(SYSTEM,
		"a query saw %u processes die: its question is refused for ten "
		"minutes",
		d->tries);
	poison_add(w->poison, q.name, q.qtype, q.qclass, loop_now(w->loop)->wall_ms);
}

static void udp_query(void *ctx, struct udp_server *s, struct udp_datagram *d)
{
	struct listener *l = ctx;
	struct client client = {
		.udp = s,
		.peer = d->peer,
		.from = d->peer.from,
		.to = d->peer.to,
		.arrived_us = loop_now(l->w->loop)->mono_us,
	};
	struct reply_slot slot = { .out = d->reply, .cap = d->reply_cap };
	const uint8_t *data = d->data;
	size_t len = d->len;
	if (!proxied_take(l->w, &client, &data, &len))
		return;
	if (d->tries >= POISON_DEATHS)
		suspect(l->w, d, data, len);
	const bool cut = d->cut || len > LIMIT_CLIENT_UDP;
	switch (server_query(l->w, &client, data, len, cut, &slot)) {
	case SERVER_ANSWER:
		d->reply_len = slot.len;
		break;
	case SERVER_LATER:
		d->later = true;
		break;
	case SERVER_SILENT:
		break;
	}
	steering_saw(l->w, &d->peer.from, slot.vouched);
}

static enum stream_trust stream_trusts(void *ctx, const struct addr *peer)
{
	const struct listener *l = ctx;
	if (!l->w->conf->proxy_allow_count)
		return STREAM_UNASKED;
	return proxied_allows(l->w, peer) ? STREAM_BELIEVE : STREAM_REFUSE;
}

static void stream_refused(void *ctx, const struct addr *peer, bool malformed)
{
	const struct listener *l = ctx;
	proxied_tell_refused(l->w, peer, malformed);
}

static uint64_t udp_ahead(void *ctx, const uint8_t *data, size_t len)
{
	const struct listener *l = ctx;
	return fast_ahead(l->w, data, len);
}

static void udp_next(void *ctx, uint64_t ahead)
{
	const struct listener *l = ctx;
	fast_ahead_next(l->w, ahead);
}

static void stream_query(void *ctx, struct stream_server *s, struct stream_id id,
	const struct addr *from, const struct addr *to, const uint8_t *data, size_t len)
{
	struct listener *l = ctx;
	const struct client client = {
		.peer = { .from = *from, .to = *to },
		.from = *from,
		.to = *to,
		.proxied = stream_is_proxied(s, id),
		.stream = s,
		.stream_id = id,
		.transport = l->transport,
		.arrived_us = loop_now(l->w->loop)->mono_us,
	};
	struct reply_slot slot = { .out = l->w->reply, .cap = SCRATCH_LEN };
	switch (server_query(l->w, &client, data, len, false, &slot)) {
	case SERVER_ANSWER:
		stream_reply(s, id, slot.out, slot.len);
		break;
	case SERVER_SILENT:
		stream_skip(s, id);
		break;
	case SERVER_LATER:
		break;
	}
}

static struct stream_hooks stream_hooks_of(struct listener *l)
{
	return (struct stream_hooks){ .query = stream_query,
		.trust = stream_trusts,
		.refused = stream_refused,
		.ctx = l };
}

/* --- sockets ---------------------------------------------------------------------- */

/* In the operator's terms: what is wrong, and what to do about it. */
static void explain(const struct conf_listen *c, int type, int error,
	const struct shard_problem *p, char out[static 1024])
{
	char addr[ADDR_TEXT_MAX], where[320] = "";
	addr_to_text(&c->addr, addr);
	const char *proto = type == SOCK_DGRAM ? "UDP" : "TCP";
	if (c->where.file)
		snprintf(where, sizeof(where), "%s:%d: ", c->where.file, c->where.line);
	if (error == EADDRINUSE && p->owner_pid == 1)
		snprintf(out, 1024,
			"%s%s %s is in use by a socket unit of %s (process 1): this "
			"instance needs one too (`shoal sockets`), each with "
			"ReusePort=yes",
			where, proto, addr, p->owner[0] ? p->owner : "init");
	else if (error == EADDRINUSE && p->owner_pid)
		snprintf(out, 1024, "%s%s %s is in use by %s (process %d)", where,
			proto, addr, p->owner[0] ? p->owner : "a process",
			p->owner_pid);
	else if (error == EADDRINUSE && p->owner_uid != (unsigned)-1)
		snprintf(out, 1024,
			"%s%s %s is in use by a process of user id %u (only root can "
			"see which)",
			where, proto, addr, p->owner_uid);
	else if (error == EADDRINUSE)
		snprintf(out, 1024, "%s%s %s is in use by another process", where,
			proto, addr);
	else if (error == EADDRNOTAVAIL)
		snprintf(out, 1024,
			"%s%s %s: no interface has this address (freebind = true waits "
			"for it)",
			where, proto, addr);
	else if (error == EACCES && c->addr.port < 1024)
		snprintf(out, 1024,
			"%s%s %s: no permission for a port below 1024: start as root "
			"with user(), "
			"give CAP_NET_BIND_SERVICE, or set sysctl "
			"net.ipv4.ip_unprivileged_port_start",
			where, proto, addr);
	else
		snprintf(out, 1024, "%s%s %s: %s: %s", where, proto, addr,
			p->what[0] ? p->what : "socket", strerror(error));
}

/* Who is alone for good is no group: a second instance would be refused, a restart would stall. */
static void explain_alone(const struct conf_listen *c, int type, char out[static 1024])
{
	char addr[ADDR_TEXT_MAX];
	addr_to_text(&c->addr, addr);
	snprintf(out, 1024,
		"%s %s was handed over without SO_REUSEPORT, no other instance could "
		"share it: write ReusePort=yes under [Socket] of the socket unit, then "
		"stop and start that unit",
		type == SOCK_DGRAM ? "UDP" : "TCP", addr);
}

/* By what name a listening socket is kept: one that the configuration no longer knows still
 * has clients that speak this. */
static const struct {
	const char *what;
	struct conf_listen as;
} stored_kinds[] = {
	{ "tcp", { .kind = KIND_DNS } },
	{ "tls", { .kind = KIND_TLS } },
	{ "doh", { .kind = KIND_DOH2 } },
	{ "h2c", { .kind = KIND_DOH2, .plain = true } },
};

enum { STORED_KINDS = sizeof(stored_kinds) / sizeof(*stored_kinds) };

static const char *stored_what(const struct conf_listen *c)
{
	for (size_t i = 0; i < STORED_KINDS; i++)
		if (stored_kinds[i].as.kind == c->kind &&
			stored_kinds[i].as.plain == c->plain)
			return stored_kinds[i].what;
	return stored_kinds[0].what;
}

static const struct conf_listen *stored_as(const struct shard_inherited *row)
{
	for (size_t i = 0; i < STORED_KINDS; i++)
		if (kept_is_a(row, stored_kinds[i].what))
			return &stored_kinds[i].as;
	return &stored_kinds[0].as;
}

/* A new one. Descriptor, or -errno and `error`. */
static int socket_open(const struct conf_listen *c, int type, char error[static 1024])
{
	struct sockaddr_storage sa;
	const socklen_t len = addr_to_sockaddr(&c->addr, &sa);
	const struct shard_opt opt = {
		.addr = (const struct sockaddr *)&sa,
		.addr_len = len,
		.type = type,
		.flags = c->freebind ? SHARD_FREEBIND : 0,
		.rcvbuf = type == SOCK_DGRAM ? RCVBUF_WANTED : 0,
	};
	struct shard_problem problem = { .owner_uid = (unsigned)-1 };
	const int fd = shard_open(&opt, &problem);
	if (fd < 0)
		explain(c, type, -fd, &problem, error);
	else
		kept_store(type == SOCK_DGRAM ? "udp" : stored_what(c), &c->addr, fd);
	return fd;
}

/* The inherited one, else a new one. */
static int socket_get(const struct conf_listen *c, int type, struct kept *k, bool *unit,
	char error[static 1024])
{
	const int fd = kept_take_socket(k, &c->addr, type, unit);
	if (fd != -EADDRINUSE)
		return fd >= 0 ? fd : socket_open(c, type, error);
	explain_alone(c, type, error);
	return fd;
}

/* Without a keeper nobody could give the ring to a successor. */
static void ring_get(struct listener *l, struct kept *k)
{
	int fd = kept_take_ring(k, &l->addr);
	if (fd < 0 && kept_is_possible()) {
		struct sockaddr_storage sa;
		const socklen_t len = addr_to_sockaddr(&l->addr, &sa);
		fd = shard_ring_create((const struct sockaddr *)&sa, len, 0);
		if (fd >= 0)
			kept_store("ring", &l->addr, fd);
	}
	if (fd < 0)
		return;
	l->ring = shard_ring_open(fd);
	if (!l->ring)
		log_warning(NET, "no ring: %s: what a crash interrupts is lost",
			strerror(errno));
	fd_close(&fd);
}

static enum transport transport_of(const struct conf_listen *c)
{
	return c->kind == KIND_TLS    ? TRANSPORT_TLS
	       : c->kind == KIND_DOH2 ? TRANSPORT_HTTPS
				      : TRANSPORT_TCP;
}

static struct stream_conf stream_conf_of(struct worker *w, const struct conf_listen *c)
{
	struct stream_conf conf = {
		.kind = c->kind == KIND_TLS    ? STREAM_TLS
			: c->kind == KIND_DOH2 ? STREAM_HTTPS
					       : STREAM_TCP,
		.max_clients = LIMIT_TCP_CLIENTS,
		.max_clients_per_address = LIMIT_TCP_CLIENTS_PER_ADDRESS,
		.census = w->census ? &w->stream_census : NULL,
		.handshakes = &w->handshakes,
		.pipeline = w->conf->tcp_pipeline,
		.idle_ms = w->conf->tcp_in_idle_ms,
		.handshake_ms = w->conf->tls_handshake_timeout_ms,
	};
	const bool https = c->kind == KIND_DOH2;
	if (c->kind == KIND_TLS || (https && !c->plain)) {
		conf.layer_new = layer_tls_new;
		conf.layer_ctx = https ? &w->tls_https : &w->tls_dot;
	}
	if (https) {
		conf.codec_new = codec_https_new;
		conf.fields = w->conf->doh_headers;
	}
	return conf;
}

static bool serve_udp(struct listener *l, int fd)
{
	l->udp = udp_server_new(l->w->loop, fd, udp_query, l);
	if (l->udp)
		udp_server_look_ahead(l->udp, udp_ahead, udp_next);
	if (l->udp && l->ring) {
		udp_server_use_ring(l->udp, l->ring);
		if (getenv("SHOAL_STANDS_IN"))
			shard_ring_stand_in(l->ring);
		udp_server_take_over(l->udp);
	}
	return l->udp;
}

/* udp -1: none */
static bool listener_serve(struct listener *l, int udp, int tcp)
{
	struct worker *w = l->w;
	const struct stream_conf conf = stream_conf_of(w, l->conf);
	const struct stream_hooks hooks = stream_hooks_of(l);
	if (udp >= 0 && !serve_udp(l, udp))
		return false;
	l->stream = stream_server_new(w->loop, tcp, &conf, &hooks, w->counters);
	return l->stream;
}

/* 1: serves; 0: an optional address that is not there; -1: `error`. */
static int listener_open(struct listener *l, const struct conf_listen *c,
	struct kept *k, char error[static 1024])
{
	const bool datagrams = c->kind == KIND_DNS;
	int udp = -1, tcp = -1;
	if (datagrams)
		udp = socket_get(c, SOCK_DGRAM, k, &l->unit, error);
	if (udp >= 0 || !datagrams)
		tcp = socket_get(c, SOCK_STREAM, k, &l->unit, error);
	if (tcp < 0) {
		const bool half = udp >= 0;
		fd_close(&udp);
		if (!c->optional)
			return -1;
		if (half) /* kept, it would go on getting queries */
			kept_remove("udp", &c->addr);
		log_warning(NET, "%s", error);
		return 0;
	}
	char addr[ADDR_TEXT_MAX];
	l->addr = c->addr;
	l->transport = transport_of(c);
	if (datagrams)
		ring_get(l, k);
	if (!listener_serve(l, udp, tcp)) {
		snprintf(error, 1024, "%s: cannot serve: %s",
			addr_to_text(&c->addr, addr), strerror(errno));
		return -1;
	}
	steering_join(l->w, l);
	log_notice(NET, "listening on %s, %s", addr_to_text(&c->addr, addr),
		c->kind == KIND_TLS    ? "TLS"
		: c->kind == KIND_DOH2 ? c->plain ? "HTTP/2" : "HTTPS"
				       : "UDP and TCP");
	return 1;
}

/* --- sockets that go -------------------------------------------------------------- */

/* The one in this link of the list. */
static void leaver_free(struct worker *w, struct leaver **link)
{
	struct leaver *gone = *link;
	*link = gone->next;
	loop_timer_clear(w->loop, &gone->timer);
	udp_server_free(gone->udp);
	stream_server_free(gone->stream);
	free(gone);
}

static void leaver_tick(void *ctx)
{
	struct leaver *leaver = ctx;
	struct worker *w = leaver->w;
	if (leaver->ticks-- == 0) {
		struct leaver **link = &w->leavers;
		while (*link != leaver)
			link = &(*link)->next;
		leaver_free(w, link);
		return;
	}
	struct loop *l = w->loop;
	loop_timer_set(l, &leaver->timer, loop_now(l)->mono_us + LEAVE_TICK_US,
		leaver_tick, leaver);
}

/* What waits in their queues is still answered. */
static void leaver_add(
	struct worker *w, struct udp_server *udp, struct stream_server *stream)
{
	struct leaver *leaver = calloc(1, sizeof(*leaver));
	if (!leaver)
		return;
	*leaver = (struct leaver){ .w = w,
		.udp = udp,
		.stream = stream,
		.ticks = LEAVE_TICKS,
		.next = w->leavers };
	w->leavers = leaver;
	if (udp) {
		udp_server_drain(udp);
		udp_server_pause(udp);
	}
	if (stream)
		stream_server_drain(stream, NULL, NULL);
	leaver_tick(leaver);
}

/* The watchdog took us for stuck and led our clients elsewhere: such a socket never
 * gets its share again, so a fresh one takes its place. */
static void listener_renew(struct listener *l, const struct conf_listen *c)
{
	char error[1024], addr[ADDR_TEXT_MAX];
	kept_remove("udp", &l->addr);
	int fd = socket_open(c, SOCK_DGRAM, error);
	const int e = fd < 0 ? fd : udp_server_move(l->udp, fd);
	if (e < 0) {
		fd_close(&fd);
		log_error(NET, "%s is parked, and there is no other socket: %s",
			addr_to_text(&l->addr, addr), strerror(-e));
		return;
	}
	steering_rejoin_udp(l->w, l);
	watchmen_show(l->w);
	counter_up(l->w->counters, sockets_parked);
	l->parks++;
	log_notice(NET, "%s was parked: a fresh socket takes its place",
		addr_to_text(&l->addr, addr));
}

/* The one that serves now what this stored socket was for, or NULL. By the stored name:
 * a parked wildcard socket has another address. */
static struct listener *listener_of(struct worker *w, const struct shard_inherited *row)
{
	for (size_t i = 0; i < w->listener_count; i++)
		if (kept_is_of(row, "udp", &w->listeners[i].addr))
			return &w->listeners[i];
	return NULL;
}

/* The clients that wait for this socket's connections to be accepted are served. */
static void stored_drain(
	struct worker *w, const struct conf_listen *as, int fd, struct listener *l)
{
	char error[1024];
	const bool encrypted = as->kind != KIND_DNS && !as->plain;
	if (encrypted && !secure_need(w, error)) {
		log_warning(NET, "%s", error);
		fd_close(&fd);
		return;
	}
	const struct stream_conf conf = stream_conf_of(w, as);
	const struct stream_hooks hooks = stream_hooks_of(l);
	l->transport = transport_of(as);
	struct stream_server *stream =
		stream_server_new(w->loop, fd, &conf, &hooks, w->counters);
	if (stream)
		leaver_add(w, NULL, stream);
	else
		fd_close(&fd);
}

/* From the store, but parked, or no longer in the configuration: emptied, closed. */
static void stored_drop(struct worker *w, struct kept *k, int i, struct listener *l)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int type = 0;
	socklen_t type_len = sizeof(type);
	int fd = k->fds[i].fd;
	struct addr addr;
	char text[ADDR_TEXT_MAX];
	k->fds[i].fd = -1;
	const int e = shard_adopt(fd);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 ||
		getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
		!addr_from_sockaddr(&addr, (const struct sockaddr *)&sa) ||
		(e < 0 && e != -EADDRINUSE)) {
		fd_close(&fd); /* a ring whose address nobody serves, or worse */
		return;
	}
	const bool parked = type == SOCK_DGRAM && shard_parked(fd);
	log_notice(NET, "%s %s %s: emptied and closed",
		type == SOCK_DGRAM ? "udp" : "tcp", addr_to_text(&addr, text),
		parked ? "was parked" : "is no longer listened on");
	l->w = w;
	l->addr = addr;
	if (!parked)
		steering_drop(w, fd);
	struct listener *served = listener_of(w, &k->fds[i]);
	if (parked && served && served->udp) {
		udp_server_drain_from(served->udp, fd);
	} else if (type == SOCK_DGRAM) {
		if (!parked)
			shard_park(fd);
		struct udp_server *udp = udp_server_new(w->loop, fd, udp_query, l);
		if (udp)
			leaver_add(w, udp, NULL);
	} else {
		stored_drain(w, stored_as(&k->fds[i]), fd, l);
	}
	/* a parked one's name is taken by the fresh one: told before that was stored */
	if (!parked)
		kept_remove_name(k->fds[i].name);
}

static bool ring_is_wanted(const struct conf *c, const struct shard_inherited *row)
{
	for (size_t i = 0; i < c->listen_count; i++) {
		const struct addr *a = &c->listens[i].addr;
		struct sockaddr_storage sa;
		const socklen_t len = addr_to_sockaddr(a, &sa);
		if (kept_is_of(row, "ring", a))
			return shard_ring_matches(
				row->fd, (const struct sockaddr *)&sa, len);
	}
	return false;
}

/* What nobody will take: told before others are stored under the same names. */
static void useless_forget(const struct worker *w, const struct kept *k)
{
	for (int i = 0; i < k->count; i++) {
		const struct shard_inherited *row = &k->fds[i];
		if (!kept_is_stored(row))
			continue;
		const bool ring = kept_is_a(row, "ring");
		if (ring ? !ring_is_wanted(w->conf, row) : shard_parked(row->fd))
			kept_remove_name(row->name);
	}
}

/* --- the whole -------------------------------------------------------------------- */

static const char *keeper_name(const struct kept *k)
{
	if (k->units)
		return "socket unit";
	if (getenv("SHOAL_SUPERVISED"))
		return "shoal run";
	return kept_is_possible() ? "descriptor store" : "none";
}

/* Those that the configuration names. */
static bool listeners_open(struct worker *w, struct kept *k, char error[static 1024])
{
	useless_forget(w, k);
	for (size_t i = 0; i < w->conf->listen_count; i++) {
		struct listener *l = &w->listeners[w->listener_count];
		l->w = w;
		l->conf = &w->conf->listens[i];
		const int got = listener_open(l, l->conf, k, error);
		if (got != 0)
			w->listener_count++;
		if (got < 0)
			return false;
	}
	return true;
}

bool listen_check(const struct conf *c, char error[static 1024])
{
	struct kept *k = calloc(1, sizeof(*k));
	bool unit, fine = true;
	if (!k)
		return true;
	kept_read(k);
	for (size_t i = 0; fine && i < c->listen_count; i++) {
		const struct conf_listen *l = &c->listens[i];
		for (int type = SOCK_STREAM; fine && type <= SOCK_DGRAM; type++) {
			int fd = type == SOCK_DGRAM && l->kind != KIND_DNS
					 ? -1
					 : kept_take_socket(k, &l->addr, type, &unit);
			fine = fd != -EADDRINUSE;
			if (fine)
				fd_close(&fd);
			else
				explain_alone(l, type, error);
		}
	}
	kept_close(k);
	free(k);
	return fine;
}

bool listen_open(struct worker *w, char error[static 1024])
{
	struct kept *k = calloc(1, sizeof(*k));
	if (k)
		kept_read(k);
	/* behind the listeners: what queries on sockets that go refer to */
	const size_t count = w->conf->listen_count + (k ? (size_t)k->count : 0) + 1;
	w->listeners = calloc(count, sizeof(*w->listeners));
	if (!k || !w->listeners) {
		free(k);
		snprintf(error, 1024, "out of memory");
		return false;
	}
	const bool fine = listeners_open(w, k, error);
	if (fine && k->count)
		log_notice(NET, "%d of %d inherited descriptors are in use", k->used,
			k->count);
	struct listener *more = &w->listeners[w->listener_count];
	for (int i = 0; fine && i < k->count; i++)
		if (k->fds[i].fd >= 0 && kept_is_stored(&k->fds[i]))
			stored_drop(w, k, i, more++);
	kept_close(k);
	kept_settle();
	if (w->stats)
		snprintf(w->stats->keeper, sizeof(w->stats->keeper), "%s",
			keeper_name(k));
	free(k);
	if (fine && !w->listener_count)
		log_warning(NET, "no address to listen on");
	return fine;
}

void listen_tick(struct worker *w)
{
	kept_flush();
	for (size_t i = 0; i < w->listener_count; i++) {
		struct listener *l = &w->listeners[i];
		if (!l->udp)
			continue;
		udp_server_take_over(l->udp);
		if (!w->stopping && shard_parked(udp_server_fd(l->udp)))
			listener_renew(l, l->conf);
	}
}

void listen_count_again(struct worker *w)
{
	for (size_t i = 0; i < w->listener_count; i++)
		if (w->listeners[i].stream)
			stream_server_count_again(w->listeners[i].stream);
	for (const struct leaver *leaver = w->leavers; leaver; leaver = leaver->next)
		if (leaver->stream)
			stream_server_count_again(leaver->stream);
}

int listen_give_up(struct worker *w)
{
	for (size_t i = 0; i < w->listener_count; i++) {
		struct listener *l = &w->listeners[i];
		l->unit = false; /* its queue is for us to empty */
		kept_remove(stored_what(l->conf), &l->addr);
	}
	return kept_barrier();
}

void listen_close(struct worker *w)
{
	while (w->leavers)
		leaver_free(w, &w->leavers);
	for (size_t i = 0; i < w->listener_count; i++) {
		struct listener *l = &w->listeners[i];
		if (l->udp)
			udp_server_free(l->udp);
		if (l->stream)
			stream_server_free(l->stream);
		shard_ring_close(l->ring);
	}
	free(w->listeners);
	w->listeners = NULL;
	w->listener_count = 0;
}
