/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/tokens.c - a row is one word {tag 20, end 44}: until when, in microseconds of the
 * monotonic clock, everything leased so far would last at the client's rate (GCRA). A
 * lease of n moves the end by n intervals with one CAS; it is refused when the end would
 * lie further ahead than the burst lasts. So rows fill up by themselves, and one whose end
 * has passed is free. Eight rows are a cache line and a bucket; of a full one the row that
 * ends first goes. Nobody owns a row: there is nothing to clean up after a death, but the
 * rest of a batch, a sixteenth of the burst at most. */
#include "cache/tokens.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "shm/shm.h"

#define TOKENS_MAGIC UINT64_C(0x736b6f7421216873) /* "sh!!toks" */
#define END_MAX ((UINT64_C(1) << 44) - 1)

enum {
	BUCKETS = 32768,
	WAYS = 8,
	OWN = 8192, /* batches that this instance holds */
	BATCH_SHARE = 16,
	BATCH_US = 500 * 1000, /* and no more than this much of the rate at once */
	OWN_LIFE_US = 1000 * 1000,
	AHEAD_MAX_US = 61 * 1000 * 1000, /* further: damage */
	TRIES = 8,
};

struct segment {
	struct shm_head head;
	struct hash_key key;
	uint64_t key_check;
	uint64_t unused;
	uint64_t rows[BUCKETS * WAYS];
};

static_assert(offsetof(struct segment, rows) % 64 == 0, "a bucket is a cache line");

/* What is left of a batch. */
struct own {
	uint64_t hash;
	int64_t end_us;
	uint32_t left;
};

struct tokens {
	char folder[200];
	struct random *rnd;
	struct shm shm;
	struct segment *seg;
	struct hash_key key;
	struct own own[OWN];
};

static uint64_t key_sum(const struct hash_key *key)
{
	return hash_sip13(key, key, sizeof(*key));
}

static void format(void *base, size_t size, void *ctx)
{
	(void)size;
	struct segment *seg = base;
	random_fill(ctx, &seg->key, sizeof(seg->key));
	seg->key_check = key_sum(&seg->key);
}

static bool open_file(const struct tokens *t, struct shm *out, bool fresh)
{
	char folder[240], path[256], reason[256];
	snprintf(folder, sizeof(folder), "%s/shm", t->folder);
	snprintf(path, sizeof(path), "%s/tokens-v%d", folder, TOKENS_LAYOUT);
	(void)fd_make_folder(folder, 0700);
	const struct shm_want want = {
		.path = path,
		.magic = TOKENS_MAGIC,
		.layout = TOKENS_LAYOUT,
		.size = sizeof(struct segment),
		.fresh = fresh,
		.mode = 0600,
		.format = format,
		.ctx = t->rnd,
	};
	const enum shm_result how = shm_open_file(out, &want, reason);
	if (how == SHM_ANONYMOUS)
		log_warning(CACHE, "%s: %s; this instance counts clients alone", path,
			reason);
	return how != SHM_FAILED;
}

/* A file without a whole key is made anew. */
static bool open_segment(struct tokens *t)
{
	struct shm shm;
	if (!open_file(t, &shm, false))
		return false;
	const struct segment *seg = shm.base;
	if (seg->key_check != key_sum(&seg->key)) {
		shm_close(&shm);
		if (!open_file(t, &shm, true))
			return false;
	}
	shm_close(&t->shm);
	t->shm = shm;
	t->seg = shm.base;
	t->key = t->seg->key;
	return true;
}

struct tokens *tokens_open(const char *run_folder, struct random *rnd)
{
	struct tokens *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	snprintf(t->folder, sizeof(t->folder), "%s", run_folder);
	t->rnd = rnd;
	t->shm.fd = -1;
	shm_guard_install();
	if (open_segment(t))
		return t;
	tokens_close(t);
	return NULL;
}

void tokens_close(struct tokens *t)
{
	if (!t)
		return;
	shm_close(&t->shm);
	free(t);
}

void tokens_tick(struct tokens *t)
{
	if (shm_gone(&t->shm))
		(void)open_segment(t); /* else the old one serves on */
}

/* When a row's batches end; a time that no lease makes counts as passed. The clock's upper
 * bits are not in the row: after 203 days they are not 0. */
static uint64_t end_of(uint64_t row, uint64_t now_us)
{
	const uint64_t ahead = (row - now_us) & END_MAX;
	return ahead <= AHEAD_MAX_US ? now_us + ahead : now_us;
}

static uint64_t *find_row(
	struct tokens *t, uint64_t hash, uint64_t now_us, uint64_t *was)
{
	uint64_t *bucket = &t->seg->rows[hash % BUCKETS * WAYS];
	uint64_t *worst = bucket, worst_was = 0, least = UINT64_MAX;
	for (unsigned i = 0; i < WAYS; i++) {
		const uint64_t row = __atomic_load_n(&bucket[i], __ATOMIC_RELAXED);
		if (row && row >> 44 == hash >> 44) {
			*was = row;
			return &bucket[i];
		}
		const uint64_t end = row ? end_of(row, now_us) : 0;
		if (end < least) {
			least = end;
			worst = &bucket[i];
			worst_was = row;
		}
	}
	*was = worst_was;
	return worst;
}

/* How many of `want` there are; 0: none. */
static uint32_t lease(struct tokens *t, uint64_t hash, const struct tokens_limit *limit,
	uint32_t want, uint64_t now_us)
{
	const uint64_t interval = 1000000 / limit->per_s;
	const uint64_t ahead = interval * limit->burst;
	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t was = 0;
		uint64_t *row = find_row(t, hash, now_us, &was);
		const bool mine = was && was >> 44 == hash >> 44;
		const uint64_t begin = mine ? end_of(was, now_us) : now_us;
		const uint64_t room = now_us + ahead > begin
					      ? (now_us + ahead - begin) / interval
					      : 0;
		const uint64_t got = room < want ? room : want;
		const uint64_t is =
			hash >> 44 << 44 | ((begin + got * interval) & END_MAX);
		if (!got)
			return 0;
		if (__atomic_compare_exchange_n(
			    row, &was, is, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return (uint32_t)got;
	}
	return 1; /* everybody writes here: not worth a refusal */
}

bool tokens_take(struct tokens *t, uint32_t group, const void *client, uint8_t len,
	const struct tokens_limit *limit, const struct now *now)
{
	assert(limit->per_s && limit->per_s <= 1000000 && limit->burst &&
		limit->burst <= UINT64_C(60) * limit->per_s);
	struct hash_state h;
	hash_begin(&h, &t->key);
	hash_add(&h, &group, sizeof(group));
	hash_add(&h, client, len);
	const uint64_t hash = hash_end(&h);
	struct own *own = &t->own[(hash >> 20) % OWN];
	if (own->hash == hash && own->left && now->mono_us < own->end_us) {
		own->left--;
		return true;
	}
	const uint64_t by_time =
		(uint64_t)limit->per_s * BATCH_US / 1000000 / BATCH_SHARE;
	const uint32_t by_burst = limit->burst / BATCH_SHARE;
	const uint32_t want = 1 + (by_time < by_burst ? (uint32_t)by_time : by_burst);
	const uint32_t got = lease(t, hash, limit, want, (uint64_t)now->mono_us);
	if (!got)
		return false;
	/* what another client's batch had here is lost to it */
	*own = (struct own){
		.hash = hash, .end_us = now->mono_us + OWN_LIFE_US, .left = got - 1
	};
	return true;
}
