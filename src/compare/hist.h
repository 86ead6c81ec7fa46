/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/hist.h - how long things took: buckets of equal relative width, 1 us to 67 s. */
#pragma once

#include <stdint.h>

enum {
	HIST_STEPS = 32, /* buckets for each power of two: at most 3 % off */
	HIST_POWERS = 26,
	HIST_BUCKETS = HIST_STEPS * (HIST_POWERS + 1),
};

/* All zero at the start; one writer. */
struct hist {
	uint64_t count;
	uint64_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t us);
/* The value that `share` (0..1) of all do not exceed, microseconds; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double share);
