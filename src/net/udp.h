/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/udp.h - serve datagrams in batches: recvmmsg, one callback each, sendmmsg.
 *
 * Answers leave from the address that was asked (IP_PKTINFO), on wildcard sockets too. A bounded number
 * of batches is read per wake-up, so that upstream answers are not starved. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "loop/loop.h"

struct udp_server;

/* Where an answer goes: copy it to answer later. */
struct udp_peer {
	struct addr from; /* the client */
	struct addr to;   /* our address that it asked (port 0 if unknown) */
	uint32_t ifindex; /* the interface it came by, for link-local */
	uint32_t slot; /* where the query is kept until the answer left; 0: nowhere */
};

struct udp_datagram {
	struct udp_peer peer;
	const uint8_t *data;
	size_t len;
	bool cut; /* longer than LIMIT_DATAGRAM: what a query may have is judged without
		     its PROXY header */
	uint8_t *
		reply; /* write the answer here and set reply_len: it leaves with the batch */
	size_t reply_cap; /* at least 4096 */
	size_t reply_len; /* 0: nothing now */
	bool later; /* it will be answered or forgotten by the slot that udp_server_keep() gave */
	unsigned tries; /* how many processes died while they worked on it */
};

struct shard_ring;
struct shard_member;

typedef void udp_query_fn(void *ctx, struct udp_server *s, struct udp_datagram *d);

/* `fd` is bound, non-blocking, and owned from here on. NULL with errno (fd stays the caller's). */
struct udp_server *udp_server_new(struct loop *l, int fd, udp_query_fn *fn, void *ctx);
/* Of a larger batch, before the callback for its first: `ahead` for each, then `next` for each with
 * what that gave, unless 0. So what they will read can be on its way for all of them at once. */
typedef uint64_t udp_ahead_fn(void *ctx, const uint8_t *data, size_t len);
typedef void udp_next_fn(void *ctx, uint64_t ahead);
void udp_server_look_ahead(
	struct udp_server *s, udp_ahead_fn *ahead, udp_next_fn *next);
/* Receive into this ring (the caller's, given before the first turn of the loop, closed after the server is freed): no query is
 * lost when the process dies. */
void udp_server_use_ring(struct udp_server *s, struct shard_ring *ring);
/* Tell this member's steering how many came; NULL: no more. */
void udp_server_use_member(struct udp_server *s, struct shard_member *m);
/* In the callback: keep the datagram at hand until it is answered; peer->slot says where. */
void udp_server_keep(struct udp_server *s, struct udp_peer *peer);
/* A kept query gets no answer, on purpose. */
void udp_server_forget(struct udp_server *s, const struct udp_peer *peer);
/* Handle again what dead processes held, paced, by the callback; what is older than UDP_REPLAY_US is dropped. */
enum { UDP_REPLAY_US = 3000 * 1000 };
void udp_server_take_over(struct udp_server *s);
/* An answer outside the callback: copied, leaves at the end of the turn. */
void udp_server_reply(struct udp_server *s, const struct udp_peer *to,
	const uint8_t *data, size_t len);
/* Go on with this socket of the same address; what waits in the old one is handled, then it is closed. 0 or
 * -errno: nothing has changed, fd stays the caller's. Not from the callback. */
int udp_server_move(struct udp_server *s, int fd);
/* Handle what waits in another socket of the same address, answer by our own; closes it. Not from the callback. */
void udp_server_drain_from(struct udp_server *s, int fd);
/* Stop reading (drain first with udp_server_drain), keep answering; what a dead process left is handled first. */
void udp_server_pause(struct udp_server *s);
/* Read and handle what waits in the kernel's queue now. */
void udp_server_drain(struct udp_server *s);
void udp_server_free(struct udp_server *s); /* sends what is pending, closes */
int udp_server_fd(const struct udp_server *s);
/* SO_MEMINFO's drops: datagrams that the kernel dropped because the queue was full. */
uint64_t udp_server_kernel_drops(const struct udp_server *s);
/* Bytes that wait to be read, as the kernel charges them (some 800 for a small datagram). */
uint64_t udp_server_queue_bytes(const struct udp_server *s);
/* Datagrams received, those that a dead process had received not counted. */
uint64_t udp_server_received(const struct udp_server *s);
/* Answers not sent: over LIMIT_UDP_OUT_BYTES, or refused by the kernel (no route back). */
uint64_t udp_server_dropped(const struct udp_server *s);
