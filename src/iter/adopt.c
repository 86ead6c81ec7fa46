/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/adopt.c - what lies in the cache unchecked is validated as if a server had just
 * sent it: what came for a client with CD, with a referral, from an import. */
#include <string.h>

#include "iter/state.h"

static bool copy(struct iter *it, const struct stored *s,
	const struct bundle_item *item, enum msg_section section)
{
	struct reply *r = &it->reply;
	struct reply_rrset *set = &r->rrsets[r->count];
	*set = (struct reply_rrset){
		.section = section, .rr = item->rr, .note = EDE_NONE
	};
	set->rr.name = arena_dup(it->scratch, item->rr.name, name_len(item->rr.name));
	set->rr.data = arena_dup(it->scratch, item->rr.data, item->rr.data_len);
	set->rr.ttl = store_left(it, s, item->rr.ttl);
	if (!set->rr.name || !set->rr.data)
		return false;
	r->count++;
	if (section == SECTION_AUTHORITY && set->rr.type == TYPE_SOA)
		r->soa_zone = set->rr.name;
	if (section == SECTION_AUTHORITY && set->rr.ttl < r->negative_ttl)
		r->negative_ttl = set->rr.ttl;
	return true;
}

static bool begin(struct iter *it, const struct stored *s)
{
	arena_reset(it->scratch);
	it->reply = (struct reply){ .note = EDE_NONE,
		.ede = EDE_NONE,
		.aa = s->meta.rank == RANK_AUTH_ANSWER,
		.negative_ttl = UINT32_MAX };
	it->reply.rrsets =
		arena_alloc(it->scratch, BUNDLE_MAX * sizeof(*it->reply.rrsets));
	return it->reply.rrsets;
}

static enum step judge(struct iter *it, struct frame *f)
{
	const bool data =
		it->reply.kind == REPLY_ANSWER || it->reply.kind == REPLY_ALIAS;
	f->ask_name = f->name;
	f->ask_type = f->type;
	f->minimised = false;
	f->server = NULL;
	f->cut = NULL;
	log_debug(CACHE, "%s: found, unchecked", iter_text(f->name, f->type));
	return validate_begin(it, f, data ? STATE_ANSWER : STATE_NEGATIVE);
}

static bool set_kind(struct iter *it, const struct frame *f, const struct stored *s)
{
	struct reply *r = &it->reply;
	const struct reply_rrset *first = &r->rrsets[0];
	r->rcode = s->meta.rcode;
	if (first->section != SECTION_ANSWER) {
		r->kind = r->rcode == RCODE_NXDOMAIN ? REPLY_NXDOMAIN : REPLY_NODATA;
		return true;
	}
	r->kind = REPLY_ANSWER;
	if (first->rr.type == f->type)
		return true;
	const struct rdata to = rrset_at(&first->rr, 0);
	r->kind = REPLY_ALIAS;
	r->target = to.bytes;
	return first->rr.type == TYPE_CNAME && to.bytes &&
	       name_check(to.bytes, to.len) == to.len;
}

bool adopt_stored(
	struct iter *it, struct frame *f, const struct stored *s, enum step *step)
{
	bool fine = s->count > 0 && begin(it, s);
	for (int i = 0; fine && i < s->count; i++)
		fine = copy(it, s, &s->items[i], s->items[i].section);
	if (!fine || !set_kind(it, f, s))
		return false;
	*step = judge(it, f);
	return true;
}

bool adopt_ds(struct iter *it, struct frame *f, enum step *step)
{
	struct stored s;
	if (f->purpose != FOR_TRUST || f->type != TYPE_DS ||
		!store_get(it, f->route.domain, CACHE_CUT, f->name, TYPE_NS, &s) ||
		!begin(it, &s))
		return false;
	bool ds = false, fine = true;
	for (int i = 0; i < s.count; i++)
		ds |= s.items[i].rr.type == TYPE_DS;
	for (int i = 0; fine && i < s.count; i++) {
		const struct bundle_item *item = &s.items[i];
		if (item->section == SECTION_AUTHORITY &&
			store_left(it, &s, item->rr.ttl) &&
			(ds ? item->rr.type == TYPE_DS
			    : store_is_denial(item->rr.type)))
			fine = copy(
				it, &s, item, ds ? SECTION_ANSWER : SECTION_AUTHORITY);
	}
	if (!fine || !it->reply.count)
		return false;
	it->reply.kind = ds ? REPLY_ANSWER : REPLY_NODATA;
	*step = judge(it, f);
	return true;
}
