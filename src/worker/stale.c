/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/stale.c - when expired data may stand in for what the servers do not give: RFC
 * 8767. */
#include "wire/codes.h"
#include "worker/poison.h"
#include "worker/resolution.h"

/* RFC 8914: 5 indeterminate .. 12 NSEC missing. Whoever breaks signatures must not bring
 * old data back. */
static bool is_bogus(int ede)
{
	enum { DNSSEC_FIRST = 5, DNSSEC_LAST = 12 };
	return ede >= DNSSEC_FIRST && ede <= DNSSEC_LAST;
}

bool stale_helps(const struct resolution *s, const struct iter_answer *failed)
{
	return s->r->env.serve_stale && failed->rcode == RCODE_SERVFAIL &&
	       !failed->bogus && !is_bogus(failed->ede) &&
	       !is_bogus(failed->ede_origin);
}

struct iter *stale_find(const struct resolution *s)
{
	const struct question *q = &s->question;
	const struct now *now = loop_now(s->r->env.loop);
	if (q->no_cache || q->cache_only || q->refresh)
		return NULL;
	const struct iter_query query = {
		.name = q->name,
		.type = q->type,
		.rclass = q->rclass,
		.checking_disabled = q->cd,
		.as_is = q->as_is,
		.stale = true,
		.route = s->route,
	};
	struct iter *it = iter_new(&s->r->env.iter, &query, now);
	if (!it)
		return NULL;
	const struct poison_mark before = poison_begin(q->name, q->type, q->rclass);
	const struct iter_event ev = { .kind = ITER_START };
	struct iter_wish wish;
	/* The longest chain of aliases out of the cache is one step, and costly work has none
	 * (iter_may_work): who waits for another is no place for it. */
	iter_step(it, &ev, now, &wish);
	poison_end(before);
	if (wish.want == ITER_DONE) {
		const struct iter_answer *a = iter_answer(it);
		if (a->rcode == RCODE_NOERROR || a->rcode == RCODE_NXDOMAIN)
			return it;
	}
	iter_free(it);
	return NULL;
}
