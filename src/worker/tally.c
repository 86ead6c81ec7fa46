/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/tally.h"

#include <stddef.h>

#include "wire/codes.h"

static const struct {
	int64_t below_us;
	size_t offset;
} ages[] = {
	{ 1000, offsetof(struct counters, answers_1ms) },
	{ 10000, offsetof(struct counters, answers_10ms) },
	{ 50000, offsetof(struct counters, answers_50ms) },
	{ 100000, offsetof(struct counters, answers_100ms) },
	{ 250000, offsetof(struct counters, answers_250ms) },
	{ 500000, offsetof(struct counters, answers_500ms) },
	{ 1000000, offsetof(struct counters, answers_1000ms) },
	{ 1500000, offsetof(struct counters, answers_1500ms) },
	{ INT64_MAX, offsetof(struct counters, answers_slow) },
};

static void up(struct counters *c, size_t offset)
{
	uint64_t *at = (uint64_t *)(void *)((char *)c + offset);
	__atomic_store_n(at, *at + 1, __ATOMIC_RELAXED);
}

void tally_answer(struct counters *c, unsigned rcode, bool has_data, int64_t took_us)
{
	counter_up(c, answers);
	if (rcode == RCODE_NOERROR && has_data)
		counter_up(c, answers_noerror);
	else if (rcode == RCODE_NOERROR)
		counter_up(c, answers_nodata);
	else if (rcode == RCODE_NXDOMAIN)
		counter_up(c, answers_nxdomain);
	else if (rcode == RCODE_SERVFAIL)
		counter_up(c, answers_servfail);
	else
		counter_up(c, answers_other);
	size_t i = 0;
	while (took_us >= ages[i].below_us)
		i++;
	up(c, ages[i].offset);
}
