/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "shard.h"
#include "worker/server.h"

enum {
	INHERITED_MAX = 512,
	RCVBUF_WANTED =
		4 * 1024 * 1024, /* what a restart of 100 ms piles up at 40,000/s */
};

struct inherited {
	struct shard_inherited fds[INHERITED_MAX];
	int count;
	int used;
};

/* --- queries come in ----------------------------------------------------- */

static void udp_query(void *ctx, struct udp_server *s, struct udp_datagram *d)
{
	struct listener *l = ctx;
	const struct client client = {
		.udp = s, .peer = d->peer, .arrived_us = loop_now(l->w->loop)->mono_us
	};
	struct reply_slot slot = { .out = d->reply, .cap = d->reply_cap };
	if (server_query(l->w, &client, d->data, d->len, d->cut, &slot) ==
		SERVER_ANSWER)
		d->reply_len = slot.len;
}

static void stream_query(void *ctx, struct stream_server *s, stream_id id,
	const struct addr *from, const struct addr *to, const uint8_t *data, size_t len)
{
	struct listener *l = ctx;
	const struct client client = {
		.peer = { .from = *from, .to = *to },
		.stream = s,
		.stream_id = id,
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

/* --- sockets
 * ---------------------------------------------------------------------------- */

/* In the operator's terms: what is wrong, and what to do about it. */
static void explain(const struct conf_listen *c, int type, int error,
	const struct shard_problem *p, char out[static 1024])
{
	char addr[ADDR_TEXT_MAX], where[320] = "";
	addr_to_text(&c->addr, addr);
	const char *proto = type == SOCK_DGRAM ? "UDP" : "TCP";
	if (c->where.file)
		snprintf(where, sizeof(where), "%s:%d: ", c->where.file, c->where.line);
	if (error == EADDRINUSE && p->owner_pid)
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

/* The descriptor that was handed to us for this address, or -1. */
static int inherited_take(
	struct inherited *in, const struct sockaddr *sa, socklen_t len, int type)
{
	for (int i = 0; i < in->count; i++) {
		const int fd = in->fds[i].fd;
		if (fd < 0 || !shard_matches(fd, sa, len, type))
			continue;
		in->fds[i].fd = -1;
		if (shard_adopt(fd) < 0) {
			int gone = fd;
			fd_close(&gone);
			continue;
		}
		in->used++;
		return fd;
	}
	return -1;
}

/* Descriptor, or -errno and `error`. */
static int socket_get(const struct conf_listen *c, int type, struct inherited *in,
	char error[static 1024])
{
	struct sockaddr_storage sa;
	const socklen_t len = addr_to_sockaddr(&c->addr, &sa);
	int fd = inherited_take(in, (const struct sockaddr *)&sa, len, type);
	if (fd >= 0)
		return fd;
	const struct shard_opt opt = {
		.addr = (const struct sockaddr *)&sa,
		.addr_len = len,
		.type = type,
		.flags = c->freebind ? SHARD_FREEBIND : 0,
		.rcvbuf = type == SOCK_DGRAM ? RCVBUF_WANTED : 0,
	};
	struct shard_problem problem = { .owner_uid = (unsigned)-1 };
	fd = shard_open(&opt, &problem);
	if (fd < 0)
		explain(c, type, -fd, &problem, error);
	return fd;
}

static bool listener_serve(struct listener *l, int udp, int tcp)
{
	struct worker *w = l->w;
	const struct stream_conf conf = {
		.max_clients = LIMIT_TCP_CLIENTS,
		.max_clients_per_address = LIMIT_TCP_CLIENTS_PER_ADDRESS,
		.pipeline = w->conf->tcp_pipeline,
		.idle_ms = w->conf->tcp_in_idle_ms,
	};
	const struct stream_hooks hooks = { .query = stream_query, .ctx = l };
	l->udp = udp_server_new(w->loop, udp, udp_query, l);
	l->stream = stream_server_new(w->loop, tcp, &conf, &hooks, w->counters);
	return l->udp && l->stream;
}

/* 1: serves; 0: an optional address that is not there; -1: `error`. */
static int listener_open(struct listener *l, const struct conf_listen *c,
	struct inherited *in, char error[static 1024])
{
	int tcp = -1;
	int udp = socket_get(c, SOCK_DGRAM, in, error);
	if (udp >= 0)
		tcp = socket_get(c, SOCK_STREAM, in, error);
	if (udp < 0 || tcp < 0) {
		fd_close(&udp);
		if (!c->optional)
			return -1;
		log_warning(NET, "%s", error);
		return 0;
	}
	char addr[ADDR_TEXT_MAX];
	l->addr = c->addr;
	if (!listener_serve(l, udp, tcp)) {
		snprintf(error, 1024, "%s: cannot serve: %s",
			addr_to_text(&c->addr, addr), strerror(errno));
		return -1;
	}
	log_notice(NET, "listening on %s, UDP and TCP", addr_to_text(&c->addr, addr));
	return 1;
}

bool listen_open(struct worker *w, char error[static 1024])
{
	struct inherited *in = calloc(1, sizeof(*in));
	w->listeners = calloc(w->conf->listen_count + 1, sizeof(*w->listeners));
	if (!in || !w->listeners) {
		free(in);
		snprintf(error, 1024, "out of memory");
		return false;
	}
	in->count = shard_inherited(in->fds, INHERITED_MAX);
	bool fine = true;
	for (size_t i = 0; fine && i < w->conf->listen_count; i++) {
		struct listener *l = &w->listeners[w->listener_count];
		l->w = w;
		const int got = listener_open(l, &w->conf->listens[i], in, error);
		fine = got >= 0;
		if (got != 0)
			w->listener_count++;
	}
	for (int i = 0; i < in->count; i++)
		fd_close(&in->fds[i].fd);
	if (fine && in->count)
		log_notice(NET, "%d of %d inherited sockets are in use", in->used,
			in->count);
	if (in->used && w->stats)
		snprintf(w->stats->keeper, sizeof(w->stats->keeper), "socket unit");
	free(in);
	if (fine && !w->listener_count)
		log_warning(NET, "no address to listen on");
	return fine;
}

void listen_close(struct worker *w)
{
	for (size_t i = 0; i < w->listener_count; i++) {
		struct listener *l = &w->listeners[i];
		if (l->udp)
			udp_server_free(l->udp);
		if (l->stream)
			stream_server_free(l->stream);
	}
	free(w->listeners);
	w->listeners = NULL;
	w->listener_count = 0;
}

void listen_tell(const struct worker *w)
{
	char *to = w->stats->sockets;
	size_t left = sizeof(w->stats->sockets);
	for (size_t i = 0; i < w->listener_count; i++) {
		char addr[ADDR_TEXT_MAX];
		addr_to_text(&w->listeners[i].addr, addr);
		const int n = snprintf(to, left, "udp %s\ntcp %s\n", addr, addr);
		if (n < 0 || (size_t)n >= left) {
			*to = '\0'; /* whole lines only */
			return;
		}
		to += n;
		left -= (size_t)n;
	}
}
