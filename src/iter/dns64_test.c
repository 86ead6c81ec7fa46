/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AAAA made of A, and when they are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "iter/world.h"
#include "wire/codes.h"

static int setup(void **state)
{
	struct world *w = world_new();
	log_set_level(LOG_LEVEL_CRIT);
	w->conf->modules |= UINT32_C(1) << MODULE_dns64;
	w->conf->dns64.rev_ttl = 77;
	world_zone(w, ".", "192.0.2.1",
		". 86400 NS a.root.\n"
		"a.root. 86400 A 192.0.2.1\n"
		"test. 86400 NS ns.test.\n"
		"ns.test. 86400 A 192.0.2.2\n"
		"bad. 86400 NS ns.bad.\n"
		"ns.bad. 86400 A 192.0.2.3\n"
		"9.2.0.192.in-addr.arpa. 3600 PTR four.test.\n");
	world_zone(w, "test.", "192.0.2.2",
		"test. 3600 NS ns.test.\n"
		"ns.test. 3600 A 192.0.2.2\n"
		"four.test. 3600 A 192.0.2.9\n"
		"four.test. 3600 A 192.0.2.10\n"
		"brief.test. 7 A 192.0.2.9\n"
		"six.test. 3600 A 192.0.2.9\n"
		"six.test. 3600 AAAA 2001:db8::1\n"
		"mapped.test. 3600 A 192.0.2.9\n"
		"mapped.test. 3600 AAAA ::ffff:192.0.2.77\n"
		"only.test. 3600 AAAA ::ffff:192.0.2.77\n"
		"both.test. 3600 AAAA ::ffff:192.0.2.77\n"
		"both.test. 3600 AAAA 2001:db8::2\n"
		"none.test. 3600 TXT \"x\"\n"
		"alias.test. 3600 CNAME four.test.\n");
	world_zone(w, "bad.", "192.0.2.3",
		"bad. 3600 NS ns.bad.\n"
		"ns.bad. 3600 A 192.0.2.3\n"
		"four.bad. 3600 A 192.0.2.9\n");
	world_sign(w, "test.", 0);
	world_sign(w, "bad.", SIGN_WRONG);
	world_sign(w, ".", 0);
	world_trust(w, ".");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static struct world_result ask(struct world *w, const char *name)
{
	return world_ask(w, name, TYPE_AAAA);
}

static void a_name_with_a_alone_gets_aaaa(void **state)
{
	struct world *w = *state;
	for (unsigned i = 0; i < 2; i++) { /* of the servers, then of the cache */
		const struct world_result r = ask(w, "four.test.");
		assert_int_equal(r.rcode, RCODE_NOERROR);
		assert_non_null(strstr(r.text, "four.test. AAAA 64:ff9b::c000:209\n"));
		assert_non_null(strstr(r.text, "four.test. AAAA 64:ff9b::c000:20a\n"));
		assert_null(strstr(r.text, "NSEC"));
		assert_null(strstr(r.text, "SOA"));
		/* validated, yet not told as such */
		assert_int_equal(r.status, CACHE_INSECURE);
		assert_int_equal(r.ttl, 60); /* the denial's */
		assert_true(r.cacheable);
		assert_int_equal(r.from_cache, i);
	}
	assert_int_equal(ask(w, "brief.test.").ttl, 7);
	assert_int_equal(w->counters.answers_dns64, 3);
	/* A itself is as it was */
	const struct world_result r = world_ask(w, "four.test.", TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_non_null(strstr(r.text, "four.test. A 192.0.2.9"));
}

static void aliases_stay_in_front(void **state)
{
	const struct world_result r = ask(*state, "alias.test.");
	assert_int_equal(strncmp(r.text, "alias.test. CNAME four.test.\n", 29), 0);
	assert_non_null(strstr(r.text, "four.test. AAAA 64:ff9b::c000:209\n"));
	assert_null(strstr(r.text, " A 192"));
}

static void real_aaaa_are_left_alone(void **state)
{
	const struct world_result r = ask(*state, "six.test.");
	assert_non_null(strstr(r.text, "six.test. AAAA 2001:db8::1\n"));
	assert_null(strstr(r.text, "64:ff9b"));
	assert_int_equal(r.status, CACHE_SECURE);
}

static void excluded_aaaa_count_as_none(void **state)
{
	struct world *w = *state;
	struct world_result r = ask(w, "mapped.test.");
	assert_non_null(strstr(r.text, "mapped.test. AAAA 64:ff9b::c000:209\n"));
	assert_null(strstr(r.text, "ffff"));
	r = ask(w, "both.test.");
	assert_non_null(strstr(r.text, "both.test. AAAA 2001:db8::2\n"));
	assert_null(strstr(r.text, "ffff"));
	assert_null(strstr(r.text, "64:ff9b"));
	assert_int_equal(r.status, CACHE_INSECURE);
	r = ask(w, "only.test."); /* and no A */
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_null(strstr(r.text, "AAAA ::"));
	assert_non_null(strstr(r.text, "-- test. SOA"));
}

static void nothing_is_made_of_nothing(void **state)
{
	struct world *w = *state;
	struct world_result r = ask(w, "none.test.");
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_int_equal(r.status, CACHE_SECURE); /* the denial of AAAA */
	assert_non_null(strstr(r.text, "-- test. SOA"));
	r = ask(w, "nx.test.");
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_int_equal(world_asked(w, "nx.test. A\n"), 0);
}

static void what_is_bogus_stays_so(void **state)
{
	const struct world_result r = ask(*state, "four.bad.");
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
	assert_null(strstr(r.text, "64:ff9b"));
}

static void a_that_fails_is_a_failure(void **state)
{
	struct world *w = *state;
	w->conf->modules &= ~(UINT32_C(1) << MODULE_dns64);
	ask(w, "four.test."); /* the denial is cached */
	w->conf->modules |= UINT32_C(1) << MODULE_dns64;
	world_manner(w, "192.0.2.2", MANNER_SERVFAIL);
	assert_int_equal(ask(w, "four.test.").rcode, RCODE_SERVFAIL);
}

static void assert_not_made(struct world *w)
{
	const struct world_result r = ask(w, "four.test.");
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_non_null(strstr(r.text, "-- test. SOA"));
	assert_null(strstr(r.text, "64:ff9b"));
}

static void cd_and_the_flag_switch_it_off(void **state)
{
	struct world *w = *state;
	w->cd = true;
	assert_not_made(w);
	w->cd = false;
	w->flags = CONF_DNS64_DISABLE;
	assert_not_made(w);
	w->flags = 0;
	w->conf->modules &= ~(UINT32_C(1) << MODULE_dns64);
	assert_not_made(w);
}

#define ZEROS "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."

static void names_of_addresses_are_aliases(void **state)
{
	struct world *w = *state;
	static const char name[] = "9.0.2.0.0.0.0.c." ZEROS "b.9.f.f.4.6.0.0.ip6.arpa.";
	static const char other[] =
		"9.0.2.0.0.0.0.c." ZEROS "b.9.f.f.4.6.1.0.ip6.arpa.";
	struct world_result r = world_ask(w, name, TYPE_PTR);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_non_null(strstr(r.text, "CNAME 9.2.0.192.in-addr.arpa.\n"));
	assert_non_null(strstr(r.text, "9.2.0.192.in-addr.arpa. PTR four.test.\n"));
	assert_int_equal(r.status, CACHE_INSECURE);
	assert_int_equal(r.ttl, 77);
	r = world_ask(w, other, TYPE_PTR);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_null(strstr(r.text, "CNAME"));
}

static void each_prefix_makes_its_own(void **state)
{
	struct world *w = *state;
	char error[256];
	assert_true(conf_dns64_prefix(w->conf, "2001:db8:122:344::/64", error));
	w->conf->domain = conf_domain_hash(w->conf);
	struct world_result r = ask(w, "four.test.");
	assert_non_null(strstr(r.text, "four.test. AAAA 64:ff9b::c000:209\n"));
	assert_non_null(strstr(r.text, "four.test. AAAA 64:ff9b::c000:20a\n"));
	assert_non_null(
		strstr(r.text, "four.test. AAAA 2001:db8:122:344:c0:2:900:0\n"));
	assert_non_null(
		strstr(r.text, "four.test. AAAA 2001:db8:122:344:c0:2:a00:0\n"));
	r = world_ask(w,
		"0.0.0.0.0.0.9.0.2.0.0.0.0.c.0.0.4.4.3.0.2.2.1.0.8.b.d.0.1.0.0.2."
		"ip6.arpa.",
		TYPE_PTR);
	assert_non_null(strstr(r.text, "CNAME 9.2.0.192.in-addr.arpa.\n"));
	assert_non_null(strstr(r.text, "9.2.0.192.in-addr.arpa. PTR four.test.\n"));
}

/* Or who keeps what it gets takes the names below for absent: RFC 8020. */
static void above_such_names_there_is_no_nxdomain(void **state)
{
	struct world *w = *state;
	static const char *const names[] = { "0.0.ip6.arpa.",
		"b.9.f.f.4.6.0.0.ip6.arpa.", "0.0.b.9.f.f.4.6.0.0.ip6.arpa.",
		ZEROS "b.9.f.f.4.6.0.0.ip6.arpa.",
		"c." ZEROS "b.9.f.f.4.6.0.0.ip6.arpa." };
	for (unsigned i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
		const struct world_result r =
			world_ask(w, names[i / 2], i % 2 ? TYPE_AAAA : TYPE_PTR);
		assert_int_equal(r.rcode, RCODE_NOERROR);
		assert_non_null(strstr(r.text, "-- . SOA"));
		assert_null(strstr(r.text, "NSEC"));
		assert_int_equal(r.status, CACHE_INSECURE);
	}
	struct world_result r = world_ask(w, "1.0.b.9.f.f.4.6.0.0.ip6.arpa.", TYPE_PTR);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_SECURE);
	w->cd = true;
	assert_int_equal(world_ask(w, names[1], TYPE_PTR).rcode, RCODE_NXDOMAIN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_name_with_a_alone_gets_aaaa),
		TEST(aliases_stay_in_front),
		TEST(real_aaaa_are_left_alone),
		TEST(excluded_aaaa_count_as_none),
		TEST(nothing_is_made_of_nothing),
		TEST(what_is_bogus_stays_so),
		TEST(a_that_fails_is_a_failure),
		TEST(cd_and_the_flag_switch_it_off),
		TEST(names_of_addresses_are_aliases),
		TEST(each_prefix_makes_its_own),
		TEST(above_such_names_there_is_no_nxdomain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
