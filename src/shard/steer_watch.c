/* SPDX-License-Identifier: MIT */
/* shard/steer_watch.c - members watch each other: who dies or stands still takes no new flows.
 *
 * Silence is counted in our own ticks, so that a machine that was paused, or we alone,
 * accuse nobody. Taking out is reversible: who goes on finds that it takes no flows and comes back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shard/shard_internal.h"
#include "shard/steer_internal.h"

enum {
	STILL_TICKS = 2,     /* a second without a heartbeat */
	UNARMED_TICKS = 10,  /* then a group is steered with strangers in it */
	BYPASSED_LEAST = 16, /* datagrams that came by another way than the program */
};

static bool word_clear(
	struct shard_steer *s, uint32_t group, uint32_t generation, uint32_t slot)
{
	uint64_t bit;
	uint64_t *word = steer_takes_word(s, group, generation, slot, &bit);
	return __atomic_fetch_and(word, ~bit, __ATOMIC_RELEASE) & bit;
}

static bool is_alive(uint64_t owner)
{
	const uint64_t start = shard_process_start((uint32_t)steer_owner_pid(owner));
	return start && (uint32_t)start == (uint32_t)(owner >> 32);
}

/* Would somebody else take its flows? */
static bool has_other(
	const struct shard_steer *s, uint32_t group, uint32_t slot, pid_t less)
{
	for (uint32_t i = 0; i < s->states[group].slots; i++)
		for (uint32_t gen = 0; gen < STEER_GENERATIONS; gen++) {
			const struct steer_record *r =
				&s->records[STEER_MEMBER(group, i, gen)];
			if (i != slot && steer_takes(s, group, gen, i) &&
				steer_owner_pid(r->owner) != less && is_alive(r->owner))
				return true;
		}
	return false;
}

unsigned shard_steer_out(struct shard_steer *s, pid_t pid)
{
	unsigned out = 0;
	for (uint32_t group = 0; group < STEER_GROUPS; group++) {
		if (!(s->states[group].flags & STEER_USED))
			continue;
		for (uint32_t i = 0; i < s->states[group].slots * STEER_GENERATIONS;
			i++) {
			const uint32_t slot = i / STEER_GENERATIONS,
				       gen = i % STEER_GENERATIONS;
			const struct steer_record *r =
				&s->records[STEER_MEMBER(group, slot, gen)];
			if (steer_owner_pid(r->owner) == pid &&
				steer_takes(s, group, gen, slot) &&
				has_other(s, group, slot, pid))
				out += word_clear(s, group, gen, slot);
		}
	}
	return out;
}

int shard_steer_is_out(const struct shard_steer *s, pid_t pid)
{
	bool has = false;
	for (uint32_t group = 0; group < STEER_GROUPS; group++)
		for (uint32_t i = 0; i < s->states[group].slots * STEER_GENERATIONS;
			i++) {
			const uint32_t slot = i / STEER_GENERATIONS,
				       gen = i % STEER_GENERATIONS;
			const struct steer_record *r =
				&s->records[STEER_MEMBER(group, slot, gen)];
			if (!r->cookie || steer_owner_pid(r->owner) != pid)
				continue;
			if (steer_takes(s, group, gen, slot))
				return 0;
			has = true;
		}
	return has;
}

int shard_steer_siblings(const struct shard_steer *s, pid_t *out, int max)
{
	int count = 0;
	for (const struct shard_member *m = s->members; m; m = m->next)
		for (uint32_t i = 0; i < s->states[m->group].slots * STEER_GENERATIONS;
			i++) {
			const uint32_t slot = i / STEER_GENERATIONS,
				       gen = i % STEER_GENERATIONS;
			const uint64_t owner =
				s->records[STEER_MEMBER(m->group, slot, gen)].owner;
			bool known = !owner || owner == s->self ||
				     !steer_takes(s, m->group, gen, slot);
			for (int k = 0; !known && k < count && k < max; k++)
				known = out[k] == steer_owner_pid(owner);
			if (known)
				continue;
			if (count < max)
				out[count] = steer_owner_pid(owner);
			count++;
		}
	return count;
}

/* --- another member ------------------------------------------------------------------- */

/* Members that could take flows: their sockets are there and their owners did not leave. */
static unsigned count_present(const struct shard_steer *s, uint32_t group)
{
	unsigned count = 0;
	for (uint32_t i = 0; i < s->states[group].slots; i++)
		for (uint32_t gen = 0; gen < STEER_GENERATIONS; gen++)
			if (s->records[STEER_MEMBER(group, i, gen)].cookie) {
				count++;
				break;
			}
	return count;
}

/* Its socket is gone, or it stands still. True: taken out now. */
static bool look_at(struct shard_steer *s, uint32_t group, uint32_t gen, uint32_t slot)
{
	const uint32_t number = STEER_MEMBER(group, slot, gen);
	struct steer_record *r = &s->records[number];
	struct steer_seen *seen = &s->seen[group][slot * STEER_GENERATIONS + gen];
	uint64_t cookie;
	if (!steer_takes(s, group, gen, slot) || r->owner == s->self) {
		seen->still = 0;
		return false;
	}
	if (bpf_map_get(s->fds[STEER_MAP_members], &number, &cookie) == -ENOENT) {
		word_clear(s, group, gen, slot);
		r->cookie = 0;
		return false; /* it closed it itself */
	}
	const uint64_t heart = __atomic_load_n(&r->heart, __ATOMIC_RELAXED);
	seen->still = heart == seen->heart ? seen->still + 1 : 0;
	seen->heart = heart;
	if (seen->still < STILL_TICKS)
		return false;
	const unsigned taking = steer_count_taking(s, group);
	if (taking < 2 || 2 * (taking - 1) < count_present(s, group))
		return false; /* never more than half at once */
	return word_clear(s, group, gen, slot);
}

static unsigned watch_group(struct shard_steer *s, uint32_t group)
{
	unsigned out = 0;
	if (!s->seen[group])
		s->seen[group] = calloc(STEER_GROUP_MEMBERS, sizeof(*s->seen[group]));
	for (uint32_t i = 0;
		s->seen[group] && i < s->states[group].slots * STEER_GENERATIONS; i++)
		out += look_at(s, group, i % STEER_GENERATIONS, i / STEER_GENERATIONS);
	return out;
}

/* --- one of ours ---------------------------------------------------------------------- */

/* Did datagrams come, none of them by the program, and more than waited before? However slowly they
 * come: counted from when the program last sent one here, or was attached by anyone. With a guard
 * it is the guard that counts, for the whole group. */
static bool was_bypassed(struct shard_member *m, bool off)
{
	struct steer_group *g = &m->s->states[m->group];
	const bool guarded = m->s->head->flags & STEER_GUARDED;
	const uint64_t steered = __atomic_load_n(&m->record->steered, __ATOMIC_RELAXED);
	const uint64_t taken = __atomic_load_n(&m->record->taken, __ATOMIC_RELAXED);
	const uint64_t seen =
		guarded ? __atomic_load_n(&g->seen, __ATOMIC_RELAXED) : steered;
	__u64 repairs = __atomic_load_n(&g->repairs, __ATOMIC_RELAXED);
	const bool afresh =
		off || seen != m->steered_before || repairs != m->repairs_before;
	const bool bypassed = !afresh && m->received - m->received_before >=
						 m->waiting_before + BYPASSED_LEAST;
	if (!afresh && !bypassed)
		return false;
	m->steered_before = seen;
	m->received_before = m->received;
	m->waiting_before = steered > taken ? steered - taken : 0;
	m->repairs_before = repairs;
	if (!bypassed)
		return false;
	/* one of those who see it tells it */
	if (guarded)
		return __atomic_exchange_n(&g->past, seen + 1, __ATOMIC_RELAXED) !=
		       seen + 1;
	m->repairs_before++;
	return __atomic_compare_exchange_n(&g->repairs, &repairs, repairs + 1, false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void tick_own(struct shard_member *m, struct shard_steer_news *news)
{
	struct shard_steer *s = m->s;
	struct steer_record *r = m->record;
	const bool off = s->states[m->group].flags & STEER_OFF;
	if (m->leaving)
		return;
	if (r->owner != s->self) {
		if (is_alive(r->owner))
			return;     /* a successor has the socket now */
		r->owner = s->self; /* it died: ours again */
	}
	__atomic_fetch_add(&r->heart, 1, __ATOMIC_RELAXED);
	const uint64_t steered = __atomic_load_n(&r->steered, __ATOMIC_RELAXED);
	__atomic_store_n(&r->base, r->base + (steered - r->base) / 2, __ATOMIC_RELAXED);
	if (!steer_takes(s, m->group, m->generation, m->slot)) {
		uint64_t bit;
		uint64_t *word =
			steer_takes_word(s, m->group, m->generation, m->slot, &bit);
		__atomic_fetch_or(word, bit, __ATOMIC_RELEASE);
		news->back++;
	}
	if (s->yields)
		return;
	if (off && (steer_group_whole(m) || ++m->waits >= UNARMED_TICKS))
		news->armed += steer_arm(m) == 0;
	if (!was_bypassed(m, off))
		return;
	if (s->head->flags & STEER_GUARDED) {
		news->unguarded++;
		return;
	}
	news->bypassed++;
	steer_arm(m);
}

void shard_steer_tick(struct shard_steer *s, struct shard_steer_news *news)
{
	*news = (struct shard_steer_news){ 0 };
	for (struct shard_member *m = s->members; m; m = m->next)
		tick_own(m, news);
	for (struct shard_member *m = s->members; m; m = m->next)
		news->out += watch_group(s, m->group);
}
