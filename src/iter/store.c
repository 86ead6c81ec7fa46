/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/store.c - what goes into the cache and comes from it, and with which TTL and
 * rank. */
#include <endian.h>
#include <string.h>

#include "iter/state.h"

/* One entry is read or written at a time. */
static uint8_t value[CACHE_VALUE_MAX];

/* --- TTLs --------------------------------------------------------------------- */

uint32_t store_ttl(const struct iter *it, uint32_t ttl)
{
	const struct conf *c = it->env.conf;
	if (ttl < c->cache_min_ttl)
		ttl = c->cache_min_ttl;
	return ttl > c->cache_max_ttl ? c->cache_max_ttl : ttl;
}

static uint32_t sig_end(const struct rrset *rr, unsigned i)
{
	enum { EXPIRATION = 8, FIXED = 18 }; /* RFC 4034 section 3.1 */
	const struct rdata sig = rrset_at(rr, rr->count + i);
	if (!sig.bytes || sig.len < FIXED)
		return 0;
	uint32_t end;
	memcpy(&end, sig.bytes + EXPIRATION, sizeof(end));
	return be32toh(end);
}

/* Seconds to the first end of a signature, serial number arithmetic as RFC 4034 section
 * 3.1.5 wants; INT32_MAX without signatures. */
static int32_t sig_left(const struct iter *it, const struct rrset *rr)
{
	int32_t least = INT32_MAX;
	const uint32_t now_s = (uint32_t)now_wall_s(&it->now);
	for (unsigned i = 0; i < rr->sig_count; i++) {
		const int32_t left = (int32_t)(sig_end(rr, i) - now_s);
		if (left < least)
			least = left;
	}
	return least;
}

bool store_sig_ended(const struct iter *it, const struct rrset *rr)
{
	return sig_left(it, rr) < 0;
}

/* What was not validated because of a negative anchor is not used after its end. */
static uint32_t anchor_ttl(
	const struct iter *it, const uint8_t *name, uint16_t type, uint32_t ttl)
{
	const int64_t now_s = now_wall_s(&it->now);
	const struct anchor *a =
		it->env.anchors ? anchor_find_type(it->env.anchors, name, type, now_s)
				: NULL;
	if (!a || a->kind != ANCHOR_NEGATIVE || a->until_s - now_s >= (int64_t)ttl)
		return ttl;
	return (uint32_t)(a->until_s - now_s);
}

static uint32_t signed_ttl(const struct iter *it, const struct rrset *rr)
{
	const uint32_t ttl = store_ttl(it, rr->ttl);
	const int32_t left = sig_left(it, rr);
	if (ttl <= rr->ttl || left >= (int64_t)ttl)
		return ttl;
	return left > (int64_t)rr->ttl ? (uint32_t)left : rr->ttl;
}

uint32_t store_rrset_ttl(const struct iter *it, const struct rrset *rr)
{
	return anchor_ttl(it, rr->name, rr->type, signed_ttl(it, rr));
}

uint32_t store_negative_ttl(
	const struct iter *it, const uint8_t *name, const struct reply *r)
{
	uint32_t ttl = r->soa_zone ? r->negative_ttl : NEGATIVE_TTL_NO_SOA;
	if (ttl > NEGATIVE_TTL_MAX)
		ttl = NEGATIVE_TTL_MAX;
	return anchor_ttl(it, name, TYPE_ANY, store_ttl(it, ttl));
}

bool store_is_denial(uint16_t type)
{
	return type == TYPE_NSEC || type == TYPE_NSEC3;
}

/* --- writing ------------------------------------------------------------------ */

static struct cache_meta meta_for(const struct iter *it, uint32_t ttl)
{
	const int64_t now_s = now_wall_s(&it->now);
	return (struct cache_meta){ .stored_s = now_s,
		.expire_s = now_s + ttl,
		.generation = it->generation,
		.epoch = it->epoch,
		.status = CACHE_UNCHECKED,
		.ede = EDE_NONE };
}

static struct cache_key key_for(
	const struct frame *f, enum cache_kind kind, const uint8_t *name, uint16_t type)
{
	return (struct cache_key){ .kind = (uint8_t)kind,
		.type = type,
		.rclass = CLASS_IN,
		.domain = f->route.domain,
		.name = name };
}

static void put(struct iter *it, const struct cache_key *key,
	const struct cache_meta *meta, const struct bundle_item *items, size_t count)
{
	if (meta->expire_s <= meta->stored_s)
		return; /* TTL 0: used now, never again */
	size_t len = 0;
	if (count) {
		len = bundle_write(value, sizeof(value), key->name, items, count);
		if (!len)
			return;
	}
	cache_put(it->env.cache, key, &it->now, meta, value, len);
}

/* Items of the reply that prove something: SOA if wanted, NSEC, NSEC3, with this TTL at
 * most. */
static size_t proofs_of(const struct reply *r, bool soa, uint32_t ttl,
	struct bundle_item *items, size_t at)
{
	for (size_t i = 0; i < r->count && at < BUNDLE_MAX; i++) {
		const struct reply_rrset *set = &r->rrsets[i];
		if (set->section != SECTION_AUTHORITY || set->bad)
			continue;
		if (!store_is_denial(set->rr.type) &&
			!(soa && set->rr.type == TYPE_SOA))
			continue;
		items[at].section = SECTION_AUTHORITY;
		items[at].rr = set->rr;
		if (items[at].rr.ttl > ttl || set->rr.type == TYPE_SOA)
			items[at].rr.ttl = ttl;
		at++;
	}
	return at;
}

void store_rrset(struct iter *it, const struct frame *f, const struct reply_rrset *set,
	enum cache_rank rank, const struct reply *proofs)
{
	const struct rrset *rr = &set->rr;
	const uint32_t ttl = store_rrset_ttl(it, rr);
	struct bundle_item items[BUNDLE_MAX] = { { .section = SECTION_ANSWER,
		.rr = *rr } };
	items[0].rr.ttl = ttl;
	const size_t count = proofs ? proofs_of(proofs, false, ttl, items, 1) : 1;
	const struct cache_key key = key_for(f, CACHE_RRSET, rr->name, rr->type);
	struct cache_meta meta = meta_for(it, ttl);
	meta.rank = (uint8_t)rank;
	meta.status = set->status;
	meta.ede = (int16_t)set->note;
	put(it, &key, &meta, items, count);
}

void store_negative(struct iter *it, const struct frame *f, const uint8_t *name,
	bool nxdomain, const struct reply *r)
{
	const uint32_t ttl = store_negative_ttl(it, name, r);
	struct bundle_item items[BUNDLE_MAX];
	const size_t count = proofs_of(r, true, ttl, items, 0);
	const struct cache_key key =
		nxdomain ? key_for(f, CACHE_NXDOMAIN, name, 0)
			 : key_for(f, CACHE_NODATA, name, f->ask_type);
	struct cache_meta meta = meta_for(it, ttl);
	meta.rank = r->aa ? RANK_AUTH_ANSWER : RANK_ANSWER;
	meta.status = r->status;
	meta.ede = (int16_t)r->note;
	meta.user = r->unsigned_cut ? STORE_UNSIGNED_CUT : 0;
	meta.rcode = nxdomain ? RCODE_NXDOMAIN : RCODE_NOERROR;
	put(it, &key, &meta, items, count);
}

void store_cut(struct iter *it, const struct frame *f, const struct rrset *ns,
	const struct reply *r, int64_t expire_s)
{
	const int64_t now_s = now_wall_s(&it->now);
	uint32_t ttl = store_rrset_ttl(it, ns);
	if (expire_s - now_s < (int64_t)ttl)
		ttl = expire_s > now_s ? (uint32_t)(expire_s - now_s) : 0;
	struct bundle_item items[BUNDLE_MAX] = { { .section = SECTION_ANSWER,
		.rr = *ns } };
	items[0].rr.ttl = ttl;
	size_t count = 1;
	for (size_t i = 0; i < r->count && count < BUNDLE_MAX; i++) {
		const struct reply_rrset *set = &r->rrsets[i];
		const bool ds =
			set->section == SECTION_AUTHORITY &&
			(set->rr.type == TYPE_DS || store_is_denial(set->rr.type));
		if (set->bad || (!ds && set->section != SECTION_ADDITIONAL))
			continue;
		items[count].section = set->section;
		items[count].rr = set->rr;
		if (items[count].rr.ttl > ttl)
			items[count].rr.ttl = ttl;
		count++;
	}
	const struct cache_key key = key_for(f, CACHE_CUT, ns->name, TYPE_NS);
	struct cache_meta meta = meta_for(it, ttl);
	meta.rank = RANK_REFERRAL;
	meta.status = r->status;
	meta.ede = (int16_t)r->note;
	put(it, &key, &meta, items, count);
}

/* A mark that a stale answer was given stands over what failed meanwhile. */
enum { FAILURE_RANK, RECHECK_RANK };

static void put_failure(struct iter *it, const struct cache_key *key,
	const struct frame *f, uint32_t life_s, uint8_t rank)
{
	struct cache_meta meta = meta_for(it, life_s);
	meta.rank = rank;
	meta.rcode = f->rcode;
	meta.ede = (int16_t)f->ede;
	put(it, key, &meta, NULL, 0);
}

static struct cache_key failure_key(
	const struct iter *it, uint64_t domain, const uint8_t *name, uint16_t type)
{
	return (struct cache_key){ .kind = CACHE_FAILURE,
		.flags = it->q.checking_disabled ? CACHE_KEY_CD : 0,
		.type = type,
		.rclass = CLASS_IN,
		.domain = domain,
		.name = name };
}

/* Twice as long as the last time when it is tried again soon and fails again, up to
 * five minutes: RFC 9520 section 3.2. */
static uint32_t failure_life(
	struct iter *it, const struct frame *f, const struct cache_key *key)
{
	struct cache_meta last;
	if (cache_peek(it->env.cache, key, &it->now, &last, value, sizeof(value),
		    true) < 0 ||
		last.rank != FAILURE_RANK)
		return FAILURE_TTL;
	const int64_t life = last.expire_s - last.stored_s;
	const int64_t since = now_wall_s(&it->now) - last.expire_s;
	struct stored s;
	if (since > 2 * life || since > FAILURE_TTL_MAX ||
		store_newest(it, f, key->name, key->type, &s) > last.stored_s)
		return FAILURE_TTL;
	if (since < 0) /* another resolution failed just now: the same failure */
		return (uint32_t)life;
	return life < FAILURE_TTL_MAX / 2 ? (uint32_t)life * 2 : FAILURE_TTL_MAX;
}

void store_failure(
	struct iter *it, uint64_t domain, const uint8_t *name, const struct frame *f)
{
	const struct cache_key key = failure_key(it, domain, name, f->type);
	put_failure(it, &key, f, failure_life(it, f, &key), FAILURE_RANK);
}

void store_recheck(struct iter *it, const struct frame *f)
{
	const struct cache_key key =
		failure_key(it, f->asked_domain, f->asked, f->type);
	struct cache_meta last;
	if (cache_peek(it->env.cache, &key, &it->now, &last, value, sizeof(value),
		    false) >= 0 &&
		last.rank == RECHECK_RANK)
		return;
	const struct frame failed = { .rcode = RCODE_SERVFAIL,
		.ede = EDE_NO_REACHABLE_AUTHORITY };
	put_failure(it, &key, &failed, STALE_RECHECK_S, RECHECK_RANK);
}

/* --- reading ------------------------------------------------------------------ */

static struct cache_key read_key(const struct iter *it, uint64_t domain,
	enum cache_kind kind, const uint8_t *name, uint16_t type)
{
	struct cache_key key = { .kind = (uint8_t)kind,
		.type = type,
		.rclass = CLASS_IN,
		.domain = domain,
		.name = name };
	if (kind == CACHE_FAILURE && it->q.checking_disabled)
		key.flags = CACHE_KEY_CD;
	return key;
}

static bool read_value(struct stored *out, const uint8_t *name, int len)
{
	if (len < 0)
		return false;
	out->count = len ? bundle_read(value, (size_t)len, name, out->items) : 0;
	return out->count >= 0;
}

bool store_get(struct iter *it, uint64_t domain, enum cache_kind kind,
	const uint8_t *name, uint16_t type, struct stored *out)
{
	const struct cache_key key = read_key(it, domain, kind, name, type);
	return read_value(out, name,
		cache_get(it->env.cache, &key, &it->now, &out->meta, value,
			sizeof(value)));
}

bool store_get_stale(struct iter *it, uint64_t domain, enum cache_kind kind,
	const uint8_t *name, uint16_t type, struct stored *out)
{
	const struct cache_key key = read_key(it, domain, kind, name, type);
	return read_value(out, name,
		       cache_peek(it->env.cache, &key, &it->now, &out->meta, value,
			       sizeof(value), true)) &&
	       out->meta.expire_s + STALE_MAX_S > now_wall_s(&it->now);
}

int64_t store_newest(struct iter *it, const struct frame *f, const uint8_t *name,
	uint16_t type, struct stored *out)
{
	const uint64_t domain = f->route.domain;
	const struct {
		enum cache_kind kind;
		uint16_t type;
	} places[] = { { CACHE_RRSET, type }, { CACHE_RRSET, TYPE_CNAME },
		{ CACHE_NODATA, type }, { CACHE_NXDOMAIN, 0 } };
	const unsigned count = sizeof(places) / sizeof(*places);
	unsigned best = count;
	int64_t newest = 0;
	for (unsigned i = 0; i < count; i++) {
		if (places[i].type == TYPE_CNAME && type != TYPE_CNAME &&
			!chain_is_for(type))
			continue;
		if (!store_get_stale(
			    it, domain, places[i].kind, name, places[i].type, out) ||
			out->meta.stored_s <= newest)
			continue;
		if (places[i].kind == CACHE_RRSET && out->meta.rank < RANK_ANSWER)
			continue;
		if (!start_accepts(f, &out->meta))
			continue;
		newest = out->meta.stored_s;
		best = i;
	}
	/* the buffer holds the last one read */
	if (best == count || !store_get_stale(it, domain, places[best].kind, name,
				     places[best].type, out))
		return 0;
	return newest;
}

uint32_t store_left(const struct iter *it, const struct stored *s, uint32_t ttl)
{
	const int64_t age = now_wall_s(&it->now) - s->meta.stored_s;
	if (age <= 0)
		return ttl;
	return age < (int64_t)ttl ? ttl - (uint32_t)age : 0;
}
