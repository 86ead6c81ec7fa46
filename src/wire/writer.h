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
	/* Names written so far, for compression: a tree of labels that hang from the root,
	 * found by a hash of parent and label. Entries count from 1; 0 is the root, and
	 * the end of a bucket's chain. */
	uint8_t names;          /* entries */
	uint8_t question_names; /* of them, what the question brought */
	uint16_t question_end;
	uint16_t name_at[LIMIT_NAMES_COMPRESSED + 1]; /* where its label stands */
	uint8_t parent[LIMIT_NAMES_COMPRESSED + 1];
	uint8_t next[LIMIT_NAMES_COMPRESSED + 1];
	uint8_t bucket_of[LIMIT_NAMES_COMPRESSED + 1];
	uint8_t buckets[64];
};

/* Header with zero counts. cap at least 12; what is over 65535 is not used. */
void writer_begin(
	struct writer *w, uint8_t *buf, size_t cap, uint16_t id, uint16_t flags);
void writer_flags(struct writer *w, uint16_t flags); /* set anew, RCODE included */
void writer_question(
	struct writer *w, const uint8_t *name, uint16_t type, uint16_t rclass);
/* Room for what comes last: OPT. */
void writer_reserve(struct writer *w, size_t len);
/* One record of uncompressed RDATA; names inside it are compressed where RFC 3597 allows. */
bool writer_rr(struct writer *w, enum msg_section section, const uint8_t *name,
	uint16_t type, uint16_t rclass, uint32_t ttl, const uint8_t *rdata,
	uint16_t len);
/* All records, starting with the `rotate`-th (modulo count); then signatures if wanted. All or nothing. */
bool writer_rrset(struct writer *w, enum msg_section section, const struct rrset *rr,
	uint32_t rotate, bool signatures);

struct edns_option {
	uint16_t code;
	uint16_t len;
	const uint8_t *data;
};
/* OPT, RFC 6891: uses the reserve, also when the writer is full. `rcode` may be extended: its
 * upper bits go here, its lower ones to the header. */
bool writer_opt(struct writer *w, uint16_t udp_size, uint16_t rcode, bool dnssec_ok,
	const struct edns_option *options, size_t count);
/* The message's length. */
size_t writer_end(const struct writer *w);
/* Cut back to the question (OPT goes too), set TC: the answer does not fit (RFC 2181
 * section 9). The writer is not full any more. */
void writer_truncate(struct writer *w);
