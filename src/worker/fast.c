/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/fast.h"

#include "cache/answer.h"
#include "dnssec/anchor.h"
#include "wire/codes.h"
#include "worker/tally.h"

enum {
	AT_FLAGS_LOW = 3,
	AT_ANSWERS = 6,
};

struct cache_key fast_key(const struct query *q, enum cache_kind kind, uint64_t domain)
{
	return (struct cache_key){
		.kind = (uint8_t)kind,
		.flags = (uint8_t)((q->dnssec_ok ? CACHE_KEY_DO : 0) |
				   (q->flags & FLAG_CD ? CACHE_KEY_CD : 0)),
		.type = q->qtype,
		.rclass = q->qclass,
		.domain = domain,
		.name = q->name,
	};
}

/* It is there, but too long for this client: only its RCODE goes out. */
static size_t fast_cut(struct worker *w, const struct query *q, enum transport via,
	const struct cache_key *key, uint8_t *out, size_t limit)
{
	struct cache_meta meta;
	bool too_long;
	const size_t len = answer_get(w->cache, key, loop_now(w->loop), q->id, q->flags,
		q->name, 0, w->scratch, SCRATCH_LEN, &meta, &too_long);
	if (!len)
		return 0;
	const struct respond_what what = { .rcode = w->scratch[AT_FLAGS_LOW] & 0x0f,
		.ede = meta.ede };
	const size_t cut = respond_cut(q, what.rcode, false, out, limit);
	counter_up(w->counters, answers_truncated);
	return respond_opt(&w->respond, q, via, &what, out, cut, limit);
}

size_t fast_answer(struct worker *w, const struct query *q, enum transport via,
	uint64_t domain, uint8_t *out, size_t cap, uint32_t *due_s)
{
	const struct cache_key key = fast_key(q, CACHE_ANSWER, domain);
	size_t limit = respond_limit(&w->respond, q, via);
	if (limit > cap)
		limit = cap;
	/* room for the OPT with an extended error, whether or not there will be one */
	struct respond_what what = { .ede = EDE_OTHER };
	const size_t room = limit - respond_opt_len(&w->respond, q, via, &what);
	struct cache_meta meta = { 0 };
	bool too_long = false;
	*due_s = 0;
	const uint32_t rotate = w->respond.rotate ? ++w->rotate : 0;
	size_t len = answer_get(w->cache, &key, loop_now(w->loop), q->id, q->flags,
		q->name, rotate, out, room, &meta, &too_long);
	if (!len && !too_long)
		return 0;
	if (len) {
		if (meta.status == CACHE_SECURE &&
			(q->dnssec_ok || q->flags & FLAG_AD)) {
			out[AT_FLAGS_LOW] |= FLAG_AD;
			counter_up(w->counters, answers_ad);
		}
		if (cache_is_due(&meta, loop_now(w->loop)))
			*due_s = (uint32_t)(meta.expire_s -
					    now_wall_s(loop_now(w->loop)));
		what.ede = meta.ede;
		if (meta.ede == EDE_NEGATIVE_ANCHOR && w->anchors)
			what.ede_text = anchor_reason(
				w->anchors, q->name, now_wall_s(loop_now(w->loop)));
		what.rcode = out[AT_FLAGS_LOW] & 0x0f;
		len = respond_opt(&w->respond, q, via, &what, out, len, limit);
	} else {
		len = fast_cut(w, q, via, &key, out, limit);
		if (!len)
			return 0;
	}
	counter_up(w->counters, answers_fast);
	counter_up(w->counters, answers_cached);
	tally_answer(w->counters, out[AT_FLAGS_LOW] & 0x0f,
		out[AT_ANSWERS] | out[AT_ANSWERS + 1], 0);
	return len;
}

/* Most datagrams are queries that the fast path answers; the others cost a look-up that nobody
 * waits for. */
uint64_t fast_ahead(struct worker *w, const uint8_t *pkt, size_t len)
{
	struct query q;
	if (query_read(&q, pkt, len) != QUERY_OK)
		return 0;
	const struct cache_key key = fast_key(&q, CACHE_ANSWER, w->conf->domain);
	return cache_ahead(w->cache, &key);
}

void fast_ahead_next(struct worker *w, uint64_t ahead)
{
	cache_ahead_entry(w->cache, ahead);
}
