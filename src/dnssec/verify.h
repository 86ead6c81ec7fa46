/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/verify.h - is an RRset signed by one of a zone's keys? RFC 4035 section 5.3.
 *
 * A check goes on where its last slice ended, so that the caller can serve others in
 * between: no zone decides how long a turn of the loop is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnssec/canon.h"
#include "dnssec/crypto.h"
#include "dnssec/dnskey.h"
#include "dnssec/dnssec.h"

/* What all checks of a process share. */
struct verifier {
	struct crypto *crypto;
	struct canon canon;
};

/* As crypto_new(). */
bool verifier_init(struct verifier *v, unsigned keys, unsigned flags,
	const struct hash_key *secret);
void verifier_fini(struct verifier *v);

struct verify {
	const struct rrset *rr;
	const struct keyset *keys; /* its zone must be the signer */
	uint64_t usable; /* bit i: keys->key[i] may be used; set by verify_begin() */
	uint32_t now;    /* seconds since 1970 modulo 2^32 */
	/* what was found: SECURE */
	uint32_t ttl;     /* bounded by the signature */
	uint32_t expires; /* of the signature */
	uint8_t key;      /* index in keys->key */
	uint8_t labels;   /* of the signature */
	bool expanded; /* made from a wildcard: the name's absence must be proven, too
			*/
	/* what was found: BOGUS */
	int ede;
	/* private: where to go on */
	uint16_t sig_at;
	uint8_t key_at, rank;
};

void verify_begin(struct verify *v, const struct rrset *rr, const struct keyset *keys,
	uint32_t now);
/* At most `slice` public-key operations (at least 1), then MORE. Else SECURE, BOGUS,
 * INDETERMINATE or LIMIT. */
enum dnssec_status verify_run(struct verifier *verifier, struct verify *v,
	struct dnssec_work *work, unsigned slice);
