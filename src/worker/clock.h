/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/clock.h - is the clock right? Signatures are valid from one time to another,
 * so a wrong clock makes the signed part of the DNS fail: it is noticed and said.
 *
 * The modules detect_time_skew (the root's signatures against the clock, at start and
 * after each jump) and detect_time_jump; a clock before this program's own date is
 * wrong in any case. */
#pragma once

#include "worker/worker.h"

/* Is it the name of a time server, and the clock wrong? Then nothing that its
 * resolution meets is validated: not the zones above it either, nor what its aliases
 * lead to. */
static inline bool clock_spares(const struct worker *w, const uint8_t *name)
{
	for (size_t i = 0; w->clock_wrong && i < w->conf->time_server_count; i++)
		if (name_within(name, w->conf->time_servers[i]))
			return true;
	return false;
}

void clock_start(struct worker *w);
void clock_tick(struct worker *w); /* once a second */
