/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/reply_fuzz.c - whatever a server sends, nothing outside the zone asked is handed
 * out. Input: one byte of choices, then the message. */
#include <stdlib.h>

#include "iter/reply.h"
#include "wire/codes.h"
#include "wire/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool fine)
{
	if (!fine)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { TYPE_A, TYPE_NS, TYPE_DS, TYPE_CNAME,
		TYPE_DNAME, TYPE_RRSIG, TYPE_TXT, TYPE_SOA };
	if (size < 1)
		return 0;
	struct counters counters = { 0 };
	struct arena *arena = arena_new(4 * 1024 * 1024);
	check(arena);
	const struct reply_question q = {
		.name = (const uint8_t *)"\3www\7example\3com",
		.type = types[data[0] & 7],
		.rclass = CLASS_IN,
		.zone = data[0] & 8 ? (const uint8_t *)"\3com"
				    : (const uint8_t *)"\7example\3com",
		.recursive = data[0] & 16,
		.shared = true,
		.tcp = data[0] & 32,
		.denied_above = data[0] & 64,
	};
	struct reply r;
	reply_read(&r, &q, data + 1, size - 1, arena, &counters);
	for (size_t i = 0; i < r.count; i++) {
		const struct rrset *rr = &r.rrsets[i].rr;
		check(name_check(rr->name, NAME_MAX_LEN));
		check(name_within(rr->name, q.zone) ||
			(q.denied_above && r.rrsets[i].section == SECTION_AUTHORITY));
		check(rrset_valid(rr) && rr->count > 0 && rr->ttl <= INT32_MAX);
	}
	if (r.kind == REPLY_REFERRAL)
		check(name_within(q.name, r.cut) && name_within(r.cut, q.zone) &&
			!name_equal(r.cut, q.zone));
	if (r.kind == REPLY_ANSWER)
		check(reply_find(&r, SECTION_ANSWER, q.type, q.name) != NULL);
	if (r.kind == REPLY_ALIAS)
		check(name_check(r.target, NAME_MAX_LEN));
	arena_free(arena);
	return 0;
}
