/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/flight.c - who on this host asks what at the moment: rows changed by CAS alone.
 *
 * The segment: head | rows of a cache line, eight to a bucket | circular log of
 * results. A row's state is one word {phase 2, slot 8, version 14, tag 16, due 24}:
 * `slot` is the instance, `tag` a piece of the key, `due` the end of the lease (or of
 * the result's second) in milliseconds of the monotonic clock. An instance is its slot:
 * a byte of the file that it has locked (F_OFD_SETLK), so the kernel tells who is dead.
 *
 * Owning                                           if it dies or stops after this step
 *  1 CAS state: FREE or over -> CLAIMING, tag       the claim is over after 50 ms
 *  2 writes the key                                 the same
 *  3 CAS CLAIMING -> OWNED                          seen dead, or the lease runs out
 *  4 looks for a twin that claimed another row      two questions instead of one
 *    at the same time: who comes later yields
 *  5 asks; CAS of `due` from each tick              the lease runs out: a waiter's CAS
 * Publishing
 *  1 reserves in the log (fetch_add), writes        bytes that nobody names
 *    record: position, key, length, check, bytes
 *  2 row.result = position                          harmless: the record bears its key
 *  3 CAS state -> DONE, due in a second             as above: the lease runs out
 *  4 takes the bits of who waits, writes a byte     they look at each tick anyway
 *    into their FIFOs
 * Waiting: own bit into row.waiters, then state once more; both sequentially
 * consistent, as 3 and 4 of publishing: so a waiter sees DONE or is woken.
 *
 * A reader of a result copies the record and verifies position, key, length and check
 * on the copy; what fails is no result, and it claims the row. A state word damaged in
 * any bit is another owner or another end: leases further away than any are over. */
#include "cache/flight.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "shm/shm.h"

#define FLIGHT_MAGIC UINT64_C(0x7368746566216873) /* "sh!fetsh" */

enum {
	ROWS = 32768,
	WAYS = 8,
	SLOTS = 255, /* one more is "none" */
	WAKE_SLOTS = 64,
	CLAIM_MS = 50,
	DUE_MAX_MS = 10 * 1000, /* further away: damage, or a word of hours ago */
	JOIN_TRIES = 8,
	RESULT_MAX = 65535,
	LOG_UNIT = 16,
	ALIVE_US = 5 * 1000, /* the kernel is not asked again sooner */
};

/* First byte of the locks: beyond any content, so nobody mistakes them for its own. */
#define LOCK_BASE (INT64_C(1) << 40)

enum phase { FREE, CLAIMING, OWNED, DONE };

struct row {
	alignas(64) uint64_t state;
	uint64_t key[2];
	uint64_t waiters; /* bit: slot */
	uint64_t result;  /* position in the log */
};

struct record {
	uint64_t position, check;
	uint64_t key[2];
	uint64_t len;
	uint64_t unused;
};

struct segment {
	struct shm_head head;
	struct hash_key seed;
	uint64_t seed_check;
	alignas(64) uint64_t tail;
	struct row rows[ROWS];
	alignas(64) uint64_t log[LIMIT_FETCH_RESULTS / 8];
};

static_assert(sizeof(struct row) == 64, "a cache line");
static_assert(sizeof(struct record) % LOG_UNIT == 0, "bytes follow");
static_assert(offsetof(struct segment, rows) == 128, "layout");

/* Private copy of a record. */
union copy {
	struct record head;
	uint64_t words[(sizeof(struct record) + RESULT_MAX + LOG_UNIT) / 8];
	uint8_t bytes[sizeof(struct record) + RESULT_MAX + LOG_UNIT];
};

struct flight_table {
	struct shm shm;
	struct segment *seg;
	struct random *rnd;
	struct hash_key seed;
	char folder[200];
	unsigned slot;
	int wake_in;
	int wake_out[WAKE_SLOTS];
	int64_t asked_us[SLOTS + 1]; /* when the kernel was asked whether it lives */
	bool lives[SLOTS + 1];
	union copy copy, build;
	uint64_t damaged, taken_over;
};

#define load(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)

static bool swap(uint64_t *word, uint64_t was, uint64_t is)
{
	return __atomic_compare_exchange_n(
		word, &was, is, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

/* --- the state word ---------------------------------------------- */

struct state {
	uint8_t phase, slot;
	uint16_t version, tag;
	uint32_t due_ms;
};

static struct state unpack(uint64_t w)
{
	return (struct state){
		.phase = w & 3,
		.slot = w >> 2 & 255,
		.version = w >> 10 & 0x3fff,
		.tag = w >> 24 & 0xffff,
		.due_ms = (uint32_t)(w >> 40),
	};
}

static uint64_t pack(const struct state *s)
{
	return (uint64_t)s->phase | (uint64_t)s->slot << 2 |
	       (uint64_t)(s->version & 0x3fff) << 10 | (uint64_t)s->tag << 24 |
	       (uint64_t)(s->due_ms & 0xffffff) << 40;
}

static uint32_t due_at(const struct now *now, int64_t us)
{
	return (uint32_t)((now->mono_us + us + 999) / 1000) & 0xffffff;
}

static bool over(const struct state *s, const struct now *now)
{
	const uint32_t left = (s->due_ms - (uint32_t)(now->mono_us / 1000)) & 0xffffff;
	return left == 0 || left > DUE_MAX_MS;
}

static uint16_t tag_of(const struct fetch_key *key)
{
	return (uint16_t)(key->h[1] >> 48);
}

/* --- opening ----------------------------------------------------- */

static uint64_t seed_sum(const struct hash_key *seed)
{
	return hash_sip13(seed, seed, sizeof(*seed));
}

static void format(void *base, size_t size, void *ctx)
{
	(void)size;
	struct segment *seg = base;
	random_fill(ctx, &seg->seed, sizeof(seg->seed));
	seg->seed_check = seed_sum(&seg->seed);
	seg->tail = LIMIT_FETCH_RESULTS; /* no position is 0 */
}

/* The first byte that nobody has locked. */
static void take_slot(struct flight_table *t)
{
	t->slot = SLOTS;
	if (t->shm.fd < 0) {
		t->slot = 0;
		return;
	}
	for (unsigned i = 0; i < SLOTS && t->slot == SLOTS; i++) {
		struct flock lock = { .l_type = F_WRLCK,
			.l_whence = SEEK_SET,
			.l_start = LOCK_BASE + i,
			.l_len = 1 };
		if (fcntl(t->shm.fd, F_OFD_SETLK, &lock) == 0)
			t->slot = i;
	}
}

/* Both ends for reading and writing: neither an end of file nor SIGPIPE, ever. A FIFO
 * outlives its reader, and the slot's next one reads on. */
static int open_fifo(const struct flight_table *t, unsigned slot, bool make)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/shm/wake-%u", t->folder, slot);
	if (make && mkfifo(path, 0600) < 0 && errno != EEXIST)
		return -1;
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) ||
			       (st.st_uid != geteuid() && geteuid() != 0)))
		fd_close(&fd);
	return fd;
}

static bool open_segment(struct flight_table *t, bool fresh)
{
	char path[256], folder[240], reason[256];
	snprintf(folder, sizeof(folder), "%s/shm", t->folder);
	snprintf(path, sizeof(path), "%s/fetches-v%d", folder, FLIGHT_LAYOUT);
	(void)fd_make_folder(folder, 0700);
	const struct shm_want want = {
		.path = path,
		.magic = FLIGHT_MAGIC,
		.layout = FLIGHT_LAYOUT,
		.size = sizeof(struct segment),
		.fresh = fresh,
		.mode = 0600,
		.format = format,
		.ctx = t->rnd,
	};
	struct shm next;
	const enum shm_result how = shm_open_file(&next, &want, reason);
	if (how == SHM_FAILED)
		return false;
	if (how == SHM_ANONYMOUS)
		log_warning(CACHE, "%s: %s; this instance joins no fetches of others",
			path, reason);
	shm_close(&t->shm);
	t->shm = next;
	t->seg = next.base;
	t->seed = t->seg->seed;
	return true;
}

static bool attach(struct flight_table *t)
{
	if (!open_segment(t, false))
		return false;
	if (t->seg->seed_check != seed_sum(&t->seed) && !open_segment(t, true))
		return false;
	fd_close(&t->wake_in);
	take_slot(t);
	memset(t->asked_us, 0, sizeof(t->asked_us));
	if (t->slot < WAKE_SLOTS && t->shm.fd >= 0)
		t->wake_in = open_fifo(t, t->slot, true);
	if (t->slot < WAKE_SLOTS && t->shm.fd >= 0 && t->wake_in < 0) {
		/* another user's, or no FIFO: the folder is ours */
		char path[256];
		snprintf(path, sizeof(path), "%s/shm/wake-%u", t->folder, t->slot);
		unlink(path);
		t->wake_in = open_fifo(t, t->slot, true);
	}
	return true;
}

struct flight_table *flight_open(const char *run_folder, struct random *rnd)
{
	struct flight_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->shm.fd = t->wake_in = -1;
	for (unsigned i = 0; i < WAKE_SLOTS; i++)
		t->wake_out[i] = -1;
	t->rnd = rnd;
	snprintf(t->folder, sizeof(t->folder), "%s", run_folder);
	shm_guard_install();
	if (attach(t))
		return t;
	free(t);
	return NULL;
}

void flight_close(struct flight_table *t)
{
	if (!t)
		return;
	fd_close(&t->wake_in);
	for (unsigned i = 0; i < WAKE_SLOTS; i++)
		fd_close(&t->wake_out[i]);
	shm_close(&t->shm);
	free(t);
}

void flight_check(struct flight_table *t)
{
	if (shm_gone(&t->shm))
		attach(t);
}

int flight_wake_fd(const struct flight_table *t)
{
	return t->wake_in;
}

void flight_wake_drain(struct flight_table *t)
{
	char bytes[256];
	for (unsigned i = 0; i < 16; i++)
		if (read(t->wake_in, bytes, sizeof(bytes)) < (ssize_t)sizeof(bytes))
			break;
}

struct flight_numbers flight_numbers(const struct flight_table *t)
{
	return (struct flight_numbers){
		.damaged = t->damaged,
		.taken_over = t->taken_over,
		.slot = t->slot,
		.shared = t->shm.fd >= 0,
	};
}

/* --- who lives --------------------------------------------------- */

static bool lives(struct flight_table *t, unsigned slot, const struct now *now)
{
	/* a row of our own slot that we do not hold: of one before us */
	if (slot == t->slot || slot >= SLOTS || t->shm.fd < 0)
		return false;
	if (t->asked_us[slot] && now->mono_us - t->asked_us[slot] < ALIVE_US)
		return t->lives[slot];
	struct flock lock = { .l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = LOCK_BASE + slot,
		.l_len = 1 };
	t->lives[slot] =
		fcntl(t->shm.fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
	t->asked_us[slot] = now->mono_us;
	return t->lives[slot];
}

static void wake(struct flight_table *t, struct row *r)
{
	uint64_t bits = __atomic_exchange_n(&r->waiters, 0, __ATOMIC_SEQ_CST);
	if (t->slot < WAKE_SLOTS)
		bits &= ~(UINT64_C(1) << t->slot);
	for (; bits && t->shm.fd >= 0; bits &= bits - 1) {
		const unsigned slot = (unsigned)__builtin_ctzll(bits);
		int *fd = &t->wake_out[slot];
		if (*fd < 0)
			*fd = open_fifo(t, slot, false);
		if (*fd >= 0)
			(void)!write(*fd, "", 1); /* full: it will wake anyway */
	}
}

/* --- results ----------------------------------------------------- */

static uint64_t record_check(
	const struct flight_table *t, const union copy *c, size_t len)
{
	struct hash_state h;
	hash_begin(&h, &t->seed);
	hash_add(&h, &c->head.position, sizeof(c->head.position));
	hash_add(&h, c->head.key, sizeof(c->head.key));
	hash_add(&h, c->bytes + sizeof(c->head), len);
	return hash_end(&h) ^ len;
}

static size_t record_size(size_t len)
{
	return (sizeof(struct record) + len + LOG_UNIT - 1) / LOG_UNIT * LOG_UNIT;
}

static bool copy_result(struct flight_table *t, const struct row *r,
	const struct fetch_key *key, const uint8_t **pkt, size_t *len)
{
	union copy *c = &t->copy;
	const uint64_t position = load(&r->result);
	const uint64_t at = position % LIMIT_FETCH_RESULTS;
	if (position % LOG_UNIT || at + sizeof(c->head) > LIMIT_FETCH_RESULTS)
		return false;
	const uint64_t *from = &t->seg->log[at / 8];
	size_t i = 0;
	for (; i < sizeof(c->head) / 8; i++)
		c->words[i] = load(&from[i]);
	const uint64_t size = c->head.len;
	if (c->head.position != position || size > RESULT_MAX ||
		c->head.key[0] != key->h[0] || c->head.key[1] != key->h[1] ||
		at + record_size(size) > LIMIT_FETCH_RESULTS)
		return false;
	for (; i < record_size(size) / 8; i++)
		c->words[i] = load(&from[i]);
	if (record_check(t, c, size) != c->head.check)
		return false;
	*pkt = c->bytes + sizeof(c->head);
	*len = size;
	return true;
}

/* 0: it does not fit. */
static uint64_t append(struct flight_table *t, const struct fetch_key *key,
	const uint8_t *pkt, size_t len)
{
	const size_t size = record_size(len);
	if (len > RESULT_MAX)
		return 0;
	uint64_t position = 0, at = 0;
	for (unsigned tries = 0; tries < 3; tries++) {
		position = __atomic_fetch_add(&t->seg->tail, size, __ATOMIC_RELAXED);
		position -= position % LOG_UNIT; /* only damage makes it odd */
		at = position % LIMIT_FETCH_RESULTS;
		if (position && at + size <= LIMIT_FETCH_RESULTS)
			break;
		position = 0;
	}
	if (!position)
		return 0;
	union copy *c = &t->build;
	c->words[size / 8 - 1] = c->words[size / 8 - 2] = 0;
	c->head = (struct record){
		.position = position, .key = { key->h[0], key->h[1] }, .len = len
	};
	if (len)
		memcpy(c->bytes + sizeof(c->head), pkt, len);
	c->head.check = record_check(t, c, len);
	uint64_t *to = &t->seg->log[at / 8];
	for (size_t i = 0; i < size / 8; i++)
		store(&to[i], c->words[i]);
	return position;
}

/* --- rows -------------------------------------------------------- */

static struct row *bucket_of(const struct flight_table *t, const struct fetch_key *key)
{
	return &t->seg->rows[key->h[0] % (ROWS / WAYS) * WAYS];
}

static bool row_is(
	const struct row *r, const struct state *s, const struct fetch_key *key)
{
	if (s->phase == FREE || s->tag != tag_of(key))
		return false;
	/* the key is being written: the tag must do for that moment */
	return s->phase == CLAIMING ||
	       (load(&r->key[0]) == key->h[0] && load(&r->key[1]) == key->h[1]);
}

static struct row *find(const struct flight_table *t, const struct fetch_key *key,
	const struct row *but, uint64_t *state)
{
	struct row *r = bucket_of(t, key);
	for (unsigned i = 0; i < WAYS; i++, r++) {
		*state = load_acquire(&r->state);
		const struct state s = unpack(*state);
		if (r != but && row_is(r, &s, key))
			return r;
	}
	return NULL;
}

/* The first one that is free, so that two who look at the same time meet at one. */
static struct row *find_free(const struct flight_table *t, const struct fetch_key *key,
	const struct now *now, uint64_t *state)
{
	struct row *r = bucket_of(t, key);
	for (unsigned i = 0; i < WAYS; i++, r++) {
		*state = load_acquire(&r->state);
		const struct state s = unpack(*state);
		if (s.phase == FREE || over(&s, now))
			return r;
	}
	return NULL;
}

/* Another that claimed the same in another row at the same time. */
static bool must_yield(const struct flight_table *t, const struct fetch_key *key,
	const struct row *mine, const struct now *now)
{
	uint64_t word;
	const struct row *r = find(t, key, mine, &word);
	if (!r)
		return false;
	const struct state s = unpack(word);
	return !over(&s, now) && s.slot != t->slot && (s.phase != CLAIMING || r < mine);
}

static bool claim(struct flight_table *t, struct row *r, uint64_t was,
	const struct fetch_key *key, const struct now *now, int64_t lease_us,
	struct flight *out)
{
	const struct state old = unpack(was);
	struct state s = {
		.phase = CLAIMING,
		.slot = (uint8_t)t->slot,
		.version = (uint16_t)(old.version + 1),
		.tag = tag_of(key),
		.due_ms = due_at(now, CLAIM_MS * 1000),
	};
	const uint64_t claimed = pack(&s);
	if (!swap(&r->state, was, claimed))
		return false;
	store(&r->key[0], key->h[0]);
	store(&r->key[1], key->h[1]);
	s.phase = OWNED;
	s.due_ms = due_at(now, lease_us);
	const uint64_t owned = pack(&s);
	if (!swap(&r->state, claimed, owned))
		return false;
	*out = (struct flight){
		.state = owned, .row = (uint32_t)(r - t->seg->rows), .held = true
	};
	if (must_yield(t, key, r, now)) {
		flight_release(t, out);
		return false;
	}
	if (old.phase == OWNED && old.tag == s.tag)
		t->taken_over++;
	return true;
}

/* The bit first, then the state again: see above. */
static bool wait_for(struct flight_table *t, struct row *r, uint64_t state)
{
	if (t->slot < WAKE_SLOTS)
		__atomic_fetch_or(
			&r->waiters, UINT64_C(1) << t->slot, __ATOMIC_SEQ_CST);
	const uint64_t again = __atomic_load_n(&r->state, __ATOMIC_SEQ_CST);
	const struct state was = unpack(state), is = unpack(again);
	return was.phase == is.phase && was.slot == is.slot && was.tag == is.tag;
}

enum flight_role flight_join(struct flight_table *t, const struct fetch_key *key,
	const struct now *now, int64_t lease_us, struct flight *out,
	const uint8_t **pkt, size_t *len)
{
	*out = (struct flight){ 0 };
	if (t->slot >= SLOTS)
		return FLIGHT_NONE;
	for (unsigned tries = 0; tries < JOIN_TRIES; tries++) {
		uint64_t word;
		struct row *r = find(t, key, NULL, &word);
		const struct state s = unpack(r ? word : 0);
		if (r && s.phase == DONE && !over(&s, now)) {
			if (copy_result(t, r, key, pkt, len))
				return FLIGHT_RESULT;
			if (load_acquire(&r->state) == word)
				t->damaged++;
		} else if (r && s.phase != DONE && !over(&s, now) &&
			   lives(t, s.slot, now)) {
			if (wait_for(t, r, word))
				return FLIGHT_TAKEN;
			continue;
		}
		if (!r)
			r = find_free(t, key, now, &word);
		if (!r)
			return FLIGHT_NONE;
		if (claim(t, r, word, key, now, lease_us, out))
			return FLIGHT_OWNED;
	}
	return FLIGHT_NONE;
}

static struct row *row_of(const struct flight_table *t, const struct flight *f)
{
	return &t->seg->rows[f->row % ROWS];
}

bool flight_renew(struct flight_table *t, struct flight *f, const struct now *now,
	int64_t lease_us)
{
	if (!f->held)
		return false;
	struct state s = unpack(f->state);
	s.due_ms = due_at(now, lease_us);
	const uint64_t next = pack(&s);
	f->held = swap(&row_of(t, f)->state, f->state, next);
	f->state = next;
	return f->held;
}

void flight_publish(struct flight_table *t, struct flight *f,
	const struct fetch_key *key, const struct now *now, const uint8_t *pkt,
	size_t len)
{
	uint64_t word;
	struct row *r = find(t, key, NULL, &word);
	f->held = false;
	if (!r)
		return;
	const uint64_t position = append(t, key, pkt, len);
	struct state s = unpack(word);
	const bool open = s.phase == OWNED || (s.phase == DONE && over(&s, now));
	if (!position || !open)
		return;
	store(&r->result, position);
	s.phase = DONE;
	s.version++;
	s.due_ms = due_at(now, FLIGHT_KEEP_US);
	const uint64_t done = pack(&s);
	/* renewed, or taken over, since we looked: it is still the same fetch */
	for (unsigned tries = 0; tries < 3 && !swap(&r->state, word, done); tries++) {
		word = load_acquire(&r->state);
		const struct state now_is = unpack(word);
		if (now_is.phase != OWNED || !row_is(r, &now_is, key))
			break;
	}
	wake(t, r);
}

void flight_release(struct flight_table *t, struct flight *f)
{
	if (!f->held)
		return;
	struct row *r = row_of(t, f);
	struct state s = unpack(f->state);
	s.phase = FREE;
	s.version++;
	f->held = false;
	if (swap(&r->state, f->state, pack(&s)))
		wake(t, r);
}
