/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/quota.c - every change is one CAS of one word; a word that is lost to another key,
 * or to damage, is an empty bucket or none. The level leaks by the time since it was
 * written: {tag 16 | level 16 | milliseconds 32}. */
#include "cache/quota.h"

enum { WAYS = 8, TRIES = 8, AHEAD_MS = 1000, LEVEL_MAX = 60000 };

struct bucket {
	uint64_t *word;
	uint64_t was;
	uint32_t level; /* now */
	bool mine;
};

static uint64_t tag_of(uint64_t hash)
{
	return hash >> 48 ? hash >> 48 : 1;
}

static uint32_t level_of(const struct quota *q, uint64_t word, uint64_t ms)
{
	const uint32_t level = (uint32_t)(word >> 32) & 0xffff;
	const uint32_t since = (uint32_t)ms - (uint32_t)word;
	if (since > INT32_MAX) /* another wrote a moment later than we read the clock */
		return -since > AHEAD_MS ? 0 : level;
	const uint64_t leaked = (uint64_t)since * q->leak_per_s / 1000;
	return leaked < level ? level - (uint32_t)leaked : 0;
}

/* Its bucket, or the one to be had for it: free, long not used, or the emptiest. */
static struct bucket find(const struct quota *q, uint64_t hash, uint64_t ms)
{
	uint64_t *set = q->words + (hash & UINT32_MAX) * (q->count / WAYS) /
					   ((uint64_t)1 << 32) * WAYS;
	struct bucket best = { .level = UINT32_MAX };
	for (unsigned i = 0; i < WAYS; i++) {
		struct bucket b = { &set[i], __atomic_load_n(&set[i], __ATOMIC_RELAXED),
			0, false };
		b.level = b.was ? level_of(q, b.was, ms) : 0;
		b.mine = b.was >> 48 == tag_of(hash);
		if (b.mine)
			return b;
		if (!best.word ||
			(b.was ? b.level + 1 : 0) < (best.was ? best.level + 1 : 0))
			best = b;
	}
	return best;
}

/* Whole units leak, so the time moves by what they took. */
static uint64_t word_of(const struct quota *q, const struct bucket *b, uint64_t hash,
	uint32_t level, uint64_t ms)
{
	uint32_t at = (uint32_t)ms;
	if (b->mine && b->level) {
		const uint32_t before = (uint32_t)(b->was >> 32) & 0xffff;
		at = (uint32_t)b->was + (before - b->level) * 1000 / q->leak_per_s;
	}
	return tag_of(hash) << 48 | (uint64_t)(level & 0xffff) << 32 | at;
}

static bool put(const struct quota *q, struct bucket *b, uint64_t hash, uint32_t level,
	uint64_t ms)
{
	const uint64_t is = word_of(q, b, hash, level, ms);
	return __atomic_compare_exchange_n(
		b->word, &b->was, is, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

enum quota_verdict quota_take(const struct quota *q, uint64_t hash, uint64_t ms)
{
	for (unsigned i = 0; i < TRIES; i++) {
		struct bucket b = find(q, hash, ms);
		if (!b.mine)
			return QUOTA_FREE;
		if (b.level >= q->full)
			return QUOTA_FULL;
		if (put(q, &b, hash, b.level + 1, ms))
			return QUOTA_TAKEN;
	}
	return QUOTA_TAKEN; /* everybody writes here: not worth a refusal */
}

void quota_give(const struct quota *q, uint64_t hash, uint32_t count, uint64_t ms)
{
	for (unsigned i = 0; i < TRIES; i++) {
		struct bucket b = find(q, hash, ms);
		if (!b.mine || !b.level ||
			put(q, &b, hash, b.level > count ? b.level - count : 0, ms))
			return;
	}
}

void quota_start(const struct quota *q, uint64_t hash, uint64_t ms)
{
	struct bucket b = find(q, hash, ms);
	if (!b.mine)
		(void)put(q, &b, hash, 1, ms);
}

void quota_add(const struct quota *q, uint64_t hash, uint64_t ms)
{
	for (unsigned i = 0; i < TRIES; i++) {
		struct bucket b = find(q, hash, ms);
		const uint32_t level = b.mine ? b.level : 0;
		if (level >= LEVEL_MAX || put(q, &b, hash, level + 1, ms))
			return;
	}
}
