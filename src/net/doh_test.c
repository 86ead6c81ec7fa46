/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/doh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static unsigned status_of(const char *path, const char *want)
{
	const uint8_t *dns;
	size_t len;
	const unsigned status =
		doh_path_read((const uint8_t *)path, strlen(path), &dns, &len);
	assert_int_equal(dns != NULL, want != NULL);
	if (want) {
		assert_int_equal(len, strlen(want));
		assert_memory_equal(dns, want, len);
	}
	return status;
}

static void path_is_read(void **state)
{
	(void)state;
	char longest[DOH_PATH_MAX + 2] = "/dns-query?dns=";
	assert_int_equal(status_of("/dns-query", NULL), 200);
	assert_int_equal(status_of("/dns-query?", NULL), 200);
	assert_int_equal(status_of("/dns-query?dns=AAAA", "AAAA"), 200);
	assert_int_equal(status_of("/dns-query?dns=", ""), 200);
	assert_int_equal(status_of("/dns-query?a=1&dns=AA&b", "AA"), 200);
	assert_int_equal(status_of("/dns-query?xdns=AA&&", NULL), 200);
	assert_int_equal(status_of("/dns-queryx", NULL), 404);
	assert_int_equal(status_of("/dns-query/", NULL), 404);
	assert_int_equal(status_of("/", NULL), 404);
	assert_int_equal(status_of("", NULL), 404);
	memset(longest + strlen(longest), 'A', sizeof(longest) - 1 - strlen(longest));
	assert_int_equal(status_of(longest, NULL), 414);
}

/* RFC 3986 section 6.2.2.2: what is unreserved, and nothing else. */
static void path_is_unescaped(void **state)
{
	(void)state;
	static const struct {
		const char *path, *plain;
	} rows[] = { { "/dns-query?dns=%41%61%39%2d%2D%5F", "/dns-query?dns=Aa9--_" },
		{ "/d%6Es%2dquery?d%6es=AA", "/dns-query?dns=AA" },
		{ "/dns-query?a=%26dns%3DAA", "/dns-query?a=%26dns%3DAA" },
		{ "/dns-query%3Fdns=AA%2FBB%00", "/dns-query%3Fdns=AA%2FBB%00" },
		{ "%2541", "%2541" }, { "%4", "%4" }, { "%", "%" },
		{ "%4g%g4", "%4g%g4" }, { "%%41", "%A" }, { "", "" } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint8_t out[64];
		const size_t len = doh_path_plain(
			(const uint8_t *)rows[i].path, strlen(rows[i].path), out);
		assert_int_equal(len, strlen(rows[i].plain));
		assert_memory_equal(out, rows[i].plain, len);
	}
}

static void base64url_of_rfc_4648_and_what_is_none(void **state)
{
	(void)state;
	static const struct {
		const char *text, *plain;
	} rows[] = { { "", "" }, { "Zg", "f" }, { "Zm8", "fo" }, { "Zm9v", "foo" },
		{ "Zm9vYg", "foob" }, { "Zm9vYmE", "fooba" }, { "Zm9vYmFy", "foobar" },
		{ "Zg==", "f" }, { "Zg%3D%3d", "f" }, { "Zm8%3D", "fo" },
		{ "-_-_", "\xfb\xff\xbf" } };
	uint8_t out[16];
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const int len = doh_base64url((const uint8_t *)rows[i].text,
			strlen(rows[i].text), out, sizeof(out));
		assert_int_equal(len, strlen(rows[i].plain));
		assert_memory_equal(out, rows[i].plain, (size_t)len);
	}
	static const char *const bad[] = { "Z", "Zm9vY", "Zm+v", "Zm/v",
		"Z=g=", "Zg===", "Zg%3D%3D%3D", "Zg%3", "Zm9vYmFyZm9vYmFyZm9vYmFy" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(doh_base64url((const uint8_t *)bad[i], strlen(bad[i]),
					 out, sizeof(out)),
			-1);
}

static bool is_message(const char *type)
{
	return doh_is_message((const uint8_t *)type, strlen(type));
}

static void media_type(void **state)
{
	(void)state;
	assert_true(is_message("application/dns-message"));
	assert_true(is_message("Application/DNS-Message; q=1"));
	assert_false(is_message("application/dns-messages"));
	assert_false(is_message("application/dns"));
	assert_false(is_message(""));
}

/* example. IN A 60 and 30; a SOA of TTL 900 and MINIMUM 5 */
#define HEAD "\0\0\x81\x80\0\1"
#define ASKED "\7example\0\0\1\0\1"
#define A_60 "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4"
#define A_30 "\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\1\2\3\5"
#define SOA                                                                            \
	"\xc0\x0c\0\6\0\1\0\0\3\x84\0\x16\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\5"

#define FRESH(text) doh_fresh_s((const uint8_t *)(text), sizeof(text) - 1)

static void fresh_is_the_least_ttl(void **state)
{
	(void)state;
	assert_int_equal(FRESH(HEAD "\0\2\0\0\0\0" ASKED A_60 A_30), 30);
	assert_int_equal(
		FRESH(HEAD "\0\1\0\0\0\1" ASKED A_60 A_30), 60); /* not additional */
	assert_int_equal(FRESH(HEAD "\0\0\0\1\0\0" ASKED SOA), 5);
	assert_int_equal(FRESH(HEAD "\0\0\0\0\0\0" ASKED), 0);
	assert_int_equal(
		FRESH("\0\0\x81\x82\0\1\0\1\0\0\0\0" ASKED A_60), 0); /* SERVFAIL */
	assert_int_equal(FRESH(HEAD "\0\2\0\0\0\0" ASKED A_60), 0);   /* cut off */
	assert_int_equal(FRESH(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_is_read),
		cmocka_unit_test(path_is_unescaped),
		cmocka_unit_test(base64url_of_rfc_4648_and_what_is_none),
		cmocka_unit_test(media_type),
		cmocka_unit_test(fresh_is_the_least_ttl),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
