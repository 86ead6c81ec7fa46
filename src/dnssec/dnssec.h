/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/dnssec.h - what a check says, and how much work it may be.
 *
 * The folder is functions over bytes: no I/O, no clock. Whoever calls hands in the time
 * and a struct dnssec_work, one per client query, never reset on any path (KeyTrap,
 * CVE-2023-50387; NSEC3 closest encloser, CVE-2023-50868). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

enum dnssec_status {
	DNSSEC_SECURE,
	DNSSEC_INSECURE, /* proven not to be signed, or signed as nobody here can check
			  */
	DNSSEC_BOGUS,    /* with an extended error: RFC 8914 */
	DNSSEC_INDETERMINATE, /* no memory: says nothing about the zone */
	DNSSEC_LIMIT,         /* the work is used up: SERVFAIL */
	DNSSEC_MORE,          /* the slice is used up: call again in another turn */
};

struct dnssec_work {
	uint32_t checks, checks_max; /* public-key operations */
	uint32_t failures,
		failures_max; /* of them without success, and malformed keys */
	uint32_t sha1_blocks, sha1_blocks_max; /* of 64 bytes, for NSEC3 */
};

static inline struct dnssec_work dnssec_work_full(void)
{
	return (struct dnssec_work){
		.checks_max = LIMIT_SIGNATURE_CHECKS,
		.failures_max = LIMIT_SIGNATURE_FAILURES,
		.sha1_blocks_max = LIMIT_SHA1_BLOCKS,
	};
}

/* One more signature check: false if there is none left. */
static inline bool dnssec_work_check(struct dnssec_work *w)
{
	if (w->checks >= w->checks_max || w->failures >= w->failures_max)
		return false;
	w->checks++;
	return true;
}

/* So many blocks more: all or nothing. */
static inline bool dnssec_work_hash(struct dnssec_work *w, uint32_t blocks)
{
	if (w->sha1_blocks > w->sha1_blocks_max ||
		blocks > w->sha1_blocks_max - w->sha1_blocks)
		return false;
	w->sha1_blocks += blocks;
	return true;
}
