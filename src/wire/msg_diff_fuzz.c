/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libknot as the oracle: what it accepts we accept, with the same records; what we
 * write anew it reads as the same records.
 *
 * Where we differ on purpose, and what is therefore not compared:
 * - shapes that libknot does not look into: A and AAAA of a wrong length are refused by
 *   both, but empty RDATA (which it lets pass for updates), NSEC bitmaps, NSEC3 fields
 *   and DS without a digest only by us;
 * - types that are opaque to us and have a shape for libknot (an empty URI): ours to
 * pass on;
 * - bytes behind the last name of RDATA, which libknot sometimes drops and we refuse;
 * - OPT whose owner is not the root: RFC 6891 section 6.1.2;
 * - names of more than 127 pointers in a row (CPU time), which we refuse;
 * - names in RDATA of types that are opaque to us (RFC 3597: SVCB, LP and younger);
 * - messages with more than LIMIT_MESSAGE_RECORDS records;
 * - more than one question: libknot refuses, we read. */
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
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

static uint8_t rdata[65535], out[65535];

static bool has_long_chain(const uint8_t *data, size_t size)
{
	/* 127 pointers one after the other need as many bytes of 0xc0 and above */
	unsigned pointers = 0;
	for (size_t i = 0; i < size; i++)
		pointers += data[i] >= 0xc0;
	return pointers > 127;
}

static bool has_odd_opt(const knot_pkt_t *k)
{
	const knot_pktsection_t *section = knot_pkt_section(k, KNOT_ADDITIONAL);
	for (uint16_t i = 0; i < section->count; i++) {
		const knot_rrset_t *rr = knot_pkt_rr(section, i);
		if (rr->type == KNOT_RRTYPE_OPT && rr->owner[0])
			return true;
	}
	return false;
}

static bool compared(const knot_rrset_t *k)
{
	if (rdata_fields(k->type))
		return true;
	const knot_rdata_descriptor_t *d = knot_get_rdata_descriptor(k->type);
	for (int i = 0; d->block_types[i] != KNOT_RDATA_WF_END; i++)
		if (d->block_types[i] == KNOT_RDATA_WF_COMPRESSIBLE_DNAME ||
			d->block_types[i] == KNOT_RDATA_WF_DECOMPRESSIBLE_DNAME ||
			d->block_types[i] == KNOT_RDATA_WF_FIXED_DNAME)
			return false;
	return true;
}

/* One record of ours against one of libknot's. `folded`: names went through
 * compression, which keeps one spelling of names that are equal. */
static void compare(const struct msg *m, const struct msg_rr *rr, const knot_rrset_t *k,
	bool folded)
{
	must(folded ? name_equal(rr->name, k->owner)
		    : name_equal_case(rr->name, k->owner));
	must(rr->type == k->type && rr->rclass == k->rclass);
	must(rr->ttl == k->ttl);
	must(k->rrs.count == 1);
	if (!compared(k))
		return;
	const knot_rdata_t *kr = k->rrs.rdata;
	struct msg_rr cut = *rr;
	int len = msg_rdata(m, &cut, rdata, sizeof(rdata));
	if (len < 0 && !rdata_valid(rr->type, kr->data, kr->len))
		return;
	while (len < 0 && cut.rdata_len--)
		len = msg_rdata(m, &cut, rdata, sizeof(rdata));
	must(len == kr->len);
	for (int i = 0; i < len; i++)
		must(rdata[i] == kr->data[i] ||
			(folded && rdata_fields(rr->type) &&
				(rdata[i] ^ kr->data[i]) == 0x20));
}

/* Calls compare() for each record; libknot's RRs come without OPT counted out. */
static void compare_all(const struct msg *m, const knot_pkt_t *k, bool folded)
{
	struct msg_walk w = msg_begin(m);
	for (int s = 0; s < 3; s++) {
		const knot_pktsection_t *section =
			knot_pkt_section(k, (knot_section_t)s);
		for (unsigned i = 0; i < section->count; i++) {
			const knot_rrset_t *kr = knot_pkt_rr(section, (uint16_t)i);
			if (kr->type == KNOT_RRTYPE_OPT)
				continue;
			struct msg_rr rr;
			must(msg_next(&w, &rr) && (int)rr.section == s);
			compare(m, &rr, kr, folded);
		}
	}
	struct msg_rr rest;
	must(!msg_next(&w, &rest));
}

/* Writes what can be written, has libknot read it, compares it with what we read. */
static void rewrite(const struct msg *m)
{
	struct writer w;
	writer_begin(&w, out, sizeof(out), m->id, m->flags);
	if (m->qd_count == 1)
		writer_question(&w, m->qname, m->qtype, m->qclass);
	struct msg_walk walk = msg_begin(m);
	for (struct msg_rr rr; msg_next(&walk, &rr);) {
		const int len = msg_rdata(m, &rr, rdata, sizeof(rdata));
		const knot_rrset_t like = { .type = rr.type };
		if (len < 0 || !compared(&like) || rr.type == TYPE_TSIG)
			continue;
		if (!writer_rr(&w, rr.section, rr.name, rr.type, rr.rclass, rr.ttl,
			    rdata, (uint16_t)len))
			return;
	}
	struct msg again;
	must(msg_read(&again, out, writer_end(&w)));
	knot_pkt_t *k = knot_pkt_new(out, (uint16_t)writer_end(&w), NULL);
	must(k && knot_pkt_parse(k, KNOT_PF_NOCANON) == KNOT_EOK);
	compare_all(&again, k, true);
	knot_pkt_free(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 12 || size > 65535)
		return 0;
	uint8_t *copy = malloc(size); /* libknot wants to write */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	knot_pkt_t *k = knot_pkt_new(copy, (uint16_t)size, NULL);
	must(k);
	const int ret = knot_pkt_parse(k, KNOT_PF_NOCANON);
	struct msg m;
	const bool ours = msg_read(&m, data, size);
	if (ret == KNOT_EOK) {
		unsigned records = 0;
		for (int i = 0; i < 3; i++)
			records += knot_pkt_section(k, (knot_section_t)i)->count;
		must(ours || has_odd_opt(k) || records > LIMIT_MESSAGE_RECORDS ||
			has_long_chain(data, size));
		if (ours) {
			compare_all(&m, k, false);
			rewrite(&m);
		}
	}
	knot_pkt_free(k);
	free(copy);
	return 0;
}
