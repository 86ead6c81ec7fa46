/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/parts.h"

#include <string.h>

#include "cache/state.h"
#include "wire/codes.h"
#include "wire/name.h"

/* Where the search is: the names that a denial may lie at, and whose copy c->victim is. */
struct search {
	struct cache *c;
	const struct cache_key *key;
	const struct msg *m;
	struct parts *out;
	uint8_t last[NAME_MAX_LEN];   /* owner of the last answer record */
	uint8_t target[NAME_MAX_LEN]; /* of the chain of aliases */
};

/* The RDATA in the value that lies in c->victim. */
static bool cut_from(struct search *s, unsigned part, const struct msg_rr *rr)
{
	const union entry *e = &s->c->victim;
	const uint8_t *value = entry_value(e);
	const uint8_t *found =
		memmem(value, e->head.value_len, rr->rdata, rr->rdata_len);
	if (!found)
		return false;
	s->out->cut[s->out->cut_count++] = (struct cut){
		.at = (uint16_t)(rr->rdata - s->m->pkt),
		.len = rr->rdata_len,
		.from = (uint32_t)(found - value) & 0xffffff,
		.part = (uint8_t)part,
	};
	return true;
}

static bool in_known(struct search *s, const struct msg_rr *rr)
{
	for (unsigned i = 0; i < s->out->count; i++)
		if (shared_copy(&s->c->shared, s->out->part[i].ref, &s->c->victim) ==
				COPIED &&
			cut_from(s, i, rr))
			return true;
	return false;
}

static bool in_entry(struct search *s, enum cache_kind kind, const uint8_t *name,
	uint16_t type, const struct msg_rr *rr)
{
	const struct cache_key key = { .kind = (uint8_t)kind,
		.type = type,
		.rclass = s->key->rclass,
		.domain = s->key->domain,
		.name = name };
	struct lookup l;
	struct shared_found where;
	struct parts *out = s->out;
	lookup_init(&l, s->c, &key);
	if (out->count == PARTS_MAX || !lookup_find(s->c, &l, &where))
		return false;
	const union entry *e = &s->c->copy;
	memcpy(s->c->victim.bytes, e->bytes, entry_used(&e->head));
	if (!cut_from(s, out->count, rr))
		return false;
	out->part[out->count++] = (struct part){
		.ref = where.ref, .check = e->head.check, .hash = l.hash
	};
	return true;
}

static void look_for(struct search *s, const struct msg_rr *rr)
{
	const uint16_t covers = rdata_rrsig_covers(rr->rdata, rr->rdata_len);
	if (in_known(s, rr) || in_entry(s, CACHE_RRSET, rr->name, covers, rr) ||
		rr->section != SECTION_AUTHORITY)
		return;
	/* proofs lie with what they prove */
	if (in_entry(s, CACHE_RRSET, s->last, s->key->type, rr) ||
		in_entry(s, CACHE_NODATA, s->target, s->key->type, rr))
		return;
	const uint8_t *name = s->target;
	for (unsigned left = name_labels(name);; left--, name = name_parent(name))
		if (in_entry(s, CACHE_NXDOMAIN, name, 0, rr) || !left)
			return;
}

void parts_find(struct cache *c, const struct cache_key *key, const struct msg *m,
	struct parts *out)
{
	struct search s = { .c = c, .key = key, .m = m, .out = out };
	struct msg_rr rr;
	out->count = out->cut_count = 0;
	name_copy(s.last, key->name);
	name_copy(s.target, key->name);
	for (struct msg_walk w = msg_begin(m);
		msg_next(&w, &rr) && out->cut_count < CUTS_MAX;) {
		if (rr.section == SECTION_ANSWER)
			name_copy(s.last, rr.name);
		if (rr.type == TYPE_CNAME && rr.section == SECTION_ANSWER)
			(void)msg_rdata(m, &rr, s.target, sizeof(s.target));
		if (rr.type == TYPE_RRSIG && rr.rdata_len >= PART_MIN)
			look_for(&s, &rr);
	}
}

bool parts_fill(struct cache *c, const struct parts *p, uint8_t *msg, size_t len)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct part *part = &p->part[i];
		const union entry *e = &c->victim;
		if (!stay_part(c, part->ref, part->hash) ||
			shared_copy(&c->shared, part->ref, &c->victim) != COPIED ||
			e->head.check != part->check)
			return false;
		for (unsigned k = 0; k < p->cut_count; k++) {
			const struct cut *cut = &p->cut[k];
			if (cut->part != i)
				continue;
			if (cut->from + cut->len > e->head.value_len ||
				(size_t)cut->at + cut->len > len)
				return false;
			memcpy(msg + cut->at, entry_value(e) + cut->from, cut->len);
		}
	}
	return true;
}
