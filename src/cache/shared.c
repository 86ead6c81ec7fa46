/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/shared.c - the lock-free protocol on the segment: all atomics of the cache.
 *
 * The segment: head | clear lines | index | log MAIN | log YOUNG. A log is circular; a
 * position counts bytes over its whole life, so `position % size` is where it lies and
 * `tail - position` how old it is. An index slot is one word {tag 16, region 1,
 * position in units 47}; a bucket is two cache lines of them. Nothing is ever locked,
 * freed or waited for.
 *
 * A writer                                      if it dies or stops after this step
 *  1 builds the entry in private memory         nothing happened
 *  2 reserves: position = fetch_add(tail)       a gap; what lay there is dead by age
 *  3 copies the words, relaxed, with check      bytes that no slot names
 *  4 looks whether the log came round to it     the same
 *  5 swaps the slot by CAS: published           the entry is there, whole
 *  6 takes away a twin in another slot          two slots, until the key's next write
 *
 * 5 comes after 3, so that a slot names only what was written whole. It is a CAS
 * against what was read in the beginning, so that a slow writer does not replace a
 * newer entry unseen. A writer that was stopped in 3 and goes on after the log came
 * round writes over newer entries: their check is wrong from then on, which costs
 * misses. Nobody takes its bytes for those entries, as the position is part of both
 * slot and check.
 *
 * A reader writes nothing; it
 *  1 loads the slot (acquire) and compares the tag, in the home line of the bucket first,
 *    which the hash chooses and where entries go while there is room;
 *  2 loads the tail: a position that is a whole log behind it is dead;
 *  3 copies the head, bounds the length by what it knows, copies the rest (relaxed);
 *  4 verifies position and check on the copy: whoever wrote meanwhile made them wrong;
 *  5 when they are, lets the tail tell "written over" (a miss) from damage (counted);
 *  6 compares the key on the copy.
 *
 * By step 4 any order of loads is safe; a weak one only misses more.
 *
 * Clearing                                      if it dies or stops after this step
 *  1 number = fetch_add(reserved) + 1           a number without a line: see below
 *  2 line[number % LINES] = what, and check     a line nobody expects: harmless
 *  3 generation: CAS up to number; if it is     not cleared, and the caller was not
 *    higher already, again from 1               told that it was
 *
 * Line before generation: who starts at generation g sees all lines up to g, so what it
 * finds is not cleared, and what it stores bears g. An entry of generation e is judged
 * by the lines e+1 .. now. A number whose line is not there (its clearer died, a
 * stopped clearer wrote its old line over it, damage, the ring came round) counts as
 * "everything older is cleared". So death and damage cost entries, never a clear.
 *
 * The check is two lanes of 64x64 to 128 bit multiplication, folded, over words xored
 * with seeds, in the same loop as the copying. The seeds are random for each segment,
 * so that nobody who chooses names and values can make two halves that fit. */
#include "cache/shared.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#define VECTORS
#include <emmintrin.h>
#endif

#include "shm/shm.h"

enum {
	CREDIT_FACTOR = 4, /* bytes that may be moved for each new one */
	INSERT_TRIES = 4,
	APPEND_TRIES =
		4, /* the end of the log does not fit: once; others at work: again */
	SAMPLE_BUCKETS = 8192, /* for counting */
	SLOT_BYTES = 96,       /* of log for each slot */
	YOUNG_SHARE = 8,
	AGE_FULL = 1024, /* of an entry about to be written over */
	AHEAD_MOST = 512,
	AGE_LAPS = 64, /* older dead ones are equally old */
	HEAD_WORDS = sizeof(struct entry_head) / 8,
	HALF = SHARED_WAYS / 2,   /* of a bucket: one cache line */
	INHERIT_AHEAD = 1 << 16,  /* generations above the segment before */
	RESERVED_AHEAD = 1 << 20, /* further: damage */
	YOUNG_MIN = 256 * 1024,
};

#define REF_UNITS ((UINT64_C(1) << 47) - 1)
#define REF_YOUNG (UINT64_C(1) << 47)
#define GENERATION_MAX ((UINT64_C(1) << 40) - 1)

struct shared_line {
	alignas(64)
		uint64_t tail; /* starts at the log's size, so that no position is 0 */
	int64_t credit;
	uint64_t inserts;
	uint64_t evictions;
};

struct clear_slot {
	uint64_t generation;
	uint64_t name;
	uint64_t above;
	uint64_t meta; /* type 16, labels 8, flags 8, check 32 */
};

struct shared_segment {
	struct shm_head head;
	struct shared_secrets secrets;
	uint64_t secrets_check;
	struct shared_line log[REGION_COUNT];
	/* read by every reader, written seldom: a cache line of its own */
	alignas(64) uint64_t generation; /* value 40, check 24 */
	uint64_t epoch;                  /* value 32, check 32 */
	alignas(64) uint64_t reserved;
	uint64_t clears;
	alignas(64) struct clear_slot lines[LIMIT_CLEAR_LINES];
};

static_assert(sizeof(struct shared_line) == 64, "one cache line");
static_assert(sizeof(struct clear_slot) == 32, "two to a cache line");
static_assert(offsetof(struct shared_segment, lines) == 384, "layout");
static_assert(sizeof(struct shared_segment) % 64 == 0, "the index follows");

#define load(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define add(p, v) __atomic_fetch_add(p, v, __ATOMIC_RELAXED)

/* Sequentially consistent: two writers of one key in two slots must not overlook each
 * other. */
static bool swap(uint64_t *word, uint64_t was, uint64_t is)
{
	return __atomic_compare_exchange_n(
		word, &was, is, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

#define POINT(step)                                                                    \
	do {                                                                           \
		if (shared_test_point)                                                 \
			shared_test_point(step);                                       \
	} while (0)

/* --- checks ------------------------------------------------------ */

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	const unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

struct lanes {
	uint64_t a, b;
};

static inline struct lanes lanes_begin(const uint64_t seed[4])
{
	return (struct lanes){ seed[0], seed[1] };
}

static inline uint64_t lanes_end(
	const struct lanes *l, const uint64_t seed[4], uint64_t position, size_t size)
{
	return fold(l->a ^ position ^ seed[3], l->b ^ size ^ seed[2]);
}

/* Words 2..7: what the head holds besides position and check. */
static inline void lanes_head(
	struct lanes *l, const uint64_t *w, const uint64_t seed[4])
{
	l->a = fold(w[2] ^ seed[2], w[3] ^ l->a);
	l->b = fold(w[4] ^ seed[3], w[5] ^ l->b);
	l->a = fold(w[6] ^ seed[2], w[7] ^ l->a);
}

static inline void lanes_two(struct lanes *l, const uint64_t *w, const uint64_t seed[4])
{
	l->a = fold(w[0] ^ seed[2], w[1] ^ l->a);
}

static inline void lanes_four(
	struct lanes *l, const uint64_t *w, const uint64_t seed[4])
{
	l->a = fold(w[0] ^ seed[2], w[1] ^ l->a);
	l->b = fold(w[2] ^ seed[3], w[3] ^ l->b);
}

static uint64_t entry_check(
	const union entry *e, const uint64_t seed[4], size_t size, uint64_t position)
{
	struct lanes l = lanes_begin(seed);
	lanes_head(&l, e->words, seed);
	size_t i = HEAD_WORDS;
	for (; i + 4 <= size / 8; i += 4)
		lanes_four(&l, &e->words[i], seed);
	if (i < size / 8)
		lanes_two(&l, &e->words[i], seed);
	return lanes_end(&l, seed, position, size);
}

static uint64_t word_check(const struct shared *s, uint64_t value)
{
	return fold(value ^ s->seed[0], s->seed[1] | 1);
}

/* --- geometry ---------------------------------------------------- */

static struct shared_log make_log(
	uint8_t *base, uint64_t size, struct shared_line *line)
{
	return (struct shared_log){
		.base = base,
		.size = size,
		.inverse = UINT64_MAX / size,
		.age_scale = ((uint64_t)AGE_FULL << 32) / size,
		.line = line,
	};
}

static void lay_out(struct shared *s, void *base, size_t size)
{
	s->seg = base;
	const uint64_t rest = size - sizeof(struct shared_segment);
	uint8_t *at = (uint8_t *)base + sizeof(struct shared_segment);
	s->index = (uint64_t *)(void *)at;
	s->buckets = rest / SLOT_BYTES / SHARED_WAYS;
	const uint64_t index = s->buckets * SHARED_WAYS * sizeof(uint64_t);
	const uint64_t logs = rest - index;
	uint64_t young = logs / YOUNG_SHARE;
	if (young < YOUNG_MIN)
		young = YOUNG_MIN;
	young -= young % 64;
	uint64_t main = logs - young;
	main -= main % 64;
	s->log[REGION_MAIN] = make_log(at + index, main, &s->seg->log[REGION_MAIN]);
	s->log[REGION_YOUNG] =
		make_log(at + index + main, young, &s->seg->log[REGION_YOUNG]);
}

static uint64_t secrets_sum(const struct shared_secrets *k)
{
	return fold(k->key.k0 ^ k->seed[0], k->key.k1 ^ k->seed[1] ^ 1) ^
	       fold(k->seed[2], k->seed[3] | 1);
}

void shared_format(void *base, size_t size, const struct shared_secrets *secrets)
{
	struct shared s = { .key = secrets->key };
	memcpy(s.seed, secrets->seed, sizeof(s.seed));
	lay_out(&s, base, size);
	struct shared_segment *seg = s.seg;
	seg->secrets = *secrets;
	seg->secrets_check = secrets_sum(secrets);
	for (unsigned i = 0; i < REGION_COUNT; i++)
		seg->log[i].tail = s.log[i].size;
	/* higher than that of any segment before it, so what began with that one is
	 * refused */
	const uint64_t first = (seg->head.created_s << 8 & GENERATION_MAX) | 1;
	seg->generation = first << 24 | word_check(&s, first) >> 40;
	seg->reserved = first;
	const uint64_t epoch = (uint32_t)seg->head.created_s | 1u;
	seg->epoch = epoch << 32 | word_check(&s, epoch) >> 32;
}

static void set_generation(struct shared *s, uint64_t value);

void shared_format_after(void *base, size_t size, const struct shared *old,
	uint64_t generation, uint32_t epoch)
{
	struct shared s;
	shared_format(base, size, &old->seg->secrets);
	const bool fine = shared_attach(&s, base, size);
	assert(fine);
	(void)fine;
	set_generation(&s, (generation + INHERIT_AHEAD) & GENERATION_MAX);
	s.seg->epoch = (uint64_t)epoch << 32 | word_check(&s, epoch) >> 32;
}

bool shared_attach(struct shared *s, void *base, size_t size)
{
	if (size < CACHE_SIZE_MIN)
		return false;
	lay_out(s, base, size);
	const struct shared_secrets secrets = s->seg->secrets;
	s->key = secrets.key;
	memcpy(s->seed, secrets.seed, sizeof(s->seed));
	return s->seg->secrets_check == secrets_sum(&secrets);
}

/* --- index and logs: reading ------------------------------------------------------ */

enum shared_region shared_region(uint64_t ref)
{
	return ref & REF_YOUNG ? REGION_YOUNG : REGION_MAIN;
}

static uint64_t make_ref(uint64_t hash, enum shared_region region, uint64_t position)
{
	return (hash >> 48) << 48 | (region == REGION_YOUNG ? REF_YOUNG : 0) |
	       (position / ENTRY_UNIT & REF_UNITS);
}

/* How many bytes behind the tail; 0: dead. */
static uint64_t behind(const struct shared_log *log, uint64_t ref, uint64_t tail)
{
	const uint64_t bytes =
		((tail / ENTRY_UNIT - (ref & REF_UNITS)) & REF_UNITS) * ENTRY_UNIT;
	return bytes <= log->size ? bytes : 0;
}

static bool alive(const struct shared *s, uint64_t ref)
{
	const struct shared_log *log = &s->log[shared_region(ref)];
	return behind(log, ref, load(&log->line->tail)) != 0;
}

bool shared_older(const struct shared *s, uint64_t ref, unsigned eighths)
{
	const struct shared_log *log = &s->log[shared_region(ref)];
	const uint64_t bytes = behind(log, ref, load(&log->line->tail));
	return !bytes || bytes * 8 >= log->size * eighths;
}

/* position % size, without a division. */
static inline uint64_t place(const struct shared_log *log, uint64_t position)
{
	const uint64_t laps =
		(uint64_t)((unsigned __int128)position * log->inverse >> 64);
	const uint64_t at = position - laps * log->size;
	return at < log->size ? at : at - log->size;
}

static uint64_t *bucket_of(const struct shared *s, uint64_t hash)
{
	const uint64_t i = (hash & UINT32_MAX) * s->buckets >> 32;
	return s->index + i * SHARED_WAYS;
}

/* A bucket's two cache lines: entries go to the one that their hash chooses as long as
 * there is room, and are looked for there first. */
static unsigned home_of(uint64_t hash)
{
	return hash >> 32 & HALF;
}

void shared_prefetch(const struct shared *s, uint64_t hash)
{
	__builtin_prefetch(bucket_of(s, hash) + home_of(hash));
}

void shared_prefetch_other(const struct shared *s, uint64_t hash)
{
	__builtin_prefetch(bucket_of(s, hash) + (home_of(hash) ^ HALF));
}

/* Which of eight slots have the hash's tag, a bit each. Only a hint: who goes on reads the
 * slot anew. */
#ifdef VECTORS
static inline __m128i tags_of_four(const __m128i *v)
{
	const __m128 a = _mm_castsi128_ps(_mm_load_si128(v)),
		     b = _mm_castsi128_ps(_mm_load_si128(v + 1));
	const __m128i high = _mm_castps_si128(_mm_shuffle_ps(a, b, 0xdd));
	return _mm_srai_epi32(high, 16);
}

static unsigned tagged(const uint64_t *slot, uint64_t hash)
{
	const __m128i *v = (const __m128i *)(const void *)slot;
	const __m128i tags = _mm_packs_epi32(tags_of_four(v), tags_of_four(v + 2));
	const __m128i same = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)(hash >> 48)));
	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(same, _mm_setzero_si128()));
}
#else
static unsigned tagged(const uint64_t *slot, uint64_t hash)
{
	unsigned mask = 0;
	for (unsigned i = 0; i < HALF; i++)
		mask |= (unsigned)(load(&slot[i]) >> 48 == hash >> 48) << i;
	return mask;
}
#endif

static unsigned find_in(
	const struct shared *s, uint64_t *slot, uint64_t hash, struct shared_found *out)
{
	unsigned count = 0;
	for (unsigned mask = tagged(slot, hash); mask; mask &= mask - 1) {
		uint64_t *at = &slot[__builtin_ctz(mask)];
		const uint64_t ref = load_acquire(at);
		if (ref && ref >> 48 == hash >> 48 && alive(s, ref))
			out[count++] = (struct shared_found){ at, ref };
	}
	return count;
}

unsigned shared_find_home(const struct shared *s, uint64_t hash,
	struct shared_found out[static SHARED_WAYS / 2])
{
	return find_in(s, bucket_of(s, hash) + home_of(hash), hash, out);
}

unsigned shared_find(const struct shared *s, uint64_t hash,
	struct shared_found out[static SHARED_WAYS])
{
	uint64_t *bucket = bucket_of(s, hash);
	const unsigned home = home_of(hash);
	const unsigned count = find_in(s, bucket + home, hash, out);
	return count + find_in(s, bucket + (home ^ HALF), hash, out + count);
}

bool shared_ghost(const struct shared *s, uint64_t hash, struct shared_found *out)
{
	uint64_t *slot = bucket_of(s, hash);
	for (unsigned i = 0; i < SHARED_WAYS; i++) {
		const uint64_t ref = load_acquire(&slot[i]);
		if (ref && ref >> 48 == hash >> 48 && !alive(s, ref)) {
			*out = (struct shared_found){ &slot[i], ref };
			return true;
		}
	}
	return false;
}

/* Two words at a time where the machine can; they may be torn, as any two words: the check
 * tells. */
static inline void copy_four(uint64_t *to, const uint64_t *from)
{
#ifdef VECTORS
	const __m128i a = _mm_load_si128((const __m128i *)(const void *)from),
		      b = _mm_load_si128((const __m128i *)(const void *)(from + 2));
	_mm_store_si128((__m128i *)(void *)to, a);
	_mm_store_si128((__m128i *)(void *)(to + 2), b);
#else
	for (unsigned i = 0; i < 4; i++)
		to[i] = load(&from[i]);
#endif
}

static bool copy_entry(const struct shared *s, const struct shared_log *log,
	uint64_t position, uint64_t room, union entry *out)
{
	const uint64_t at = place(log, position);
	const uint64_t *from = (const uint64_t *)(const void *)(log->base + at);
	/* most entries take three or four lines: fetch them together (past the end does
	 * no harm) */
	__builtin_prefetch((const uint8_t *)from + 64);
	__builtin_prefetch((const uint8_t *)from + 128);
	__builtin_prefetch((const uint8_t *)from + 176);
	uint64_t *w = out->words;
	if (at + HEAD_WORDS * 8 > log->size) /* only a damaged slot leads there */
		return false;
	copy_four(w, from);
	copy_four(w + 4, from + 4);
	const size_t size = entry_size(&out->head);
	if (out->head.position != position || size > ENTRY_MAX || size > room ||
		at + size > log->size)
		return false;
	struct lanes l = lanes_begin(s->seed);
	lanes_head(&l, w, s->seed);
	size_t i = HEAD_WORDS;
	for (; i + 4 <= size / 8; i += 4) {
		copy_four(w + i, from + i);
		lanes_four(&l, &w[i], s->seed);
	}
	if (i < size / 8) {
		w[i] = load(&from[i]);
		w[i + 1] = load(&from[i + 1]);
		lanes_two(&l, &w[i], s->seed);
	}
	return lanes_end(&l, s->seed, position, size) == out->head.check;
}

enum shared_copied shared_copy(const struct shared *s, uint64_t ref, union entry *out)
{
	const struct shared_log *log = &s->log[shared_region(ref)];
	const uint64_t tail = load_acquire(&log->line->tail);
	const uint64_t bytes = behind(log, ref, tail);
	if (!bytes)
		return COPY_GONE;
	const uint64_t position = tail / ENTRY_UNIT * ENTRY_UNIT - bytes;
	if (copy_entry(s, log, position, bytes, out))
		return COPIED;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return alive(s, ref) ? COPY_DAMAGED : COPY_GONE;
}

/* Head and name of what lies at a position. */
static bool copy_head(const struct shared_log *log, uint64_t position, union entry *out)
{
	const uint64_t at = place(log, position);
	if (at + HEAD_WORDS * 8 + ENTRY_NAME_MAX > log->size)
		return false;
	const uint64_t *from = (const uint64_t *)(const void *)(log->base + at);
	copy_four(out->words, from);
	copy_four(out->words + 4, from + 4);
	const unsigned end = HEAD_WORDS + (out->head.name_len + 7u) / 8;
	for (unsigned i = HEAD_WORDS; i < end; i++)
		out->words[i] = load(&from[i]);
	return out->head.position == position;
}

bool shared_head(const struct shared *s, uint64_t ref, union entry *out)
{
	const struct shared_log *log = &s->log[shared_region(ref)];
	const uint64_t tail = load_acquire(&log->line->tail);
	const uint64_t bytes = behind(log, ref, tail);
	return bytes && copy_head(log, tail / ENTRY_UNIT * ENTRY_UNIT - bytes, out);
}

void shared_prefetch_entry(const struct shared *s, uint64_t ref)
{
	const struct shared_log *log = &s->log[shared_region(ref)];
	const uint64_t tail = load(&log->line->tail);
	const uint64_t bytes = behind(log, ref, tail);
	const uint8_t *at =
		log->base + place(log, tail / ENTRY_UNIT * ENTRY_UNIT - bytes);
	__builtin_prefetch(at);
	__builtin_prefetch(at + 64);
	__builtin_prefetch(at + 128);
	__builtin_prefetch(at + 176);
}

/* --- index and logs: writing ------------------------------------------------------ */

static bool fits(const struct shared *s, size_t size)
{
	return size <= s->log[REGION_YOUNG].size / 2 && size <= ENTRY_MAX;
}

bool shared_main_full(const struct shared *s)
{
	const struct shared_log *log = &s->log[REGION_MAIN];
	return load(&log->line->tail) >= 2 * log->size;
}

uint64_t shared_half_laps(const struct shared *s)
{
	const struct shared_log *log = &s->log[REGION_MAIN];
	return load(&log->line->tail) / (log->size / 2);
}

bool shared_next_victim(
	const struct shared *s, size_t size, uint64_t *from, union entry *out)
{
	const struct shared_log *log = &s->log[REGION_MAIN];
	const uint64_t tail = load(&log->line->tail) / ENTRY_UNIT * ENTRY_UNIT;
	const uint64_t oldest = tail - log->size / ENTRY_UNIT * ENTRY_UNIT;
	uint64_t at = *from > oldest && *from < tail ? *from : oldest;
	/* where one begins is seen from its first word: its own position */
	for (; at < oldest + size; at += ENTRY_UNIT) {
		const uint8_t *bytes = log->base + place(log, at);
		if (load((const uint64_t *)(const void *)bytes) != at ||
			!copy_head(log, at, out))
			continue;
		/* its length may be a lie: then the next one is found by its word */
		const size_t len = entry_size(&out->head);
		*from = at + (len <= ENTRY_MAX ? len : ENTRY_UNIT);
		return true;
	}
	return false;
}

bool shared_victim(const struct shared *s, union entry *e)
{
	const struct shared_log *log = &s->log[REGION_MAIN];
	return copy_entry(s, log, e->head.position, log->size, e);
}

bool shared_named(const struct shared *s, uint64_t hash, const union entry *e,
	struct shared_found *out)
{
	const uint64_t ref = make_ref(hash, REGION_MAIN, e->head.position);
	uint64_t *slot = bucket_of(s, hash);
	for (unsigned i = 0; i < SHARED_WAYS; i++) {
		if (load_acquire(&slot[i]) != ref)
			continue;
		*out = (struct shared_found){ &slot[i], ref };
		return true;
	}
	return false;
}

bool shared_may_move(const struct shared *s)
{
	return load(&s->log[REGION_MAIN].line->credit) > 0;
}

/* Only a hint, so two writers may forget each other's part. */
static void account(const struct shared_log *log, size_t size, bool again)
{
	const int64_t most = (int64_t)log->size;
	if (load(&log->line->tail) < 2 * log->size)
		return; /* not full: nothing is overwritten yet */
	int64_t credit = load(&log->line->credit);
	credit += again ? -(int64_t)size : (int64_t)size * CREDIT_FACTOR;
	store(&log->line->credit, credit > most    ? most
				  : credit < -most ? -most
						   : credit);
}

static bool reserve(const struct shared_log *log, size_t size, uint64_t *position)
{
	for (unsigned i = 0; i < APPEND_TRIES; i++) {
		const uint64_t at = add(&log->line->tail, size);
		if (at % ENTRY_UNIT) /* only damage does this */
			add(&log->line->tail, ENTRY_UNIT - at % ENTRY_UNIT);
		else if (place(log, at) + size <= log->size) {
			*position = at;
			return true;
		}
	}
	return false;
}

uint64_t shared_append(struct shared *s, enum shared_region region, union entry *e,
	uint64_t hash, bool again)
{
	const struct shared_log *log = &s->log[region];
	const size_t used = entry_used(&e->head), size = entry_size(&e->head);
	assert(size <= ENTRY_MAX);
	memset(e->bytes + used, 0, size - used);
	uint64_t position = 0;
	if (!fits(s, size) || !reserve(log, size, &position))
		return 0;
	e->head.position = position;
	e->head.check = entry_check(e, s->seed, size, position);
	uint64_t *to = (uint64_t *)(void *)(log->base + place(log, position));
	for (size_t ahead = 0; ahead < size && ahead < AHEAD_MOST; ahead += 64)
		__builtin_prefetch(
			(uint8_t *)to + size + ahead, 1); /* the next one's */
	POINT("reserved");
	for (size_t i = 0; i < size / 8; i++) {
		if (i == size / 16)
			POINT("half copied");
		store(&to[i], e->words[i]);
	}
	POINT("copied");
	account(log, size, again);
	if (!again)
		add(&log->line->inserts, 1);
	const uint64_t ref = make_ref(hash, region, position);
	return alive(s, ref) ? ref : 0;
}

bool shared_replace(const struct shared_found *was, uint64_t ref)
{
	POINT("before swap");
	const bool done = swap(was->slot, was->ref, ref);
	POINT("after swap");
	return done;
}

/* Dead before YOUNG before MAIN, old before new: who floods us takes slots of his own,
 * and the dead that were here lately stay known the longest. */
static uint64_t badness(const struct shared *s, uint64_t ref)
{
	const struct shared_log *log = &s->log[shared_region(ref)];
	const uint64_t units =
		(load(&log->line->tail) / ENTRY_UNIT - (ref & REF_UNITS)) & REF_UNITS;
	const uint64_t bytes = units * ENTRY_UNIT, most = log->size * AGE_LAPS;
	const uint64_t age = (bytes < most ? bytes : most) * log->age_scale >> 32;
	const bool dead = bytes > log->size;
	return age + (dead || shared_region(ref) == REGION_YOUNG ? 2 * AGE_FULL : 0);
}

static struct shared_found worst_slot(
	const struct shared *s, uint64_t *slot, unsigned home)
{
	struct shared_found worst = { NULL, 0 };
	uint64_t worst_is = 0;
	for (unsigned n = 0; n < SHARED_WAYS; n++) {
		const unsigned i = n ^ home;
		const uint64_t ref = load_acquire(&slot[i]);
		if (!ref)
			return (struct shared_found){ &slot[i], 0 };
		const uint64_t bad = badness(s, ref);
		if (!worst.slot || bad > worst_is) {
			worst = (struct shared_found){ &slot[i], ref };
			worst_is = bad;
		}
	}
	return worst;
}

struct shared_found shared_insert(struct shared *s, uint64_t hash, uint64_t ref)
{
	for (unsigned i = 0; i < INSERT_TRIES; i++) {
		const struct shared_found worst =
			worst_slot(s, bucket_of(s, hash), home_of(hash));
		if (!shared_replace(&worst, ref))
			continue;
		if (worst.ref)
			add(&s->log[shared_region(ref)].line->evictions, 1);
		return (struct shared_found){ worst.slot, ref };
	}
	return (struct shared_found){ NULL, 0 };
}

uint64_t shared_slots(const struct shared *s)
{
	return s->buckets * SHARED_WAYS;
}

uint64_t shared_slot_ref(const struct shared *s, uint64_t i)
{
	const uint64_t ref = load_acquire(&s->index[i]);
	return ref && alive(s, ref) ? ref : 0;
}

void shared_count(const struct shared *s, struct shared_counts *out)
{
	*out = (struct shared_counts){ .clears = load(&s->seg->clears) };
	const uint64_t step = s->buckets / SAMPLE_BUCKETS + 1;
	uint64_t seen = 0;
	for (uint64_t b = 0; b < s->buckets; b += step, seen++)
		for (unsigned i = 0; i < SHARED_WAYS; i++)
			out->entries += shared_slot_ref(s, b * SHARED_WAYS + i) != 0;
	if (seen)
		out->entries = out->entries * s->buckets / seen;
	for (unsigned i = 0; i < REGION_COUNT; i++) {
		const struct shared_log *log = &s->log[i];
		const uint64_t written = load(&log->line->tail) - log->size;
		out->bytes += written < log->size ? written : log->size;
		out->inserts += load(&log->line->inserts);
		out->evictions += load(&log->line->evictions);
	}
}

/* --- clearing ---------------------------------------------------- */

uint64_t shared_lineage(const struct shared *s)
{
	return hash_sip13(&s->key, "lineage", 7);
}

static uint64_t generation_word(const struct shared *s, uint64_t value)
{
	return value << 24 | word_check(s, value) >> 40;
}

static uint64_t generation_value(const struct shared *s, uint64_t word)
{
	return word == generation_word(s, word >> 24) ? word >> 24 : 0;
}

static void set_generation(struct shared *s, uint64_t value)
{
	s->seg->generation = generation_word(s, value);
	s->seg->reserved = value;
}

uint64_t shared_generation(const struct shared *s)
{
	return generation_value(s, load_acquire(&s->seg->generation));
}

/* At least as high as any line that is still there, and a whole ring more, so that
 * everything stored until now is older than what the lines can tell. */
uint64_t shared_generation_repair(struct shared *s, uint64_t at_least)
{
	const uint64_t word = load_acquire(&s->seg->generation);
	uint64_t value = generation_value(s, word);
	if (value)
		return value;
	value = at_least;
	for (unsigned i = 0; i < LIMIT_CLEAR_LINES; i++) {
		struct shared_clear line;
		const uint64_t g = load(&s->seg->lines[i].generation);
		if (shared_clear_line(s, g, &line) && g > value)
			value = g;
	}
	value = (value + LIMIT_CLEAR_LINES + 1) & GENERATION_MAX;
	swap(&s->seg->generation, word, generation_word(s, value));
	return shared_generation(s);
}

static uint64_t line_check(const struct shared *s, const struct clear_slot *l)
{
	return fold(fold(l->generation ^ s->seed[0], l->name ^ s->seed[1]) ^ s->seed[2],
		       fold(l->above ^ s->seed[3],
			       (l->meta & UINT32_MAX) ^ s->seed[0])) >>
	       32;
}

bool shared_clear_line(
	const struct shared *s, uint64_t generation, struct shared_clear *out)
{
	const struct clear_slot *slot = &s->seg->lines[generation % LIMIT_CLEAR_LINES];
	const struct clear_slot l = { load(&slot->generation), load(&slot->name),
		load(&slot->above), load(&slot->meta) };
	if (!l.generation || l.generation != generation ||
		l.meta >> 32 != line_check(s, &l))
		return false;
	*out = (struct shared_clear){
		.generation = l.generation,
		.name = l.name,
		.type = (uint16_t)l.meta,
		.labels = (uint8_t)(l.meta >> 16),
		.flags = (uint8_t)(l.meta >> 24),
	};
	memcpy(out->above, &l.above, sizeof(l.above));
	return true;
}

static void write_line(struct shared *s, const struct shared_clear *line)
{
	struct clear_slot l = { .generation = line->generation, .name = line->name };
	memcpy(&l.above, line->above, sizeof(l.above));
	l.meta = (uint64_t)line->type | (uint64_t)line->labels << 16 |
		 (uint64_t)line->flags << 24;
	l.meta |= line_check(s, &l) << 32;
	struct clear_slot *slot = &s->seg->lines[l.generation % LIMIT_CLEAR_LINES];
	store(&slot->generation, l.generation);
	store(&slot->name, l.name);
	POINT("clear half written");
	store(&slot->above, l.above);
	store(&slot->meta, l.meta);
}

static void reserve_above(struct shared *s, uint64_t generation)
{
	uint64_t reserved = load(&s->seg->reserved);
	while (reserved - generation > RESERVED_AHEAD && /* below it, too */
		!swap(&s->seg->reserved, reserved, generation))
		reserved = load(&s->seg->reserved);
}

uint64_t shared_clear_publish(struct shared *s, struct shared_clear line)
{
	add(&s->seg->clears, 1);
	for (;;) {
		uint64_t word = load_acquire(&s->seg->generation);
		uint64_t now = generation_value(s, word);
		if (!now) {
			shared_generation_repair(s, 0);
			continue;
		}
		reserve_above(s, now);
		line.generation = (add(&s->seg->reserved, 1) + 1) & GENERATION_MAX;
		POINT("clear reserved");
		write_line(s, &line);
		POINT("clear written");
		while (now && now < line.generation) {
			if (swap(&s->seg->generation, word,
				    generation_word(s, line.generation)))
				return line.generation;
			word = load_acquire(&s->seg->generation);
			now = generation_value(s, word);
		}
	}
}

uint32_t shared_epoch(const struct shared *s)
{
	const uint64_t word = load_acquire(&s->seg->epoch), value = word >> 32;
	return word == (value << 32 | word_check(s, value) >> 32) ? (uint32_t)value : 0;
}

uint32_t shared_epoch_raise(struct shared *s, uint32_t at_least)
{
	for (;;) {
		const uint64_t word = load_acquire(&s->seg->epoch);
		uint64_t value = shared_epoch(s);
		if (value < at_least)
			value = at_least;
		value = (value + 1) & UINT32_MAX;
		if (!value)
			value = 1;
		if (swap(&s->seg->epoch, word,
			    value << 32 | word_check(s, value) >> 32))
			return (uint32_t)value;
	}
}

void shared_carry(struct shared *s, const struct shared *old, uint64_t from)
{
	POINT("carry");
	const uint64_t to = shared_generation(old);
	/* damaged, or more than the ring holds: everything */
	bool whole = to < from || to - from > LIMIT_CLEAR_LINES;
	for (uint64_t g = from + 1; !whole && g <= to; g++) {
		struct shared_clear line;
		if (shared_clear_line(old, g, &line))
			shared_clear_publish(s, line);
		else
			whole = true;
	}
	if (whole)
		shared_clear_publish(s, (struct shared_clear){ .flags = LINE_ALL });
	const uint32_t epoch = shared_epoch(old);
	if (epoch != shared_epoch(s))
		shared_epoch_raise(s, epoch);
}
