/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/verdict.c - build a verdict's records. */
#include "policy/verdict.h"

#include <assert.h>
#include <string.h>

#include "wire/codes.h"
#include "wire/name.h"

enum {
	RECORDS_MAX = sizeof(((struct policy_verdict *)0)->records) /
		      sizeof(((struct policy_verdict *)0)->records[0])
};

void verdict_answer(struct policy_verdict *v, uint16_t rcode, int ede, const char *text)
{
	v->outcome = OUTCOME_ANSWER;
	v->rcode = rcode;
	v->ede = ede;
	v->ede_text = text;
}

void verdict_rrset(struct policy_verdict *v, struct arena *arena,
	enum msg_section section, const uint8_t *name, uint16_t type, uint16_t rclass,
	uint32_t ttl, uint16_t count, const uint8_t *data, uint32_t data_len)
{
	assert(v->record_count < RECORDS_MAX);
	const uint8_t *owner = arena_dup(arena, name, name_len(name));
	const uint8_t *copy = arena_dup(arena, data, data_len);
	if (!owner || !copy) {
		v->outcome = OUTCOME_SERVFAIL;
		v->ede = EDE_OTHER;
		return;
	}
	v->records[v->record_count++] = (struct policy_record){
		.section = section,
		.rr = { .name = owner,
			.type = type,
			.rclass = rclass,
			.count = count,
			.ttl = ttl,
			.data = copy,
			.data_len = data_len },
	};
}

void verdict_record(struct policy_verdict *v, struct arena *arena,
	enum msg_section section, const uint8_t *name, uint16_t type, uint16_t rclass,
	uint32_t ttl, const uint8_t *rdata, uint16_t len)
{
	uint8_t item[2 + 1024];
	assert(len <= 1024); /* our own records only */
	memcpy(item, &len, 2);
	memcpy(item + 2, rdata, len);
	verdict_rrset(v, arena, section, name, type, rclass, ttl, 1, item, len + 2u);
}

static size_t put_u32(uint8_t *to, uint32_t n)
{
	for (unsigned i = 0; i < 4; i++)
		to[i] = (uint8_t)(n >> (24 - 8 * i));
	return 4;
}

void verdict_soa(struct policy_verdict *v, struct arena *arena,
	enum msg_section section, const uint8_t *zone, uint16_t rclass, uint32_t ttl)
{
	static const uint8_t mailbox[] = "\006nobody\007invalid";
	const uint32_t numbers[] = { 1, 3600, 1200, 604800, ttl };
	uint8_t rdata[NAME_MAX_LEN + sizeof(mailbox) + sizeof(numbers)];
	size_t len = name_copy(rdata, zone);
	memcpy(rdata + len, mailbox, sizeof(mailbox));
	len += sizeof(mailbox);
	for (unsigned i = 0; i < 5; i++)
		len += put_u32(rdata + len, numbers[i]);
	verdict_record(
		v, arena, section, zone, TYPE_SOA, rclass, ttl, rdata, (uint16_t)len);
}
