/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/judge.c - keys of entries, and whether an entry may be handed out. */
#include "cache/state.h"

#include <string.h>

enum { FUTURE_SLACK_S = 5 }; /* clocks of instances are read at different moments */

void lookup_init(struct lookup *l, const struct cache *c, const struct cache_key *key)
{
	l->k.domain = key->domain;
	l->k.type = key->type;
	l->k.rclass = key->rclass;
	l->k.kind = key->kind;
	l->k.flags = key->flags;
	l->name_len = (uint8_t)name_copy_lower(l->k.name, key->name);
	l->hash = hash_sip13(
		&c->shared.key, &l->k, offsetof(typeof(l->k), name) + l->name_len);
}

bool lookup_is(const struct lookup *l, const union entry *e)
{
	const struct entry_head *h = &e->head;
	return h->domain == l->k.domain && h->type == l->k.type &&
	       h->rclass == l->k.rclass && h->kind == l->k.kind &&
	       h->flags == l->k.flags && h->name_len == l->name_len &&
	       memcmp(entry_name(e), l->k.name, l->name_len) == 0;
}

struct cache_key judge_key(const union entry *e)
{
	return (struct cache_key){
		.kind = e->head.kind,
		.flags = e->head.flags,
		.type = e->head.type,
		.rclass = e->head.rclass,
		.domain = e->head.domain,
		.name = entry_name(e),
	};
}

uint64_t judge_newness(const union entry *e)
{
	return (uint64_t)e->head.stored_s << 32 |
	       (e->head.position / ENTRY_UNIT & UINT32_MAX);
}

bool lookup_find(struct cache *c, const struct lookup *l, struct shared_found *where)
{
	struct shared_found found[SHARED_WAYS];
	const unsigned count = shared_find(&c->shared, l->hash, found);
	*where = (struct shared_found){ NULL, 0 };
	unsigned same = 0;
	uint64_t best = 0;
	for (unsigned i = 0; i < count; i++) {
		const enum shared_copied how =
			shared_copy(&c->shared, found[i].ref, &c->copy);
		if (how == COPY_DAMAGED) {
			counter_up(c->counters, cache_damaged);
			if (!same)
				*where = found[i];
		} else if (how == COPIED && lookup_is(l, &c->copy)) {
			if (!same++ || judge_newness(&c->copy) > best) {
				best = judge_newness(&c->copy);
				*where = found[i];
			}
		}
	}
	/* twins: the newer one, copied again if it was not the last */
	return same && (count == 1 || (shared_copy(&c->shared, where->ref, &c->copy) ==
						      COPIED &&
					      lookup_is(l, &c->copy)));
}

uint32_t judge_epoch(struct cache *c)
{
	const uint32_t epoch = shared_epoch(&c->shared);
	if (epoch)
		c->last_epoch = epoch;
	return epoch ? epoch : shared_epoch_raise(&c->shared, c->last_epoch);
}

bool judge_deps(const uint8_t *deps, size_t len)
{
	for (size_t at = 0; at < len;) {
		const size_t name = name_check(deps + at, len - at);
		if (!name)
			return false;
		at += name;
	}
	return true;
}

enum verdict judge(struct cache *c, const union entry *e, const struct now *now)
{
	const struct entry_head *h = &e->head;
	const int64_t now_s = now_wall_s(now);
	if (h->stored_s > now_s + FUTURE_SLACK_S || h->epoch != judge_epoch(c))
		return VERDICT_DEAD;
	if (h->deps_len && !judge_deps(entry_deps(e), h->deps_len))
		return VERDICT_DEAD;
	clear_follow(&c->clear, &c->shared);
	if (clear_hits(&c->clear, &c->shared, e))
		return VERDICT_CLEARED;
	return (int64_t)h->stored_s + h->life_s <= now_s ? VERDICT_EXPIRED
							 : VERDICT_LIVE;
}
