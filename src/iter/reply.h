/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/reply.h - what a server's answer means for the question that was asked: pure.
 *
 * Strict bailiwick: only records at or below the zone cut that was asked survive, and
 * of those only what the question calls for; all else is counted as scrubbed. A forwarder
 * also brings the signed denials of the zones above its suffix: that there is no DS, or no
 * such zone at all, stands there. RFC 2181, 1034 section 5.3.3, 2308. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/counters.h"
#include "wire/msg.h"
#include "wire/rrset.h"

enum reply_kind {
	REPLY_MALFORMED, /* no message, wrong question count, not a response: as if it
			    had not come */
	REPLY_MISMATCH,  /* another id or question */
	REPLY_CASE,      /* the right question in another case (0x20) */
	REPLY_ANSWER,    /* records of the asked name and type (or ANY) */
	REPLY_ALIAS,     /* CNAME (or a DNAME with its CNAME, made if missing): go on at
			  * `target`;     the chain's later links within the zone are in the
			  * answer too */
	REPLY_NODATA,    /* the name is there, the type is not: RFC 2308 section 2.2 */
	REPLY_NXDOMAIN,
	REPLY_REFERRAL,  /* delegation to `cut`, strictly below the zone asked and above
			    or at the name */
	REPLY_TRUNCATED, /* TC over UDP: ask by TCP */
	REPLY_LAME,  /* no answer, no referral down: upward or sideways referral, not
			authoritative */
	REPLY_ERROR, /* another rcode: SERVFAIL, REFUSED, FORMERR, NOTIMP... */
};

struct reply_question {
	uint16_t id;
	const uint8_t *name; /* in the case that was sent */
	uint16_t type, rclass;
	const uint8_t *zone; /* the cut whose server was asked; for a forwarder the
				forwarded suffix */
	bool tcp;
	bool check_case; /* 0x20 was used */
	bool shared;     /* another's accepted answer: id and case are not compared */
	bool recursive;  /* a forwarder: no AA wanted, no referral followed */
	bool denied_above; /* a forwarder whose word is validated: the zones above may deny */
	bool any_glue;  /* addresses of a referral's name servers from outside the zone
			  * too
			  */
	bool lame_fine; /* no better server is left: an answer from a recursive server's
			 * cache will do */
};

enum { REPLY_RRSETS_MAX = 96 };

struct reply_rrset {
	enum msg_section section;
	bool authoritative; /* AA was set */
	struct rrset rr;
	/* what validation found, see iter/validate.c */
	uint8_t status;        /* enum cache_status */
	bool bad;              /* its signatures are wrong: as if it had not come */
	bool expanded;         /* made from a wildcard; SECURE only */
	uint8_t labels;        /* of its signature */
	int note;              /* why it is INSECURE: an extended error, or EDE_NONE */
	const uint8_t *signer; /* SECURE: the zone */
};

struct reply {
	enum reply_kind kind;
	uint16_t rcode;
	bool aa;
	bool edns;             /* the answer had OPT */
	int ede;               /* the server's extended error, -1 none */
	const uint8_t *cookie; /* in the message; NULL: none */
	uint16_t cookie_len;   /* any */
	/* All surviving RRsets (signatures joined), in the arena: answer chain in
	 * order, then authority (SOA, NSEC.., NS + DS of a referral), then glue (A,
	 * AAAA of the referral's or answer's name servers) */
	struct reply_rrset *rrsets;
	size_t count;
	const uint8_t *target; /* ALIAS: the end of the chain as far as this zone's
				  server knows it */
	const uint8_t *cut;    /* REFERRAL */
	uint32_t scrubbed;     /* records dropped */
	uint32_t negative_ttl; /* NODATA, NXDOMAIN: min(SOA TTL, SOA minimum); 0 without
				  SOA */
	const uint8_t *soa_zone; /* owner of the SOA, or NULL */
	bool has_answer; /* ALIAS: the chain ends with data of the asked type, in rrsets
			  */
	/* what validation found of the denial, or of a referral's DS */
	uint8_t status; /* enum cache_status */
	int note;
	bool unsigned_cut; /* denied DS: there is a delegation, or may be */
};

void reply_read(struct reply *out, const struct reply_question *q, const uint8_t *pkt,
	size_t len, struct arena *arena, struct counters *counters);

/* The first RRset of this section, type and owner (NULL: any); NULL if none. */
const struct reply_rrset *reply_get(const struct reply *r, enum msg_section section,
	uint16_t type, const uint8_t *name);
const struct rrset *reply_find(const struct reply *r, enum msg_section section,
	uint16_t type, const uint8_t *name);
