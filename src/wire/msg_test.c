/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "wire/codes.h"
#include "wire/rdata.h"

/* A message under construction. */
struct draft {
	uint8_t b[65535];
	size_t len;
};

static struct draft d;

static void add(const void *bytes, size_t len)
{
	if (len) /* NULL then */
		memcpy(d.b + d.len, bytes, len);
	d.len += len;
}

#define ADD(...)                                                                       \
	add((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* "Ab." MX IN, an answer with AA; at 12 the name. */
static void begin(uint16_t an, uint16_t ns, uint16_t ar)
{
	d.len = 0;
	ADD(0x12, 0x34, 0x84, 0, 0, 1, (uint8_t)(an >> 8), (uint8_t)an,
		(uint8_t)(ns >> 8), (uint8_t)ns, (uint8_t)(ar >> 8), (uint8_t)ar);
	ADD(2, 'A', 'b', 0, 0, TYPE_MX, 0, 1);
}

/* A record of the question's name with TTL 300. */
static void add_rr(uint16_t type, const void *rdata, uint16_t len)
{
	ADD(0xc0, 12, (uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, 1, 44,
		(uint8_t)(len >> 8), (uint8_t)len);
	add(rdata, len);
}

#define ADD_RR(type, ...)                                                              \
	add_rr(type, (const uint8_t[]){ __VA_ARGS__ },                                 \
		sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void add_opt(uint8_t rcode_high, const void *options, uint16_t len)
{
	ADD(0, 0, TYPE_OPT, 4, 0xd0, rcode_high, 0, 0x80, 0, (uint8_t)(len >> 8),
		(uint8_t)len);
	add(options, len);
}

/* MX to mail.Ab., NS to ns.Ab., an address, OPT with an extended error. */
static void begin_whole(void)
{
	begin(1, 1, 2);
	ADD_RR(TYPE_MX, 0, 10, 4, 'm', 'a', 'i', 'l', 0xc0, 12);
	ADD_RR(TYPE_NS, 2, 'n', 's', 0xc0, 12);
	ADD_RR(TYPE_A, 192, 0, 2, 1);
	add_opt(1, (const uint8_t[]){ 0, OPTION_EDE, 0, 3, 0, 6, 'x' }, 7);
}

static bool read_copy(size_t len, uint16_t counts[3])
{
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, d.b, len);
	struct msg m;
	const bool ok = msg_read(&m, copy, len);
	memcpy(counts, m.count, sizeof(m.count));
	if (ok) {
		struct msg_walk w = msg_begin(&m);
		uint8_t rdata[64];
		for (struct msg_rr rr; msg_next(&w, &rr);)
			msg_rdata(&m, &rr, rdata, sizeof(rdata));
	}
	free(copy);
	return ok;
}

static void all_of_a_message_is_read(void **state)
{
	(void)state;
	struct msg m;
	begin_whole();
	assert_true(msg_read(&m, d.b, d.len));
	assert_int_equal(m.id, 0x1234);
	assert_int_equal(m.flags, FLAG_QR | FLAG_AA);
	assert_int_equal(m.rcode, 16);
	assert_int_equal(m.qd_count, 1);
	assert_memory_equal(m.qname, "\2Ab", 4);
	assert_int_equal(m.qtype, TYPE_MX);
	assert_int_equal(m.qclass, CLASS_IN);
	assert_int_equal(m.body, 20);
	assert_int_equal(m.count[0], 1);
	assert_int_equal(m.count[1], 1);
	assert_int_equal(m.count[2], 2);
	assert_true(m.edns && m.dnssec_ok);
	assert_int_equal(m.udp_size, 1232);
	assert_int_equal(m.ede, EDE_BOGUS);

	struct msg_walk w = msg_begin(&m);
	struct msg_rr rr;
	uint8_t rdata[64];
	assert_true(msg_next(&w, &rr));
	assert_int_equal(rr.section, SECTION_ANSWER);
	assert_int_equal(rr.name_len, 4);
	assert_int_equal(rr.type, TYPE_MX);
	assert_int_equal(rr.ttl, 300);
	assert_int_equal(msg_rdata(&m, &rr, rdata, sizeof(rdata)), 11);
	assert_memory_equal(rdata, "\0\12\4mail\2Ab", 11);
	assert_true(msg_next(&w, &rr));
	assert_int_equal(rr.section, SECTION_AUTHORITY);
	assert_int_equal(msg_rdata(&m, &rr, rdata, sizeof(rdata)), 7);
	assert_int_equal(msg_rdata(&m, &rr, rdata, 7), 7);
	assert_int_equal(msg_rdata(&m, &rr, rdata, 6), -1);
	assert_true(msg_next(&w, &rr));
	assert_int_equal(rr.section, SECTION_ADDITIONAL);
	assert_int_equal(rr.type, TYPE_A);
	assert_false(msg_next(&w, &rr));
	assert_false(msg_next(&w, &rr));
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	begin_whole();
	uint16_t counts[3];
	for (size_t len = 0; len < d.len; len++)
		assert_false(read_copy(len, counts));
	assert_true(read_copy(d.len, counts));
}

/* With TC a server cut its answer where it liked: whole records are still good. */
static void a_truncated_answer_keeps_its_whole_records(void **state)
{
	(void)state;
	begin_whole();
	d.b[2] |= FLAG_TC >> 8;
	unsigned last = 0;
	for (size_t len = 20; len <= d.len; len++) {
		uint16_t counts[3];
		assert_true(read_copy(len, counts));
		const unsigned all = (unsigned)counts[0] + counts[1] + counts[2];
		assert_true(all >= last);
		last = all;
	}
	assert_int_equal(last, 4);
	for (size_t len = 0; len < 20; len++) {
		uint16_t counts[3];
		assert_false(read_copy(len, counts));
	}
}

static void promised_records_that_never_come_cost_nothing(void **state)
{
	(void)state;
	struct msg m;
	begin(0xffff, 0xffff, 0xffff);
	assert_false(msg_read(&m, d.b, d.len));
	d.b[2] |= FLAG_TC >> 8;
	assert_true(msg_read(&m, d.b, d.len));
	assert_int_equal(m.count[0] + m.count[1] + m.count[2], 0);
}

static void there_is_a_limit_of_records(void **state)
{
	(void)state;
	struct msg m;
	for (uint16_t extra = 0; extra < 2; extra++) {
		begin(LIMIT_MESSAGE_RECORDS, extra, 0);
		for (int i = 0; i < LIMIT_MESSAGE_RECORDS + extra; i++)
			ADD_RR(TYPE_NULL, 0);
		assert_int_equal(msg_read(&m, d.b, d.len), !extra);
	}
}

static void bytes_behind_the_last_record_are_ignored(void **state)
{
	(void)state;
	struct msg m;
	begin_whole();
	ADD(0, 0, 0);
	assert_true(msg_read(&m, d.b, d.len));
}

static void opt_stands_alone_at_the_root_in_additional(void **state)
{
	(void)state;
	struct msg m;
	begin(0, 0, 2);
	add_opt(0, NULL, 0);
	add_opt(0, NULL, 0);
	assert_false(msg_read(&m, d.b, d.len));
	begin(1, 0, 0);
	add_opt(0, NULL, 0);
	assert_false(msg_read(&m, d.b, d.len));
	begin(0, 0, 1);
	ADD_RR(TYPE_OPT, 0, 0, 0, 0);
	assert_false(msg_read(&m, d.b, d.len));
	begin(0, 0, 1);
	add_opt(0, "\0\1\0\1", 4); /* an option that ends too early */
	assert_false(msg_read(&m, d.b, d.len));
	begin(0, 0, 1);
	add_opt(0, NULL, 0);
	assert_true(msg_read(&m, d.b, d.len));
	assert_int_equal(m.ede, EDE_NONE);
	/* cut off inside: no record, and no EDNS either */
	begin(0, 0, 1);
	add_opt(0, "\0\1\0\1", 4);
	d.b[2] |= FLAG_TC >> 8;
	assert_true(msg_read(&m, d.b, d.len));
	assert_false(m.edns);
	assert_int_equal(m.count[2], 0);
}

static void owners_that_loop_or_point_forward_are_refused(void **state)
{
	(void)state;
	struct msg m;
	for (uint8_t to = 20; to < 34; to++) {
		begin(1, 0, 0);
		ADD(0xc0, to, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0);
		assert_false(msg_read(&m, d.b, d.len));
	}
	begin(1, 0, 0);
	ADD(1, 'x', 0xc0, 20, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0);
	assert_false(msg_read(&m, d.b, d.len));
}

/* Servers that answer other questions than one: none (RFC 9619), or many. */
static void questions_may_be_missing(void **state)
{
	(void)state;
	struct msg m;
	begin(0, 0, 0);
	d.b[5] = 0;
	assert_true(msg_read(&m, d.b, 12));
	assert_int_equal(m.qd_count, 0);
	assert_true(name_is_root(m.qname));
	begin(0, 0, 0);
	d.b[5] = 2;
	ADD(0xc0, 12, 0, 1, 0, 1);
	assert_true(msg_read(&m, d.b, d.len));
	assert_int_equal(m.qd_count, 2);
	d.b[5] = 3;
	assert_false(msg_read(&m, d.b, d.len));
}

struct shape_row {
	uint16_t type;
	uint16_t len;
	const char *rdata; /* at 12 of the message stands "Ab." */
	int want;
};

static void shapes_of_rdata_are_checked(void **state)
{
	(void)state;
	static const struct shape_row rows[] = {
		{ TYPE_A, 4, "\1\2\3\4", 4 },
		{ TYPE_A, 5, "\1\2\3\4\5", -1 },
		{ TYPE_A, 3, "\1\2\3", -1 },
		{ TYPE_AAAA, 16, "0123456789abcdef", 16 },
		{ TYPE_AAAA, 15, "0123456789abcde", -1 },
		{ TYPE_NS, 2, "\xc0\x0c", 4 },
		{ TYPE_NS, 3, "\xc0\x0c\0", -1 },
		{ TYPE_NS, 0, "", -1 },
		{ TYPE_CNAME, 2, "\1x", -1 },
		{ TYPE_DNAME, 2, "\xc0\x0c", 4 },
		{ TYPE_SOA, 24, "\xc0\x0c\xc0\x0c 3456789 3456789 3456789", 28 },
		{ TYPE_SOA, 23, "\xc0\x0c\xc0\x0c 3456789 3456789 345678", -1 },
		{ TYPE_MX, 4, "\0\1\xc0\x0c", 6 },
		{ TYPE_MX, 2, "\0\1", -1 },
		{ TYPE_SRV, 8, "\0\1\0\1\0\1\xc0\x0c", 10 },
		{ TYPE_NAPTR, 9, "\0\1\0\1\0\1x\0\0", 9 },
		{ TYPE_NAPTR, 8, "\0\1\0\1\0\1x\0", -1 },
		{ TYPE_DS, 6, "\1\1\1\1dd", 6 },
		{ TYPE_DS, 4, "\1\1\1\1", -1 },
		{ TYPE_DNSKEY, 3, "\1\1\1", -1 },
		{ TYPE_RRSIG, 20, "012345678901234567\0s", 20 },
		{ TYPE_RRSIG, 19, "012345678901234567\0", -1 },
		{ TYPE_NSEC, 2, "\xc0\x0c", 4 },
		{ TYPE_NSEC, 4, "\0\0\1@", 4 },
		{ TYPE_NSEC, 7, "\0\1\1@\0\1@", -1 }, /* windows that do not rise */
		{ TYPE_NSEC, 3, "\0\0\0", -1 },       /* an empty window */
		{ TYPE_NSEC, 3, "\0\0\1", -1 },
		{ TYPE_NSEC3, 10, "\1\0\0\1\1s\1h\0\1", -1 },
		{ TYPE_NSEC3, 11, "\1\0\0\1\1s\1h\0\1@", 11 },
		{ TYPE_NSEC3, 6, "\1\0\0\1\0\0", -1 }, /* no next hash */
		{ TYPE_TXT, 2, "\x09x", 2 },           /* opaque to us */
		{ TYPE_HTTPS, 4, "\0\1\xc0\x0c", 4 },  /* RFC 3597: not looked into */
		{ 65280, 2, "\xc0\x0c", 2 },
		{ 65280, 0, "", 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct msg m;
		struct msg_rr rr;
		uint8_t rdata[128];
		begin(1, 0, 0);
		add_rr(rows[i].type, rows[i].rdata, rows[i].len);
		assert_true(msg_read(&m, d.b, d.len));
		struct msg_walk w = msg_begin(&m);
		assert_true(msg_next(&w, &rr));
		const int len = msg_rdata(&m, &rr, rdata, sizeof(rdata));
		assert_int_equal(len, rows[i].want);
		if (len >= 0)
			assert_true(rdata_valid(rr.type, rdata, (size_t)len));
	}
}

/* A name in RDATA ends where the RDATA ends, whatever follows in the packet. */
static void names_do_not_leave_their_rdata(void **state)
{
	(void)state;
	struct msg m;
	struct msg_rr rr;
	uint8_t rdata[64];
	begin(2, 0, 0);
	ADD_RR(TYPE_NS, 3, 'a', 'b');
	ADD_RR(TYPE_A, 1, 2, 3, 4);
	assert_true(msg_read(&m, d.b, d.len));
	struct msg_walk w = msg_begin(&m);
	assert_true(msg_next(&w, &rr));
	assert_int_equal(msg_rdata(&m, &rr, rdata, sizeof(rdata)), -1);
}

static void small_questions_about_rdata(void **state)
{
	(void)state;
	assert_int_equal(rdata_target(TYPE_CNAME), 0);
	assert_int_equal(rdata_target(TYPE_MX), 2);
	assert_int_equal(rdata_target(TYPE_SRV), 6);
	assert_int_equal(rdata_target(TYPE_A), -1);
	const uint8_t sig[19] = { 0, TYPE_AAAA };
	assert_int_equal(rdata_rrsig_covers(sig, sizeof(sig)), TYPE_AAAA);
	assert_int_equal(rdata_rrsig_covers(sig, 17), 0);
	const uint8_t soa[22] = { [18] = 0, 0, 14, 16 };
	assert_int_equal(rdata_soa_minimum(soa, sizeof(soa), 7), 3600);
	assert_int_equal(rdata_soa_minimum(soa, sizeof(soa) - 1, 7), 7);
	assert_int_equal(rdata_soa_minimum(soa, 0, 7), 7);
}

static void codes_have_names(void **state)
{
	(void)state;
	char buf[16];
	uint16_t code;
	for (unsigned i = 0; i < 65536; i++) {
		assert_true(type_from_text(&code, type_to_text((uint16_t)i, buf)));
		assert_int_equal(code, i);
		assert_true(class_from_text(&code, class_to_text((uint16_t)i, buf)));
		assert_int_equal(code, i);
		assert_true(rcode_from_text(&code, rcode_to_text((uint16_t)i, buf)));
		assert_int_equal(code, i);
	}
	assert_string_equal(type_to_text(TYPE_AAAA, buf), "AAAA");
	assert_string_equal(type_to_text(65280, buf), "TYPE65280");
	assert_string_equal(rcode_to_text(RCODE_NXDOMAIN, buf), "NXDOMAIN");
	assert_true(type_from_text(&code, "nsec3"));
	assert_int_equal(code, TYPE_NSEC3);
	assert_true(type_from_text(&code, "type1"));
	assert_int_equal(code, TYPE_A);
	assert_false(type_from_text(&code, "TYPE65536"));
	assert_false(type_from_text(&code, "TYPE"));
	assert_false(type_from_text(&code, "TYPE1x"));
	assert_false(type_from_text(&code, ""));
	assert_true(
		type_is_meta(TYPE_ANY) && type_is_meta(TYPE_OPT) && type_is_meta(0));
	assert_false(type_is_meta(TYPE_A) || type_is_meta(256));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_a_message_is_read),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(a_truncated_answer_keeps_its_whole_records),
		cmocka_unit_test(promised_records_that_never_come_cost_nothing),
		cmocka_unit_test(there_is_a_limit_of_records),
		cmocka_unit_test(bytes_behind_the_last_record_are_ignored),
		cmocka_unit_test(opt_stands_alone_at_the_root_in_additional),
		cmocka_unit_test(owners_that_loop_or_point_forward_are_refused),
		cmocka_unit_test(questions_may_be_missing),
		cmocka_unit_test(shapes_of_rdata_are_checked),
		cmocka_unit_test(names_do_not_leave_their_rdata),
		cmocka_unit_test(small_questions_about_rdata),
		cmocka_unit_test(codes_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
