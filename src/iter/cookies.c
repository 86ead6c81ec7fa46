/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/cookies.c - our cookie in questions to servers, and what its absence means: RFC 7873
 * sections 5.1 and 5.3, RFC 9018.
 *
 * Each server sees a client cookie of its own. Once it has sent one of its own back, an
 * answer over UDP without ours is somebody else's: the wait goes on, the retry goes by TCP.
 * There the server's word is final, so one that stopped doing cookies, or has a sibling
 * that never did, costs a time-out, and is asked without expectations again. */
#include <string.h>

#include "iter/state.h"

enum {
	TIMEOUTS_WITH = 2, /* then perhaps it is the cookie that a server, or a box in
			    * front of it, does not like */
};

static bool wants_cookie(const struct iter *it, const struct server *s)
{
	if (!it->env.cookie_key || s->no_cookie || s->plain)
		return false;
	return s->timeouts < TIMEOUTS_WITH || s->cookie_seen || s->misses;
}

bool cookies_same(const struct iter *it, const struct server *s)
{
	return it->cookie_sent == wants_cookie(it, s);
}

size_t cookies_write(
	struct iter *it, struct server *s, uint8_t out[static COOKIE_MAX_LEN])
{
	it->cookie_sent = wants_cookie(it, s);
	if (!it->cookie_sent)
		return 0;
	const uint32_t network = infra_network(it->env.infra);
	cookie_client(it->env.cookie_key, &s->addr, network, it->cookie);
	memcpy(out, it->cookie, COOKIE_CLIENT_LEN);
	const size_t len = infra_cookie_get(
		it->env.infra, &s->addr, it->cookie, out + COOKIE_CLIENT_LEN);
	s->cookie_seen = len > 0;
	return COOKIE_CLIENT_LEN + len;
}

static bool is_ours(const struct iter *it)
{
	const struct reply *r = &it->reply;
	return r->cookie_len >= COOKIE_CLIENT_LEN && r->cookie_len <= COOKIE_MAX_LEN &&
	       memcmp(r->cookie, it->cookie, COOKIE_CLIENT_LEN) == 0;
}

bool cookies_fit(struct iter *it, const struct server *s, bool tcp)
{
	const struct reply *r = &it->reply;
	if (!it->cookie_sent || tcp || (r->cookie && is_ours(it)))
		return true;
	/* it only leads to TCP, and who is short of room leaves the rest out */
	if (!r->cookie && (!s->cookie_seen || r->kind == REPLY_TRUNCATED))
		return true;
	counter_up(it->env.counters, upstream_cookie_misfits);
	return false;
}

void cookies_learn(struct iter *it, struct server *s)
{
	const struct reply *r = &it->reply;
	if (!it->cookie_sent)
		return;
	if (!r->cookie || !is_ours(it)) {
		if (s->cookie_seen && r->kind != REPLY_TRUNCATED)
			cookies_forget(it, s);
		return;
	}
	counter_up(it->env.counters, upstream_cookies);
	const size_t len = r->cookie_len - (size_t)COOKIE_CLIENT_LEN;
	if (len < COOKIE_SERVER_MIN_LEN)
		return;
	infra_cookie_set(it->env.infra, &s->addr, it->cookie,
		r->cookie + COOKIE_CLIENT_LEN, len, &it->now);
	s->cookie_seen = true;
}

bool cookies_disliked(const struct iter *it, const struct server *s)
{
	return it->env.cookie_key && !it->cookie_sent && !s->plain &&
	       (s->no_cookie || s->timeouts >= TIMEOUTS_WITH) &&
	       !(s->infra.flags & INFRA_NO_COOKIE);
}

void cookies_forget(struct iter *it, struct server *s)
{
	infra_cookie_set(it->env.infra, &s->addr, it->cookie, NULL, 0, &it->now);
	s->cookie_seen = false;
}
