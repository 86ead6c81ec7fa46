/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/cookie.h - DNS cookies (RFC 7873) as RFC 9018 makes them, for both sides: pure.
 *
 * A server cookie is version 1, three reserved bytes, the time of its making and
 * SipHash-2-4 over all that, the client's cookie and the client's address. Whoever has
 * the secret can check it, whichever process or program made it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/hash.h"

enum {
	COOKIE_CLIENT_LEN = 8,
	COOKIE_SERVER_LEN = 16,    /* of ours */
	COOKIE_SERVER_MIN_LEN = 8, /* of anybody's: RFC 7873 section 4 */
	COOKIE_SERVER_MAX_LEN = 32,
	COOKIE_FULL_LEN = COOKIE_CLIENT_LEN + COOKIE_SERVER_LEN,
	COOKIE_MAX_LEN = COOKIE_CLIENT_LEN + COOKIE_SERVER_MAX_LEN,
	COOKIE_SECRET_LEN = 16,
	COOKIE_SECRETS_MAX = 4,
	/* RFC 9018 section 4.3: seconds */
	COOKIE_OLD_S = 3600,
	COOKIE_RENEW_S = 1800,
	COOKIE_AHEAD_S = 300,
};

/* The first makes cookies, all of them accept. */
struct cookie_secrets {
	struct hash_key key[COOKIE_SECRETS_MAX];
	unsigned count;
};

/* 128 bits as other programs are told them, too. */
struct hash_key cookie_key(const uint8_t secret[static COOKIE_SECRET_LEN]);

enum cookie_verdict {
	COOKIE_NONE, /* no cookie came */
	COOKIE_NEW,  /* the client's alone: it asks for ours */
	COOKIE_BAD,  /* another's, forged, too old, or of another address */
	COOKIE_GOOD, /* ours: the client is where it says */
};

/* `cookie`: 8 or 16..40 bytes of the option. `reply` is what the answer's option holds: the
 * client's cookie and a server cookie, the one that came if it is good and young. */
enum cookie_verdict cookie_judge(const struct cookie_secrets *s, const uint8_t *cookie,
	size_t len, const struct addr *client, uint32_t now_s,
	uint8_t reply[static COOKIE_FULL_LEN]);

/* What we send to a server: the same as long as key and `network` (which changes with our own
 * addresses: RFC 7873 section 8) do, different for each server. */
void cookie_client(const struct hash_key *key, const struct addr *server,
	uint32_t network, uint8_t out[static COOKIE_CLIENT_LEN]);
