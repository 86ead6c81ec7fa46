/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/msg.h - read a server's answer: header, question, records, borrowed from the packet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/cursor.h"
#include "wire/name.h"

enum msg_section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL };

struct msg {
	const uint8_t *pkt;
	size_t len;
	uint16_t id;
	uint16_t flags; /* as sent */
	uint16_t rcode; /* with EDNS's upper bits */
	uint16_t qd_count;
	uint16_t count
		[3]; /* per section: true counts, all were walked; OPT is counted too */
	uint8_t qname[NAME_MAX_LEN]; /* case as sent; only when qd_count == 1 */
	uint16_t qtype, qclass;
	size_t body; /* offset of the first record */
	bool edns;
	bool dnssec_ok;
	uint8_t edns_version;
	uint16_t udp_size;
	int ede;               /* first extended error, or -1: RFC 8914 */
	const uint8_t *cookie; /* of the first such option, in the packet; NULL: none */
	uint16_t cookie_len;   /* any */
	int keepalive;         /* units of 100 ms, or -1: RFC 7828 */
};

struct msg_rr {
	enum msg_section section;
	uint8_t name[NAME_MAX_LEN];
	uint8_t name_len;
	uint16_t type;
	uint16_t rclass;
	uint32_t ttl;         /* as sent */
	const uint8_t *rdata; /* in the packet, perhaps with compressed names */
	uint16_t rdata_len;
};

/* Read and walk everything once. False: malformed somewhere, or two OPT records, or more than
 * LIMIT_MESSAGE_RECORDS. `m` lives as long as `pkt`. A truncated (TC) answer with a cut-off
 * section is accepted with the records that are whole. Bytes behind the last record are
 * ignored, as other resolvers do: some servers pad with zeros. QR is the caller's to check. */
bool msg_read(struct msg *m, const uint8_t *pkt, size_t len);

struct msg_walk {
	const struct msg *m;
	struct cursor c;
	unsigned section;
	unsigned left;
};
struct msg_walk msg_begin(const struct msg *m);
/* The next record, OPT left out. False at the end. */
bool msg_next(struct msg_walk *w, struct msg_rr *rr);

/* RDATA with its names uncompressed (the types of RFC 1035 and RFC 3597 section 4 only) into `out`.
 * Returns its length or -1: malformed for its type, or longer than `cap`. 65535 always suffices.
 * Checks the shape of types whose content the resolver uses (A, AAAA, NS, CNAME, SOA, DNAME, MX, SRV, DS, RRSIG, NSEC, NSEC3, DNSKEY). */
int msg_rdata(const struct msg *m, const struct msg_rr *rr, uint8_t *out, size_t cap);

/* Offset of the target's name in the RDATA of NS, CNAME, DNAME, PTR (0), MX (2), SRV (6); -1 for other types. */
int rdata_target(uint16_t type);
/* The type that an RRSIG's RDATA covers; 0 if too short. */
uint16_t rdata_rrsig_covers(const uint8_t *rdata, size_t len);
/* SOA's last field (negative TTL, RFC 2308): `fallback` if malformed. */
uint32_t rdata_soa_minimum(const uint8_t *rdata, size_t len, uint32_t fallback);
