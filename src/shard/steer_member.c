/* SPDX-License-Identifier: MIT */
/* shard/steer_member.c - a socket comes into a slot of its group, takes new flows, leaves. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shard/shard_internal.h"
#include "shard/steer_internal.h"

/* --- one writer at a time ------------------------------------------------------------ */

static uint64_t self(void)
{
	const uint32_t pid = (uint32_t)getpid();
	return shard_process_start(pid) << 32 | pid;
}

/* Held for microseconds; a holder that died or was stopped in them is passed over. */
void steer_lock(struct shard_steer *s)
{
	enum { PATIENCE_MS = 1000 };
	const uint64_t me = self();
	__u64 holder = 0;
	for (int ms = 0; !__atomic_compare_exchange_n(&s->head->lock, &holder, me,
		     false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
		ms++) {
		const struct timespec pause = { .tv_nsec = 1000000 };
		if (ms >= PATIENCE_MS ||
			(ms % 16 == 15 && !shard_process_start(
						  (uint32_t)steer_owner_pid(holder))))
			continue; /* `holder` is what is there: it is replaced */
		nanosleep(&pause, NULL);
		holder = 0;
	}
	s->self = me;
}

void steer_unlock(struct shard_steer *s)
{
	__u64 me = s->self;
	__atomic_compare_exchange_n(
		&s->head->lock, &me, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* --- who takes new flows -------------------------------------------------------------- */

uint64_t *steer_takes_word(struct shard_steer *s, uint32_t group, uint32_t generation,
	uint32_t slot, uint64_t *bit)
{
	assert(group < STEER_GROUPS && generation < STEER_GENERATIONS &&
		slot < STEER_SLOTS);
	*bit = UINT64_C(1) << slot % 64;
	/* __u64 is another type of the same size */
	return (uint64_t *)(void *)&s->states[group].takes[generation][slot / 64];
}

bool steer_takes(
	const struct shard_steer *s, uint32_t group, uint32_t generation, uint32_t slot)
{
	const uint64_t word = __atomic_load_n(
		&s->states[group].takes[generation][slot / 64], __ATOMIC_RELAXED);
	return word >> slot % 64 & 1;
}

unsigned steer_count_taking(const struct shard_steer *s, uint32_t group)
{
	unsigned count = 0;
	for (uint32_t slot = 0; slot < STEER_SLOTS; slot++)
		count += steer_takes(s, group, 0, slot) ||
			 steer_takes(s, group, 1, slot);
	return count;
}

static void takes_set(struct shard_member *m)
{
	uint64_t bit;
	uint64_t *word = steer_takes_word(m->s, m->group, m->generation, m->slot, &bit);
	__atomic_fetch_or(word, bit, __ATOMIC_RELEASE);
}

static void takes_clear(
	struct shard_steer *s, uint32_t group, uint32_t generation, uint32_t slot)
{
	uint64_t bit;
	uint64_t *word = steer_takes_word(s, group, generation, slot, &bit);
	__atomic_fetch_and(word, ~bit, __ATOMIC_RELEASE);
}

/* --- groups --------------------------------------------------------------------------- */

static int key_of(int fd, struct steer_key *key)
{
	union shard_name name = { 0 };
	socklen_t len = sizeof(name);
	int type = 0, ifindex = 0;
	socklen_t type_len = sizeof(type), ifindex_len = sizeof(ifindex);
	if (getsockname(fd, &name.sa, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0)
		return -errno;
	if ((type != SOCK_DGRAM && type != SOCK_STREAM) ||
		(name.sa.sa_family != AF_INET && name.sa.sa_family != AF_INET6))
		return -EAFNOSUPPORT;
	memset(key, 0, sizeof(*key));
	key->family = (uint8_t)name.sa.sa_family;
	key->protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	key->port = shard_name_port(&name);
	if (!key->port)
		return -EINVAL;
	if (getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex, &ifindex_len) == 0)
		key->ifindex = (uint32_t)ifindex;
	if (name.sa.sa_family == AF_INET)
		memcpy(key->ip, &name.v4.sin_addr, 4);
	else
		memcpy(key->ip, &name.v6.sin6_addr, 16);
	return 0;
}

/* The socket in this place: its cookie, or 0. */
static uint64_t cookie_at(const struct shard_steer *s, uint32_t number)
{
	uint64_t cookie = 0;
	return bpf_map_get(s->fds[STEER_MAP_members], &number, &cookie) == 0 ? cookie
									     : 0;
}

static bool group_is_empty(const struct shard_steer *s, uint32_t group)
{
	for (uint32_t i = 0; i < s->states[group].slots * STEER_GENERATIONS; i++)
		if (cookie_at(s, group * STEER_GROUP_MEMBERS + i))
			return false;
	return true;
}

bool steer_is_used(const struct shard_steer *s)
{
	for (uint32_t i = 0; i < STEER_GROUPS; i++)
		if (s->states[i].flags & STEER_USED && !group_is_empty(s, i))
			return true;
	return false;
}

static void group_clear(struct shard_steer *s, uint32_t group)
{
	memset(&s->records[group * STEER_GROUP_MEMBERS], 0,
		STEER_GROUP_MEMBERS * sizeof(*s->records));
	memset(&s->states[group], 0, sizeof(s->states[group]));
}

/* Of an address that nobody listens on any more: its number, or -ENOSPC. */
static int group_reclaim(struct shard_steer *s)
{
	struct steer_key key, next;
	const int map = s->fds[STEER_MAP_groups];
	for (int e = bpf_map_next(map, NULL, &key); e == 0;) {
		uint32_t group;
		e = bpf_map_next(map, &key, &next);
		if (bpf_map_get(map, &key, &group) == 0 && group < STEER_GROUPS &&
			group_is_empty(s, group)) {
			bpf_map_delete(map, &key);
			shard_wait_grace_period();
			group_clear(s, group);
			return (int)group;
		}
		key = next;
	}
	return -ENOSPC;
}

/* Number of the group of this key, perhaps a new one; locked. */
static int group_get(struct shard_steer *s, const struct steer_key *key)
{
	const int map = s->fds[STEER_MAP_groups];
	uint32_t group;
	if (bpf_map_get(map, key, &group) == 0)
		return group < STEER_GROUPS ? (int)group : -EPROTO;
	int free_one = -ENOSPC;
	for (int i = 0; free_one < 0 && i < STEER_GROUPS; i++)
		if (!(s->states[i].flags & STEER_USED))
			free_one = i;
	if (free_one < 0)
		free_one = group_reclaim(s);
	if (free_one < 0)
		return free_one;
	group = (uint32_t)free_one;
	group_clear(s, group);
	s->states[group].flags = STEER_USED | STEER_OFF; /* until it is whole */
	const int e = bpf_map_set(map, key, &group, BPF_NOEXIST);
	if (e)
		s->states[group].flags = 0;
	return e ? e : free_one;
}

/* --- slots ---------------------------------------------------------------------------- */

static bool is_free(const struct shard_steer *s, uint32_t number)
{
	return !s->records[number].cookie || !cookie_at(s, number);
}

/* The place that the socket has, or one for it: its number, or -errno; locked. */
static int place_get(
	struct shard_steer *s, uint32_t group, uint64_t cookie, int wanted, bool *has)
{
	const uint32_t first = group * STEER_GROUP_MEMBERS;
	const uint32_t used = s->states[group].slots;
	*has = true;
	for (uint32_t i = 0; i < used * STEER_GENERATIONS; i++)
		if (s->records[first + i].cookie == cookie &&
			cookie_at(s, first + i) == cookie)
			return (int)(first + i);
	*has = false;
	const uint32_t from = wanted < 0 ? 0 : (uint32_t)wanted;
	const uint32_t to = wanted < 0 ? STEER_SLOTS : from + 1;
	/* a slot whose other generation is free too, else beside one that leaves */
	for (int alone = 1; alone >= 0; alone--)
		for (uint32_t slot = from; slot < to; slot++) {
			const uint32_t a = STEER_MEMBER(group, slot, 0);
			const bool free_a = is_free(s, a), free_b = is_free(s, a + 1);
			if (free_a && (free_b || !alone))
				return (int)a;
			if (free_b && !alone)
				return (int)a + 1;
		}
	return wanted < 0 ? -ENOSPC : -EBUSY;
}

static int place_take(struct shard_steer *s, uint32_t number, int fd, uint64_t cookie)
{
	const uint32_t slot = number % STEER_GROUP_MEMBERS / STEER_GENERATIONS;
	const uint32_t group = number / STEER_GROUP_MEMBERS;
	const uint64_t value = (uint64_t)fd;
	struct steer_record *r = &s->records[number];
	takes_clear(
		s, group, number % STEER_GENERATIONS, slot); /* of one that is gone */
	*r = (struct steer_record){ 0 };
	const int e = bpf_map_set(s->fds[STEER_MAP_members], &number, &value, BPF_ANY);
	if (e)
		return e;
	r->cookie = cookie;
	if (s->states[group].slots <= slot)
		__atomic_store_n(&s->states[group].slots, slot + 1, __ATOMIC_RELEASE);
	return 0;
}

static int join(struct shard_member *m, int wanted)
{
	struct shard_steer *s = m->s;
	struct steer_key key = { 0 };
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	bool has = false;
	int e = key_of(m->fd, &key);
	if (e)
		return e;
	if (getsockopt(m->fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return -errno;
	m->type = key.protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	const int group = group_get(s, &key);
	if (group < 0)
		return group;
	m->group = (uint32_t)group;
	const int number = place_get(s, m->group, cookie, wanted, &has);
	if (number == -ENOSPC) /* it must not stand beside a group that is steered */
		__atomic_fetch_or(&s->states[group].flags, STEER_OFF, __ATOMIC_RELAXED);
	if (number < 0)
		return number;
	if (!has)
		e = place_take(s, (uint32_t)number, m->fd, cookie);
	if (e == -EBUSY) /* in another set: its program may be all that keeps that */
		setsockopt(m->fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &e, sizeof(e));
	if (e)
		return e;
	m->slot = (uint32_t)number % STEER_GROUP_MEMBERS / STEER_GENERATIONS;
	m->generation = (uint32_t)number % STEER_GENERATIONS;
	m->record = &s->records[number];
	m->record->owner = s->self;
	__atomic_fetch_add(&m->record->heart, 1, __ATOMIC_RELAXED);
	m->steered_before = __atomic_load_n(&m->record->steered, __ATOMIC_RELAXED);
	takes_set(m);
	/* this one from now on, the one before it in the slot finishes */
	takes_clear(s, m->group, !m->generation, m->slot);
	return 0;
}

struct shard_member *shard_steer_join(struct shard_steer *s, int fd, int slot)
{
	if (slot >= STEER_SLOTS || slot < -1) {
		errno = EINVAL;
		return NULL;
	}
	struct shard_member *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->s = s;
	m->fd = fd;
	steer_lock(s);
	int e = join(m, slot);
	if (!e && !s->yields &&
		(!(s->states[m->group].flags & STEER_OFF) || steer_group_whole(m))) {
		e = steer_arm(m);
		if (e)
			takes_clear(s, m->group, m->generation, m->slot);
	}
	steer_unlock(s);
	if (e) {
		free(m);
		errno = -e;
		return NULL;
	}
	m->next = s->members;
	s->members = m;
	return m;
}

/* --- the group's program -------------------------------------------------------------- */

int steer_arm(struct shard_member *m)
{
	const int program = m->s->fds[STEER_PROGRAM];
	if (setsockopt(m->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program,
		    sizeof(program)) < 0)
		return -errno;
	__atomic_fetch_and(
		&m->s->states[m->group].flags, ~(unsigned)STEER_OFF, __ATOMIC_RELAXED);
	return 0;
}

int shard_member_attach(struct shard_member *m)
{
	if (m->s->yields || m->s->states[m->group].flags & STEER_OFF)
		return -EAGAIN;
	return steer_arm(m);
}

struct whole {
	const struct shard_member *m;
	union shard_name local;
	bool stranger;
};

static bool whole_look(void *ctx, const struct diag_socket *d)
{
	struct whole *w = ctx;
	const struct shard_member *m = w->m;
	union shard_name local = d->local;
	if (local.sa.sa_family == AF_INET6)
		local.v6.sin6_scope_id = w->local.v6.sin6_scope_id;
	if (!shard_name_same_ip(&local, &w->local) ||
		(m->type == SOCK_DGRAM && d->state != TCP_CLOSE))
		return true;
	const struct steer_record *first =
		&m->s->records[m->group * STEER_GROUP_MEMBERS];
	for (uint32_t i = 0; i < m->s->states[m->group].slots * STEER_GENERATIONS; i++)
		if (first[i].cookie == d->cookie)
			return true;
	w->stranger = true;
	return false;
}

bool steer_group_whole(const struct shard_member *m)
{
	struct whole w = { .m = m };
	socklen_t len = sizeof(w.local);
	if (getsockname(m->fd, &w.local.sa, &len) < 0)
		return true;
	shard_diag_each(w.local.sa.sa_family, m->type, shard_name_port(&w.local),
		whole_look, &w);
	return !w.stranger;
}

/* --- leaving -------------------------------------------------------------------------- */

int shard_member_leave(struct shard_member *m)
{
	struct shard_steer *s = m->s;
	steer_lock(s);
	const bool mine = m->record->owner == s->self;
	const bool taking = steer_takes(s, m->group, m->generation, m->slot);
	const bool last = taking && steer_count_taking(s, m->group) <= 1 &&
			  (!s->yields || s->head->flags & STEER_STRICT);
	if (mine && !last) {
		m->leaving = true;
		takes_clear(s, m->group, m->generation, m->slot);
	}
	steer_unlock(s);
	if (last)
		return -EBUSY;
	if (mine && taking)
		shard_wait_grace_period();
	return 0;
}

void shard_member_close(struct shard_member *m)
{
	if (!m)
		return;
	for (struct shard_member **at = &m->s->members; *at; at = &(*at)->next)
		if (*at == m) {
			*at = m->next;
			break;
		}
	free(m);
}

int shard_member_slot(const struct shard_member *m)
{
	return (int)m->slot;
}

/* --- numbers --------------------------------------------------------------------------- */

void shard_member_mark(struct shard_member *m)
{
	m->mark = __atomic_load_n(&m->record->steered, __ATOMIC_RELAXED);
}

/* An empty queue is the moment of truth: what was sent here before is taken, or was dropped. */
void shard_member_took(struct shard_member *m, unsigned count, int emptied)
{
	uint64_t taken = __atomic_load_n(&m->record->taken, __ATOMIC_RELAXED) + count;
	m->received += count;
	if (emptied ? taken < m->mark : taken > m->mark + count)
		taken = m->mark; /* dropped ones; or some that came by other ways */
	__atomic_store_n(&m->record->taken, taken, __ATOMIC_RELAXED);
}

void shard_member_worked(struct shard_member *m, unsigned units)
{
	const uint64_t base = __atomic_load_n(&m->record->base, __ATOMIC_RELAXED);
	__atomic_store_n(&m->record->base, base - units, __ATOMIC_RELAXED);
}

static uint64_t waiting_of(const struct steer_record *r)
{
	const uint64_t steered = __atomic_load_n(&r->steered, __ATOMIC_RELAXED);
	const uint64_t taken = __atomic_load_n(&r->taken, __ATOMIC_RELAXED);
	return steered > taken ? steered - taken : 0;
}

void shard_member_count(const struct shard_member *m, struct shard_member_numbers *out)
{
	const struct steer_group *g = &m->s->states[m->group];
	*out = (struct shard_member_numbers){
		.steered = __atomic_load_n(&m->record->steered, __ATOMIC_RELAXED),
		.waiting = m->type == SOCK_DGRAM ? waiting_of(m->record) : 0,
		.spread = __atomic_load_n(&g->spread, __ATOMIC_RELAXED),
		.missed = __atomic_load_n(&g->missed, __ATOMIC_RELAXED),
		.passed = __atomic_load_n(&g->passed, __ATOMIC_RELAXED),
		.dropped = __atomic_load_n(&g->dropped, __ATOMIC_RELAXED),
		.migrated = __atomic_load_n(&g->migrated, __ATOMIC_RELAXED),
		.taking = steer_takes(m->s, m->group, m->generation, m->slot),
		.armed = !(g->flags & STEER_OFF),
	};
}
