/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/prime.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "policy/policy.h"
#include "wire/codes.h"

enum {
	RETRY_FIRST_MS = 2000, /* doubled up to the last */
	RETRY_LAST_MS = 60 * 1000,
	AGAIN_MIN_S = 60,
};

#define NOTE_SILENT "no root server answers"
#define NOTE_BOGUS "the root's own servers cannot be validated"

static void prime(struct worker *w, bool no_cache);

static void refresh(void *ctx)
{
	prime(ctx, true);
}

static void again_in(struct worker *w, int64_t ms)
{
	loop_timer_set(w->loop, &w->priming_timer,
		loop_now(w->loop)->mono_us + ms * INT64_C(1000), refresh, w);
}

static void note(struct worker *w, const char *text)
{
	char *notes = w->stats->notes;
	if (*text && w->clock_wrong)
		return; /* says why already */
	if (*text || strcmp(notes, NOTE_SILENT) == 0 || strcmp(notes, NOTE_BOGUS) == 0)
		snprintf(notes, sizeof(w->stats->notes), "%s", text);
}

static void primed(void *ctx, const struct resolve_result *result)
{
	struct worker *w = ctx;
	const struct iter_answer *a = result->answer;
	if (w->stopping)
		return;
	if (a->rcode != RCODE_NOERROR || !a->record_count) {
		int64_t wait_ms = RETRY_LAST_MS;
		if (w->priming_tries < 5)
			wait_ms = RETRY_FIRST_MS << w->priming_tries;
		const char *why = a->bogus ? NOTE_BOGUS : NOTE_SILENT;
		if (w->priming_tries++ == 0)
			log_warning(PRIMIN, "%s (priming; trying on)", why);
		note(w, why);
		again_in(w, wait_ms);
		return;
	}
	if (w->priming_tries)
		log_notice(PRIMIN, "the root answers again");
	w->priming_tries = 0;
	note(w, "");
	/* before it expires, and not all instances in the same second */
	int64_t ttl_s = a->ttl;
	if (ttl_s < AGAIN_MIN_S)
		ttl_s = AGAIN_MIN_S;
	again_in(w, ttl_s * (800 + (int64_t)random_below(&w->random, 150)));
}

static void prime(struct worker *w, bool no_cache)
{
	static const uint8_t root[1] = { 0 };
	struct waiter waiter = { .done = primed, .ctx = w, .q.name = root };
	struct resolve_query q = {
		.iter = { .name = root,
			.type = TYPE_NS,
			.rclass = CLASS_IN,
			.no_cache = no_cache },
	};
	policy_route(w->conf, root, &q.iter.route);
	if (q.iter.route.kind != ROUTE_ITERATE)
		return; /* the root's servers are not asked here */
	if (resolve_ask(w->resolve, &q, &waiter) == RESOLVE_BUSY)
		again_in(w, RETRY_FIRST_MS);
}

void prime_start(struct worker *w)
{
	if (conf_module_on(w->conf, MODULE_priming))
		prime(w, false);
}
