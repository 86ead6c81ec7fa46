/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/kept.h - descriptors that outlive this process: handed to us, and given to the
 * keeper.
 *
 * The keeper is a systemd socket unit, systemd's descriptor store or `shoal run`; the
 * last two speak one protocol: FDSTORE=1, FDNAME=, FDPOLL=0 over $NOTIFY_SOCKET, back
 * as LISTEN_FDS. Names begin with "kept-" and only label: a socket is known by its
 * address, a ring by what stands in it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "shard.h"

enum { KEPT_MAX = 1024, KEPT_LETTERS_MAX = 2048 };

struct kept {
	struct shard_inherited fds[KEPT_MAX]; /* fd -1: taken */
	int count, used;
	bool units; /* some came from a socket unit */
};

/* What was handed to us; once. */
void kept_read(struct kept *k);
/* A number that LISTEN_FDS says was handed to us and that is not open, or -1: ask before anything else is opened,
 * which would be taken for it. */
int kept_missing(void);
/* Closes what nobody took. */
void kept_close(struct kept *k);
/* Is this row from the descriptor store (else from a socket unit)? */
bool kept_is_stored(const struct shard_inherited *row);
/* Was it stored as `what`, whatever its address? */
bool kept_is_a(const struct shard_inherited *row, const char *what);
/* Was it stored as `what` of this address? */
bool kept_is_of(
	const struct shard_inherited *row, const char *what, const struct addr *a);
/* The socket of this address that can go on serving, or -1: parked ones are left. -EADDRINUSE: there is
 * one, but nobody can join it (bound without SO_REUSEPORT). `unit`: from a socket unit. */
int kept_take_socket(struct kept *k, const struct addr *a, int type, bool *unit);
/* The ring of this address, or -1. */
int kept_take_ring(struct kept *k, const struct addr *a);

/* Is there somebody who keeps descriptors for us? */
bool kept_is_possible(void);
/* Give the keeper a duplicate; `what`: "udp", "ring", or what connections are: "tcp", "tls", "doh", "h2c". Never waits: what a slow keeper does not take
 * now, and what comes after it, KEPT_LETTERS_MAX messages at most, goes with the next kept_flush(). */
void kept_store(const char *what, const struct addr *a, int fd);
/* The keeper closes what it has by this name. */
void kept_remove_name(const char *name);
void kept_remove(const char *what, const struct addr *a);
/* A descriptor that hangs up (POLLHUP) when the keeper has read all that was told before, -1: none. The
 * caller's to close. */
int kept_barrier(void);
/* What waits for the keeper, in order; how many still do. */
size_t kept_flush(void);
/* Before serving: a bounded while for the keeper to take it all. */
void kept_settle(void);
