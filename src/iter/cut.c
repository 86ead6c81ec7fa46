/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/cut.c - the zone cut whose servers are asked: from the cache, from hints, from a
 * referral.
 *
 * Cuts come from parents only. What a child says of its own name servers is answered to
 * clients but never asked, and no cut outlives its parent's: a delegation that was
 * taken away is gone in time (ghost domains). */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "iter/state.h"

enum { DNS_PORT = 53 };

/* --- building ----------------------------------------------------------------- */

struct cut *cut_new(struct iter *it, const uint8_t *zone, unsigned ns_max)
{
	struct cut *cut = arena_alloc(it->arena, sizeof(*cut));
	uint8_t *name = arena_alloc(it->arena, NAME_MAX_LEN);
	if (!cut || !name)
		return NULL;
	name_copy_lower(name, zone);
	cut->zone = name;
	cut->expire_s = INT64_MAX;
	cut->ns = arena_alloc(it->arena, ns_max * sizeof(*cut->ns));
	return cut->ns ? cut : NULL;
}

static int find_ns(const struct cut *cut, const uint8_t *name)
{
	for (unsigned i = 0; i < cut->ns_count; i++)
		if (name_equal(cut->ns[i].name, name))
			return (int)i;
	return -1;
}

int cut_add_ns(struct iter *it, struct cut *cut, const uint8_t *name)
{
	const int known = find_ns(cut, name);
	if (known >= 0)
		return known;
	if (cut->ns_count == LIMIT_NS_PER_CUT)
		return -1;
	uint8_t *copy = arena_alloc(it->arena, name_len(name));
	if (!copy)
		return -1;
	name_copy_lower(copy, name);
	cut->ns[cut->ns_count].name = copy;
	return (int)cut->ns_count++;
}

/* Servers move when there are more: who points at one chooses anew after this. */
static bool make_room(struct iter *it, struct cut *cut)
{
	if (cut->server_count < cut->server_room)
		return true;
	if (cut->server_room == SERVERS_PER_CUT)
		return false;
	const unsigned room = cut->server_room ? 2 * cut->server_room : 4;
	struct server *more = arena_alloc(it->arena, room * sizeof(*more));
	if (!more)
		return false;
	if (cut->server_count)
		memcpy(more, cut->servers, cut->server_count * sizeof(*more));
	cut->servers = more;
	cut->server_room = room;
	return true;
}

void cut_add_server(struct iter *it, struct cut *cut, int ns, const struct addr *addr,
	bool local_fine)
{
	if (addr_is_unusable(addr) || !iter_family_allowed(it, addr->family))
		return;
	if (addr_is_loopback(addr) && !local_fine && !iter_flag(it, CONF_ALLOW_LOCAL))
		return;
	for (unsigned i = 0; i < cut->server_count; i++)
		if (addr_equal(&cut->servers[i].addr, addr))
			return; /* overlapping names: each address once, CVE-2026-3592
				 */
	if (!make_room(it, cut))
		return;
	struct server *s = &cut->servers[cut->server_count++];
	*s = (struct server){ .addr = *addr, .ns = (uint8_t)ns };
}

void cut_add_addresses(struct iter *it, struct cut *cut, int ns, const struct rrset *rr)
{
	const size_t want = rr->type == TYPE_A ? 4 : 16;
	struct rrset_walk w = rrset_begin(rr);
	struct rdata rd;
	for (unsigned i = 0;
		i < rr->count && i < LIMIT_ADDRESSES_PER_NS && rrset_next(&w, &rd);
		i++) {
		if (rd.len != want)
			continue;
		struct addr a = { .family = rr->type == TYPE_A ? 4 : 6,
			.port = DNS_PORT };
		memcpy(a.ip, rd.bytes, want);
		cut_add_server(it, cut, ns, &a, false);
		cut->ns[ns].has_address = true;
	}
}

static void add_all_ns(struct iter *it, struct cut *cut, const struct rrset *ns)
{
	struct rrset_walk w = rrset_begin(ns);
	struct rdata rd;
	for (unsigned i = 0; i < ns->count && rrset_next(&w, &rd); i++) {
		if (i == LIMIT_NS_PER_CUT) {
			counter_up(it->env.counters, ns_truncated);
			break;
		}
		if (name_check(rd.bytes, rd.len) == rd.len)
			cut_add_ns(it, cut, rd.bytes);
	}
}

static void add_glue(struct iter *it, struct cut *cut, const struct rrset *rr)
{
	if (rr->type != TYPE_A && rr->type != TYPE_AAAA)
		return;
	if (iter_flag(it, CONF_STRICT) && !name_within(rr->name, cut->zone))
		return; /* only glue without which nobody could ask */
	const int ns = find_ns(cut, rr->name);
	if (ns >= 0)
		cut_add_addresses(it, cut, ns, rr);
}

void cut_inherit(struct cut *cut, const struct cut *old)
{
	for (unsigned i = 0; old && i < cut->server_count; i++)
		for (unsigned k = 0; k < old->server_count; k++)
			if (addr_equal(&cut->servers[i].addr, &old->servers[k].addr)) {
				cut->servers[i] = old->servers[k];
				cut->servers[i].ns = 0;
			}
}

/* A cached cut: can somebody be asked without asking the parent again? */
static bool usable(const struct cut *cut)
{
	if (!cut || cut->server_count > 0)
		return cut;
	for (unsigned i = 0; i < cut->ns_count; i++)
		if (!name_within(cut->ns[i].name, cut->zone))
			return true;
	return false; /* its servers are in itself, and their addresses are lost */
}

/* --- where from ----------------------------------------------------------------- */

static struct cut *from_hints(struct iter *it)
{
	static const uint8_t root[] = { 0 };
	const struct conf *c = it->env.conf;
	struct cut *cut = cut_new(it, root, LIMIT_NS_PER_CUT);
	for (size_t i = 0; cut && i < c->root_count; i++) {
		const int ns = cut_add_ns(it, cut, c->roots[i].name);
		if (ns < 0)
			continue;
		cut->ns[ns].has_address = true;
		cut_add_server(it, cut, ns, &c->roots[i].addr, false);
	}
	if (cut)
		cut->fresh = true;
	return cut;
}

static struct cut *from_cache(struct iter *it, struct frame *f, const uint8_t *zone)
{
	struct stored s;
	if (!store_get(it, f->route.domain, CACHE_CUT, zone, TYPE_NS, &s) ||
		s.count < 1 || s.items[0].rr.type != TYPE_NS)
		return NULL;
	if (f->guard == GUARD_CHECK)
		trust_learn_cut(it, zone, &s);
	struct cut *cut = cut_new(it, zone, LIMIT_NS_PER_CUT);
	if (!cut)
		return NULL;
	add_all_ns(it, cut, &s.items[0].rr);
	for (int i = 1; i < s.count; i++)
		if (s.items[i].section == SECTION_ADDITIONAL)
			add_glue(it, cut, &s.items[i].rr);
	if (!name_is_root(zone))
		cut->expire_s = s.meta.expire_s;
	cut->stored_s = s.meta.stored_s;
	cut->rests_on = cut;
	return cut;
}

/* Priming asks the hints, whatever is cached (RFC 9609); so does who found the cached
 * root dead. */
static bool wants_hints(const struct frame *f)
{
	if (f->given_up && name_is_root(f->given_up->zone))
		return true;
	return f->no_cache && f->type == TYPE_NS && name_is_root(f->name);
}

static struct cut *deepest(struct iter *it, struct frame *f)
{
	/* DS stands at the parent's side of a cut: RFC 4035 section 2.4 */
	const uint8_t *name = f->type == TYPE_DS ? name_parent(f->name) : f->name;
	unsigned labels = name_labels(name);
	if (labels > f->cut_labels) {
		name = name_strip(name, labels - f->cut_labels);
		labels = f->cut_labels;
	}
	for (;; name = name_parent(name), labels--) {
		if (labels == 0 && wants_hints(f))
			return from_hints(it);
		struct cut *cut = from_cache(it, f, name);
		if (usable(cut))
			return cut;
		if (labels == 0)
			return from_hints(it);
	}
}

enum step cut_find(struct iter *it, struct frame *f)
{
	const bool forward = f->route.kind != ROUTE_ITERATE;
	f->cut = forward ? forward_cut(it, &f->route) : deepest(it, f);
	if (!f->cut)
		return iter_frame_fail(it, f, EDE_OTHER);
	cut_inherit(f->cut, f->given_up);
	f->min_labels = f->min_timeouts = 0;
	f->min_off = false;
	f->state = STATE_SELECT;
	log_debug(ZONCUT, "cut %s, %u servers", iter_text(f->cut->zone, TYPE_NS),
		f->cut->server_count);
	return STEP_ON;
}

/* --- referrals ------------------------------------------------------------------ */

/* A server of the parent answered a DS question by the delegation itself: what it says
 * of DS is in there. */
static enum step referral_to_ds(struct iter *it, struct frame *f)
{
	const struct rrset *ds =
		reply_find(&it->reply, SECTION_AUTHORITY, TYPE_DS, f->name);
	frame_status(f, it->reply.status, it->reply.note);
	if (!ds)
		return negative_finish(it, f, f->name, false);
	if (!chain_add(it, f, SECTION_ANSWER, ds, store_rrset_ttl(it, ds)))
		return iter_frame_fail(it, f, EDE_OTHER);
	f->rcode = RCODE_NOERROR;
	f->state = STATE_DONE;
	return STEP_ON;
}

enum step cut_referral(struct iter *it, struct frame *f)
{
	const struct reply *r = &it->reply;
	const struct rrset *ns = reply_find(r, SECTION_AUTHORITY, TYPE_NS, r->cut);
	struct cut *cut = cut_new(it, r->cut, LIMIT_NS_PER_CUT);
	if (!ns || !cut)
		return iter_frame_fail(it, f, EDE_OTHER);
	const int64_t end = now_wall_s(&it->now) + store_ttl(it, ns->ttl);
	cut->expire_s = end < f->cut->expire_s ? end : f->cut->expire_s;
	cut->fresh = true;
	cut->rests_on = f->cut->rests_on;
	store_cut(it, f, ns, r, f->cut->expire_s);
	if (f->type == TYPE_DS && name_equal(r->cut, f->name))
		return referral_to_ds(it, f);
	add_all_ns(it, cut, ns);
	for (size_t i = 0; i < r->count; i++)
		if (r->rrsets[i].section == SECTION_ADDITIONAL)
			add_glue(it, cut, &r->rrsets[i].rr);
	cut_inherit(cut, f->given_up);
	log_debug(ITERAT, "referral to %s, %u addresses", iter_text(cut->zone, TYPE_NS),
		cut->server_count);
	f->cut = cut;
	f->min_labels = f->min_timeouts = 0;
	f->min_off = false;
	f->state = STATE_SELECT;
	return STEP_ON;
}

/* --- no server is left ---------------------------------------------------------- */

static const char *zone_text(const struct cut *cut)
{
	static char text[NAME_TEXT_MAX];
	name_to_text(cut->zone, text);
	return text;
}

/* A cached delegation may have changed: its parent is asked, once. Where what is found is bogus,
 * the cached one that led there may be a lie, too: for each the one above, unless it was fetched
 * just now; or who asks for what is bogus in truth would make us ask the root each time. */
static bool may_give_up(
	const struct iter *it, const struct frame *f, const struct cut *cut)
{
	if (!cut || f->climbs == LIMIT_CLIMBS)
		return false;
	if (!f->given_up && cut == f->cut)
		return true;
	return f->bogus_ede != EDE_NONE && !name_is_root(cut->zone) &&
	       now_wall_s(&it->now) - cut->stored_s >= KEYS_FRESH_S &&
	       (!f->given_up ||
		       name_labels(cut->zone) < name_labels(f->given_up->zone));
}

/* The last time right to the root. */
bool cut_climb(const struct iter *it, struct frame *f)
{
	struct cut *over = f->cut->rests_on;
	if (!may_give_up(it, f, over))
		return false;
	const unsigned labels = name_labels(over->zone);
	f->given_up = over;
	f->cut_labels = labels && ++f->climbs < LIMIT_CLIMBS ? labels - 1 : 0;
	f->state = STATE_CUT;
	return true;
}

enum step cut_stuck(struct iter *it, struct frame *f)
{
	if (nsaddr_glue(it, f)) {
		f->state = STATE_SELECT;
		return STEP_ON;
	}
	if (cut_climb(it, f) || validate_doubts(f))
		return STEP_ON;
	if (!it->ede_text[0] && it->depth == 0)
		snprintf(it->ede_text, sizeof(it->ede_text),
			"no address of the servers of %.100s can be had",
			zone_text(f->cut));
	if (f->bogus_ede != EDE_NONE)
		return validate_fail(it, f, f->bogus_ede);
	return iter_frame_fail(
		it, f, it->error_seen ? EDE_NETWORK_ERROR : EDE_NO_REACHABLE_AUTHORITY);
}
