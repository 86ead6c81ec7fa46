/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/aggressive.c - what a zone's denials say of names that nobody asked before, and
 * what its wildcards make of them: RFC 8198.
 *
 * Each NSEC and NSEC3 that was found secure is a cache entry (CACHE_DENIAL); the pages
 * (cache/pages.h) hold where they begin, in order. Before a server is asked, the one or
 * two that should cover the name and the wildcard for it are fetched by the pages' order,
 * and dnssec/denial.c judges them as it judges those of a reply. Not stored: opt-out
 * (nothing is denied for sure) and intervals around one name (online signers); names of
 * such zones are counted instead, and too many of them refused. */
#include <string.h>

#include "cache/pages.h"
#include "dnssec/denial.h"
#include "dnssec/rrsig.h"
#include "dnssec/sortkey.h"
#include "iter/state.h"

enum {
	NARROW_BYTES = 5, /* an NSEC3 as wide as 2^-40 of all hashes is of one name */
	RENEW_SHARE = 2,  /* a stored one is stored anew after half its life */
};

/* --- learning ------------------------------------------------------------------- */

static struct cache_key denial_key(
	const struct frame *f, const uint8_t *zone, const uint8_t *owner, uint16_t type)
{
	return (struct cache_key){ .kind = CACHE_DENIAL,
		.flags = (uint8_t)name_labels(zone),
		.type = type,
		.rclass = CLASS_IN,
		.domain = f->route.domain,
		.name = owner };
}

/* The end of what is kept; 0: it is not worth it. */
static int64_t put_denial(struct iter *it, const struct frame *f, const uint8_t *zone,
	const struct rrset *rr, uint32_t ttl)
{
	static uint8_t value[4096];
	const struct cache_key key = denial_key(f, zone, rr->name, rr->type);
	const int64_t now_s = now_wall_s(&it->now);
	struct cache_meta meta;
	if (!ttl)
		return 0;
	if (cache_peek(it->env.cache, &key, &it->now, &meta, value, sizeof(value),
		    false) > 0 &&
		meta.status == CACHE_SECURE &&
		(meta.expire_s - now_s) * RENEW_SHARE > (int64_t)ttl)
		return meta.expire_s;
	struct bundle_item item = { .section = SECTION_AUTHORITY, .rr = *rr };
	item.rr.ttl = ttl;
	const size_t len = bundle_write(value, sizeof(value), rr->name, &item, 1);
	meta = (struct cache_meta){ .stored_s = now_s,
		.expire_s = now_s + ttl,
		.generation = it->generation,
		.epoch = it->epoch,
		.status = CACHE_SECURE,
		.rank = RANK_AUTHORITY,
		.ede = EDE_NONE };
	return len && cache_put(it->env.cache, &key, &it->now, &meta, value, len)
		       ? now_s + ttl
		       : 0;
}

/* RFC 9077: no longer than the zone says, which is min(SOA TTL, SOA minimum). */
static uint32_t ttl_of(const struct iter *it, const struct rrset *rr)
{
	const struct reply *r = &it->reply;
	const uint32_t most = it->env.conf->cache_max_ttl;
	uint32_t ttl = rr->ttl < NEGATIVE_TTL_MAX ? rr->ttl : NEGATIVE_TTL_MAX;
	if (r->soa_zone && r->negative_ttl < ttl)
		ttl = r->negative_ttl;
	return ttl < most ? ttl : most;
}

/* Made for one name: the next one is the first that can follow it. */
static bool is_narrow_nsec(const struct nsec *n)
{
	const uint8_t *next = n->next;
	return next[0] && (next[next[0]] == 0);
}

static bool is_narrow_nsec3(const struct nsec3 *n)
{
	return memcmp(n->hash, n->next, NARROW_BYTES) == 0 &&
	       memcmp(n->hash, n->next, NSEC3_HASH_LEN) < 0;
}

/* False: it proves nothing for other names. */
static bool learn_nsec(struct iter *it, const struct frame *f, const uint8_t *zone,
	const struct rrset *rr, const struct rdata *item)
{
	const struct pages_chain chain = { .type = TYPE_NSEC };
	uint8_t key[PAGES_KEY_MAX];
	struct nsec n;
	if (!nsec_read(&n, zone, rr->name, item->bytes, item->len))
		return true;
	if (is_narrow_nsec(&n))
		return false;
	const size_t len = sortkey_of_name(key, sizeof(key), rr->name, zone);
	const int64_t end_s =
		len == SIZE_MAX ? 0 : put_denial(it, f, zone, rr, ttl_of(it, rr));
	if (end_s)
		pages_add(it->env.pages, f->route.domain, zone, &chain, key, len, end_s,
			&it->now);
	return true;
}

static bool learn_nsec3(struct iter *it, const struct frame *f, const uint8_t *zone,
	const struct rrset *rr, const struct rdata *item)
{
	struct pages_chain chain = { .type = TYPE_NSEC3 };
	struct nsec3 n;
	if (!nsec3_read(&n, zone, rr->name, item->bytes, item->len) ||
		n.params.iterations > LIMIT_NSEC3_ITERATIONS ||
		n.params.salt_len > PAGES_SALT_MAX)
		return true;
	if (n.opt_out || is_narrow_nsec3(&n))
		return false;
	chain.iterations = n.params.iterations;
	chain.salt_len = n.params.salt_len;
	if (n.params.salt_len)
		memcpy(chain.salt, n.params.salt, n.params.salt_len);
	const int64_t end_s = put_denial(it, f, zone, rr, ttl_of(it, rr));
	if (end_s)
		pages_add(it->env.pages, f->route.domain, zone, &chain, n.hash,
			NSEC3_HASH_LEN, end_s, &it->now);
	return true;
}

static bool learn_denial(
	struct iter *it, const struct frame *f, const struct reply_rrset *set)
{
	const struct rdata item = rrset_at(&set->rr, 0);
	if (set->rr.count != 1 || !item.bytes || !set->rr.sig_count)
		return true; /* RFC 4034: one at a name */
	return set->rr.type == TYPE_NSEC
		       ? learn_nsec(it, f, set->signer, &set->rr, &item)
		       : learn_nsec3(it, f, set->signer, &set->rr, &item);
}

void aggressive_learn(struct iter *it, struct frame *f)
{
	const struct reply *r = &it->reply;
	const bool negative = r->kind == REPLY_NXDOMAIN || r->kind == REPLY_NODATA;
	bool vain = false;
	if (!it->env.pages || f->route.kind != ROUTE_ITERATE || !f->cut)
		return;
	for (size_t i = 0; i < r->count; i++) {
		const struct reply_rrset *set = &r->rrsets[i];
		if (set->status != CACHE_SECURE || set->bad)
			continue;
		if (set->section != SECTION_AUTHORITY || set->expanded)
			continue;
		if (set->rr.type == TYPE_SOA && name_equal(set->rr.name, set->signer))
			put_denial(it, f, set->signer, &set->rr, ttl_of(it, &set->rr));
		else if (store_is_denial(set->rr.type) && !learn_denial(it, f, set))
			vain = true;
	}
	if (vain && negative && f->server) {
		pages_vain(it->env.pages, f->cut->zone, &it->now, f->uncounted);
		f->uncounted = false;
	} else if (!negative && f->server) {
		pages_fruitful(it->env.pages, f->cut->zone, &it->now);
	}
}

/* --- asking too much in vain ------------------------------------------------------ */

/* Somebody had it here, though it has expired. */
static bool was_there(struct iter *it, const struct frame *f, uint16_t type)
{
	static struct stored s;
	return store_get_stale(it, f->route.domain, CACHE_RRSET, f->name, type, &s) &&
	       s.meta.rank >= RANK_ANSWER;
}

/* Of top-level domains and the root new names are everybody's: one client's noise must not deny
 * them to all, and their servers bear more than any that this quota is for. */
static bool is_everybodys(const uint8_t *zone)
{
	return name_labels(zone) <= 1;
}

bool aggressive_may_ask(struct iter *it, struct frame *f)
{
	if (f->cut == f->counted || is_everybodys(f->cut->zone) || !it->env.pages ||
		f->cut->forward || f->purpose == FOR_TRUST)
		return true;
	f->counted = f->cut;
	f->uncounted = false;
	if (name_equal(f->name, f->cut->zone) ||
		pages_may_ask(it->env.pages, f->cut->zone, &it->now, &f->uncounted) ||
		was_there(it, f, f->type) || was_there(it, f, TYPE_CNAME))
		return true;
	counter_up(it->env.counters, zone_names_refused);
	if (!it->ede_text[0])
		strcpy(it->ede_text, "too many new names of this zone");
	it->local_trouble++; /* says nothing of the name */
	return false;
}

/* --- finding proofs --------------------------------------------------------------- */

enum { PROOFS = 3, SETS = PROOFS + 1 };

struct search {
	const uint8_t *zone;
	struct pages_chain chain;
	struct denial denial;
	struct rrset set[SETS]; /* copies; the SOA comes last */
	unsigned count;
	unsigned encloser; /* labels of the closest one; the name's own: it is there */
	uint32_t ttl;
	uint64_t generation; /* of the oldest */
};

/* A secure one joins the search. NULL: there is none any more. */
static const struct rrset *fetch(struct iter *it, struct frame *f, struct search *s,
	const uint8_t *owner, uint16_t type)
{
	static uint8_t value[4096];
	struct bundle_item items[BUNDLE_MAX];
	struct cache_meta meta;
	const struct cache_key key = denial_key(f, s->zone, owner, type);
	for (unsigned i = 0; i < s->count; i++)
		if (s->set[i].type == type && name_equal(s->set[i].name, owner))
			return &s->set[i];
	const int len =
		cache_get(it->env.cache, &key, &it->now, &meta, value, sizeof(value));
	if (s->count == SETS || len <= 0 || meta.status != CACHE_SECURE ||
		bundle_read(value, (size_t)len, owner, items) != 1 ||
		items[0].rr.type != type || !name_equal(items[0].rr.name, owner))
		return NULL;
	struct rrset *rr = &s->set[s->count];
	const int64_t left = meta.expire_s - now_wall_s(&it->now);
	*rr = items[0].rr;
	rr->name = arena_dup(it->arena, rr->name, name_len(rr->name));
	rr->data = arena_dup(it->arena, rr->data, rr->data_len);
	if (!rr->name || !rr->data || left <= 0)
		return NULL;
	if (left < (int64_t)s->ttl)
		s->ttl = (uint32_t)left;
	if (meta.generation < s->generation)
		s->generation = meta.generation;
	s->count++;
	return rr;
}

static bool add(struct iter *it, struct frame *f, struct search *s,
	const uint8_t *owner, uint16_t type)
{
	static struct keyset keys; /* only its zone is looked at */
	const unsigned before = s->count;
	const struct rrset *rr = fetch(it, f, s, owner, type);
	if (!rr || s->count == before)
		return rr;
	keys.zone = s->zone;
	const struct verify v = { .rr = rr, .keys = &keys, .ede = EDE_NONE };
	return denial_add(&s->denial, rr, &v);
}

/* --- NSEC ------------------------------------------------------------------------- */

/* The NSEC that is at `name` or in front of it. */
static const struct nsec *add_nsec_near(
	struct iter *it, struct frame *f, struct search *s, const uint8_t *name)
{
	/* that of a long name is kept nowhere, but it may be denied */
	uint8_t key[2 * NAME_MAX_LEN], owner[NAME_MAX_LEN];
	struct keylist_key found;
	const size_t len = sortkey_of_name(key, sizeof(key), name, s->zone);
	if (len == SIZE_MAX || !pages_find(it->env.pages, key, len, &it->now, &found) ||
		!sortkey_to_name(owner, found.bytes, found.len, s->zone) ||
		!add(it, f, s, owner, TYPE_NSEC))
		return NULL;
	for (unsigned i = 0; i < s->denial.nsec_count; i++)
		if (name_equal(s->denial.nsec[i].owner, owner))
			return &s->denial.nsec[i];
	return NULL;
}

static bool gather_nsec(struct iter *it, struct frame *f, struct search *s)
{
	uint8_t wildcard[NAME_MAX_LEN];
	const struct nsec *n = add_nsec_near(it, f, s, f->name);
	s->encloser = name_labels(f->name);
	if (!n || name_equal(n->owner, f->name))
		return n;
	if (!nsec_covers(n, s->zone, f->name))
		return false;
	if (nsec_is_empty(n, f->name))
		return true;
	s->encloser = nsec_encloser(n, f->name);
	name_make_wildcard(wildcard, f->name, s->encloser);
	return add_nsec_near(it, f, s, wildcard);
}

/* --- NSEC3 ------------------------------------------------------------------------ */

static bool add_nsec3_at(
	struct iter *it, struct frame *f, struct search *s, const uint8_t *hash)
{
	uint8_t owner[NAME_MAX_LEN];
	return sortkey_hash_owner(owner, hash, s->zone) &&
	       add(it, f, s, owner, TYPE_NSEC3);
}

static struct nsec3_params params_of(const struct search *s)
{
	return (struct nsec3_params){ .iterations = s->chain.iterations,
		.salt_len = s->chain.salt_len,
		.salt = s->chain.salt };
}

/* All hashes that the search and the judgements after it (of the type, of the name, of the
 * wildcard's closer name) may take. */
static uint32_t price_of(const struct frame *f, const struct search *s)
{
	const struct nsec3_params params = params_of(s);
	const unsigned names = name_labels(f->name) - name_labels(s->zone) + 2;
	return (3 * names + 1) * nsec3_price(&params, name_len(f->name) + 2);
}

static bool affordable(struct iter *it, uint32_t price)
{
	const struct dnssec_work *w = &it->work;
	if (price <= LIMIT_AGGRESSIVE_BLOCKS &&
		price <= (w->sha1_blocks_max - w->sha1_blocks) / 2)
		return true;
	counter_up(it->env.counters, aggressive_too_dear);
	return false;
}

/* The NSEC3 that is at the hash of `name` or in front of it: its hash. */
static bool find_hash(struct iter *it, const struct search *s, const uint8_t *name,
	struct keylist_key *found, bool *exact)
{
	const struct nsec3_params params = params_of(s);
	uint8_t hash[NSEC3_HASH_LEN];
	if (!nsec3_hash(&params, name, &it->work, hash) ||
		!pages_find(it->env.pages, hash, sizeof(hash), &it->now, found) ||
		found->len != NSEC3_HASH_LEN)
		return false;
	*exact = memcmp(found->bytes, hash, sizeof(hash)) == 0;
	return true;
}

static bool gather_nsec3(struct iter *it, struct frame *f, struct search *s)
{
	struct keylist_key found, closer = { .len = 0 };
	uint8_t wildcard[NAME_MAX_LEN];
	const unsigned labels = name_labels(f->name), least = name_labels(s->zone);
	unsigned encloser = labels;
	bool exact = false;
	for (;; encloser--) {
		if (!find_hash(it, s, name_strip(f->name, labels - encloser), &found,
			    &exact))
			return false;
		if (exact || encloser == least)
			break;
		closer = found;
	}
	s->encloser = encloser;
	if (!exact || !add_nsec3_at(it, f, s, found.bytes))
		return false;
	if (encloser == labels)
		return true;
	if (!add_nsec3_at(it, f, s, closer.bytes))
		return false;
	name_make_wildcard(wildcard, f->name, encloser);
	return find_hash(it, s, wildcard, &found, &exact) &&
	       add_nsec3_at(it, f, s, found.bytes);
}

/* --- answering -------------------------------------------------------------------- */

static bool is_proven(const struct denial_result *r)
{
	return r->status == DNSSEC_SECURE && !r->opt_out && !r->nxname;
}

/* A clear of the name, or of one above, since the oldest part was stored. */
static bool is_cleared(struct iter *it, const struct frame *f, const struct search *s,
	enum cache_kind kind)
{
	const struct cache_key key = { .kind = (uint8_t)kind,
		.type = f->type,
		.rclass = CLASS_IN,
		.domain = f->route.domain,
		.name = f->name };
	return cache_is_cleared(it->env.cache, &key, s->generation);
}

static bool add_proofs(struct iter *it, struct frame *f, const struct search *s)
{
	for (unsigned i = 0; i < s->count; i++)
		if (!chain_add(it, f, SECTION_AUTHORITY, &s->set[i], s->ttl))
			return false;
	return true;
}

static bool deny(struct iter *it, struct frame *f, struct search *s,
	const struct denial_result *r, bool nxdomain, enum step *step)
{
	if (is_cleared(it, f, s, nxdomain ? CACHE_NXDOMAIN : CACHE_NODATA) ||
		!fetch(it, f, s, s->zone, TYPE_SOA))
		return false;
	frame_status(f, CACHE_SECURE, EDE_NONE);
	f->unsigned_cut = r->cut;
	f->rcode = nxdomain ? RCODE_NXDOMAIN : RCODE_NOERROR;
	f->state = STATE_DONE;
	*step = add_proofs(it, f, s) ? STEP_ON : iter_frame_fail(it, f, EDE_OTHER);
	if (nxdomain)
		counter_up(it->env.counters, aggressive_nxdomain);
	else
		counter_up(it->env.counters, aggressive_nodata);
	return true;
}

/* Did the zone whose denials are at hand sign it, at the wildcard itself? Below a delegation that
 * nobody has met yet it is another zone's, of which they say nothing; and a wildcard above may
 * have made it, as it makes any name. */
static bool is_own_wildcard(const struct search *s, const struct rrset *rr)
{
	struct rrsig_walk w = rrsig_begin(rr);
	for (struct rrsig sig; rrsig_next(&w, &sig);)
		if (!name_equal(sig.signer, s->zone) || sig.labels != s->encloser)
			return false;
	return rr->sig_count > 0;
}

/* From the cache, as it stands at the wildcard; borrows the store's buffer. */
static bool get_wildcard(struct iter *it, const struct frame *f, const struct search *s,
	const uint8_t *name, uint16_t type, struct stored *out)
{
	return store_get(it, f->route.domain, CACHE_RRSET, name, type, out) &&
	       out->meta.rank >= RANK_ANSWER && out->meta.status == CACHE_SECURE &&
	       out->count > 0 && out->items[0].rr.type == type &&
	       is_own_wildcard(s, &out->items[0].rr);
}

/* No closer name is there than the encloser, and the wildcard below it is known. */
static bool expand(struct iter *it, struct frame *f, struct search *s, enum step *step)
{
	static struct stored w;
	uint8_t name[NAME_MAX_LEN];
	if (s->encloser == name_labels(f->name))
		return false;
	name_make_wildcard(name, f->name, s->encloser);
	if (!get_wildcard(it, f, s, name, f->type, &w) &&
		!(chain_is_for(f->type) &&
			get_wildcard(it, f, s, name, TYPE_CNAME, &w)))
		return false;
	const struct denial_result r =
		denial_wildcard(&s->denial, f->name, s->encloser, &it->work);
	if (!is_proven(&r))
		return false;
	const int64_t left = w.meta.expire_s - now_wall_s(&it->now);
	if (left < (int64_t)s->ttl)
		s->ttl = (uint32_t)left;
	if (w.meta.generation < s->generation)
		s->generation = w.meta.generation;
	if (is_cleared(it, f, s, CACHE_RRSET))
		return false;
	struct rrset rr = w.items[0].rr;
	rr.name = f->name;
	const size_t at = f->count;
	counter_up(it->env.counters, aggressive_wildcard);
	it->made = true;
	frame_status(f, CACHE_SECURE, EDE_NONE);
	f->rcode = RCODE_NOERROR;
	f->state = STATE_DONE;
	*step = STEP_ON;
	if (!chain_add(it, f, SECTION_ANSWER, &rr, s->ttl) || !add_proofs(it, f, s)) {
		*step = iter_frame_fail(it, f, EDE_OTHER);
	} else if (rr.type == TYPE_CNAME && f->type != TYPE_CNAME) {
		const struct rdata to = rrset_at(&f->records[at].rr, 0);
		*step = to.bytes && name_check(to.bytes, to.len) == to.len
				? chain_follow(it, f, to.bytes)
				: iter_frame_fail(it, f, EDE_INVALID_DATA);
	}
	return true;
}

static bool judge(struct iter *it, struct frame *f, struct search *s, enum step *step)
{
	const struct denial_result data =
		denial_nodata(&s->denial, f->name, f->type, &it->work);
	if (is_proven(&data))
		return deny(it, f, s, &data, false, step);
	const struct denial_result name =
		denial_nxdomain(&s->denial, f->name, &it->work);
	if (is_proven(&name))
		return deny(it, f, s, &name, true, step);
	/* perhaps the wildcard is there, and has the type or an alias */
	return expand(it, f, s, step);
}

/* A delegation is known here: what is below is another zone's, whatever the zone above
 * denies. The name itself is a zone's apex so seldom that it is not worth looking. */
static bool is_cut(struct iter *it, const struct frame *f, const uint8_t *name)
{
	struct stored s;
	return name != f->name &&
	       store_get(it, f->route.domain, CACHE_CUT, name, TYPE_NS, &s);
}

/* The closest zone above the name of which denials are known, under a trust anchor. Of names
 * with more labels than any zone has only the upper ones are looked at: CPU time. */
static bool find_zone(struct iter *it, const struct frame *f, struct search *s)
{
	const struct anchor *a = anchor_find_type(
		it->env.anchors, f->name, f->type, now_wall_s(&it->now));
	if (!a || a->kind != ANCHOR_POSITIVE)
		return false;
	const uint8_t *zone = f->type == TYPE_DS ? name_parent(f->name) : f->name;
	const unsigned labels = name_labels(zone);
	if (labels > ANCESTORS_READ)
		zone = name_strip(zone, labels - ANCESTORS_READ);
	for (; name_within(zone, a->owner); zone = name_parent(zone)) {
		if (pages_zone(it->env.pages, f->route.domain, zone, &it->now,
			    &s->chain)) {
			s->zone = zone;
			return true;
		}
		if (name_is_root(zone) || is_cut(it, f, zone))
			break;
	}
	return false;
}

static bool is_fit(const struct iter *it, const struct frame *f)
{
	return it->env.pages && f->guard == GUARD_CHECK && !it->q.stale &&
	       !(it->q.refresh && it->depth == 0) && f->route.kind == ROUTE_ITERATE &&
	       f->type != TYPE_ANY && f->type != TYPE_RRSIG &&
	       !store_is_denial(f->type) &&
	       !(f->type == TYPE_DS && name_is_root(f->name));
}

bool aggressive_answer(struct iter *it, struct frame *f, enum step *step)
{
	static struct search s;
	if (!is_fit(it, f) || !find_zone(it, f, &s))
		return false;
	s.count = 0;
	s.ttl = NEGATIVE_TTL_MAX;
	s.generation = UINT64_MAX;
	if (s.chain.type == TYPE_NSEC3) {
		const uint32_t price = price_of(f, &s);
		if (!affordable(it, price))
			return false;
		if (price > BLOCKS_AT_ONCE && !iter_may_work(it)) {
			*step = iter_yield(it);
			return true;
		}
	}
	denial_begin(&s.denial, s.zone);
	const bool found = s.chain.type == TYPE_NSEC ? gather_nsec(it, f, &s)
						     : gather_nsec3(it, f, &s);
	return found && judge(it, f, &s, step);
}
