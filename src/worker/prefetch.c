/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/prefetch.h"

#include <stdlib.h>

#include "base/limits.h"
#include "wire/codes.h"
#include "worker/fast.h"
#include "worker/keep.h"

enum {
	MARK_MIN_S = LIMIT_QUERY_TIME_MS / 1000, /* as long as a resolution may take */
	MARK_PART = 4, /* of what is left: few tries where the servers fail */
};

struct prefetch {
	struct worker *w; /* NULL: free */
	struct query q;   /* q.name leads to `name` */
	uint8_t name[NAME_MAX_LEN];
};

bool prefetch_open(struct worker *w)
{
	if (!conf_module_on(w->conf, MODULE_predict))
		return true;
	w->prefetches = calloc(LIMIT_PREFETCHES, sizeof(*w->prefetches));
	return w->prefetches;
}

void prefetch_close(struct worker *w)
{
	free(w->prefetches);
	w->prefetches = NULL;
}

/* Nobody on this host was there before us; marks it. Two at the very same time meet
 * again in the upstream fetch. */
static bool mark(
	struct worker *w, const struct query *q, uint64_t domain, uint32_t left_s)
{
	const struct now *now = loop_now(w->loop);
	const struct cache_key key = fast_key(q, CACHE_MARK, domain);
	struct cache_meta meta;
	if (cache_peek(w->cache, &key, now, &meta, w->scratch, SCRATCH_LEN, false) >= 0)
		return false;
	const uint32_t part = left_s / MARK_PART;
	meta = (struct cache_meta){
		.stored_s = now_wall_s(now),
		.expire_s = now_wall_s(now) + (part > MARK_MIN_S ? part : MARK_MIN_S),
		.generation = cache_generation(w->cache),
		.epoch = cache_epoch(w->cache),
		.ede = EDE_NONE,
	};
	cache_put(w->cache, &key, now, &meta, NULL, 0);
	return true;
}

static struct prefetch *take_free(struct worker *w)
{
	/* clients' own questions come first */
	if (resolve_in_flight(w->resolve) >= LIMIT_QUERIES_IN_FLIGHT / 2)
		return NULL;
	for (unsigned i = 0; i < LIMIT_PREFETCHES; i++)
		if (!w->prefetches[i].w)
			return &w->prefetches[i];
	return NULL;
}

static void fetched(void *ctx, const struct resolve_result *result)
{
	struct prefetch *p = ctx;
	keep_again(p->w, &p->q, result);
	p->w = NULL;
}

void prefetch_start(struct worker *w, const struct query *q, const struct route *route,
	uint32_t left_s)
{
	if (!w->prefetches || w->stopping || !mark(w, q, route->domain, left_s))
		return;
	struct prefetch *p = take_free(w);
	if (!p) {
		counter_up(w->counters, prefetches_shed);
		return;
	}
	p->w = w;
	p->q = *q;
	p->q.cookie = NULL;
	p->q.name = p->name;
	name_copy(p->name, q->name);
	const struct resolve_query rq = {
		.iter = {
			.name = p->name,
			.type = q->qtype,
			.rclass = q->qclass,
			.checking_disabled = q->flags & FLAG_CD,
			.as_is = q->flags & FLAG_CD,
			.refresh = true,
			.route = *route,
		},
	};
	struct waiter waiter = { .done = fetched, .ctx = p, .q.name = p->name };
	counter_up(w->counters, prefetches);
	if (resolve_ask(w->resolve, &rq, &waiter) != RESOLVE_BUSY)
		return;
	p->w = NULL;
	counter_up(w->counters, prefetches_shed);
}
