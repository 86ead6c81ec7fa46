/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/validate.c - a reply is genuine, unsigned or bogus: RFC 4035 section 5.
 *
 * The step goes through the RRsets that the question calls for, then (proof.c) looks at
 * what is denied. It may be left at any point, for keys that are missing or because
 * others have their turn, and begins again at the RRset where it was: all that was found
 * stays in the table of zones, in the reply and in the cache. */
#include <stdio.h>
#include <string.h>

#include "dnssec/ds.h"
#include "dnssec/rrsig.h"
#include "iter/state.h"

/* --- which zone ------------------------------------------------------------------ */

/* Above which nothing needs to be proven again: the zone whose servers were asked, or
 * an anchor. NULL: nothing is to be validated; `note` says why. */
static const uint8_t *base_of(
	const struct iter *it, const struct frame *f, const struct rrset *rr, int *note)
{
	const struct anchor *a = anchor_find_type(
		it->env.anchors, rr->name, rr->type, now_wall_s(&it->now));
	*note = a && a->kind == ANCHOR_NEGATIVE ? EDE_NEGATIVE_ANCHOR : EDE_NONE;
	if (!a || a->kind == ANCHOR_NEGATIVE)
		return NULL;
	const bool known =
		f->cut && !f->cut->forward && name_within(f->cut->zone, a->owner);
	return known ? f->cut->zone : a->owner;
}

/* The signer's name, that of `base` if it is among them; NULL: nobody who could be.
 * *same: there is no other. */
static const uint8_t *signer_of(const struct rrset *rr, const uint8_t *base, bool *same)
{
	const uint8_t *found = NULL;
	struct rrsig_walk w = rrsig_begin(rr);
	*same = true;
	for (struct rrsig sig; rrsig_next(&w, &sig);) {
		if (!rrsig_fits(&sig, rr, sig.signer) || !name_within(sig.signer, base))
			continue;
		*same &= !found || name_equal(found, sig.signer);
		if (!found || name_equal(sig.signer, base))
			found = sig.signer;
	}
	return found;
}

/* --- one RRset -------------------------------------------------------------------- */

static enum verdict wrong(struct frame *f, int ede)
{
	f->check.ede = ede == EDE_NONE ? EDE_BOGUS : ede;
	return CHECK_WRONG;
}

static enum verdict insecure(struct reply_rrset *set, int note)
{
	set->status = CACHE_INSECURE;
	set->note = note;
	return CHECK_GOOD;
}

static enum verdict wrong_zone(struct frame *f, const struct zone *z, bool is_base)
{
	f->check.silent = z->silent && z->state == ZONE_BOGUS;
	f->check.final = is_base && z->state == ZONE_BOGUS;
	return wrong(f, z->ede);
}

static void shorten(struct reply_rrset *set, uint32_t ttl)
{
	if (set->rr.ttl > ttl)
		set->rr.ttl = ttl;
}

/* What lies in the cache as secure; a DS, perhaps, in the delegation that it came with. */
static const struct rrset *secure_before(struct iter *it, const struct frame *f,
	const struct rrset *rr, struct stored *s)
{
	const uint64_t domain = f->route.domain;
	if (store_get(it, domain, CACHE_RRSET, rr->name, rr->type, s) &&
		s->meta.status == CACHE_SECURE && s->count)
		return &s->items[0].rr;
	if (rr->type != TYPE_DS ||
		!store_get(it, domain, CACHE_CUT, rr->name, TYPE_NS, s) ||
		s->meta.status != CACHE_SECURE)
		return NULL;
	for (int i = 0; i < s->count; i++)
		if (s->items[i].rr.type == TYPE_DS)
			return &s->items[i].rr;
	return NULL;
}

/* False: its signatures are not of one owner. */
static bool labels_of(const struct rrset *rr, uint8_t *labels)
{
	struct rrsig_walk w = rrsig_begin(rr);
	struct rrsig sig;
	if (!rrsig_next(&w, &sig))
		return false;
	*labels = sig.labels;
	while (rrsig_next(&w, &sig))
		if (sig.labels != *labels)
			return false;
	return true;
}

/* The very same RRset was proved before, by whichever instance; what a wildcard made, for
 * whichever name: what was signed is the wildcard's RRset, and it lies at the wildcard. That
 * no closer name is there is proved by others, each time. */
static bool proved_before(struct iter *it, const struct frame *f,
	struct reply_rrset *set, const uint8_t *signer)
{
	uint8_t wildcard[NAME_MAX_LEN], labels;
	struct rrset is_signed = set->rr;
	struct stored s;
	if (!labels_of(&set->rr, &labels))
		return false;
	const bool expanded = labels < rrsig_count_labels(set->rr.name);
	if (expanded) {
		name_make_wildcard(wildcard, set->rr.name, labels);
		is_signed.name = wildcard;
	}
	const struct rrset *old = secure_before(it, f, &is_signed, &s);
	if (!old || old->type != is_signed.type || old->count != is_signed.count ||
		old->sig_count != is_signed.sig_count ||
		old->data_len != is_signed.data_len ||
		memcmp(old->data, is_signed.data, is_signed.data_len) != 0)
		return false;
	counter_up(it->env.counters, dnssec_spared);
	set->status = CACHE_SECURE;
	set->signer = signer;
	set->expanded = expanded;
	set->labels = labels;
	shorten(set, store_left(it, &s, old->ttl));
	return true;
}

/* The RRset as it stands at the wildcard. */
static void keep_wildcard(
	struct iter *it, const struct frame *f, const struct reply_rrset *set)
{
	uint8_t name[NAME_MAX_LEN];
	struct reply_rrset own = *set;
	name_make_wildcard(name, set->rr.name, set->labels);
	own.rr.name = name;
	store_rrset(it, f, &own, it->reply.aa ? RANK_AUTH_ANSWER : RANK_ANSWER, NULL);
}

static void take_verified(
	struct iter *it, struct frame *f, struct reply_rrset *set, const uint8_t *zone)
{
	const struct verify *v = &f->check.verify;
	set->status = CACHE_SECURE;
	set->signer = zone;
	set->expanded = v->expanded;
	set->labels = v->labels;
	shorten(set, v->ttl);
	if (set->section == SECTION_ANSWER && set->expanded)
		keep_wildcard(it, f, set);
	/* what comes with many answers of a zone is not checked each time */
	if (set->section == SECTION_AUTHORITY && !set->expanded &&
		(set->rr.type == TYPE_SOA || store_is_denial(set->rr.type)))
		store_rrset(it, f, set, RANK_AUTHORITY, NULL);
}

static enum verdict out_of_work(struct iter *it)
{
	const struct dnssec_work *w = &it->work;
	if (w->failures >= w->failures_max)
		counter_up(it->env.counters, budget_failures_exhausted);
	else
		counter_up(it->env.counters, budget_checks_exhausted);
	it->frames[0]->bogus = true; /* nothing expired stands in for it */
	iter_give_up(it, EDE_INDETERMINATE, "too many signature checks");
	return CHECK_OVER;
}

static enum verdict verify(
	struct iter *it, struct frame *f, struct reply_rrset *set, const uint8_t *zone)
{
	struct verify *v = &f->check.verify;
	if (!iter_may_work(it))
		return CHECK_YIELD;
	const enum dnssec_status status = verify_run(it->env.verifier, v, &it->work, 1);
	f->check.running = status == DNSSEC_MORE;
	switch (status) {
	case DNSSEC_SECURE:
		take_verified(it, f, set, zone);
		return CHECK_GOOD;
	case DNSSEC_MORE:
		return CHECK_YIELD;
	case DNSSEC_LIMIT:
		return out_of_work(it);
	case DNSSEC_INSECURE:
	case DNSSEC_BOGUS:
	case DNSSEC_INDETERMINATE:
		break;
	}
	return wrong(f, status == DNSSEC_BOGUS ? v->ede : EDE_INDETERMINATE);
}

/* A zone's own keys: the parent, or an anchor, vouches for one that signed them all. */
static enum verdict begin_keys(
	struct iter *it, struct frame *f, struct reply_rrset *set, struct zone *z)
{
	if (z->state == ZONE_INSECURE)
		return insecure(set, z->ede);
	if (z->state != ZONE_SECURE)
		return wrong_zone(f, z, true);
	if (!iter_may_work(it))
		return CHECK_YIELD;
	struct keyset *keys = arena_alloc(it->scratch, sizeof(*keys));
	if (!keys)
		return wrong(f, EDE_INDETERMINATE);
	keyset_read(keys, &set->rr);
	const struct ds_match m = ds_match(it->env.verifier, &z->ds, keys);
	if (m.status == DNSSEC_INSECURE)
		return insecure(set, m.ede);
	if (m.status != DNSSEC_SECURE) {
		const enum verdict v = trust_renew_ds(it, f, z);
		return v == CHECK_LATER  ? v
		       : v == CHECK_GOOD ? CHECK_YIELD /* and begin anew */
					 : wrong(f, m.ede);
	}
	verify_begin(&f->check.verify, &set->rr, keys, (uint32_t)now_wall_s(&it->now));
	f->check.verify.usable = m.keys;
	f->check.running = true;
	return verify(it, f, set, z->name);
}

static enum verdict begin_set(
	struct iter *it, struct frame *f, struct reply_rrset *set, struct zone *z)
{
	if (set->rr.type == TYPE_DNSKEY && name_equal(set->rr.name, z->name))
		return begin_keys(it, f, set, z);
	const enum verdict v = trust_keys(it, f, z, &set->rr);
	if (v != CHECK_GOOD)
		return v;
	if (z->state == ZONE_INSECURE)
		return insecure(set, z->ede);
	if (z->state != ZONE_SECURE)
		return wrong_zone(f, z, true);
	verify_begin(
		&f->check.verify, &set->rr, z->keys, (uint32_t)now_wall_s(&it->now));
	f->check.running = true;
	return verify(it, f, set, z->name);
}

static enum verdict unsigned_set(
	struct iter *it, struct frame *f, struct reply_rrset *set, const uint8_t *base)
{
	struct zone *z = NULL;
	const bool self = set->rr.type != TYPE_DS;
	/* there are no signatures of signatures */
	if (set->rr.type == TYPE_RRSIG)
		return insecure(set, EDE_NONE);
	const enum verdict v = trust_walk(it, f, base, set->rr.name, self, &z);
	return v == CHECK_GOOD ? insecure(set, z->ede) : v;
}

static enum verdict check_set(struct iter *it, struct frame *f, struct reply_rrset *set)
{
	struct zone *z;
	int note;
	bool same;
	const uint8_t *base = base_of(it, f, &set->rr, &note);
	if (!base)
		return insecure(set, note);
	enum verdict v = trust_zone(it, f, base, &z);
	if (v != CHECK_GOOD)
		return v;
	if (z->state == ZONE_INSECURE)
		return insecure(set, z->ede);
	if (z->state != ZONE_SECURE)
		return wrong_zone(f, z, true);
	const uint8_t *signer = signer_of(&set->rr, base, &same);
	if (!signer)
		return unsigned_set(it, f, set, base);
	/* also while this one waited for its turn: those who ask a zone at the same time
	 * get the same SOA, NSEC and keys */
	if (same && proved_before(it, f, set, signer)) {
		f->check.running = false;
		return CHECK_GOOD;
	}
	if (f->check.running)
		return verify(it, f, set, f->check.verify.keys->zone);
	if (!name_equal(signer, base)) {
		v = trust_zone(it, f, signer, &z);
		if (v != CHECK_GOOD)
			return v;
		if (z->state == ZONE_INSECURE)
			return insecure(set, z->ede);
		if (z->state != ZONE_SECURE)
			return wrong_zone(f, z, false);
	}
	return begin_set(it, f, set, z);
}

/* --- the reply ---------------------------------------------------------------------- */

static bool is_wanted(const struct reply *r, size_t i)
{
	const struct reply_rrset *set = &r->rrsets[i];
	const uint16_t type = set->rr.type;
	if (set->section == SECTION_ANSWER) {
		/* made of the DNAME before it */
		const struct rrset *before = i ? &r->rrsets[i - 1].rr : NULL;
		return !(type == TYPE_CNAME && before && before->type == TYPE_DNAME &&
			 name_within(set->rr.name, before->name));
	}
	if (set->section != SECTION_AUTHORITY)
		return false;
	if (store_is_denial(type))
		return proof_wanted(r);
	return type == TYPE_SOA || type == TYPE_DS;
}

static enum verdict check_all(struct iter *it, struct frame *f)
{
	struct reply *r = &it->reply;
	for (; f->check.at < r->count; f->check.at++) {
		struct reply_rrset *set = &r->rrsets[f->check.at];
		if (!is_wanted(r, f->check.at))
			continue;
		const enum verdict v = check_set(it, f, set);
		if (v == CHECK_WRONG && store_is_denial(set->rr.type) &&
			set->section == SECTION_AUTHORITY && !f->check.final)
			set->bad = true; /* perhaps the others are enough */
		else if (v != CHECK_GOOD)
			return v;
		f->check.running = false;
	}
	return proof_check(it, f);
}

bool validate_is_bogus(int ede)
{
	return (ede >= EDE_INDETERMINATE && ede <= EDE_NSEC_MISSING) ||
	       ede == EDE_SIGNATURE_EXPIRED_BEFORE_VALID;
}

enum step validate_fail(struct iter *it, struct frame *f, int ede)
{
	f->bogus = true;
	return iter_frame_fail(it, f, ede);
}

/* Who spoofs over UDP cannot over TCP. */
static void ask_again(struct frame *f, struct server *s)
{
	s->failed = s->doubted = false;
	s->asked_again = true;
	s->tcp = !s->no_tcp;
	f->server = s;
	f->alone = true;
	f->state = STATE_ASK;
	log_debug(VALDTR, "%s: asked once more", iter_text(f->name, f->type));
}

bool validate_doubts(struct frame *f)
{
	for (unsigned i = 0; i < f->cut->server_count; i++)
		if (f->cut->servers[i].doubted) {
			ask_again(f, &f->cut->servers[i]);
			return true;
		}
	return false;
}

/* Perhaps one server only is broken, or lies. */
static enum step try_another(struct iter *it, struct frame *f)
{
	const int ede = f->check.ede;
	char text[100];
	if (f->check.silent)
		return iter_frame_fail(it, f, ede);
	counter_up(it->env.counters, dnssec_bogus_replies);
	if (f->bogus_ede == EDE_NONE)
		f->bogus_ede = ede;
	log_debug(VALDTR, "%s: bogus, extended error %d",
		iter_text(f->ask_name ? f->ask_name : f->name, f->type), ede);
	if (!f->server) { /* what lay in the cache */
		f->state = STATE_CUT;
		return STEP_ON;
	}
	snprintf(
		text, sizeof(text), "bogus %.90s", iter_text(f->ask_name, f->ask_type));
	if (f->check.final)
		return validate_fail(it, f, f->bogus_ede);
	if (++f->bogus_tries >= LIMIT_BOGUS_TRIES) {
		if (!cut_climb(it, f)) /* many servers, all of them a liar's? */
			return validate_fail(it, f, f->bogus_ede);
		f->bogus_tries = 0;
		return STEP_ON;
	}
	if (f->minimised && it->reply.kind == REPLY_NXDOMAIN) {
		f->min_off = true;
		f->state = STATE_ASK;
		return STEP_ON;
	}
	f->alone = true; /* the host's fetches hold this very reply */
	if (f->shared) { /* ours may be better */
		f->state = STATE_ASK;
		return STEP_ON;
	}
	f->server->failed = true;
	f->server->doubted = !f->tcp && !f->server->asked_again;
	it->other_trouble++;
	iter_trouble(it, &f->server->addr, text);
	f->state = STATE_SELECT;
	if (f->server->doubted && f->bogus_tries == LIMIT_BOGUS_TRIES - 1)
		ask_again(f, f->server); /* the last try is the surest */
	return STEP_ON;
}

static enum step go_on(struct frame *f, enum iter_state state)
{
	f->state = state;
	return STEP_ON;
}

enum step validate_run(struct iter *it, struct frame *f)
{
	switch (check_all(it, f)) {
	case CHECK_GOOD:
		aggressive_learn(it, f);
		return go_on(f, f->check.then);
	case CHECK_WRONG:
		return try_another(it, f);
	case CHECK_LATER:
		return STEP_ON;
	case CHECK_YIELD:
		return iter_yield(it);
	case CHECK_OVER:
		break;
	}
	return STEP_WISH;
}

void validate_guard(struct iter *it, struct frame *f)
{
	if (!it->env.anchors || !it->env.verifier || f->route.kind == ROUTE_STUB)
		f->guard = GUARD_OPEN;
	else if (it->q.checking_disabled || iter_flag(it, CONF_DNSSEC_CD) ||
		 f->purpose == FOR_ADDRESS)
		f->guard = GUARD_OFF;
	else
		f->guard = GUARD_CHECK;
}

/* On the way to a name below a negative anchor it does not matter whether the zones
 * above it are bogus: what they delegate is taken unchecked, as for CD. */
static bool leads_below_negative(const struct iter *it, const struct frame *f)
{
	const enum reply_kind kind = it->reply.kind;
	if (kind != REPLY_REFERRAL && !(f->minimised && kind == REPLY_NODATA))
		return false;
	const struct anchor *a = anchor_find_type(
		it->env.anchors, f->name, f->type, now_wall_s(&it->now));
	return a && a->kind == ANCHOR_NEGATIVE;
}

enum step validate_begin(struct iter *it, struct frame *f, enum iter_state then)
{
	struct reply *r = &it->reply;
	f->check = (struct check){ .then = then, .ede = EDE_NONE };
	r->note = EDE_NONE;
	if (f->guard == GUARD_CHECK && !leads_below_negative(it, f))
		return go_on(f, STATE_VALIDATE);
	r->status = f->guard == GUARD_OPEN ? CACHE_INSECURE : CACHE_UNCHECKED;
	for (size_t i = 0; i < r->count; i++)
		r->rrsets[i].status = r->status;
	return go_on(f, then);
}
