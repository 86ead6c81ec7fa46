/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t len = 0;
	for (; hex[0]; hex += 2, len++) {
		unsigned byte = 0;
		for (int i = 0; i < 2; i++)
			byte = byte << 4 |
			       (unsigned)(hex[i] <= '9' ? hex[i] - '0'
							: hex[i] - 'a' + 10);
		out[len] = (uint8_t)byte;
	}
	return len;
}

static struct cookie_secrets secrets_of(const char *first, const char *second)
{
	struct cookie_secrets s = { .count = second ? 2 : 1 };
	uint8_t bytes[COOKIE_SECRET_LEN];
	assert_int_equal(from_hex(first, bytes), sizeof(bytes));
	s.key[0] = cookie_key(bytes);
	if (second) {
		from_hex(second, bytes);
		s.key[1] = cookie_key(bytes);
	}
	return s;
}

#define SECRET "e5e973e5a6b2a43f48e7dc849e37bfcf"

static enum cookie_verdict judge(const struct cookie_secrets *s, const char *hex,
	const char *client, uint32_t now_s, uint8_t reply[static COOKIE_FULL_LEN])
{
	uint8_t cookie[COOKIE_MAX_LEN];
	struct addr from;
	const size_t len = from_hex(hex, cookie);
	assert_true(addr_from_text(&from, client, 53));
	return cookie_judge(s, cookie, len, &from, now_s, reply);
}

/* RFC 9018 appendix A */
static void cookies_are_those_of_the_rfc(void **state)
{
	(void)state;
	static const struct {
		const char *secret, *before, *client, *query;
		uint32_t now_s;
		enum cookie_verdict verdict;
		const char *reply;
	} rows[] = {
		{ SECRET, NULL, "198.51.100.100", "2464c4abcf10c957", 1559731985,
			COOKIE_NEW,
			"2464c4abcf10c957010000005cf79f111f8130c3eee29480" },
		{ SECRET, NULL, "198.51.100.100",
			"2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559734385,
			COOKIE_GOOD,
			"2464c4abcf10c957010000005cf7a871d4a564a1442aca77" },
		/* reserved bytes that are not zero count as they are */
		{ SECRET, NULL, "203.0.113.203",
			"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559727985,
			COOKIE_GOOD,
			"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5" },
		/* and one that is renewed has none */
		{ SECRET, NULL, "203.0.113.203",
			"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559734700,
			COOKIE_BAD, NULL },
		{ "445536bcd2513298075a5d379663c962",
			"dd3bdf9344b678b185a6f5cb60fca715",
			"2001:db8:220:1:59de:d0f4:8769:82b8",
			"22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961,
			COOKIE_GOOD, NULL },
		{ "445536bcd2513298075a5d379663c962", NULL,
			"2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298",
			1559741961, COOKIE_NEW,
			"22681ab97d52c298010000005cf7c609a6bb79d16625507a" },
		/* whose secret is gone */
		{ "445536bcd2513298075a5d379663c962", NULL,
			"2001:db8:220:1:59de:d0f4:8769:82b8",
			"22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961,
			COOKIE_BAD,
			"22681ab97d52c298010000005cf7c609a6bb79d16625507a" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cookie_secrets s =
			secrets_of(rows[i].secret, rows[i].before);
		uint8_t reply[COOKIE_FULL_LEN], want[COOKIE_FULL_LEN];
		assert_int_equal(
			judge(&s, rows[i].query, rows[i].client, rows[i].now_s, reply),
			rows[i].verdict);
		if (!rows[i].reply)
			continue;
		from_hex(rows[i].reply, want);
		assert_memory_equal(reply, want, sizeof(want));
	}
}

static void a_cookie_is_good_for_an_hour_and_renewed_after_half(void **state)
{
	(void)state;
	static const char cookie[] = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
	const struct cookie_secrets s = secrets_of(SECRET, NULL);
	const uint32_t made = 1559731985;
	static const struct {
		int32_t after_s;
		enum cookie_verdict verdict;
		bool renewed;
	} rows[] = {
		{ 0, COOKIE_GOOD, false },
		{ 1799, COOKIE_GOOD, false },
		{ 1800, COOKIE_GOOD, true },
		{ 3600, COOKIE_GOOD, true },
		{ 3601, COOKIE_BAD, true },
		{ -300, COOKIE_GOOD, false },
		{ -301, COOKIE_BAD, true },
		{ INT32_MAX, COOKIE_BAD, true },
		{ INT32_MIN, COOKIE_BAD, true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t reply[COOKIE_FULL_LEN], same[COOKIE_FULL_LEN];
		const uint32_t now_s = made + (uint32_t)rows[i].after_s;
		assert_int_equal(judge(&s, cookie, "198.51.100.100", now_s, reply),
			rows[i].verdict);
		from_hex(cookie, same);
		assert_int_equal(
			memcmp(reply, same, sizeof(same)) != 0, rows[i].renewed);
	}
}

static void a_changed_bit_or_another_client_is_bad(void **state)
{
	(void)state;
	const struct cookie_secrets s = secrets_of(SECRET, NULL);
	struct addr client, other;
	addr_from_text(&client, "198.51.100.100", 53);
	addr_from_text(&other, "198.51.100.101", 53);
	uint8_t cookie[COOKIE_MAX_LEN] = { 0 }, reply[COOKIE_FULL_LEN];
	cookie_judge(&s, cookie, COOKIE_CLIENT_LEN, &client, 1000000, cookie);
	for (size_t len = 16; len <= COOKIE_MAX_LEN; len++)
		assert_int_equal(cookie_judge(&s, cookie, len, &client, 1000000, reply),
			len == COOKIE_FULL_LEN ? COOKIE_GOOD : COOKIE_BAD);
	assert_int_equal(
		cookie_judge(&s, cookie, COOKIE_FULL_LEN, &other, 1000000, reply),
		COOKIE_BAD);
	for (unsigned bit = 0; bit < 8 * COOKIE_FULL_LEN; bit++) {
		cookie[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(cookie_judge(&s, cookie, COOKIE_FULL_LEN, &client,
					 1000000, reply),
			COOKIE_BAD);
		/* what comes back is good */
		assert_int_equal(cookie_judge(&s, reply, COOKIE_FULL_LEN, &client,
					 1000000, reply),
			COOKIE_GOOD);
		cookie[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void each_server_sees_another_client_cookie(void **state)
{
	(void)state;
	const struct hash_key key = { 1, 2 }, next_day = { 3, 2 };
	struct addr a, b;
	addr_from_text(&a, "192.0.2.1", 53);
	addr_from_text(&b, "192.0.2.2", 53);
	uint8_t one[COOKIE_CLIENT_LEN], two[COOKIE_CLIENT_LEN];
	cookie_client(&key, &a, 7, one);
	cookie_client(&key, &a, 7, two);
	assert_memory_equal(one, two, sizeof(one));
	cookie_client(&key, &b, 7, two);
	assert_memory_not_equal(one, two, sizeof(one));
	cookie_client(&key, &a, 8, two);
	assert_memory_not_equal(one, two, sizeof(one));
	cookie_client(&next_day, &a, 7, two);
	assert_memory_not_equal(one, two, sizeof(one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookies_are_those_of_the_rfc),
		cmocka_unit_test(a_cookie_is_good_for_an_hour_and_renewed_after_half),
		cmocka_unit_test(a_changed_bit_or_another_client_is_bad),
		cmocka_unit_test(each_server_sees_another_client_cookie),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
