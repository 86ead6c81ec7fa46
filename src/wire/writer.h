/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/writer.h - write a message with compressed names into a fixed buffer.
 *
 * The first write that does not fit turns the writer `full` and leaves the message as
 * it was before it (an RRset goes in whole or not at all); further writes do nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "wire/msg.h"
#include "wire/rrset.h"

struct writer {
	uint8_t *buf;
	size_t cap;
	size_t len;
	size_t reserve; /* kept free at the end for OPT */
	bool full;
	uint16_t names; /* offsets known */
	uint16_t name_at[LIMIT_NAMES_COMPRESSED];
};

/* Header with zero counts. cap at least 12. */
void writer_begin(struct writer *w, uint8_t *buf, size_t cap, uint16_t id, uint16_t flags);
void writer_flags(struct writer *w, uint16_t flags); /* set anew, RCODE included */
void writer_question(struct writer *w, const uint8_t *name, uint16_t type, uint16_t rclass);
/* Room for what comes last. */
void writer_reserve(struct writer *w, size_t len);
/* One record of uncompressed RDATA; names inside it are compressed where RFC 3597 allows. */
bool writer_rr(struct writer *w, enum msg_section section, const uint8_t *name,
	uint16_t type, uint16_t rclass, uint32_t ttl, const uint8_t *rdata, uint16_t len);
/* All records, starting with the `rotate`-th (modulo count); then signatures if wanted. All or nothing. */
bool writer_rrset(struct writer *w, enum msg_section section, const struct rrset *rr,
	uint32_t rotate, bool signatures);

struct edns_option {
	uint16_t code;
	uint16_t len;
	const uint8_t *data;
};
/* OPT, RFC 6891: uses the reserve. `rcode` may be extended: upper bits go here. */
bool writer_opt(struct writer *w, uint16_t udp_size, uint16_t rcode, bool dnssec_ok,
	const struct edns_option *options, size_t count);
/* The message's length. */
size_t writer_end(const struct writer *w);
/* Cut back to the question, set TC: the answer does not fit (RFC 2181 section 9). */
void writer_truncate(struct writer *w);
