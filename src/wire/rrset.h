/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/rrset.h - records of one name and type, with the signatures that cover them.
 *
 * `data` holds count records, then sig_count RRSIG records, each as a 16-bit length
 * (native order) and uncompressed RDATA. Nothing here owns memory: arena or cache does. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rrset {
	const uint8_t *name; /* owner, uncompressed */
	uint16_t type;
	uint16_t rclass;
	uint16_t count;
	uint16_t sig_count;
	uint32_t ttl; /* seconds left, of records and signatures alike */
	uint32_t data_len;
	const uint8_t *data;
};

struct rdata {
	const uint8_t *bytes;
	uint16_t len;
};

/* Walk: start with at = rr->data; false at the end. The first `count` are records, the rest signatures. */
struct rrset_walk {
	const uint8_t *at;
	const uint8_t *end;
};
static inline struct rrset_walk rrset_begin(const struct rrset *rr)
{
	return (struct rrset_walk){ rr->data, rr->data + rr->data_len };
}
bool rrset_next(struct rrset_walk *w, struct rdata *out);
/* Bytes from outside (the cache): do the lengths fit exactly count + sig_count items? */
bool rrset_valid(const struct rrset *rr);
/* The i-th record (i < count + sig_count); bytes NULL if there is none. */
struct rdata rrset_at(const struct rrset *rr, unsigned i);
/* Is this RDATA among the records? */
bool rrset_has(const struct rrset *rr, const uint8_t *bytes, uint16_t len);
