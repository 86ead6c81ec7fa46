/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/cache.c - what an entry means and which ones stay; how they lie is shared.c's.
 *
 * What stays: until MAIN was full once, everything goes there. Then a new key goes to
 * YOUNG, an eighth of the space, and moves to MAIN when it is read after a while, or
 * put again when its index slot still remembers it. Before MAIN is written over,
 * entries that this instance read in the last round are written anew. So names asked
 * once cost only YOUNG, however many they are. */
#include "cache/cache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cache/clear.h"
#include "cache/entry.h"
#include "cache/internal.h"
#include "cache/shared.h"
#include "cache/snapshot.h"
#include "shm/shm.h"
#include "wire/name.h"

enum {
	FUTURE_SLACK_S = 5,   /* clocks of instances are read at different moments */
	PRIVATE_RETRY_S = 30, /* a private segment looks for a file again */
	START_TRIES = 600,
	START_PAUSE_US = 5000,
	RESIZE_REST_S = 3, /* instances look once a second */
	REMAP_RETRY_US = 1000 * 1000,
	PUBLISH_TRIES = 3,
	MOVE_MIN_LIFE_S = 2, /* what ends sooner is not worth moving */
	MOVE_AGE_MAIN = SHARED_AGE_FULL * 7 / 8,
	RESCUE_MAX = 16, /* entries saved for one written: bounds a write's time */
	MOVE_AGE_YOUNG =
		SHARED_AGE_FULL / 4, /* younger: asked again by the same resolution */
};

#define CACHE_MAGIC UINT64_C(0x6568636163216873) /* "sh!cache" */

struct cache {
	struct shm shm;
	struct shared shared;
	struct clear_index clear;
	struct counters *counters;
	struct random *rnd;
	char folder[200];
	size_t want_size;
	bool is_private, is_new;
	int64_t retry_mono_us, remap_us;
	uint32_t last_epoch; /* in case the word is damaged */
	/* Hashes of what this instance read, a bit each, in this half round of MAIN and
	 * the one before: readers write nothing shared, so each keeps its own memory of
	 * what is in use. */
	uint64_t *seen[2];
	uint64_t seen_bits, seen_half_lap;
	union entry copy; /* what the last look-up found */
	union entry build;
	union entry victim;
};

/* --- opening ---------------------------------------------------------------------- */

static void format(void *base, size_t size, void *ctx)
{
	struct shared_secrets secrets;
	random_fill(ctx, &secrets, sizeof(secrets));
	shared_format(base, size, &secrets);
}

/* False: no memory at all. `quiet`: a retry, of which only success is news. */
static bool open_segment(struct cache *c, struct shm *out, bool fresh, bool quiet)
{
	char path[256], shm_folder[240], reason[256];
	snprintf(shm_folder, sizeof(shm_folder), "%s/shm", c->folder);
	snprintf(path, sizeof(path), "%s/cache-v%d", shm_folder, CACHE_LAYOUT);
	const int err = fd_make_folder(shm_folder, 0700);
	const struct shm_want want = {
		.path = path,
		.magic = CACHE_MAGIC,
		.layout = CACHE_LAYOUT,
		.size = c->want_size,
		.any_size = true,
		.any_size_alone = true,
		.fresh = fresh,
		.mode = 0600,
		.format = format,
		.ctx = c->rnd,
	};
	const enum shm_result result = shm_open_file(out, &want, reason);
	if (result == SHM_FAILED)
		return false;
	if (result == SHM_CREATED)
		c->is_new = true;
	if (result == SHM_ANONYMOUS && !quiet)
		log_warning(CACHE, "%s: %s; this instance has a private cache", path,
			err ? strerror(-err) : reason);
	else if (result == SHM_CREATED && reason[0])
		log_warning(CACHE, "%s: %s; made anew", path, reason);
	return true;
}

static void seen_free(struct cache *c)
{
	free(c->seen[0]);
	free(c->seen[1]);
	c->seen[0] = c->seen[1] = NULL;
}

/* Without memory for it, entries in use are only a little less safe from floods. */
static void seen_start(struct cache *c)
{
	seen_free(c);
	c->seen_bits = (shared_slots(&c->shared) + 63) / 64 * 64;
	c->seen[0] = calloc(c->seen_bits / 64, sizeof(uint64_t));
	c->seen[1] = calloc(c->seen_bits / 64, sizeof(uint64_t));
	if (!c->seen[0] || !c->seen[1])
		seen_free(c);
	c->seen_half_lap = shared_half_laps(&c->shared);
}

/* The segment behind `next` becomes ours. */
static bool attach(struct cache *c, struct shm *next)
{
	struct shared shared;
	if (!shared_attach(&shared, next->base, next->size))
		return false;
	if (c->shm.base)
		shared_carry_clears(&shared, &c->shared);
	shm_close(&c->shm);
	c->shm = *next;
	c->shared = shared;
	c->clear.generation = 0;
	seen_start(c);
	c->is_private = c->shm.fd < 0;
	return true;
}

static bool reopen(struct cache *c, bool quiet)
{
	struct shm next;
	if (!open_segment(c, &next, false, quiet))
		return false;
	if (quiet && next.fd < 0) { /* still none: keep what is cached */
		shm_close(&next);
		return true;
	}
	if (attach(c, &next))
		return true;
	log_warning(CACHE, "%s: its head is damaged; made anew", next.path);
	shm_close(&next);
	return open_segment(c, &next, true, quiet) && attach(c, &next);
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	shm_close(&c->shm);
	seen_free(c);
	free(c);
}

void cache_tick(struct cache *c, const struct now *now)
{
	const bool cut = shm_was_cut(&c->shm);
	bool again = cut || shm_replaced(&c->shm) || !shm_current(&c->shm);
	bool quiet = false;
	if (!again && c->is_private && now->mono_us >= c->retry_mono_us) {
		c->retry_mono_us = now->mono_us + PRIVATE_RETRY_S * INT64_C(1000000);
		again = quiet = true;
	}
	if (!again)
		return;
	if (cut)
		log_warning(CACHE, "%s was truncated while in use", c->shm.path);
	const void *before = c->shm.base;
	if (reopen(c, quiet) && c->shm.base != before)
		counter_up(c->counters, cache_reopened);
}

/* --- keys and judgement ------------------------------------------ */

/* A key as it is hashed and compared. */
struct lookup {
	uint64_t hash;
	uint8_t name_len;
	struct {
		uint64_t domain;
		uint16_t type, rclass;
		uint8_t kind, flags;
		uint8_t name[NAME_MAX_LEN];
	} __attribute__((packed)) k;
};

static void lookup_init(
	struct lookup *l, const struct cache *c, const struct cache_key *key)
{
	l->k.domain = key->domain;
	l->k.type = key->type;
	l->k.rclass = key->rclass;
	l->k.kind = key->kind;
	l->k.flags = key->flags;
	l->name_len = (uint8_t)name_copy_lower(l->k.name, key->name);
	l->hash = hash_sip13(
		&c->shared.key, &l->k, offsetof(typeof(l->k), name) + l->name_len);
}

static bool lookup_is(const struct lookup *l, const union entry *e)
{
	const struct entry_head *h = &e->head;
	return h->domain == l->k.domain && h->type == l->k.type &&
	       h->rclass == l->k.rclass && h->kind == l->k.kind &&
	       h->flags == l->k.flags && h->name_len == l->name_len &&
	       memcmp(entry_name(e), l->k.name, l->name_len) == 0;
}

static struct cache_key key_of(const union entry *e)
{
	return (struct cache_key){
		.kind = e->head.kind,
		.flags = e->head.flags,
		.type = e->head.type,
		.rclass = e->head.rclass,
		.domain = e->head.domain,
		.name = entry_name(e),
	};
}

/* A segment that another one was renamed over is no longer cleared by anyone: go over to
 * the new one at once, whatever is asked. Keys hash the same there, or all of it is new. */
static inline void follow(struct cache *c, const struct now *now)
{
	if (__builtin_expect(!shm_replaced(&c->shm), 1) || now->mono_us < c->remap_us)
		return;
	if (reopen(c, true))
		counter_up(c->counters, cache_reopened);
	if (shm_replaced(&c->shm)) /* no memory, no file: not for each query */
		c->remap_us = now->mono_us + REMAP_RETRY_US;
}

/* Of two entries with one key, in whichever slots two writers put them, all take the same
 * for the newer. */
static uint64_t newness(const union entry *e)
{
	return (uint64_t)e->head.stored_s << 32 |
	       (e->head.position / ENTRY_UNIT & UINT32_MAX);
}

/* Into c->copy. False: there is none; `where` may then be a damaged slot that may have
 * been it. */
static bool find(struct cache *c, const struct lookup *l, struct shared_found *where)
{
	struct shared_found found[SHARED_WAYS];
	const unsigned count = shared_find(&c->shared, l->hash, found);
	*where = (struct shared_found){ NULL, 0 };
	unsigned same = 0;
	uint64_t best = 0;
	for (unsigned i = 0; i < count; i++) {
		const enum shared_copied how =
			shared_copy(&c->shared, found[i].ref, &c->copy);
		if (how == COPY_DAMAGED) {
			counter_up(c->counters, cache_damaged);
			if (!same)
				*where = found[i];
		} else if (how == COPIED && lookup_is(l, &c->copy)) {
			if (!same++ || newness(&c->copy) > best) {
				best = newness(&c->copy);
				*where = found[i];
			}
		}
	}
	/* twins: the newer one, copied again if it was not the last */
	return same && (count == 1 || (shared_copy(&c->shared, where->ref, &c->copy) ==
						      COPIED &&
					      lookup_is(l, &c->copy)));
}

static uint32_t epoch_now(struct cache *c)
{
	const uint32_t epoch = shared_epoch(&c->shared);
	if (epoch)
		c->last_epoch = epoch;
	return epoch ? epoch : shared_epoch_raise(&c->shared, c->last_epoch);
}

static bool deps_valid(const uint8_t *deps, size_t len)
{
	for (size_t at = 0; at < len;) {
		const size_t name = name_check(deps + at, len - at);
		if (!name)
			return false;
		at += name;
	}
	return true;
}

enum verdict { VERDICT_LIVE, VERDICT_EXPIRED, VERDICT_DEAD, VERDICT_CLEARED };

static enum verdict judge(struct cache *c, const union entry *e, const struct now *now)
{
	const struct entry_head *h = &e->head;
	const int64_t now_s = now_wall_s(now);
	if (h->stored_s > now_s + FUTURE_SLACK_S || h->epoch != epoch_now(c))
		return VERDICT_DEAD;
	if (h->deps_len && !deps_valid(entry_deps(e), h->deps_len))
		return VERDICT_DEAD;
	clear_follow(&c->clear, &c->shared);
	if (clear_hits(&c->clear, &c->shared, e))
		return VERDICT_CLEARED;
	return (int64_t)h->stored_s + h->life_s <= now_s ? VERDICT_EXPIRED
							 : VERDICT_LIVE;
}

/* --- reading ----------------------------------------------------- */

void cache_entry_meta(const union entry *e, struct cache_meta *meta)
{
	const struct entry_head *h = &e->head;
	*meta = (struct cache_meta){
		.stored_s = h->stored_s,
		.expire_s = (int64_t)h->stored_s + h->life_s,
		.generation = h->generation,
		.epoch = h->epoch,
		.status = h->trust >> 4,
		.rank = h->trust & 15,
		.rcode = h->rcode,
		.ede = h->ede,
		.user = h->user,
		.deps = h->deps_len ? entry_deps(e) : NULL,
		.deps_len = h->deps_len,
	};
}

static int hand_out(
	const union entry *e, struct cache_meta *meta, uint8_t *buf, size_t cap)
{
	const struct entry_head *h = &e->head;
	if ((size_t)h->value_len + h->deps_len > cap)
		return -1;
	cache_entry_meta(e, meta);
	if (h->value_len)
		memcpy(buf, entry_value(e), h->value_len);
	if (h->deps_len) {
		memcpy(buf + h->value_len, entry_deps(e), h->deps_len);
		meta->deps = buf + h->value_len;
	}
	return (int)h->value_len;
}

static uint64_t seen_bit(const struct cache *c, uint64_t hash, uint64_t *mask)
{
	const uint64_t bit = (hash >> 16 & UINT32_MAX) * c->seen_bits >> 32;
	*mask = UINT64_C(1) << bit % 64;
	return bit / 64;
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

/* Before `size` bytes go into MAIN: what they would be written over, and was read here
 * lately, is written again first. */
static void rescue(struct cache *c, size_t size, const struct now *now)
{
	uint64_t from = 0;
	unsigned saved = 0;
	seen_turn(c);
	while (saved < RESCUE_MAX &&
		shared_next_victim(&c->shared, size, &from, &c->victim)) {
		const struct entry_head *h = &c->victim.head;
		if (name_check(entry_name(&c->victim), h->name_len) != h->name_len)
			continue;
		const struct cache_key key = key_of(&c->victim);
		struct lookup l;
		struct shared_found at;
		lookup_init(&l, c, &key);
		if (!seen_get(c, l.hash) ||
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
static void keep_hot(struct cache *c, const struct lookup *l,
	const struct shared_found *at, const struct now *now)
{
	const bool young = shared_region(at->ref) == REGION_YOUNG;
	const struct entry_head *h = &c->copy.head;
	if (shared_age(&c->shared, at->ref) < (young ? MOVE_AGE_YOUNG : MOVE_AGE_MAIN))
		return;
	if ((!young && !shared_may_move(&c->shared)) ||
		(int64_t)h->stored_s + h->life_s < now_wall_s(now) + MOVE_MIN_LIFE_S)
		return;
	c->copy.head.generation = c->clear.generation;
	if (shared_main_full(&c->shared))
		rescue(c, entry_size(h), now);
	const uint64_t ref =
		shared_append(&c->shared, REGION_MAIN, &c->copy, l->hash, !young);
	if (ref)
		shared_replace(at, ref);
}

static const union entry *get_entry(
	struct cache *c, const struct cache_key *key, const struct now *now)
{
	struct lookup l;
	struct shared_found where;
	follow(c, now);
	lookup_init(&l, c, key);
	if (!find(c, &l, &where))
		return NULL;
	const enum verdict verdict = judge(c, &c->copy, now);
	if (verdict == VERDICT_CLEARED)
		counter_up(c->counters, cache_cleared);
	if (verdict != VERDICT_LIVE)
		return NULL;
	seen_set(c, l.hash);
	keep_hot(c, &l, &where, now);
	return &c->copy;
}

const union entry *cache_get_entry(
	struct cache *c, const struct cache_key *key, const struct now *now)
{
	const union entry *e = get_entry(c, key, now);
	if (e)
		counter_up(c->counters, cache_hits);
	else
		counter_up(c->counters, cache_misses);
	return e;
}

int cache_get(struct cache *c, const struct cache_key *key, const struct now *now,
	struct cache_meta *meta, uint8_t *buf, size_t cap)
{
	const union entry *e = cache_get_entry(c, key, now);
	return e ? hand_out(e, meta, buf, cap) : -1;
}

int cache_peek(struct cache *c, const struct cache_key *key, const struct now *now,
	struct cache_meta *meta, uint8_t *buf, size_t cap, bool stale)
{
	struct lookup l;
	struct shared_found where;
	follow(c, now);
	lookup_init(&l, c, key);
	if (!find(c, &l, &where))
		return -1;
	const enum verdict verdict = judge(c, &c->copy, now);
	if (verdict != VERDICT_LIVE && !(stale && verdict == VERDICT_EXPIRED))
		return -1;
	return hand_out(&c->copy, meta, buf, cap);
}

/* --- writing ----------------------------------------------------- */

static void build(struct cache *c, const struct lookup *l,
	const struct cache_meta *meta, const uint8_t *value, size_t len)
{
	union entry *e = &c->build;
	const int64_t life = meta->expire_s - meta->stored_s;
	e->head = (struct entry_head){
		.domain = l->k.domain,
		.generation = meta->generation,
		.stored_s = (uint32_t)meta->stored_s,
		.life_s = life > UINT32_MAX ? UINT32_MAX : (uint32_t)life,
		.epoch = meta->epoch,
		.value_len = (uint32_t)len,
		.type = l->k.type,
		.rclass = l->k.rclass,
		.deps_len = meta->deps_len,
		.rcode = meta->rcode,
		.ede = meta->ede,
		.user = meta->user,
		.name_len = l->name_len,
		.kind = l->k.kind,
		.flags = l->k.flags,
		.trust = (uint8_t)(meta->status << 4 | (meta->rank & 15)),
	};
	uint8_t *at = e->bytes + sizeof(e->head);
	memcpy(at, l->k.name, l->name_len);
	at += l->name_len;
	if (meta->deps_len)
		memcpy(at, meta->deps, meta->deps_len);
	at += meta->deps_len;
	if (len)
		memcpy(at, value, len);
}

static bool acceptable(const struct cache_meta *meta, size_t len)
{
	if (len + meta->deps_len > CACHE_VALUE_MAX ||
		meta->expire_s <= meta->stored_s || meta->stored_s < 0 ||
		meta->stored_s > UINT32_MAX)
		return false;
	assert(deps_valid(meta->deps, meta->deps_len)); /* our own writing */
	return true;
}

/* May the entry in c->build take the place of the one in c->copy? */
static bool outranks(struct cache *c, const struct now *now)
{
	if (judge(c, &c->copy, now) != VERDICT_LIVE)
		return true;
	const uint8_t old = c->copy.head.trust, new = c->build.head.trust;
	return (new & 15) >= (old & 15) && new >> 4 >= old >> 4;
}

/* What is known already, by more than a burst, belongs to MAIN; also what was forgotten
 * and is asked again: its slot still tells. */
static enum shared_region choose_region(
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
			       shared_age(&c->shared, old->ref) > MOVE_AGE_YOUNG
		       ? REGION_MAIN
		       : REGION_YOUNG;
}

/* Another writer may have put the same key into another slot at the same time: the newer
 * stays. A writer that was stopped before it took a slot finds here that it came late;
 * one that dies before this leaves a twin, of which readers take the newer too. */
static void drop_twins(
	struct cache *c, const struct lookup *l, const struct shared_found *mine)
{
	struct shared_found found[SHARED_WAYS];
	const unsigned count = shared_find(&c->shared, l->hash, found);
	for (unsigned i = 0; i < count && count > 1; i++) {
		if (found[i].slot == mine->slot ||
			shared_copy(&c->shared, found[i].ref, &c->copy) != COPIED ||
			!lookup_is(l, &c->copy))
			continue;
		const bool late = newness(&c->copy) > newness(&c->build);
		shared_replace(late ? mine : &found[i], 0);
		if (late)
			return;
	}
}

/* What stands there, by its head alone. True: what is built may replace it, or there is
 * nothing; false: it might not. A head that lies costs only the closer look. */
static bool find_head(
	struct cache *c, const struct lookup *l, struct shared_found *where)
{
	struct shared_found found[SHARED_WAYS];
	const unsigned count = shared_find(&c->shared, l->hash, found);
	*where = (struct shared_found){ NULL, 0 };
	if (count > 1)
		return false;
	if (!count)
		return true;
	const uint8_t new = c->build.head.trust;
	if (!shared_head(&c->shared, found[0].ref, &c->copy) || !lookup_is(l, &c->copy))
		return false;
	const uint8_t old = c->copy.head.trust;
	*where = found[0];
	return (new & 15) >= (old & 15) && new >> 4 >= old >> 4;
}

static bool publish(struct cache *c, const struct lookup *l, struct shared_found old,
	uint64_t ref, const struct now *now)
{
	for (unsigned tries = 0; tries < PUBLISH_TRIES; tries++) {
		if (!old.slot) {
			old = shared_insert(&c->shared, l->hash, ref);
			if (old.slot)
				drop_twins(c, l, &old);
			return old.slot != NULL;
		}
		if (shared_replace(&old, ref)) {
			drop_twins(c, l, &old);
			return true;
		}
		/* moved by a reader, or written by another resolution: is that newer?
		 */
		if (find(c, l, &old) &&
			(c->copy.head.stored_s > c->build.head.stored_s ||
				!outranks(c, now)))
			return false;
	}
	return false;
}

bool cache_put(struct cache *c, const struct cache_key *key, const struct now *now,
	const struct cache_meta *meta, const uint8_t *value, size_t len)
{
	assert(key->kind >= CACHE_RRSET && key->kind <= CACHE_MARK);
	if (!acceptable(meta, len))
		return false;
	struct lookup l;
	follow(c, now);
	lookup_init(&l, c, key);
	build(c, &l, meta, value, len);
	const enum verdict verdict = judge(c, &c->build, now);
	if (verdict == VERDICT_CLEARED)
		counter_up(c->counters, cache_cleared);
	if (verdict != VERDICT_LIVE)
		return false;
	struct shared_found old;
	if (!find_head(c, &l, &old) && find(c, &l, &old) && !outranks(c, now))
		return false;
	const enum shared_region region = choose_region(c, &l, &old);
	if (region == REGION_MAIN && shared_main_full(&c->shared))
		rescue(c, entry_size(&c->build.head), now);
	const uint64_t ref =
		shared_append(&c->shared, region, &c->build, l.hash, false);
	if (!ref || !publish(c, &l, old, ref, now))
		return false;
	counter_up(c->counters, cache_writes);
	return true;
}

void cache_host_key(const struct cache *c, unsigned which, struct hash_key *out)
{
	const uint64_t a[2] = { which, 0 }, b[2] = { which, 1 };
	out->k0 = hash_sip13(&c->shared.key, a, sizeof(a));
	out->k1 = hash_sip13(&c->shared.key, b, sizeof(b));
}

/* --- clearing ---------------------------------------------------- */

uint64_t cache_generation(const struct cache *c)
{
	return shared_generation(&c->shared);
}

uint32_t cache_epoch(const struct cache *c)
{
	return shared_epoch(&c->shared);
}

/* What is on disk must not come back. */
static bool note_clear(struct cache *c)
{
	const int err = snapshot_note_clear(
		c->folder, shared_generation(&c->shared), shared_epoch(&c->shared));
	if (err)
		log_warning(CACHE,
			"a clear could not be noted beside the snapshot: %s; remove the"
			" snapshot, or what was cleared may be back after a restart of "
			"the"
			" host",
			strerror(-err));
	return !err;
}

void cache_epoch_raise(struct cache *c)
{
	c->last_epoch = shared_epoch_raise(&c->shared, c->last_epoch);
	note_clear(c);
}

/* Replaced before our line stood there, or it was copied with the line: one of both, for
 * line and mark are sequentially consistent. */
static void follow_clear(struct cache *c)
{
	const struct now now = clock_read();
	c->remap_us = 0;
	follow(c, &now);
}

bool cache_clear(struct cache *c, const uint8_t *name, bool subtree, uint16_t type)
{
	clear_name(&c->shared, name, subtree, type);
	follow_clear(c); /* which carries the line over */
	return note_clear(c);
}

bool cache_clear_all(struct cache *c)
{
	clear_all(&c->shared);
	follow_clear(c);
	return note_clear(c);
}

/* --- looking ----------------------------------------------------- */

void cache_stats(const struct cache *c, struct cache_stats *out)
{
	struct shared_counts counts;
	shared_count(&c->shared, &counts);
	*out = (struct cache_stats){
		.size = c->shm.size,
		.entries = counts.entries,
		.bytes_used = counts.bytes,
		.inserts = counts.inserts,
		.evictions = counts.evictions,
		.clears = counts.clears,
		.is_private = c->is_private,
	};
	snprintf(out->path, sizeof(out->path), "%s", c->shm.path);
}

void cache_walk_entries(struct cache *c, const struct now *now,
	bool (*fn)(void *ctx, const union entry *e), void *ctx)
{
	union entry *e = malloc(sizeof(*e)); /* fn may look things up */
	if (!e)
		return;
	bool more = true;
	for (uint64_t i = 0; more && i < shared_slots(&c->shared); i++) {
		const uint64_t ref = shared_slot_ref(&c->shared, i);
		if (!ref || shared_copy(&c->shared, ref, e) != COPIED)
			continue;
		const struct entry_head *h = &e->head;
		if (name_check(entry_name(e), h->name_len) == h->name_len &&
			judge(c, e, now) == VERDICT_LIVE)
			more = fn(ctx, e);
	}
	free(e);
}

struct walk {
	bool (*fn)(void *ctx, const struct cache_key *key,
		const struct cache_meta *meta, const uint8_t *value, size_t len);
	void *ctx;
};

static bool walk_one(void *ctx, const union entry *e)
{
	const struct walk *w = ctx;
	const struct cache_key key = key_of(e);
	struct cache_meta meta;
	cache_entry_meta(e, &meta);
	return w->fn(w->ctx, &key, &meta, entry_value(e), e->head.value_len);
}

void cache_walk(struct cache *c, const struct now *now,
	bool (*fn)(void *ctx, const struct cache_key *key,
		const struct cache_meta *meta, const uint8_t *value, size_t len),
	void *ctx)
{
	struct walk w = { fn, ctx };
	cache_walk_entries(c, now, walk_one, &w);
}

/* --- for the snapshot -------------------------------------------- */

bool cache_restore(struct cache *c, const uint8_t *bytes, uint64_t generation,
	uint32_t epoch, const struct now *now)
{
	static union entry e;
	memcpy(&e.head, bytes, sizeof(e.head));
	memcpy(e.bytes, bytes, entry_used(&e.head));
	if (e.head.deps_len && !deps_valid(entry_deps(&e), e.head.deps_len))
		return false;
	const struct cache_key key = key_of(&e);
	struct lookup l;
	struct shared_found at;
	lookup_init(&l, c, &key);
	if (find(c, &l, &at) && judge(c, &c->copy, now) == VERDICT_LIVE)
		return false;
	struct cache_meta meta;
	cache_entry_meta(&e, &meta);
	meta.generation = generation;
	meta.epoch = epoch;
	return cache_put(c, &key, now, &meta, entry_value(&e), e.head.value_len);
}

bool cache_take_new(struct cache *c)
{
	const bool new = c->is_new;
	c->is_new = false;
	return new;
}

const char *cache_folder(const struct cache *c)
{
	return c->folder;
}

/* --- another size ------------------------------------------------ */

struct move {
	struct cache *c;
	struct shared to;
	uint64_t generation; /* there */
	uint64_t moved;
};

static bool move_entry(void *ctx, const union entry *e)
{
	struct move *m = ctx;
	union entry *own = &m->c->victim;
	const struct cache_key key = key_of(e);
	struct lookup l;
	lookup_init(&l, m->c, &key);
	memcpy(own->bytes, e->bytes, entry_used(&e->head));
	own->head.generation = m->generation;
	const enum shared_region region =
		shared_main_full(&m->to) ? REGION_YOUNG : REGION_MAIN;
	const uint64_t ref = shared_append(&m->to, region, own, l.hash, false);
	if (ref && shared_insert(&m->to, l.hash, ref).slot)
		m->moved++;
	return true;
}

/* Before the new file has its name. Each entry is judged after the generation was read. */
static void format_moved(void *base, size_t size, void *ctx)
{
	struct move *m = ctx;
	struct cache *c = m->c;
	const struct now now = clock_read();
	const uint64_t generation = clear_follow(&c->clear, &c->shared);
	shared_format_after(base, size, &c->shared, generation, epoch_now(c));
	shared_attach(&m->to, base, size);
	m->generation = shared_generation(&m->to);
	cache_walk_entries(c, &now, move_entry, m);
}

int cache_resize(struct cache *c, size_t size)
{
	if (c->is_private)
		return -ENODEV;
	if (size < CACHE_SIZE_MIN)
		return -EINVAL;
	/* One change at a time: who slept through two of them could clear in the third
	 * segment while others still read the second. */
	const struct now begin = clock_read();
	const struct shm_head *head = c->shm.base;
	const int64_t age_s = now_wall_s(&begin) - (int64_t)head->created_s;
	if (shared_is_successor(&c->shared) && age_s >= 0 && age_s < RESIZE_REST_S)
		return -EAGAIN;
	struct move m = { .c = c };
	struct shm next;
	char path[256], reason[256];
	snprintf(path, sizeof(path), "%s", c->shm.path);
	const struct shm_want want = {
		.path = path,
		.magic = CACHE_MAGIC,
		.layout = CACHE_LAYOUT,
		.size = size - size % 4096,
		.fresh = true,
		.mode = 0600,
		.format = format_moved,
		.ctx = &m,
	};
	const size_t before = c->shm.size;
	if (shm_open_file(&next, &want, reason) != SHM_CREATED) {
		log_warning(CACHE, "%s: no other size: %s", path, reason);
		shm_close(&next);
		return -ENOSPC;
	}
	if (!attach(c, &next)) {
		shm_close(&next);
		return -EPROTO;
	}
	log_info(CACHE, "%s: from %zu to %zu bytes, %lu entries went with it", path,
		before, c->shm.size, (unsigned long)m.moved);
	return 0;
}

/* Who starts has its turn before others count as users: bounded, for one that is stopped
 * must not keep us out. -1: without. */
static int start_lock(const struct cache *c)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/shm/cache.lock", c->folder);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	for (unsigned i = 0; fd >= 0 && i < START_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		usleep(START_PAUSE_US);
	}
	fd_close(&fd);
	return -1;
}

/* First wins, as long as anyone has it. */
static void settle_size(struct cache *c)
{
	if (c->is_private || c->shm.size == c->want_size)
		return;
	if (!shm_alone(&c->shm))
		log_warning(CACHE,
			"%s has %zu bytes and is in use; the %zu asked for here"
			" do not count: see `shoal cache resize`",
			c->shm.path, c->shm.size, c->want_size);
	else
		cache_resize(c, c->want_size);
}

/* --- opening ----------------------------------------------------- */

/* A usable segment, looked at without touching it. */
static bool is_there(struct cache *c)
{
	char path[256];
	struct shm look;
	snprintf(path, sizeof(path), "%s/shm/cache-v%d", c->folder, CACHE_LAYOUT);
	if (shm_open_readonly(&look, path, CACHE_MAGIC, CACHE_LAYOUT) < 0)
		return false;
	c->want_size = look.size;
	shm_close(&look);
	return true;
}

struct cache *cache_open(
	const struct cache_conf *conf, struct counters *counters, struct random *rnd)
{
	struct cache *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->shm.fd = -1;
	c->counters = counters;
	c->rnd = rnd;
	c->want_size = conf->size < CACHE_SIZE_MIN ? CACHE_SIZE_MIN : conf->size;
	c->want_size -= c->want_size % 4096;
	snprintf(c->folder, sizeof(c->folder), "%s", conf->run_folder);
	shm_guard_install();
	if (conf->existing && !is_there(c)) {
		cache_close(c);
		return NULL;
	}
	char shm_folder[240];
	snprintf(shm_folder, sizeof(shm_folder), "%s/shm", c->folder);
	(void)fd_make_folder(shm_folder, 0700);
	int lock = start_lock(c);
	const bool fine = reopen(c, false);
	if (fine && !conf->existing)
		settle_size(c);
	fd_close(&lock);
	if (fine)
		return c;
	cache_close(c);
	return NULL;
}
