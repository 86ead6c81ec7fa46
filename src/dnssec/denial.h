/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/denial.h - what a zone's signed NSEC or NSEC3 records prove not to exist.
 * RFC 4035 section 5.4, RFC 5155 section 8, RFC 6840 section 4, RFC 9824. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnssec/dnssec.h"
#include "dnssec/nsec.h"
#include "dnssec/nsec3.h"
#include "dnssec/verify.h"
#include "wire/rrset.h"

/* The records of one zone that a message brought. Borrows the RRsets and the zone's name. */
struct denial {
	const uint8_t *zone;
	unsigned nsec_count, nsec3_count;
	bool iterated; /* some NSEC3 had over LIMIT_NSEC3_ITERATIONS: it proves nothing here */
	bool shed; /* there were more than LIMIT_DENIAL_RECORDS */
	struct nsec nsec[LIMIT_DENIAL_RECORDS];
	struct nsec3
		nsec3[LIMIT_DENIAL_RECORDS]; /* all with the same salt and iterations */
};

void denial_begin(struct denial *d, const uint8_t *zone);
/* An RRset of NSEC or NSEC3 that `v` found SECURE with the zone's keys. Others, and those
 * made from a wildcard, are not taken: false. */
bool denial_add(struct denial *d, const struct rrset *rr, const struct verify *v);

struct denial_result {
	/* SECURE: proven. INSECURE: proven as far as opt-out lets it be (RFC 5155 section 9.2: no AD), or
	 * too many iterations (extended error 27). BOGUS: not proven. LIMIT. */
	enum dnssec_status status;
	int ede;
	bool opt_out;
	bool cut; /* denial_nodata() of DS: a delegation is there, unsigned (or, opt-out, may be) */
	bool nxname;   /* denial_nodata(): the name itself does not exist, RFC 9824 */
	bool wildcard; /* denial_nodata(): of the wildcard that stands for the name */
	uint8_t encloser; /* labels of the closest encloser, where one was looked for */
};

/* There is no such name, and no wildcard for it. */
struct denial_result denial_nxdomain(
	const struct denial *d, const uint8_t *name, struct dnssec_work *work);
/* The name (or the wildcard for it, or an empty non-terminal) exists and has no such type. DS is
 * the parent's to deny: `d` is of its records then. An opt-out interval denies it at all that may
 * be there (RFC 5155 section 8.6). */
struct denial_result denial_nodata(const struct denial *d, const uint8_t *name,
	uint16_t type, struct dnssec_work *work);
/* Of an answer made from the wildcard below the name's last `labels` labels (struct
 * verify's), which the very zone of `d` signed: there is no closer match. */
struct denial_result denial_wildcard(const struct denial *d, const uint8_t *name,
	unsigned labels, struct dnssec_work *work);
