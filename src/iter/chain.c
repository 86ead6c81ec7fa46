/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/chain.c - answers and the aliases that lead to them: CNAME (RFC 1034), DNAME
 * (RFC 6672). */
#include <string.h>

#include "iter/state.h"

/* --- records ------------------------------------------------------------------ */

static bool make_room(struct iter *it, struct frame *f)
{
	if (f->count == RECORDS_MAX)
		return false;
	if (f->count & (f->count - 1) || (f->count && f->count < 4))
		return true; /* room is a power of two from 4 on */
	const size_t room = f->count ? 2 * f->count : 4;
	struct iter_record *more = arena_alloc(it->arena, room * sizeof(*more));
	if (!more)
		return false;
	if (f->count)
		memcpy(more, f->records, f->count * sizeof(*more));
	f->records = more;
	return true;
}

static bool is_there(
	const struct frame *f, enum msg_section section, const struct rrset *rr)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct iter_record *r = &f->records[i];
		if (r->section == section && r->rr.type == rr->type &&
			name_equal(r->rr.name, rr->name))
			return true;
	}
	return false;
}

bool chain_add(struct iter *it, struct frame *f, enum msg_section section,
	const struct rrset *rr, uint32_t ttl)
{
	if (section != SECTION_ANSWER && is_there(f, section, rr))
		return true;
	if (!make_room(it, f))
		return false;
	struct rrset copy = *rr;
	copy.ttl = ttl;
	copy.name = name_equal(rr->name, f->name)
			    ? f->name
			    : arena_dup(it->arena, rr->name, name_len(rr->name));
	copy.data = arena_dup(it->arena, rr->data, rr->data_len);
	if (!copy.name || !copy.data)
		return false;
	f->records[f->count++] = (struct iter_record){ .section = section, .rr = copy };
	return true;
}

/* --- going on at a target ------------------------------------------------------ */

static bool routes_equal(const struct route *a, const struct route *b)
{
	return a->kind == b->kind && a->domain == b->domain &&
	       a->targets == b->targets && a->target_count == b->target_count;
}

void chain_route(const struct iter *it, const struct frame *f, const uint8_t *name,
	struct route *out)
{
	const struct conf *c = it->env.conf;
	const struct route before = f->route; /* `out` may be that */
	policy_route(c, name, out);
	/* a rule that chose by more than the name (view) holds for the targets in its
	 * zone */
	if (out->kind == ROUTE_ITERATE && before.kind != ROUTE_ITERATE &&
		name_within(name, before.zone)) {
		*out = before;
		return;
	}
	/* the client's flags hold for all that its question causes, and what comes of
	 * them is kept apart from what others get */
	if (out->flags == it->q.route.flags)
		return;
	out->flags = it->q.route.flags;
	out->domain = c->domain;
	if (out->kind != ROUTE_ITERATE || out->flags != c->flags)
		out->domain = conf_domain_route(c->domain, out->flags, (int)out->kind,
			out->targets, out->tls, out->target_count, out->zone);
}

static bool chain_loops(const struct frame *f, const uint8_t *target)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->records[i].rr.type == TYPE_CNAME &&
			name_equal(f->records[i].rr.name, target))
			return true;
	return name_equal(f->asked, target) || name_equal(f->name, target);
}

/* Where an alias stands no zone begins, whatever its target is: RFC 2181 section 10.1. */
static enum step end_at_alias(struct frame *f)
{
	f->rcode = RCODE_NOERROR;
	f->state = STATE_DONE;
	return STEP_ON;
}

void chain_begin(struct iter *it, struct frame *f, const uint8_t *name)
{
	chain_route(it, f, name, &f->route);
	f->name = name;
	f->bogus_tries = f->climbs = 0;
	f->bogus_ede = EDE_NONE;
	f->cut = f->given_up = NULL;
	f->server = NULL;
	f->cut_labels = NAME_LABELS_MAX;
	f->min_labels = f->min_count = f->min_timeouts = 0;
	f->min_off = f->min_never = f->alone = false;
	f->state = STATE_LOOKUP;
}

enum step chain_follow(struct iter *it, struct frame *f, const uint8_t *target)
{
	if (f->purpose == FOR_TRUST)
		return end_at_alias(f);
	if (++f->chain > LIMIT_CHAIN || chain_loops(f, target)) {
		counter_up(it->env.counters, chain_too_long);
		log_debug(ITERAT, "%s: aliases loop or are too many",
			iter_text(f->asked, f->type));
		if (!it->ede_text[0] && it->depth == 0)
			strcpy(it->ede_text, "aliases loop or are too many");
		return iter_frame_fail(it, f, EDE_OTHER);
	}
	uint8_t *name = arena_alloc(it->arena, NAME_MAX_LEN);
	if (!name)
		return iter_frame_fail(it, f, EDE_OTHER);
	name_copy_lower(name, target);
	chain_begin(it, f, name);
	log_debug(ITERAT, "alias: on to %s", iter_text(name, f->type));
	return STEP_ON;
}

bool chain_synthesize(struct iter *it, const struct rrset *dname, const uint8_t *name,
	struct rrset *out)
{
	const struct rdata to = rrset_at(dname, 0);
	uint8_t target[NAME_MAX_LEN];
	if (!to.bytes || name_check(to.bytes, to.len) != to.len)
		return false;
	const size_t len = name_replace_suffix(target, name, dname->name, to.bytes);
	uint8_t *data = len ? arena_alloc(it->arena, sizeof(uint16_t) + len) : NULL;
	if (!data)
		return false;
	const uint16_t len16 = (uint16_t)len;
	memcpy(data, &len16, sizeof(len16));
	memcpy(data + sizeof(len16), target, len);
	*out = (struct rrset){ .name = name,
		.type = TYPE_CNAME,
		.rclass = CLASS_IN,
		.count = 1,
		.ttl = dname->ttl,
		.data_len = (uint32_t)(sizeof(len16) + len),
		.data = data };
	return true;
}

/* --- taking a server's answer --------------------------------------------------- */

static bool is_synthesized(const struct rrset *rr, const struct rrset *before)
{
	return rr->type == TYPE_CNAME && before && before->type == TYPE_DNAME &&
	       name_within(rr->name, before->name);
}

static bool take_proofs(struct iter *it, struct frame *f)
{
	for (size_t i = 0; i < it->reply.count; i++) {
		const struct reply_rrset *set = &it->reply.rrsets[i];
		if (set->section == SECTION_AUTHORITY && !set->bad &&
			store_is_denial(set->rr.type) &&
			!chain_add(it, f, SECTION_AUTHORITY, &set->rr,
				store_rrset_ttl(it, &set->rr)))
			return false;
	}
	return true;
}

static bool has_address(const struct reply *r)
{
	return reply_find(r, SECTION_ADDITIONAL, TYPE_A, NULL) ||
	       reply_find(r, SECTION_ADDITIONAL, TYPE_AAAA, NULL);
}

/* Keep a priming answer as the root's cut: RFC 9609. */
static void keep_root(struct iter *it, const struct frame *f, const struct rrset *rr)
{
	if (f->cut && rr->type == TYPE_NS && name_is_root(rr->name) &&
		!f->cut->forward && name_is_root(f->cut->zone) &&
		has_address(&it->reply))
		store_cut(it, f, rr, &it->reply, INT64_MAX);
}

/* The records in order. *target: where to go on, when the rest of the chain belongs to
 * another route. */
static bool take_records(struct iter *it, struct frame *f, const uint8_t **target)
{
	const enum cache_rank rank = it->reply.aa ? RANK_AUTH_ANSWER : RANK_ANSWER;
	const struct rrset *before = NULL;
	for (size_t i = 0; i < it->reply.count; i++) {
		const struct reply_rrset *set = &it->reply.rrsets[i];
		const struct rrset *rr = &set->rr;
		if (set->section != SECTION_ANSWER)
			continue;
		const bool expanded = proof_may_be_expanded(rr);
		if (!is_synthesized(rr, before)) {
			store_rrset(it, f, set, rank, expanded ? &it->reply : NULL);
			frame_status(f, set->status, set->note);
		}
		if (!chain_add(it, f, SECTION_ANSWER, rr, store_rrset_ttl(it, rr)) ||
			(expanded && !take_proofs(it, f)))
			return false;
		keep_root(it, f, rr);
		before = rr;
		if (rr->type != TYPE_CNAME || f->type == TYPE_CNAME)
			continue;
		struct route route;
		*target = rrset_at(rr, 0).bytes;
		chain_route(it, f, *target, &route);
		/* the rest says nothing about the name asked for */
		if (f->purpose == FOR_TRUST || !routes_equal(&route, &f->route))
			return true;
		f->chain += it->reply.kind == REPLY_ALIAS;
	}
	*target = NULL;
	return true;
}

enum step chain_take(struct iter *it, struct frame *f)
{
	const struct reply *r = &it->reply;
	const uint8_t *elsewhere = NULL;
	if (!take_records(it, f, &elsewhere))
		return iter_frame_fail(it, f, EDE_OTHER);
	if (elsewhere)
		return chain_follow(it, f, elsewhere);
	if (r->kind == REPLY_ANSWER || r->kind == REPLY_ERROR || r->has_answer) {
		/* YXDOMAIN: RFC 6672 section 2.2. Beside data NXDOMAIN is wrong, and nothing
		 * signs the header. */
		f->rcode = r->kind == REPLY_ERROR ? r->rcode : RCODE_NOERROR;
		f->state = STATE_DONE;
		return STEP_ON;
	}
	/* the zone's own server says that the chain ends in nothing */
	if (r->soa_zone && name_within(r->target, r->soa_zone))
		return negative_finish(it, f, r->target, r->rcode == RCODE_NXDOMAIN);
	f->chain -= f->chain > 0; /* the last link is counted when it is followed */
	return chain_follow(it, f, r->target);
}
