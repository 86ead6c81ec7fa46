/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/nsec3.h - one NSEC3 record, and names hashed as it wants them: RFC 5155. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnssec/dnssec.h"
#include "dnssec/nsec.h"

enum {
	NSEC3_HASH_LEN = 20, /* SHA-1, the only one */
	NSEC3_OPT_OUT = 1,
};

struct nsec3_params {
	uint16_t iterations;
	uint8_t salt_len;
	const uint8_t *salt;
};

struct nsec3 {
	uint8_t hash[NSEC3_HASH_LEN]; /* of the owner */
	const uint8_t *next;          /* as long */
	bool opt_out;
	struct nsec3_params params;
	struct type_bitmap types;
};

/* False: malformed, an unknown hash algorithm or flag (RFC 5155 sections 8.1 and 8.2), or
 * not one label directly below the zone (CVE-2026-10723). */
bool nsec3_read(struct nsec3 *n, const uint8_t *zone, const uint8_t *owner,
	const uint8_t *rdata, size_t len);
bool nsec3_same_params(const struct nsec3_params *a, const struct nsec3_params *b);
/* False: the work is used up. */
bool nsec3_hash(const struct nsec3_params *p, const uint8_t *name,
	struct dnssec_work *work, uint8_t out[static NSEC3_HASH_LEN]);
/* How many blocks nsec3_hash() takes. */
uint32_t nsec3_price(const struct nsec3_params *p, size_t name_bytes);
bool nsec3_matches(const struct nsec3 *n, const uint8_t hash[static NSEC3_HASH_LEN]);
bool nsec3_covers(const struct nsec3 *n, const uint8_t hash[static NSEC3_HASH_LEN]);
