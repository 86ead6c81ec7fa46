/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any sequence of writes into any room gives a well-formed message; what did not fit
 * left no trace; what did fit is read back. */
#include <stdlib.h>
#include <string.h>

#include "wire/codes.h"
#include "wire/msg.h"
#include "wire/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A macro, so that the trap has its own line in the report. */
#define must(ok)                                                                       \
	do {                                                                           \
		if (!(ok))                                                             \
			__builtin_trap();                                              \
	} while (0)

/* Names of few labels, so that they often share some. */
static void take_name(struct cursor *c, uint8_t name[NAME_MAX_LEN])
{
	static const char *const labels[] = { "a", "A", "b", "com", "Example",
		"a-longer-label-of-more-than-eight", "xn--exAmple", "ns1" };
	unsigned left = cursor_u8(c) % 6, len = 0;
	for (; left; left--) {
		const uint8_t pick = cursor_u8(c);
		const char *label = labels[pick % 8];
		name[len] = (uint8_t)strlen(label);
		memcpy(name + len + 1, label, name[len]);
		if (pick & 0x80) /* many different ones, to fill the table */
			name[len + 1] = pick;
		len += name[len] + 1u;
	}
	name[len] = 0;
}

static const uint16_t types[] = { TYPE_A, TYPE_NS, TYPE_SOA, TYPE_MX, TYPE_TXT,
	TYPE_SRV, TYPE_RRSIG, TYPE_CNAME };

/* Names and bytes, mostly of the type's shape. */
static uint16_t take_rdata(struct cursor *c, uint16_t type, uint8_t out[1024])
{
	uint8_t fixed = 0, names = 0, tail = 0;
	switch (type) {
	case TYPE_NS:
	case TYPE_CNAME:
		names = 1;
		break;
	case TYPE_SOA:
		names = 2;
		tail = 20;
		break;
	case TYPE_MX:
		fixed = 2;
		names = 1;
		break;
	case TYPE_SRV:
		fixed = 6;
		names = 1;
		break;
	default:
		tail = cursor_u8(c);
	}
	uint16_t len = fixed;
	memset(out, 0x55, 1024);
	for (; names; names--) {
		take_name(c, out + len);
		len = (uint16_t)(len + name_len(out + len));
	}
	len = (uint16_t)(len + tail);
	const uint8_t cut = cursor_u8(c);
	return cut > 250 && len ? (uint16_t)(len - 1) : len;
}

static bool put_rrset(struct writer *w, struct cursor *c, unsigned section)
{
	uint8_t name[NAME_MAX_LEN], data[8 * 1026];
	struct rrset rr = { .name = name, .rclass = CLASS_IN, .data = data };
	take_name(c, name);
	rr.type = types[cursor_u8(c) % 8];
	rr.count = cursor_u8(c) % 5;
	rr.sig_count = cursor_u8(c) % 3;
	rr.ttl = cursor_u16(c);
	for (int i = 0; i < rr.count + rr.sig_count; i++) {
		uint8_t *at = data + rr.data_len;
		const uint16_t type = i < rr.count ? rr.type : TYPE_RRSIG;
		const uint16_t len = take_rdata(c, type, at + 2);
		memcpy(at, &len, 2);
		rr.data_len += len + 2u;
	}
	must(rrset_valid(&rr));
	return writer_rrset(w, section, &rr, cursor_u8(c), cursor_u8(c) & 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_over(data, size);
	const size_t cap = 12 + (size_t)(cursor_u16(&c) % 40000);
	uint8_t name[NAME_MAX_LEN], *buf = malloc(cap), *before = malloc(cap);
	if (!buf || !before)
		abort();
	struct writer w;
	writer_begin(&w, buf, cap, 1, FLAG_QR);
	take_name(&c, name);
	writer_question(&w, name, TYPE_A, CLASS_IN);
	writer_reserve(&w, cursor_u8(&c) % 64);
	bool opt = false;
	unsigned section = 0;
	while (cursor_left(&c) && !cursor_bad(&c)) {
		const size_t len = writer_end(&w);
		memcpy(before, buf, len);
		const uint8_t op = cursor_u8(&c);
		section = section < 2 && op > 200 ? section + 1 : section;
		bool ok = true;
		if (op < 3) {
			writer_truncate(&w);
			opt = false;
			section = 0;
		} else if (op < 6 && !opt && section == 2) {
			const struct edns_option o = { 10, cursor_u8(&c) % 20, name };
			ok = opt = writer_opt(&w, 1232, op * 10, op & 1, &o, 1);
		} else {
			ok = put_rrset(&w, &c, section);
		}
		must(writer_end(&w) <= cap);
		must(ok || (writer_end(&w) == len && memcmp(before, buf, len) == 0));
		struct msg m;
		/* a question that did not fit is not counted either */
		must(msg_read(&m, buf, writer_end(&w)));
		must(m.edns == opt);
		must(m.qd_count == 0 || name_equal(m.qname, name));
	}
	free(buf);
	free(before);
	return 0;
}
