/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/lower.h"

/* Each call has a buffer of its own, a few calls long. */
static const uint8_t *name(const char *text)
{
	static uint8_t bufs[4][NAME_MAX_LEN];
	static unsigned turn;
	uint8_t *buf = bufs[turn++ % 4];
	assert_int_not_equal(name_from_text(buf, text), 0);
	return buf;
}

/* Labels of 63, 63, 63 and `last` bytes: 255 bytes in all if that is 61. */
static size_t long_name(uint8_t out[300], unsigned last)
{
	size_t len = 0;
	for (int i = 0; i < 4; i++) {
		const unsigned size = i < 3 ? 63 : last;
		out[len++] = (uint8_t)size;
		memset(out + len, 'a' + i, size);
		len += size;
	}
	out[len++] = 0;
	return len;
}

static void a_name_has_255_bytes_and_not_one_more(void **state)
{
	(void)state;
	uint8_t buf[300], out[NAME_MAX_LEN];
	char text[NAME_TEXT_MAX];
	assert_int_equal(long_name(buf, 61), 255);
	assert_int_equal(name_check(buf, sizeof(buf)), 255);
	assert_int_equal(name_check(buf, 254), 0);
	assert_int_equal(name_from_text(out, name_to_text(buf, text)), 255);
	assert_true(name_equal_case(out, buf));

	struct cursor c = cursor_over(buf, 255);
	assert_int_equal(name_read(&c, buf, out), 255);

	const size_t len = long_name(buf, 62);
	assert_int_equal(len, 256);
	assert_int_equal(name_check(buf, len), 0);
	c = cursor_over(buf, len);
	assert_int_equal(name_read(&c, buf, out), 0);
	assert_true(cursor_bad(&c));
	c = cursor_over(buf, len);
	assert_false(name_skip(&c));
	memset(text, 'a', sizeof(text));
	for (size_t i = 63; i < 255; i += 64)
		text[i] = '.';
	text[253] = 0;
	assert_int_equal(name_from_text(out, text), 255);
	text[253] = 'a';
	text[254] = 0;
	assert_int_equal(name_from_text(out, text), 0);
}

static void a_label_has_63_bytes_and_not_one_more(void **state)
{
	(void)state;
	uint8_t buf[80] = { 63 }, out[NAME_MAX_LEN];
	memset(buf + 1, 'x', 70);
	buf[64] = 0;
	assert_int_equal(name_check(buf, 65), 65);
	buf[0] = 64; /* RFC 1035 reserves 01 and 10 in the upper bits */
	buf[65] = 0;
	assert_int_equal(name_check(buf, 66), 0);
	buf[0] = 0x80;
	assert_int_equal(name_check(buf, 66), 0);

	char text[80];
	memset(text, 'x', sizeof(text));
	text[63] = 0;
	assert_int_equal(name_from_text(out, text), 65);
	text[63] = 'x';
	text[64] = 0;
	assert_int_equal(name_from_text(out, text), 0);
}

static void every_truncation_of_a_name_is_refused(void **state)
{
	(void)state;
	const uint8_t *whole = name("www.example.com");
	const size_t len = name_len(whole);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);
		memcpy(part, whole, cut);
		uint8_t out[NAME_MAX_LEN];
		assert_int_equal(name_check(part, cut), 0);
		struct cursor c = cursor_over(part, cut);
		assert_int_equal(name_read(&c, part, out), 0);
		c = cursor_over(part, cut);
		assert_false(name_skip(&c));
		free(part);
	}
}

static void pointers_are_followed_backwards_only(void **state)
{
	(void)state;
	/* 0: a.; 3: b -> 0; 7: to itself; 9: forward; 11: b -> 3 -> 0; 13: cut */
	static const uint8_t pkt[] = { 1, 'a', 0, 1, 'b', 0xc0, 0, 0xc0, 7, 0xc0, 11,
		0xc0, 3, 0xc0 };
	static const struct {
		size_t at;
		size_t len;
		const char *text;
	} rows[] = {
		{ 0, 3, "a." },
		{ 3, 5, "b.a." },
		{ 11, 5, "b.a." },
		{ 7, 0, NULL },
		{ 9, 0, NULL },
		{ 13, 0, NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cursor c =
			cursor_over(pkt + rows[i].at, sizeof(pkt) - rows[i].at);
		struct cursor v = c;
		uint8_t out[NAME_MAX_LEN];
		char text[NAME_TEXT_MAX];
		assert_int_equal(name_read(&c, pkt, out), rows[i].len);
		assert_int_equal(name_verify(&v, pkt), rows[i].len);
		assert_int_equal(cursor_bad(&c), !rows[i].len);
		if (rows[i].len)
			assert_string_equal(name_to_text(out, text), rows[i].text);
	}
}

/* "x" and a pointer to it: each turn is a label, until 255 bytes are full. */
static void a_loop_of_labels_and_pointers_ends(void **state)
{
	(void)state;
	static const uint8_t pkt[] = { 1, 'x', 0xc0, 0 };
	uint8_t out[NAME_MAX_LEN];
	struct cursor c = cursor_over(pkt, sizeof(pkt));
	assert_int_equal(name_read(&c, pkt, out), 0);
	assert_true(cursor_bad(&c));
}

/* Thousands of hops for a name of two bytes would be CPU time for nothing. */
static void a_long_chain_of_pointers_is_refused(void **state)
{
	(void)state;
	static uint8_t pkt[2 + 2 * 5000] = { 0, 0 };
	for (size_t at = 2; at < sizeof(pkt); at += 2) {
		pkt[at] = (uint8_t)(0xc0 | (at - 2) >> 8);
		pkt[at + 1] = (uint8_t)(at - 2);
	}
	uint8_t out[NAME_MAX_LEN];
	struct cursor c = cursor_over(pkt + 200, sizeof(pkt) - 200);
	assert_int_equal(name_read(&c, pkt, out), 1);
	c = cursor_over(pkt + 2 * 5000, 2);
	assert_int_equal(name_read(&c, pkt, out), 0);
}

static void reading_goes_on_behind_the_pointer(void **state)
{
	(void)state;
	static const uint8_t pkt[] = { 1, 'a', 0, 1, 'b', 0xc0, 0, 0xee };
	uint8_t out[NAME_MAX_LEN];
	struct cursor c = cursor_over(pkt + 3, sizeof(pkt) - 3), skip = c;
	name_read(&c, pkt, out);
	assert_int_equal(cursor_u8(&c), 0xee);
	assert_true(name_skip(&skip));
	assert_int_equal(cursor_u8(&skip), 0xee);
}

static void case_is_kept_and_ignored(void **state)
{
	(void)state;
	assert_true(name_equal(name("WwW.eXample.COM"), name("www.example.com")));
	assert_false(name_equal_case(name("WwW.example.com"), name("www.example.com")));
	assert_false(name_equal(name("www.example.com"), name("www.example.org")));
	assert_false(name_equal(name("www.example"), name("www.example.com")));
	/* '@' and '`', '[' and '{' stand 32 apart and are no letters */
	assert_false(name_equal(name("\\@\\@\\@\\@\\@\\@\\@\\@"), name("````````")));
	assert_false(name_equal(name("[[[[[[[["), name("{{{{{{{{")));
	uint8_t low[NAME_MAX_LEN];
	name_copy_lower(low, name("AZ[\\@\\200.Q"));
	assert_true(name_equal_case(low, name("az[\\@\\200.q")));
}

static void word_and_byte_lowering_agree(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		uint8_t bytes[8], want[8];
		for (unsigned k = 0; k < 8; k++) {
			bytes[k] = (uint8_t)(i + k * 31);
			want[k] = lower_table[bytes[k]];
		}
		uint64_t w;
		memcpy(&w, bytes, 8);
		w = lower_word(w);
		assert_memory_equal(&w, want, 8);
		assert_int_equal(lower_table[i], i >= 'A' && i <= 'Z' ? i + 32 : i);
	}
}

static void within_is_by_labels_not_by_letters(void **state)
{
	(void)state;
	assert_true(name_within(name("a.example.com"), name("EXAMPLE.com")));
	assert_true(name_within(name("example.com"), name("example.com")));
	assert_true(name_within(name("example.com"), name(".")));
	assert_true(name_within(name("."), name(".")));
	assert_false(name_within(name("notexample.com"), name("example.com")));
	assert_false(name_within(name("com"), name("example.com")));
	assert_false(name_within(name("."), name("com")));
	/* the bytes of "\003com" end this name too, but not as a label of its own */
	assert_false(name_within(name("x\\003com"), name("com")));
}

static void labels_are_counted_and_stripped(void **state)
{
	(void)state;
	uint8_t n[NAME_MAX_LEN];
	name_from_text(n, "a.b.c");
	assert_int_equal(name_labels(n), 3);
	assert_int_equal(name_labels(name(".")), 0);
	assert_true(name_equal(name_parent(n), name("b.c")));
	assert_true(name_is_root(name_parent(name("."))));
	assert_true(name_equal(name_strip(n, 2), name("c")));
	assert_true(name_is_root(name_strip(n, 3)));
	assert_true(name_is_root(name_strip(n, 100)));
	assert_int_equal(name_common_labels(n, name("x.B.C")), 2);
	assert_int_equal(name_common_labels(n, name("c")), 1);
	assert_int_equal(name_common_labels(n, name("a.b")), 0);
	assert_int_equal(name_common_labels(n, n), 3);
	assert_int_equal(name_common_labels(name("."), n), 0);
	assert_true(name_is_wildcard(name("*.example")));
	assert_false(name_is_wildcard(name("*a.example")));
	uint8_t wildcard[NAME_MAX_LEN];
	name_make_wildcard(wildcard, name("a.b.example"), 1);
	assert_true(name_equal(wildcard, name("*.example")));
	name_make_wildcard(wildcard, name("a.b.example"), 2);
	assert_true(name_equal(wildcard, name("*.b.example")));
	name_make_wildcard(wildcard, name("example"), 0);
	assert_true(name_equal(wildcard, name("*")));
	uint8_t deep[NAME_MAX_LEN];
	for (size_t i = 0; i < 254; i += 2) {
		deep[i] = 1;
		deep[i + 1] = 'x';
	}
	deep[254] = 0;
	assert_int_equal(name_labels(deep), NAME_LABELS_MAX);
	assert_int_equal(name_common_labels(deep, deep), NAME_LABELS_MAX);
	assert_int_equal(name_order(deep, deep), 0);
}

/* The example of RFC 4034 section 6.1. */
static void the_order_is_the_canonical_one(void **state)
{
	(void)state;
	static const char *const sorted[] = { "example", "a.example",
		"yljkjljk.a.example", "Z.a.example", "zABC.a.EXAMPLE", "z.example",
		"\\001.z.example", "*.z.example", "\\200.z.example" };
	enum { COUNT = sizeof(sorted) / sizeof(sorted[0]) };
	for (int i = 0; i < COUNT; i++)
		for (int k = 0; k < COUNT; k++) {
			const int order = name_order(name(sorted[i]), name(sorted[k]));
			assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
		}
}

static void a_suffix_is_replaced_below_the_owner_only(void **state)
{
	(void)state;
	uint8_t out[NAME_MAX_LEN], big[300];
	assert_int_equal(
		name_replace_suffix(out, name("a.b.old"), name("OLD"), name("new.x")),
		11);
	assert_true(name_equal(out, name("a.b.new.x")));
	assert_int_equal(name_replace_suffix(out, name("a"), name("."), name("x")), 5);
	assert_int_equal(
		name_replace_suffix(out, name("old"), name("old"), name("x")), 0);
	assert_int_equal(
		name_replace_suffix(out, name("a.other"), name("old"), name("x")), 0);
	long_name(big, 59); /* 253 bytes: room for one more of two */
	assert_int_equal(
		name_replace_suffix(out, name("a.old"), name("old"), big), 255);
	assert_int_equal(name_replace_suffix(out, name("ab.old"), name("old"), big), 0);
}

static void text_goes_there_and_back(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
		{ ".", "." },
		{ "a", "a." },
		{ "WWW.Example.", "WWW.Example." },
		{ "a\\.b.c", "a\\.b.c." },
		{ "\\097", "a." },
		{ "\\000\\255", "\\000\\255." },
		{ "a b", "a\\032b." },
		{ "_dmarc.x-y", "_dmarc.x-y." },
		{ "\\\\", "\\\\." },
		{ "(;)\"@$", "\\(\\;\\)\\\"\\@\\$." },
	};
	char text[NAME_TEXT_MAX];
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		name_to_text(name(pairs[i][0]), text);
		assert_string_equal(text, pairs[i][1]);
		assert_true(name_equal_case(name(text), name(pairs[i][0])));
	}
	static const char *const bad[] = { "", "..", ".a", "a..b", "a..", "\\", "a\\",
		"\\25", "\\256", "\\2x5", "\\999" };
	uint8_t out[NAME_MAX_LEN];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(name_from_text(out, bad[i]), 0);
}

/* 255 bytes of which each takes four characters still fit the text buffer. */
static void the_longest_text_fits(void **state)
{
	(void)state;
	uint8_t buf[300], back[NAME_MAX_LEN];
	char text[NAME_TEXT_MAX];
	long_name(buf, 61);
	for (size_t i = 0; i < 254; i++)
		if (i % 64)
			buf[i] = 0xff;
	name_to_text(buf, text);
	assert_int_equal(strlen(text), 250 * 4 + 4);
	assert_int_equal(name_from_text(back, text), 255);
	assert_true(name_equal_case(back, buf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_255_bytes_and_not_one_more),
		cmocka_unit_test(a_label_has_63_bytes_and_not_one_more),
		cmocka_unit_test(every_truncation_of_a_name_is_refused),
		cmocka_unit_test(pointers_are_followed_backwards_only),
		cmocka_unit_test(a_loop_of_labels_and_pointers_ends),
		cmocka_unit_test(a_long_chain_of_pointers_is_refused),
		cmocka_unit_test(reading_goes_on_behind_the_pointer),
		cmocka_unit_test(case_is_kept_and_ignored),
		cmocka_unit_test(word_and_byte_lowering_agree),
		cmocka_unit_test(within_is_by_labels_not_by_letters),
		cmocka_unit_test(labels_are_counted_and_stripped),
		cmocka_unit_test(the_order_is_the_canonical_one),
		cmocka_unit_test(a_suffix_is_replaced_below_the_owner_only),
		cmocka_unit_test(text_goes_there_and_back),
		cmocka_unit_test(the_longest_text_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
