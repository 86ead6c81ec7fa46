/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/negative.c - "no such name" and "no such type": RFC 2308, RFC 8020. */
#include "iter/state.h"

static bool take_proofs(struct iter *it, struct frame *f)
{
	const uint32_t ttl = store_negative_ttl(it, f->ask_name, &it->reply);
	for (size_t i = 0; i < it->reply.count; i++) {
		const struct reply_rrset *set = &it->reply.rrsets[i];
		const bool soa = set->rr.type == TYPE_SOA;
		if (set->section != SECTION_AUTHORITY || set->bad ||
			(!soa && !store_is_denial(set->rr.type)))
			continue;
		const uint32_t own = store_rrset_ttl(it, &set->rr);
		if (!chain_add(it, f, SECTION_AUTHORITY, &set->rr,
			    soa || own > ttl ? ttl : own))
			return false;
	}
	return true;
}

enum step negative_finish(
	struct iter *it, struct frame *f, const uint8_t *name, bool nxdomain)
{
	store_negative(it, f, name, nxdomain, &it->reply);
	frame_status(f, it->reply.status, it->reply.note);
	f->unsigned_cut = it->reply.unsigned_cut;
	if (!take_proofs(it, f))
		return iter_frame_fail(it, f, EDE_OTHER);
	f->rcode = nxdomain ? RCODE_NXDOMAIN : RCODE_NOERROR;
	f->state = STATE_DONE;
	return STEP_ON;
}

enum step negative_take(struct iter *it, struct frame *f)
{
	const bool nxdomain = it->reply.kind == REPLY_NXDOMAIN;
	if (!f->minimised || nxdomain)
		return negative_finish(it, f, f->ask_name, nxdomain);
	/* an empty non-terminal, or no delegation here: one label more */
	store_negative(it, f, f->ask_name, false, &it->reply);
	f->min_labels = name_labels(f->ask_name) + 1;
	f->state = STATE_SELECT;
	return STEP_ON;
}
