/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/dnskey.h - a zone's keys, borrowed from its DNSKEY RRset: RFC 4034 section 2.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "wire/rrset.h"

enum {
	DNSKEY_ZONE = 0x0100,
	DNSKEY_REVOKED = 0x0080, /* RFC 5011 section 3 */
	DNSKEY_SEP = 0x0001,
	DNSKEY_PROTOCOL = 3,
};

struct dnskey {
	uint16_t flags;
	uint16_t tag;
	uint8_t protocol;
	uint8_t algorithm;
	uint16_t key_len;
	uint16_t rdata_len;
	const uint8_t *key;   /* the public key */
	const uint8_t *rdata; /* all of it */
};

/* False: too short. */
bool dnskey_read(struct dnskey *k, const uint8_t *rdata, size_t len);
/* RFC 4034 appendix B, over the whole RDATA. */
uint16_t dnskey_tag(const uint8_t *rdata, size_t len);
/* May it sign a zone's data: zone flag, protocol 3, not revoked? */
bool dnskey_is_usable(const struct dnskey *k);

struct keyset {
	const uint8_t *zone;
	unsigned count; /* at most LIMIT_ZONE_KEYS: what comes after is not looked at */
	uint64_t usable; /* bit i: key[i] is */
	struct dnskey key[LIMIT_ZONE_KEYS];
};

/* The records of a DNSKEY RRset, which must outlive it. Nothing says yet that they are
 * genuine. */
void keyset_read(struct keyset *set, const struct rrset *rr);
