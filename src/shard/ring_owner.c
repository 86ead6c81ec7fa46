/* SPDX-License-Identifier: MIT */
/* shard/ring_owner.c - who is in a ring, and what becomes of what the dead held. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/ring_internal.h"

/* Of an owner's number plus 1; none of 0. */
#define OWNER_BIT(tag) ((1u << (tag)) >> 1)

static bool owner_alive(const struct ring_owner *o)
{
	const uint32_t pid = RING_LOAD(o->pid);
	return pid && shard_process_alive(pid, RING_LOAD(o->start));
}

/* --- what is in a batch and in a slot --------------------------------------------- */

/* Slots that may hold copies of a batch's entries. */
struct copies {
	uint32_t slot[8 * SHARD_RING_BATCH]; /* plus 1; 0: found already */
	unsigned count;
};

/* Those received with this batch, of the owners whose bits are set. */
static void copies_find(struct copies *c, const struct shard_ring *r,
	const struct ring_owner *batch, uint32_t owners)
{
	c->count = 0;
	for (uint32_t i = 0; i < ring_slot_count(r); i++) {
		const uint32_t tag = RING_LOAD(*ring_state_at(r, i)) & SLOT_OWNER_MASK;
		const struct ring_slot *s = ring_slot_at(r, i);
		if (tag && tag <= SHARD_RING_OWNERS && owners & OWNER_BIT(tag) &&
			RING_LOAD(s->len) && s->received_us == batch->batch_us &&
			c->count < sizeof(c->slot) / sizeof(c->slot[0]))
			c->slot[c->count++] = i + 1;
	}
}

static bool are_same(const struct shard_datagram *a, const struct shard_datagram *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0 &&
	       a->head.msg_namelen == b->head.msg_namelen &&
	       memcmp(a->head.msg_name, b->head.msg_name, a->head.msg_namelen) == 0;
}

/* The slot that holds this entry, plus 1, or 0. Each is found once: a client may have sent
 * the same twice. */
static uint32_t copies_take(
	struct copies *c, const struct shard_ring *r, const struct shard_datagram *d)
{
	for (unsigned i = 0; i < c->count; i++) {
		struct shard_datagram kept;
		const uint32_t slot = c->slot[i];
		if (!slot)
			continue;
		ring_slot_read(r, slot - 1, &kept);
		if (!are_same(&kept, d))
			continue;
		c->slot[i] = 0;
		return slot;
	}
	return 0;
}

/* --- taking over ------------------------------------------------------------------ */

/* One of several successors: the others keep away while it lives. */
static bool reaper_become(struct shard_ring *r, struct ring_owner *dead)
{
	const uint32_t before = RING_LOAD(dead->reaper);
	if (before == r->me + 1)
		return true;
	if (before && before <= SHARD_RING_OWNERS &&
		owner_alive(ring_owner_at(r, before - 1)))
		return false;
	return ring_swap(&dead->reaper, before, r->me + 1);
}

static void adopt(struct shard_ring *r, unsigned slot)
{
	if (r->adopted_count < ring_slot_count(r))
		r->adopted[r->adopted_count++] = slot;
	r->numbers.taken_over++;
}

static void slots_take_over(struct shard_ring *r, struct ring_owner *dead, uint32_t tag)
{
	const uint32_t working = RING_LOAD(dead->working_slot);
	for (unsigned i = 0; i < ring_slot_count(r); i++) {
		uint32_t *const at = ring_state_at(r, i);
		const uint32_t state = RING_LOAD(*at);
		if ((state & SLOT_OWNER_MASK) != tag ||
			!ring_swap(at, state, (r->me + 1) | SLOT_ADOPTED))
			continue;
		struct ring_slot *s = ring_slot_at(r, i);
		if (!RING_LOAD(s->len)) {
			ring_slot_free(r, i);
			continue;
		}
		if (working == i + 1)
			s->tries++;
		r->numbers.kept++;
		adopt(r, i);
	}
}

/* After the slots of the dead are ours. `reaper`: who died over it before, plus 1, or 0. */
static void batch_take_over(
	struct shard_ring *r, struct ring_owner *dead, uint32_t reaper)
{
	const uint32_t working = RING_LOAD(dead->working);
	struct copies copies;
	copies_find(&copies, r, dead, OWNER_BIT(r->me + 1) | OWNER_BIT(reaper));
	for (unsigned i = 0; i < SHARD_RING_BATCH; i++) {
		struct shard_datagram d;
		ring_batch_read(dead, i, &d);
		if (!d.len)
			continue;
		const uint32_t kept = copies_take(&copies, r, &d);
		const int slot =
			kept ? -1
			     : ring_slot_claim(r, d.len, (r->me + 1) | SLOT_ADOPTED);
		if (slot >= 0) {
			ring_slot_fill(r, (unsigned)slot, &d, working == i + 1);
			adopt(r, (unsigned)slot);
		} else if (!kept) {
			r->numbers.lost++;
		}
		RING_STORE(dead->head[i].msg_len, 0);
		/* a reaper's copy has its try already */
		if (kept && working == i + 1 && !reaper)
			ring_slot_at(r, kept - 1)->tries++;
	}
}

static void owner_clear(struct ring_owner *o)
{
	o->working = o->working_slot = o->leaving = 0;
	o->start = 0;
	RING_STORE(o->reaper, 0);
	RING_STORE(o->pid, 0);
}

/* Oldest last. */
static int by_age(const void *a, const void *b, void *ctx)
{
	const struct shard_ring *r = ctx;
	const int64_t at = ring_slot_at(r, *(const uint32_t *)a)->received_us;
	const int64_t bt = ring_slot_at(r, *(const uint32_t *)b)->received_us;
	return (at < bt) - (at > bt);
}

static void adopted_sort(struct shard_ring *r)
{
	qsort_r(r->adopted, r->adopted_count, sizeof(*r->adopted), by_age, r);
}

static void copy(struct shard_ring *r, const struct shard_datagram *d)
{
	const int slot =
		d->len ? ring_slot_claim(r, d->len, (r->me + 1) | SLOT_ADOPTED) : -1;
	if (slot < 0)
		return;
	ring_slot_fill(r, (unsigned)slot, d, d->tries);
	adopt(r, (unsigned)slot);
}

/* Should it go on meanwhile, a copy may be torn: a malformed query, or an answer that its
 * client does not wait for. */
static void owner_copy(struct shard_ring *r, unsigned index)
{
	const struct ring_owner *o = ring_owner_at(r, index);
	const uint32_t working = RING_LOAD(o->working);
	const uint32_t working_slot = RING_LOAD(o->working_slot);
	uint32_t working_kept = 0;
	struct copies copies;
	struct shard_datagram d;
	copies_find(&copies, r, o, OWNER_BIT(index + 1));
	for (unsigned i = 0; i < SHARD_RING_BATCH; i++) {
		ring_batch_read(o, i, &d);
		const uint32_t kept = d.len ? copies_take(&copies, r, &d) : 0;
		if (working == i + 1)
			working_kept = kept;
		else if (!kept)
			copy(r, &d);
	}
	for (unsigned i = 0; i < ring_slot_count(r); i++) {
		const uint32_t state = RING_LOAD(*ring_state_at(r, i));
		if ((state & SLOT_OWNER_MASK) != index + 1 || working_slot == i + 1 ||
			working_kept == i + 1)
			continue;
		ring_slot_read(r, i, &d);
		copy(r, &d);
	}
}

unsigned shard_ring_stand_in(struct shard_ring *r)
{
	for (unsigned i = 0; i < SHARD_RING_OWNERS; i++)
		if (i != r->me && owner_alive(ring_owner_at(r, i)))
			owner_copy(r, i);
	adopted_sort(r);
	return r->adopted_count;
}

unsigned shard_ring_take_over(struct shard_ring *r)
{
	const unsigned before = r->adopted_count;
	for (unsigned i = 0; i < SHARD_RING_OWNERS; i++) {
		struct ring_owner *o = ring_owner_at(r, i);
		const uint32_t reaper = RING_LOAD(o->reaper);
		if (i == r->me || !RING_LOAD(o->pid) || owner_alive(o) ||
			!reaper_become(r, o))
			continue;
		slots_take_over(r, o, i + 1);
		batch_take_over(r, o, reaper <= SHARD_RING_OWNERS ? reaper : 0);
		owner_clear(o);
	}
	if (r->adopted_count != before)
		adopted_sort(r);
	return r->adopted_count;
}

int shard_ring_replay(
	struct shard_ring *r, int64_t oldest_us, struct shard_datagram *out)
{
	struct ring_owner *o = ring_owner_at(r, r->me);
	RING_STORE(o->working_slot, 0);
	while (r->adopted_count) {
		const uint32_t i = r->adopted[--r->adopted_count];
		/* ours no longer: given up for dead while the machine slept, and taken
		 */
		if (!ring_swap(
			    ring_state_at(r, i), (r->me + 1) | SLOT_ADOPTED, r->me + 1))
			continue;
		ring_slot_read(r, i, out);
		if (out->received_us >= oldest_us) {
			RING_STORE(o->working_slot, i + 1);
			r->numbers.replayed++;
			return 1;
		}
		r->numbers.stale++;
		shard_ring_release(r, i + 1);
	}
	return 0;
}

/* --- coming and going ------------------------------------------------------------- */

int ring_owner_join(struct shard_ring *r)
{
	const uint32_t pid = (uint32_t)getpid();
	for (int tries = 0; tries < 2; tries++) {
		for (unsigned i = 0; i < SHARD_RING_OWNERS; i++) {
			struct ring_owner *o = ring_owner_at(r, i);
			if (!ring_swap(&o->pid, 0, pid))
				continue;
			r->me = i;
			o->working = o->working_slot = o->leaving = 0;
			for (unsigned k = 0; k < SHARD_RING_BATCH; k++)
				o->head[k].msg_len = 0;
			RING_STORE(o->start, shard_process_start(pid));
			return 0;
		}
		/* full: of the dead? Become the first of them, whose entries stay. */
		for (unsigned i = 0; i < SHARD_RING_OWNERS; i++) {
			struct ring_owner *o = ring_owner_at(r, i);
			const uint32_t dead = RING_LOAD(o->pid);
			if (owner_alive(o) || !ring_swap(&o->pid, dead, pid))
				continue;
			r->me = i;
			RING_STORE(o->start, shard_process_start(pid));
			const uint32_t reaper = RING_LOAD(o->reaper);
			slots_take_over(r, o, i + 1);
			batch_take_over(r, o, reaper <= SHARD_RING_OWNERS ? reaper : 0);
			o->working = o->working_slot = o->leaving = o->reaper = 0;
			return 0;
		}
	}
	return -EBUSY;
}

void ring_owner_leave(struct shard_ring *r)
{
	for (unsigned i = 0; i < ring_slot_count(r); i++) {
		if ((RING_LOAD(*ring_state_at(r, i)) & SLOT_OWNER_MASK) == r->me + 1)
			ring_slot_free(r, i);
	}
	owner_clear(ring_owner_at(r, r->me));
}

unsigned shard_ring_others(const struct shard_ring *r)
{
	unsigned count = 0;
	for (unsigned i = 0; i < SHARD_RING_OWNERS; i++) {
		const struct ring_owner *o = ring_owner_at(r, i);
		count += i != r->me && !RING_LOAD(o->leaving) && owner_alive(o);
	}
	return count;
}

void shard_ring_leaving(struct shard_ring *r)
{
	RING_STORE(ring_owner_at(r, r->me)->leaving, 1);
}
