/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/clock.h - is the clock right? Signatures are valid from one time to another,
 * so a wrong clock makes the signed part of the DNS fail: it is noticed and said.
 *
 * The modules detect_time_skew (the root's signatures against the clock, at start and
 * after each jump) and detect_time_jump; a clock before this program's own date is
 * wrong in any case. */
#pragma once

#include "worker/worker.h"

void clock_start(struct worker *w);
void clock_tick(struct worker *w); /* once a second */
