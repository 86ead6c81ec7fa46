/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/judge.c - keys of entries, and whether an entry may be handed out. */
#include "cache/state.h"

#include <endian.h>
#include <string.h>

#include "wire/lower.h"

enum { FUTURE_SLACK_S = 5 }; /* clocks of instances are read at different moments */

/* Each word is stored once, whole, so that what reads it at once need not wait. */
static inline void lower_words(uint64_t *to, const uint8_t *from, size_t len)
{
	size_t i = 0;
	for (; i + 8 <= len; i += 8)
		to[i / 8] = lower_word(load_word(from + i));
	if (i == len)
		return;
	uint64_t last = 0;
	if (len >= 8)
		last = htole64(le64toh(load_word(from + len - 8)) >> 8 * (i + 8 - len));
	else
		memcpy(&last, from, len);
	to[i / 8] = lower_word(last);
}

void lookup_init(struct lookup *l, const struct cache *c, const struct cache_key *key)
{
	l->k.domain = key->domain;
	l->k.type = key->type;
	l->k.rclass = key->rclass;
	l->k.kind = key->kind;
	l->k.flags = key->flags;
	l->k.zero = 0;
	const size_t len = name_len(key->name);
	const size_t words = (len + 7) / 8;
	lower_words(l->k.words, key->name, len);
	l->k.name_len = (uint8_t)len;
	/* the domain is ours, not a stranger's: it may change the key */
	const struct hash_key own = { c->shared.key.k0 ^ key->domain,
		c->shared.key.k1 };
	l->hash = hash_sip13_words(&own, &l->k.first, 1 + words);
	shared_prefetch(&c->shared, l->hash);
}

/* Behind the name other things follow: only its part of the last word counts. */
static inline bool same_name(const struct lookup *l, const union entry *e)
{
	const unsigned len = l->k.name_len;
	const uint64_t *theirs = e->words + sizeof(e->head) / 8;
	unsigned i = 0;
	uint64_t differ = 0;
	for (; i < len / 8; i++)
		differ |= theirs[i] ^ l->k.words[i];
	if (len % 8)
		differ |= le64toh(theirs[i] ^ l->k.words[i]) << (64 - 8 * (len % 8));
	return !differ;
}

bool lookup_is(const struct lookup *l, const union entry *e)
{
	const struct entry_head *h = &e->head;
	return h->domain == l->k.domain && h->type == l->k.type &&
	       h->rclass == l->k.rclass && h->kind == l->k.kind &&
	       h->flags == l->k.flags && h->name_len == l->k.name_len &&
	       same_name(l, e);
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

/* Nearly always one is there, and it is the one. Of twins that a death left in two lines
 * only the home line's counts, until the key's next write drops one. */
static inline bool find_home(
	struct cache *c, const struct lookup *l, struct shared_found *where)
{
	struct shared_found found[SHARED_WAYS / 2];
	if (shared_find_home(&c->shared, l->hash, found) != 1 ||
		shared_copy(&c->shared, found[0].ref, &c->copy) != COPIED ||
		!lookup_is(l, &c->copy))
		return false;
	*where = found[0];
	return true;
}

bool lookup_find(struct cache *c, const struct lookup *l, struct shared_found *where)
{
	struct shared_found found[SHARED_WAYS];
	if (find_home(c, l, where))
		return true;
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
