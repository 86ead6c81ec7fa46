/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/rate.h"

#include <assert.h>

#include "cache/census.h"
#include "cache/tokens.h"
#include "worker/worker.h"

enum {
	CLIENT_V4 = 4,
	CLIENT_V6 = 7, /* bytes of the address */
	CONNECTIONS_V6 = 8,
};

static_assert((int)STREAM_HTTPS < (int)CENSUS_KINDS, "a count for each kind");

/* --- connections ------------------------------------------------------------------ */

static size_t client_len(const struct addr *a)
{
	return a->family == 4 ? CLIENT_V4 : CONNECTIONS_V6;
}

static void count(void *ctx, enum stream_kind kind, const struct addr *from, int change)
{
	census_count(ctx, kind, from->ip, client_len(from), change);
}

static unsigned count_of(void *ctx, enum stream_kind kind, const struct addr *from)
{
	return census_of(ctx, kind, from->ip, client_len(from));
}

static unsigned count_all(void *ctx, enum stream_kind kind)
{
	return census_all(ctx, kind);
}

bool rate_tick(struct worker *w)
{
	if (w->tokens)
		tokens_tick(w->tokens);
	return w->census && census_tick(w->census);
}

/* --- queries ---------------------------------------------------------------------- */

bool rate_open(struct worker *w)
{
	w->census = census_open(w->run_folder, &w->random);
	w->stream_census =
		(struct stream_census){ count, count_of, count_all, w->census };
	if (!w->census || !w->conf->rate_limit)
		return w->census;
	w->tokens = tokens_open(w->run_folder, &w->random);
	return w->tokens;
}

void rate_close(struct worker *w)
{
	tokens_close(w->tokens);
	census_close(w->census);
}

enum rate_verdict rate_judge(struct worker *w, const struct addr *client)
{
	if (!w->tokens)
		return RATE_SERVE;
	const uint32_t per_s = w->conf->rate_limit;
	const struct tokens_limit limit = { .per_s = per_s, .burst = per_s };
	const uint8_t len = client->family == 4 ? CLIENT_V4 : CLIENT_V6;
	if (tokens_take(w->tokens, len, client->ip, len, &limit, loop_now(w->loop)))
		return RATE_SERVE;
	counter_up(w->counters, queries_over_rate);
	const uint32_t slip = w->conf->rate_limit_slip;
	return slip && ++w->over_rate % slip == 0 ? RATE_TRUNCATE : RATE_DROP;
}
