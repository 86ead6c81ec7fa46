/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/udp_take.h - how a worker takes datagrams from its socket and answers them. */
#pragma once

#include <stddef.h>

/* One datagram: serve it; the answer is the datagram. */
typedef void take_fn(void *ctx, const void *data, size_t len);

struct udp_way_to_take {
	const char *name; /* "recvfrom", "recvmmsg", "io_uring" */
	/* Never returns, unless this kernel cannot. */
	void (*run)(int fd, take_fn *serve, void *ctx);
};

extern const struct udp_way_to_take udp_takes[];
extern const size_t udp_take_count;
