/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/cache.c - reading, writing and clearing; how entries lie is shared.c's. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/cleared.h"
#include "cache/snapshot.h"
#include "cache/state.h"

enum {
	PUBLISH_TRIES = 3,
	CLEAR_TRIES = 200, /* while a change of size is being finished: microseconds */
	CLEAR_PAUSE_US = 1000,
};

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

static const union entry *get_entry(
	struct cache *c, const struct cache_key *key, const struct now *now)
{
	struct lookup l;
	struct shared_found where;
	if (!segment_usable(c, now))
		return NULL;
	lookup_init(&l, c, key);
	stay_prefetch(c, l.hash);
	if (!lookup_find(c, &l, &where))
		return NULL;
	const enum verdict verdict = judge(c, &c->copy, now);
	if (verdict == VERDICT_CLEARED)
		counter_up(c->counters, cache_cleared);
	if (verdict != VERDICT_LIVE)
		return NULL;
	stay_read(c, &l, &where, now);
	return &c->copy;
}

const union entry *cache_get_entry(
	struct cache *c, const struct cache_key *key, const struct now *now)
{
	assert(c);
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

uint64_t cache_ahead(const struct cache *c, const struct cache_key *key)
{
	struct lookup l;
	lookup_init(&l, c, key);
	stay_prefetch(c, l.hash);
	return l.hash;
}

void cache_ahead_entry(const struct cache *c, uint64_t ahead)
{
	struct shared_found found[SHARED_WAYS / 2];
	if (shared_find_home(&c->shared, ahead, found))
		shared_prefetch_entry(&c->shared, found[0].ref);
}

int cache_peek(struct cache *c, const struct cache_key *key, const struct now *now,
	struct cache_meta *meta, uint8_t *buf, size_t cap, bool stale)
{
	struct lookup l;
	struct shared_found where;
	if (!segment_usable(c, now))
		return -1;
	lookup_init(&l, c, key);
	if (!lookup_find(c, &l, &where))
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
		.name_len = l->k.name_len,
		.kind = l->k.kind,
		.flags = l->k.flags,
		.trust = (uint8_t)(meta->status << 4 | (meta->rank & 15)),
	};
	uint8_t *at = e->bytes + sizeof(e->head);
	memcpy(at, l->k.name, l->k.name_len);
	at += l->k.name_len;
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
	assert(judge_deps(meta->deps, meta->deps_len)); /* our own writing */
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
		const bool late = judge_newness(&c->copy) > judge_newness(&c->build);
		shared_replace(late ? mine : &found[i], 0);
		if (late)
			return;
	}
}

/* Where the key stands, by tags alone; its head is on its way. False: in more than one
 * place, perhaps. */
static bool find_slot(
	struct cache *c, const struct lookup *l, struct shared_found *where)
{
	struct shared_found found[SHARED_WAYS];
	const unsigned count = shared_find(&c->shared, l->hash, found);
	*where = count == 1 ? found[0] : (struct shared_found){ NULL, 0 };
	if (count == 1)
		shared_prefetch_entry(&c->shared, found[0].ref);
	return count <= 1;
}

/* What stands there, by its head. True: what is built may replace it; false: it might not,
 * or it is another key. A head that lies costs only the closer look. */
static bool may_replace(
	struct cache *c, const struct lookup *l, const struct shared_found *where)
{
	const uint8_t new = c->build.head.trust;
	if (!where->slot)
		return true;
	if (!shared_head(&c->shared, where->ref, &c->copy) || !lookup_is(l, &c->copy))
		return false;
	const uint8_t old = c->copy.head.trust;
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
		if (lookup_find(c, l, &old) &&
			(c->copy.head.stored_s > c->build.head.stored_s ||
				!outranks(c, now)))
			return false;
	}
	return false;
}

bool cache_put(struct cache *c, const struct cache_key *key, const struct now *now,
	const struct cache_meta *meta, const uint8_t *value, size_t len)
{
	assert(key->kind >= CACHE_RRSET && key->kind <= CACHE_DENIAL);
	if (!acceptable(meta, len))
		return false;
	struct lookup l;
	if (!segment_usable(c, now))
		return false;
	lookup_init(&l, c, key);
	shared_prefetch_other(&c->shared, l.hash);
	build(c, &l, meta, value, len);
	const enum verdict verdict = judge(c, &c->build, now);
	if (verdict == VERDICT_CLEARED)
		counter_up(c->counters, cache_cleared);
	if (verdict != VERDICT_LIVE)
		return false;
	/* the old head comes from far: meanwhile what it most likely allows is begun */
	struct shared_found old;
	const bool one = find_slot(c, &l, &old);
	if (!one && lookup_find(c, &l, &old) && !outranks(c, now))
		return false;
	struct shared_found seen = old;
	const enum shared_region region = stay_region(c, &l, &old);
	if (region == REGION_MAIN && shared_main_full(&c->shared))
		stay_rescue(c, entry_size(&c->build.head), now);
	const uint64_t ref =
		shared_append(&c->shared, region, &c->build, l.hash, false);
	if (!ref)
		return false;
	if (one && !may_replace(c, &l, &seen)) {
		if (lookup_find(c, &l, &seen) && !outranks(c, now))
			return false;
		old = seen;
	}
	if (!publish(c, &l, old, ref, now))
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

bool cache_is_cleared(struct cache *c, const struct cache_key *key, uint64_t generation)
{
	struct lookup l;
	const struct cache_meta meta = { .generation = generation };
	lookup_init(&l, c, key);
	build(c, &l, &meta, NULL, 0);
	clear_follow(&c->clear, &c->shared);
	return clear_hits(&c->clear, &c->shared, &c->build);
}

uint64_t cache_generation(const struct cache *c)
{
	return shared_generation(&c->shared);
}

uint32_t cache_epoch(const struct cache *c)
{
	return shared_epoch(&c->shared);
}

/* A clear counts when it stands in a segment that was not replaced by then: see
 * segment.c. */
struct clear {
	const uint8_t *name; /* NULL: everything */
	bool subtree, epoch; /* `epoch`: raise it, too */
	uint16_t type;
};

static uint64_t publish_clear(struct cache *c, const struct clear *what)
{
	if (what->epoch)
		c->last_epoch = shared_epoch_raise(&c->shared, c->last_epoch);
	else if (what->name)
		return clear_name(&c->shared, what->name, what->subtree, what->type);
	return clear_all(&c->shared);
}

/* What is on disk must not come back. */
static bool note_clear(struct cache *c, const struct clear *what, uint64_t generation)
{
	const struct cleared done = {
		.lineage = shared_lineage(&c->shared),
		.generation = generation,
		.type = what->type,
		.subtree = what->subtree,
		.all = !what->name,
		.name = what->name,
	};
	int err = snapshot_note_clear(c->folder, &done, c->unsynced);
	if (err > 0 && what->name) {
		counter_up(c->counters, snapshots_voided);
		log_notice(CACHE,
			"more was cleared since the last snapshot than is listed beside"
			" it: until the next one nothing of it would come back after a"
			" restart of the host");
	}
	if (err > 0)
		err = 0;
	if (!err && c->existing && c->unsynced[0]) /* nobody waits for us */
		err = cleared_sync(c->unsynced);
	if (err)
		log_warning(CACHE,
			"a clear could not be noted beside the snapshot: %s; remove the"
			" snapshot, or what was cleared may be back after a restart of "
			"the host",
			strerror(-err));
	return !err;
}

static bool clear_surely(struct cache *c, const struct clear *what)
{
	for (unsigned i = 0; i < CLEAR_TRIES; i++) {
		const struct now now = clock_read();
		if (segment_usable(c, &now)) {
			const uint64_t generation = publish_clear(c, what);
			if (!shm_replaced(&c->shm))
				return note_clear(c, what, generation);
		} else {
			usleep(CLEAR_PAUSE_US);
		}
	}
	log_error(
		CACHE, "a change of the cache's size stands still: nothing is cleared");
	return false;
}

void cache_epoch_raise(struct cache *c)
{
	const struct clear what = { .epoch = true };
	clear_surely(c, &what);
}

bool cache_clear(struct cache *c, const uint8_t *name, bool subtree, uint16_t type)
{
	const struct clear what = { .name = name, .subtree = subtree, .type = type };
	return clear_surely(c, &what);
}

bool cache_clear_all(struct cache *c)
{
	const struct clear what = { 0 };
	return clear_surely(c, &what);
}
