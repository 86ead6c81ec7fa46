/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/clock_cpu.c - CPU time; apart, so that a test may put its own clocks in place of the other two. */
#include <time.h>

#include "base/clock.h"

int64_t clock_cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
