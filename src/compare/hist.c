/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/hist.h"

#include <math.h>

enum { STEP_BITS = 5 };
_Static_assert(1 << STEP_BITS == HIST_STEPS, "a bucket is a shift away");

/* Below HIST_STEPS every value has a bucket of its own. */
static unsigned bucket_of(uint64_t us)
{
	if (us < HIST_STEPS)
		return (unsigned)us;
	const unsigned power = 63u - (unsigned)__builtin_clzll(us);
	const unsigned shift = power - STEP_BITS;
	const unsigned bucket =
		HIST_STEPS * (shift + 1) + (unsigned)((us >> shift) - HIST_STEPS);
	return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

/* The highest value in it. */
static uint64_t bucket_top(unsigned bucket)
{
	if (bucket < HIST_STEPS)
		return bucket;
	const unsigned shift = bucket / HIST_STEPS - 1;
	return (((uint64_t)HIST_STEPS + bucket % HIST_STEPS + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t us)
{
	h->buckets[bucket_of(us)]++;
	h->count++;
}

uint64_t hist_quantile(const struct hist *h, double share)
{
	const uint64_t wanted = (uint64_t)ceil(share * (double)h->count);
	uint64_t seen = 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen && seen >= wanted)
			return bucket_top(i);
	}
	return 0;
}
