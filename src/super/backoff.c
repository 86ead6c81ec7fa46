/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/backoff.h"

#include "ctl/stats.h"

enum {
	FORGET_US = 10 * 1000 * 1000,
};

int64_t backoff_after(struct backoff *b, int64_t lived_us)
{
	if (lived_us >= FORGET_US)
		b->deaths = 0;
	return stats_backoff_after_ms(b->deaths++, lived_us) * 1000;
}
