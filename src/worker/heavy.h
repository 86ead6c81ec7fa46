/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/heavy.h - which flows (address and port of a client) send very much: a small table,
 * halved twice a second. */
#pragma once

#include <stdbool.h>

#include "base/addr.h"
#include "base/random.h"

enum {
	HEAVY_RATE = 500,  /* datagrams a second here: more than a stub resolver asks */
	HEAVY_AGAIN = 10,  /* ticks until it is told again */
	HEAVY_SLOTS = 256, /* flows counted at a time; a rarer one gives way */
};

struct heavy;

struct heavy *heavy_new(struct random *r); /* NULL: out of memory */
void heavy_free(struct heavy *h);
/* One datagram of this flow. True: it became heavy, or still is and was told long ago. */
bool heavy_saw(struct heavy *h, const struct addr *client);
void heavy_tick(struct heavy *h);
