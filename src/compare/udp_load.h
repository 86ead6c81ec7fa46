/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/udp_load.h - the generator of datagrams: so many flows, perhaps one heavy one. */
#pragma once

#include <stdint.h>

#include "compare/crew.h"

struct udp_load {
	uint16_t port;
	unsigned flows;     /* source ports */
	double heavy;       /* share (0..1) of all that the first flow sends */
	unsigned in_flight; /* closed loop: so many at a time... */
	double rate;        /* ...or open loop: so many a second */
	unsigned costly;    /* every so many-th costs COSTLY times; 0: none */
};

/* Number, then how many services it costs; answered as it came. */
struct udp_question {
	uint32_t number;
	uint32_t times;
};

/* Runs until its parent ends it. */
void udp_load_run(struct crew *c, unsigned index, void *load);
