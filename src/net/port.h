/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/port.h - UDP sockets to servers: connected, each on a port drawn at random, and kept
 * a moment for the next question to the same server.
 *
 * A port is as hard to guess when it is used again. Only the server itself saw it: the
 * socket is connected, so no other address learns it by asking us or by scanning us, and
 * it never serves a question to another server. Whoever guesses has no better odds for
 * any question than with a fresh port, as long as nothing tells him that he guessed right:
 * so a socket carries one question at a time, is closed as soon as anything comes that was
 * not asked for, or anything but the one answer to its question (a probe that finds it ends
 * it), and does not live long (LIMIT_PORT_LIFE_MS, LIMIT_PORT_QUESTIONS). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counters.h"
#include "base/random.h"
#include "loop/loop.h"

struct ports;

struct port {
	int fd;
	struct addr server;
	void (*fn)(void *ctx); /* readable; the taker's. NULL: kept */
	void *ctx;

	/* ours */
	struct ports *ports;
	struct watch watch;
	int64_t opened_us;
	unsigned questions;
	struct port *older, *newer; /* of the kept ones */
	struct port *next, **link;  /* in the bucket */
};

struct ports *ports_new(struct loop *l, struct random *rnd, struct counters *counters);
void ports_free(struct ports *ps); /* those that are taken stay: give them back first */

/* A kept one of this server, its fn not set yet; NULL: there is none. */
struct port *ports_take(struct ports *ps, const struct addr *server);
/* The same of a fresh socket, which is connected to the server. NULL with *fd as it was:
 * no memory, or it can not be watched. */
struct port *ports_add(struct ports *ps, int fd, const struct addr *server);
/* Back, after the one answer to its question: to be kept. */
void ports_keep(struct port *p);
/* Back, to be closed. */
void ports_close(struct port *p);
/* The socket alone, not watched any more: the caller's. */
int ports_release(struct port *p);
/* Descriptors run short: closes a kept one. False: there is none. */
bool ports_shed(struct ports *ps);
/* Addresses or routes changed: none of the kept ones is used again. */
void ports_forget(struct ports *ps);
size_t ports_kept(const struct ports *ps);
