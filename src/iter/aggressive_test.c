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

enum { NAMES = 1000, FLOOD = 12000, DAY_MS = 86400 * 1000 };

/* A zone with NSEC3, its servers at 192.0.2.AT; what it delegates unsigned is at the next
 * address. */
static void add_nsec3_zone(
	struct world *w, const char *label, unsigned at, unsigned how)
{
	static const char names[] = "%1$s.test. 3600 NS ns.%1$s.test.\n"
				    "ns.%1$s.test. 3600 A 192.0.2.%2$u\n"
				    "bb.%1$s.test. 3600 A 10.0.1.1\n"
				    "*.wild.%1$s.test. 3600 A 10.0.1.2\n"
				    "a.wild.%1$s.test. 3600 A 10.0.1.3\n"
				    "dn.%1$s.test. 3600 DNAME pp.%1$s.test.\n"
				    "x.pp.%1$s.test. 3600 A 10.0.1.4\n"
				    "al.%1$s.test. 3600 CNAME bb.%1$s.test.\n"
				    "open.%1$s.test. 3600 NS ns.open.%1$s.test.\n"
				    "ns.open.%1$s.test. 3600 A 192.0.2.%3$u\n";
	static const char below[] = "open.%1$s.test. 3600 NS ns.open.%1$s.test.\n"
				    "ns.open.%1$s.test. 3600 A 192.0.2.%2$u\n"
				    "www.open.%1$s.test. 3600 A 10.0.1.5\n";
	char origin[64], ip[64], text[2048];
	snprintf(origin, sizeof(origin), "open.%s.test.", label);
	snprintf(ip, sizeof(ip), "192.0.2.%u", at + 1);
	snprintf(text, sizeof(text), below, label, at + 1);
	world_zone(w, origin, ip, text);
	snprintf(origin, sizeof(origin), "%s.test.", label);
	snprintf(ip, sizeof(ip), "192.0.2.%u", at);
	snprintf(text, sizeof(text), names, label, at, at + 1);
	world_zone(w, origin, ip, text);
	world_sign(w, origin, how);
}

/* par.test. and what it delegates have the same servers, who never refer to what is below. */
static void add_family(struct world *w)
{
	static const struct {
		const char *origin;
		unsigned how;
	} kids[] = { { "ka.par.test.", SIGN_WELL }, { "kb.par.test.", SIGN_NSEC3 },
		{ "kc.par.test.", SIGN_OPT_OUT } };
	static const char names[] = "%1$s 3600 NS ns.par.test.\n"
				    "*.%1$s 3600 A 10.0.3.200\n"
				    "host.%1$s 3600 A 10.0.3.5\n"
				    "x.ent.%1$s 3600 A 10.0.3.6\n"
				    "text.%1$s 3600 TXT \"x\"\n"
				    "dn.%1$s 3600 DNAME ent.%1$s\n";
	char parent[1024], text[1024];
	char *at = parent;
	at += sprintf(at, "par.test. 3600 NS ns.par.test.\n"
			  "ns.par.test. 3600 A 192.0.2.9\n");
	for (unsigned i = 0; i < sizeof(kids) / sizeof(*kids); i++) {
		at += sprintf(at, "%s 3600 NS ns.par.test.\n", kids[i].origin);
		snprintf(text, sizeof(text), names, kids[i].origin);
		world_zone(w, kids[i].origin, "192.0.2.9", text);
		world_sign(w, kids[i].origin, kids[i].how);
	}
	world_zone(w, "par.test.", "192.0.2.9", parent);
	world_sign(w, "par.test.", SIGN_NSEC3);
}

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
		"al.test. 3600 CNAME bb.test.\n"
		"open.test. 3600 NS ns.open.test.\n"
		"ns.open.test. 3600 A 192.0.2.3\n"
		"big.test. 3600 NS ns.big.test.\n"
		"ns.big.test. 3600 A 192.0.2.4\n"
		"ww.test. 3600 A 10.0.0.5\n"
		"ww.test. 3600 TXT \"x\"\n"
		"dn.test. 3600 DNAME pp.test.\n"
		"x.pp.test. 3600 A 10.0.0.7\n"
		"nn.test. 3600 NS ns.nn.test.\n"
		"ns.nn.test. 3600 A 192.0.2.5\n"
		"oo.test. 3600 NS ns.oo.test.\n"
		"ns.oo.test. 3600 A 192.0.2.7\n"
		"par.test. 3600 NS ns.par.test.\n"
		"ns.par.test. 3600 A 192.0.2.9\n");
	world_zone(w, "open.test.", "192.0.2.3",
		"open.test. 3600 NS ns.open.test.\n"
		"ns.open.test. 3600 A 192.0.2.3\n"
		"www.open.test. 3600 A 10.0.0.6\n");
	add_big(w, names);
	add_nsec3_zone(w, "nn", 5, SIGN_NSEC3);
	add_nsec3_zone(w, "oo", 7, SIGN_OPT_OUT);
	add_family(w);
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

static void the_deepest_name_is_denied_too(void **state)
{
	enum { DEEP = 100 };
	struct world *w = *state;
	char name[2 * DEEP + sizeof("bbb.test.")] = "";
	for (unsigned i = 0; i < DEEP; i++)
		memcpy(name + (size_t)2 * i, "a.", 2);
	strcpy(name + 2 * DEEP, "bbb.test.");
	world_ask(w, "bba.test.", TYPE_A);
	assert_int_equal(ask_silent(w, name, TYPE_A).rcode, RCODE_NXDOMAIN);
	assert_int_equal(ask_silent(w, name, TYPE_DS).rcode, RCODE_NXDOMAIN);
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

/* RFC 6840 section 4.3: a name with an alias has no denied types, be it DS. */
static void an_alias_is_not_denied_to_who_asks_for_ds(void **state)
{
	struct world *w = *state;
	world_ask(w, "ala.test.", TYPE_A); /* the NSEC of al */
	struct world_result r = world_ask(w, "al.test.", TYPE_DS);
	assert_non_null(strstr(r.text, "al.test. CNAME bb.test."));
	assert_int_equal(r.status, CACHE_SECURE);
	world_ask(w, "none.nn.test.", TYPE_A); /* all hashes of the zone */
	r = world_ask(w, "al.nn.test.", TYPE_DS);
	assert_non_null(strstr(r.text, "al.nn.test. CNAME bb.nn.test."));
	assert_int_equal(r.status, CACHE_SECURE);
	/* what a wildcard makes, too */
	world_ask(w, "q.alias.test.", TYPE_A);
	r = ask_silent(w, "r.alias.test.", TYPE_DS);
	assert_non_null(strstr(r.text, "r.alias.test. CNAME bb.test."));
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

/* RFC 6840 section 4.1, where no delegation is known that would say so, too. */
static void the_parents_nsec_says_nothing_of_the_child(void **state)
{
	struct world *w = *state;
	world_ask(w, "open.test.", TYPE_DS);
	ask_silent(w, "open.test.", TYPE_DS);
	struct world_result r = world_ask(w, "open.test.", TYPE_A);
	assert_true(r.packets > 0);
	assert_int_equal(r.status, CACHE_INSECURE);
	assert_int_equal(w->counters.aggressive_nodata, 0);
}

static void a_delegations_nsec_denies_nothing_below_it(void **state)
{
	struct world *w = *state;
	world_ask(w, "open.test.", TYPE_DS);
	struct world_result r = world_ask(w, "www.open.test.", TYPE_A);
	assert_non_null(strstr(r.text, "www.open.test. A 10.0.0.6"));
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
	assert_int_equal(w->counters.aggressive_nodata, 0);
}

static void below_a_dname_nothing_is_denied(void **state)
{
	struct world *w = *state;
	world_ask(w, "dn.test.", TYPE_A); /* its NSEC, and not what it says */
	ask_silent(w, "dn.test.", TYPE_MX);
	const struct world_result r = world_ask(w, "x.dn.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_non_null(strstr(r.text, "x.pp.test. A 10.0.0.7"));
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
	/* beside it something is */
	world_ask(w, "bba.test.", TYPE_A);
	assert_int_equal(ask_silent(w, "dna.test.", TYPE_A).rcode, RCODE_NXDOMAIN);
}

static void the_wildcards_own_interval_is_needed(void **state)
{
	struct world *w = *state;
	world_ask(w, "bb.test.", TYPE_MX); /* from bb on, nothing of *.test */
	struct world_result r = world_ask(w, "bbb.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_true(r.packets > 0);
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
	assert_int_equal(ask_silent(w, "bbc.test.", TYPE_A).rcode, RCODE_NXDOMAIN);
}

static void a_wildcard_needs_the_denial_of_the_closer_name(void **state)
{
	struct world *w = *state;
	world_ask(w, "*.wild.test.", TYPE_A);
	world_ask(w, "bba.test.", TYPE_A); /* the zone has denials, of others */
	const struct world_result r = world_ask(w, "r.wild.test.", TYPE_A);
	assert_non_null(strstr(r.text, "r.wild.test. A 10.0.0.3"));
	assert_true(r.packets > 0);
	assert_int_equal(w->counters.aggressive_wildcard, 0);
	ask_silent(w, "s.wild.test.", TYPE_A);
	assert_int_equal(w->counters.aggressive_wildcard, 1);
}

static void a_wildcard_has_no_other_type(void **state)
{
	struct world *w = *state;
	world_ask(w, "q.wild.test.", TYPE_AAAA);
	const struct world_result r = ask_silent(w, "r.wild.test.", TYPE_AAAA);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_non_null(strstr(r.text, "-- *.wild.test. NSEC"));
	assert_int_equal(w->counters.aggressive_nodata, 1);
}

/* --- NSEC3 ------------------------------------------------------------------------ */

static void hashes_deny_names_and_types(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "none.nn.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_SECURE);
	r = ask_silent(w, "other.nn.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_non_null(strstr(r.text, "NSEC3"));
	r = ask_silent(w, "x.y.nn.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(w->counters.aggressive_nxdomain, 2);
	r = ask_silent(w, "bb.nn.test.", TYPE_MX);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	r = ask_silent(w, "wild.nn.test.", TYPE_A); /* an empty non-terminal */
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_int_equal(w->counters.aggressive_nodata, 2);
	/* what is there is asked for */
	r = world_ask(w, "bb.nn.test.", TYPE_A);
	assert_non_null(strstr(r.text, "bb.nn.test. A 10.0.1.1"));
}

static void a_hashed_wildcard_is_expanded(void **state)
{
	struct world *w = *state;
	world_ask(w, "q.wild.nn.test.", TYPE_A);
	struct world_result r = ask_silent(w, "r.wild.nn.test.", TYPE_A);
	assert_non_null(strstr(r.text, "r.wild.nn.test. A 10.0.1.2"));
	assert_non_null(strstr(r.text, "NSEC3"));
	assert_int_equal(w->counters.aggressive_wildcard, 1);
	r = world_ask(w, "a.wild.nn.test.", TYPE_A);
	assert_non_null(strstr(r.text, "a.wild.nn.test. A 10.0.1.3"));
}

/* All hashes of the zone are known. */
static void below_hashed_cuts_nothing_is_denied(void **state)
{
	struct world *w = *state;
	world_ask(w, "none.nn.test.", TYPE_A);
	ask_silent(w, "open.nn.test.", TYPE_DS);
	struct world_result r = world_ask(w, "www.open.nn.test.", TYPE_A);
	assert_non_null(strstr(r.text, "www.open.nn.test. A 10.0.1.5"));
	assert_int_equal(r.status, CACHE_INSECURE);
	r = world_ask(w, "x.dn.nn.test.", TYPE_A);
	assert_non_null(strstr(r.text, "x.pp.nn.test. A 10.0.1.4"));
	assert_int_equal(r.status, CACHE_SECURE);
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
}

static void opt_out_denies_nothing(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "none.oo.test.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_INSECURE); /* RFC 5155 section 9.2 */
	r = world_ask(w, "other.oo.test.", TYPE_A);
	assert_true(r.packets > 0);
	r = world_ask(w, "www.open.oo.test.", TYPE_A);
	assert_non_null(strstr(r.text, "www.open.oo.test. A 10.0.1.5"));
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
	assert_int_equal(w->counters.aggressive_nodata, 0);
}

static void is_as_the_child_has_it(
	struct world *w, const char *label, const char *kid, const char *data)
{
	char name[64], want[160];
	snprintf(name, sizeof(name), "%s.%s", label, kid);
	snprintf(want, sizeof(want), "%s A %s\n", name, data ? data : "");
	const struct world_result r = world_ask(w, name, TYPE_A);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	if (data && !strstr(r.text, want))
		fail_msg("%s: %s", name, r.text);
	if (!data && strstr(r.text, " A "))
		fail_msg("%s: %s", name, r.text);
}

/* The parent's denials are known, the delegation is not, and of the child the wildcard. */
static void a_childs_wildcard_is_not_made_by_the_parents_denials(void **state)
{
	static const char *const kids[] = { "ka.par.test.", "kb.par.test.",
		"kc.par.test." };
	static const char *const starts[] = { "*", "w" };
	struct world *w = *state;
	for (unsigned i = 0; i < 6; i++) {
		const char *kid = kids[i % 3];
		char name[64];
		cache_clear(w->cache, (const uint8_t *)"", true, 0);
		world_ask(w, "none.par.test.", TYPE_TXT); /* all hashes of the zone */
		world_forget_log(w);
		ask_silent(w, "other.par.test.", TYPE_A);
		const uint64_t made = w->counters.aggressive_wildcard;
		snprintf(name, sizeof(name), "%s.%s", starts[i / 3], kid);
		const struct world_result r = world_ask(w, name, TYPE_A);
		assert_non_null(strstr(r.text, " A 10.0.3.200"));
		is_as_the_child_has_it(w, "host", kid, "10.0.3.5");
		is_as_the_child_has_it(w, "x.ent", kid, "10.0.3.6");
		is_as_the_child_has_it(w, "text", kid, NULL);
		is_as_the_child_has_it(w, "ent", kid, NULL);
		snprintf(name, sizeof(name), "b.ent.%s", kid);
		assert_int_equal(world_ask(w, name, TYPE_A).rcode, RCODE_NXDOMAIN);
		snprintf(name, sizeof(name), "x.dn.%s", kid);
		assert_non_null(strstr(world_ask(w, name, TYPE_A).text, "10.0.3.6"));
		assert_int_equal(w->counters.aggressive_wildcard, made);
	}
}

/* RFC 5155 section 9.2: an unsigned delegation may be there. */
static void what_opt_out_leaves_open_stays_open(void **state)
{
	static const char *const names[] = { "w.kc.par.test.", "v.kc.par.test." };
	struct world *w = *state;
	world_ask(w, "none.par.test.", TYPE_TXT);
	for (unsigned i = 0; i < 2; i++) {
		const struct world_result r = world_ask(w, names[i], TYPE_A);
		assert_non_null(strstr(r.text, " A 10.0.3.200"));
		assert_int_equal(r.status, CACHE_INSECURE);
	}
}

/* --- until when, and where not ---------------------------------------------------- */

static void what_is_made_does_not_outlive_signatures(void **state)
{
	struct world *w = *state;
	world_sleep(w, INT64_C(30) * DAY_MS - 20 * 1000);
	world_ask(w, "bba.test.", TYPE_A);
	world_ask(w, "q.wild.test.", TYPE_A);
	world_ask(w, "none.nn.test.", TYPE_A);
	static const char *const names[] = { "bbb.test.", "r.wild.test.",
		"other.nn.test." };
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct world_result r = ask_silent(w, names[i], TYPE_A);
		assert_in_range(r.ttl, 1, 20);
	}
	world_sleep(w, 21 * 1000);
	const struct world_result r = world_ask(w, "bbc.test.", TYPE_A);
	assert_true(r.packets > 0);
	assert_true(r.bogus);
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

static void a_negative_anchor_below_stops_it_there(void **state)
{
	struct world *w = *state;
	w->insecure = "bbb.test.";
	world_trust(w, ".");
	world_ask(w, "bba.test.", TYPE_A);
	assert_true(world_ask(w, "x.bbb.test.", TYPE_A).packets > 0);
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
	assert_int_equal(ask_silent(w, "bbc.test.", TYPE_A).rcode, RCODE_NXDOMAIN);
}

static void what_goes_elsewhere(struct world *w, enum policy_action action)
{
	world_zone(w, "bbb.test.", "192.0.2.99",
		"bbb.test. 300 NS ns.bbb.test.\n"
		"x.bbb.test. 300 A 10.0.2.1\n");
	world_forward(w, "bbb.test.", "192.0.2.99", action);
	world_ask(w, "bba.test.", TYPE_A);
	const struct world_result r = world_ask(w, "x.bbb.test.", TYPE_A);
	assert_true(world_asked(w, "192.0.2.99 x.bbb.test. A") > 0);
	/* of a forwarded suffix they deny the parent's DS, no more: no delegation, so it is
	 * bogus */
	const bool forwarded = action == POLICY_FORWARD;
	assert_int_equal(r.rcode, forwarded ? RCODE_SERVFAIL : RCODE_NOERROR);
	assert_int_equal(r.bogus, forwarded);
	assert_int_equal(w->counters.aggressive_nxdomain, forwarded);
	assert_int_equal(ask_silent(w, "bbc.test.", TYPE_A).rcode, RCODE_NXDOMAIN);
}

static void what_is_forwarded_is_not_denied(void **state)
{
	what_goes_elsewhere(*state, POLICY_FORWARD);
}

static void what_a_stub_answers_is_not_denied(void **state)
{
	what_goes_elsewhere(*state, POLICY_STUB);
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
		TEST(the_deepest_name_is_denied_too),
		TEST(a_name_between_two_known_ones_is_denied),
		TEST(a_known_name_has_no_other_type),
		TEST(a_name_that_is_not_there_has_no_ds_either),
		TEST(an_alias_is_not_denied_to_who_asks_for_ds),
		TEST(an_empty_non_terminal_is_there),
		TEST(a_wildcard_is_expanded_with_its_proof),
		TEST(a_wildcard_alias_is_followed),
		TEST(below_a_delegation_nothing_is_denied),
		TEST(the_parents_nsec_says_nothing_of_the_child),
		TEST(a_delegations_nsec_denies_nothing_below_it),
		TEST(below_a_dname_nothing_is_denied),
		TEST(the_wildcards_own_interval_is_needed),
		TEST(a_wildcard_needs_the_denial_of_the_closer_name),
		TEST(a_wildcard_has_no_other_type),
		TEST(hashes_deny_names_and_types),
		TEST(a_hashed_wildcard_is_expanded),
		TEST(below_hashed_cuts_nothing_is_denied),
		TEST(opt_out_denies_nothing),
		TEST(a_childs_wildcard_is_not_made_by_the_parents_denials),
		TEST(what_opt_out_leaves_open_stays_open),
		TEST(what_is_made_does_not_outlive_signatures),
		TEST(denials_end_with_the_soa_minimum),
		TEST(a_clear_concerns_what_would_be_made),
		TEST(nothing_is_made_without_validation_or_for_cd),
		TEST(a_negative_anchor_stops_it),
		TEST(a_negative_anchor_below_stops_it_there),
		TEST(what_is_forwarded_is_not_denied),
		TEST(what_a_stub_answers_is_not_denied),
		cmocka_unit_test_setup_teardown(
			random_names_cost_no_more_than_the_zone_has_denials,
			setup_flood, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
