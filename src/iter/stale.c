/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/stale.c - expired data, where fresh is not to be had: RFC 8767. */
#include "iter/state.h"

/* Names above that were not there, or that had a DNAME. */
static bool find_above(struct iter *it, struct frame *f, struct stored *s)
{
	const uint64_t domain = f->route.domain;
	const unsigned labels = name_labels(f->name);
	for (unsigned n = 1; n < labels && n <= ANCESTORS_READ; n++) {
		const uint8_t *name = name_strip(f->name, labels - n);
		if (store_get_stale(it, domain, CACHE_NXDOMAIN, name, 0, s) &&
			start_accepts(f, &s->meta))
			return true;
		if (store_get_stale(it, domain, CACHE_RRSET, name, TYPE_DNAME, s) &&
			s->meta.rank >= RANK_ANSWER && s->count &&
			start_accepts(f, &s->meta))
			return true;
	}
	return false;
}

enum step stale_lookup(struct iter *it, struct frame *f)
{
	struct stored s;
	if (store_newest(it, f, f->name, f->type, &s) || find_above(it, f, &s)) {
		log_debug(
			CACHE, "%s: found, perhaps stale", iter_text(f->name, f->type));
		return start_take(it, f, &s);
	}
	f->failed = true;
	f->rcode = RCODE_SERVFAIL;
	f->count = 0;
	f->ede = EDE_OTHER;
	f->state = STATE_DONE;
	return STEP_ON;
}
