/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/quota.h - a leaky bucket for each key in a table of words that all instances write:
 * {tag 16 | level 16 | time 32}. A key without a bucket has no limit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quota {
	uint64_t *words;
	size_t count;        /* a multiple of 8 */
	uint32_t leak_per_s; /* at most 1000 */
	uint32_t full;       /* at most 60000 */
};

enum quota_verdict {
	QUOTA_FREE, /* it has no bucket */
	QUOTA_TAKEN,
	QUOTA_FULL,
};

/* `ms`: of CLOCK_MONOTONIC. One more into the bucket. */
enum quota_verdict quota_take(const struct quota *q, uint64_t hash, uint64_t ms);
/* So many out of it. */
void quota_give(const struct quota *q, uint64_t hash, uint32_t count, uint64_t ms);
/* From now on it has a bucket. */
void quota_start(const struct quota *q, uint64_t hash, uint64_t ms);
/* One that was FREE when it passed joins the bucket now, full or not: many may have passed
 * before the first of them started it. */
void quota_add(const struct quota *q, uint64_t hash, uint64_t ms);
