/* SPDX-License-Identifier: MIT */
/* shard/ring.c - datagrams in memory that outlives the process: batch and pending
 * table. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/ring_internal.h"

enum { SMALL, LARGE, KINDS };

static size_t states_size(unsigned slots)
{
	return ((slots + RING_LARGE_SLOTS) * sizeof(uint32_t) + 15) / 16 * 16;
}

static size_t size_of(unsigned slots)
{
	return sizeof(struct ring_head) +
	       SHARD_RING_OWNERS * sizeof(struct ring_owner) + states_size(slots) +
	       slots * (sizeof(struct ring_slot) + RING_SMALL) +
	       RING_LARGE_SLOTS * (sizeof(struct ring_slot) + SHARD_RING_DATAGRAM);
}

/* --- where things are -------------------------------------------------------- */

struct ring_owner *ring_owner_at(const struct shard_ring *r, unsigned i)
{
	/* aligned: the mapping is, and all sizes are multiples of 16 */
	return (struct ring_owner *)(void *)(r->base + sizeof(struct ring_head) +
					     i * sizeof(struct ring_owner));
}

_Static_assert(sizeof(struct ring_head) % 16 == 0, "aligned");
_Static_assert(sizeof(struct ring_owner) % 16 == 0, "aligned");
_Static_assert(SHARD_RING_DATAGRAM % 16 == 0 && RING_SMALL % 16 == 0, "aligned");

unsigned ring_slot_count(const struct shard_ring *r)
{
	return r->slots + RING_LARGE_SLOTS;
}

size_t ring_slot_cap(const struct shard_ring *r, unsigned i)
{
	return i < r->slots ? (size_t)RING_SMALL : (size_t)SHARD_RING_DATAGRAM;
}

uint32_t *ring_state_at(const struct shard_ring *r, unsigned i)
{
	return (uint32_t *)(void *)ring_owner_at(r, SHARD_RING_OWNERS) + i;
}

struct ring_slot *ring_slot_at(const struct shard_ring *r, unsigned i)
{
	enum { SMALL_STEP = sizeof(struct ring_slot) + RING_SMALL };
	enum { LARGE_STEP = sizeof(struct ring_slot) + SHARD_RING_DATAGRAM };
	uint8_t *at = (uint8_t *)ring_owner_at(r, SHARD_RING_OWNERS);
	at += states_size(r->slots);
	at += i < r->slots ? (size_t)i * SMALL_STEP
			   : (size_t)r->slots * SMALL_STEP +
				     (size_t)(i - r->slots) * LARGE_STEP;
	return (struct ring_slot *)(void *)at;
}

uint8_t *ring_slot_data(const struct shard_ring *r, unsigned i)
{
	return (uint8_t *)(ring_slot_at(r, i) + 1);
}

static size_t at_most(size_t value, size_t max)
{
	return value < max ? value : max;
}

void ring_batch_read(const struct ring_owner *o, unsigned i, struct shard_datagram *out)
{
	union {
		const struct ring_owner *in;
		struct ring_owner *out;
	} u = { .in = o }; /* msghdr has no const */
	const struct msghdr *m = &o->head[i].msg_hdr;
	*out = (struct shard_datagram){
		.head = { .msg_name = u.out->name[i],
			.msg_namelen = (socklen_t)at_most(m->msg_namelen, RING_NAME),
			.msg_control = u.out->control[i],
			.msg_controllen = at_most(m->msg_controllen, RING_CONTROL),
			.msg_flags = m->msg_flags },
		.data = o->data[i],
		.len = at_most(RING_LOAD(o->head[i].msg_len), SHARD_RING_DATAGRAM),
		.received_us = o->batch_us,
	};
}

void ring_slot_read(const struct shard_ring *r, unsigned i, struct shard_datagram *out)
{
	struct ring_slot *s = ring_slot_at(r, i);
	*out = (struct shard_datagram){
		.head = { .msg_name = s->name,
			.msg_namelen = (socklen_t)at_most(s->name_len, RING_NAME),
			.msg_control = s->control,
			.msg_controllen = at_most(s->control_len, RING_CONTROL),
			.msg_flags = s->flags },
		.data = ring_slot_data(r, i),
		.len = at_most(s->len, ring_slot_cap(r, i)),
		.received_us = s->received_us,
		.tries = s->tries,
		.slot = i + 1,
	};
}

/* --- the pending table -------------------------------------------------------- */

/* What looks free now. Another generation may be quicker: claiming decides. */
static void table_scan(struct shard_ring *r, int kind)
{
	const unsigned from = kind == SMALL ? 0 : r->slots;
	const unsigned to = kind == SMALL ? r->slots : ring_slot_count(r);
	r->free_count[kind] = 0;
	for (unsigned i = to; i-- > from;)
		if (!RING_LOAD(*ring_state_at(r, i)))
			r->free[kind][r->free_count[kind]++] = i;
}

/* A table that stays full is not searched for every datagram. */
static bool table_worth_a_scan(const struct shard_ring *r)
{
	return r->numbers.full % 64 == 0;
}

int ring_slot_claim(struct shard_ring *r, size_t len, uint32_t state)
{
	for (int kind = len <= RING_SMALL ? SMALL : LARGE; kind < KINDS; kind++) {
		if (!r->free_count[kind] && table_worth_a_scan(r))
			table_scan(r, kind);
		while (r->free_count[kind]) {
			const uint32_t i = r->free[kind][--r->free_count[kind]];
			if (!ring_swap(ring_state_at(r, i), 0, state))
				continue; /* another generation has it */
			ring_slot_at(r, i)->len = 0;
			return (int)i;
		}
	}
	r->numbers.full++;
	return -1;
}

void ring_slot_fill(struct shard_ring *r, unsigned i, const struct shard_datagram *d,
	unsigned tries)
{
	struct ring_slot *s = ring_slot_at(r, i);
	s->tries = tries;
	s->received_us = d->received_us;
	s->name_len = d->head.msg_namelen;
	s->control_len = (uint32_t)d->head.msg_controllen;
	s->flags = d->head.msg_flags;
	memcpy(s->name, d->head.msg_name, s->name_len);
	memcpy(s->control, d->head.msg_control, s->control_len);
	memcpy(ring_slot_data(r, i), d->data, d->len);
	RING_STORE(s->len, (uint32_t)d->len);
	r->numbers.kept++;
}

void ring_slot_free(struct shard_ring *r, unsigned i)
{
	const int kind = i < r->slots ? SMALL : LARGE;
	const unsigned max = kind == SMALL ? r->slots : (unsigned)RING_LARGE_SLOTS;
	ring_slot_at(r, i)->len = 0;
	RING_STORE(*ring_state_at(r, i), 0);
	if (r->free_count[kind] < max)
		r->free[kind][r->free_count[kind]++] = i;
}

/* --- in and out ---------------------------------------------------------------- */

static void batch_prepare(struct ring_owner *o)
{
	for (unsigned i = 0; i < SHARD_RING_BATCH; i++) {
		o->iov[i] = (struct iovec){ o->data[i], SHARD_RING_DATAGRAM };
		o->head[i].msg_hdr = (struct msghdr){
			.msg_name = o->name[i],
			.msg_namelen = RING_NAME,
			.msg_iov = &o->iov[i],
			.msg_iovlen = 1,
			.msg_control = o->control[i],
			.msg_controllen = RING_CONTROL,
		};
	}
}

int shard_ring_receive(struct shard_ring *r, int fd, int64_t now_us)
{
	struct ring_owner *o = ring_owner_at(r, r->me);
	shard_ring_batch_done(r);
	batch_prepare(o);
	RING_STORE(o->batch_us, now_us);
	const int n = recvmmsg(fd, o->head, SHARD_RING_BATCH, MSG_DONTWAIT, NULL);
	r->filled = n > 0 ? (unsigned)n : 0;
	return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

void shard_ring_at(const struct shard_ring *r, unsigned i, struct shard_datagram *out)
{
	ring_batch_read(ring_owner_at(r, r->me), i, out);
}

void shard_ring_work(struct shard_ring *r, unsigned i)
{
	RING_STORE(ring_owner_at(r, r->me)->working, i + 1);
}

uint32_t shard_ring_keep(struct shard_ring *r, unsigned i)
{
	struct shard_datagram d;
	shard_ring_at(r, i, &d);
	const int slot = d.len ? ring_slot_claim(r, d.len, r->me + 1) : -1;
	if (slot < 0)
		return 0;
	ring_slot_fill(r, (unsigned)slot, &d, 0);
	return (uint32_t)slot + 1;
}

void shard_ring_done(struct shard_ring *r, unsigned count)
{
	struct ring_owner *o = ring_owner_at(r, r->me);
	RING_STORE(o->working, 0);
	for (unsigned i = 0; i < count; i++)
		RING_STORE(o->head[i].msg_len, 0);
}

void shard_ring_batch_done(struct shard_ring *r)
{
	struct ring_owner *o = ring_owner_at(r, r->me);
	RING_STORE(o->working, 0);
	RING_STORE(o->working_slot, 0);
	for (unsigned i = 0; i < r->filled; i++)
		RING_STORE(o->head[i].msg_len, 0);
	r->filled = 0;
}

void shard_ring_release(struct shard_ring *r, uint32_t slot)
{
	if (!slot || slot > ring_slot_count(r) ||
		(RING_LOAD(*ring_state_at(r, slot - 1)) & SLOT_OWNER_MASK) != r->me + 1)
		return;
	ring_slot_free(r, slot - 1);
	r->numbers.kept -= r->numbers.kept > 0;
}

void shard_ring_count(const struct shard_ring *r, struct shard_ring_numbers *out)
{
	*out = r->numbers;
}

/* --- its life ------------------------------------------------------------------- */

int shard_ring_create(const struct sockaddr *addr, socklen_t len, unsigned slots)
{
	if (!addr || len < sizeof(struct sockaddr_in) || len > RING_NAME ||
		slots > RING_SLOTS_MAX)
		return -EINVAL;
	if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (addr->sa_family == AF_INET6 && len < sizeof(struct sockaddr_in6))
		return -EINVAL;
	slots = slots ? slots : RING_SLOTS_DEFAULT;
	struct ring_head head = { .magic = RING_MAGIC,
		.layout = RING_LAYOUT,
		.slots = slots,
		.size = size_of(slots),
		.addr_len = (uint32_t)len };
	memcpy(head.addr, addr, len);
	if (shard_disabled("memfd"))
		return -ENOSYS;
	const int fd = memfd_create("shard-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* sealed: nobody can cut it under a reader, which would be SIGBUS */
	if (ftruncate(fd, (off_t)head.size) < 0 ||
		pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		const int e = -errno;
		close(fd);
		return e ? e : -EIO;
	}
	return fd;
}

static bool head_read(int memfd, struct ring_head *head)
{
	struct stat st;
	const int seals = fcntl(memfd, F_GET_SEALS);
	return seals >= 0 && seals & F_SEAL_SHRINK && fstat(memfd, &st) == 0 &&
	       pread(memfd, head, sizeof(*head), 0) == (ssize_t)sizeof(*head) &&
	       head->magic == RING_MAGIC && head->layout == RING_LAYOUT &&
	       head->slots && head->slots <= RING_SLOTS_MAX &&
	       head->size == size_of(head->slots) &&
	       (uint64_t)st.st_size == head->size && head->addr_len <= RING_NAME;
}

int shard_ring_matches(int memfd, const struct sockaddr *addr, socklen_t len)
{
	struct ring_head head;
	union shard_name have = { 0 }, wanted = { 0 };
	if (!addr || len > sizeof(wanted) || !head_read(memfd, &head))
		return 0;
	memcpy(&wanted, addr, len);
	memcpy(&have, head.addr, head.addr_len);
	return shard_name_port(&wanted) == shard_name_port(&have) &&
	       shard_name_same_ip(&wanted, &have);
}

/* Batches and states are touched by every datagram: there from the start, and not paged
 * out where RLIMIT_MEMLOCK allows. The slots are memory only once they are used. */
static void ring_hold(const struct shard_ring *r)
{
	const size_t hot = sizeof(struct ring_head) +
			   SHARD_RING_OWNERS * sizeof(struct ring_owner) +
			   states_size(r->slots);
	if (mlock(r->base, hot) == 0)
		return;
#ifdef MADV_POPULATE_WRITE
	madvise(r->base, hot, MADV_POPULATE_WRITE); /* since Linux 5.14 */
#endif
}

static int ring_map(struct shard_ring *r, int memfd)
{
	struct ring_head head;
	if (!head_read(memfd, &head))
		return EPROTO;
	void *base =
		mmap(NULL, head.size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (base == MAP_FAILED)
		return errno;
	r->base = base;
	r->size = head.size;
	r->slots = head.slots;
	ring_hold(r);
	r->free[SMALL] = calloc(head.slots, sizeof(uint32_t));
	r->free[LARGE] = calloc(RING_LARGE_SLOTS, sizeof(uint32_t));
	r->adopted = calloc(ring_slot_count(r), sizeof(uint32_t));
	return r->free[SMALL] && r->free[LARGE] && r->adopted ? 0 : ENOMEM;
}

static void ring_unmap(struct shard_ring *r)
{
	if (r->base)
		munmap(r->base, r->size);
	free(r->free[SMALL]);
	free(r->free[LARGE]);
	free(r->adopted);
	free(r);
}

struct shard_ring *shard_ring_open(int memfd)
{
	struct shard_ring *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	int e = ring_map(r, memfd);
	if (!e)
		e = -ring_owner_join(r);
	if (!e) {
		table_scan(r, SMALL);
		table_scan(r, LARGE);
		return r;
	}
	ring_unmap(r);
	errno = e;
	return NULL;
}

void shard_ring_close(struct shard_ring *r)
{
	if (!r)
		return;
	shard_ring_batch_done(r);
	ring_owner_leave(r);
	ring_unmap(r);
}
