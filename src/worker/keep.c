/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/keep.h"

#include "cache/answer.h"
#include "wire/codes.h"
#include "wire/name.h"
#include "worker/fast.h"

/* Was it asked before? Marks it. A forgotten or colliding mark costs a place or a
 * probe, no more. */
static bool asked_before(struct worker *w, const struct query *q, uint64_t domain)
{
	uint8_t name[NAME_MAX_LEN];
	const size_t len = name_copy_lower(name, q->name);
	const uint64_t rest[2] = { domain,
		(uint64_t)q->qtype << 32 | (uint64_t)q->qclass << 16 |
			(q->flags & FLAG_CD) | (q->dnssec_ok ? 1u : 0u) };
	struct hash_state h;
	hash_begin(&h, &w->keep_key);
	hash_add(&h, name, len);
	hash_add(&h, rest, sizeof(rest));
	const uint64_t hash = hash_end(&h);
	uint32_t *slot = &w->keep_seen[hash & (KEEP_SLOTS - 1)];
	const uint32_t mark = (uint32_t)(hash >> 32) | 1;
	if (*slot == mark)
		return true;
	*slot = mark;
	return false;
}

/* All of it was there already: somebody on this host asked before us. Only positive
 * answers prove that; denials of whole subtrees cover names that nobody ever asked. */
static bool was_known(const struct iter_answer *a)
{
	if (!a->from_cache || a->made || a->rcode != RCODE_NOERROR)
		return false;
	for (size_t i = 0; i < a->record_count; i++)
		if (a->records[i].section == SECTION_ANSWER)
			return true;
	return false;
}

void keep_again(
	struct worker *w, const struct query *q, const struct resolve_result *result)
{
	const struct iter_answer *a = result->answer;
	if (!a->cacheable || !a->ttl)
		return;
	/* neither AD nor rotation: both are put right for each client */
	const struct respond_what plain = {
		.rcode = a->rcode,
		.ede = a->ede,
		.records = a->records,
		.count = a->record_count,
	};
	const size_t len = respond_body(q, &plain, w->scratch, SCRATCH_LEN);
	if (!len)
		return;
	const struct now *now = loop_now(w->loop);
	const struct cache_key key = fast_key(q, CACHE_ANSWER, result->domain);
	const struct cache_meta meta = {
		.stored_s = now_wall_s(now),
		.expire_s = now_wall_s(now) + a->ttl,
		.generation = result->generation,
		.epoch = result->epoch,
		.status = (uint8_t)a->status,
		.rank = RANK_AUTH_ANSWER,
		.rcode = a->rcode,
		.ede = (int16_t)a->ede,
		.deps = a->deps,
		.deps_len = a->deps_len,
	};
	answer_put(w->cache, &key, now, &meta, w->scratch, len);
}

void keep_answer(
	struct worker *w, const struct query *q, const struct resolve_result *result)
{
	if (result->answer->cacheable &&
		(asked_before(w, q, result->domain) || was_known(result->answer)))
		keep_again(w, q, result);
}
