/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "iter/iter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "cache/pages.h"
#include "iter/world_zone.h"
#include "wire/codes.h"

enum { DAY_MS = 86400 * 1000 };

static const struct {
	const char *name;
	unsigned how;
} zones[] = {
	{ "example.com.", SIGN_WELL },
	{ "expired.com.", SIGN_EXPIRED },
	{ "early.com.", SIGN_EARLY },
	{ "wrong.com.", SIGN_WRONG },
	{ "nokey.com.", SIGN_NO_KEY },
	{ "nosigs.com.", SIGN_NOTHING },
	{ "many.com.", SIGN_WELL },
};

/* Each zone on an address of its own, its name servers within. */
static void leaf(struct world *w, const char *name, unsigned number, const char *more)
{
	char at[32], text[2048];
	snprintf(at, sizeof(at), "10.1.%u.1 10.1.%u.2", number, number);
	snprintf(text, sizeof(text),
		"%s 3600 NS ns1.%s\n%s 3600 NS ns2.%s\n"
		"ns1.%s 3600 A 10.1.%u.1\nns2.%s 3600 A 10.1.%u.2\n"
		"www.%s 300 A 10.9.9.%u\n%s",
		name, name, name, name, name, number, name, number, name, number, more);
	world_zone(w, name, at, text);
}

static size_t delegate(char *text, size_t cap, const char *name, unsigned number)
{
	return (size_t)snprintf(text, cap,
		"%s 3600 NS ns1.%s\n%s 3600 NS ns2.%s\n"
		"ns1.%s 3600 A 10.1.%u.1\nns2.%s 3600 A 10.1.%u.2\n",
		name, name, name, name, name, number, name, number);
}

static int begin(void **state)
{
	struct world *w = world_new();
	const unsigned count = sizeof(zones) / sizeof(*zones);
	char com[8192], kid[512];
	size_t len = 0;
	for (unsigned i = 0; i < count; i++)
		len += delegate(com + len, sizeof(com) - len, zones[i].name, i + 1);
	len += delegate(com + len, sizeof(com) - len, "plain.com.", 100);
	delegate(kid, sizeof(kid), "kid.wrong.com.", 101);
	world_zone(w, ".", "192.0.2.1",
		". 518400 NS a.root.\na.root. 518400 A 192.0.2.1\n"
		"com. 172800 NS a.nic.com.\na.nic.com. 172800 A 192.0.2.2\n"
		"org. 172800 NS a.nic.org.\na.nic.org. 172800 A 192.0.2.4\n");
	world_zone(w, "com.", "192.0.2.2", com);
	world_zone(w, "org.", "192.0.2.4",
		"org. 3600 NS a.nic.org.\nwww.org. 300 A 10.9.9.50\n");
	for (unsigned i = 0; i < count; i++)
		leaf(w, zones[i].name, i + 1,
			strcmp(zones[i].name, "wrong.com.") == 0 ? kid
			: i                                      ? ""
			    : "*.wild.example.com. 300 A 10.9.9.77\n"
			      "alias.example.com. 300 CNAME www.example.com.\n"
			      "away.example.com. 300 CNAME www.plain.com.\n"
			      "gone.example.com. 300 CNAME no.plain.com.\n"
			      "lost.example.com. 300 CNAME no.example.com.\n"
			      "a.ent.example.com. 300 A 10.9.9.78\n"
			      "old.example.com. 300 DNAME new.example.com.\n"
			      "x.new.example.com. 300 A 10.9.9.79\n"
			      "made.example.com. 300 DNAME wild.example.com.\n"
			      "low.*.star.example.com. 300 A 10.9.9.80\n");
	leaf(w, "plain.com.", 100, "");
	leaf(w, "kid.wrong.com.", 101, "");
	for (unsigned i = 0; i < count; i++)
		world_sign(w, zones[i].name, zones[i].how);
	world_sign(w, "kid.wrong.com.", SIGN_WELL);
	world_sign(w, "com.", SIGN_WELL);
	world_sign(w, ".", SIGN_WELL);
	world_trust(w, ".");
	*state = w;
	return 0;
}

static int end(void **state)
{
	world_free(*state);
	return 0;
}

static void is(const struct world_result *r, enum cache_status status, const char *text)
{
	assert_int_equal(r->rcode, RCODE_NOERROR);
	assert_string_equal(r->text, text);
	assert_int_equal(r->status, status);
}

static void is_bogus(const struct world_result *r, int ede)
{
	assert_int_equal(r->rcode, RCODE_SERVFAIL);
	assert_true(r->bogus);
	assert_string_equal(r->text, "");
	assert_int_equal(r->ede == EDE_CACHED_ERROR ? r->ede_origin : r->ede, ede);
}

static void is_bogus_now(struct world *w, const char *name)
{
	const struct world_result r = world_ask(w, name, TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
}

static void www_is_secure(struct world *w)
{
	const struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	is(&r, CACHE_SECURE, "www.example.com. A 10.9.9.1\n");
}

/* --- answers ------------------------------------------------------------------------- */

static void an_answer_of_a_signed_zone_is_secure(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	is(&r, CACHE_SECURE, "www.example.com. A 10.9.9.1\n");
	/* a DNSKEY, a DS and then the data: root, com, example.com */
	assert_int_equal(r.packets, 6);
	assert_int_equal(w->counters.dnssec_checks, 6);
	assert_int_equal(w->counters.answers_secure, 1);
	r = world_ask(w, "www.example.com.", TYPE_A);
	is(&r, CACHE_SECURE, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(r.packets, 0);
	r = world_ask(w, "alias.example.com.", TYPE_A);
	is(&r, CACHE_SECURE,
		"alias.example.com. CNAME www.example.com.\nwww.example.com. A "
		"10.9.9.1\n");
	/* what was proved stays proved */
	assert_int_equal(w->counters.dnssec_checks, 7);
	assert_int_equal(w->counters.dnssec_failures, 0);
}

static void an_answer_of_an_unsigned_zone_is_insecure(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "www.plain.com.", TYPE_A);
	is(&r, CACHE_INSECURE, "www.plain.com. A 10.9.9.100\n");
	/* the keys of root and com, the DS of com, the NSEC of plain.com */
	assert_int_equal(w->counters.dnssec_checks, 4);
	r = world_ask(w, "www.org.", TYPE_A);
	is(&r, CACHE_INSECURE, "www.org. A 10.9.9.50\n");
	assert_int_equal(world_ask(w, "no.plain.com.", TYPE_A).status, CACHE_INSECURE);
	assert_int_equal(world_ask(w, "no.plain.com.", TYPE_A).rcode, RCODE_NXDOMAIN);
}

static void an_alias_is_as_good_as_its_target(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 2; i++) {
		const struct world_result r = world_ask(w, "away.example.com.", TYPE_A);
		is(&r, CACHE_INSECURE,
			"away.example.com. CNAME www.plain.com.\n"
			"www.plain.com. A 10.9.9.100\n");
		const struct world_result none =
			world_ask(w, "gone.example.com.", TYPE_A);
		assert_int_equal(none.rcode, RCODE_NXDOMAIN);
		assert_int_equal(none.status, CACHE_INSECURE);
	}
}

/* RFC 4035 section 2.5: whether the alias is known already or not. */
static void what_stands_beside_an_alias_can_be_asked_for(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "alias.example.com.", TYPE_NSEC);
	is(&r, CACHE_SECURE, "alias.example.com. NSEC\n");
	world_ask(w, "lost.example.com.", TYPE_A);
	world_ask(w, "away.example.com.", TYPE_A);
	for (int i = 0; i < 2; i++) {
		r = world_ask(w, "away.example.com.", TYPE_NSEC);
		is(&r, CACHE_SECURE, "away.example.com. NSEC\n");
	}
	world_forget_log(w);
	r = world_ask(w, "lost.example.com.", TYPE_RRSIG);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_string_equal(
		r.text, "lost.example.com. RRSIG\nlost.example.com. RRSIG\n");
	assert_int_equal(world_asked(w, " lost.example.com. RRSIG\n"), 1);
}

static void a_dname_is_proved_and_what_it_makes_with_it(void **state)
{
	struct world *w = *state;
	const struct world_result r = world_ask(w, "x.old.example.com.", TYPE_A);
	is(&r, CACHE_SECURE,
		"old.example.com. DNAME new.example.com.\n"
		"x.old.example.com. CNAME x.new.example.com.\n"
		"x.new.example.com. A 10.9.9.79\n");
}

/* Whether the DNAME is known already or not: what it makes is unsigned. */
static void an_alias_made_of_a_dname_can_be_asked_for(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 2; i++) {
		const struct world_result r =
			world_ask(w, "x.old.example.com.", TYPE_CNAME);
		is(&r, CACHE_SECURE,
			"old.example.com. DNAME new.example.com.\n"
			"x.old.example.com. CNAME x.new.example.com.\n");
	}
}

/* Servers may prove only half of what they say: the target is asked for by itself. */
static void a_target_without_proof_is_asked_for_by_itself(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.1.1.1", MANNER_NO_PROOF_BEHIND);
	world_manner(w, "10.1.1.2", MANNER_NO_PROOF_BEHIND);
	struct world_result r = world_ask(w, "x.made.example.com.", TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_non_null(strstr(r.text, "made.example.com. DNAME wild.example.com.\n"
				       "x.made.example.com. CNAME x.wild.example.com.\n"
				       "x.wild.example.com. A 10.9.9.77\n-- "));
	assert_int_equal(world_asked(w, "x.made.example.com. A\n"), 1);
	assert_int_equal(world_asked(w, "x.wild.example.com. A\n"), 1);
	assert_int_equal(w->counters.dnssec_bogus_replies, 0);
	/* and by itself it needs the proof */
	world_manner(w, "10.1.1.1", MANNER_NO_PROOF);
	world_manner(w, "10.1.1.2", MANNER_NO_PROOF);
	world_forget_log(w);
	r = world_ask(w, "y.made.example.com.", TYPE_A);
	is_bogus(&r, EDE_NSEC_MISSING);
	assert_int_equal(world_asked(w, "y.made.example.com. "), 0);
	assert_int_equal(world_asked(w, "y.wild.example.com. A\n"), LIMIT_BOGUS_TRIES);
}

static void a_wildcard_needs_the_proof_that_there_is_nothing_closer(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 2; i++) {
		const struct world_result r =
			world_ask(w, "x.wild.example.com.", TYPE_A);
		assert_int_equal(r.status, CACHE_SECURE);
		assert_non_null(strstr(r.text, "x.wild.example.com. A 10.9.9.77\n-- "));
	}
	world_manner(w, "10.1.1.1", MANNER_NO_PROOF);
	world_manner(w, "10.1.1.2", MANNER_NO_PROOF);
	const struct world_result r = world_ask(w, "y.wild.example.com.", TYPE_A);
	is_bogus(&r, EDE_NSEC_MISSING);
}

/* --- denials ------------------------------------------------------------------------- */

static void a_denial_needs_its_proof(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 2; i++) {
		struct world_result r = world_ask(w, "no.example.com.", TYPE_A);
		assert_int_equal(r.rcode, RCODE_NXDOMAIN);
		assert_int_equal(r.status, CACHE_SECURE);
		r = world_ask(w, "www.example.com.", TYPE_TXT);
		assert_int_equal(r.rcode, RCODE_NOERROR);
		assert_int_equal(r.status, CACHE_SECURE);
		r = world_ask(w, "ent.example.com.", TYPE_A);
		assert_int_equal(r.rcode, RCODE_NOERROR);
		assert_int_equal(r.status, CACHE_SECURE);
		r = world_ask(w, "lost.example.com.", TYPE_A);
		assert_int_equal(r.rcode, RCODE_NXDOMAIN);
		assert_int_equal(r.status, CACHE_SECURE);
	}
	world_manner(w, "10.1.1.1", MANNER_NO_PROOF);
	world_manner(w, "10.1.1.2", MANNER_NO_PROOF);
	struct world_result r = world_ask(w, "nix.example.com.", TYPE_A);
	is_bogus(&r, EDE_NSEC_MISSING);
	r = world_ask(w, "www.example.com.", TYPE_MX);
	is_bogus(&r, EDE_NSEC_MISSING);
	/* an empty non-terminal is not gone because a server says so */
	world_manner(w, "10.1.1.1", MANNER_DENIES_ENT);
	world_manner(w, "10.1.1.2", MANNER_DENIES_ENT);
	r = world_ask(w, "ent.example.com.", TYPE_MX);
	is_bogus(&r, EDE_NSEC_MISSING);
}

/* RFC 4592 section 2.2.2: the wildcard is there, if only because of a name below it. */
static void an_empty_wildcard_denies_types_not_names(void **state)
{
	struct world *w = *state;
	w->pages = pages_open(NULL, w->cache, &w->counters, &w->random);
	assert_non_null(w->pages);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "m.star.example.com.",
			"m.star.example.com.", "n.star.example.com." };
		const struct world_result r = world_ask(w, names[i], TYPE_A);
		assert_int_equal(r.rcode, RCODE_NOERROR);
		assert_int_equal(r.status, CACHE_SECURE);
		assert_true(i == 0 || r.packets == 0);
	}
	assert_int_equal(w->counters.aggressive_nodata, 1);
	assert_int_equal(w->counters.aggressive_nxdomain, 0);
}

static void a_referral_without_proof_does_not_make_a_zone_unsigned(void **state)
{
	struct world *w = *state;
	world_manner(w, "192.0.2.2", MANNER_STRIPS);
	struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
	r = world_ask(w, "www.plain.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
}

/* The header is not signed. */
static void genuine_data_is_no_name_error(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.1.1.1", MANNER_NAME_ERROR);
	world_manner(w, "10.1.1.2", MANNER_NAME_ERROR);
	www_is_secure(w);
	struct world_result r = world_ask(w, "alias.example.com.", TYPE_A);
	is(&r, CACHE_SECURE,
		"alias.example.com. CNAME www.example.com.\nwww.example.com. A "
		"10.9.9.1\n");
	r = world_ask(w, "lost.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_SECURE);
}

/* Spoofed over UDP: the delegation, bare of all that is signed. The DS as such is known in
 * time, from the retry over TCP. */
static void a_bare_referral_does_not_deny_a_ds(void **state)
{
	struct world *w = *state;
	world_ask(w, "nosuch.com.", TYPE_A); /* com's keys are known */
	world_manner(w, "192.0.2.2", MANNER_SPOOFED | MANNER_REFERS_DS);
	const struct world_result r = world_ask(w, "example.com.", TYPE_DS);
	is(&r, CACHE_SECURE, "example.com. DS\n");
}

/* Answers to minimised questions are not validated, and nothing is built on them. */
static void a_cut_that_is_denied_without_proof_costs_a_label_more(void **state)
{
	struct world *w = *state;
	world_manner(w, "192.0.2.2", MANNER_DENIES_NS);
	www_is_secure(w);
	assert_int_equal(world_asked(w, "192.0.2.2 example.com. NS\n"), 1);
	assert_int_equal(world_asked(w, "192.0.2.2 www.example.com. A\n"), 1);
	/* whoever asks for it itself has it validated: what was denied, and what is there */
	struct world_result r = world_ask(w, "www.wrong.com.", TYPE_A);
	assert_true(r.bogus);
	r = world_ask(w, "plain.com.", TYPE_NS);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
	r = world_ask(w, "example.com.", TYPE_NS);
	is(&r, CACHE_SECURE,
		"example.com. NS ns1.example.com.\nexample.com. NS ns2.example.com.\n");
}

/* Checks that a name which is not there costs, once the zone's keys are known. */
static uint64_t checks_of_absent(struct world *w, const char *meanwhile)
{
	world_ask(w, "www.example.com.", TYPE_A);
	const uint64_t before = w->counters.dnssec_checks;
	w->meanwhile = meanwhile;
	const struct world_result r = world_ask(w, "nosuch.example.com.", TYPE_A);
	assert_null(w->meanwhile);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	return w->counters.dnssec_checks - before;
}

/* Many names of a zone at the same time: SOA and NSEC, which come with each, are checked
 * by the first. */
static void what_another_proved_meanwhile_is_not_checked_again(void **state)
{
	void *alone;
	begin(&alone);
	const uint64_t checks = checks_of_absent(alone, NULL);
	end(&alone);
	assert_true(checks > 1);
	assert_int_equal(checks_of_absent(*state, "nosuci.example.com."), checks);
}

/* For all names that it makes; that there is none closer is proved for each. */
static void a_wildcards_signature_is_checked_once(void **state)
{
	struct world *w = *state;
	uint8_t origin[NAME_MAX_LEN], wild[NAME_MAX_LEN];
	struct world_result r = world_ask(w, "x.wild.example.com.", TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	const uint64_t checks = w->counters.dnssec_checks;
	r = world_ask(w, "y.wild.example.com.", TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_non_null(strstr(r.text, "y.wild.example.com. A 10.9.9.77\n-- "));
	assert_true(r.packets > 0);
	assert_int_equal(w->counters.dnssec_checks, checks);
	r = world_ask(w, "*.wild.example.com.", TYPE_A);
	is(&r, CACHE_SECURE, "*.wild.example.com. A 10.9.9.77\n");
	assert_int_equal(r.packets, 0);
	world_manner(w, "10.1.1.1", MANNER_NO_PROOF);
	world_manner(w, "10.1.1.2", MANNER_NO_PROOF);
	r = world_ask(w, "no.wild.example.com.", TYPE_A);
	is_bogus(&r, EDE_NSEC_MISSING);
	/* another RRset with the same signature */
	world_manner(w, "10.1.1.1", 0);
	world_manner(w, "10.1.1.2", 0);
	name_from_text(origin, "example.com.");
	name_from_text(wild, "*.wild.example.com.");
	struct world_zone *z = world_zone_of(w, origin);
	for (unsigned i = 0; i < z->count; i++)
		if (z->records[i].type == TYPE_A &&
			name_equal(z->records[i].name, wild))
			z->records[i].rdata[3] ^= 1;
	r = world_ask(w, "z.wild.example.com.", TYPE_A);
	is_bogus(&r, EDE_BOGUS);
}

/* Of two signatures the first, which is wrong, is for the very name. */
static void what_a_wildcard_made_is_not_taken_as_proved_before(void **state)
{
	struct world *w = *state;
	uint8_t origin[NAME_MAX_LEN], wild[NAME_MAX_LEN];
	name_from_text(origin, "example.com.");
	name_from_text(wild, "*.wild.example.com.");
	struct world_zone *z = world_zone_of(w, origin);
	const unsigned all = z->count;
	for (unsigned i = 0; i < all; i++) {
		struct record *r = &z->records[i];
		if (r->type != TYPE_RRSIG || !name_equal(r->name, wild) ||
			r->rdata[1] != TYPE_A)
			continue;
		world_record(z, wild, TYPE_RRSIG, r->ttl, r->rdata, r->len);
		r->rdata[3]++; /* labels: as many as x.wild.example.com has */
	}
	assert_int_equal(z->count, all + 1);
	struct world_result r = world_ask(w, "x.wild.example.com.", TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	world_manner(w, "10.1.1.1", MANNER_NO_PROOF);
	world_manner(w, "10.1.1.2", MANNER_NO_PROOF);
	r = world_resolve(w, "x.wild.example.com.", TYPE_A, true);
	is_bogus(&r, EDE_NSEC_MISSING);
	assert_true(w->counters.dnssec_spared <= 1); /* the delegation's DS */
}

/* Data that nobody signed, put into a signed zone. */
static void forge(struct world *w, const char *zone, const char *name, uint16_t type)
{
	uint8_t origin[NAME_MAX_LEN], owner[NAME_MAX_LEN];
	name_from_text(origin, zone);
	name_from_text(owner, name);
	world_record(world_zone_of(w, origin), owner, type, 300,
		(const uint8_t[]){ 3, 'l', 'i', 'e' }, 4);
}

static void an_alias_into_an_unsigned_zone_is_no_unsigned_delegation(void **state)
{
	struct world *w = *state;
	forge(w, "example.com.", "away.example.com.", TYPE_TXT);
	struct world_result r = world_ask(w, "away.example.com.", TYPE_TXT);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
	assert_int_equal(world_asked(w, "away.example.com. DS\n"), 1);
	assert_int_equal(world_asked(w, "plain.com."), 0);
	r = world_ask(w, "away.example.com.", TYPE_A);
	assert_int_equal(r.status, CACHE_INSECURE);
}

static void unsigned_data_of_a_signed_zone_costs_little_however_deep(void **state)
{
	enum { LABELS = 60 };
	struct world *w = *state;
	uint8_t origin[NAME_MAX_LEN], owner[NAME_MAX_LEN];
	char name[256] = "";
	world_unsign(w, "example.com.");
	for (unsigned i = 0; i < LABELS; i++)
		strcat(name, "x.");
	strcat(name, "example.com.");
	name_from_text(origin, "example.com.");
	name_from_text(owner, name);
	world_record(world_zone_of(w, origin), owner, TYPE_A, 300,
		(const uint8_t[]){ 10, 9, 9, 80 }, 4);
	world_sign(w, "example.com.", SIGN_WELL);
	forge(w, "example.com.", name, TYPE_TXT);
	struct world_result r = world_ask(w, name, TYPE_TXT);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
	assert_int_equal(w->counters.budget_packets_exhausted, 0);
	/* of the first label, and of the name itself */
	assert_int_equal(world_asked(w, " DS\n"), 2);
	r = world_ask(w, name, TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	/* the name itself says nothing that can be believed */
	const struct world_zone *z = world_zone_of(w, origin);
	for (unsigned i = 0; i < z->count; i++) {
		struct record *sig = &z->records[i];
		if (name_equal(sig->name, owner) && sig->type == TYPE_RRSIG &&
			sig->rdata[1] == TYPE_NSEC)
			sig->rdata[sig->len - 1] ^= 1;
	}
	world_sleep(w, 400 * 1000);
	world_forget_log(w);
	r = world_ask(w, name, TYPE_TXT);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
	assert_true(w->counters.budget_labels_exhausted > 0);
	assert_true(world_asked(w, " DS\n") < 2 * LIMIT_UNSIGNED_LABELS);
}

/* --- bogus --------------------------------------------------------------------------- */

static void bogus_says_why_and_is_told_again_for_nothing(void **state)
{
	static const struct {
		const char *name;
		int ede;
	} rows[] = {
		{ "www.expired.com.", EDE_SIGNATURE_EXPIRED },
		{ "www.early.com.", EDE_SIGNATURE_NOT_YET_VALID },
		{ "www.wrong.com.", EDE_BOGUS },
		{ "www.nokey.com.", EDE_DNSKEY_MISSING },
		{ "www.nosigs.com.", EDE_RRSIGS_MISSING },
	};
	struct world *w = *state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world_result r = world_ask(w, rows[i].name, TYPE_A);
		is_bogus(&r, rows[i].ede);
		const uint64_t checks = w->counters.dnssec_checks;
		r = world_ask(w, rows[i].name, TYPE_A);
		is_bogus(&r, rows[i].ede);
		assert_int_equal(r.ede, EDE_CACHED_ERROR);
		assert_int_equal(r.packets, 0);
		assert_int_equal(w->counters.dnssec_checks, checks);
		assert_int_equal(
			world_stale(w, rows[i].name, TYPE_A).rcode, RCODE_SERVFAIL);
	}
	assert_int_equal(w->counters.answers_bogus, 2 * sizeof(rows) / sizeof(*rows));
}

static void one_broken_server_of_two_is_not_enough(void **state)
{
	struct world *w = *state;
	for (unsigned i = 0; i < 10; i++) {
		char name[64];
		world_manner(w, "10.1.1.1", i & 1 ? MANNER_STRIPS : 0);
		world_manner(w, "10.1.1.2", i & 1 ? 0 : MANNER_STRIPS);
		snprintf(name, sizeof(name), "n%u.wild.example.com.", i);
		assert_int_equal(world_ask(w, name, TYPE_A).status, CACHE_SECURE);
	}
	assert_true(w->counters.dnssec_bogus_replies > 0);
}

/* Over UDP somebody else may have answered. */
static void a_bogus_reply_by_udp_is_asked_for_again_by_tcp(void **state)
{
	struct world *w = *state;
	world_manner(w, "10.1.1.1", MANNER_SPOOFED);
	world_manner(w, "10.1.1.2", MANNER_SPOOFED);
	www_is_secure(w);
	assert_int_equal(world_asked(w, "tcp www.example.com. A\n"), 1);
	assert_int_equal(world_asked(w, " www.example.com. A\n"), 3);
	struct world_result r = world_ask(w, "no.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_SECURE);
	/* a server that is broken without a liar's help: each is asked twice */
	world_forget_log(w);
	r = world_ask(w, "www.wrong.com.", TYPE_A);
	is_bogus(&r, EDE_BOGUS);
	assert_int_equal(world_asked(w, " www.wrong.com. A\n"), 4);
	assert_int_equal(world_asked(w, "tcp www.wrong.com. A\n"), 2);
	/* the only one that answers, and not by TCP: once more all the same */
	world_sleep(w, 1000);
	world_forget_log(w);
	world_manner(w, "10.1.1.1", MANNER_STRIPS | MANNER_TC_GARBLED);
	world_manner(w, "10.1.1.2", MANNER_SILENT);
	r = world_ask(w, "www.example.com.", TYPE_TXT);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
	assert_int_equal(world_asked(w, "10.1.1.1 tcp www.example.com. TXT\n"), 1);
	assert_int_equal(world_asked(w, "10.1.1.1 www.example.com. TXT\n"), 2);
}

/* The cached delegation is a liar's, and so is the one that leads to it. */
static void forged_delegations_above_each_other_are_no_outage(void **state)
{
	struct world *w = *state;
	char lies[512];
	www_is_secure(w);
	world_move(w, "192.0.2.2", "192.0.2.22");
	world_move(w, "10.1.1.1", "10.1.1.11");
	world_move(w, "10.1.1.2", "10.1.1.12");
	delegate(lies, sizeof(lies), "example.com.", 1);
	world_zone(w, "com.", "192.0.2.2", lies);
	leaf(w, "example.com.", 1, "");
	world_sleep(w, 301 * 1000);
	world_forget_log(w);
	www_is_secure(w);
	assert_int_equal(world_asked(w, "192.0.2.1 "), 1);
	/* and what was found out stays */
	world_forget_log(w);
	world_ask(w, "www.example.com.", TYPE_TXT);
	assert_int_equal(world_asked(w, "192.0.2.1 "), 0);
	assert_int_equal(world_asked(w, "192.0.2.2 "), 0);
	assert_int_equal(world_asked(w, "10.1.1.1 ") + world_asked(w, "10.1.1.2 "), 0);
}

static void without_checking_the_data_is_had_and_not_believed(void **state)
{
	struct world *w = *state;
	w->cd = true;
	struct world_result r = world_ask(w, "www.wrong.com.", TYPE_A);
	is(&r, CACHE_UNCHECKED, "www.wrong.com. A 10.9.9.4\n");
	r = world_ask(w, "www.example.com.", TYPE_A);
	is(&r, CACHE_UNCHECKED, "www.example.com. A 10.9.9.1\n");
	assert_int_equal(w->counters.dnssec_checks, 0);
	w->cd = false;
	r = world_ask(w, "www.wrong.com.", TYPE_A);
	is_bogus(&r, EDE_BOGUS);
	/* what lies there is validated, not asked for again */
	world_forget_log(w);
	www_is_secure(w);
	assert_int_equal(world_asked(w, "www.example.com. A"), 0);
	w->cd = true;
	r = world_ask(w, "www.wrong.com.", TYPE_A);
	is(&r, CACHE_UNCHECKED, "www.wrong.com. A 10.9.9.4\n");
	www_is_secure(w);
}

/* --- keys that change ----------------------------------------------------------------- */

/* example.com is in the cache; ten seconds later it is signed otherwise. */
static void changes(struct world *w, unsigned how)
{
	www_is_secure(w);
	world_sleep(w, 10 * 1000);
	world_unsign(w, "example.com.");
	world_sign(w, "example.com.", how);
	world_forget_log(w);
}

static void eight_names_are_bogus(struct world *w)
{
	for (unsigned i = 0; i < 8; i++) {
		char name[64];
		snprintf(name, sizeof(name), "n%u.example.com.", i);
		is_bogus_now(w, name);
	}
}

static void keys_that_changed_are_fetched_anew(void **state)
{
	struct world *w = *state;
	changes(w, SIGN_SECOND_KEY);
	struct world_result r = world_ask(w, "a.ent.example.com.", TYPE_A);
	is(&r, CACHE_SECURE, "a.ent.example.com. A 10.9.9.78\n");
	assert_int_equal(world_asked(w, "example.com. DNSKEY"), 1);
	/* for those who come later, too */
	r = world_ask(w, "no.example.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_int_equal(world_asked(w, "example.com. DNSKEY"), 1);
}

/* All keys are new, and the parent knows: the cached DS names a key that is gone. */
static void a_ds_that_changed_is_fetched_anew(void **state)
{
	struct world *w = *state;
	changes(w, SIGN_NEW_KEY);
	world_unsign(w, "com.");
	world_sign(w, "com.", SIGN_WELL);
	struct world_result r = world_ask(w, "a.ent.example.com.", TYPE_A);
	is(&r, CACHE_SECURE, "a.ent.example.com. A 10.9.9.78\n");
	assert_int_equal(world_asked(w, "example.com. DS"), 1);
	/* for those who come later, too */
	r = world_ask(w, "alias.example.com.", TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_int_equal(world_asked(w, "example.com. DS"), 1);
	assert_int_equal(world_asked(w, "example.com. DNSKEY"), 1);
}

/* A zone that fits no DS: its parent is asked now and then. */
static void a_ds_that_fits_nothing_is_asked_for_now_and_then(void **state)
{
	struct world *w = *state;
	changes(w, SIGN_NEW_KEY);
	eight_names_are_bogus(w);
	assert_int_equal(world_asked(w, "example.com. DS"), 1);
}

/* A zone, or a liar, whose signatures nobody has a key for. */
static void keys_that_are_missing_are_asked_for_now_and_then(void **state)
{
	struct world *w = *state;
	www_is_secure(w);
	uint8_t origin[NAME_MAX_LEN];
	name_from_text(origin, "example.com.");
	struct world_zone *z = world_zone_of(w, origin);
	enum { TAG = 16 };
	for (unsigned i = 0; i < z->count; i++) {
		struct record *sig = &z->records[i];
		if (sig->type == TYPE_RRSIG &&
			(sig->rdata[0] << 8 | sig->rdata[1]) != TYPE_DNSKEY)
			sig->rdata[TAG] ^= 1;
	}
	/* fetched just now */
	world_forget_log(w);
	is_bogus_now(w, "alias.example.com.");
	assert_int_equal(world_asked(w, "example.com. DNSKEY"), 0);
	world_sleep(w, 10 * 1000);
	eight_names_are_bogus(w);
	assert_int_equal(world_asked(w, "example.com. DNSKEY"), 1);
	/* the keys that we have stay when no new ones can be had */
	world_sleep(w, 10 * 1000);
	world_manner(w, "10.1.1.1", MANNER_STRIPS);
	world_manner(w, "10.1.1.2", MANNER_STRIPS);
	www_is_secure(w);
	is_bogus_now(w, "m.example.com.");
	world_manner(w, "10.1.1.1", 0);
	world_manner(w, "10.1.1.2", 0);
	struct world_result r = world_ask(w, "example.com.", TYPE_DNSKEY);
	assert_int_equal(r.rcode, RCODE_NOERROR);
	assert_int_equal(r.status, CACHE_SECURE);
}

/* --- behind a forwarder ------------------------------------------------------------- */

static void also_at(struct world *w, const char *zone, const char *ip)
{
	uint8_t origin[NAME_MAX_LEN];
	name_from_text(origin, zone);
	struct world_zone *z = world_zone_of(w, origin);
	assert_true(addr_from_text(&z->at[z->at_count++], ip, 53));
}

/* All of com is known at 10.7.7.7, which is asked for the suffix alone. */
static void forward(struct world *w, const char *suffix, unsigned how)
{
	world_unsign(w, "com.");
	world_sign(w, "com.", how);
	also_at(w, "com.", "10.7.7.7");
	also_at(w, "plain.com.", "10.7.7.7");
	also_at(w, "example.com.", "10.7.7.7");
	world_forward(w, suffix, "10.7.7.7", POLICY_FORWARD);
}

static const unsigned parents[] = { SIGN_WELL, SIGN_NSEC3, SIGN_OPT_OUT };
enum { PARENTS = sizeof(parents) / sizeof(*parents) };

/* The proof that the suffix has no DS stands at its parent's names. */
static void a_forwarded_suffix_may_be_unsigned(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PARENTS; i++) {
		struct world *w;
		begin((void **)&w);
		forward(w, "plain.com.", parents[i]);
		struct world_result r = world_ask(w, "www.plain.com.", TYPE_A);
		is(&r, CACHE_INSECURE, "www.plain.com. A 10.9.9.100\n");
		assert_int_equal(world_asked(w, "10.7.7.7 plain.com. DS"), 1);
		r = world_ask(w, "no.plain.com.", TYPE_A);
		assert_int_equal(r.rcode, RCODE_NXDOMAIN);
		assert_int_equal(r.status, CACHE_INSECURE);
		end((void **)&w);
	}
}

/* It knows nothing above its apex, and denies the DS with an SOA of its own. */
static void a_target_that_has_the_suffix_alone_may_be_unsigned(void **state)
{
	static const unsigned kinds[] = { POLICY_FORWARD, POLICY_STUB };
	(void)state;
	for (unsigned i = 0; i < PARENTS * 2; i++) {
		struct world *w;
		begin((void **)&w);
		world_unsign(w, "com.");
		world_sign(w, "com.", parents[i / 2]);
		also_at(w, "plain.com.", "10.7.7.7");
		world_forward(w, "plain.com.", "10.7.7.7", kinds[i % 2]);
		for (int twice = 0; twice < 2; twice++) {
			struct world_result r = world_ask(w, "www.plain.com.", TYPE_A);
			is(&r, CACHE_INSECURE, "www.plain.com. A 10.9.9.100\n");
			r = world_ask(w, "no.plain.com.", TYPE_A);
			assert_int_equal(r.rcode, RCODE_NXDOMAIN);
			assert_int_equal(r.status, CACHE_INSECURE);
		}
		end((void **)&w);
	}
}

/* What its parent says is signed stays bogus without signatures. */
static void a_target_that_has_the_suffix_alone_cannot_unsign_it(void **state)
{
	struct world *w = *state;
	world_forward(w, "example.com.", "10.7.7.7", POLICY_FORWARD);
	also_at(w, "example.com.", "10.7.7.7");
	world_manner(w, "10.7.7.7", MANNER_STRIPS);
	is_bogus_now(w, "www.example.com.");
}

static void a_forwarded_suffix_may_be_signed_or_absent(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PARENTS; i++) {
		struct world *w;
		begin((void **)&w);
		forward(w, "example.com.", parents[i]);
		www_is_secure(w);
		end((void **)&w);
		begin((void **)&w);
		forward(w, "none.com.", parents[i]);
		const struct world_result r = world_ask(w, "www.none.com.", TYPE_A);
		assert_int_equal(r.rcode, RCODE_NXDOMAIN);
		/* without opt-out: RFC 5155 section 9.2 */
		assert_int_equal(r.status,
			parents[i] == SIGN_OPT_OUT ? CACHE_INSECURE : CACHE_SECURE);
		end((void **)&w);
	}
}

static void what_a_forwarder_denies_from_above_needs_its_signature(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PARENTS; i++) {
		struct world *w;
		begin((void **)&w);
		forward(w, "example.com.", parents[i]);
		world_manner(w, "10.7.7.7", MANNER_STRIPS);
		is_bogus_now(w, "www.example.com.");
		end((void **)&w);
		begin((void **)&w);
		forward(w, "none.com.", parents[i]);
		world_manner(w, "10.7.7.7", MANNER_STRIPS);
		if (parents[i] ==
			SIGN_OPT_OUT) { /* the suffix may be unsigned, says com */
			const struct world_result r =
				world_ask(w, "www.none.com.", TYPE_A);
			assert_int_equal(r.rcode, RCODE_NXDOMAIN);
			assert_int_equal(r.status, CACHE_INSECURE);
		} else {
			is_bogus_now(w, "www.none.com.");
		}
		end((void **)&w);
	}
}

/* The world's parent knows no such zone, and says so with its signature. */
static void a_suffix_that_only_a_forwarder_knows_needs_a_negative_anchor(void **state)
{
	struct world *w = *state;
	forward(w, "corp.com.", SIGN_NSEC3);
	world_zone(w, "corp.com.", "10.7.7.7",
		"corp.com. 3600 NS ns.corp.com.\nwww.corp.com. 300 A 10.9.9.60\n");
	is_bogus_now(w, "www.corp.com.");
	world_sleep(w, 600 * 1000);
	w->insecure = "corp.com.";
	world_trust(w, ".");
	struct world_result r = world_ask(w, "www.corp.com.", TYPE_A);
	is(&r, CACHE_INSECURE, "www.corp.com. A 10.9.9.60\n");
	r = world_ask(w, "no.corp.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_NXDOMAIN);
	assert_int_equal(r.status, CACHE_INSECURE);
}

/* --- anchors and time ---------------------------------------------------------------- */

static void below_a_negative_anchor_nothing_is_validated(void **state)
{
	struct world *w = *state;
	w->insecure = "wrong.com.";
	world_trust(w, ".");
	for (int i = 0; i < 2; i++) {
		const struct world_result r = world_ask(w, "www.wrong.com.", TYPE_A);
		is(&r, CACHE_INSECURE, "www.wrong.com. A 10.9.9.4\n");
		assert_int_equal(r.ede, EDE_NEGATIVE_ANCHOR);
	}
	www_is_secure(w);
}

/* The zones above it may be as broken as they like. */
static void a_negative_anchor_is_reached_through_a_bogus_zone(void **state)
{
	struct world *w = *state;
	struct world_result r = world_ask(w, "www.kid.wrong.com.", TYPE_A);
	is_bogus(&r, EDE_BOGUS);
	w->now.wall_ms += 600 * 1000; /* failures are forgotten */
	w->now.mono_us += 600 * INT64_C(1000000);
	w->insecure = "kid.wrong.com.";
	world_trust(w, ".");
	for (int i = 0; i < 2; i++) {
		r = world_ask(w, "www.kid.wrong.com.", TYPE_A);
		is(&r, CACHE_INSECURE, "www.kid.wrong.com. A 10.9.9.101\n");
		assert_int_equal(r.ede, EDE_NEGATIVE_ANCHOR);
	}
	/* its own delegation and what is beside it are judged as before */
	r = world_ask(w, "kid.wrong.com.", TYPE_DS);
	is_bogus(&r, EDE_BOGUS);
	r = world_ask(w, "www.wrong.com.", TYPE_A);
	is_bogus(&r, EDE_BOGUS);
	www_is_secure(w);
}

static void a_negative_anchor_is_reached_when_nothing_above_is_valid(void **state)
{
	struct world *w = *state;
	w->now.wall_ms += 800 * (int64_t)DAY_MS;
	w->insecure = "ent.example.com.";
	world_trust(w, ".");
	struct world_result r = world_ask(w, "a.ent.example.com.", TYPE_A);
	is(&r, CACHE_INSECURE, "a.ent.example.com. A 10.9.9.78\n");
	r = world_ask(w, "www.example.com.", TYPE_A);
	is_bogus(&r, EDE_SIGNATURE_EXPIRED);
}

static void an_island_is_validated_from_its_own_anchor(void **state)
{
	struct world *w = *state;
	world_trust(w, "example.com.");
	www_is_secure(w);
	struct world_result r = world_ask(w, "www.wrong.com.", TYPE_A);
	is(&r, CACHE_INSECURE, "www.wrong.com. A 10.9.9.4\n");
}

/* No record of this name is left in the zone. */
static void forget(struct world *w, const char *zone, const char *name)
{
	uint8_t origin[NAME_MAX_LEN], owner[NAME_MAX_LEN];
	unsigned kept = 0;
	name_from_text(origin, zone);
	name_from_text(owner, name);
	struct world_zone *z = world_zone_of(w, origin);
	for (unsigned i = 0; i < z->count; i++)
		if (!name_equal(z->records[i].name, owner))
			z->records[kept++] = z->records[i];
	z->count = kept;
}

static void an_unsigned_parent_cannot_deny_an_island(void **state)
{
	struct world *w = *state;
	world_trust(w, "example.com.");
	forget(w, "com.", "example.com.");
	is_bogus_now(w, "www.example.com.");
	const struct world_result r = world_ask(w, "sub.example.com.", TYPE_DS);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
}

/* com refers to a zone of its own below the anchor, over the anchor's head. */
static void an_unsigned_parent_cannot_delegate_within_an_island(void **state)
{
	struct world *w = *state;
	static const char sub[] = "sub.example.com. 300 NS ns.sub.example.com.\n"
				  "ns.sub.example.com. 300 A 10.1.200.1\n"
				  "www.sub.example.com. 300 A 6.6.6.6\n";
	uint8_t com[NAME_MAX_LEN], name[NAME_MAX_LEN], ns[NAME_MAX_LEN];
	world_trust(w, "example.com.");
	forget(w, "com.", "example.com.");
	world_zone(w, "sub.example.com.", "10.1.200.1", sub);
	name_from_text(com, "com.");
	name_from_text(name, "sub.example.com.");
	const size_t len = name_from_text(ns, "ns.sub.example.com.");
	struct world_zone *z = world_zone_of(w, com);
	world_record(z, name, TYPE_NS, 300, ns, len);
	world_record(z, ns, TYPE_A, 300, (const uint8_t[]){ 10, 1, 200, 1 }, 4);
	is_bogus_now(w, "www.sub.example.com.");
}

static void nothing_outlives_its_signature(void **state)
{
	struct world *w = *state;
	world_sleep(w, INT64_C(30) * DAY_MS - 100 * 1000);
	struct world_result r = world_ask(w, "www.example.com.", TYPE_A);
	assert_int_equal(r.status, CACHE_SECURE);
	assert_true(r.ttl > 0 && r.ttl <= 100);
	world_sleep(w, 101 * 1000);
	r = world_ask(w, "www.example.com.", TYPE_A);
	is_bogus(&r, EDE_SIGNATURE_EXPIRED);
}

/* --- work ---------------------------------------------------------------------------- */

static void a_cold_chain_over_eight_zones_in_eight_tlds_is_secure(void **state)
{
	enum { LINKS = 8 };
	struct world *w = world_new();
	char root[4096] = ". 518400 NS a.root.\na.root. 518400 A 192.0.2.1\n";
	char name[32], tld[32], text[1024], want[2048] = "";
	(void)state;
	for (unsigned i = 0; i < LINKS; i++)
		snprintf(root + strlen(root), sizeof(root) - strlen(root),
			"t%u. 3600 NS n.t%u.\nn.t%u. 3600 A 192.0.3.%u\n", i, i, i, i);
	world_zone(w, ".", "192.0.2.1", root);
	for (unsigned i = 0; i < LINKS; i++) {
		char at[32], last[64] = "A 10.9.9.9";
		snprintf(tld, sizeof(tld), "t%u.", i);
		snprintf(name, sizeof(name), "z.t%u.", i);
		snprintf(at, sizeof(at), "192.0.3.%u", i);
		snprintf(text, sizeof(text), "%s 3600 NS n.%s\n", tld, tld);
		delegate(text + strlen(text), sizeof(text) - strlen(text), name, i);
		world_zone(w, tld, at, text);
		if (i + 1 < LINKS)
			snprintf(last, sizeof(last), "CNAME s.z.t%u.", i + 1);
		snprintf(text, sizeof(text), "s.%s 300 %s\n", name, last);
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "s.%s %s\n",
			name, last);
		leaf(w, name, i, text);
		world_sign(w, name, SIGN_WELL);
		world_sign(w, tld, SIGN_WELL);
	}
	world_sign(w, ".", SIGN_WELL);
	world_trust(w, ".");
	const struct world_result r = world_ask(w, "s.z.t0.", TYPE_A);
	is(&r, CACHE_SECURE, want);
	assert_int_equal(w->counters.dnssec_checks, 5 * LINKS + 1);
	assert_int_equal(w->counters.dnssec_step_checks, 1);
	assert_int_equal(w->counters.budget_packets_exhausted, 0);
	world_free(w);
}

/* Aliases over zones five deep: more than a resolution may check. */
static void genuine_signatures_are_checked_so_many_times(void **state)
{
	enum { LINKS = 17 };
	struct world *w = world_new();
	char root[8192] = ". 518400 NS a.root.\na.root. 518400 A 192.0.2.1\n";
	char leaf_name[32], low[32], mid[32], tld[32], at[32], text[1024];
	(void)state;
	for (unsigned i = 0; i < LINKS; i++)
		snprintf(root + strlen(root), sizeof(root) - strlen(root),
			"t%u. 3600 NS n.t%u.\nn.t%u. 3600 A 192.0.3.%u\n", i, i, i, i);
	world_zone(w, ".", "192.0.2.1", root);
	for (unsigned i = 0; i < LINKS; i++) {
		snprintf(tld, sizeof(tld), "t%u.", i);
		snprintf(mid, sizeof(mid), "y.t%u.", i);
		snprintf(low, sizeof(low), "v.y.t%u.", i);
		snprintf(leaf_name, sizeof(leaf_name), "z.v.y.t%u.", i);
		snprintf(at, sizeof(at), "192.0.3.%u", i);
		snprintf(text, sizeof(text),
			"%s 3600 NS n.%s\n%s 3600 NS n.%s\nn.%s 3600 A 192.0.4.%u\n",
			tld, tld, mid, mid, mid, i);
		world_zone(w, tld, at, text);
		snprintf(at, sizeof(at), "192.0.4.%u", i);
		snprintf(text, sizeof(text),
			"%s 3600 NS n.%s\n%s 3600 NS n.%s\nn.%s 3600 A 192.0.5.%u\n",
			mid, mid, low, low, low, i);
		world_zone(w, mid, at, text);
		snprintf(at, sizeof(at), "192.0.5.%u", i);
		snprintf(text, sizeof(text), "%s 3600 NS n.%s\n", low, low);
		delegate(
			text + strlen(text), sizeof(text) - strlen(text), leaf_name, i);
		world_zone(w, low, at, text);
		snprintf(text, sizeof(text), "s.%s 300 CNAME s.z.v.y.t%u.\n", leaf_name,
			i + 1);
		leaf(w, leaf_name, i, i + 1 < LINKS ? text : "");
		world_sign(w, leaf_name, SIGN_WELL);
		world_sign(w, low, SIGN_WELL);
		world_sign(w, mid, SIGN_WELL);
		world_sign(w, tld, SIGN_WELL);
	}
	world_sign(w, ".", SIGN_WELL);
	world_trust(w, ".");
	const struct world_result r = world_ask(w, "s.z.v.y.t0.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(w->counters.dnssec_checks, LIMIT_SIGNATURE_CHECKS);
	assert_int_equal(w->counters.budget_checks_exhausted, 1);
	assert_int_equal(w->counters.budget_packets_exhausted, 0);
	assert_int_equal(w->counters.dnssec_step_checks, 1);
	world_free(w);
}

/* An NSEC3 of 50 iterations that fits no name: all of a hundred names are hashed. */
static void nsec3_is_hashed_so_much(void **state)
{
	struct world *w = *state;
	uint8_t origin[NAME_MAX_LEN], owner[NAME_MAX_LEN];
	uint8_t rdata[5 + 1 + 20 + 3] = { 1, 0, 0, 50, 0, 20 };
	char name[256] = "";
	memcpy(rdata + 26, (const uint8_t[]){ 0, 1, 0x40 }, 3);
	name_from_text(origin, "example.com.");
	name_from_text(owner, "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example.com.");
	world_unsign(w, "example.com.");
	struct world_zone *z = world_zone_of(w, origin);
	world_record(z, owner, TYPE_NSEC3, 60, rdata, sizeof(rdata));
	world_sign(w, "example.com.", SIGN_WELL);
	for (unsigned i = 0; i < z->count; i++)
		if (z->records[i].type == TYPE_NSEC)
			z->records[i].type = TYPE_TXT + 0xff00;
	for (unsigned i = 0; i < 100; i++)
		strcat(name, "x.");
	strcat(name, "example.com.");
	const struct world_result r = world_ask(w, name, TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_true(r.bogus);
	assert_int_equal(w->counters.budget_sha1_exhausted, 1);
	assert_in_range(w->counters.dnssec_sha1_blocks, 1, LIMIT_SHA1_BLOCKS);
	assert_in_range(w->counters.dnssec_step_blocks, 1, LIMIT_SHA1_BLOCKS);
}

static void wrong_signatures_are_tried_so_many_times(void **state)
{
	struct world *w = *state;
	uint8_t name[NAME_MAX_LEN], origin[NAME_MAX_LEN];
	name_from_text(name, "www.many.com.");
	name_from_text(origin, "many.com.");
	struct world_zone *z = world_zone_of(w, origin);
	struct record *genuine = NULL;
	for (unsigned i = 0; i < z->count; i++)
		if (name_equal(z->records[i].name, name) &&
			z->records[i].type == TYPE_RRSIG && !z->records[i].rdata[0] &&
			z->records[i].rdata[1] == TYPE_A)
			genuine = &z->records[i];
	assert_non_null(genuine);
	/* thirty of the same key that are wrong */
	for (unsigned i = 0; i < 30; i++) {
		genuine->rdata[genuine->len - 1] = (uint8_t)(0x80 | i);
		world_record(z, name, TYPE_RRSIG, 300, genuine->rdata, genuine->len);
	}
	const struct world_result r = world_ask(w, "www.many.com.", TYPE_A);
	assert_int_equal(r.rcode, RCODE_SERVFAIL);
	assert_int_equal(w->counters.dnssec_failures, LIMIT_SIGNATURE_FAILURES);
	assert_int_equal(w->counters.budget_failures_exhausted, 1);
	assert_int_equal(w->counters.dnssec_step_checks, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(an_answer_of_a_signed_zone_is_secure),
		TEST(an_answer_of_an_unsigned_zone_is_insecure),
		TEST(an_alias_is_as_good_as_its_target),
		TEST(what_stands_beside_an_alias_can_be_asked_for),
		TEST(a_dname_is_proved_and_what_it_makes_with_it),
		TEST(an_alias_made_of_a_dname_can_be_asked_for),
		TEST(a_target_without_proof_is_asked_for_by_itself),
		TEST(a_wildcard_needs_the_proof_that_there_is_nothing_closer),
		TEST(a_denial_needs_its_proof),
		TEST(an_empty_wildcard_denies_types_not_names),
		TEST(a_referral_without_proof_does_not_make_a_zone_unsigned),
		TEST(genuine_data_is_no_name_error),
		TEST(a_bare_referral_does_not_deny_a_ds),
		TEST(a_cut_that_is_denied_without_proof_costs_a_label_more),
		TEST(what_another_proved_meanwhile_is_not_checked_again),
		TEST(a_wildcards_signature_is_checked_once),
		TEST(what_a_wildcard_made_is_not_taken_as_proved_before),
		TEST(an_alias_into_an_unsigned_zone_is_no_unsigned_delegation),
		TEST(unsigned_data_of_a_signed_zone_costs_little_however_deep),
		TEST(bogus_says_why_and_is_told_again_for_nothing),
		TEST(one_broken_server_of_two_is_not_enough),
		TEST(a_bogus_reply_by_udp_is_asked_for_again_by_tcp),
		TEST(forged_delegations_above_each_other_are_no_outage),
		TEST(without_checking_the_data_is_had_and_not_believed),
		TEST(keys_that_changed_are_fetched_anew),
		TEST(a_ds_that_changed_is_fetched_anew),
		TEST(a_ds_that_fits_nothing_is_asked_for_now_and_then),
		TEST(keys_that_are_missing_are_asked_for_now_and_then),
		cmocka_unit_test(a_forwarded_suffix_may_be_unsigned),
		cmocka_unit_test(a_target_that_has_the_suffix_alone_may_be_unsigned),
		TEST(a_target_that_has_the_suffix_alone_cannot_unsign_it),
		cmocka_unit_test(a_forwarded_suffix_may_be_signed_or_absent),
		cmocka_unit_test(
			what_a_forwarder_denies_from_above_needs_its_signature),
		TEST(a_suffix_that_only_a_forwarder_knows_needs_a_negative_anchor),
		TEST(below_a_negative_anchor_nothing_is_validated),
		TEST(a_negative_anchor_is_reached_through_a_bogus_zone),
		TEST(a_negative_anchor_is_reached_when_nothing_above_is_valid),
		TEST(an_island_is_validated_from_its_own_anchor),
		TEST(an_unsigned_parent_cannot_deny_an_island),
		TEST(an_unsigned_parent_cannot_delegate_within_an_island),
		TEST(nothing_outlives_its_signature),
		TEST(wrong_signatures_are_tried_so_many_times),
		TEST(nsec3_is_hashed_so_much),
		cmocka_unit_test(genuine_signatures_are_checked_so_many_times),
		cmocka_unit_test(a_cold_chain_over_eight_zones_in_eight_tlds_is_secure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
