/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/select.c - which server is asked: the quick one mostly, an unknown one now and
 * then.
 *
 * Each server has a score in microseconds: its smoothed round trip and what stands
 * against it. One of those close to the best is drawn, so that load and an off-path
 * attacker's aim spread. */
#include "iter/state.h"

enum {
	US_TRIED = 1000 * 1000,       /* for each try of this question */
	US_DOWN = 5 * 1000 * 1000,    /* silent lately, its probe is not due */
	US_FAMILY = 10 * 1000 * 1000, /* its address family does not work here */
	US_LAME = 30 * 1000 * 1000,   /* does not serve this zone */
	US_BAND = 20 * 1000,          /* about as good as the best */
	EXPLORE_ONE_IN = 20,
};

/* Read once for each cut: later trouble is in tries and timeouts. */
static void look(struct iter *it, struct server *s)
{
	if (s->looked)
		return;
	s->looked = true;
	infra_get(it->env.infra, &s->addr, &it->now, &s->infra);
	s->plain |= (s->infra.flags & INFRA_NO_EDNS) != 0;
	if (s->tls)
		return;
	s->no_tcp |= (s->infra.flags & INFRA_NO_TCP) != 0;
	s->tcp |= (s->infra.flags & INFRA_WANTS_TCP) && !s->no_tcp;
	s->no_cookie |= (s->infra.flags & INFRA_NO_COOKIE) != 0;
	s->same_case |= (s->infra.flags & INFRA_NO_0X20) != 0;
	s->shy |= (s->infra.flags & INFRA_NO_MINIMIZE) != 0;
}

static bool candidate(const struct server *s)
{
	return !s->failed && s->tries < LIMIT_TRIES_PER_SERVER;
}

static uint64_t score(struct iter *it, const struct server *s)
{
	uint64_t us = s->infra.srtt_us;
	us += (uint64_t)s->tries * US_TRIED;
	if (s->infra.down)
		us += US_DOWN;
	if (it->no_route[s->addr.family == 6] ||
		infra_family_broken(it->env.infra, s->addr.family, &it->now))
		us += US_FAMILY;
	if (s->lame)
		us += US_LAME;
	return us;
}

/* Every one with a score up to `most` is as likely; NULL if there is none. */
static struct server *draw(
	struct iter *it, struct cut *cut, uint64_t most, bool unknown_only)
{
	struct server *chosen = NULL;
	uint32_t seen = 0;
	for (unsigned i = 0; i < cut->server_count; i++) {
		struct server *s = &cut->servers[i];
		if (!candidate(s) || score(it, s) > most ||
			(unknown_only && s->infra.known))
			continue;
		if (random_below(it->env.random, ++seen) == 0)
			chosen = s;
	}
	return chosen;
}

static struct server *pick(struct iter *it, struct cut *cut, uint64_t *best)
{
	*best = UINT64_MAX;
	for (unsigned i = 0; i < cut->server_count; i++) {
		struct server *s = &cut->servers[i];
		look(it, s);
		if (candidate(s) && score(it, s) < *best)
			*best = score(it, s);
	}
	if (*best == UINT64_MAX)
		return NULL;
	if (*best < US_TRIED && random_below(it->env.random, EXPLORE_ONE_IN) == 0) {
		struct server *unknown = draw(it, cut, US_TRIED - 1, true);
		if (unknown)
			return unknown;
	}
	return draw(it, cut, *best + *best / 2 + US_BAND, false);
}

enum step select_server(struct iter *it, struct frame *f)
{
	struct cut *cut = f->cut;
	uint64_t best;
	if (!aggressive_may_ask(it, f))
		return iter_frame_fail(it, f, EDE_OTHER);
	struct server *s = pick(it, cut, &best);
	/* lameness is looked up for who was chosen only: for each server at most once
	 */
	while (s && !s->lame && !cut->forward &&
		infra_is_lame(it->env.infra, &s->addr, cut->zone, &it->now)) {
		s->lame = true;
		s = pick(it, cut, &best);
	}
	/* a server not heard of yet is better than one that failed before */
	if ((!s || best >= US_TRIED) && nsaddr_begin(it, f))
		return STEP_ON;
	if (!s) {
		f->state = STATE_STUCK;
		return STEP_ON;
	}
	f->server = s;
	f->state = STATE_ASK;
	return STEP_ON;
}
