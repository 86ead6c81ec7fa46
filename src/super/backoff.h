/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/backoff.h - how long to wait before an instance that died is started again.
 *
 * At once the first time, then 100 ms, doubling to 10 s while it dies again and again;
 * 500 ms at most when it lived 2 s; forgotten after 10 s of life. */
#pragma once

#include <stdint.h>

struct backoff {
	unsigned deaths; /* in a row, all zero at the start */
};

/* It died after `lived_us`: microseconds to wait. */
int64_t backoff_after(struct backoff *b, int64_t lived_us);
