/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/rate.h"

#include "cache/tokens.h"
#include "worker/worker.h"

enum { CLIENT_V4 = 4, CLIENT_V6 = 7 }; /* bytes of the address */

bool rate_open(struct worker *w)
{
	if (!w->conf->rate_limit)
		return true;
	w->tokens = tokens_open(w->run_folder, &w->random);
	return w->tokens;
}

void rate_close(struct worker *w)
{
	tokens_close(w->tokens);
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
