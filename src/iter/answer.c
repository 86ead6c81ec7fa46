/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/answer.c - the client's answer, made of what the first frame gathered. */
#include <string.h>

#include "iter/state.h"

enum { DEPS_MAX = 4096 };

static bool in_deps(const uint8_t *deps, size_t len, const uint8_t *name)
{
	for (size_t at = 0; at < len; at += name_len(deps + at))
		if (name_equal(deps + at, name))
			return true;
	return false;
}

/* Every owner but the question's: a clear of any of them clears the finished answer. */
static bool gather_deps(struct iter *it, const struct frame *f)
{
	uint8_t *deps = arena_alloc(it->arena, DEPS_MAX);
	size_t len = 0;
	for (size_t i = 0; deps && i < f->count; i++) {
		const uint8_t *name = f->records[i].rr.name;
		if (name_equal(name, f->asked) || in_deps(deps, len, name))
			continue;
		if (len + name_len(name) > DEPS_MAX)
			return false;
		len += name_copy_lower(deps + len, name);
	}
	it->answer.deps = deps;
	it->answer.deps_len = (uint16_t)len;
	return deps != NULL;
}

static uint32_t smallest_ttl(const struct frame *f)
{
	uint32_t ttl = UINT32_MAX;
	for (size_t i = 0; i < f->count; i++)
		if (f->records[i].rr.ttl < ttl)
			ttl = f->records[i].rr.ttl;
	return f->count ? ttl : 0;
}

static void count_status(struct iter *it, const struct iter_answer *a)
{
	if (a->bogus)
		counter_up(it->env.counters, answers_bogus);
	else if (a->status == CACHE_SECURE)
		counter_up(it->env.counters, answers_secure);
	else if (a->status == CACHE_INSECURE)
		counter_up(it->env.counters, answers_insecure);
}

void answer_build(struct iter *it, struct frame *f)
{
	struct iter_answer *a = &it->answer;
	*a = (struct iter_answer){ .rcode = f->rcode,
		.ede = f->ede,
		/* what it is already is not told twice */
		.ede_origin = it->ede_origin == f->ede ? EDE_NONE : it->ede_origin,
		.status = f->status,
		.records = f->records,
		.record_count = f->count,
		.ttl = smallest_ttl(f),
		.made = it->made,
		.from_cache = it->asks == 0,
		.due = it->due,
		.packets = it->packets };
	if (f->failed) {
		a->status = CACHE_UNCHECKED;
		a->bogus = f->bogus;
		a->ede_text = it->ede_text[0] ? it->ede_text : NULL;
	} else if (it->stale) {
		a->stale = true;
		a->ede = f->rcode == RCODE_NXDOMAIN ? EDE_STALE_NXDOMAIN
						    : EDE_STALE_ANSWER;
		a->ede_origin = EDE_NONE;
		store_recheck(it, f);
	} else {
		const bool keeps =
			f->rcode == RCODE_NOERROR || f->rcode == RCODE_NXDOMAIN;
		a->cacheable = gather_deps(it, f) && keeps && a->ttl > 0;
		if (f->ede != EDE_CACHED_ERROR)
			a->ede_origin = EDE_NONE;
		if (a->ede == EDE_NONE && a->status == CACHE_INSECURE)
			a->ede = f->note;
	}
	count_status(it, a);
	log_debug(RESOLV, "%s: rcode %u, %zu RRsets, %u packets, %u steps",
		iter_text(f->asked, f->type), (unsigned)f->rcode, f->count, it->packets,
		it->steps);
}
