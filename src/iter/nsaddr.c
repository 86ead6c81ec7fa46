/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/nsaddr.c - addresses of name servers that came without: a frame of their own
 * each.
 *
 * One at a time, few per cut (NXNSAttack), and none that a frame beneath waits for
 * already: a cycle of delegations ends there. */
#include "iter/state.h"

bool nsaddr_possible(const struct cut *cut)
{
	if (cut->forward || cut->lookups >= LIMIT_GLUELESS_PER_CUT)
		return false;
	for (unsigned i = 0; i < cut->ns_count; i++) {
		const struct ns *ns = &cut->ns[i];
		if (!ns->has_address && !(ns->asked[0] && ns->asked[1]))
			return true;
	}
	return false;
}

static bool waited_for(const struct iter *it, const uint8_t *name)
{
	for (unsigned i = 0; i <= it->depth; i++) {
		const struct frame *f = it->frames[i];
		const bool address = f->type == TYPE_A || f->type == TYPE_AAAA;
		if (address &&
			(name_equal(f->name, name) || name_equal(f->asked, name)))
			return true;
	}
	return false;
}

static bool family_worth(const struct iter *it, unsigned which)
{
	return iter_family_allowed(it, which == 0 ? 4 : 6);
}

/* The type to ask for next: 0 A, 1 AAAA, -1 none. The family that works first. */
static int next_type(const struct iter *it, const struct ns *ns)
{
	const unsigned first = infra_family_broken(it->env.infra, 4, &it->now) ? 1 : 0;
	for (unsigned i = 0; i < 2; i++) {
		const unsigned which = first ^ i;
		if (!ns->asked[which] && family_worth(it, which))
			return (int)which;
	}
	return -1;
}

bool nsaddr_begin(struct iter *it, struct frame *f)
{
	struct cut *cut = f->cut;
	for (unsigned i = 0; i < cut->ns_count && nsaddr_possible(cut); i++) {
		struct ns *ns = &cut->ns[i];
		const int which = next_type(it, ns);
		if (ns->has_address || which < 0)
			continue;
		if (waited_for(it, ns->name)) {
			ns->asked[0] = ns->asked[1] = true;
			f->looped = true;
			continue;
		}
		if (!ns->asked[0] && !ns->asked[1])
			cut->lookups++;
		ns->asked[which] = true;
		struct frame *above = iter_frame_push(
			it, ns->name, which == 0 ? TYPE_A : TYPE_AAAA, FOR_ADDRESS);
		if (!above) {
			f->looped = true;
			return false;
		}
		f->want_ns = i;
		f->want_type = above->type;
		f->state = STATE_ADDRESS;
		above->route.kind = ROUTE_ITERATE;
		/* in the zone itself: perhaps the parent has glue for the whole name
		 * only */
		above->min_never =
			cut->server_count == 0 && name_within(ns->name, cut->zone);
		chain_route(it, above, ns->name, &above->route);
		log_debug(SELECT, "address of %s", iter_text(ns->name, above->type));
		return true;
	}
	return false;
}

/* Glue of this name in the deepest cached cut that has any, as its parent gave it. */
static bool glue_of(struct iter *it, struct cut *cut, unsigned index)
{
	const uint8_t *name = cut->ns[index].name;
	const unsigned before = cut->server_count;
	struct route route;
	chain_route(it, it->frames[0], name, &route);
	struct stored s;
	for (const uint8_t *zone = name; !name_is_root(zone);
		zone = name_parent(zone)) {
		if (!store_get(it, route.domain, CACHE_CUT, zone, TYPE_NS, &s))
			continue;
		for (int i = 1; i < s.count; i++) {
			const struct rrset *rr = &s.items[i].rr;
			const bool address =
				rr->type == TYPE_A || rr->type == TYPE_AAAA;
			if (address && s.items[i].section == SECTION_ADDITIONAL &&
				name_equal(rr->name, name))
				cut_add_addresses(it, cut, (int)index, rr);
		}
		if (cut->server_count > before)
			return true;
	}
	return false;
}

bool nsaddr_glue(struct iter *it, struct frame *f)
{
	struct cut *cut = f->cut;
	bool found = false;
	if (cut->forward || cut->glue_tried)
		return false;
	cut->glue_tried = true;
	for (unsigned i = 0; i < cut->ns_count; i++)
		found |= glue_of(it, cut, i);
	return found;
}

enum step nsaddr_take(struct iter *it, struct frame *f)
{
	const struct frame *above = it->frames[it->depth + 1];
	f->looped |= above->looped;
	for (size_t i = 0; i < above->count; i++) {
		const struct iter_record *r = &above->records[i];
		if (r->section == SECTION_ANSWER && r->rr.type == f->want_type)
			cut_add_addresses(it, f->cut, (int)f->want_ns, &r->rr);
	}
	f->state = STATE_SELECT;
	return STEP_ON;
}
