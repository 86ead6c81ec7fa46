/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/crypto.h - is this signature of this key over these bytes? Keys are parsed
 * once and kept, in a table of fixed size. OpenSSL's libcrypto and nettle stay behind
 * this header. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "dnssec/algorithm.h"

struct crypto;

enum {
	CRYPTO_SHA1 = 1, /* algorithms 5 and 7, digest 1: RFC 9905 */
	CRYPTO_HOT = 2,  /* tables for P-256 keys in much use, made by a thread */
};

enum crypto_verdict {
	CRYPTO_GOOD,
	CRYPTO_WRONG,
	CRYPTO_KEY_MALFORMED,
	CRYPTO_KEY_SIZE, /* RSA of a size or exponent that is not checked */
	CRYPTO_UNKNOWN,  /* the algorithm */
	CRYPTO_NO_MEMORY,
};

/* `keys` are kept at most (rounded up to a power of two). `secret`: strangers choose
 * the keys that are looked up. NULL: no memory, or the library has not the algorithms
 * that it must have. */
struct crypto *crypto_new(unsigned keys, unsigned flags, const struct hash_key *secret);
void crypto_free(struct crypto *c);
bool crypto_has_algorithm(const struct crypto *c, uint8_t algorithm);
bool crypto_has_digest(const struct crypto *c, uint8_t digest_type);
/* Of the key's form alone, without any arithmetic: GOOD, KEY_MALFORMED, KEY_SIZE or
 * UNKNOWN. */
enum crypto_verdict crypto_key_form(uint8_t algorithm, const uint8_t *key, size_t len);
/* The public key in DNSKEY's form. One public-key operation. */
enum crypto_verdict crypto_check(struct crypto *c, uint8_t algorithm,
	const uint8_t *key, size_t key_len, const uint8_t *sig, size_t sig_len,
	const uint8_t *data, size_t len);
/* A DS digest over two pieces. Its length; 0 if the type is unknown. */
size_t crypto_digest(const struct crypto *c, uint8_t digest_type, const uint8_t *a,
	size_t a_len, const uint8_t *b, size_t b_len,
	uint8_t out[static DIGEST_LEN_MAX]);

struct crypto_stats {
	uint64_t found, parsed; /* look-ups of keys */
	unsigned kept;
	unsigned hot;        /* keys with tables of their own */
	uint64_t hot_checks; /* by them */
};
struct crypto_stats crypto_stats(const struct crypto *c);
