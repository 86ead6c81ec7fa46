/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/ds.h - which of a zone's keys does its parent (or a trust anchor) vouch for?
 * RFC 4034 section 5, RFC 4035 section 5.2, RFC 4509. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnssec/dnskey.h"
#include "dnssec/dnssec.h"
#include "dnssec/verify.h"

struct ds {
	uint16_t tag;
	uint8_t algorithm;
	uint8_t digest_type;
	uint8_t digest_len;
	const uint8_t *digest;
};

/* False: too short, or a known type's digest has the wrong length. */
bool ds_read(struct ds *d, const uint8_t *rdata, size_t len);

struct ds_match {
	enum dnssec_status status;
	int ede;
	uint64_t keys; /* SECURE: bits of the keys, one of which must have signed the
			  DNSKEY RRset */
};

/* Is there a record whose algorithm and digest are known here? If not, the zone is
 * insecure, and its keys need not be asked for. The extended error says which was
 * unknown. */
bool ds_usable(const struct verifier *v, const struct rrset *ds, int *ede);
/* `ds` is a secure DS RRset or an anchor of the same form, for the zone of `keys`.
 * SECURE: go on with verify_begin() on the DNSKEY RRset and set its `usable` to `keys`.
 */
struct ds_match ds_match(
	const struct verifier *v, const struct rrset *ds, const struct keyset *keys);
/* The DS record of a key, for anchors in DNSKEY form: its length (4 and the digest's),
 * 0 if the type is unknown. */
size_t ds_make(const struct verifier *v, const uint8_t *zone, const struct dnskey *key,
	uint8_t digest_type, uint8_t out[static 4 + DIGEST_LEN_MAX]);
