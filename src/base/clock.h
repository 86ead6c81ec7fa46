/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/clock.h - the two clocks, read once a turn of the loop and handed in everywhere. */
#pragma once

#include <stdint.h>

struct now {
	int64_t mono_us; /* CLOCK_MONOTONIC, microseconds: timers, round trips */
	int64_t wall_ms; /* CLOCK_REALTIME, ms since 1970: cache ages, signatures */
};

static inline int64_t now_wall_s(const struct now *now)
{
	return now->wall_ms / 1000;
}

/* Both clocks now. Never fails. clock_gettime(2). */
struct now clock_read(void);
/* CPU time of this thread, microseconds: what a busy machine does not stretch. A system
 * call. */
int64_t clock_cpu_us(void);
