/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/cookies.h"

#include <assert.h>
#include <string.h>

#include "cache/secrets.h"
#include "worker/worker.h"

enum { DAY_S = 86400 };

static_assert((int)SECRET_LEN >= (int)COOKIE_SECRET_LEN, "one is cut out of the other");

static struct hash_key key_of(const struct worker *w, enum secret_use use, int64_t day)
{
	uint8_t secret[SECRET_LEN];
	secrets_get(w->secrets, use, (uint64_t)day, secret);
	const struct hash_key key = cookie_key(secret);
	explicit_bzero(secret, sizeof(secret));
	return key;
}

static void renew(struct worker *w, int64_t day)
{
	struct cookies *c = &w->cookies;
	const struct conf *conf = w->conf;
	c->day = day;
	c->client = key_of(w, SECRET_CLIENT_COOKIES, day);
	c->server.count = 0;
	for (size_t i = 0; i < conf->cookie_secret_count; i++)
		c->server.key[c->server.count++] = cookie_key(conf->cookie_secrets[i]);
	if (c->server.count)
		return;
	static const int days[] = { 0, -1, 1 };
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++)
		c->server.key[c->server.count++] =
			key_of(w, SECRET_COOKIES, day + days[i]);
}

bool cookies_open(struct worker *w)
{
	if (!w->conf->cookies)
		return true;
	if (!w->secrets)
		w->secrets = secrets_open(w->run_folder, &w->random);
	if (!w->secrets)
		return false;
	w->cookies.on = true;
	renew(w, now_wall_s(loop_now(w->loop)) / DAY_S);
	return true;
}

void cookies_tick(struct worker *w)
{
	const int64_t day = now_wall_s(loop_now(w->loop)) / DAY_S;
	if (w->cookies.on && day != w->cookies.day)
		renew(w, day);
}

void cookies_renew(struct worker *w)
{
	if (w->cookies.on)
		renew(w, now_wall_s(loop_now(w->loop)) / DAY_S);
}

enum cookie_verdict cookies_judge(
	struct worker *w, struct query *q, const struct addr *client)
{
	struct counters *c = w->counters;
	if (!q->cookie || !w->cookies.on)
		return COOKIE_NONE;
	const enum cookie_verdict verdict =
		cookie_judge(&w->cookies.server, q->cookie, q->cookie_len, client,
			(uint32_t)now_wall_s(loop_now(w->loop)), q->cookie_reply);
	q->tells_cookie = true;
	switch (verdict) {
	case COOKIE_NEW:
		counter_up(c, cookies_new);
		break;
	case COOKIE_BAD:
		counter_up(c, cookies_bad);
		break;
	case COOKIE_GOOD:
		counter_up(c, cookies_good);
		break;
	case COOKIE_NONE:
		break;
	}
	return verdict;
}
