/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exec/sockets.h - the sharded sockets of all instances, held by who supervises them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

enum { LISTENS_MAX = 32 };

struct listen {
	int type; /* SOCK_STREAM, SOCK_DGRAM */
	struct addr address;
	const char *text; /* as given */
};

struct listens {
	struct listen rows[LISTENS_MAX];
	size_t count;
	int rcvbuf, backlog;
	bool blocking;
};

/* "PORT" (IPv4, all addresses), "ADDRESS:PORT", "[IPV6]:PORT"; false: said why. */
bool listens_add(struct listens *l, int type, const char *text);

struct keep;
/* One instance's sockets, in order, named "tcp-ADDRESS" or "udp-ADDRESS". False: said why. */
bool listens_open(const struct listens *l, struct keep *keep);

/* Numbers of a socket. */
struct socket_seen {
	char address[80];
	int type;
	long queue;          /* bytes that wait (UDP), connections that wait (TCP) */
	unsigned long drops; /* by the kernel: the queue was full */
};
bool socket_look(int fd, struct socket_seen *out);
/* Sockets of this address that none of the keepers holds, and that get a share of what comes to
 * it (or all): opened by a program that does not use what it was handed. */
size_t strangers_count(
	const struct listen *row, const struct keep *const *keeps, size_t count);
