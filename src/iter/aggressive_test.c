/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Denials of other names, and wildcards, answer without a question to a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "cache/pages.h"
#include "iter/world.h"
#include "wire/codes.h"
#include "wire/name.h"

enum { NAMES = 1000, FLOOD = 12000 };

static void add_big(struct world *w, unsigned names)
{
	static char text[NAMES * 64];
	char *at = text;
	at += sprintf(at, "big.test. 3600 NS ns.big.test.\n"
			  "ns.big.test. 3600 A 192.0.2.4\n");
	for (unsigned i = 0; i < names; i++)
		at += sprintf(at, "h%04u.big.test. 3600 A 10.1.0.%u\n", i, i % 250);
	world_zone(w, "big.test.", "192.0.2.4", text);
	world_sign(w, "big.test.", 0);
}

static int setup_big(void **state, unsigned names)
{
	struct world *w = world_new();
	log_set_level(LOG_LEVEL_CRIT);
	/* room for every denial and the answers that brought them */
	assert_int_equal(cache_resize(w->cache, 16 * 1024 * 1024), 0);
	w->pages = pages_open(NULL, w->cache, &w->counters, &w->random);
	assert_non_null(w->pages);
	world_zone(w, ".", "192.0.2.1",
		". 86400 NS a.root.\n"
		"a.root. 86400 A 192.0.2.1\n"
		"test. 86400 NS ns.test.\n"
		"ns.test. 86400 A 192.0.2.2\n");
	world_zone(w, "test.", "192.0.2.2",
		"test. 3600 NS ns.test.\n"
		"ns.test. 3600 A 192.0.2.2\n"
		"bb.test. 3600 A 10.0.0.1\n"
		"ent.dd.test. 3600 A 10.0.0.2\n"
		"*.wild.test. 3600 A 10.0.0.3\n"
		"a.wild.test. 3600 A 10.0.0.4\n"
		"*.alias.test. 3600 CNAME bb.test.\n"
		"open.test. 3600 NS ns.open.test.\n"
		"ns.open.test. 3600 A 192.0.2.3\n"
		"big.test. 3600 NS ns.big.test.\n"
		"ns.big.test. 3600 A 192.0.2.4\n"
		"ww.test. 3600 A 10.0.0.5\n"
		"ww.test. 3600 TXT \"x\"\n");
	world_zone(w, "open.test.", "192.0.2.3",
		"open.test. 3600 NS ns.open.test.\n"
		"ns.open.test. 3600 A 192.0.2.3\n"
		"www.open.test. 3600 A 10.0.0.6\n");
	add_big(w, names);
	world_sign(w, "test.", 0);
	world_sign(w, ".", 0);
	world_trust(w, ".");
	*state = w;
	return 0;
}

static int setup(void **state)
{
	return setup_big(state, 3);
}

static int setup_flood(void **state)
{
	return setup_big(state, NAMES);
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static struct world_result ask_silent(struct world *w, const char *name, uint16_t type)
{
	world_forget_log(w);
	const struct world_result r = world_ask(w, name, type);
	assert_int_equal(r.packets, 0);
	assert_int_equal(r.status, CACHE_SECURE);
	return r;
}

static void a_name_between_two_known_ones_is_denied(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "bba.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_true(r.packets > 0);
	r = ask_silent(w, "bbb.test.", TYPE_AAAA);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(w->counters.aggressive_nxdomain, 1);
	/* SOA, the NSEC in front, and the one that covers the wildcard */
	assert_non_null(strstr(r.text, "-- test. SOA"));
	assert_non_null(strstr(r.text, "-- bb.test. NSEC"));
	assert_non_null(strstr(r.text, "-- test. NSEC"));
	r = ask_silent(w, "x.y.bbc.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	/* what is outside the interval is asked for */
	r = world_ask(w, "wx.test.", TYPE_A);
	assert_true(r.packets > 0);
}

static void a_known_name_has_no_other_type(void **state)
{
	struct world *w = *state;
	world_ask(w, "ww.test.", TYPE_AAAA);
	struct world_result r = ask_silent(w, "ww.test.", TYPE_MX);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_int_equal(w->counters.aggressive_nodata, 1);
	/* but those that it has are asked for */
	r = world_ask(w, "ww.test.", TYPE_TXT);
	assert_true(r.packets > 0);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_non_null(strstr(r.text, "ww.test. TXT"));
}

static void a_name_that_is_not_there_has_no_ds_either(void **state)
{
	struct world *w = *state;
	world_ask(w, "bba.test.", TYPE_A);
	struct world_result r = ask_silent(w, "bbb.test.", TYPE_DS);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	world_ask(w, "cc.test.", TYPE_A);
	r = ask_silent(w, "dd.test.", TYPE_DS); /* an empty non-terminal */
	assert_int_equal(r.rcode, RCODE_NOERROR);
}

static void an_empty_non_terminal_is_there(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "cc.test.", TYPE_A); /* bb to ent.dd */
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	r = ask_silent(w, "dd.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	r = ask_silent(w, "cd.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
}

static void a_wildcard_is_expanded_with_its_proof(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "q.wild.test.", TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	r = ask_silent(w, "r.wild.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_non_null(strstr(r.text, "r.wild.test. A 10.0.0.3"));
	assert_non_null(strstr(r.text, "-- a.wild.test. NSEC"));
	assert_int_equal(w->counters.aggressive_wildcard, 1);
	/* a name that is there is not the wildcard's */
	r = world_ask(w, "a.wild.test.", TYPE_A);
	assert_non_null(strstr(r.text, "a.wild.test. A 10.0.0.4"));
}

static void a_wildcard_alias_is_followed(void **state)
{
	struct world *w = *state;
	world_ask(w, "q.alias.test.", TYPE_A);
	const struct world_result r = ask_silent(w, "r.alias.test.", TYPE_A);
	assert_non_null(strstr(r.text, "r.alias.test. CNAME bb.test."));
	assert_non_null(strstr(r.text, "bb.test. A 10.0.0.1"));
}

/* The NSEC of a delegation says nothing of what is below it, but has no DS. */
static void below_a_delegation_nothing_is_denied(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.open.test.", TYPE_A);
	struct world_result r = world_ask(w, "none.open.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_INSECURE);
	assert_true(r.packets > 0);
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
}

static void denials_end_with_the_soa_minimum(void **state)
{
	struct world *w = *state;
	world_ask(w, "bba.test.", TYPE_A);
	const struct world_result r = ask_silent(w, "bbb.test.", TYPE_A);
	assert_true(r.ttl <= 60);
	world_sleep(w, 61 * 1000);
	assert_true(world_ask(w, "bbc.test.", TYPE_A).packets > 0);
}

static void a_clear_concerns_what_would_be_made(void **state)
{
	struct world *w = *state;
	uint8_t name[NAME_MAX_LEN];
	world_ask(w, "bba.test.", TYPE_A);
	ask_silent(w, "bbb.test.", TYPE_A);
	name_from_text(name, "bbb.test.");
	cache_clear(w->cache, name, false, 0);
	assert_true(world_ask(w, "bbb.test.", TYPE_A).packets > 0);
	/* that question brought them anew; the subtree takes all */
	name_from_text(name, "test.");
	cache_clear(w->cache, name, true, 0);
	assert_true(world_ask(w, "bbd.test.", TYPE_A).packets > 0);
}

static void nothing_is_made_without_validation_or_for_cd(void **state)
{
	struct world *w = *state;
	world_ask(w, "bba.test.", TYPE_A);
	w->cd = true;
	assert_true(world_ask(w, "bbb.test.", TYPE_A).packets > 0);
}

static void a_negative_anchor_stops_it(void **state)
{
	struct world *w = *state;
	world_ask(w, "bba.test.", TYPE_A);
	w->insecure = "test.";
	world_trust(w, ".");
	const struct world_result r = world_ask(w, "bbb.test.", TYPE_A);
	assert_true(r.packets > 0);
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
}

/* --- a flood ---------------------------------------------------------------------- */

static void random_names_cost_no_more_than_the_zone_has_denials(void **state)
{
	struct world *w = *state;
	uint64_t seed = 5;
	world_ask(w, "h0001.big.test.", TYPE_A);
	unsigned packets = 0;
	for (unsigned i = 0; i < FLOOD; i++) {
		char name[64];
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		snprintf(name, sizeof(name), "h%04u%06u.big.test.",
			(unsigned)(seed >> 33) % NAMES, i);
		const struct world_result r = world_ask(w, name, TYPE_A);
		assert_int_equal(r.rcode, RCODE_NXDOMAIN);
		packets += r.packets;
		world_forget_log(w);
	}
	print_message("%u names, %u packets, %u denials\n", FLOOD, packets, NAMES + 2);
	assert_true(packets <= (NAMES + 2) * 3 / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_between_two_known_ones_is_denied),
		TEST(a_known_name_has_no_other_type),
		TEST(a_name_that_is_not_there_has_no_ds_either),
		TEST(an_empty_non_terminal_is_there),
		TEST(a_wildcard_is_expanded_with_its_proof),
		TEST(a_wildcard_alias_is_followed),
		TEST(below_a_delegation_nothing_is_denied),
		TEST(denials_end_with_the_soa_minimum),
		TEST(a_clear_concerns_what_would_be_made),
		TEST(nothing_is_made_without_validation_or_for_cd),
		TEST(a_negative_anchor_stops_it),
		cmocka_unit_test_setup_teardown(
			random_names_cost_no_more_than_the_zone_has_denials,
			setup_flood, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
