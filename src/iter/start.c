/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/start.c - the question looked up in the cache: data, alias, denial, failure. */
#include "iter/state.h"

/* What is cached joins the records; glue and the like is never answered. */
static bool take(struct iter *it, struct frame *f, const struct stored *s)
{
	const bool expired = s->meta.expire_s <= now_wall_s(&it->now);
	it->stale |= expired;
	frame_status(f, s->meta.status, s->meta.ede);
	f->unsigned_cut = s->meta.user & STORE_UNSIGNED_CUT;
	for (int i = 0; i < s->count; i++) {
		const struct bundle_item *item = &s->items[i];
		const uint32_t ttl =
			expired ? STALE_TTL : store_left(it, s, item->rr.ttl);
		/* no AD past the end of a signature */
		if (expired && store_sig_ended(it, &item->rr))
			frame_status(f, CACHE_INSECURE, EDE_NONE);
		if (!chain_add(it, f, item->section, &item->rr, ttl))
			return false;
	}
	return true;
}

static bool get_rrset(struct iter *it, const struct frame *f, const uint8_t *name,
	uint16_t type, struct stored *s)
{
	return store_get(it, f->route.domain, CACHE_RRSET, name, type, s) &&
	       s->meta.rank >= RANK_ANSWER && s->count > 0 &&
	       s->items[0].section == SECTION_ANSWER && s->items[0].rr.type == type;
}

/* For a refresh, what nears its end is not there. */
static bool is_fresh(const struct iter *it, const struct stored *s)
{
	return !it->q.refresh || it->depth > 0 || !cache_is_due(&s->meta, &it->now);
}

bool start_accepts(const struct frame *f, const struct cache_meta *meta)
{
	return f->guard != GUARD_CHECK || meta->status >= CACHE_INSECURE;
}

/* Nothing unchecked is handed out where it must be checked. */
static bool is_usable(struct iter *it, const struct frame *f, const struct stored *s)
{
	if (!start_accepts(f, &s->meta) || !is_fresh(it, s))
		return false;
	it->due = it->due || (it->depth == 0 && cache_is_due(&s->meta, &it->now));
	return true;
}

static enum step finish(struct frame *f, uint16_t rcode)
{
	f->rcode = rcode;
	f->state = STATE_DONE;
	return STEP_ON;
}

static enum step follow_cname(struct iter *it, struct frame *f, const struct stored *s)
{
	/* the target as it lies in the records, which outlive the cache's buffer */
	const size_t at = f->count;
	if (!take(it, f, s))
		return iter_frame_fail(it, f, EDE_OTHER);
	const struct rdata target = rrset_at(&f->records[at].rr, 0);
	if (!target.bytes || name_check(target.bytes, target.len) != target.len)
		return iter_frame_fail(it, f, EDE_INVALID_DATA);
	return chain_follow(it, f, target.bytes);
}

static enum step follow_dname(struct iter *it, struct frame *f, const struct stored *s)
{
	const size_t at = f->count;
	if (!take(it, f, s))
		return iter_frame_fail(it, f, EDE_OTHER);
	struct rrset cname;
	const struct rrset *dname = &f->records[at].rr;
	if (!chain_synthesize(it, dname, f->name, &cname))
		return finish(f, RCODE_YXDOMAIN); /* RFC 6672 section 2.2 */
	if (!chain_add(it, f, SECTION_ANSWER, &cname, dname->ttl))
		return iter_frame_fail(it, f, EDE_OTHER);
	if (f->type == TYPE_CNAME)
		return finish(f, RCODE_NOERROR);
	return chain_follow(it, f, rrset_at(&cname, 0).bytes);
}

static enum step take_negative(
	struct iter *it, struct frame *f, const struct stored *s, uint16_t rcode)
{
	if (!take(it, f, s))
		return iter_frame_fail(it, f, EDE_OTHER);
	return finish(f, rcode);
}

/* From the top down: an ancestor that is not there (RFC 8020), or one that has a DNAME.
 */
static bool lookup_ancestors(
	struct iter *it, struct frame *f, struct stored *s, enum step *step)
{
	const unsigned labels = name_labels(f->name);
	for (unsigned n = 1; n < labels && n <= ANCESTORS_READ; n++) {
		const uint8_t *name = name_strip(f->name, labels - n);
		if (store_get(it, f->route.domain, CACHE_NXDOMAIN, name, 0, s) &&
			is_usable(it, f, s)) {
			*step = take_negative(it, f, s, RCODE_NXDOMAIN);
			return true;
		}
		if (get_rrset(it, f, name, TYPE_DNAME, s) && is_usable(it, f, s)) {
			*step = follow_dname(it, f, s);
			return true;
		}
	}
	return false;
}

enum step start_take(struct iter *it, struct frame *f, const struct stored *s)
{
	if (!s->count || s->items[0].section != SECTION_ANSWER)
		return take_negative(it, f, s, s->meta.rcode);
	const uint16_t type = s->items[0].rr.type;
	if (type == TYPE_CNAME && f->type != TYPE_CNAME)
		return follow_cname(it, f, s);
	if (type == TYPE_DNAME && !name_equal(s->items[0].rr.name, f->name))
		return follow_dname(it, f, s);
	return take(it, f, s) ? finish(f, RCODE_NOERROR)
			      : iter_frame_fail(it, f, EDE_OTHER);
}

/* It failed not long ago, and nobody had it since: RFC 9520. */
static bool lookup_failure(
	struct iter *it, struct frame *f, struct stored *s, enum step *step)
{
	const uint64_t domain = f->route.domain;
	if (it->q.stale || !store_get(it, domain, CACHE_FAILURE, f->name, f->type, s))
		return false;
	const struct cache_meta failure = s->meta;
	if (f->guard != GUARD_CHECK && validate_is_bogus(failure.ede))
		return false;
	if (store_newest(it, f, f->name, f->type, s) > failure.stored_s)
		return false;
	it->ede_origin = failure.ede;
	f->bogus = validate_is_bogus(failure.ede);
	f->failed = true;
	f->count = 0;
	f->ede = EDE_CACHED_ERROR;
	*step = finish(f, failure.rcode);
	return true;
}

/* Found, and if it may be used as it is, *usable. */
static bool lookup_one(struct iter *it, const struct frame *f, bool found,
	const struct stored *s, bool *met)
{
	*met = *met || found;
	return found && is_usable(it, f, s);
}

static bool is_alias(const struct frame *f, const struct stored *s)
{
	return chain_is_for(f->type) && s->count > 0 &&
	       s->items[0].section == SECTION_ANSWER &&
	       s->items[0].rr.type == TYPE_CNAME;
}

/* `met` says whether there was anything at all. */
static bool lookup_checked(struct iter *it, struct frame *f, bool *met, enum step *step)
{
	struct stored s;
	const uint64_t domain = f->route.domain;
	*met = false;
	if (lookup_one(it, f, get_rrset(it, f, f->name, f->type, &s), &s, met) ||
		(chain_is_for(f->type) &&
			lookup_one(it, f, get_rrset(it, f, f->name, TYPE_CNAME, &s), &s,
				met)) ||
		lookup_one(it, f,
			store_get(it, domain, CACHE_NODATA, f->name, f->type, &s), &s,
			met) ||
		lookup_one(it, f, store_get(it, domain, CACHE_NXDOMAIN, f->name, 0, &s),
			&s, met)) {
		/* a good alias to what failed lately: that counts while nothing is newer */
		if (is_alias(f, &s)) {
			if (lookup_failure(it, f, &s, step))
				return true;
			if (!get_rrset(it, f, f->name, TYPE_CNAME, &s))
				return false;
		}
		*step = start_take(it, f, &s);
		return true;
	}
	return false;
}

/* What is there (`met`), but was not validated yet. */
static bool lookup_unchecked(
	struct iter *it, struct frame *f, bool met, enum step *step)
{
	struct stored s;
	const uint64_t domain = f->route.domain;
	if (f->guard != GUARD_CHECK || it->q.stale)
		return false;
	if (!met)
		return adopt_ds(it, f, step);
	const bool found =
		get_rrset(it, f, f->name, f->type, &s) ||
		(chain_is_for(f->type) && get_rrset(it, f, f->name, TYPE_CNAME, &s)) ||
		store_get(it, domain, CACHE_NODATA, f->name, f->type, &s) ||
		store_get(it, domain, CACHE_NXDOMAIN, f->name, 0, &s);
	return (found && is_fresh(it, &s) && adopt_stored(it, f, &s, step)) ||
	       adopt_ds(it, f, step);
}

static bool lookup(struct iter *it, struct frame *f, enum step *step)
{
	struct stored s;
	bool met;
	return lookup_checked(it, f, &met, step) || lookup_failure(it, f, &s, step) ||
	       lookup_ancestors(it, f, &s, step) ||
	       lookup_unchecked(it, f, met, step) || aggressive_answer(it, f, step);
}

enum step start_lookup(struct iter *it, struct frame *f)
{
	enum step step;
	if (f->chain == 0)
		f->asked_domain = f->route.domain;
	validate_guard(it, f);
	if (dns64_reverse(it, f, &step))
		return step;
	if (!f->no_cache && lookup(it, f, &step)) {
		if (step == STEP_ON)
			log_debug(CACHE, "%s: found", iter_text(f->name, f->type));
		return step;
	}
	if (it->q.stale)
		return stale_lookup(it, f);
	f->state = STATE_CUT;
	return STEP_ON;
}

bool start_knows_ns(struct iter *it, const struct frame *f, const uint8_t *name)
{
	struct stored s;
	return store_get(it, f->route.domain, CACHE_NODATA, name, TYPE_NS, &s) ||
	       get_rrset(it, f, name, TYPE_NS, &s);
}
