/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/trust.c - the chain of trust: which zones are signed, and with which keys.
 *
 * A resolution has a table of zones. What is missing in it comes from trust anchors,
 * from the cache (where only what was proven counts), or from a frame more: DS at the
 * parent, DNSKEY at the zone itself. Those frames validate their own answers, so each
 * leans on the zone above it, up to an anchor. */
#include <string.h>

#include "dnssec/ds.h"
#include "dnssec/rrsig.h"
#include "iter/state.h"

/* --- the table ------------------------------------------------------------------ */

static struct zone *zone_get(struct iter *it, const uint8_t *name)
{
	for (struct zone *z = it->zones; z; z = z->next)
		if (name_equal(z->name, name))
			return z;
	struct zone *z = arena_alloc(it->arena, sizeof(*z));
	uint8_t *copy = arena_alloc(it->arena, name_len(name));
	if (!z || !copy)
		return NULL;
	name_copy_lower(copy, name);
	z->name = copy;
	z->ede = EDE_NONE;
	z->next = it->zones;
	it->zones = z;
	return z;
}

static bool copy_rrset(
	struct iter *it, const struct rrset *rr, const uint8_t *name, struct rrset *out)
{
	uint8_t *data = arena_dup(it->arena, rr->data, rr->data_len);
	*out = *rr;
	out->name = name;
	out->data = data;
	return data;
}

static void zone_is(struct zone *z, enum zone_state state, int ede)
{
	z->state = state;
	z->ede = ede;
}

/* The DS RRset is genuine: is there anything in it that can be checked? */
static void zone_has_ds(struct iter *it, struct zone *z, const struct rrset *ds)
{
	int ede;
	if (!ds_usable(it->env.verifier, ds, &ede))
		zone_is(z, ZONE_INSECURE, ede);
	else if (copy_rrset(it, ds, z->name, &z->ds))
		zone_is(z, ZONE_SECURE, EDE_NONE);
}

/* What a DS RRset that was looked up, or its denial, says. */
static void zone_by_status(struct iter *it, struct zone *z, unsigned status,
	const struct rrset *ds, bool unsigned_cut, int note)
{
	if (status == CACHE_INSECURE)
		zone_is(z, ZONE_INSECURE, note);
	else if (status == CACHE_SECURE && ds)
		zone_has_ds(it, z, ds);
	else if (status == CACHE_SECURE)
		zone_is(z, unsigned_cut ? ZONE_INSECURE : ZONE_NONE, note);
}

/* --- from the cache ------------------------------------------------------------- */

static const struct rrset *find_ds(const struct stored *s)
{
	for (int i = 0; i < s->count; i++)
		if (s->items[i].rr.type == TYPE_DS)
			return &s->items[i].rr;
	return NULL;
}

/* A delegation may live longer than its DS, or the denial of one. */
static bool is_alive(const struct iter *it, const struct stored *s)
{
	for (int i = 0; i < s->count; i++) {
		const struct rrset *rr = &s->items[i].rr;
		if ((rr->type == TYPE_DS || store_is_denial(rr->type)) &&
			!store_left(it, s, rr->ttl))
			return false;
	}
	return true;
}

static bool get(struct iter *it, const struct frame *f, const uint8_t *name,
	enum cache_kind kind, uint16_t type, struct stored *s)
{
	struct route route;
	chain_route(it, f, name, &route);
	return store_get(it, route.domain, kind, name, type, s) &&
	       s->meta.status >= CACHE_INSECURE && is_alive(it, s);
}

static void from_cache(struct iter *it, const struct frame *f, struct zone *z)
{
	struct stored s;
	if (get(it, f, z->name, CACHE_CUT, TYPE_NS, &s) ||
		get(it, f, z->name, CACHE_RRSET, TYPE_DS, &s)) {
		const struct rrset *ds = find_ds(&s);
		if (ds || s.meta.status == CACHE_INSECURE)
			zone_by_status(it, z, s.meta.status, ds, true, s.meta.ede);
		z->ds_stored_s = s.meta.stored_s;
	}
	if (z->state == ZONE_UNKNOWN &&
		(get(it, f, z->name, CACHE_NODATA, TYPE_DS, &s) ||
			get(it, f, z->name, CACHE_NXDOMAIN, 0, &s)))
		zone_by_status(it, z, s.meta.status, NULL,
			s.meta.user & STORE_UNSIGNED_CUT, s.meta.ede);
}

static void from_anchor(struct iter *it, struct zone *z)
{
	const struct anchor *a =
		anchor_find(it->env.anchors, z->name, now_wall_s(&it->now));
	if (!a)
		zone_is(z, ZONE_INSECURE, EDE_NONE);
	else if (a->kind == ANCHOR_NEGATIVE)
		zone_is(z, ZONE_INSECURE, EDE_NEGATIVE_ANCHOR);
	else if (name_equal(a->owner, z->name))
		zone_has_ds(it, z, &a->ds);
}

/* --- from frames ---------------------------------------------------------------- */

static bool asked_already(const struct iter *it, const uint8_t *name, uint16_t type)
{
	for (unsigned i = 0; i <= it->depth; i++) {
		const struct frame *f = it->frames[i];
		if (f->purpose == FOR_TRUST && f->type == type &&
			name_equal(f->asked, name))
			return true;
	}
	return false;
}

static enum verdict ask(struct iter *it, struct frame *f, struct zone *z, uint16_t type)
{
	struct frame *above = asked_already(it, z->name, type)
				      ? NULL
				      : iter_frame_push(it, z->name, type, FOR_TRUST);
	if (!above) {
		f->check.ede = EDE_DNSKEY_MISSING;
		return CHECK_WRONG;
	}
	above->route.kind = ROUTE_ITERATE;
	chain_route(it, f,
		type == TYPE_DS && z->from_above ? name_strip(z->name, 1) : z->name,
		&above->route);
	log_debug(VALDTR, "chain of trust: %s", iter_text(z->name, type));
	return CHECK_LATER;
}

static const struct rrset *find_record(const struct frame *f, uint16_t type)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->records[i].section == SECTION_ANSWER &&
			f->records[i].rr.type == type &&
			name_equal(f->records[i].rr.name, f->asked))
			return &f->records[i].rr;
	return NULL;
}

static void zone_failed(struct iter *it, struct zone *z, const struct frame *above)
{
	const int ede = above->ede == EDE_CACHED_ERROR ? it->ede_origin : above->ede;
	zone_is(z, ZONE_BOGUS, ede);
	z->silent = !above->bogus;
}

/* The target of a rule for this very zone had nothing that proves: as an authoritative server it
 * knows its apex, not what stands in the parent. Those who know the parent do. */
static bool goes_above(struct zone *z, const struct frame *above)
{
	if (above->type != TYPE_DS || z->from_above || z->state != ZONE_UNKNOWN ||
		above->route.kind == ROUTE_ITERATE ||
		!name_equal(above->route.zone, z->name) || name_is_root(z->name))
		return false;
	z->from_above = true;
	return true;
}

static const struct keyset *keys_of(struct iter *it, const struct rrset *rr)
{
	struct keyset *keys = arena_alloc(it->arena, sizeof(*keys));
	if (keys)
		keyset_read(keys, rr);
	return keys;
}

static void take_keys(struct iter *it, struct zone *z, const struct frame *above)
{
	const struct rrset *rr = find_record(above, TYPE_DNSKEY);
	if (above->status == CACHE_INSECURE)
		zone_is(z, ZONE_INSECURE, above->note);
	else if (rr && above->status == CACHE_SECURE)
		z->keys = keys_of(it, rr);
	if (z->state == ZONE_SECURE && !z->keys)
		zone_is(z, ZONE_BOGUS, EDE_DNSKEY_MISSING);
}

void trust_take(struct iter *it, struct frame *f)
{
	const struct frame *above = it->frames[it->depth + 1];
	struct zone *z = zone_get(it, above->asked);
	(void)f;
	if (!z)
		return; /* the arena is full: the next turn ends it */
	const bool had =
		above->type == TYPE_DS ? z->state == ZONE_SECURE : z->keys != NULL;
	if (above->failed && had)
		return; /* what we had was to be renewed: it stays */
	if (above->failed && goes_above(z, above))
		return;
	if (above->failed)
		zone_failed(it, z, above);
	else if (above->type == TYPE_DNSKEY)
		take_keys(it, z, above);
	else
		zone_by_status(it, z, above->status, find_record(above, TYPE_DS),
			above->unsigned_cut, above->note);
	if (z->state == ZONE_UNKNOWN)
		zone_is(z, ZONE_BOGUS, EDE_BOGUS);
}

/* --- for who validates ---------------------------------------------------------- */

enum verdict trust_zone(
	struct iter *it, struct frame *f, const uint8_t *name, struct zone **out)
{
	struct zone *z = zone_get(it, name);
	*out = z;
	if (!z) {
		f->check.ede = EDE_INDETERMINATE;
		return CHECK_WRONG;
	}
	if (z->state == ZONE_UNKNOWN)
		from_anchor(it, z);
	if (z->state == ZONE_UNKNOWN)
		from_cache(it, f, z);
	return z->state == ZONE_UNKNOWN ? ask(it, f, z, TYPE_DS) : CHECK_GOOD;
}

static bool has_key(const struct keyset *keys, const struct rrsig *sig)
{
	for (unsigned i = 0; i < keys->count; i++)
		if (keys->key[i].tag == sig->tag &&
			keys->key[i].algorithm == sig->algorithm)
			return true;
	return false;
}

/* Can one of the keys have made a signature of it? */
static bool can_have_signed(const struct keyset *keys, const struct rrset *rr)
{
	struct rrsig_walk w = rrsig_begin(rr);
	for (struct rrsig sig; rrsig_next(&w, &sig);)
		if (name_equal(sig.signer, keys->zone) && has_key(keys, &sig))
			return true;
	return false;
}

/* Keys that were fetched just now, or could not be, are not fetched again for whoever
 * makes up signatures. */
static enum verdict renew_keys(
	struct iter *it, struct frame *f, struct zone *z, const struct rrset *rr)
{
	struct route route;
	struct stored s;
	if (!z->renewable || can_have_signed(z->keys, rr))
		return CHECK_GOOD;
	z->renewable = false;
	chain_route(it, f, z->name, &route);
	if (it->q.stale || asked_already(it, z->name, TYPE_DNSKEY) ||
		store_get(it, route.domain, CACHE_FAILURE, z->name, TYPE_DNSKEY, &s))
		return CHECK_GOOD;
	const enum verdict v = ask(it, f, z, TYPE_DNSKEY);
	if (v == CHECK_LATER)
		iter_frame_top(it)->no_cache = true;
	return v == CHECK_LATER ? v : CHECK_GOOD;
}

/* A newer one, or its denial, that another resolution brought. */
static bool newer_ds(struct iter *it, struct frame *f, struct zone *z, int64_t stored_s)
{
	struct stored s;
	const bool there = get(it, f, z->name, CACHE_RRSET, TYPE_DS, &s) &&
			   s.meta.stored_s > stored_s && find_ds(&s);
	if (!there && !(get(it, f, z->name, CACHE_NODATA, TYPE_DS, &s) &&
			      s.meta.stored_s > stored_s))
		return false;
	zone_by_status(it, z, s.meta.status, there ? find_ds(&s) : NULL,
		there || (s.meta.user & STORE_UNSIGNED_CUT), s.meta.ede);
	return true;
}

enum verdict trust_renew_ds(struct iter *it, struct frame *f, struct zone *z)
{
	const int64_t stored_s = z->ds_stored_s;
	const struct anchor *a =
		anchor_find(it->env.anchors, z->name, now_wall_s(&it->now));
	z->ds_stored_s = 0;
	if (!stored_s || it->q.stale || asked_already(it, z->name, TYPE_DS) ||
		(a && name_equal(a->owner, z->name)))
		return CHECK_WRONG;
	if (newer_ds(it, f, z, stored_s))
		return CHECK_GOOD;
	if (now_wall_s(&it->now) - stored_s < KEYS_FRESH_S)
		return CHECK_WRONG;
	const enum verdict v = ask(it, f, z, TYPE_DS);
	if (v == CHECK_LATER)
		iter_frame_top(it)->no_cache = true;
	return v;
}

enum verdict trust_keys(struct iter *it, struct frame *f, struct zone *z,
	const struct rrset *signed_set)
{
	struct stored s;
	struct rrset rr;
	if (z->state != ZONE_SECURE)
		return CHECK_GOOD;
	if (z->keys)
		return renew_keys(it, f, z, signed_set);
	if (!get(it, f, z->name, CACHE_RRSET, TYPE_DNSKEY, &s) ||
		s.meta.status != CACHE_SECURE || s.items[0].rr.type != TYPE_DNSKEY)
		return ask(it, f, z, TYPE_DNSKEY);
	if (copy_rrset(it, &s.items[0].rr, z->name, &rr))
		z->keys = keys_of(it, &rr);
	if (!z->keys) {
		zone_is(z, ZONE_BOGUS, EDE_INDETERMINATE);
		return CHECK_GOOD;
	}
	z->renewable = now_wall_s(&it->now) - s.meta.stored_s >= KEYS_FRESH_S;
	return renew_keys(it, f, z, signed_set);
}

/* How many frames ask for a DS now? */
static unsigned walks(const struct iter *it)
{
	unsigned n = 0;
	for (unsigned i = 0; i <= it->depth; i++)
		n += it->frames[i]->purpose == FOR_TRUST &&
		     it->frames[i]->type == TYPE_DS;
	return n;
}

static bool is_open(const struct zone *z)
{
	return z->state == ZONE_INSECURE;
}

/* What is known of the lowest name at once: who denies its DS, with a proof, has no
 * delegation above it either. WRONG: that says nothing; label by label then. */
static enum verdict leap(
	struct iter *it, struct frame *f, const uint8_t *name, struct zone **out)
{
	enum { WALKS = 3 }; /* frames that do so for each other */
	struct zone *z = zone_get(it, name);
	if (!z || (z->state == ZONE_UNKNOWN && walks(it) >= WALKS))
		return CHECK_WRONG;
	const enum verdict v = trust_zone(it, f, name, &z);
	if (v != CHECK_GOOD || z->state == ZONE_BOGUS)
		return v == CHECK_LATER ? v : CHECK_WRONG;
	*out = z;
	return CHECK_GOOD;
}

enum verdict trust_walk(struct iter *it, struct frame *f, const uint8_t *base,
	const uint8_t *name, bool self, struct zone **out)
{
	const unsigned all = name_labels(name), last = self ? all : all - 1;
	unsigned none = 0;
	for (unsigned n = name_labels(base) + 1; n <= last && all; n++) {
		enum verdict v = trust_zone(it, f, name_strip(name, all - n), out);
		if (v != CHECK_GOOD)
			return v;
		const struct zone *z = *out;
		if (z->state == ZONE_INSECURE)
			return CHECK_GOOD;
		if (z->state == ZONE_BOGUS) {
			f->check.ede = z->ede;
			f->check.silent = z->silent;
			return CHECK_WRONG;
		}
		if (z->state != ZONE_NONE)
			continue;
		if (++none > LIMIT_UNSIGNED_LABELS) {
			counter_up(it->env.counters, budget_labels_exhausted);
			break;
		}
		v = none == 1 && n < last
			    ? leap(it, f, name_strip(name, all - last), out)
			    : CHECK_WRONG;
		if (v == CHECK_LATER || (v == CHECK_GOOD && is_open(*out)))
			return v;
		if (v == CHECK_GOOD)
			break;
	}
	f->check.ede = EDE_RRSIGS_MISSING;
	return CHECK_WRONG;
}

void trust_learn(struct iter *it, const uint8_t *zone, const struct rrset *ds, int note)
{
	struct zone *z = zone_get(it, zone);
	if (!z || z->state == ZONE_SECURE || z->state == ZONE_INSECURE)
		return;
	from_anchor(it, z);
	if (z->state != ZONE_UNKNOWN)
		return;
	if (ds)
		zone_has_ds(it, z, ds);
	else
		zone_is(z, ZONE_INSECURE, note);
}

void trust_learn_cut(struct iter *it, const uint8_t *zone, const struct stored *s)
{
	const struct rrset *ds = find_ds(s);
	if (!is_alive(it, s))
		return;
	if (s->meta.status == CACHE_INSECURE) {
		trust_learn(it, zone, NULL, s->meta.ede);
	} else if (s->meta.status == CACHE_SECURE && ds) {
		struct zone *z = zone_get(it, zone);
		const bool first = z && z->state == ZONE_UNKNOWN;
		trust_learn(it, zone, ds, EDE_NONE);
		if (first)
			z->ds_stored_s = s->meta.stored_s;
	}
}
