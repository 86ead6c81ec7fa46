/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/canon.h - an RRset as it was signed: RFC 4034 sections 3.1.8.1 and 6. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/rrset.h"

/* Memory that is used again for the next RRset; zeroed at first. */
struct canon {
	struct rdata *items; /* lower-cased, in canonical order, no doubles */
	size_t count;
	size_t bytes; /* of their RDATA */
	/* private */
	uint8_t *rdata, *message;
	size_t items_cap, rdata_cap, message_cap;
};

enum canon_verdict { CANON_OK, CANON_MALFORMED, CANON_TOO_LARGE, CANON_NO_MEMORY };

void canon_fini(struct canon *c);
/* RDATA as it is signed, in place: its names in lower case (RFC 4034 section 6.2,
 * without NSEC: RFC 6840 section 5.1). False: it has not the shape of its type. */
bool canon_rdata(uint16_t type, uint8_t *rdata, size_t len);
/* Fill `items` with the records (not the signatures). They live until the next call. */
enum canon_verdict canon_prepare(struct canon *c, const struct rrset *rr);
/* What a signature covers: `fixed` and `signer` of the RRSIG, then the records of
 * `items` as of `owner` (already the wildcard, if it is one). NULL: no memory. It lives
 * until the next call. */
const uint8_t *canon_message(struct canon *c, const struct rrset *rr,
	const uint8_t *owner, const uint8_t fixed[static 18], const uint8_t *signer,
	size_t *len);
