/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message that was read has as many records as it says, their RDATA has the shape of
 * their types, and written anew (smaller or equal names compressed) it says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/codes.h"
#include "wire/msg.h"
#include "wire/rdata.h"
#include "wire/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A macro, so that the trap has its own line in the report. */
#define must(ok)                                                                       \
	do {                                                                           \
		if (!(ok))                                                             \
			__builtin_trap();                                              \
	} while (0)

static uint8_t rdata[65535], again[65535], out[65535];

/* Writes all records whose RDATA is good; false when it did not fit. */
static bool rewrite(const struct msg *m, struct writer *w)
{
	writer_begin(w, out, sizeof(out), m->id, m->flags & (uint16_t)~FLAG_TC);
	if (m->qd_count == 1)
		writer_question(w, m->qname, m->qtype, m->qclass);
	struct msg_walk walk = msg_begin(m);
	unsigned seen[3] = { 0 };
	for (struct msg_rr rr; msg_next(&walk, &rr);) {
		must(name_check(rr.name, rr.name_len) == rr.name_len);
		seen[rr.section]++;
		const int len = msg_rdata(m, &rr, rdata, sizeof(rdata));
		must(len <= 65535);
		if (len < 0)
			continue;
		must(rdata_valid(rr.type, rdata, (size_t)len));
		/* exactly that much room suffices, one byte less does not */
		must(msg_rdata(m, &rr, again, (size_t)len) == len);
		must(!len || msg_rdata(m, &rr, again, (size_t)len - 1) == -1);
		if (!writer_rr(w, rr.section, rr.name, rr.type, rr.rclass, rr.ttl,
			    rdata, (uint16_t)len))
			return false;
	}
	for (int i = 0; i < 3; i++)
		must(seen[i] + (i == SECTION_ADDITIONAL && m->edns) == m->count[i]);
	return true;
}

static void compare(const struct msg *a, const struct msg *b)
{
	must(a->qd_count != 1 || name_equal_case(a->qname, b->qname));
	struct msg_walk wa = msg_begin(a), wb = msg_begin(b);
	for (struct msg_rr ra, rb; msg_next(&wa, &ra);) {
		const int len = msg_rdata(a, &ra, rdata, sizeof(rdata));
		if (len < 0)
			continue;
		must(msg_next(&wb, &rb));
		must(name_equal(ra.name, rb.name) && ra.type == rb.type);
		must(ra.rclass == rb.rclass && ra.ttl == rb.ttl &&
			ra.section == rb.section);
		must(msg_rdata(b, &rb, again, sizeof(again)) == len);
		for (int i = 0; i < len;
			i++) /* compression may change the case of names */
			must(rdata[i] == again[i] ||
				(rdata_fields(ra.type) &&
					(rdata[i] ^ again[i]) == 0x20));
	}
	struct msg_rr rest;
	must(!msg_next(&wb, &rest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msg m, n;
	if (!msg_read(&m, data, size))
		return 0;
	struct writer w;
	if (!rewrite(&m, &w))
		return 0;
	must(msg_read(&n, out, writer_end(&w)));
	compare(&m, &n);
	return 0;
}
