/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/rrsig.h - a signature record: what it says, and whether it may be about this
 * RRset at this time. RFC 4034 section 3, RFC 4035 section 5.3.1. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/rrset.h"

struct rrsig {
	uint16_t covers;
	uint8_t algorithm;
	uint8_t labels;
	uint32_t original_ttl;
	uint32_t expires, begins; /* seconds, serial arithmetic: RFC 1982 */
	uint16_t tag;
	uint16_t signature_len;
	const uint8_t *fixed; /* the 18 bytes before the signer's name */
	const uint8_t *signer;
	const uint8_t *signature;
};

/* False: malformed. */
bool rrsig_read(struct rrsig *s, const uint8_t *rdata, size_t len);

/* The signatures of an RRset, without those that are malformed. */
struct rrsig_walk {
	struct rrset_walk at;
	unsigned left;
};
struct rrsig_walk rrsig_begin(const struct rrset *rr);
bool rrsig_next(struct rrsig_walk *w, struct rrsig *s); /* false at the end */

/* Could it have been made for this RRset by this zone: type, signer, owner below the
 * signer, labels? */
bool rrsig_fits(const struct rrsig *s, const struct rrset *rr, const uint8_t *zone);
/* EDE_NONE if it is valid at `now`, else what is wrong. */
int rrsig_time_error(const struct rrsig *s, uint32_t now);
/* Was the owner made from a wildcard? */
bool rrsig_expanded(const struct rrsig *s, const uint8_t *owner);
/* The TTL, bounded by the original one and what is left: RFC 4035 section 5.3.3. */
uint32_t rrsig_ttl(const struct rrsig *s, uint32_t ttl, uint32_t now);
/* Labels as RRSIG counts them: neither the root nor a leading "*". */
unsigned rrsig_count_labels(const uint8_t *owner);
