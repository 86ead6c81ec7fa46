/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/cookie.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* RFC 9018 section 4: version 1, reserved 3, time 4, hash 8. */
enum { VERSION = 1, AT_TIME = 4, AT_HASH = 8, IP_MAX = 16 };

static size_t ip_len(const struct addr *a)
{
	return a->family == 4 ? 4 : IP_MAX;
}

struct hash_key cookie_key(const uint8_t secret[static COOKIE_SECRET_LEN])
{
	uint64_t words[2];
	memcpy(words, secret, sizeof(words));
	return (struct hash_key){ le64toh(words[0]), le64toh(words[1]) };
}

/* As its bytes stand in the cookie: SipHash's own order. */
static uint64_t hash_of(const struct hash_key *key, const uint8_t *client_cookie,
	const uint8_t *head, const struct addr *client)
{
	uint8_t bytes[COOKIE_CLIENT_LEN + AT_HASH + IP_MAX];
	memcpy(bytes, client_cookie, COOKIE_CLIENT_LEN);
	memcpy(bytes + COOKIE_CLIENT_LEN, head, AT_HASH);
	memcpy(bytes + COOKIE_CLIENT_LEN + AT_HASH, client->ip, IP_MAX);
	return htole64(
		hash_sip24(key, bytes, COOKIE_CLIENT_LEN + AT_HASH + ip_len(client)));
}

static void server_cookie(const struct cookie_secrets *s, const uint8_t *client_cookie,
	const struct addr *client, uint32_t now_s,
	uint8_t out[static COOKIE_SERVER_LEN])
{
	const uint32_t when = htobe32(now_s);
	memset(out, 0, AT_TIME);
	out[0] = VERSION;
	memcpy(out + AT_TIME, &when, sizeof(when));
	const uint64_t hash = hash_of(&s->key[0], client_cookie, out, client);
	memcpy(out + AT_HASH, &hash, sizeof(hash));
}

/* Which bytes differ must not show in how long it took. */
static bool is_equal(const uint8_t *a, const uint64_t *b)
{
	uint64_t other;
	memcpy(&other, a, sizeof(other));
	return (other ^ *b) == 0;
}

/* `age_s`: how long ago it was made; negative: in the future. */
static bool is_good(const struct cookie_secrets *s, const uint8_t *cookie,
	const struct addr *client, uint32_t now_s, int32_t *age_s)
{
	const uint8_t *own = cookie + COOKIE_CLIENT_LEN;
	uint32_t when;
	memcpy(&when, own + AT_TIME, sizeof(when));
	/* RFC 1982 arithmetic: the counter may have come round */
	*age_s = (int32_t)(now_s - be32toh(when));
	if (own[0] != VERSION || *age_s > COOKIE_OLD_S || *age_s < -COOKIE_AHEAD_S)
		return false;
	for (unsigned i = 0; i < s->count; i++) {
		const uint64_t hash = hash_of(&s->key[i], cookie, own, client);
		if (is_equal(own + AT_HASH, &hash))
			return true;
	}
	return false;
}

enum cookie_verdict cookie_judge(const struct cookie_secrets *s, const uint8_t *cookie,
	size_t len, const struct addr *client, uint32_t now_s,
	uint8_t reply[static COOKIE_FULL_LEN])
{
	enum cookie_verdict verdict =
		len == COOKIE_CLIENT_LEN ? COOKIE_NEW : COOKIE_BAD;
	int32_t age_s = 0;
	assert(s->count && len >= COOKIE_CLIENT_LEN);
	if (len == COOKIE_FULL_LEN && is_good(s, cookie, client, now_s, &age_s))
		verdict = COOKIE_GOOD;
	memcpy(reply, cookie, COOKIE_CLIENT_LEN);
	if (verdict == COOKIE_GOOD && age_s < COOKIE_RENEW_S)
		memcpy(reply + COOKIE_CLIENT_LEN, cookie + COOKIE_CLIENT_LEN,
			COOKIE_SERVER_LEN);
	else
		server_cookie(s, cookie, client, now_s, reply + COOKIE_CLIENT_LEN);
	return verdict;
}

void cookie_client(const struct hash_key *key, const struct addr *server,
	uint32_t network, uint8_t out[static COOKIE_CLIENT_LEN])
{
	uint8_t bytes[IP_MAX + sizeof(network) + 1];
	memcpy(bytes, server->ip, IP_MAX);
	memcpy(bytes + IP_MAX, &network, sizeof(network));
	bytes[IP_MAX + sizeof(network)] = server->family;
	const uint64_t hash = hash_sip24(key, bytes, sizeof(bytes));
	memcpy(out, &hash, COOKIE_CLIENT_LEN);
}
