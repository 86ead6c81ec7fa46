/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/special.h - names that standards reserve, and zones that every resolver serves
 * itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum special_kind {
	SPECIAL_EMPTY, /* an empty zone: NODATA at its apex, NXDOMAIN below: RFC 6303 */
	SPECIAL_NXDOMAIN,  /* the name and all below do not exist */
	SPECIAL_LOCALHOST, /* 127.0.0.1 and ::1, also below: RFC 6761 section 6.3 */
	SPECIAL_LOOPBACK4, /* empty but for the PTR of 127.0.0.1 */
	SPECIAL_LOOPBACK6, /* the zone of ::1 alone, with its PTR */
	SPECIAL_IPV4ONLY,  /* RFC 8880: the well-known addresses */
	SPECIAL_IPV4ONLY_PTR,
	SPECIAL_RESOLVER, /* RFC 9462: _dns.resolver.arpa exists; its data: designated.c */
};

struct special {
	const uint8_t *zone; /* without the numbered first label, if there is one */
	uint8_t labels;      /* of the whole zone name */
	uint8_t from, to;    /* a first label of from..to before `zone`; both 0: none */
	enum special_kind kind : 8;
	bool always; /* also where everything is forwarded: it would leak or mislead */
	const char *why;
};

/* The row that covers a lower-case name, or NULL. *apex: where in `name` its zone
 * begins. */
const struct special *special_find(const uint8_t *name, const uint8_t **apex);
