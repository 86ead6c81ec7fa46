/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/socknum.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "shard.h"
#include "worker/worker.h"

/* The next free one, or NULL: the table is full. */
static struct stats_socket *next(struct worker *w, size_t *at)
{
	return *at < STATS_SOCKETS ? &w->stats->socket[(*at)++] : NULL;
}

static void name(struct worker *w, size_t *at, const char *kind, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	struct stats_socket *s = next(w, at);
	if (s)
		snprintf(
			s->name, sizeof(s->name), "%s %s", kind, addr_to_text(a, text));
}

void socknum_tell(struct worker *w)
{
	char *to = w->stats->sockets;
	size_t left = sizeof(w->stats->sockets), at = 0;
	bool whole = true;
	for (size_t i = 0; i < w->listener_count; i++) {
		const struct listener *l = &w->listeners[i];
		char addr[ADDR_TEXT_MAX];
		addr_to_text(&l->addr, addr);
		const char *kind = conf_kind_name(l->conf->kind);
		if (l->udp)
			name(w, &at, "udp", &l->addr);
		name(w, &at, l->udp ? "tcp" : kind, &l->addr);
		const int n =
			l->udp ? snprintf(to, left, "udp %s\ntcp %s\n", addr, addr)
			       : snprintf(to, left, "%s %s\n", kind, addr);
		whole = whole && n >= 0 && (size_t)n < left;
		if (!whole) {
			*to = '\0'; /* whole lines only */
			continue;
		}
		to += n;
		left -= (size_t)n;
	}
}

/* tcp(7): of a listener, tcpi_unacked is the length of its accept queue. */
static uint64_t accept_queue(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_unacked;
}

static void read_steering(struct stats_socket *n, const struct shard_member *m)
{
	struct shard_member_numbers numbers = { 0 };
	if (m)
		shard_member_count(m, &numbers);
	n->steered = numbers.steered;
	n->waiting = numbers.waiting;
}

static void read_udp(struct stats_socket *n, const struct listener *l)
{
	struct shard_ring_numbers ring = { 0 };
	if (l->ring)
		shard_ring_count(l->ring, &ring);
	n->received = udp_server_received(l->udp);
	n->dropped = udp_server_kernel_drops(l->udp);
	n->queue_bytes = udp_server_queue_bytes(l->udp);
	n->replayed = ring.replayed;
	n->parked = l->parks;
	read_steering(n, l->udp_member);
}

static void read_tcp(struct stats_socket *n, const struct listener *l)
{
	n->received = stream_server_accepted(l->stream);
	n->accept_queue = accept_queue(stream_server_fd(l->stream));
	read_steering(n, l->tcp_member);
}

/* Word by word: readers see old and new numbers, never half of one. */
static void publish(struct stats_socket *to, const struct stats_socket *from)
{
#define X(field, counter, help)                                                        \
	__atomic_store_n(&to->field, from->field, __ATOMIC_RELAXED);
	STATS_SOCKET_NUMBERS(X)
#undef X
}

static void add_ring(struct shard_ring_numbers *sum, const struct shard_ring *ring)
{
	struct shard_ring_numbers n = { 0 };
	if (!ring)
		return;
	shard_ring_count(ring, &n);
	sum->kept += n.kept;
	sum->full += n.full;
	sum->taken_over += n.taken_over;
	sum->replayed += n.replayed;
	sum->stale += n.stale;
	sum->lost += n.lost;
}

void socknum_tick(struct worker *w)
{
	struct shard_ring_numbers ring = { 0 };
	struct stats_socket sum = { 0 };
	uint64_t unsent = 0;
	size_t at = 0;
	for (size_t i = 0; i < w->listener_count; i++) {
		const struct listener *l = &w->listeners[i];
		for (int udp = l->udp ? 1 : 0; udp >= 0; udp--) {
			struct stats_socket n = { 0 }, *to = next(w, &at);
			if (udp)
				read_udp(&n, l);
			else
				read_tcp(&n, l);
			if (to)
				publish(to, &n);
			sum.dropped += n.dropped;
			sum.queue_bytes += n.queue_bytes;
			sum.accept_queue += n.accept_queue;
		}
		add_ring(&ring, l->ring);
		unsent += l->udp ? udp_server_dropped(l->udp) : 0;
	}
	counter_set(w->counters, udp_kernel_drops, sum.dropped);
	counter_set(w->counters, udp_send_drops, unsent);
	counter_set(w->counters, udp_queue_bytes, sum.queue_bytes);
	counter_set(w->counters, tcp_accept_queue, sum.accept_queue);
	counter_set(w->counters, ring_kept, ring.kept);
	counter_set(w->counters, ring_full, ring.full);
	counter_set(w->counters, ring_taken_over, ring.taken_over);
	counter_set(w->counters, ring_replayed, ring.replayed);
	counter_set(w->counters, ring_stale, ring.stale);
	counter_set(w->counters, ring_lost, ring.lost);
}
