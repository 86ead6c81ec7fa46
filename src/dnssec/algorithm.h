/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/algorithm.h - the algorithms and digests that are checked: one row each.
 * IANA's registries after RFC 9904 and RFC 9905; what has no row makes a zone insecure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	ALGORITHM_RSAMD5 = 1, /* no row: RFC 6725; its key tag is special */
	ALGORITHM_RSASHA1 = 5,
	ALGORITHM_RSASHA1_NSEC3 = 7,
	ALGORITHM_RSASHA256 = 8,
	ALGORITHM_RSASHA512 = 10,
	ALGORITHM_P256 = 13,
	ALGORITHM_P384 = 14,
	ALGORITHM_ED25519 = 15,
	ALGORITHM_ED448 = 16,

	DIGEST_SHA1 = 1,
	DIGEST_SHA256 = 2,
	DIGEST_SHA384 = 4,
	DIGEST_LEN_MAX = 48,
};

enum algorithm_kind {
	ALGORITHM_NONE,
	ALGORITHM_KIND_RSA,
	ALGORITHM_KIND_P256,
	ALGORITHM_KIND_P384,
	ALGORITHM_KIND_ED25519,
	ALGORITHM_KIND_ED448,
};

struct algorithm {
	const char *name; /* IANA's mnemonic */
	enum algorithm_kind kind;
	uint16_t hash_bits; /* of the hash that is signed; 0: part of the algorithm */
	uint8_t key_len;    /* 0: any */
	uint8_t sig_len;    /* 0: any */
};

/* NULL: not known. */
const struct algorithm *algorithm_get(uint8_t number);
/* SHA-1 in it: RFC 9905 leaves it to policy. */
bool algorithm_is_sha1(uint8_t number);
/* Bytes of a DS digest; 0: not known. */
uint8_t digest_len(uint8_t type);
