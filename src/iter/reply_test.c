/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "iter/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "wire/codes.h"
#include "wire/name.h"
#include "wire/writer.h"

/* A message under construction, and what became of it. */
struct scene {
	struct writer w;
	uint8_t pkt[65535];
	struct arena *arena;
	struct counters counters;
	struct reply_question q;
	uint8_t qname[NAME_MAX_LEN], zone[NAME_MAX_LEN];
	struct reply r;
};

static int begin(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->arena = arena_new(4 * 1024 * 1024);
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct scene *s = *state;
	arena_free(s->arena);
	free(s);
	return 0;
}

static void asked(struct scene *s, const char *name, uint16_t type, const char *zone,
	uint16_t flags)
{
	assert_true(name_from_text(s->qname, name));
	assert_true(name_from_text(s->zone, zone));
	s->q = (struct reply_question){ .id = 7,
		.name = s->qname,
		.type = type,
		.rclass = CLASS_IN,
		.zone = s->zone };
	writer_begin(&s->w, s->pkt, sizeof(s->pkt), 7, (uint16_t)(FLAG_QR | flags));
	writer_question(&s->w, s->qname, type, CLASS_IN);
}

static void add(struct scene *s, enum msg_section section, const char *name,
	uint16_t type, const char *target)
{
	uint8_t owner[NAME_MAX_LEN], rdata[600];
	size_t len;
	assert_true(name_from_text(owner, name));
	if (type == TYPE_A) {
		memcpy(rdata, "\300\0\2\1", 4);
		len = 4;
	} else if (type == TYPE_SOA) {
		len = name_from_text(rdata, target);
		memcpy(rdata + len, "\0", 1);
		memset(rdata + len + 1, 0, 20);
		rdata[len + 20] = 60;
		len += 21;
	} else {
		len = name_from_text(rdata, target);
	}
	assert_true(writer_rr(
		&s->w, section, owner, type, CLASS_IN, 3600, rdata, (uint16_t)len));
}

static enum reply_kind judged(struct scene *s)
{
	reply_read(&s->r, &s->q, s->pkt, writer_end(&s->w), s->arena, &s->counters);
	return s->r.kind;
}

static void assert_name(const uint8_t *name, const char *text)
{
	char buf[NAME_TEXT_MAX];
	assert_non_null(name);
	assert_string_equal(name_to_text(name, buf), text);
}

static void an_answer_is_taken_and_the_rest_dropped(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_A, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "www.example.com", TYPE_A, NULL);
	add(s, SECTION_ANSWER, "other.example.com", TYPE_A, NULL);
	add(s, SECTION_ANSWER, "www.bank.org", TYPE_A, NULL);
	add(s, SECTION_AUTHORITY, "example.com", TYPE_NS, "ns.example.com");
	add(s, SECTION_ADDITIONAL, "ns.example.com", TYPE_A, NULL);
	assert_int_equal(judged(s), REPLY_ANSWER);
	assert_int_equal(s->r.count, 1);
	assert_int_equal(s->r.scrubbed, 4);
	assert_name(s->r.rrsets[0].rr.name, "www.example.com.");
}

static void a_referral_keeps_only_glue_of_its_servers_within_the_zone(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_A, "com", 0);
	add(s, SECTION_AUTHORITY, "example.com", TYPE_NS, "ns.example.com");
	add(s, SECTION_AUTHORITY, "example.com", TYPE_NS, "ns.bank.org");
	add(s, SECTION_ADDITIONAL, "ns.example.com", TYPE_A, NULL);
	add(s, SECTION_ADDITIONAL, "ns.bank.org", TYPE_A, NULL);
	add(s, SECTION_ADDITIONAL, "www.example.com", TYPE_A, NULL);
	assert_int_equal(judged(s), REPLY_REFERRAL);
	assert_name(s->r.cut, "example.com.");
	assert_int_equal(s->r.count, 2);
	assert_name(s->r.rrsets[1].rr.name, "ns.example.com.");
}

static void a_referral_up_or_to_the_side_is_lame(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_A, "example.com", 0);
	add(s, SECTION_AUTHORITY, "com", TYPE_NS, "ns.example.com");
	assert_int_equal(judged(s), REPLY_LAME);
	asked(s, "www.example.com", TYPE_A, "com", 0);
	add(s, SECTION_AUTHORITY, "bank.com", TYPE_NS, "ns.bank.com");
	assert_int_equal(judged(s), REPLY_LAME);
}

static void an_alias_is_followed_inside_the_zone_only(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_A, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "www.example.com", TYPE_CNAME, "a.example.com");
	add(s, SECTION_ANSWER, "a.example.com", TYPE_CNAME, "b.bank.org");
	add(s, SECTION_ANSWER, "b.bank.org", TYPE_A, NULL);
	assert_int_equal(judged(s), REPLY_ALIAS);
	assert_false(s->r.has_answer);
	assert_name(s->r.target, "b.bank.org.");
	assert_int_equal(s->r.count, 2);
}

static void an_alias_with_its_answer_says_so(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_A, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "a.example.com", TYPE_A, NULL); /* any order */
	add(s, SECTION_ANSWER, "www.example.com", TYPE_CNAME, "a.example.com");
	assert_int_equal(judged(s), REPLY_ALIAS);
	assert_true(s->r.has_answer);
	assert_int_equal(s->r.rrsets[0].rr.type, TYPE_CNAME);
	assert_int_equal(s->r.rrsets[1].rr.type, TYPE_A);
}

static void a_circle_of_aliases_ends(void **state)
{
	struct scene *s = *state;
	asked(s, "a.example.com", TYPE_A, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "a.example.com", TYPE_CNAME, "b.example.com");
	add(s, SECTION_ANSWER, "b.example.com", TYPE_CNAME, "a.example.com");
	assert_int_equal(judged(s), REPLY_ALIAS);
	assert_false(s->r.has_answer);
	assert_int_equal(s->r.count, 2);
}

static void a_dname_makes_its_own_alias_whatever_the_server_claims(void **state)
{
	struct scene *s = *state;
	asked(s, "x.old.example.com", TYPE_A, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "old.example.com", TYPE_DNAME, "new.example.org");
	add(s, SECTION_ANSWER, "x.old.example.com", TYPE_CNAME, "evil.example.org");
	assert_int_equal(judged(s), REPLY_ALIAS);
	assert_name(s->r.target, "x.new.example.org.");
	assert_int_equal(s->r.rrsets[0].rr.type, TYPE_DNAME);
	assert_int_equal(s->r.rrsets[1].rr.type, TYPE_CNAME);
}

static void a_dname_answers_a_question_for_the_alias_itself(void **state)
{
	struct scene *s = *state;
	asked(s, "x.old.example.com", TYPE_CNAME, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "old.example.com", TYPE_DNAME, "new.example.org");
	assert_int_equal(judged(s), REPLY_ANSWER);
	assert_int_equal(s->r.count, 2);
	/* with the alias in the message too, or another */
	asked(s, "x.old.example.com", TYPE_CNAME, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "old.example.com", TYPE_DNAME, "new.example.org");
	add(s, SECTION_ANSWER, "x.old.example.com", TYPE_CNAME, "evil.example.org");
	assert_int_equal(judged(s), REPLY_ANSWER);
	assert_int_equal(s->r.count, 2);
	assert_int_equal(s->r.rrsets[0].rr.type, TYPE_DNAME);
	assert_int_equal(s->r.rrsets[1].rr.type, TYPE_CNAME);
	assert_name(rrset_at(&s->r.rrsets[1].rr, 0).bytes, "x.new.example.org.");
}

static void a_dname_that_grows_the_name_too_long_is_an_error(void **state)
{
	struct scene *s = *state;
	char longest[260] = "";
	for (int i = 0; i < 3; i++)
		strcat(longest, "a23456789012345678901234567890123456789012345678901234"
				"567890.");
	strcat(longest, "old.example.com");
	asked(s, longest, TYPE_A, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "old.example.com", TYPE_DNAME,
		"a23456789012345678901234567890123456789012345678901234567890.example."
		"org");
	assert_int_equal(judged(s), REPLY_ERROR);
	assert_int_equal(s->r.rcode, RCODE_YXDOMAIN);
}

static void negative_answers_take_the_smaller_ttl(void **state)
{
	struct scene *s = *state;
	asked(s, "no.example.com", TYPE_A, "example.com", FLAG_AA);
	add(s, SECTION_AUTHORITY, "example.com", TYPE_SOA, "ns.example.com");
	assert_int_equal(judged(s), REPLY_NODATA);
	assert_int_equal(s->r.negative_ttl, 60);
	asked(s, "no.example.com", TYPE_A, "example.com", FLAG_AA | RCODE_NXDOMAIN);
	add(s, SECTION_AUTHORITY, "example.com", TYPE_SOA, "ns.example.com");
	assert_int_equal(judged(s), REPLY_NXDOMAIN);
	assert_name(s->r.soa_zone, "example.com.");
}

static void a_soa_that_does_not_hold_the_name_proves_nothing(void **state)
{
	struct scene *s = *state;
	asked(s, "no.example.com", TYPE_A, "com", RCODE_NXDOMAIN);
	add(s, SECTION_AUTHORITY, "bank.com", TYPE_SOA, "ns.bank.com");
	assert_int_equal(judged(s), REPLY_LAME);
}

/* Of a forwarder only, and unsigned only what lies in its suffix. */
static void a_denial_from_above_is_a_forwarders_and_signed(void **state)
{
	struct scene *s = *state;
	for (int forwards = 0; forwards < 2; forwards++) {
		asked(s, "no.example.com", TYPE_A, "example.com", RCODE_NXDOMAIN);
		s->q.recursive = s->q.denied_above = forwards;
		add(s, SECTION_AUTHORITY, "com", TYPE_SOA, "ns.com");
		add(s, SECTION_AUTHORITY, "aaaa.com", TYPE_NSEC, "x");
		add(s, SECTION_AUTHORITY, "com", TYPE_NS, "ns.com");
		add(s, SECTION_ADDITIONAL, "bbbb.com", TYPE_NSEC, "x");
		assert_int_equal(judged(s), forwards ? REPLY_NXDOMAIN : REPLY_LAME);
		assert_int_equal(s->r.count, forwards ? 1 : 0);
		assert_null(s->r.soa_zone);
	}
	assert_name(s->r.rrsets[0].rr.name, "aaaa.com.");
}

static void anothers_cache_is_no_authority(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_A, "example.com", FLAG_RA);
	add(s, SECTION_ANSWER, "www.example.com", TYPE_A, NULL);
	assert_int_equal(judged(s), REPLY_LAME);
	s->q.recursive = true;
	assert_int_equal(judged(s), REPLY_ANSWER);
}

static void what_was_not_asked_is_waited_past(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_A, "example.com", FLAG_AA);
	s->q.id = 8;
	assert_int_equal(judged(s), REPLY_MISMATCH);
	s->q.id = 7;
	s->q.type = TYPE_AAAA;
	assert_int_equal(judged(s), REPLY_MISMATCH);
	s->q.type = TYPE_A;
	s->qname[1] = 'W';
	s->q.check_case = true;
	assert_int_equal(judged(s), REPLY_CASE);
	s->q.shared = true;
	assert_int_equal(judged(s), REPLY_NODATA);
	s->pkt[2] &= 0x7f; /* a query, not a response */
	assert_int_equal(judged(s), REPLY_MALFORMED);
}

static void every_truncation_is_malformed_and_tc_means_tcp(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_A, "example.com", FLAG_AA);
	add(s, SECTION_ANSWER, "www.example.com", TYPE_A, NULL);
	const size_t len = writer_end(&s->w);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);
		memcpy(copy, s->pkt, cut);
		reply_read(&s->r, &s->q, copy, cut, s->arena, &s->counters);
		assert_int_equal(s->r.kind, REPLY_MALFORMED);
		free(copy);
	}
	s->pkt[2] |= FLAG_TC >> 8;
	assert_int_equal(judged(s), REPLY_TRUNCATED);
}

static void more_records_than_are_taken_are_an_error_not_no_data(void **state)
{
	struct scene *s = *state;
	asked(s, "www.example.com", TYPE_TXT, "example.com", FLAG_AA);
	for (unsigned i = 0; i <= LIMIT_RRSET_RECORDS; i++) {
		const uint8_t txt[] = { 2, (uint8_t)(i >> 8), (uint8_t)i };
		assert_true(writer_rr(&s->w, SECTION_ANSWER, s->qname, TYPE_TXT,
			CLASS_IN, 300, txt, sizeof(txt)));
	}
	assert_int_equal(judged(s), REPLY_ERROR);
	assert_int_equal(s->r.rcode, RCODE_SERVFAIL);
	assert_int_equal(s->counters.rrset_too_large, 1);
	s->q.type = TYPE_A; /* for another type it is not in the way */
	s->pkt[12 + name_len(s->qname) + 1] = TYPE_A;
	assert_int_equal(judged(s), REPLY_NODATA);
}

int main(void)
{
#define story(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		story(an_answer_is_taken_and_the_rest_dropped),
		story(a_referral_keeps_only_glue_of_its_servers_within_the_zone),
		story(a_referral_up_or_to_the_side_is_lame),
		story(an_alias_is_followed_inside_the_zone_only),
		story(an_alias_with_its_answer_says_so),
		story(a_circle_of_aliases_ends),
		story(a_dname_makes_its_own_alias_whatever_the_server_claims),
		story(a_dname_answers_a_question_for_the_alias_itself),
		story(a_dname_that_grows_the_name_too_long_is_an_error),
		story(negative_answers_take_the_smaller_ttl),
		story(a_soa_that_does_not_hold_the_name_proves_nothing),
		story(a_denial_from_above_is_a_forwarders_and_signed),
		story(anothers_cache_is_no_authority),
		story(what_was_not_asked_is_waited_past),
		story(every_truncation_is_malformed_and_tc_means_tcp),
		story(more_records_than_are_taken_are_an_error_not_no_data),
	};
#undef story
	return cmocka_run_group_tests(tests, NULL, NULL);
}
