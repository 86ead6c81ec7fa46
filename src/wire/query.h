/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/query.h - what a client asked, borrowed from its packet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/cookie.h"

/* What the caller does next. */
enum query_verdict {
	QUERY_OK,
	QUERY_DROP, /* a response, or no DNS message at all: stay silent (Loop DoS, CVE-2024-2169) */
	QUERY_FORMERR, /* answer with RCODE 1; id, flags and edns are filled as far as read */
	QUERY_NOTIMP,  /* answer with RCODE 4: another opcode */
	QUERY_BADVERS, /* EDNS version above 0: RFC 6891 section 6.1.3 */
	QUERY_COOKIE, /* no question, but a cookie: answer with ours, RFC 7873 section 5.4 */
};

struct query {
	const uint8_t *
		name; /* in the packet, uncompressed, case as sent; NULL unless question_len */
	uint8_t name_len;      /* bytes with the root label, 1..255 */
	uint16_t question_len; /* name + 4; 0: no question could be read */
	uint16_t id;           /* all numbers in host order */
	uint16_t flags;        /* as sent */
	uint16_t qtype;
	uint16_t qclass;
	/* EDNS, RFC 6891 */
	bool edns;      /* an OPT record was there */
	bool dnssec_ok; /* DO */
	uint8_t edns_version;
	uint16_t udp_size;     /* at least 512; 512 without EDNS */
	bool wants_nsid;       /* RFC 5001 */
	bool has_keepalive;    /* RFC 7828 */
	bool has_padding;      /* RFC 7830 */
	const uint8_t *cookie; /* RFC 7873, in the packet; NULL if none */
	uint8_t cookie_len;    /* 8, or 16..40 */
	/* What the answer's option holds; whoever judged `cookie` fills it in. */
	bool tells_cookie;
	uint8_t cookie_reply[COOKIE_FULL_LEN];
};

/* Read `pkt` (`len` bytes, any content): header, the only question, OPT.
 * `q` is always written (zero where unread) and lives as long as `pkt`.
 * RFC 1035 section 4.1; QDCOUNT other than 1 is malformed: RFC 9619; 0 is none but with a cookie. */
enum query_verdict query_read(struct query *q, const uint8_t *pkt, size_t len);
