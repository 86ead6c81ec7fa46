/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "iter/iter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "iter/world.h"
#include "wire/codes.h"

/* 192.0.2.1 root, .2 com, .3 net, .4 org; 10.x example zones. */
static int begin(void **state)
{
	struct world *w = world_new();
	world_zone(w, ".", "192.0.2.1",
		". 518400 NS a.root.\n"
		"a.root. 518400 A 192.0.2.1\n"
		"com. 172800 NS a.nic.com.\n"
		"a.nic.com. 172800 A 192.0.2.2\n"
		"net. 172800 NS a.nic.net.\n"
		"a.nic.net. 172800 A 192.0.2.3\n"
		"org. 172800 NS a.nic.org.\n"
		"a.nic.org. 172800 A 192.0.2.4\n"
		"test. 172800 NS a.nic.test.\n"
		"a.nic.test. 172800 A 192.0.2.5\n");
	world_zone(w, "com.", "192.0.2.2",
		"com. 172800 NS a.nic.com.\n"
		"a.nic.com. 172800 A 192.0.2.2\n"
		"example.com. 3600 NS ns.example.com.\n"
		"ns.example.com. 3600 A 10.0.0.1\n"
		"glueless.com. 3600 NS ns.example.net.\n"
		"two.com. 3600 NS ns1.two.com.\n"
		"two.com. 3600 NS ns2.two.com.\n"
		"ns1.two.com. 3600 A 10.0.1.1\n"
		"ns2.two.com. 3600 A 10.0.1.2\n"
		"odd.com. 3600 NS ns.odd.com.\n"
		"ns.odd.com. 3600 A 10.0.2.1\n"
		"six.com. 3600 NS ns.six.com.\n"
		"ns.six.com. 3600 AAAA 2001:db8::6\n"
		"cycle.com. 3600 NS ns.cycle.net.\n"
		"self.com. 3600 NS ns.self.com.\n");
	world_zone(w, "net.", "192.0.2.3",
		"net. 172800 NS a.nic.net.\n"
		"a.nic.net. 172800 A 192.0.2.3\n"
		"example.net. 3600 NS ns.example.net.\n"
		"ns.example.net. 3600 A 10.0.0.2\n"
		"cycle.net. 3600 NS ns.cycle.com.\n");
	world_zone(w, "org.", "192.0.2.4",
		"org. 172800 NS a.nic.org.\n"
		"a.nic.org. 172800 A 192.0.2.4\n"
		"example.org. 100 NS ns.example.org.\n"
		"ns.example.org. 100 A 10.0.0.3\n");
	world_zone(w, "test.", "192.0.2.5", "test. 60 NS a.nic.test.\n");
	world_zone(w, "example.com.", "10.0.0.1",
		"example.com. 3600 NS ns.example.com.\n"
		"ns.example.com. 3600 A 10.0.0.1\n"
		"www.example.com. 300 A 10.9.9.1\n"
		"zero.example.com. 0 A 10.9.9.2\n"
		"huge.example.com. 4000000000 A 10.9.9.3\n"
		"deep.a.b.c.example.com. 300 A 10.9.9.4\n"
		"_dmarc.a.b.c.example.com. 300 A 10.9.9.4\n"
		"alias.example.com. 300 CNAME www.example.com.\n"
		"nowhere.example.com. 300 CNAME missing.example.com.\n"
		"away.example.com. 300 CNAME www.example.net.\n"
		"loop1.example.com. 300 CNAME loop2.example.net.\n"
		"circle1.example.com. 300 CNAME circle2.example.com.\n"
		"circle2.example.com. 300 CNAME circle1.example.com.\n"
		"tree.example.com. 300 DNAME example.net.\n");
	world_zone(w, "example.net.", "10.0.0.2",
		"example.net. 3600 NS ns.example.net.\n"
		"ns.example.net. 3600 A 10.0.0.2\n"
		"www.example.net. 200 A 10.9.9.5\n"
		"loop2.example.net. 300 CNAME loop1.example.com.\n");
	world_zone(w, "glueless.com.", "10.0.0.2",
		"glueless.com. 3600 NS ns.example.net.\n"
		"www.glueless.com. 300 A 10.9.9.6\n");
	world_zone(w, "two.com.", "10.0.1.1 10.0.1.2",
		"two.com. 3600 NS ns1.two.com.\n"
		"two.com. 3600 NS ns2.two.com.\n"
		"www.two.com. 300 A 10.9.9.7\n");
	world_zone(w, "odd.com.", "10.0.2.1",
		"odd.com. 3600 NS ns.odd.com.\n"
		"www.odd.com. 300 A 10.9.9.8\n"
		"a.ent.odd.com. 300 A 10.9.9.9\n");
	world_zone(w, "six.com.", "2001:db8::6",
		"six.com. 3600 NS ns.six.com.\n"
		"www.six.com. 300 A 10.9.9.10\n");
	world_zone(w, "example.org.", "10.0.0.3",
		"example.org. 86400 NS ns.example.org.\n"
		"ns.example.org. 86400 A 10.0.0.3\n"
		"www.example.org. 10 A 10.9.9.11\n");
	*state = w;
	return 0;
}

static int end(void **state)
{
	world_free(*state);
	return 0;
}

static void answered(const struct world_result *r, const char *text)
{
	assert_int_equal(r->rcode, RCODE_NOERROR);
	assert_string_equal(r->text, text);
}

static void a_plain_name_is_found_from_the_root(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_ask(w, "WWW.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 3);
	assert_int_equal(r.ttl, 300);
	assert_true(r.cacheable);
	assert_false(r.from_cache);
	assert_string_equal(w->log, "192.0.2.1 com. NS\n"
				    "192.0.2.2 example.com. NS\n"
				    "10.0.0.1 www.example.com. A\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(a_plain_name_is_found_from_the_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
