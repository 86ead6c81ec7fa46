/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void feed(struct lines *l, const char *text)
{
	size_t room;
	char *at = lines_space(l, &room);
	assert_true(strlen(text) <= room);
	memcpy(at, text, strlen(text));
	lines_added(l, strlen(text));
}

static void expect(struct lines *l, enum line_kind kind, const char *want)
{
	char *text;
	size_t len;
	assert_int_equal(lines_next(l, &text, &len), kind);
	if (kind != LINE_NONE) {
		assert_string_equal(text, want);
		assert_int_equal(len, strlen(want));
	}
}

static void lines_come_out_whole_however_they_went_in(void **state)
{
	(void)state;
	const char *stream = "one\ntwo\r\n\nfour\n";
	for (size_t cut = 0; cut <= strlen(stream); cut++) {
		struct lines l;
		char got[64] = "", *text;
		size_t len;
		assert_true(lines_init(&l, 8));
		for (int half = 0; half < 2; half++) {
			char part[64] = "";
			if (half)
				strcpy(part, stream + cut);
			else
				memcpy(part, stream, cut);
			feed(&l, part);
			while (lines_next(&l, &text, &len) == LINE_WHOLE) {
				strcat(got, text);
				strcat(got, "|");
			}
		}
		assert_string_equal(got, "one|two||four|");
		lines_fini(&l);
	}
}

static void lines_longer_than_the_bound_come_in_parts(void **state)
{
	(void)state;
	struct lines l;
	assert_true(lines_init(&l, 4));
	feed(&l, "abcdefghij\nxyz\n1234\n12345");
	expect(&l, LINE_PART, "abcd");
	expect(&l, LINE_PART, "efgh");
	expect(&l, LINE_WHOLE, "ij");
	expect(&l, LINE_WHOLE, "xyz");
	expect(&l, LINE_WHOLE, "1234");
	expect(&l, LINE_PART, "1234");
	expect(&l, LINE_NONE, "");
	feed(&l, "6\n");
	expect(&l, LINE_WHOLE, "56");
	expect(&l, LINE_NONE, "");
	lines_fini(&l);
}

static void lines_rest_gives_what_was_cut_off_by_the_end(void **state)
{
	(void)state;
	struct lines l;
	char *text;
	size_t len;
	assert_true(lines_init(&l, 16));
	feed(&l, "whole\nlast wor");
	expect(&l, LINE_WHOLE, "whole");
	expect(&l, LINE_NONE, "");
	assert_int_equal(lines_rest(&l, &text, &len), LINE_WHOLE);
	assert_string_equal(text, "last wor");
	assert_int_equal(lines_rest(&l, &text, &len), LINE_NONE);
	lines_fini(&l);
}

static void lines_always_have_room_after_all_was_read(void **state)
{
	(void)state;
	struct lines l;
	char *text;
	size_t len, room;
	assert_true(lines_init(&l, 3));
	for (int i = 0; i < 1000; i++) {
		char *at = lines_space(&l, &room);
		assert_true(room > 0);
		memset(at, 'a', room);
		lines_added(&l, room);
		while (lines_next(&l, &text, &len) != LINE_NONE)
			assert_true(len <= 3);
	}
	lines_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_out_whole_however_they_went_in),
		cmocka_unit_test(lines_longer_than_the_bound_come_in_parts),
		cmocka_unit_test(lines_rest_gives_what_was_cut_off_by_the_end),
		cmocka_unit_test(lines_always_have_room_after_all_was_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
