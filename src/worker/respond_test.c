/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/respond.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "wire/codes.h"
#include "wire/msg.h"

static const uint8_t owner[] = { 3, 'w', 'w', 'w', 3, 'l', 'a', 'b', 0 };
static const uint8_t asked_as[] = { 3, 'w', 'W', 'w', 3, 'L', 'a', 'b', 0 };

/* 4 addresses and one signature of 20 bytes, as struct rrset keeps them. */
struct rows {
	uint8_t bytes[4 * 6 + 2 + 20];
};

static struct rrset four_addresses(struct rows *rows)
{
	uint8_t *at = rows->bytes;
	const uint16_t four = 4, twenty = 20;
	for (uint8_t i = 1; i <= 4; i++) {
		memcpy(at, &four, 2);
		memcpy(at + 2, (const uint8_t[]){ 192, 0, 2, i }, 4);
		at += 6;
	}
	memcpy(at, &twenty, 2);
	memset(at + 2, 0, 20);
	return (struct rrset){
		.name = owner,
		.type = TYPE_A,
		.rclass = CLASS_IN,
		.count = 4,
		.sig_count = 1,
		.ttl = 300,
		.data = rows->bytes,
		.data_len = sizeof(rows->bytes),
	};
}

static struct query question(bool edns)
{
	return (struct query){
		.name = asked_as,
		.name_len = sizeof(asked_as),
		.question_len = sizeof(asked_as) + 4,
		.id = 0x1234,
		.flags = FLAG_RD | FLAG_CD,
		.qtype = TYPE_A,
		.qclass = CLASS_IN,
		.edns = edns,
		.udp_size = edns ? 1232 : 512,
	};
}

static const struct respond_env plain = { .udp_size = 1232, .extended_error = true };

static struct msg parsed(const uint8_t *out, size_t len)
{
	struct msg m;
	assert_true(msg_read(&m, out, len));
	assert_int_equal(m.id, 0x1234);
	return m;
}

static void answer_echoes_id_flags_and_case(void **state)
{
	(void)state;
	struct rows rows;
	uint8_t out[4096];
	const struct query q = question(false);
	const struct iter_record r = { SECTION_ANSWER, four_addresses(&rows) };
	const struct respond_what what = { .ede = EDE_NONE, .records = &r, .count = 1 };
	bool tc = true;
	const size_t len =
		respond_write(&plain, &q, false, &what, out, sizeof(out), &tc);
	const struct msg m = parsed(out, len);
	assert_false(tc);
	assert_int_equal(m.flags, FLAG_QR | FLAG_RD | FLAG_RA | FLAG_CD);
	assert_memory_equal(m.qname, asked_as, sizeof(asked_as));
	assert_int_equal(m.count[SECTION_ANSWER], 4);
	assert_false(m.edns);
}

static void signatures_and_proofs_need_do(void **state)
{
	(void)state;
	struct rows rows, proof;
	uint8_t out[4096];
	struct query q = question(true);
	struct iter_record r[2] = { { SECTION_ANSWER, four_addresses(&rows) },
		{ SECTION_AUTHORITY, four_addresses(&proof) } };
	r[1].rr.type = TYPE_NSEC3;
	r[1].rr.count = 1;
	r[1].rr.sig_count = 0;
	r[1].rr.data_len = 6;
	const struct respond_what what = { .ede = EDE_NONE, .records = r, .count = 2 };
	size_t len = respond_write(&plain, &q, false, &what, out, sizeof(out), NULL);
	assert_int_equal(out[7], 4);
	assert_int_equal(out[9], 0);
	q.dnssec_ok = true;
	len = respond_write(&plain, &q, false, &what, out, sizeof(out), NULL);
	assert_true(len > 0);
	assert_int_equal(out[7], 5);
	assert_int_equal(out[9], 1);
}

static void too_long_becomes_tc_with_empty_sections(void **state)
{
	(void)state;
	struct rows rows;
	uint8_t out[4096];
	struct query q = question(true);
	struct iter_record r[40];
	for (size_t i = 0; i < 40; i++)
		r[i] = (struct iter_record){ SECTION_ANSWER, four_addresses(&rows) };
	const struct respond_what what = { .ede = EDE_NONE, .records = r, .count = 40 };
	bool tc = false;
	size_t len = respond_write(&plain, &q, false, &what, out, sizeof(out), &tc);
	struct msg m = parsed(out, len);
	assert_true(tc);
	assert_true(m.flags & FLAG_TC);
	assert_true(m.edns);
	assert_int_equal(m.count[SECTION_ANSWER], 0);
	assert_true(len <= 512);
	/* over TCP all of it fits */
	len = respond_write(&plain, &q, true, &what, out, sizeof(out), &tc);
	m = parsed(out, len);
	assert_false(tc);
	assert_int_equal(m.count[SECTION_ANSWER], 160);
}

static void limit_is_the_smaller_of_both_sizes(void **state)
{
	(void)state;
	struct query q = question(true);
	q.udp_size = 4096;
	assert_int_equal(respond_limit(&plain, &q, false), 1232);
	q.udp_size = 600;
	assert_int_equal(respond_limit(&plain, &q, false), 600);
	q = question(false);
	assert_int_equal(respond_limit(&plain, &q, false), 512);
	assert_int_equal(respond_limit(&plain, &q, true), 65535);
}

static void additional_records_may_be_missing_without_tc(void **state)
{
	(void)state;
	struct rows rows;
	uint8_t out[4096];
	const struct query q = question(false);
	struct iter_record r[9];
	for (size_t i = 0; i < 9; i++)
		r[i] = (struct iter_record){ i ? SECTION_ADDITIONAL : SECTION_ANSWER,
			four_addresses(&rows) };
	const struct respond_what what = { .ede = EDE_NONE, .records = r, .count = 9 };
	bool tc = true;
	const size_t len =
		respond_write(&plain, &q, false, &what, out, sizeof(out), &tc);
	const struct msg m = parsed(out, len);
	assert_false(tc);
	assert_int_equal(m.count[SECTION_ANSWER], 4);
	assert_true(
		m.count[SECTION_ADDITIONAL] > 0 && m.count[SECTION_ADDITIONAL] < 32);
}

/* Offset of the option's data in OPT, which is the last record; 0: not there. */
static size_t option_at(const uint8_t *out, size_t opt, size_t len, unsigned code)
{
	size_t at = opt + 11;
	while (at + 4 <= len) {
		const unsigned this = (unsigned)out[at] << 8 | out[at + 1];
		if (this == code)
			return at + 4;
		at += 4u + ((unsigned)out[at + 2] << 8 | out[at + 3]);
	}
	return 0;
}

static void options_are_told_only_to_who_asked(void **state)
{
	(void)state;
	uint8_t out[4096];
	const struct respond_env env = { .udp_size = 1232,
		.nsid = "dns2",
		.nsid_len = 4,
		.keepalive = 100,
		.extended_error = true };
	const struct respond_what what = {
		.rcode = RCODE_REFUSED, .ede = EDE_PROHIBITED, .ede_text = "no"
	};
	struct query q = question(true);
	const size_t opt = 12 + sizeof(asked_as) + 4;
	size_t len = respond_write(&env, &q, true, &what, out, sizeof(out), NULL);
	assert_int_equal(option_at(out, opt, len, OPTION_NSID), 0);
	assert_int_equal(option_at(out, opt, len, OPTION_KEEPALIVE), 0);
	size_t at = option_at(out, opt, len, OPTION_EDE);
	assert_memory_equal(out + at, "\0\x12no", 4);

	q.wants_nsid = q.has_keepalive = true;
	len = respond_write(&env, &q, true, &what, out, sizeof(out), NULL);
	at = option_at(out, opt, len, OPTION_NSID);
	assert_memory_equal(out + at, "dns2", 4);
	at = option_at(out, opt, len, OPTION_KEEPALIVE);
	assert_memory_equal(out + at, "\0\x64", 2);
	/* RFC 7828 section 3.2.1: never over UDP */
	len = respond_write(&env, &q, false, &what, out, sizeof(out), NULL);
	assert_int_equal(option_at(out, opt, len, OPTION_KEEPALIVE), 0);

	q.edns = false;
	len = respond_write(&env, &q, true, &what, out, sizeof(out), NULL);
	assert_int_equal(len, opt);
}

static void a_leaving_instance_asks_for_the_connection_to_be_closed(void **state)
{
	(void)state;
	uint8_t out[4096];
	struct respond_env env = {
		.udp_size = 1232, .keepalive = 100, .leaving = true
	};
	const struct respond_what what = { .ede = EDE_NONE };
	struct query q = question(true);
	q.has_keepalive = true;
	const size_t opt = 12 + sizeof(asked_as) + 4;
	size_t len = respond_write(&env, &q, true, &what, out, sizeof(out), NULL);
	const size_t at = option_at(out, opt, len, OPTION_KEEPALIVE);
	assert_int_not_equal(at, 0);
	assert_memory_equal(out + at, "\0\0", 2);
	env.keepalive = 0; /* the module is off */
	len = respond_write(&env, &q, true, &what, out, sizeof(out), NULL);
	assert_int_equal(option_at(out, opt, len, OPTION_KEEPALIVE), 0);
}

static void badvers_is_split_between_header_and_opt(void **state)
{
	(void)state;
	uint8_t out[4096];
	const struct respond_what what = { .rcode = RCODE_BADVERS, .ede = EDE_NONE };
	const struct query q = question(true);
	const size_t len =
		respond_write(&plain, &q, false, &what, out, sizeof(out), NULL);
	assert_int_equal(parsed(out, len).rcode, RCODE_BADVERS);
}

static void records_rotate(void **state)
{
	(void)state;
	struct rows rows;
	uint8_t out[4096];
	const struct query q = question(false);
	const struct iter_record r = { SECTION_ANSWER, four_addresses(&rows) };
	for (uint32_t turn = 0; turn < 8; turn++) {
		const struct respond_what what = {
			.ede = EDE_NONE, .records = &r, .count = 1, .rotate = turn
		};
		const size_t len =
			respond_write(&plain, &q, false, &what, out, sizeof(out), NULL);
		const struct msg m = parsed(out, len);
		struct msg_walk w = msg_begin(&m);
		struct msg_rr rr;
		assert_true(msg_next(&w, &rr));
		assert_int_equal(rr.rdata[3], 1 + turn % 4);
	}
}

static void body_has_no_opt(void **state)
{
	(void)state;
	struct rows rows;
	uint8_t out[4096];
	const struct query q = question(true);
	const struct iter_record r = { SECTION_ANSWER, four_addresses(&rows) };
	const struct respond_what what = {
		.ede = EDE_OTHER, .records = &r, .count = 1
	};
	const size_t len = respond_body(&q, &what, out, sizeof(out));
	assert_false(parsed(out, len).edns);
	assert_int_equal(respond_body(&q, &what, out, len - 1), 0);
}

static void unread_question_still_gets_an_answer(void **state)
{
	(void)state;
	uint8_t out[4096];
	const struct query q = { .id = 0x1234, .udp_size = 512 };
	const struct respond_what what = { .rcode = RCODE_FORMERR, .ede = EDE_NONE };
	const size_t len =
		respond_write(&plain, &q, false, &what, out, sizeof(out), NULL);
	assert_int_equal(len, 12);
	assert_int_equal(parsed(out, len).rcode, RCODE_FORMERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_echoes_id_flags_and_case),
		cmocka_unit_test(signatures_and_proofs_need_do),
		cmocka_unit_test(too_long_becomes_tc_with_empty_sections),
		cmocka_unit_test(limit_is_the_smaller_of_both_sizes),
		cmocka_unit_test(additional_records_may_be_missing_without_tc),
		cmocka_unit_test(options_are_told_only_to_who_asked),
		cmocka_unit_test(
			a_leaving_instance_asks_for_the_connection_to_be_closed),
		cmocka_unit_test(badvers_is_split_between_header_and_opt),
		cmocka_unit_test(records_rotate),
		cmocka_unit_test(body_has_no_opt),
		cmocka_unit_test(unread_question_still_gets_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
