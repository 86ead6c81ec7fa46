/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/anchor.h - where trust begins, and where it ends on purpose: trust anchors and
 * negative trust anchors (RFC 7646) of a process.
 *
 * A set is filled, sealed, and then never changed: what changes is put in its place as
 * a whole. Whoever goes on with the old one holds it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/rrset.h"

#define ANCHOR_FOREVER INT64_MAX

enum anchor_kind {
	ANCHOR_NEGATIVE, /* here and below nothing is validated */
	ANCHOR_POSITIVE,
};

struct anchor {
	enum anchor_kind kind;
	const uint8_t *owner; /* lower case */
	/* POSITIVE: type DS; what was given as DNSKEY stands in it with its SHA-256.
	 * Never empty. */
	struct rrset ds;
	/* POSITIVE: what was given as DNSKEY, perhaps nothing. */
	struct rrset keys;
	/* NEGATIVE */
	const char *reason; /* NULL: none said; printable ASCII */
	int64_t until_s; /* since 1970; what is learned under it must not live longer */
};

struct anchor_set;

/* Empty, held once. NULL: no memory. */
struct anchor_set *anchor_set_new(void);
/* `type` is DS or DNSKEY. False: malformed, or a key that may not be an anchor (no zone
 * key, revoked). Running out of memory shows at sealing. */
bool anchor_set_add(struct anchor_set *set, const uint8_t *owner, uint16_t type,
	const uint8_t *rdata, size_t len);
/* The later `until_s` counts where a name is said twice. */
void anchor_set_negative(struct anchor_set *set, const uint8_t *owner,
	const char *reason, int64_t until_s);
enum { ANCHOR_ROOT_NEWEST = 38696 }; /* tag of the newest root key that is built in */
/* The root's keys of 2017 (20326) and 2024 (38696), as DS records. */
void anchor_set_builtin(struct anchor_set *set);
/* From here on it may be searched and not be changed. False: no memory. */
bool anchor_set_seal(struct anchor_set *set);
struct anchor_set *anchor_set_hold(struct anchor_set *set);
void anchor_set_drop(struct anchor_set *set); /* NULL is fine */

/* The closest anchor at or above `name` (any case): its trust begins there, or ends
 * there. At one name the negative one counts (RFC 7646 section 2), until it expires.
 * NULL: none, nothing to validate. */
const struct anchor *anchor_find(
	const struct anchor_set *set, const uint8_t *name, int64_t now_s);
/* The same for records of a type: DS belongs to the parent. */
const struct anchor *anchor_find_type(const struct anchor_set *set, const uint8_t *name,
	uint16_t type, int64_t now_s);

/* Why names there are not validated, if somebody said it; else NULL. */
const char *anchor_reason(
	const struct anchor_set *set, const uint8_t *name, int64_t now_s);

size_t anchor_set_count(const struct anchor_set *set);
const struct anchor *anchor_set_at(const struct anchor_set *set, size_t i);
/* Over owners and records, not over reasons and times: what was validated under one set
 * is not for those who have another. */
uint64_t anchor_set_hash(const struct anchor_set *set);
/* The next time at which a negative anchor expires; ANCHOR_FOREVER: none does. */
int64_t anchor_set_next_s(const struct anchor_set *set, int64_t now_s);
