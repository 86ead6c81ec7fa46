/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/udp_take.h - how a worker takes datagrams from its socket and answers them. */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

enum { UDP_BATCH = 32, UDP_BYTES = 64 };

/* A receiving call begins; and one datagram: serve it; the answer is the datagram. */
typedef void take_begin_fn(void *ctx);
typedef void take_fn(
	void *ctx, const struct msghdr *from, const void *data, size_t len);

struct udp_way_to_take {
	const char *name; /* "recvfrom", "recvmmsg", "io_uring" */
	/* Never returns, unless this kernel cannot. */
	void (*run)(int fd, take_begin_fn *begin, take_fn *serve, void *ctx);
};

/* Datagrams taken with one call, without waiting. */
struct udp_batch {
	char data[UDP_BATCH][UDP_BYTES];
	struct sockaddr_storage from[UDP_BATCH];
	struct iovec v[UDP_BATCH];
	struct mmsghdr m[UDP_BATCH];
};
/* recvmmsg(2): how many came, or -1. */
int udp_batch_take(struct udp_batch *b, int fd);

extern const struct udp_way_to_take udp_takes[];
extern const size_t udp_take_count;
