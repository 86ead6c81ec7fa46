/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/proof.c - what a reply denies, and what its NSEC and NSEC3 records prove of it:
 * names, types, closer matches than a wildcard, a DS. RFC 4035 section 5.4, RFC 5155. */
#include <string.h>

#include "dnssec/denial.h"
#include "dnssec/rrsig.h"
#include "iter/state.h"

static bool is_answer(const struct reply *r)
{
	return r->kind == REPLY_ANSWER || r->kind == REPLY_ALIAS ||
	       r->kind == REPLY_ERROR;
}

bool proof_may_be_expanded(const struct rrset *rr)
{
	struct rrsig_walk w = rrsig_begin(rr);
	for (struct rrsig sig; rrsig_next(&w, &sig);)
		if (rrsig_expanded(&sig, rr->name))
			return true;
	return false;
}

bool proof_wanted(const struct reply *r)
{
	if (r->kind == REPLY_REFERRAL)
		return !reply_find(r, SECTION_AUTHORITY, TYPE_DS, r->cut);
	if (!is_answer(r) || r->soa_zone)
		return true;
	for (size_t i = 0; i < r->count; i++)
		if (r->rrsets[i].section == SECTION_ANSWER &&
			proof_may_be_expanded(&r->rrsets[i].rr))
			return true;
	return false;
}

static bool is_proof(const struct reply_rrset *set)
{
	return set->section == SECTION_AUTHORITY && !set->bad &&
	       set->status == CACHE_SECURE && !set->expanded &&
	       store_is_denial(set->rr.type);
}

/* The proofs of this zone. */
static void gather(struct denial *d, const struct reply *r, const uint8_t *zone)
{
	static struct keyset keys; /* only its zone is looked at */
	denial_begin(d, zone);
	for (size_t i = 0; i < r->count; i++) {
		const struct reply_rrset *set = &r->rrsets[i];
		if (!is_proof(set) || !name_equal(set->signer, zone))
			continue;
		keys.zone = zone;
		const struct verify v = {
			.rr = &set->rr, .keys = &keys, .ede = EDE_NONE
		};
		denial_add(d, &set->rr, &v);
	}
}

/* There were proofs, with signatures that are wrong. */
static bool is_spoilt(const struct reply *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->rrsets[i].bad)
			return true;
	return false;
}

static enum verdict unproven(struct iter *it, struct frame *f)
{
	f->check.ede = is_spoilt(&it->reply) ? EDE_BOGUS : EDE_NSEC_MISSING;
	return CHECK_WRONG;
}

static enum verdict judge(
	struct iter *it, struct frame *f, const struct denial_result *d)
{
	if (d->status == DNSSEC_LIMIT) {
		counter_up(it->env.counters, budget_sha1_exhausted);
		it->frames[0]->bogus = true;
		iter_give_up(it, EDE_INDETERMINATE, "too much NSEC3 hashing");
		return CHECK_OVER;
	}
	return d->status == DNSSEC_SECURE || d->status == DNSSEC_INSECURE
		       ? CHECK_GOOD
		       : unproven(it, f);
}

static uint8_t status_of(const struct denial_result *d)
{
	return d->status == DNSSEC_SECURE ? CACHE_SECURE : CACHE_INSECURE;
}

/* --- answers made from a wildcard ---------------------------------------------------- */

/* No longer than its proofs does it hold. */
static uint32_t least_ttl(const struct reply *r)
{
	uint32_t ttl = UINT32_MAX;
	for (size_t i = 0; i < r->count; i++)
		if (is_proof(&r->rrsets[i]) && r->rrsets[i].rr.ttl < ttl)
			ttl = r->rrsets[i].rr.ttl;
	return ttl;
}

/* The alias before the answer's RRset `i`, or NULL. */
static const struct rrset *alias_before(const struct reply *r, size_t i)
{
	while (i-- > 0)
		if (r->rrsets[i].rr.type == TYPE_CNAME)
			return &r->rrsets[i].rr;
	return NULL;
}

/* Of the answer's chain only what leads to RRset `i` is believed: the target is asked for by
 * itself. Whatever comes then has no alias before it, so that this ends. */
static bool end_at_alias(struct reply *r, size_t i)
{
	const struct rrset *alias = alias_before(r, i);
	size_t end = i;
	if (r->kind != REPLY_ALIAS || !alias)
		return false;
	while (end < r->count && r->rrsets[end].section == SECTION_ANSWER)
		end++;
	memmove(&r->rrsets[i], &r->rrsets[end], (r->count - end) * sizeof(*r->rrsets));
	r->count -= end - i;
	r->target = rrset_at(alias, 0).bytes;
	r->has_answer = false;
	r->soa_zone = NULL;
	return true;
}

static enum verdict check_expanded(struct iter *it, struct frame *f)
{
	struct reply *r = &it->reply;
	for (size_t i = 0; i < r->count; i++) {
		struct reply_rrset *set = &r->rrsets[i];
		if (set->section != SECTION_ANSWER || set->status != CACHE_SECURE ||
			!set->expanded)
			continue;
		struct denial d;
		gather(&d, r, set->signer);
		const struct denial_result result =
			denial_wildcard(&d, set->rr.name, set->labels, &it->work);
		const enum verdict v = judge(it, f, &result);
		/* NSD leaves out the proof of a wildcard behind a DNAME */
		if (v == CHECK_WRONG && end_at_alias(r, i))
			return CHECK_GOOD;
		if (v != CHECK_GOOD)
			return v;
		set->status = status_of(&result);
		set->note = result.ede;
		if (set->rr.ttl > least_ttl(r))
			set->rr.ttl = least_ttl(r);
	}
	return CHECK_GOOD;
}

/* --- no such name, no such type ------------------------------------------------------- */

/* Where the denial must come from: the SOA's zone, or that of the first proof. NULL:
 * nobody signed anything. */
static const struct reply_rrset *denier_of(const struct reply *r)
{
	const struct reply_rrset *soa = reply_get(r, SECTION_AUTHORITY, TYPE_SOA, NULL);
	if (soa)
		return soa;
	for (size_t i = 0; i < r->count; i++)
		if (is_proof(&r->rrsets[i]))
			return &r->rrsets[i];
	return NULL;
}

/* Nothing but an unsigned zone may deny without a proof. */
static enum verdict deny_unsigned(
	struct iter *it, struct frame *f, const uint8_t *name, uint16_t type)
{
	struct zone *z;
	const struct anchor *a =
		anchor_find_type(it->env.anchors, name, type, now_wall_s(&it->now));
	it->reply.status = CACHE_INSECURE;
	if (!a || a->kind == ANCHOR_NEGATIVE) {
		it->reply.note = a ? EDE_NEGATIVE_ANCHOR : EDE_NONE;
		return CHECK_GOOD;
	}
	const bool known =
		f->cut && !f->cut->forward && name_within(f->cut->zone, a->owner);
	const uint8_t *base = known ? f->cut->zone : a->owner;
	enum verdict v = trust_zone(it, f, base, &z);
	if (v != CHECK_GOOD)
		return v;
	if (z->state == ZONE_SECURE)
		v = trust_walk(it, f, base, name, type != TYPE_DS, &z);
	if (v == CHECK_GOOD && z->state == ZONE_INSECURE)
		it->reply.note = z->ede;
	else if (v == CHECK_GOOD)
		v = unproven(it, f);
	return v;
}

static void bound_ttl(struct reply *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct reply_rrset *set = &r->rrsets[i];
		const bool counts = is_proof(set) || (set->status == CACHE_SECURE &&
							     set->rr.type == TYPE_SOA);
		/* RFC 9077, and no longer than the signatures last */
		if (counts && set->rr.ttl < r->negative_ttl)
			r->negative_ttl = set->rr.ttl;
	}
}

/* A trust anchor stands between the zone and the name: what the zone says of it counts for
 * nothing, however unsigned it may be. */
static bool is_trusted_below(
	const struct iter *it, const uint8_t *zone, const uint8_t *name, uint16_t type)
{
	const struct anchor *a =
		anchor_find_type(it->env.anchors, name, type, now_wall_s(&it->now));
	return a && a->kind == ANCHOR_POSITIVE && !name_within(zone, a->owner);
}

static enum verdict check_denial(struct iter *it, struct frame *f, const uint8_t *name,
	uint16_t type, bool nxdomain)
{
	struct reply *r = &it->reply;
	const struct reply_rrset *denier = denier_of(r);
	if (!denier && is_spoilt(r))
		return unproven(it, f);
	if (!denier || (denier->status != CACHE_SECURE &&
			       is_trusted_below(it, denier->rr.name, name, type)))
		return deny_unsigned(it, f, name, type);
	if (denier->status != CACHE_SECURE) {
		r->status = CACHE_INSECURE;
		r->note = denier->note;
		return CHECK_GOOD;
	}
	struct denial d;
	gather(&d, r, denier->signer);
	const struct denial_result result =
		nxdomain ? denial_nxdomain(&d, name, &it->work)
			 : denial_nodata(&d, name, type, &it->work);
	const enum verdict v = judge(it, f, &result);
	if (v != CHECK_GOOD)
		return v;
	r->status = status_of(&result);
	r->note = result.ede;
	r->unsigned_cut = result.cut;
	bound_ttl(r);
	return CHECK_GOOD;
}

/* --- referrals ------------------------------------------------------------------------ */

static enum verdict ask_for_ds(struct iter *it, struct frame *f)
{
	struct reply *r = &it->reply;
	struct zone *z;
	const enum verdict v = trust_zone(it, f, r->cut, &z);
	if (v != CHECK_GOOD)
		return v;
	if (z->state == ZONE_BOGUS || z->state == ZONE_NONE) {
		f->check.ede = z->ede == EDE_NONE ? EDE_BOGUS : z->ede;
		f->check.silent = z->silent;
		return CHECK_WRONG;
	}
	r->status = z->state == ZONE_SECURE ? CACHE_SECURE : CACHE_INSECURE;
	r->note = z->ede;
	return CHECK_GOOD;
}

static enum verdict learn(
	struct iter *it, unsigned status, const struct rrset *ds, int note)
{
	it->reply.status = (uint8_t)status;
	it->reply.note = note;
	trust_learn(it, it->reply.cut, status == CACHE_SECURE ? ds : NULL, note);
	return CHECK_GOOD;
}

/* Is the zone that was asked unsigned? Then so is what it delegates. */
static enum verdict is_open(struct iter *it, struct frame *f, bool *open, int *note)
{
	struct zone *z;
	const struct anchor *a =
		anchor_find(it->env.anchors, f->cut->zone, now_wall_s(&it->now));
	*open = !a || a->kind == ANCHOR_NEGATIVE;
	*note = a && *open ? EDE_NEGATIVE_ANCHOR : EDE_NONE;
	/* at the anchor itself trust begins anew: trust_learn() */
	if (is_trusted_below(it, f->cut->zone, it->reply.cut, TYPE_DS)) {
		*open = false;
		return CHECK_GOOD;
	}
	if (*open)
		return CHECK_GOOD;
	const enum verdict v = trust_zone(it, f, f->cut->zone, &z);
	*open = v == CHECK_GOOD && z->state == ZONE_INSECURE;
	*note = *open ? z->ede : EDE_NONE;
	return v;
}

static enum verdict check_referral(struct iter *it, struct frame *f)
{
	struct reply *r = &it->reply;
	const struct reply_rrset *ds = reply_get(r, SECTION_AUTHORITY, TYPE_DS, r->cut);
	bool open;
	int note;
	if (ds)
		return learn(it, ds->status, &ds->rr, ds->note);
	const enum verdict v = is_open(it, f, &open, &note);
	if (v != CHECK_GOOD)
		return v;
	if (open)
		return learn(it, CACHE_INSECURE, NULL, note);
	const struct reply_rrset *denier = denier_of(r);
	if (denier && denier->status == CACHE_SECURE) {
		struct denial d;
		gather(&d, r, denier->signer);
		const struct denial_result result =
			denial_nodata(&d, r->cut, TYPE_DS, &it->work);
		if (result.status == DNSSEC_LIMIT)
			return judge(it, f, &result);
		if (result.status != DNSSEC_BOGUS && result.cut) {
			r->unsigned_cut = true;
			return learn(it, CACHE_INSECURE, NULL, result.ede);
		}
	}
	/* what is asked for itself is not looked up elsewhere: the referral is the denial */
	if (f->type == TYPE_DS && name_equal(r->cut, f->name))
		return deny_unsigned(it, f, r->cut, TYPE_DS);
	return ask_for_ds(it, f);
}

/* Are there hashes to be made that take their time? */
static bool is_dear(const struct frame *f, const struct reply *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct reply_rrset *set = &r->rrsets[i];
		const struct rdata item = rrset_at(&set->rr, 0);
		struct nsec3 n;
		if (set->rr.type != TYPE_NSEC3 || !is_proof(set) || !item.bytes ||
			!nsec3_read(
				&n, set->signer, set->rr.name, item.bytes, item.len))
			continue;
		const uint8_t *name = r->kind == REPLY_REFERRAL ? r->cut : f->ask_name;
		return (name_labels(name) + 2) * nsec3_price(&n.params, NAME_MAX_LEN) >
		       BLOCKS_AT_ONCE;
	}
	return false;
}

enum verdict proof_check(struct iter *it, struct frame *f)
{
	struct reply *r = &it->reply;
	if (is_dear(f, r) && !iter_may_work(it))
		return CHECK_YIELD;
	if (r->kind == REPLY_REFERRAL)
		return check_referral(it, f);
	if (!is_answer(r))
		return check_denial(
			it, f, f->ask_name, f->ask_type, r->kind == REPLY_NXDOMAIN);
	enum verdict v = check_expanded(it, f);
	if (v != CHECK_GOOD || r->kind != REPLY_ALIAS || r->has_answer || !r->soa_zone)
		return v;
	v = check_denial(it, f, r->target, f->ask_type, r->rcode == RCODE_NXDOMAIN);
	if (v != CHECK_WRONG)
		return v;
	/* NSD proves only half of it behind a DNAME: the target is asked for by itself */
	it->reply.soa_zone = NULL;
	return CHECK_GOOD;
}
