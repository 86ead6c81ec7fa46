/* SPDX-License-Identifier: MIT */
/* shard/ring_internal.h - the layout of a ring, and the protocol of those who share it.
 *
 *	head | owner 0..3 | states of the slots | small slots | large slots
 *
 * An owner is one process: its identity, what it works on, and its batch: the vector of
 * recvmmsg(2) with names, control data and bytes. The kernel itself writes msg_len, so
 * that a process killed inside the system call loses nothing: an entry of a batch is in
 * use while its msg_len is not 0. It is cleared after the answer left.
 *
 * A slot keeps one datagram whose answer takes longer. Its state is 0 (free), or
 * the owner's number + 1, with SLOT_ADOPTED while it waits to be replayed. Free to
 *owned and owner to owner are compare-and-swap: two generations take from one table.
 *Length, names and bytes are written between claim and fill (len != 0); a claimed slot
 *with len 0 holds nothing.
 *
 * What a death at each point leaves:
 * - joining: pid without start: taken for alive while that pid lives, then cleaned;
 * - before, in or after recvmmsg: entries with msg_len, replayed;
 * - between keep's copy and the clearing of the batch: the datagram twice; who takes over
 *   knows them by time, sender and bytes, and replays the slot's;
 * - between the answer's leaving and the clearing: answered twice;
 * - between claim and fill: an empty slot, freed by who takes over;
 * - while taking over: `reaper` names a dead owner: the next one starts over, what was
 *   moved already is found as that owner's.
 *
 * States stand together, so that looking for a free slot touches few pages.
 *
 * The memory is an input: counts and lengths are checked at every reading, pointers in
 * the vector are never read back. It is shared by processes of one user only. */
#ifndef SHARD_RING_INTERNAL_H
#define SHARD_RING_INTERNAL_H

#include "shard.h"
#include "shard/shard_internal.h"

#define RING_MAGIC UINT64_C(0x676e697264726168)

enum {
	RING_LAYOUT = 1,
	RING_SMALL = 512, /* bytes of a datagram in a small slot */
	RING_NAME = 32,
	RING_CONTROL = 96,
	RING_LARGE_SLOTS = 64,
	RING_SLOTS_DEFAULT = 4096,
	RING_SLOTS_MAX = 65536,

	SLOT_OWNER_MASK = 0xff,
	SLOT_ADOPTED = 0x100,
};

struct ring_head {
	uint64_t magic;
	uint32_t layout;
	uint32_t slots; /* small ones */
	uint64_t size;
	uint32_t addr_len;
	uint32_t unused;
	uint8_t addr[RING_NAME];
};

struct ring_owner {
	uint32_t pid; /* 0: free */
	uint32_t leaving;
	uint64_t start;        /* of the process */
	uint32_t reaper;       /* owner + 1 who takes this dead one's entries over */
	uint32_t working;      /* entry of the batch + 1, or 0 */
	uint32_t working_slot; /* slot + 1, or 0 */
	uint32_t unused;
	int64_t batch_us; /* before the batch was received */
	struct mmsghdr head[SHARD_RING_BATCH];
	struct iovec iov[SHARD_RING_BATCH];
	_Alignas(16) uint8_t name[SHARD_RING_BATCH][RING_NAME];
	_Alignas(16) uint8_t control[SHARD_RING_BATCH][RING_CONTROL];
	_Alignas(16) uint8_t data[SHARD_RING_BATCH][SHARD_RING_DATAGRAM];
};

struct ring_slot {
	uint32_t tries;
	uint32_t unused;
	int64_t received_us;
	uint32_t len; /* 0: nothing in it yet */
	uint32_t name_len, control_len;
	int32_t flags; /* msg_flags */
	_Alignas(16) uint8_t name[RING_NAME];
	_Alignas(16) uint8_t control[RING_CONTROL];
};

_Static_assert(sizeof(struct ring_slot) == 160, "no holes");
_Static_assert(sizeof(struct sockaddr_in6) <= RING_NAME, "fits");

/* This process's view. */
struct shard_ring {
	uint8_t *base;
	size_t size;
	unsigned slots;  /* small; the large ones follow */
	unsigned me;     /* index of our owner */
	unsigned filled; /* of the batch */
	/* free small and large slots, as far as this process knows: a stack each */
	uint32_t *free[2];
	unsigned free_count[2];
	/* taken over, to be replayed: oldest last */
	uint32_t *adopted;
	unsigned adopted_count;
	struct shard_ring_numbers numbers;
};

struct ring_owner *ring_owner_at(const struct shard_ring *r, unsigned i);
uint32_t *ring_state_at(const struct shard_ring *r, unsigned i);
struct ring_slot *ring_slot_at(const struct shard_ring *r, unsigned i);
uint8_t *ring_slot_data(const struct shard_ring *r, unsigned i);
size_t ring_slot_cap(const struct shard_ring *r, unsigned i);
unsigned ring_slot_count(const struct shard_ring *r);
/* The i-th of an owner's batch, lengths checked. */
void ring_batch_read(
	const struct ring_owner *o, unsigned i, struct shard_datagram *out);
void ring_slot_read(const struct shard_ring *r, unsigned i, struct shard_datagram *out);
/* A free slot of ours with room for len bytes, or -1. */
int ring_slot_claim(struct shard_ring *r, size_t len, uint32_t state);
/* Copies; the slot is ours. */
void ring_slot_fill(struct shard_ring *r, unsigned i, const struct shard_datagram *d,
	unsigned tries);
void ring_slot_free(struct shard_ring *r, unsigned i);

int ring_owner_join(struct shard_ring *r);
void ring_owner_leave(struct shard_ring *r);

#define RING_LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define RING_STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELEASE)

static inline bool ring_swap(uint32_t *at, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(
		at, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

#endif
