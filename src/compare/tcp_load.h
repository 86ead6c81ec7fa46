/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/tcp_load.h - the generator of short connections: connect, one byte, its answer.
 *
 * The byte says how many services the connection costs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "compare/crew.h"

enum { TCP_COSTLY = 20 }; /* what a costly connection costs, times a plain one */

struct tcp_load {
	uint16_t port;
	unsigned in_flight; /* closed loop: so many at a time... */
	double rate;     /* ...or open loop: so many a second (in_flight is the most) */
	bool far;        /* through the path with a delay (compare/path.h) */
	unsigned costly; /* every so many-th costs TCP_COSTLY; 0: none */
};

/* Runs until its parent ends it. */
void tcp_load_run(struct crew *c, unsigned index, void *load);
