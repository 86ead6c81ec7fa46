/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/p256.h - checks of ECDSA over P-256 with SHA-256 (RFC 6605): libcrypto's points,
 * gmp's numbers. A sixth cheaper than libcrypto's own check, whose inverse modulo the order
 * costs ten times gmp's, and which divides by the sum's Z where r times Z^2 tells the same.
 * What is checked is public, so nothing here takes care to take the same time always. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { P256_KEY_LEN = 64, P256_HASH_LEN = 32, P256_SIG_LEN = 64 };

struct p256;     /* the curve, and numbers to work with: one thread at a time */
struct p256_key; /* belongs to nobody: fits every struct p256 */

struct p256 *p256_new(void);
void p256_free(struct p256 *p); /* NULL is fine */

/* The key as DNSKEY has it. NULL: not on the curve, or no memory. */
struct p256_key *p256_key_new(
	const struct p256 *p, const uint8_t key[static P256_KEY_LEN]);
/* The same with tables of 150 KB, for one that is checked so often that they pay. The
 * costly half of a check is a multiplication of the key's point; with tables it costs as
 * little as that of the curve's own generator. So the key is made the generator of a
 * group. Takes tens of milliseconds: off the loop, in any thread. */
struct p256_key *p256_key_new_hot(const uint8_t key[static P256_KEY_LEN]);
void p256_key_free(struct p256_key *k); /* NULL is fine */

/* FIPS 186-4 section 6.4 with a SHA-256 hash and r | s. */
bool p256_check(struct p256 *p, const struct p256_key *k,
	const uint8_t hash[static P256_HASH_LEN],
	const uint8_t sig[static P256_SIG_LEN]);
