/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct addr addr(const char *text)
{
	struct addr a;
	assert_true(addr_from_text(&a, text, 53));
	return a;
}

static void text_goes_there_and_back(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
		{ "127.0.0.1", "127.0.0.1@53" },
		{ "192.0.2.1@5353", "192.0.2.1@5353" },
		{ "192.0.2.1#853", "192.0.2.1@853" },
		{ "::1", "::1@53" },
		{ "2001:DB8:0::1@65535", "2001:db8::1@65535" },
		{ "fe80::1%lo@53", "fe80::1%lo@53" },
		{ "fe80::1%1", "fe80::1%lo@53" },
	};
	char buf[ADDR_TEXT_MAX];
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const struct addr a = addr(pairs[i][0]);
		assert_string_equal(addr_to_text(&a, buf), pairs[i][1]);
	}
	struct addr a = addr("192.0.2.1");
	assert_string_equal(addr_ip_text(&a, buf), "192.0.2.1");
	a.port = 0;
	assert_string_equal(addr_to_text(&a, buf), "192.0.2.1");
}

static void malformed_text_is_refused_and_changes_nothing(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "1.2.3", "1.2.3.4.5", "256.1.1.1",
		"1.2.3.4@", "1.2.3.4@0", "1.2.3.4@65536", "1.2.3.4@-1", "1.2.3.4@53x",
		"1.2.3.4@53@53", "1.2.3.4%lo", "::1%lo", "fe80::1%",
		"fe80::1%nosuchinterface", ":::", "[::1]", "localhost", " 1.2.3.4",
		"1.2.3.4 ", "@53", "::1@ 53" };
	struct addr a = { .family = 9 };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(addr_from_text(&a, bad[i], 53));
	char endless[300];
	memset(endless, '1', sizeof(endless));
	endless[sizeof(endless) - 1] = 0;
	assert_false(addr_from_text(&a, endless, 53));
	assert_int_equal(a.family, 9);
}

static void sockaddr_goes_there_and_back(void **state)
{
	(void)state;
	static const char *const texts[] = { "192.0.2.7@1053", "2001:db8::7@53",
		"fe80::7%lo" };
	for (size_t i = 0; i < 3; i++) {
		const struct addr a = addr(texts[i]);
		struct sockaddr_storage ss;
		const socklen_t len = addr_to_sockaddr(&a, &ss);
		assert_int_equal(len, a.family == 4 ? sizeof(struct sockaddr_in)
						    : sizeof(struct sockaddr_in6));
		struct addr b;
		assert_true(addr_from_sockaddr(&b, (struct sockaddr *)&ss));
		assert_true(addr_equal(&a, &b));
	}
	struct addr b;
	const struct sockaddr other = { .sa_family = AF_UNIX };
	assert_false(addr_from_sockaddr(&b, &other));
}

/* A dual-stack socket says ::ffff:192.0.2.1; the access lists say 192.0.2.1. */
static void mapped_address_becomes_ipv4(void **state)
{
	(void)state;
	const struct addr mapped = addr("::ffff:192.0.2.1"), plain = addr("192.0.2.1");
	struct sockaddr_storage ss;
	struct addr a;
	addr_to_sockaddr(&mapped, &ss);
	assert_true(addr_from_sockaddr(&a, (struct sockaddr *)&ss));
	assert_true(addr_equal(&a, &plain));
}

static void equality_knows_ports_scopes_and_families(void **state)
{
	(void)state;
	struct addr a = addr("fe80::1%lo@53"), b = a;
	assert_true(addr_equal(&a, &b));
	b.port = 54;
	assert_false(addr_equal(&a, &b));
	assert_true(addr_same_ip(&a, &b));
	b.scope = 77;
	assert_false(addr_same_ip(&a, &b));
	a = addr("0.0.0.0");
	b = addr("::");
	assert_false(addr_same_ip(&a, &b));
}

static void subnets_end_where_their_bits_end(void **state)
{
	(void)state;
	static const struct {
		const char *net, *ip;
		bool in;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.129", true },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.0", false },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "::1", true },
		{ "2001:db8::/33", "2001:db8:7fff::", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "::1/128", "::1", true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct subnet net;
		const struct addr a = addr(rows[i].ip);
		assert_true(subnet_from_text(&net, rows[i].net));
		assert_int_equal(subnet_has(&net, &a), rows[i].in);
	}
	struct subnet net;
	assert_false(subnet_from_text(&net, "10.0.0.0/33"));
	assert_false(subnet_from_text(&net, "::/129"));
	assert_false(subnet_from_text(&net, "10.0.0.0/"));
	assert_false(subnet_from_text(&net, "10.0.0.0/8/8"));
	assert_false(subnet_from_text(&net, "10/8"));
}

static void kinds_of_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *ip;
		bool loopback, unusable, local;
	} rows[] = {
		{ "127.9.9.9", true, false, true },
		{ "::1", true, false, true },
		{ "::ffff:127.0.0.1", true, true, true },
		{ "0.1.2.3", false, true, false },
		{ "::", false, true, false },
		{ "224.0.0.1", false, true, false },
		{ "255.255.255.255", false, true, false },
		{ "ff02::1", false, true, false },
		{ "10.1.1.1", false, false, true },
		{ "172.31.0.1", false, false, true },
		{ "172.32.0.1", false, false, false },
		{ "192.168.0.1", false, false, true },
		{ "100.64.0.1", false, false, true },
		{ "169.254.1.1", false, false, true },
		{ "fe80::1%lo", false, false, true },
		{ "fd00::1", false, false, true },
		{ "2001:db8::1", false, false, false },
		{ "198.41.0.4", false, false, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct addr a = addr(rows[i].ip);
		assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
		assert_int_equal(addr_is_unusable(&a), rows[i].unusable);
		assert_int_equal(addr_is_local_net(&a), rows[i].local);
	}
	const struct addr none = { 0 };
	assert_true(addr_is_unusable(&none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_goes_there_and_back),
		cmocka_unit_test(malformed_text_is_refused_and_changes_nothing),
		cmocka_unit_test(sockaddr_goes_there_and_back),
		cmocka_unit_test(mapped_address_becomes_ipv4),
		cmocka_unit_test(equality_knows_ports_scopes_and_families),
		cmocka_unit_test(subnets_end_where_their_bits_end),
		cmocka_unit_test(kinds_of_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
