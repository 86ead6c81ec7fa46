/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/stay.c - what stays, of more than there is room for.
 *
 * Until MAIN was full once, everything goes there. Then a new key goes to YOUNG, an
 * eighth of the space, and moves to MAIN when it is read after a while, or put again when
 * its index slot still remembers it. Before MAIN is written over, entries that this
 * instance read in the last round are written anew. So names asked once cost only YOUNG,
 * however many they are. */
#include "cache/state.h"

#include <stdlib.h>
#include <string.h>

enum {
	MOVE_MIN_LIFE_S = 2, /* what ends sooner is not worth moving */
	/* eighths of the way to being written over */
	MOVE_AGE_MAIN = 7,
	PART_AGE_YOUNG = 4,
	RESCUE_MAX = 16,    /* entries saved for one written: bounds a write's time */
	MOVE_AGE_YOUNG = 2, /* younger: asked again by the same resolution */
};

void stay_free(struct cache *c)
{
	free(c->seen[0]);
	free(c->seen[1]);
	c->seen[0] = c->seen[1] = NULL;
}

/* Without memory for it, entries in use are only a little less safe from floods. */
void stay_start(struct cache *c)
{
	stay_free(c);
	c->seen_bits = (shared_slots(&c->shared) + 63) / 64 * 64;
	c->seen[0] = calloc(c->seen_bits / 64, sizeof(uint64_t));
	c->seen[1] = calloc(c->seen_bits / 64, sizeof(uint64_t));
	if (!c->seen[0] || !c->seen[1])
		stay_free(c);
	c->seen_half_lap = shared_half_laps(&c->shared);
}

static uint64_t seen_bit(const struct cache *c, uint64_t hash, uint64_t *mask)
{
	const uint64_t bit = (hash >> 16 & UINT32_MAX) * c->seen_bits >> 32;
	*mask = UINT64_C(1) << bit % 64;
	return bit / 64;
}

void stay_prefetch(const struct cache *c, uint64_t hash)
{
	uint64_t mask;
	if (c->seen[0])
		__builtin_prefetch(&c->seen[0][seen_bit(c, hash, &mask)], 1);
}

static void seen_set(struct cache *c, uint64_t hash)
{
	uint64_t mask;
	const uint64_t word = seen_bit(c, hash, &mask);
	if (c->seen[0] && !(c->seen[0][word] & mask))
		c->seen[0][word] |= mask;
}

static bool seen_get(const struct cache *c, uint64_t hash)
{
	uint64_t mask;
	const uint64_t word = seen_bit(c, hash, &mask);
	return c->seen[0] && (c->seen[0][word] | c->seen[1][word]) & mask;
}

static void seen_turn(struct cache *c)
{
	const uint64_t half_lap = shared_half_laps(&c->shared);
	if (!c->seen[0] || half_lap == c->seen_half_lap)
		return;
	c->seen_half_lap = half_lap;
	uint64_t *old = c->seen[1];
	memset(old, 0, c->seen_bits / 8);
	c->seen[1] = c->seen[0];
	c->seen[0] = old;
}

void stay_rescue(struct cache *c, size_t size, const struct now *now)
{
	uint64_t from = 0;
	unsigned saved = 0;
	seen_turn(c);
	while (saved < RESCUE_MAX &&
		shared_next_victim(&c->shared, size, &from, &c->victim)) {
		const struct entry_head *h = &c->victim.head;
		if (name_check(entry_name(&c->victim), h->name_len) != h->name_len)
			continue;
		const struct cache_key key = judge_key(&c->victim);
		struct lookup l;
		struct shared_found at;
		lookup_init(&l, c, &key);
		if (!seen_get(c, l.hash) || !shared_victim(&c->shared, &c->victim) ||
			!lookup_is(&l, &c->victim) ||
			!shared_named(&c->shared, l.hash, &c->victim, &at) ||
			judge(c, &c->victim, now) != VERDICT_LIVE)
			continue;
		const uint64_t ref = shared_append(
			&c->shared, REGION_MAIN, &c->victim, l.hash, true);
		if (ref)
			shared_replace(&at, ref);
		saved++;
	}
}

/* What is read and would be overwritten soon is written again, once: whoever swaps the
 * slot first. No clear up to now concerns it, so it bears the generation of now. */
static void move(struct cache *c, const struct lookup *l, const struct shared_found *at,
	const struct now *now)
{
	const bool young = shared_region(at->ref) == REGION_YOUNG;
	const struct entry_head *h = &c->copy.head;
	if (!shared_older(&c->shared, at->ref, young ? MOVE_AGE_YOUNG : MOVE_AGE_MAIN))
		return;
	if ((!young && !shared_may_move(&c->shared)) ||
		(int64_t)h->stored_s + h->life_s < now_wall_s(now) + MOVE_MIN_LIFE_S)
		return;
	c->copy.head.generation = c->clear.generation;
	if (shared_main_full(&c->shared))
		stay_rescue(c, entry_size(h), now);
	const uint64_t ref =
		shared_append(&c->shared, REGION_MAIN, &c->copy, l->hash, !young);
	if (ref)
		shared_replace(at, ref);
}

void stay_read(struct cache *c, const struct lookup *l, const struct shared_found *at,
	const struct now *now)
{
	seen_set(c, l->hash);
	move(c, l, at, now);
}

bool stay_part(struct cache *c, uint64_t ref, uint64_t hash)
{
	seen_set(c, hash);
	return shared_region(ref) == REGION_MAIN ||
	       !shared_older(&c->shared, ref, PART_AGE_YOUNG);
}

/* What is known already, by more than a burst, belongs to MAIN; also what was forgotten
 * and is asked again: its slot still tells. */
enum shared_region stay_region(
	const struct cache *c, const struct lookup *l, struct shared_found *old)
{
	/* A finished answer is only made again from its sets: it does not displace them,
	 * until it is read again. Half of the first round is free for all. */
	if (l->k.kind == CACHE_ANSWER && shared_half_laps(&c->shared) > 2)
		return old->slot && shared_region(old->ref) == REGION_MAIN
			       ? REGION_MAIN
			       : REGION_YOUNG;
	if (!shared_main_full(&c->shared))
		return REGION_MAIN;
	if (!old->slot)
		return shared_ghost(&c->shared, l->hash, old) ? REGION_MAIN
							      : REGION_YOUNG;
	return shared_region(old->ref) == REGION_MAIN ||
			       shared_older(&c->shared, old->ref, MOVE_AGE_YOUNG)
		       ? REGION_MAIN
		       : REGION_YOUNG;
}
