/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"

struct draft {
	size_t len;
	uint8_t b[LIMIT_PROXY_HEADER + 64];
};

/* Signature, command, family, length of `more` zeros behind the addresses. */
static struct draft draft(uint8_t command, uint8_t family, size_t rest)
{
	struct draft d = { .len = 16 + rest };
	memcpy(d.b, proxy_signature, PROXY_SIGNATURE_LEN);
	d.b[12] = command;
	d.b[13] = family;
	d.b[14] = (uint8_t)(rest >> 8);
	d.b[15] = (uint8_t)rest;
	return d;
}

static struct draft v4(uint8_t family, size_t rest)
{
	static const uint8_t addresses[] = { 192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34,
		0, 53 };
	struct draft d = draft(0x21, family, rest);
	memcpy(d.b + 16, addresses,
		rest < sizeof(addresses) ? rest : sizeof(addresses));
	return d;
}

static void a_client_of_either_family_is_read(void **state)
{
	(void)state;
	char text[ADDR_TEXT_MAX];
	struct proxy_header h;
	for (uint8_t family = 0x11; family <= 0x12; family++) {
		const struct draft d = v4(family, 12);
		assert_int_equal(proxy_read(&h, d.b, d.len + 5), PROXY_CLIENT);
		assert_int_equal(h.len, 28);
		assert_string_equal(addr_to_text(&h.from, text), "192.0.2.1@4660");
		assert_string_equal(addr_to_text(&h.to, text), "198.51.100.2@53");
	}
	struct draft d = draft(0x21, 0x22, 36);
	d.b[16] = 0x20;
	d.b[17] = 1;
	d.b[31] = 7;
	memset(d.b + 32 + 10, 0xff, 2);
	d.b[47] = 9;
	d.b[49] = 77;
	d.b[51] = 53;
	assert_int_equal(proxy_read(&h, d.b, d.len), PROXY_CLIENT);
	assert_string_equal(addr_to_text(&h.from, text), "2001::7@77");
	assert_string_equal(addr_to_text(&h.to, text), "0.0.0.9@53"); /* mapped */
}

static void every_truncation_asks_for_more(void **state)
{
	(void)state;
	struct proxy_header h;
	const struct draft d = v4(0x12, 12);
	assert_int_equal(proxy_read(&h, d.b, 0), PROXY_NONE);
	for (size_t len = 1; len < d.len; len++)
		assert_int_equal(proxy_read(&h, d.b, len), PROXY_MORE);
}

static void what_is_no_header_is_told_at_once(void **state)
{
	(void)state;
	struct proxy_header h;
	for (size_t i = 0; i < PROXY_SIGNATURE_LEN; i++) {
		struct draft d = v4(0x11, 12);
		d.b[i] ^= 1;
		for (size_t len = i + 1; len <= d.len; len++)
			assert_int_equal(proxy_read(&h, d.b, len), PROXY_NONE);
	}
}

static void version_1_is_told(void **state)
{
	(void)state;
	static const uint8_t line[] = "PROXY TCP4 192.0.2.1 198.51.100.2 4660 53\r\n";
	struct proxy_header h;
	for (size_t len = 1; len < sizeof(line); len++) {
		assert_int_equal(
			proxy_read(&h, line, len), len < 6 ? PROXY_NONE : PROXY_BAD);
		assert_int_equal(proxy_is_header(line, len), len >= 6);
	}
}

static void commands_families_and_lengths_are_judged(void **state)
{
	(void)state;
	static const struct {
		uint8_t command, family;
		size_t rest;
		enum proxy_verdict verdict;
	} rows[] = {
		{ 0x20, 0x00, 0, PROXY_LOCAL },
		{ 0x20, 0x11, 12, PROXY_LOCAL },
		{ 0x20, 0xff, 3, PROXY_LOCAL },
		{ 0x21, 0x00, 0, PROXY_LOCAL },
		{ 0x21, 0x00, 20, PROXY_LOCAL },
		{ 0x22, 0x11, 12, PROXY_BAD },
		{ 0x11, 0x11, 12, PROXY_BAD }, /* version 1 */
		{ 0x31, 0x11, 12, PROXY_BAD },
		{ 0x21, 0x10, 12, PROXY_BAD },
		{ 0x21, 0x13, 12, PROXY_BAD },
		{ 0x21, 0x01, 12, PROXY_BAD },
		{ 0x21, 0x31, 216, PROXY_LOCAL }, /* a UNIX socket's path */
		{ 0x21, 0x32, 216, PROXY_LOCAL },
		{ 0x21, 0x30, 216, PROXY_BAD },
		{ 0x21, 0x41, 36, PROXY_BAD },
		{ 0x21, 0x11, 0, PROXY_BAD },
		{ 0x21, 0x11, 11, PROXY_BAD },
		{ 0x21, 0x21, 12, PROXY_BAD },
		{ 0x21, 0x21, 35, PROXY_BAD },
		{ 0x21, 0x11, 13, PROXY_BAD }, /* a cut-off value */
		{ 0x21, 0x11, 14, PROXY_BAD },
		{ 0x21, 0x11, 15, PROXY_CLIENT },
		{ 0x21, 0x11, 12 + 3 * 300, PROXY_CLIENT },
		{ 0x20, 0x00, LIMIT_PROXY_HEADER - 16, PROXY_LOCAL },
		{ 0x20, 0x00, LIMIT_PROXY_HEADER - 15, PROXY_BAD },
		{ 0x21, 0x11, 65535, PROXY_BAD },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proxy_header h;
		struct draft d = draft(rows[i].command, rows[i].family, rows[i].rest);
		const size_t len = d.len < sizeof(d.b) ? d.len : sizeof(d.b);
		assert_int_equal(proxy_read(&h, d.b, len), rows[i].verdict);
		/* too long is told by the first 16 bytes */
		if (rows[i].rest > LIMIT_PROXY_HEADER)
			assert_int_equal(proxy_read(&h, d.b, 16), PROXY_BAD);
	}
}

static void values_are_walked(void **state)
{
	(void)state;
	struct proxy_header h;
	struct draft d = v4(0x11, 12 + 3 + 5 + 3);
	d.b[28] = 0x01;
	d.b[30] = 5;    /* ALPN of 5 bytes */
	d.b[36] = 0x04; /* NOOP, empty */
	assert_int_equal(proxy_read(&h, d.b, d.len), PROXY_CLIENT);
	d.b[30] = 6;
	assert_int_equal(proxy_read(&h, d.b, d.len), PROXY_BAD);
	d.b[29] = 0xff;
	assert_int_equal(proxy_read(&h, d.b, d.len), PROXY_BAD);
}

static void a_connection_gives_its_header_and_nothing_more(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 40; piece++) {
		int pair[2];
		struct proxy_header h;
		char rest[16];
		struct draft d = v4(0x11, 12);
		memcpy(d.b + d.len, "hello", 5);
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		struct proxy_reader *r = proxy_reader_new();
		enum proxy_verdict verdict = proxy_reader_step(r, pair[0], &h);
		assert_int_equal(verdict, PROXY_MORE);
		for (size_t at = 0; at < d.len + 5; at += piece) {
			size_t len = d.len + 5 - at;
			len = len < piece ? len : piece;
			assert_int_equal(write(pair[1], d.b + at, len), len);
			if (verdict == PROXY_MORE)
				verdict = proxy_reader_step(r, pair[0], &h);
		}
		assert_int_equal(verdict, PROXY_CLIENT);
		assert_int_equal(h.from.port, 4660);
		assert_int_equal(read(pair[0], rest, sizeof(rest)), 5);
		assert_memory_equal(rest, "hello", 5);
		proxy_reader_free(r);
		close(pair[0]);
		close(pair[1]);
	}
}

static void a_connection_without_header_is_left_alone(void **state)
{
	(void)state;
	int pair[2];
	char rest[16];
	struct proxy_header h;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	struct proxy_reader *r = proxy_reader_new();
	assert_int_equal(write(pair[1], "\x16\x03", 2), 2);
	assert_int_equal(proxy_reader_step(r, pair[0], &h), PROXY_NONE);
	assert_int_equal(read(pair[0], rest, sizeof(rest)), 2);
	close(pair[1]);
	assert_int_equal(proxy_reader_step(r, pair[0], &h), PROXY_NONE);
	proxy_reader_free(r);
	close(pair[0]);
}

static void a_connection_that_ends_or_goes_wrong_is_bad(void **state)
{
	(void)state;
	for (size_t len = 1; len < 28; len++) {
		for (int change = 0; change < 2; change++) {
			int pair[2];
			struct proxy_header h;
			struct draft d = v4(0x11, 12);
			struct proxy_reader *r = proxy_reader_new();
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
			assert_int_equal(write(pair[1], d.b, len), len);
			assert_int_equal(proxy_reader_step(r, pair[0], &h), PROXY_MORE);
			if (change && len < PROXY_SIGNATURE_LEN)
				assert_int_equal(write(pair[1], "!", 1), 1);
			else
				close(pair[1]);
			assert_int_equal(proxy_reader_step(r, pair[0], &h), PROXY_BAD);
			if (change && len < PROXY_SIGNATURE_LEN)
				close(pair[1]);
			proxy_reader_free(r);
			close(pair[0]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_of_either_family_is_read),
		cmocka_unit_test(every_truncation_asks_for_more),
		cmocka_unit_test(what_is_no_header_is_told_at_once),
		cmocka_unit_test(version_1_is_told),
		cmocka_unit_test(commands_families_and_lengths_are_judged),
		cmocka_unit_test(values_are_walked),
		cmocka_unit_test(a_connection_gives_its_header_and_nothing_more),
		cmocka_unit_test(a_connection_without_header_is_left_alone),
		cmocka_unit_test(a_connection_that_ends_or_goes_wrong_is_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
