/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/verdict.h - inside this folder: build a verdict's records. */
#pragma once

#include "policy/policy.h"

enum { NEGATIVE_TTL = 10800 }; /* RFC 6303 section 3 */

/* One RRset of `count` records; `data` holds count x (16-bit native length, bytes) and
 * is copied. */
void verdict_rrset(struct policy_verdict *v, struct arena *arena,
	enum msg_section section, const uint8_t *name, uint16_t type, uint16_t rclass,
	uint32_t ttl, uint16_t count, const uint8_t *data, uint32_t data_len);
/* One record. */
void verdict_record(struct policy_verdict *v, struct arena *arena,
	enum msg_section section, const uint8_t *name, uint16_t type, uint16_t rclass,
	uint32_t ttl, const uint8_t *rdata, uint16_t len);
/* A synthetic SOA of `zone`: RFC 6303 section 3. */
void verdict_soa(struct policy_verdict *v, struct arena *arena,
	enum msg_section section, const uint8_t *zone, uint16_t rclass, uint32_t ttl);
/* Answered here: no resolution. */
void verdict_answer(
	struct policy_verdict *v, uint16_t rcode, int ede, const char *text);

/* Which special names a rule that ended the list keeps from being answered here. */
enum lifted {
	LIFTED_NONE,
	LIFTED_USUAL, /* everything is forwarded or passed: all but those that must
			 never leave */
	LIFTED_ALL,   /* a rule for just these names */
};
/* What is answered without any rule; false: resolve. */
bool local_answer(const struct conf *conf, const struct policy_query *q,
	enum lifted lifted, struct arena *arena, struct policy_verdict *v);
/* What the resolver says of itself: RFC 9462, RFC 9606. True when answered. `name` is q->name in lower case. */
bool designated_answer(const struct conf *conf, const struct policy_query *q,
	const uint8_t *name, struct arena *arena, struct policy_verdict *v);
/* Might it be asked for? */
bool designated_covers(const struct conf *conf, const uint8_t *name, uint16_t type);
/* Is it a class and type that is looked up in the DNS at all? */
bool local_is_ordinary(uint16_t type, uint16_t rclass);
