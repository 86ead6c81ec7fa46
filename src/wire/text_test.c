/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/codes.h"

static const struct {
	uint16_t type;
	uint16_t len;
	const char *rdata, *text;
} rows[] = {
	{ TYPE_A, 4, "\300\0\2\1", "192.0.2.1" },
	{ TYPE_A, 3, "\300\0\2", "\\# 3 C00002" },
	{ TYPE_AAAA, 16, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", "2001:db8::1" },
	{ TYPE_NS, 5, "\2ns\1x", "\\# 5 026E730178" },
	{ TYPE_NS, 6, "\2ns\1x\0", "ns.x." },
	{ TYPE_MX, 5, "\0\012\1m\0", "10 m." },
	{ TYPE_SOA, 26, "\1n\0\1h\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5",
		"n. h. 1 2 3 4 5" },
	{ TYPE_TXT, 9, "\3a\"b\0\3c d", "\"a\\\"b\" \"\" \"c d\"" },
	{ TYPE_TXT, 3, "\2\n\xff", "\"\\010\\255\"" },
	{ TYPE_TXT, 0, "", "\\# 0" },
	{ TYPE_SRV, 9, "\0\1\0\2\0\3\1s\0", "1 2 3 s." },
	{ TYPE_DS, 6, "\1\2\x0d\2\xab\xcd", "258 13 2 ABCD" },
	{ TYPE_DNSKEY, 8,
		"\1\1\3\x0d"
		"abcd",
		"257 3 13 YWJjZA==" },
	{ TYPE_NSEC, 11, "\1z\0\0\6\x40\0\0\0\0\3", "z. A RRSIG NSEC" },
	{ TYPE_NSEC3, 16, "\1\0\0\1\1\xab\5\xff\xff\xff\xff\xff\0\1\x40\0",
		"\\# 16 0100000101AB05FFFFFFFFFF00014000" },
	{ TYPE_NSEC3, 15, "\1\0\0\1\1\xab\5\xff\xff\xff\xff\xff\0\1\x40",
		"1 0 1 AB VVVVVVVV A" },
	{ TYPE_NSEC3PARAM, 5, "\1\0\0\0\0", "1 0 0 -" },
	{ TYPE_RRSIG, 22, "\0\1\x0d\2\0\0\0\x3c\x65\x92\0\x80\x65\x92\0\x80\0\7\1z\0x",
		"A 13 2 60 20240101000000 20240101000000 7 z. eA==" },
	{ 257, 10, "\0\5issuex;y", "0 \"issue\" \"x;y\"" },
	{ 65280, 2, "\1\2", "\\# 2 0102" },
};

static void every_row_reads_as_in_a_zone_file(void **state)
{
	(void)state;
	char buf[RDATA_TEXT_TYPICAL];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rdata_to_text(rows[i].type, (const uint8_t *)rows[i].rdata, rows[i].len,
			buf, sizeof(buf));
		assert_string_equal(buf, rows[i].text);
	}
}

static void what_does_not_fit_ends_in_dots(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t cap = 4; cap < 60; cap++) {
			char *buf = malloc(cap), whole[RDATA_TEXT_TYPICAL];
			const uint8_t *rdata = (const uint8_t *)rows[i].rdata;
			rdata_to_text(rows[i].type, rdata, rows[i].len, buf, cap);
			rdata_to_text(
				rows[i].type, rdata, rows[i].len, whole, sizeof(whole));
			if (strlen(whole) < cap)
				assert_string_equal(buf, whole);
			else
				assert_string_equal(buf + cap - 4, "...");
			free(buf);
		}
}

/* 65,535 empty strings: neither a deep stack nor a long walk. */
static void a_text_record_of_nothing_but_lengths_is_cut(void **state)
{
	(void)state;
	static const uint8_t zeros[65535];
	char buf[16];
	rdata_to_text(TYPE_TXT, zeros, sizeof(zeros), buf, sizeof(buf));
	assert_string_equal(buf, "\"\" \"\" \"\" \"\" ...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_reads_as_in_a_zone_file),
		cmocka_unit_test(what_does_not_fit_ends_in_dots),
		cmocka_unit_test(a_text_record_of_nothing_but_lengths_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
