/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loop/until.h - for tests: turns of a loop until something is so, however busy the machine is. */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "loop/loop.h"

enum { UNTIL_S = 60 }; /* what has not come by then never does */

/* The clock itself: clock_read() may be a test's own. */
static inline time_t until_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* For loops of other kinds: when to give up. */
static inline time_t until_end(void)
{
	return until_now() + UNTIL_S;
}

static inline bool until_left(time_t end)
{
	return until_now() < end;
}

/* With the loop of `w`; a turn waits for a millisecond at most. The test fails if it never is so. */
#define UNTIL(w, condition)                                                            \
	do {                                                                           \
		const time_t end_ = until_end();                                       \
		while (!(condition) && until_left(end_))                               \
			loop_turn((w)->loop, 1);                                       \
		assert_true(condition);                                                \
	} while (0)
