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

/* --- iteration ------------------------------------------------------------------- */

static void the_second_ask_comes_from_the_cache_and_has_aged(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A);
	world_sleep(w, 100 * 1000);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 0);
	assert_true(r.from_cache);
	assert_int_equal(r.ttl, 200);
	world_sleep(w, 201 * 1000);
	assert_int_equal(world_ask(w, "www.example.com.", TYPE_A).packets, 1);
}

static void a_known_cut_is_where_the_next_name_begins(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(world_ask(w, "alias.example.com.", TYPE_TXT).packets, 1);
	assert_int_equal(world_ask(w, "www.two.com.", TYPE_A).packets, 2);
}

static void a_server_without_address_is_looked_up(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_ask(w, "www.glueless.com.", TYPE_A);
	answered(&r, "www.glueless.com. A 10.9.9.6\n");
	/* root, com, then ns.example.net: root, net, example.net; then the zone */
	assert_int_equal(r.packets, 6);
}

static void name_servers_for_themselves_alone_end_quickly(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_ask(w, "www.self.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.packets <= 4);
}

static void a_cycle_of_delegations_ends_and_is_remembered(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "www.cycle.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.packets <= 20);
	r = world_ask(w, "www.cycle.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(r.packets, 0);
	assert_int_equal(r.ede, EDE_CACHED_ERROR);
	assert_int_equal(r.ede_origin, EDE_NO_REACHABLE_AUTHORITY);
	world_sleep(w, 6000);
	assert_true(world_ask(w, "www.cycle.com.", TYPE_A).packets > 0);
}

static void ds_is_asked_at_the_parent(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A);
	world_forget_log(w);
	const struct world_result r = world_ask(w, "example.com.", TYPE_DS);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_string_equal(w->log, "192.0.2.2 example.com. DS\n");
	assert_string_equal(r.text, "-- com. SOA\n");
}

static void priming_asks_the_hints_and_keeps_what_they_say(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_resolve(w, ".", TYPE_NS, true);
	answered(&r, ". NS a.root.\n");
	assert_string_equal(w->log, "192.0.2.1 . NS\n");
	w->conf->root_count = 0; /* from now on it must come from the cache */
	assert_int_equal(world_ask(w, "www.example.com.", TYPE_A).rcode, RCODE_NOERROR);
}

static void a_server_of_a_family_that_is_off_is_not_asked(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "www.six.com.", TYPE_A);
	answered(&r, "www.six.com. A 10.9.9.10\n");
	world_sleep(w, 4000 * 1000);
	w->conf->net_ipv6 = false;
	world_forget_log(w);
	r = world_ask(w, "www.six.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(r.ede, EDE_NO_REACHABLE_AUTHORITY);
	assert_int_equal(world_asked(w, "2001:db8"), 0);
}

/* The zone says of its own name server what is not so; the parent knows better. */
static void the_parents_glue_is_the_last_resort(void **state)
{
	struct world *w = *state;
	world_zone(w, "example.net.", "10.0.0.2",
		"example.net. 3600 NS ns.example.net.\n"
		"ns.example.net. 3600 A 10.66.66.66\n");
	world_manner(w, "10.66.66.66", MANNER_SERVFAIL);
	const struct world_result r = world_ask(w, "www.glueless.com.", TYPE_A);
	answered(&r, "www.glueless.com. A 10.9.9.6\n");
}

/* The referral to an NS question lacks the glue that the one to an A question has. */
static void glue_is_asked_for_where_only_it_can_help(void **state)
{
	struct world *w = *state;
	world_manner(w, "192.0.2.2", MANNER_GLUE_LATE);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
}

static void glue_from_elsewhere_is_for_the_permissive_only(void **state)
{
	struct world *w = *state;
	world_zone(w, "test.", "192.0.2.5",
		"glue.test. 300 NS ns.glue.org.\n"
		"ns.glue.org. 300 A 10.3.3.3\n");
	world_zone(w, "glue.test.", "10.3.3.3", "www.glue.test. 300 A 10.9.9.12\n");
	assert_int_equal(world_ask(w, "www.glue.test.", TYPE_A).rcode, RCODE_SERVFAIL);
	world_sleep(w, 400 * 1000);
	w->flags = CONF_PERMISSIVE;
	const struct world_result r = world_ask(w, "www.glue.test.", TYPE_A);
	answered(&r, "www.glue.test. A 10.9.9.12\n");
	assert_int_equal(world_ask(w, "ns.glue.org.", TYPE_A).rcode, RCODE_NXDOMAIN);
}

/* --- minimisation ---------------------------------------------------------------- */

static void empty_non_terminals_are_passed(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_ask(w, "deep.a.b.c.example.com.", TYPE_A);
	answered(&r, "deep.a.b.c.example.com. A 10.9.9.4\n");
	assert_int_equal(r.packets, 6);
	assert_int_equal(world_asked(w, "10.0.0.1 c.example.com. NS\n"), 1);
	assert_int_equal(world_asked(w, "10.0.0.1 a.b.c.example.com. NS\n"), 1);
	/* what was learned spares the questions */
	assert_int_equal(world_ask(w, "deep.a.b.c.example.com.", TYPE_TXT).packets, 1);
}

static void an_underscore_label_is_not_asked_alone(void **state)
{
	struct world *w = *state;
	world_ask(w, "x._y._dmarc.a.b.c.example.com.", TYPE_A);
	assert_int_equal(world_asked(w, " _"), 0);
}

static void a_long_name_is_asked_whole_after_ten_steps(void **state)
{
	struct world *w = *state;
	world_ask(w, "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.deep.a.b.c.example.com.", TYPE_A);
	assert_true(world_asked(w, " NS\n") <= 10);
}

static void servers_that_deny_empty_non_terminals_are_asked_whole(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.2.1", MANNER_DENIES_ENT);
	const struct world_result r = world_ask(w, "a.ent.odd.com.", TYPE_A);
	answered(&r, "a.ent.odd.com. A 10.9.9.9\n");
}

static void servers_that_refuse_ns_are_asked_whole_and_remembered(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.2.1", MANNER_REFUSES_NS);
	const struct world_result r = world_ask(w, "a.ent.odd.com.", TYPE_A);
	answered(&r, "a.ent.odd.com. A 10.9.9.9\n");
	assert_int_equal(r.packets, 4);
	assert_int_equal(world_ask(w, "b.other.odd.com.", TYPE_A).packets, 1);
}

static void servers_silent_to_ns_are_asked_whole(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.2.1", MANNER_DEAF_NS);
	const struct world_result r = world_ask(w, "a.ent.odd.com.", TYPE_A);
	answered(&r, "a.ent.odd.com. A 10.9.9.9\n");
}

static void minimisation_can_be_turned_off(void **state)
{
	struct world *w = *state;
	w->flags = CONF_NO_MINIMIZE;
	world_ask(w, "www.example.com.", TYPE_A);
	assert_string_equal(w->log, "192.0.2.1 www.example.com. A\n"
				    "192.0.2.2 www.example.com. A\n"
				    "10.0.0.1 www.example.com. A\n");
}

/* --- aliases --------------------------------------------------------------------- */

static void an_alias_in_the_zone_needs_no_second_question(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_ask(w, "alias.example.com.", TYPE_A);
	answered(&r, "alias.example.com. CNAME www.example.com.\n"
		     "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 3);
	const struct world_result again = world_ask(w, "alias.example.com.", TYPE_A);
	answered(&again, r.text);
	assert_int_equal(again.packets, 0);
}

static void an_alias_into_another_zone_is_resolved_there(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_ask(w, "away.example.com.", TYPE_A);
	answered(&r, "away.example.com. CNAME www.example.net.\n"
		     "www.example.net. A 10.9.9.5\n");
	assert_int_equal(r.ttl, 200);
	assert_int_equal(world_asked(w, "10.0.0.2 www.example.net. A"), 1);
}

static void the_end_of_an_alias_may_be_missing(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 2; i++) {
		const struct world_result r =
			world_ask(w, "nowhere.example.com.", TYPE_A);
		assert_int_equal(r.rcode, RCODE_NXDOMAIN);
		assert_string_equal(r.text,
			"nowhere.example.com. CNAME missing.example.com.\n"
			"-- example.com. SOA\n");
		assert_int_equal(r.packets, i ? 0 : 3);
	}
}

static void asking_for_the_alias_itself_goes_no_further(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_ask(w, "away.example.com.", TYPE_CNAME);
	answered(&r, "away.example.com. CNAME www.example.net.\n");
}

static void aliases_that_loop_fail(void **state)
{
	struct world *w = *state;
	assert_int_equal(
		world_ask(w, "loop1.example.com.", TYPE_A).rcode, RCODE_SERVFAIL);
	assert_int_equal(
		world_ask(w, "circle1.example.com.", TYPE_A).rcode, RCODE_SERVFAIL);
	assert_int_equal(
		world_ask(w, "circle2.example.com.", TYPE_A).rcode, RCODE_SERVFAIL);
}

static void dname_leads_and_serves_its_whole_subtree_from_the_cache(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "www.tree.example.com.", TYPE_A);
	answered(&r, "tree.example.com. DNAME example.net.\n"
		     "www.tree.example.com. CNAME www.example.net.\n"
		     "www.example.net. A 10.9.9.5\n");
	world_forget_log(w);
	r = world_ask(w, "ns.tree.example.com.", TYPE_A);
	answered(&r, "tree.example.com. DNAME example.net.\n"
		     "ns.tree.example.com. CNAME ns.example.net.\n"
		     "ns.example.net. A 10.0.0.2\n");
	assert_string_equal(w->log, "10.0.0.2 ns.example.net. A\n");
}

/* --- negative answers ------------------------------------------------------------- */

static void a_missing_name_is_kept_and_covers_what_is_below(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "gone.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_string_equal(r.text, "-- example.com. SOA\n");
	assert_int_equal(r.ttl, 60);
	assert_true(r.cacheable);
	world_sleep(w, 20 * 1000);
	r = world_ask(w, "gone.example.com.", TYPE_AAAA);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.ttl, 40);
	assert_int_equal(r.packets, 0);
	r = world_ask(w, "a.b.gone.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.packets, 0);
	world_sleep(w, 41 * 1000);
	assert_int_equal(world_ask(w, "gone.example.com.", TYPE_A).packets, 1);
}

static void a_missing_type_is_kept_for_that_type(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "www.example.com.", TYPE_AAAA);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_string_equal(r.text, "-- example.com. SOA\n");
	assert_int_equal(world_ask(w, "www.example.com.", TYPE_AAAA).packets, 0);
	assert_int_equal(world_ask(w, "www.example.com.", TYPE_TXT).packets, 1);
	assert_int_equal(world_ask(w, "www.example.com.", TYPE_A).packets, 1);
}

/* --- TTLs ------------------------------------------------------------------------- */

static void ttl_zero_is_used_once(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 2; i++) {
		const struct world_result r = world_ask(w, "zero.example.com.", TYPE_A);
		answered(&r, "zero.example.com. A 10.9.9.2\n");
		assert_int_equal(r.packets, i ? 1 : 3);
		assert_false(r.cacheable);
	}
}

static void the_shortest_ttl_of_the_configuration_raises_others(void **state)
{
	struct world *w = *state;
	w->conf->cache_min_ttl = 5;
	assert_int_equal(world_ask(w, "zero.example.com.", TYPE_A).ttl, 5);
	assert_int_equal(world_ask(w, "zero.example.com.", TYPE_A).packets, 0);
}

/* It is 22:13:20 in this world. */
static void the_shortest_ttl_ends_with_the_signature(void **state)
{
	struct world *w = *state;
	world_zone(w, "example.com.", "10.0.0.1",
		"example.com. 3600 NS ns.example.com.\n"
		"ns.example.com. 3600 A 10.0.0.1\n"
		"soon.example.com. 1 A 10.9.9.1\n"
		"soon.example.com. 1 RRSIG A 13 3 1 20231114221340 20231101000000 "
		"1 example.com. AAAA\n"
		"over.example.com. 1 A 10.9.9.1\n"
		"over.example.com. 1 RRSIG A 13 3 1 20231114221200 20231101000000 "
		"1 example.com. AAAA\n"
		"late.example.com. 1 A 10.9.9.1\n"
		"late.example.com. 1 RRSIG A 13 3 1 20251114221340 20231101000000 "
		"1 example.com. AAAA\n");
	w->conf->cache_min_ttl = 60;
	assert_int_equal(world_ask(w, "soon.example.com.", TYPE_A).ttl, 20);
	assert_int_equal(world_ask(w, "over.example.com.", TYPE_A).ttl, 1);
	assert_int_equal(world_ask(w, "late.example.com.", TYPE_A).ttl, 60);
	world_sleep(w, 25 * 1000);
	assert_int_equal(world_ask(w, "soon.example.com.", TYPE_A).packets, 1);
	assert_int_equal(world_ask(w, "late.example.com.", TYPE_A).packets, 0);
}

static void a_ttl_over_two_to_the_31_is_large_and_capped(void **state)
{
	struct world *w = *state;
	assert_int_equal(world_ask(w, "huge.example.com.", TYPE_A).ttl, 86400);
}

/* The child says a day, the parent 100 seconds. */
static void a_delegation_ends_with_the_parents_ttl(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.org.", TYPE_A);
	for (int i = 0; i < 8;
		i++) { /* what the child says of itself prolongs nothing */
		world_sleep(w, 11 * 1000);
		world_ask(w, "example.org.", TYPE_NS);
		world_ask(w, "ns.example.org.", TYPE_A);
		world_forget_log(w);
		world_ask(w, "www.example.org.", TYPE_A);
		assert_string_equal(w->log, "10.0.0.3 www.example.org. A\n");
	}
	world_sleep(w, 13 * 1000);
	world_forget_log(w);
	world_ask(w, "www.example.org.", TYPE_A);
	assert_int_equal(world_asked(w, "192.0.2.4"), 1);
}

/* A deeper delegation made just before the end must not outlive it (Phoenix domains).
 */
static void a_delegation_below_ends_with_the_one_above(void **state)
{
	struct world *w = *state;
	world_zone(w, "example.org.", "10.0.0.3",
		"example.org. 86400 NS ns.example.org.\n"
		"sub.example.org. 86400 NS ns.sub.example.org.\n"
		"ns.sub.example.org. 86400 A 10.0.0.4\n");
	world_zone(w, "sub.example.org.", "10.0.0.4",
		"www.sub.example.org. 1 A 10.9.9.13\n");
	world_ask(w, "example.org.", TYPE_NS);
	world_sleep(w, 90 * 1000);
	assert_int_equal(
		world_ask(w, "www.sub.example.org.", TYPE_A).rcode, RCODE_NOERROR);
	world_sleep(w, 11 * 1000);
	world_forget_log(w);
	world_ask(w, "www.sub.example.org.", TYPE_A);
	assert_int_equal(world_asked(w, "192.0.2.4 "), 1);
}

/* --- refreshing and stale answers ------------------------------------------------- */

static void a_refresh_asks_only_for_what_nears_its_end(void **state)
{
	struct world *w = *state;
	world_ask(w, "away.example.com.", TYPE_A); /* 300 s, its target 200 s */
	assert_int_equal(world_refresh(w, "away.example.com.", TYPE_A).packets, 0);
	world_sleep(w, 185 * 1000);
	world_forget_log(w);
	struct world_result r = world_refresh(w, "away.example.com.", TYPE_A);
	answered(&r, "away.example.com. CNAME www.example.net.\n"
		     "www.example.net. A 10.9.9.5\n");
	assert_string_equal(w->log, "10.0.0.2 www.example.net. A\n");
	assert_int_equal(r.ttl, 115);
	assert_int_equal(world_ask(w, "www.example.net.", TYPE_A).ttl, 200);
}

static void an_answer_tells_that_its_data_near_their_end(void **state)
{
	struct world *w = *state;
	assert_false(world_ask(w, "away.example.com.", TYPE_A).due); /* 300, 200 s */
	world_sleep(w, 170 * 1000);
	assert_false(world_ask(w, "away.example.com.", TYPE_A).due);
	world_sleep(w, 15 * 1000);
	const struct world_result r = world_ask(w, "away.example.com.", TYPE_A);
	assert_true(r.due && r.from_cache && r.packets == 0);
	assert_false(world_refresh(w, "away.example.com.", TYPE_A).due);
	assert_false(world_ask(w, "away.example.com.", TYPE_A).due);
}

static void a_failed_refresh_leaves_what_is_there(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A);
	world_sleep(w, 280 * 1000);
	world_manner(w, "10.0.0.1", MANNER_SERVFAIL);
	assert_int_equal(
		world_refresh(w, "www.example.com.", TYPE_A).rcode, RCODE_SERVFAIL);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	/* the first who asks after its end tries at once */
	world_manner(w, "10.0.0.1", 0);
	world_sleep(w, 21 * 1000);
	assert_int_equal(world_ask(w, "www.example.com.", TYPE_A).packets, 1);
}

static void stale_answers_of_all_kinds(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *name;
		uint16_t type, rcode;
		int ede;
	} rows[] = {
		{ "www.example.com.", TYPE_A, RCODE_NOERROR, EDE_STALE_ANSWER },
		{ "away.example.com.", TYPE_A, RCODE_NOERROR, EDE_STALE_ANSWER },
		{ "www.example.com.", TYPE_AAAA, RCODE_NOERROR, EDE_STALE_ANSWER },
		{ "x.tree.example.com.", TYPE_A, RCODE_NXDOMAIN, EDE_STALE_NXDOMAIN },
		{ "no.example.com.", TYPE_A, RCODE_NXDOMAIN, EDE_STALE_NXDOMAIN },
		{ "nowhere.example.com.", TYPE_A, RCODE_NXDOMAIN, EDE_STALE_NXDOMAIN },
	};
	enum { ROWS = sizeof(rows) / sizeof(*rows) };
	struct world_result fresh[ROWS];
	for (unsigned i = 0; i < ROWS; i++)
		fresh[i] = world_ask(w, rows[i].name, rows[i].type);
	world_sleep(w, 4000 * 1000);
	world_forget_log(w);
	for (unsigned i = 0; i < ROWS; i++) {
		const struct world_result r =
			world_stale(w, rows[i].name, rows[i].type);
		assert_int_equal(r.rcode, rows[i].rcode);
		assert_string_equal(r.text, fresh[i].text);
		assert_int_equal(r.ede, rows[i].ede);
		assert_int_equal(r.ttl, 30);
		assert_true(r.stale);
		assert_false(r.cacheable);
	}
	assert_string_equal(w->log, "");
}

static void what_is_alive_is_not_stale(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A);
	const struct world_result r = world_stale(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_false(r.stale);
	assert_int_equal(r.ede, EDE_NONE);
	assert_int_equal(r.ttl, 300);
}

static void stale_data_ends_after_a_day(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A);
	world_sleep(w, (300 + 86395) * 1000LL);
	assert_int_equal(
		world_stale(w, "www.example.com.", TYPE_A).rcode, RCODE_NOERROR);
	world_sleep(w, 10 * 1000);
	assert_int_equal(
		world_stale(w, "www.example.com.", TYPE_A).rcode, RCODE_SERVFAIL);
	assert_int_equal(
		world_stale(w, "www.example.net.", TYPE_A).rcode, RCODE_SERVFAIL);
}

static void what_was_cleared_is_never_stale(void **state)
{
	struct world *w = *state;
	world_ask(w, "away.example.com.", TYPE_A);
	world_sleep(w, 1000 * 1000);
	uint8_t name[NAME_MAX_LEN];
	name_from_text(name, "example.net.");
	cache_clear(w->cache, name, true, 0);
	assert_int_equal(
		world_stale(w, "away.example.com.", TYPE_A).rcode, RCODE_SERVFAIL);
	world_ask(w, "away.example.com.", TYPE_A);
	world_sleep(w, 1000 * 1000);
	assert_true(world_stale(w, "away.example.com.", TYPE_A).stale);
	cache_epoch_raise(w->cache); /* other anchors or policies */
	assert_int_equal(
		world_stale(w, "away.example.com.", TYPE_A).rcode, RCODE_SERVFAIL);
}

/* The name went: who had it before must not come back. */
static void the_newest_stale_data_counts(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.odd.com.", TYPE_A);
	world_sleep(w, 301 * 1000);
	world_zone(w, "odd.com.", "10.0.2.1", "odd.com. 3600 NS ns.odd.com.\n");
	assert_int_equal(world_ask(w, "www.odd.com.", TYPE_A).rcode, RCODE_NXDOMAIN);
	world_sleep(w, 301 * 1000);
	const struct world_result r = world_stale(w, "www.odd.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.ede, EDE_STALE_NXDOMAIN);
}

static void after_a_stale_answer_no_new_try_for_thirty_seconds(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A);
	world_manner(w, "10.0.0.1", MANNER_SERVFAIL);
	world_sleep(w, 301 * 1000);
	assert_int_equal(
		world_ask(w, "www.example.com.", TYPE_A).rcode, RCODE_SERVFAIL);
	assert_true(world_stale(w, "www.example.com.", TYPE_A).stale);
	for (unsigned i = 0; i < 29; i++) {
		world_sleep(w, 1000);
		assert_int_equal(world_ask(w, "www.example.com.", TYPE_A).packets, 0);
		assert_true(world_stale(w, "www.example.com.", TYPE_A).stale);
	}
	world_sleep(w, 2000);
	world_manner(w, "10.0.0.1", 0);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(r.packets, 1);
	answered(&r, "www.example.com. A 10.9.9.1\n");
}

/* The resolution in the background came to an end after the stale answer. */
static void what_was_fetched_since_ends_the_waiting(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.org.", TYPE_A); /* 10 s */
	world_sleep(w, 20 * 1000);
	assert_true(world_stale(w, "www.example.org.", TYPE_A).stale);
	world_sleep(w, 1000);
	world_resolve(w, "www.example.org.", TYPE_A, true);
	struct world_result r = world_ask(w, "www.example.org.", TYPE_A);
	assert_int_equal(r.ttl, 10);
	world_sleep(w, 11 * 1000);
	r = world_ask(w, "www.example.org.", TYPE_A);
	answered(&r, "www.example.org. A 10.9.9.11\n");
	assert_int_equal(r.packets, 1);
}

/* --- failures that last ----------------------------------------------------------- */

static void a_failure_that_lasts_is_tried_ever_more_seldom(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.two.com.", TYPE_A);
	world_manner(w, "10.0.2.1", MANNER_SERVFAIL);
	unsigned tries = 0;
	int64_t longest = 0, last = 0;
	for (int64_t s = 0; s < 2000; s++) {
		if (world_ask(w, "www.odd.com.", TYPE_A).packets) {
			if (tries && s - last > longest)
				longest = s - last;
			last = s;
			tries++;
		}
		world_sleep(w, 1000);
	}
	/* 5 10 20 40 80 160 300 300 300 300.. seconds between */
	assert_in_range(tries, 10, 14);
	assert_in_range(longest, 290, 310);
	world_manner(w, "10.0.2.1", 0);
	world_sleep(w, 301 * 1000);
	assert_int_equal(world_ask(w, "www.odd.com.", TYPE_A).rcode, RCODE_NOERROR);
	world_sleep(w, 301 * 1000);
	world_manner(w, "10.0.2.1", MANNER_SERVFAIL);
	world_ask(w, "www.odd.com.", TYPE_A);
	world_sleep(w, 6 * 1000); /* a new failure begins anew */
	assert_true(world_ask(w, "www.odd.com.", TYPE_A).packets > 0);
}

/* --- servers that fail ------------------------------------------------------------ */

static void a_silent_server_is_left_for_the_next(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.1.1", MANNER_SILENT);
	for (int i = 0; i < 10; i++) {
		char name[64];
		snprintf(name, sizeof(name), "x%d.two.com.", i);
		const struct world_result r = world_ask(w, name, TYPE_A);
		assert_int_equal(r.rcode, RCODE_NXDOMAIN);
		assert_true(r.took_ms < 1500);
	}
	assert_true(world_asked(w, "10.0.1.1 ") <= 4);
}

static void when_all_are_silent_the_client_is_told_who(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.1.1", MANNER_SILENT);
	world_manner(w, "10.0.1.2", MANNER_SILENT);
	const struct world_result r = world_ask(w, "www.two.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(r.ede, EDE_NO_REACHABLE_AUTHORITY);
	assert_true(r.took_ms <= LIMIT_QUERY_TIME_MS);
	assert_in_range(world_asked(w, "10.0.1."), 4, 2 * LIMIT_TRIES_PER_SERVER);
	assert_int_equal(world_ask(w, "www.two.com.", TYPE_A).packets, 0);
}

static void a_lame_server_is_left_for_the_next_and_remembered(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.1.1", MANNER_UPWARD);
	for (int i = 0; i < 10; i++) {
		char name[64];
		snprintf(name, sizeof(name), "x%d.two.com.", i);
		assert_int_equal(world_ask(w, name, TYPE_A).rcode, RCODE_NXDOMAIN);
	}
	assert_true(world_asked(w, "10.0.1.1 ") <= 2);
}

static void refusing_and_failing_servers_are_left_for_others(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.1.1", MANNER_REFUSED);
	struct world_result r = world_ask(w, "www.two.com.", TYPE_A);
	answered(&r, "www.two.com. A 10.9.9.7\n");
	world_manner(w, "10.0.1.2", MANNER_SERVFAIL);
	r = world_ask(w, "w.two.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(r.ede, EDE_NETWORK_ERROR);
}

static void a_recursive_server_is_the_last_resort(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.1.1", MANNER_RECURSIVE);
	struct world_result r = world_ask(w, "www.two.com.", TYPE_A);
	answered(&r, "www.two.com. A 10.9.9.7\n");
	world_manner(w, "10.0.1.2", MANNER_SILENT);
	world_sleep(w, 301 * 1000);
	r = world_ask(w, "www.two.com.", TYPE_A);
	answered(&r, "www.two.com. A 10.9.9.7\n");
}

static void what_cannot_be_sent_is_a_failure_of_ours_alone(void **state)
{
	struct world *w = *state;
	world_manner(w, "192.0.2.1", MANNER_UNREACHABLE);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(r.packets, 0);
	world_manner(w, "192.0.2.1", 0);
	assert_int_equal(world_ask(w, "www.example.com.", TYPE_A).rcode, RCODE_NOERROR);
}

/* --- transport -------------------------------------------------------------------- */

static void a_truncated_answer_is_asked_for_by_tcp(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_TC);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(world_asked(w, "10.0.0.1 tcp www.example.com. A"), 1);
	assert_int_equal(r.packets, 4);
}

static void truncation_without_tcp_fails_within_few_tries(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_TC | MANNER_TC_GARBLED);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.packets <= 3 + LIMIT_TRIES_PER_SERVER);
}

static void a_wrong_id_is_ignored_and_the_right_one_taken(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_SPOOF_FIRST);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 3);
	assert_int_equal(w->counters.upstream_mismatch, 1);
}

static void after_nothing_but_wrong_ids_tcp_is_used(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_WRONG_ID);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(world_asked(w, "10.0.0.1 tcp"), 1);
	/* one may be a late answer to another question: the server is not marked */
	world_manner(w, "10.0.0.1", 0);
	assert_int_equal(world_ask(w, "zero.example.com.", TYPE_A).packets, 1);
	assert_int_equal(world_asked(w, "10.0.0.1 tcp zero"), 0);
}

static void after_several_wrong_ids_others_ask_by_tcp_too(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_WRONG_IDS);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(world_ask(w, "zero.example.com.", TYPE_A).packets, 1);
	assert_int_equal(world_asked(w, "10.0.0.1 tcp zero"), 1);
}

/* Wrong ids must not keep us from a server that has no TCP. */
static void after_wrong_ids_without_tcp_it_is_udp_again(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_WRONG_IDS | MANNER_TC_GARBLED);
	world_ask(w, "www.example.com.", TYPE_A);
	world_manner(w, "10.0.0.1", MANNER_TC_GARBLED);
	world_forget_log(w);
	assert_int_equal(
		world_ask(w, "zero.example.com.", TYPE_A).rcode, RCODE_NOERROR);
	assert_string_equal(w->log, "10.0.0.1 zero.example.com. A\n");
}

static void the_only_server_is_not_given_up_before_three_seconds(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A); /* a round trip of 10 ms */
	world_manner(w, "10.0.0.1", MANNER_SILENT);
	const struct world_result r = world_ask(w, "zero.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_in_range(r.took_ms, 3000, 10000);
}

static void a_late_answer_to_the_first_try_is_taken_and_teaches(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A); /* a round trip of 10 ms */
	world_manner(w, "10.0.0.1", MANNER_LATE);
	struct world_result r = world_ask(w, "zero.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_in_range(r.took_ms, 300, 310);
	assert_in_range(r.packets, 2, 4);
	struct addr server;
	struct infra_server known;
	assert_true(addr_from_text(&server, "10.0.0.1", 53));
	infra_get(w->infra, &server, &w->now, &known);
	assert_true(known.srtt_us > 40 * 1000);
	assert_int_equal(known.timeouts, 0);
}

static void half_a_message_does_not_end_the_wait(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_GARBAGE);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 3);
}

static void a_server_that_changes_the_case_is_asked_by_tcp_then_marked(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_LOWER_CASE);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(world_asked(w, "10.0.0.1 tcp"), 1);
	world_forget_log(w);
	assert_int_equal(
		world_ask(w, "zero.example.com.", TYPE_A).rcode, RCODE_NOERROR);
	assert_string_equal(w->log, "10.0.0.1 zero.example.com. A\n");
}

static void without_tcp_either_its_case_is_forgiven(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_LOWER_CASE | MANNER_TC_GARBLED);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
}

static void edns_is_left_out_where_it_is_an_error_only(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_NO_EDNS);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 4);
	assert_int_equal(world_ask(w, "zero.example.com.", TYPE_A).packets, 1);
	world_forget_log(w);
	world_manner(w, "10.0.1.1", MANNER_SILENT);
	world_manner(w, "10.0.1.2", MANNER_SILENT);
	world_ask(w, "www.two.com.", TYPE_A);
	assert_int_equal(world_asked(w, "plain"), 0);
}

/* --- hostile worlds --------------------------------------------------------------- */

static void foreign_records_are_never_kept(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.0.0.1", MANNER_POISON);
	world_manner(w, "192.0.2.2", MANNER_POISON);
	world_ask(w, "www.example.com.", TYPE_A);
	world_ask(w, "gone.example.com.", TYPE_A);
	world_ask(w, "alias.example.com.", TYPE_A);
	world_ask(w, "away.example.com.", TYPE_A);
	assert_true(world_cached_below(w, "example.com.") > 0);
	assert_int_equal(world_cached_below(w, "victim.test."), 0);
}

/* NXNSAttack: each delegation names 20 servers elsewhere that do not exist, over
 * several levels. */
static void a_maze_of_delegations_ends_within_the_budget(void **state)
{
	struct world *w = *state;
	char text[16384];
	for (int level = 0; level < 12; level++) {
		char origin[64], at[32];
		size_t len = 0;
		snprintf(origin, sizeof(origin), "z%d.test.", level);
		snprintf(at, sizeof(at), "10.1.0.%d", level + 1);
		for (int i = 0; i < 20; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
				"sub.%s 3600 NS n%d.sub.z%d.test.\n", origin, i,
				(level + 1 + i) % 12);
		world_zone(w, origin, at, text);
	}
	char *at = text;
	for (int level = 0; level < 12; level++)
		at += sprintf(at,
			"z%d.test. 3600 NS ns.z%d.test.\n"
			"ns.z%d.test. 3600 A 10.1.0.%d\n",
			level, level, level, level + 1);
	world_zone(w, "test.", "192.0.2.5", text);
	const struct world_result r = world_ask(w, "www.sub.z0.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.packets <= LIMIT_UPSTREAM_PACKETS);
	assert_true(r.took_ms <= LIMIT_QUERY_TIME_MS);
	assert_int_equal(world_ask(w, "www.sub.z0.test.", TYPE_A).packets, 0);
}

static void a_chain_of_many_aliases_ends_within_the_budget(void **state)
{
	struct world *w = *state;
	char text[16384], *at = text;
	for (int i = 0; i < 40; i++)
		at += sprintf(at, "c%d.test. 300 CNAME c%d.test.\n", i, i + 1);
	world_zone(w, "test.", "192.0.2.5", text);
	const struct world_result r = world_ask(w, "c0.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.packets <= 20);
	assert_int_equal(w->counters.chain_too_long, 1);
}

/* Each alias leads to the other zone, so each is a question of its own. */
static void as_many_aliases_as_allowed_are_followed_over_zones_too(void **state)
{
	struct world *w = *state;
	char text[2][4096], *at[2] = { text[0], text[1] };
	for (unsigned i = 0; i < LIMIT_CHAIN; i++)
		at[i % 2] += sprintf(at[i % 2], "c%u.%c.test. 300 CNAME c%u.%c.test.\n",
			i, "ab"[i % 2], i + 1, "ab"[(i + 1) % 2]);
	sprintf(at[LIMIT_CHAIN % 2], "c%d.%c.test. 300 A 192.0.2.9\n", LIMIT_CHAIN,
		"ab"[LIMIT_CHAIN % 2]);
	world_zone(w, "test.", "192.0.2.5",
		"a.test. 3600 NS ns.a.test.\n"
		"ns.a.test. 3600 A 10.1.0.1\n"
		"b.test. 3600 NS ns.b.test.\n"
		"ns.b.test. 3600 A 10.1.0.2\n");
	world_zone(w, "a.test.", "10.1.0.1", text[0]);
	world_zone(w, "b.test.", "10.1.0.2", text[1]);
	assert_int_equal(world_ask(w, "c0.a.test.", TYPE_A).rcode, RCODE_NOERROR);
	assert_int_equal(w->counters.chain_too_long, 0);
}

static void time_is_up_for_a_slow_world(void **state)
{
	struct world *w = *state;
	char text[16384], *at = text;
	for (int i = 1; i <= 20; i++) {
		char ip[32];
		at += sprintf(at,
			"slow.test. 300 NS n%d.slow.test.\n"
			"n%d.slow.test. 300 A 10.2.0.%d\n",
			i, i, i);
		snprintf(ip, sizeof(ip), "10.2.0.%d", i);
		world_manner(w, ip, MANNER_SILENT);
	}
	world_zone(w, "test.", "192.0.2.5", text);
	const struct world_result r = world_ask(w, "www.slow.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_in_range(r.took_ms, 2000, LIMIT_QUERY_TIME_MS + 10);
	assert_int_equal(w->counters.budget_time_exhausted, 1);
}

/* --- forwarding ------------------------------------------------------------------- */

static void a_suffix_is_forwarded_and_its_aliases_are_resolved_anew(void **state)
{
	struct world *w = *state;
	world_forward(w, "example.com.", "10.7.7.7", POLICY_FORWARD);
	/* the forwarder lies about what an alias leads to */
	world_zone(w, ".", "10.7.7.7",
		"www.example.com. 300 A 10.6.6.1\n"
		"away.example.com. 300 CNAME www.example.net.\n"
		"www.example.net. 300 A 6.6.6.6\n");
	struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.6.6.1\n");
	assert_string_equal(w->log, "10.7.7.7 www.example.com. A\n");
	r = world_ask(w, "away.example.com.", TYPE_A);
	answered(&r, "away.example.com. CNAME www.example.net.\n"
		     "www.example.net. A 10.9.9.5\n");
	r = world_ask(w, "www.example.net.", TYPE_A);
	answered(&r, "www.example.net. A 10.9.9.5\n");
}

static void a_forwarder_that_finds_bogus_is_asked_with_cd(void **state)
{
	struct world *w = *state;
	world_forward(w, "example.com.", "10.7.7.7", POLICY_FORWARD);
	world_zone(w, ".", "10.7.7.7", "www.example.com. 300 A 10.6.6.1\n");
	world_manner(w, "10.7.7.7", MANNER_CD_ONLY);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.6.6.1\n");
	assert_int_equal(r.packets, 2);
}

static void a_stubs_servfail_is_final(void **state)
{
	struct world *w = *state;
	world_forward(w, "example.com.", "10.7.7.7", POLICY_STUB);
	world_zone(w, ".", "10.7.7.7", "www.example.com. 300 A 10.6.6.1\n");
	world_manner(w, "10.7.7.7", MANNER_CD_ONLY);
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(r.packets, 1);
}

static void a_forwarder_never_becomes_the_root(void **state)
{
	struct world *w = *state;
	world_forward(w, ".", "10.7.7.7", POLICY_FORWARD);
	world_zone(w, ".", "10.7.7.7",
		". 3600 NS evil.\n"
		"evil. 3600 A 6.6.6.6\n");
	const struct world_result r = world_ask(w, ".", TYPE_NS);
	answered(&r, ". NS evil.\n");
	w->conf->rule_count = 0;
	world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(world_asked(w, "6.6.6.6"), 0);
}

/* Glue that only permissive clients accept is not what others are led by. */
static void what_a_clients_flags_led_to_is_kept_apart(void **state)
{
	struct world *w = *state;
	world_zone(w, "test.", "192.0.2.5",
		"glue.test. 300 NS ns.glue.org.\n"
		"ns.glue.org. 300 A 10.3.3.3\n");
	world_zone(w, "glue.test.", "10.3.3.3", "www.glue.test. 300 A 10.9.9.12\n");
	world_zone(w, "example.net.", "10.0.0.2",
		"to.example.net. 300 CNAME www.glue.test.\n");
	w->flags = CONF_PERMISSIVE;
	assert_int_equal(world_ask(w, "to.example.net.", TYPE_A).rcode, RCODE_NOERROR);
	w->flags = 0;
	assert_int_equal(world_ask(w, "www.glue.test.", TYPE_A).rcode, RCODE_SERVFAIL);
}

static void a_forwarder_that_is_ourselves_is_not_asked(void **state)
{
	struct world *w = *state;
	world_forward(w, "example.com.", "10.7.7.7", POLICY_FORWARD);
	struct conf_listen own = { .kind = KIND_DNS };
	addr_from_text(&own.addr, "10.7.7.7", 53);
	w->conf->listens = &own;
	w->conf->listen_count = 1;
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(r.packets, 0);
}

/* --- shared fetches --------------------------------------------------------------- */

static void what_another_fetched_is_taken_without_a_packet(void **state)
{
	struct world *w = *state;
	w->join_published = true;
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 0);
	assert_false(r.from_cache);
	assert_string_equal(w->log, "");
}

static void waiting_in_vain_for_another_ends_in_asking_alone(void **state)
{
	struct world *w = *state;
	w->join_in_vain = true;
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	answered(&r, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 3);
}

static void a_refresh_asks_though_the_cache_knows(void **state)
{
	struct world *w = *state;
	world_ask(w, "www.example.com.", TYPE_A);
	world_sleep(w, 200 * 1000);
	const struct world_result r =
		world_resolve(w, "www.example.com.", TYPE_A, true);
	assert_int_equal(r.packets, 1);
	assert_int_equal(r.ttl, 300);
	assert_int_equal(world_ask(w, "www.example.com.", TYPE_A).ttl, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(a_plain_name_is_found_from_the_root),
		T(the_second_ask_comes_from_the_cache_and_has_aged),
		T(a_known_cut_is_where_the_next_name_begins),
		T(a_server_without_address_is_looked_up),
		T(name_servers_for_themselves_alone_end_quickly),
		T(a_cycle_of_delegations_ends_and_is_remembered),
		T(ds_is_asked_at_the_parent),
		T(priming_asks_the_hints_and_keeps_what_they_say),
		T(a_server_of_a_family_that_is_off_is_not_asked),
		T(the_parents_glue_is_the_last_resort),
		T(glue_is_asked_for_where_only_it_can_help),
		T(glue_from_elsewhere_is_for_the_permissive_only),
		T(empty_non_terminals_are_passed),
		T(an_underscore_label_is_not_asked_alone),
		T(a_long_name_is_asked_whole_after_ten_steps),
		T(servers_that_deny_empty_non_terminals_are_asked_whole),
		T(servers_that_refuse_ns_are_asked_whole_and_remembered),
		T(servers_silent_to_ns_are_asked_whole),
		T(minimisation_can_be_turned_off),
		T(an_alias_in_the_zone_needs_no_second_question),
		T(an_alias_into_another_zone_is_resolved_there),
		T(the_end_of_an_alias_may_be_missing),
		T(asking_for_the_alias_itself_goes_no_further),
		T(aliases_that_loop_fail),
		T(dname_leads_and_serves_its_whole_subtree_from_the_cache),
		T(a_missing_name_is_kept_and_covers_what_is_below),
		T(a_missing_type_is_kept_for_that_type),
		T(ttl_zero_is_used_once),
		T(the_shortest_ttl_of_the_configuration_raises_others),
		T(the_shortest_ttl_ends_with_the_signature),
		T(a_refresh_asks_only_for_what_nears_its_end),
		T(an_answer_tells_that_its_data_near_their_end),
		T(a_failed_refresh_leaves_what_is_there),
		T(stale_answers_of_all_kinds),
		T(what_is_alive_is_not_stale),
		T(stale_data_ends_after_a_day),
		T(what_was_cleared_is_never_stale),
		T(the_newest_stale_data_counts),
		T(after_a_stale_answer_no_new_try_for_thirty_seconds),
		T(what_was_fetched_since_ends_the_waiting),
		T(a_failure_that_lasts_is_tried_ever_more_seldom),
		T(a_ttl_over_two_to_the_31_is_large_and_capped),
		T(a_delegation_ends_with_the_parents_ttl),
		T(a_delegation_below_ends_with_the_one_above),
		T(a_silent_server_is_left_for_the_next),
		T(when_all_are_silent_the_client_is_told_who),
		T(a_lame_server_is_left_for_the_next_and_remembered),
		T(refusing_and_failing_servers_are_left_for_others),
		T(a_recursive_server_is_the_last_resort),
		T(what_cannot_be_sent_is_a_failure_of_ours_alone),
		T(a_truncated_answer_is_asked_for_by_tcp),
		T(truncation_without_tcp_fails_within_few_tries),
		T(a_wrong_id_is_ignored_and_the_right_one_taken),
		T(after_nothing_but_wrong_ids_tcp_is_used),
		T(after_several_wrong_ids_others_ask_by_tcp_too),
		T(after_wrong_ids_without_tcp_it_is_udp_again),
		T(the_only_server_is_not_given_up_before_three_seconds),
		T(a_late_answer_to_the_first_try_is_taken_and_teaches),
		T(half_a_message_does_not_end_the_wait),
		T(a_server_that_changes_the_case_is_asked_by_tcp_then_marked),
		T(without_tcp_either_its_case_is_forgiven),
		T(edns_is_left_out_where_it_is_an_error_only),
		T(foreign_records_are_never_kept),
		T(a_maze_of_delegations_ends_within_the_budget),
		T(a_chain_of_many_aliases_ends_within_the_budget),
		T(as_many_aliases_as_allowed_are_followed_over_zones_too),
		T(time_is_up_for_a_slow_world),
		T(a_suffix_is_forwarded_and_its_aliases_are_resolved_anew),
		T(a_forwarder_that_finds_bogus_is_asked_with_cd),
		T(a_stubs_servfail_is_final),
		T(a_forwarder_never_becomes_the_root),
		T(what_a_clients_flags_led_to_is_kept_apart),
		T(a_forwarder_that_is_ourselves_is_not_asked),
		T(what_another_fetched_is_taken_without_a_packet),
		T(waiting_in_vain_for_another_ends_in_asking_alone),
		T(a_refresh_asks_though_the_cache_knows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
