/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/codes.h"

static uint8_t buf[65535];

static const uint8_t *name(const char *text)
{
	static uint8_t bufs[8][NAME_MAX_LEN];
	static unsigned turn;
	uint8_t *out = bufs[turn++ % 8];
	assert_int_not_equal(name_from_text(out, text), 0);
	return out;
}

/* An RRset whose data is built here; one at a time. */
static struct rrset rrset(const char *owner, uint16_t type)
{
	static uint8_t data[4096], owner_name[NAME_MAX_LEN];
	name_from_text(owner_name, owner);
	return (struct rrset){ .name = owner_name,
		.type = type,
		.rclass = CLASS_IN,
		.ttl = 300,
		.data = data };
}

static void push(struct rrset *rr, const void *rdata, uint16_t len, bool sig)
{
	uint8_t *at = (uint8_t *)(uintptr_t)rr->data + rr->data_len;
	memcpy(at, &len, 2);
	memcpy(at + 2, rdata, len);
	rr->data_len += len + 2u;
	rr->count = (uint16_t)(rr->count + !sig);
	rr->sig_count = (uint16_t)(rr->sig_count + sig);
	assert_true(rrset_valid(rr));
}

static void start(struct writer *w, size_t cap)
{
	writer_begin(w, buf, cap, 0x1234, FLAG_QR);
	writer_question(w, name("www.Example.com"), TYPE_A, CLASS_IN);
}

/* The n-th record of what was written, its RDATA uncompressed. */
static struct msg_rr record(
	const struct writer *w, unsigned n, uint8_t *rdata, int *len)
{
	static struct msg m;
	struct msg_rr rr;
	assert_true(msg_read(&m, buf, writer_end(w)));
	struct msg_walk walk = msg_begin(&m);
	do
		assert_true(msg_next(&walk, &rr));
	while (n--);
	*len = msg_rdata(&m, &rr, rdata, NAME_MAX_LEN);
	return rr;
}

static void header_and_question_are_written(void **state)
{
	(void)state;
	struct writer w;
	start(&w, 512);
	static const uint8_t want[] =
		"\x12\x34\x80\0\0\1\0\0\0\0\0\0\3www\7Example\3com\0\0\1\0\1";
	assert_int_equal(writer_end(&w), sizeof(want) - 1);
	assert_memory_equal(buf, want, sizeof(want) - 1);
	writer_flags(&w, FLAG_QR | FLAG_RA | RCODE_SERVFAIL);
	assert_int_equal(buf[2] << 8 | buf[3], 0x8082);
}

static void owners_become_pointers_to_the_question(void **state)
{
	(void)state;
	struct writer w;
	start(&w, 512);
	const size_t before = writer_end(&w);
	assert_true(writer_rr(&w, SECTION_ANSWER, name("WWW.example.COM"), TYPE_A,
		CLASS_IN, 60, (const uint8_t *)"\1\2\3\4", 4));
	assert_int_equal(writer_end(&w), before + 2 + 10 + 4);
	assert_memory_equal(buf + before, "\xc0\x0c\0\1\0\1\0\0\0<\0\4\1\2\3\4", 16);
	/* a parent: a pointer into the middle */
	assert_true(writer_rr(&w, SECTION_AUTHORITY, name("example.com"), TYPE_NS,
		CLASS_IN, 60, name("ns.example.com"), 16));
	assert_memory_equal(
		buf + before + 16, "\xc0\x10\0\2\0\1\0\0\0<\0\5\2ns\xc0\x10", 17);
	assert_int_equal(writer_end(&w), before + 16 + 17);
	/* new names of RDATA are known too */
	assert_true(writer_rr(&w, SECTION_ADDITIONAL, name("ns.example.com"), TYPE_A,
		CLASS_IN, 60, (const uint8_t *)"\1\2\3\4", 4));
	assert_int_equal(writer_end(&w), before + 16 + 17 + 16);
	uint8_t rdata[NAME_MAX_LEN];
	int len;
	const struct msg_rr rr = record(&w, 2, rdata, &len);
	assert_true(name_equal(rr.name, name("ns.example.com")));
	assert_int_equal(rr.section, SECTION_ADDITIONAL);
}

static void the_root_is_never_a_pointer(void **state)
{
	(void)state;
	struct writer w;
	writer_begin(&w, buf, 512, 1, FLAG_QR);
	writer_question(&w, name("."), TYPE_NS, CLASS_IN);
	struct rrset rr = rrset(".", TYPE_NS);
	push(&rr, name("a.root-servers.net"), 20, false);
	push(&rr, name("b.root-servers.net"), 20, false);
	assert_true(writer_rrset(&w, SECTION_ANSWER, &rr, 0, true));
	assert_int_equal(writer_end(&w), 12 + 5 + 1 + 10 + 20 + 1 + 10 + 4);
}

/* RFC 3597: only names in types of RFC 1035 are compressed. */
static void names_in_younger_types_stay_whole(void **state)
{
	(void)state;
	struct writer w;
	uint8_t srv[64] = { 0, 1, 0, 2, 0, 3 };
	start(&w, 512);
	const size_t before = writer_end(&w);
	const uint16_t len =
		(uint16_t)(6 + name_copy(srv + 6, name("www.example.com")));
	writer_rr(&w, SECTION_ANSWER, name("."), TYPE_SRV, CLASS_IN, 0, srv, len);
	assert_int_equal(writer_end(&w), before + 11 + len);
	writer_rr(&w, SECTION_ANSWER, name("."), TYPE_DNAME, CLASS_IN, 0, srv + 6,
		(uint16_t)(len - 6));
	assert_int_equal(writer_end(&w), before + 11 + len + 11 + len - 6);
}

/* A cache may be damaged; a message must not be. */
static void rdata_of_a_wrong_shape_is_copied_as_it_is(void **state)
{
	(void)state;
	struct writer w;
	struct msg m;
	start(&w, 512);
	writer_rr(&w, SECTION_ANSWER, name("a"), TYPE_MX, CLASS_IN, 0,
		(const uint8_t *)"\0", 1);
	writer_rr(&w, SECTION_ANSWER, name("a"), TYPE_NS, CLASS_IN, 0,
		(const uint8_t *)"\77x", 2);
	writer_rr(&w, SECTION_ANSWER, name("a"), TYPE_NS, CLASS_IN, 0, NULL, 0);
	assert_true(msg_read(&m, buf, writer_end(&w)));
	assert_int_equal(m.count[0], 3);
}

static void an_rrset_rotates(void **state)
{
	(void)state;
	struct rrset rr = rrset("www.example.com", TYPE_A);
	push(&rr, "\0\0\0\0", 4, false);
	push(&rr, "\1\1\1\1", 4, false);
	push(&rr, "\2\2\2\2", 4, false);
	uint8_t sig[40] = { 0, TYPE_A };
	push(&rr, sig, sizeof(sig), true);
	for (uint32_t rotate = 0; rotate < 8; rotate++) {
		struct writer w;
		start(&w, 512);
		assert_true(writer_rrset(&w, SECTION_ANSWER, &rr, rotate, true));
		for (unsigned i = 0; i < 3; i++) {
			uint8_t rdata[NAME_MAX_LEN];
			int len;
			record(&w, i, rdata, &len);
			assert_int_equal(rdata[0], (i + rotate) % 3);
		}
		uint8_t rdata[NAME_MAX_LEN];
		int len;
		assert_int_equal(record(&w, 3, rdata, &len).type, TYPE_RRSIG);
	}
	struct writer w;
	start(&w, 512);
	const size_t before = writer_end(&w);
	assert_true(writer_rrset(&w, SECTION_ANSWER, &rr, 1, false));
	assert_int_equal(writer_end(&w), before + 3 * 16);
}

static void an_rrset_goes_in_whole_or_not_at_all(void **state)
{
	(void)state;
	struct rrset rr = rrset("a.new.example.com", TYPE_NS);
	push(&rr, name("x.other.net"), 13, false);
	push(&rr, name("y.other.net"), 13, false);
	uint8_t sig[60] = { 0, TYPE_NS };
	push(&rr, sig, sizeof(sig), true);
	struct writer w;
	start(&w, sizeof(buf));
	const size_t before = writer_end(&w);
	assert_true(writer_rrset(&w, SECTION_ANSWER, &rr, 0, true));
	const size_t whole = writer_end(&w);
	for (size_t cap = before; cap < whole; cap++) {
		start(&w, cap);
		uint8_t copy[100];
		memcpy(copy, buf, before);
		assert_false(writer_rrset(&w, SECTION_ANSWER, &rr, 0, true));
		assert_true(w.full);
		assert_int_equal(writer_end(&w), before);
		assert_memory_equal(copy, buf, before);
		/* full stays full, even for what would fit */
		assert_false(
			writer_rr(&w, SECTION_ANSWER, name("."), 1, 1, 0, NULL, 0));
		/* and names that were taken back are no targets of pointers */
		writer_truncate(&w);
		w.cap = sizeof(buf);
		assert_true(writer_rrset(&w, SECTION_ANSWER, &rr, 0, true));
		assert_int_equal(writer_end(&w), whole);
		struct msg m;
		assert_true(msg_read(&m, buf, whole));
		assert_int_equal(m.count[0], 3);
	}
	start(&w, whole);
	assert_true(writer_rrset(&w, SECTION_ANSWER, &rr, 0, true));
}

static void opt_has_its_reserve_also_when_full(void **state)
{
	(void)state;
	struct writer w;
	start(&w, 33 + 16 + 11 + 4 + 3);
	writer_reserve(&w, 18);
	const uint8_t a[4] = { 0 };
	assert_true(writer_rr(&w, SECTION_ANSWER, name("www.example.com"), TYPE_A,
		CLASS_IN, 60, a, 4));
	assert_false(
		writer_rr(&w, SECTION_ANSWER, name("."), TYPE_A, CLASS_IN, 60, a, 0));
	const struct edns_option option = { OPTION_NSID, 3, (const uint8_t *)"abc" };
	assert_true(writer_opt(&w, 1232, RCODE_BADVERS, true, &option, 1));
	assert_int_equal(writer_end(&w), w.cap);
	struct msg m;
	assert_true(msg_read(&m, buf, writer_end(&w)));
	assert_true(m.edns && m.dnssec_ok);
	assert_int_equal(m.udp_size, 1232);
	assert_int_equal(m.rcode, RCODE_BADVERS);
	assert_int_equal(m.edns_version, 0);
	start(&w, 33 + 10);
	assert_false(writer_opt(&w, 1232, 0, true, NULL, 0));
	assert_int_equal(writer_end(&w), 33);
}

static void truncation_leaves_question_and_tc(void **state)
{
	(void)state;
	struct writer w;
	struct msg m;
	start(&w, 512);
	const size_t question = writer_end(&w);
	writer_rr(&w, SECTION_ANSWER, name("x.y"), TYPE_NS, CLASS_IN, 0, name("z"), 3);
	writer_truncate(&w);
	assert_int_equal(writer_end(&w), question);
	assert_true(writer_opt(&w, 1232, RCODE_NOERROR, false, NULL, 0));
	assert_true(msg_read(&m, buf, writer_end(&w)));
	assert_true(m.flags & FLAG_TC);
	assert_int_equal(m.count[0], 0);
	assert_int_equal(m.count[2], 1);
	assert_int_equal(m.qd_count, 1);
}

static void a_question_that_does_not_fit_leaves_a_header(void **state)
{
	(void)state;
	struct writer w;
	start(&w, 32);
	assert_true(w.full);
	assert_int_equal(writer_end(&w), 12);
	assert_int_equal(buf[5], 0);
	writer_begin(&w, buf, 12, 1, 0);
	assert_int_equal(writer_end(&w), 12);
}

/* More names than are remembered, and more bytes than a pointer reaches. */
static void a_large_message_stays_right(void **state)
{
	(void)state;
	struct writer w;
	start(&w, sizeof(buf));
	enum { COUNT = 1000 };
	for (unsigned i = 0; i < COUNT; i++) {
		char text[64];
		snprintf(text, sizeof(text), "host%u.zone%u.example.com", i, i / 7);
		uint8_t target[NAME_MAX_LEN];
		const size_t len = name_from_text(target, text);
		assert_true(writer_rr(&w, SECTION_ANSWER, name(text), TYPE_CNAME,
			CLASS_IN, i, target, (uint16_t)len));
	}
	assert_true(writer_end(&w) > 0x4000);
	struct msg m;
	struct msg_rr rr;
	assert_true(msg_read(&m, buf, writer_end(&w)));
	struct msg_walk walk = msg_begin(&m);
	for (unsigned i = 0; i < COUNT; i++) {
		char text[64];
		uint8_t rdata[NAME_MAX_LEN];
		snprintf(text, sizeof(text), "host%u.zone%u.example.com", i, i / 7);
		assert_true(msg_next(&walk, &rr));
		assert_true(name_equal(rr.name, name(text)));
		assert_int_equal(msg_rdata(&m, &rr, rdata, sizeof(rdata)), rr.name_len);
		assert_true(name_equal(rdata, rr.name));
	}
}

static void one_rrset_of_many_records_costs_two_bytes_an_owner(void **state)
{
	(void)state;
	static uint8_t data[2000 * 6];
	const struct rrset rr = { .name = name("not.the.question"),
		.type = TYPE_A,
		.rclass = CLASS_IN,
		.count = 2000,
		.data = data,
		.data_len = sizeof(data) };
	for (size_t i = 0; i < sizeof(data); i += 6)
		memcpy(data + i, &(uint16_t){ 4 }, 2);
	struct writer w;
	start(&w, sizeof(buf));
	assert_true(writer_rrset(&w, SECTION_ANSWER, &rr, 0, false));
	assert_int_equal(writer_end(&w), 33 + 18 + 14 + 1999 * 16);
}

static void rrset_helpers_find_their_way(void **state)
{
	(void)state;
	struct rrset rr = rrset("a", TYPE_TXT);
	push(&rr, "one", 3, false);
	push(&rr, "", 0, false);
	push(&rr, "sig", 3, true);
	assert_int_equal(rrset_at(&rr, 0).len, 3);
	assert_int_equal(rrset_at(&rr, 1).len, 0);
	assert_memory_equal(rrset_at(&rr, 2).bytes, "sig", 3);
	assert_null(rrset_at(&rr, 3).bytes);
	assert_true(rrset_has(&rr, (const uint8_t *)"one", 3));
	assert_true(rrset_has(&rr, (const uint8_t *)"", 0));
	assert_false(rrset_has(&rr, (const uint8_t *)"sig", 3));
	rr.count = 3;
	assert_false(rrset_valid(&rr));
	rr.count = 2;
	for (rr.data_len--; rr.data_len; rr.data_len--)
		assert_false(rrset_valid(&rr));
	struct writer w;
	start(&w, 512);
	rr.data_len = 9;
	assert_false(writer_rrset(&w, SECTION_ANSWER, &rr, 0, true));
	assert_int_equal(writer_end(&w), 33);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_and_question_are_written),
		cmocka_unit_test(owners_become_pointers_to_the_question),
		cmocka_unit_test(the_root_is_never_a_pointer),
		cmocka_unit_test(names_in_younger_types_stay_whole),
		cmocka_unit_test(rdata_of_a_wrong_shape_is_copied_as_it_is),
		cmocka_unit_test(an_rrset_rotates),
		cmocka_unit_test(an_rrset_goes_in_whole_or_not_at_all),
		cmocka_unit_test(opt_has_its_reserve_also_when_full),
		cmocka_unit_test(truncation_leaves_question_and_tc),
		cmocka_unit_test(a_question_that_does_not_fit_leaves_a_header),
		cmocka_unit_test(a_large_message_stays_right),
		cmocka_unit_test(one_rrset_of_many_records_costs_two_bytes_an_owner),
		cmocka_unit_test(rrset_helpers_find_their_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
