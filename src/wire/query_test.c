/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "wire/codes.h"

/* A query under construction. */
struct draft {
	uint8_t b[8192];
	size_t len;
};

static void add(struct draft *d, const void *bytes, size_t len)
{
	memcpy(d->b + d->len, bytes, len);
	d->len += len;
}

#define ADD(d, ...)                                                                    \
	add(d, (const uint8_t[]){ __VA_ARGS__ },                                       \
		sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Id 0x1234, RD, "Ab." A IN; the counts of the three sections as given. */
static struct draft draft(uint8_t an, uint8_t ns, uint8_t ar)
{
	struct draft d = { .len = 0 };
	ADD(&d, 0x12, 0x34, 1, 0, 0, 1, 0, an, 0, ns, 0, ar);
	ADD(&d, 2, 'A', 'b', 0, 0, 1, 0, 1);
	return d;
}

/* OPT with DO and 1232 bytes; `options` follow. */
static void add_opt(struct draft *d, uint8_t version, uint16_t options)
{
	ADD(d, 0, 0, 41, 4, 0xd0, 0, version, 0x80, 0, (uint8_t)(options >> 8),
		(uint8_t)options);
}

/* The copy ends where the query ends, so that a sanitizer sees any read past it. */
static enum query_verdict read_copy(struct query *q, const struct draft *d, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, d->b, len);
	const enum query_verdict verdict = query_read(q, copy, len);
	free(copy);
	return verdict;
}

static enum query_verdict verdict_of(const struct draft *d)
{
	struct query q;
	return read_copy(&q, d, d->len);
}

static void a_plain_query_is_read_in_place(void **state)
{
	(void)state;
	const struct draft d = draft(0, 0, 0);
	struct query q;
	assert_int_equal(query_read(&q, d.b, d.len), QUERY_OK);
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.flags, FLAG_RD);
	assert_ptr_equal(q.name, d.b + 12);
	assert_int_equal(q.name_len, 4);
	assert_int_equal(q.question_len, 8);
	assert_int_equal(q.qtype, TYPE_A);
	assert_int_equal(q.qclass, CLASS_IN);
	assert_false(q.edns);
	assert_int_equal(q.udp_size, 512);
	assert_null(q.cookie);
}

static void edns_and_its_options_are_seen(void **state)
{
	(void)state;
	struct draft d = draft(0, 0, 1);
	add_opt(&d, 0, 4 + 4 + 8 + 4 + 12);
	ADD(&d, 0, OPTION_NSID, 0, 0);
	ADD(&d, 0, OPTION_COOKIE, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8);
	ADD(&d, 0, OPTION_KEEPALIVE, 0, 0);
	ADD(&d, 0, OPTION_PADDING, 0, 4, 0, 0, 0, 0);
	ADD(&d, 0, OPTION_ECS, 0, 0);
	/* 4 + 12 + 4 + 8 + 4 */
	struct query q;
	assert_int_equal(query_read(&q, d.b, d.len), QUERY_OK);
	assert_true(q.edns && q.dnssec_ok && q.wants_nsid && q.has_keepalive &&
		    q.has_padding);
	assert_int_equal(q.udp_size, 1232);
	assert_int_equal(q.cookie_len, 8);
	assert_int_equal(q.cookie[0], 1);
}

/* So that the error is padded, too. */
static void padding_is_seen_where_the_rest_is_refused(void **state)
{
	(void)state;
	struct query q;
	for (unsigned version = 0; version < 2; version++) {
		struct draft d = draft(0, 0, 1);
		const size_t at = d.len;
		add_opt(&d, 0, 4 + 7 + 4 + 4 + 4);
		d.b[at + 6] = (uint8_t)version;
		ADD(&d, 0, OPTION_COOKIE, 0, 7, 1, 2, 3, 4, 5, 6, 7);
		ADD(&d, 0, OPTION_NSID, 0, 0);
		ADD(&d, 0, OPTION_PADDING, 0, 4, 0, 0, 0, 0);
		assert_int_equal(read_copy(&q, &d, d.len),
			version ? QUERY_BADVERS : QUERY_FORMERR);
		assert_true(q.edns && q.has_padding);
		assert_false(q.wants_nsid);
	}
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	struct draft d = draft(0, 0, 1);
	add_opt(&d, 0, 12);
	ADD(&d, 0, OPTION_COOKIE, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8);
	assert_int_equal(verdict_of(&d), QUERY_OK);
	for (size_t len = 0; len < d.len; len++) {
		struct query q;
		assert_int_equal(
			read_copy(&q, &d, len), len < 12 ? QUERY_DROP : QUERY_FORMERR);
		assert_int_equal(q.question_len, len < 20 ? 0 : 8);
	}
}

/* Two servers that answer each other's errors never stop: Loop DoS. */
static void responses_and_noise_get_no_answer(void **state)
{
	(void)state;
	struct draft d = draft(0, 0, 0);
	d.b[2] |= 0x80;
	assert_int_equal(verdict_of(&d), QUERY_DROP);
	d.b[2] |= 0x28; /* whatever opcode */
	assert_int_equal(verdict_of(&d), QUERY_DROP);
}

static void other_opcodes_are_not_implemented(void **state)
{
	(void)state;
	for (uint8_t opcode = 1; opcode < 16; opcode++) {
		struct draft d = draft(0, 0, 0);
		struct query q;
		d.b[2] = (uint8_t)(opcode << 3);
		d.len = opcode % 2 ? d.len : 12; /* the question does not matter */
		assert_int_equal(read_copy(&q, &d, d.len), QUERY_NOTIMP);
		assert_int_equal(q.id, 0x1234);
		assert_int_equal(q.flags, opcode << 11);
		assert_null(q.name);
	}
}

static void there_is_exactly_one_question(void **state)
{
	(void)state;
	struct draft d = draft(0, 0, 0);
	d.b[5] = 0;
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
	d.b[5] = 2;
	ADD(&d, 0, 0, 1, 0, 1);
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
}

static void a_pointer_in_the_question_is_malformed(void **state)
{
	(void)state;
	struct draft d = { .len = 0 };
	ADD(&d, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1);
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
}

static void promised_records_must_come_and_no_others(void **state)
{
	(void)state;
	struct draft d = draft(0, 0, 0);
	ADD(&d, 0);
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
	d = draft(0, 0, 0);
	memset(d.b + 6, 0xff, 6); /* 65,535 in each section */
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
}

static void records_that_a_query_may_carry_are_stepped_over(void **state)
{
	(void)state;
	struct draft d = draft(1, 1, 2);
	for (int i = 0; i < 2; i++) /* IXFR clients send a SOA; here an A that points */
		ADD(&d, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4);
	add_opt(&d, 0, 0);
	ADD(&d, 0, 0, TYPE_TSIG, 0, 255, 0, 0, 0, 0, 0, 0);
	struct query q;
	assert_int_equal(read_copy(&q, &d, d.len), QUERY_OK);
	assert_true(q.edns);
}

static void opt_stands_alone_at_the_root_in_additional(void **state)
{
	(void)state;
	struct draft d = draft(0, 0, 2);
	add_opt(&d, 0, 0);
	add_opt(&d, 0, 0);
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
	d = draft(1, 0, 0);
	add_opt(&d, 0, 0);
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
	d = draft(0, 1, 0);
	add_opt(&d, 0, 0);
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
	d = draft(0, 0, 1);
	ADD(&d, 1, 'x', 0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(verdict_of(&d), QUERY_FORMERR);
}

static void small_sizes_count_as_512(void **state)
{
	(void)state;
	struct draft d = draft(0, 0, 1);
	struct query q;
	ADD(&d, 0, 0, 41, 0, 1, 0, 0, 0, 0, 0, 0);
	assert_int_equal(read_copy(&q, &d, d.len), QUERY_OK);
	assert_int_equal(q.udp_size, 512);
	assert_false(q.dnssec_ok);
}

static void a_later_version_of_edns_is_said_whatever_its_options(void **state)
{
	(void)state;
	struct draft d = draft(0, 0, 1);
	struct query q;
	add_opt(&d, 1, 3);
	ADD(&d, 9, 9, 9);
	assert_int_equal(read_copy(&q, &d, d.len), QUERY_BADVERS);
	assert_int_equal(q.edns_version, 1);
	assert_int_equal(q.question_len, 8);
	d.b[26] = 0;
	assert_int_equal(read_copy(&q, &d, d.len), QUERY_FORMERR);
	assert_true(q.edns);
}

static void cookies_have_the_right_length(void **state)
{
	(void)state;
	for (uint8_t len = 0; len < 60; len++) {
		struct draft d = draft(0, 0, 1);
		const uint8_t data[60] = { 0 };
		struct query q;
		add_opt(&d, 0, (uint16_t)(4 + len));
		ADD(&d, 0, OPTION_COOKIE, 0, len);
		add(&d, data, len);
		const bool good = len == 8 || (len >= 16 && len <= 40);
		assert_int_equal(
			read_copy(&q, &d, d.len), good ? QUERY_OK : QUERY_FORMERR);
		assert_int_equal(q.cookie_len, good ? len : 0);
	}
}

/* RFC 7873 section 5.4 */
static void no_question_but_a_cookie_asks_for_ours(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 3; how++) {
		struct draft d = draft(0, 0, how > 0);
		struct query q;
		d.b[5] = 0;
		d.len = 12;
		if (how)
			add_opt(&d, 0, how == 2 ? 12 : 0);
		if (how == 2)
			ADD(&d, 0, OPTION_COOKIE, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8);
		assert_int_equal(read_copy(&q, &d, d.len),
			how == 2 ? QUERY_COOKIE : QUERY_FORMERR);
		assert_int_equal(q.question_len, 0);
		assert_null(q.name);
	}
}

static void too_many_options_are_malformed(void **state)
{
	(void)state;
	for (uint16_t count = LIMIT_EDNS_OPTIONS; count <= LIMIT_EDNS_OPTIONS + 1;
		count++) {
		struct draft d = draft(0, 0, 1);
		add_opt(&d, 0, (uint16_t)(4 * count));
		for (uint16_t i = 0; i < count; i++)
			ADD(&d, 0xff, 0, 0, 0);
		assert_int_equal(verdict_of(&d),
			count == LIMIT_EDNS_OPTIONS ? QUERY_OK : QUERY_FORMERR);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_query_is_read_in_place),
		cmocka_unit_test(edns_and_its_options_are_seen),
		cmocka_unit_test(padding_is_seen_where_the_rest_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(responses_and_noise_get_no_answer),
		cmocka_unit_test(other_opcodes_are_not_implemented),
		cmocka_unit_test(there_is_exactly_one_question),
		cmocka_unit_test(a_pointer_in_the_question_is_malformed),
		cmocka_unit_test(promised_records_must_come_and_no_others),
		cmocka_unit_test(records_that_a_query_may_carry_are_stepped_over),
		cmocka_unit_test(opt_stands_alone_at_the_root_in_additional),
		cmocka_unit_test(small_sizes_count_as_512),
		cmocka_unit_test(a_later_version_of_edns_is_said_whatever_its_options),
		cmocka_unit_test(cookies_have_the_right_length),
		cmocka_unit_test(no_question_but_a_cookie_asks_for_ours),
		cmocka_unit_test(too_many_options_are_malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
