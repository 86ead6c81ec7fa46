/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/backoff.h"

enum {
	FIRST_US = 100 * 1000,
	LAST_US = 10 * 1000 * 1000,
	FORGET_US = 10 * 1000 * 1000,
	DOUBLINGS = 7, /* 100 ms << 7 is more than LAST_US */
};

int64_t backoff_after(struct backoff *b, int64_t lived_us)
{
	if (lived_us >= FORGET_US)
		b->deaths = 0;
	const unsigned before = b->deaths++;
	if (before == 0)
		return 0;
	if (before > DOUBLINGS)
		return LAST_US;
	const int64_t us = (int64_t)FIRST_US << (before - 1);
	return us < LAST_US ? us : LAST_US;
}
