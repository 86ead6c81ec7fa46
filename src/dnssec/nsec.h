/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/nsec.h - one NSEC record, and what it says of names: RFC 4034 section 4. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types that a name has: RFC 4034 section 4.1.2. Well-formed. */
struct type_bitmap {
	const uint8_t *bytes;
	uint16_t len;
};

bool type_bitmap_has(const struct type_bitmap *b, uint16_t type);
/* No type but those that any signed name has: RRSIG, NSEC and NXNAME. */
bool type_bitmap_is_bare(const struct type_bitmap *b);
/* A delegation, seen from the parent: NS without SOA. */
bool type_bitmap_is_cut(const struct type_bitmap *b);
/* Do the types of a name say that it has no `type`, from the side of the zone cut where
 * that type is? No CNAME, either: RFC 6840 sections 4.1, 4.3 and 4.4. */
bool type_bitmap_denies(
	const struct type_bitmap *b, const uint8_t *name, uint16_t type);

struct nsec {
	const uint8_t *owner;
	const uint8_t *next;
	struct type_bitmap types;
};

/* False: malformed, or owner or next name outside the zone, or next before owner
 * (CVE-2026-13321). */
bool nsec_read(struct nsec *n, const uint8_t *zone, const uint8_t *owner,
	const uint8_t *rdata, size_t len);
/* Does `name` lie between the owner and the next one, so that it has no records? It may be
 * an empty non-terminal still: nsec_is_empty(). False for what lies below a delegation or
 * DNAME of the owner: RFC 6840 section 4.1. */
bool nsec_covers(const struct nsec *n, const uint8_t *zone, const uint8_t *name);
/* Of a covered name: it exists, for the next name is below it. */
bool nsec_is_empty(const struct nsec *n, const uint8_t *name);
/* Labels of a covered name's closest encloser. */
unsigned nsec_encloser(const struct nsec *n, const uint8_t *name);
