/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/codes.h"
#include "wire/name.h"

struct world {
	struct conf *conf;
	struct arena *arena;
	struct policy_query q;
	uint8_t name[NAME_MAX_LEN];
	struct policy_verdict v;
};

static int world_new(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	w->conf = conf_new();
	w->arena = arena_new(1 << 20);
	w->q.name = w->name;
	w->q.rclass = CLASS_IN;
	addr_from_text(&w->q.client, "192.168.1.2", 0);
	addr_from_text(&w->q.server, "192.168.1.1", 0);
	*state = w;
	return 0;
}

static int world_free(void **state)
{
	struct world *w = *state;
	conf_free(w->conf);
	arena_free(w->arena);
	free(w);
	return 0;
}

static const struct policy_verdict *ask(
	struct world *w, const char *name, uint16_t type)
{
	assert_true(name_from_text(w->name, name) > 0);
	w->q.type = type;
	policy_decide(w->conf, &w->q, w->arena, 0, &w->v);
	return &w->v;
}

static struct policy_rule *rule_new(struct world *w, bool view,
	enum policy_filter filter, enum policy_action action)
{
	struct policy_rule *r = view ? conf_push(w->conf, &w->conf->views,
					       &w->conf->view_count, sizeof(*r))
				     : conf_push(w->conf, &w->conf->rules,
					       &w->conf->rule_count, sizeof(*r));
	assert_non_null(r);
	r->view = view;
	r->filter = filter;
	r->action = action;
	r->ede = -1;
	if (view)
		w->conf->modules |= 1 << MODULE_view;
	return r;
}

static void rule_name(struct world *w, struct policy_rule *r, const char *text)
{
	uint8_t *name = arena_alloc(w->conf->arena, NAME_MAX_LEN);
	const uint8_t **list = arena_alloc(w->conf->arena, sizeof(*list));
	assert_true(name_from_text(name, text) > 0);
	list[0] = name;
	r->names = list;
	r->name_count = 1;
}

static void rule_target(struct world *w, struct policy_rule *r, const char *text)
{
	struct addr *addr = arena_alloc(w->conf->arena, sizeof(*addr));
	assert_true(addr_from_text(addr, text, 53));
	r->targets = addr;
	r->target_count = 1;
}

static void hint_add(struct world *w, const char *name, const char *ip)
{
	uint8_t wire[NAME_MAX_LEN];
	struct addr addr;
	assert_true(name_from_text(wire, name) > 0 && addr_from_text(&addr, ip, 0));
	assert_true(conf_hint_add(w->conf, wire, &addr));
	w->conf->modules |= 1 << MODULE_hints;
	conf_finish(w->conf);
}

static void usual_names_are_resolved_and_plain(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask(w, "www.example.com", TYPE_A)->outcome, OUTCOME_RESOLVE);
	assert_int_equal(w->v.route.kind, ROUTE_ITERATE);
	assert_int_equal(w->v.route.domain, w->conf->domain);
	assert_true(policy_is_plain(w->conf, w->name, TYPE_A, CLASS_IN));
	assert_false(policy_is_plain(w->conf, w->name, TYPE_ANY, CLASS_IN));
	assert_false(policy_is_plain(w->conf, w->name, TYPE_A, CLASS_CH));
	/* RFC 6761 section 6.5: example names are resolved as usual */
	assert_int_equal(ask(w, "host.example", TYPE_A)->outcome, OUTCOME_RESOLVE);
}

static const uint8_t *only_aaaa(struct world *w, const char *name)
{
	const struct policy_verdict *v = ask(w, name, TYPE_AAAA);
	if (v->outcome != OUTCOME_ANSWER || v->record_count != 1 ||
		v->records[0].rr.type != TYPE_AAAA ||
		v->records[0].section != SECTION_ANSWER)
		return NULL;
	return rrset_at(&v->records[0].rr, v->records[0].rr.count - 1u).bytes;
}

static void local_names_get_aaaa_by_dns64(void **state)
{
	struct world *w = *state;
	static const uint8_t ipv4only[16] = { 0, 0x64, 0xff, 0x9b, [12] = 192, 0, 0,
		171 },
			     hint[16] = { 0, 0x64, 0xff, 0x9b, [12] = 10, 1, 2, 3 };
	hint_add(w, "four.lan", "10.1.2.3");
	hint_add(w, "six.lan", "10.1.2.3");
	hint_add(w, "six.lan", "fd00::1");
	assert_null(only_aaaa(w, "ipv4only.arpa"));
	assert_null(only_aaaa(w, "four.lan"));
	w->conf->modules |= 1 << MODULE_dns64;
	assert_non_null(only_aaaa(w, "ipv4only.arpa"));
	assert_memory_equal(only_aaaa(w, "ipv4only.arpa"), ipv4only, 16);
	assert_int_equal(w->v.records[0].rr.count, 2);
	assert_non_null(only_aaaa(w, "four.lan"));
	assert_memory_equal(only_aaaa(w, "four.lan"), hint, 16);
	assert_int_equal(only_aaaa(w, "six.lan")[0], 0xfd);
	assert_int_equal(ask(w, "ipv4only.arpa", TYPE_A)->records[0].rr.type, TYPE_A);
	char error[256];
	assert_true(conf_dns64_prefix(w->conf, "2001:db8:122:344::/64", error));
	static const uint8_t second[] = { 0x20, 1, 0x0d, 0xb8, 1, 0x22, 3, 0x44, 0, 192,
		0, 0, 171, 0, 0, 0 };
	assert_memory_equal(only_aaaa(w, "ipv4only.arpa"), second, 16);
	assert_int_equal(w->v.records[0].rr.count, 4);
	assert_non_null(only_aaaa(w, "four.lan"));
	assert_int_equal(w->v.records[0].rr.count, 2);
	assert_non_null(only_aaaa(w, "six.lan"));
	assert_int_equal(w->v.records[0].rr.count, 1);
	w->conf->flags |= CONF_DNS64_DISABLE;
	assert_null(only_aaaa(w, "ipv4only.arpa"));
	assert_null(only_aaaa(w, "four.lan"));
}

/* What is known of the IPv4 address holds for the address made of it. */
static void made_addresses_are_known_by_their_ipv4_names(void **state)
{
#define MADE(quad) quad ".0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa"
	struct world *w = *state;
	static const struct {
		const char *name;
		uint16_t rcode, type;
	} cases[] = {
		{ MADE("d.4.2.0.0.0.0.c"), RCODE_NOERROR,
			TYPE_PTR }, /* 192.0.2.77: a hint */
		{ MADE("a.a.0.0.0.0.0.c"), RCODE_NOERROR, TYPE_PTR },  /* 192.0.0.170 */
		{ MADE("1.0.0.0.0.0.f.7"), RCODE_NOERROR, TYPE_PTR },  /* 127.0.0.1 */
		{ MADE("4.0.0.0.1.5.a.0"), RCODE_NXDOMAIN, TYPE_SOA }, /* 10.81.0.4 */
	};
	hint_add(w, "h4.lab", "192.0.2.77");
	assert_int_equal(ask(w, cases[0].name, TYPE_PTR)->outcome, OUTCOME_RESOLVE);
	w->conf->modules |= 1 << MODULE_dns64;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct policy_verdict *v = ask(w, cases[i].name, TYPE_PTR);
		assert_int_equal(v->outcome, OUTCOME_ANSWER);
		assert_int_equal(v->rcode, cases[i].rcode);
		assert_int_equal(v->record_count, 2);
		assert_int_equal(v->records[0].rr.type, TYPE_CNAME);
		assert_true(name_equal(v->records[0].rr.name, w->name));
		assert_int_equal(v->records[1].rr.type, cases[i].type);
		assert_false(policy_is_plain(w->conf, w->name, TYPE_PTR, CLASS_IN));
	}
	/* 8.8.8.8 is not known here */
	assert_int_equal(
		ask(w, MADE("8.0.8.0.8.0.8.0"), TYPE_PTR)->outcome, OUTCOME_RESOLVE);
	/* nor what a rule sends elsewhere */
	struct policy_rule *r = rule_new(w, false, FILTER_SUFFIX, POLICY_STUB);
	rule_name(w, r, "10.in-addr.arpa");
	rule_target(w, r, "10.0.0.53");
	assert_int_equal(ask(w, cases[3].name, TYPE_PTR)->outcome, OUTCOME_RESOLVE);
	assert_int_equal(ask(w, cases[1].name, TYPE_PTR)->outcome, OUTCOME_ANSWER);
#undef MADE
}

static void special_names_are_answered_here(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *name;
		uint16_t type, rcode;
		unsigned answers;
	} cases[] = {
		{ "LocalHost", TYPE_A, RCODE_NOERROR, 1 },
		{ "a.localhost", TYPE_AAAA, RCODE_NOERROR, 1 },
		{ "localhost", TYPE_MX, RCODE_NOERROR, 0 },
		{ "1.0.0.127.in-addr.arpa", TYPE_PTR, RCODE_NOERROR, 1 },
		{ "0.127.in-addr.arpa", TYPE_PTR, RCODE_NOERROR, 0 },
		{ "2.0.0.127.in-addr.arpa", TYPE_PTR, RCODE_NXDOMAIN, 0 },
		{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		  "ip6.arpa",
			TYPE_PTR, RCODE_NOERROR, 1 },
		{ "x.test", TYPE_A, RCODE_NXDOMAIN, 0 },
		{ "invalid", TYPE_A, RCODE_NXDOMAIN, 0 },
		{ "printer.local", TYPE_A, RCODE_NXDOMAIN, 0 },
		{ "abc.onion", TYPE_A, RCODE_NXDOMAIN, 0 },
		{ "abc.alt", TYPE_A, RCODE_NXDOMAIN, 0 },
		{ "home.arpa", TYPE_A, RCODE_NOERROR, 0 },
		{ "tv.home.arpa", TYPE_A, RCODE_NXDOMAIN, 0 },
		{ "10.in-addr.arpa", TYPE_SOA, RCODE_NOERROR, 1 },
		{ "10.in-addr.arpa", TYPE_NS, RCODE_NOERROR, 1 },
		{ "10.in-addr.arpa", TYPE_PTR, RCODE_NOERROR, 0 },
		{ "1.2.3.10.in-addr.arpa", TYPE_PTR, RCODE_NXDOMAIN, 0 },
		{ "1.1.31.172.in-addr.arpa", TYPE_PTR, RCODE_NXDOMAIN, 0 },
		{ "1.1.127.100.in-addr.arpa", TYPE_PTR, RCODE_NXDOMAIN, 0 },
		{ "1.d.f.ip6.arpa", TYPE_PTR, RCODE_NXDOMAIN, 0 },
		{ "ipv4only.arpa", TYPE_A, RCODE_NOERROR, 1 },
		{ "ipv4only.arpa", TYPE_AAAA, RCODE_NOERROR, 0 },
		{ "170.0.0.192.in-addr.arpa", TYPE_PTR, RCODE_NOERROR, 1 },
		{ "_dns.resolver.arpa", TYPE_SVCB, RCODE_NOERROR, 0 },
		{ "x.resolver.arpa", TYPE_SVCB, RCODE_NXDOMAIN, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(w, cases[i].name, cases[i].type);
		unsigned answers = 0;
		for (size_t n = 0; n < w->v.record_count; n++)
			answers += w->v.records[n].section == SECTION_ANSWER;
		if (w->v.outcome != OUTCOME_ANSWER || w->v.rcode != cases[i].rcode ||
			answers != cases[i].answers)
			fail_msg("%s type %u", cases[i].name, cases[i].type);
		if (!answers) /* negative: a SOA to keep it by */
			assert_int_equal(w->v.records[0].rr.type, TYPE_SOA);
		assert_false(
			policy_is_plain(w->conf, w->name, cases[i].type, CLASS_IN));
	}
}

static void neighbours_of_special_names_are_not_special(void **state)
{
	struct world *w = *state;
	static const char *const names[] = { "15.172.in-addr.arpa",
		"32.172.in-addr.arpa", "016.172.in-addr.arpa", "63.100.in-addr.arpa",
		"128.100.in-addr.arpa", "11.in-addr.arpa", "tests", "nolocalhost",
		"arpa", "in-addr.arpa", "172.0.0.192.in-addr.arpa", "test.example.com",
		"home.arpa.com" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (ask(w, names[i], TYPE_A)->outcome != OUTCOME_RESOLVE)
			fail_msg("%s", names[i]);
	/* the parent's side of the cut: RFC 8375 section 4 */
	assert_int_equal(ask(w, "home.arpa", TYPE_DS)->outcome, OUTCOME_RESOLVE);
}

static void special_names_go_where_a_rule_sends_them(void **state)
{
	struct world *w = *state;
	struct policy_rule *r = rule_new(w, false, FILTER_SUFFIX, POLICY_STUB);
	rule_name(w, r, "test");
	rule_target(w, r, "10.0.0.53@5353");
	assert_int_equal(ask(w, "A.Test", TYPE_A)->outcome, OUTCOME_RESOLVE);
	assert_int_equal(w->v.route.kind, ROUTE_STUB);
	assert_int_equal(w->v.route.targets[0].port, 5353);
	assert_int_equal(name_labels(w->v.route.zone), 1);
	assert_int_not_equal(w->v.route.domain, w->conf->domain);
	/* everything forwarded: the corporate reverse zones too, what must not leave
	 * stays */
	struct policy_rule *all = rule_new(w, false, FILTER_ALL, POLICY_FORWARD);
	rule_target(w, all, "10.0.0.54");
	assert_int_equal(
		ask(w, "1.0.0.10.in-addr.arpa", TYPE_PTR)->route.kind, ROUTE_FORWARD);
	assert_int_equal(w->v.outcome, OUTCOME_RESOLVE);
	assert_int_equal(ask(w, "localhost", TYPE_A)->outcome, OUTCOME_ANSWER);
}

static void hints_answer_both_ways_and_tell_nodata(void **state)
{
	struct world *w = *state;
	hint_add(w, "nas.home", "192.168.1.9");
	hint_add(w, "nas.home", "fd00::9");
	assert_int_equal(ask(w, "NAS.home", TYPE_A)->outcome, OUTCOME_ANSWER);
	assert_int_equal(w->v.records[0].rr.ttl, 5);
	assert_int_equal(ask(w, "nas.home", TYPE_MX)->rcode, RCODE_NOERROR);
	assert_int_equal(w->v.records[0].section, SECTION_AUTHORITY);
	assert_int_equal(
		ask(w, "9.1.168.192.in-addr.arpa", TYPE_PTR)->rcode, RCODE_NOERROR);
	assert_int_equal(w->v.records[0].rr.type, TYPE_PTR);
	w->conf->hints_use_nodata = false;
	assert_int_equal(ask(w, "nas.home", TYPE_MX)->outcome, OUTCOME_RESOLVE);
	assert_false(policy_is_plain(w->conf, w->name, TYPE_MX, CLASS_IN));
}

static void any_and_strange_questions_have_standard_answers(void **state)
{
	struct world *w = *state;
	assert_int_equal(
		ask(w, "example.com", TYPE_ANY)->records[0].rr.type, TYPE_HINFO);
	assert_int_equal(ask(w, "example.com", TYPE_AXFR)->outcome, OUTCOME_REFUSE);
	assert_int_equal(ask(w, "example.com", TYPE_MAILA)->rcode, RCODE_NOTIMP);
	assert_int_equal(ask(w, "example.com", 128)->rcode, RCODE_FORMERR);
	w->q.rclass = 4;
	assert_int_equal(ask(w, "example.com", TYPE_A)->outcome, OUTCOME_REFUSE);
	w->q.rclass = CLASS_CH;
	assert_int_equal(ask(w, "id.server", TYPE_TXT)->outcome, OUTCOME_REFUSE);
	w->conf->chaos_hostname = "dns1";
	assert_int_equal(ask(w, "ID.server", TYPE_TXT)->outcome, OUTCOME_ANSWER);
	assert_memory_equal(w->v.records[0].rr.data + 2, "\004dns1", 5);
	assert_int_equal(ask(w, "version.bind", TYPE_TXT)->outcome, OUTCOME_REFUSE);
}

static void first_final_rule_wins_and_chains_go_on(void **state)
{
	struct world *w = *state;
	struct policy_rule *flags = rule_new(w, false, FILTER_ALL, POLICY_FLAGS);
	flags->flags_set = CONF_NO_CACHE;
	struct policy_rule *deny = rule_new(w, false, FILTER_SUFFIX, POLICY_DENY_MSG);
	rule_name(w, deny, "bad.example");
	deny->message = "no";
	uint64_t hits = 0;
	deny->hits = &hits;
	rule_new(w, false, FILTER_ALL, POLICY_REFUSE)->deleted = true;
	assert_int_equal(ask(w, "x.Bad.example", TYPE_A)->rcode, RCODE_NXDOMAIN);
	assert_int_equal(w->v.ede, EDE_BLOCKED);
	assert_int_equal(w->v.records[1].section, SECTION_ADDITIONAL);
	assert_int_equal(hits, 1);
	assert_int_equal(ask(w, "good.example", TYPE_A)->outcome, OUTCOME_RESOLVE);
	assert_int_equal(w->v.route.flags, CONF_NO_CACHE);
	assert_false(policy_is_plain(w->conf, w->name, TYPE_A, CLASS_IN));
}

static void answer_rule_forges_its_types_and_leaves_others(void **state)
{
	struct world *w = *state;
	struct policy_rule *r = rule_new(w, false, FILTER_DOMAINS, POLICY_ANSWER);
	rule_name(w, r, "a.example");
	uint8_t data[6] = { 0, 0, 192, 0, 2, 1 };
	const uint16_t len = 4;
	memcpy(data, &len, 2);
	const struct policy_answer answer = { TYPE_A, 60, 1, data, sizeof(data) };
	r->answers = &answer;
	r->answer_count = 1;
	assert_int_equal(ask(w, "a.example", TYPE_A)->ede, EDE_FORGED_ANSWER);
	assert_int_equal(w->v.records[0].rr.ttl, 60);
	assert_int_equal(ask(w, "a.example", TYPE_AAAA)->outcome, OUTCOME_RESOLVE);
	assert_int_equal(ask(w, "x.a.example", TYPE_A)->outcome, OUTCOME_RESOLVE);
	r->nodata = true;
	assert_int_equal(ask(w, "a.example", TYPE_AAAA)->rcode, RCODE_NOERROR);
	assert_int_equal(w->v.outcome, OUTCOME_ANSWER);
}

static void truncate_rule_lets_tcp_through(void **state)
{
	struct world *w = *state;
	rule_new(w, false, FILTER_ALL, POLICY_TC);
	assert_int_equal(ask(w, "a.example", TYPE_A)->outcome, OUTCOME_TRUNCATE);
	w->q.tcp = true;
	assert_int_equal(ask(w, "a.example", TYPE_A)->outcome, OUTCOME_RESOLVE);
}

static void callback_rule_stops_and_resumes_behind_itself(void **state)
{
	struct world *w = *state;
	rule_new(w, false, FILTER_CALL, POLICY_CALL)->callback = 7;
	rule_new(w, false, FILTER_ALL, POLICY_DROP);
	assert_int_equal(ask(w, "a.example", TYPE_A)->outcome, OUTCOME_CALL);
	assert_int_equal(w->v.callback, 7);
	policy_decide(w->conf, &w->q, w->arena, w->v.resume, &w->v);
	assert_int_equal(w->v.outcome, OUTCOME_SERVFAIL);
}

static void strangers_are_refused_unless_allowed(void **state)
{
	struct world *w = *state;
	struct addr local, stranger;
	addr_from_text(&local, "10.1.1.1", 0);
	addr_from_text(&stranger, "198.51.100.7", 0);
	assert_true(policy_allows(w->conf, &local));
	assert_false(policy_allows(w->conf, &stranger));
	struct policy_rule *view = rule_new(w, true, FILTER_ALL, POLICY_REFUSE);
	assert_true(subnet_from_text(&view->net, "198.51.100.0/24"));
	assert_false(policy_allows(w->conf, &stranger));
	view->action = POLICY_PASS;
	assert_true(policy_allows(w->conf, &stranger));
	view->action = POLICY_REFUSE;
	struct subnet *net = conf_push(
		w->conf, &w->conf->allow, &w->conf->allow_count, sizeof(*net));
	assert_true(subnet_from_text(net, "198.51.100.0/25"));
	assert_true(policy_allows(w->conf, &stranger));
}

static void view_rules_ask_for_the_clients_address(void **state)
{
	struct world *w = *state;
	struct policy_rule *r = rule_new(w, true, FILTER_ALL, POLICY_DROP);
	assert_true(subnet_from_text(&r->net, "192.168.2.0/24"));
	assert_int_equal(ask(w, "a.example", TYPE_A)->outcome, OUTCOME_RESOLVE);
	assert_true(subnet_from_text(&r->net, "192.168.1.0/24"));
	assert_int_equal(ask(w, "a.example", TYPE_A)->outcome, OUTCOME_SERVFAIL);
	assert_true(subnet_from_text(&r->net, "192.168.1.1"));
	assert_int_equal(ask(w, "a.example", TYPE_A)->outcome, OUTCOME_RESOLVE);
	r->view_dst = true;
	assert_int_equal(ask(w, "a.example", TYPE_A)->outcome, OUTCOME_SERVFAIL);
}

static void rules_for_other_names_leave_a_name_plain(void **state)
{
	struct world *w = *state;
	struct policy_rule *r = rule_new(w, false, FILTER_SUFFIX, POLICY_FORWARD);
	rule_name(w, r, "corp.example");
	rule_target(w, r, "10.0.0.1");
	r = rule_new(w, false, FILTER_PATTERN, POLICY_DENY);
	r->pattern = "\003ads";
	r->pattern_len = 4;
	r = rule_new(w, true, FILTER_ALL, POLICY_PASS);
	assert_true(subnet_from_text(&r->net, "0.0.0.0/0"));
	static const struct {
		const char *name;
		bool plain;
	} cases[] = { { "www.example", true }, { "Corp.Example", false },
		{ "a.corp.example", false }, { "x.ADS.example", false } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(w, cases[i].name, TYPE_A);
		const bool plain = policy_is_plain(w->conf, w->name, TYPE_A, CLASS_IN);
		assert_int_equal(plain, cases[i].plain);
		if (plain) {
			assert_int_equal(w->v.outcome, OUTCOME_RESOLVE);
			assert_int_equal(w->v.route.domain, w->conf->domain);
		}
	}
	rule_new(w, false, FILTER_CALL, POLICY_CALL);
	ask(w, "www.example", TYPE_A);
	assert_false(policy_is_plain(w->conf, w->name, TYPE_A, CLASS_IN));
}

static void names_on_the_way_follow_routes_not_answers(void **state)
{
	struct world *w = *state;
	struct policy_rule *deny = rule_new(w, false, FILTER_ALL, POLICY_DENY);
	(void)deny;
	struct policy_rule *r = rule_new(w, false, FILTER_SUFFIX, POLICY_FORWARD);
	rule_name(w, r, "corp.example");
	rule_target(w, r, "10.0.0.1");
	struct route route;
	uint8_t name[NAME_MAX_LEN];
	name_from_text(name, "X.Corp.Example");
	policy_route(w->conf, name, &route);
	assert_int_equal(route.kind, ROUTE_FORWARD);
	name_from_text(name, "example");
	policy_route(w->conf, name, &route);
	assert_int_equal(route.kind, ROUTE_ITERATE);
	assert_int_equal(route.domain, w->conf->domain);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_new, world_free)
	const struct CMUnitTest tests[] = {
		T(usual_names_are_resolved_and_plain),
		T(special_names_are_answered_here),
		T(local_names_get_aaaa_by_dns64),
		T(made_addresses_are_known_by_their_ipv4_names),
		T(neighbours_of_special_names_are_not_special),
		T(special_names_go_where_a_rule_sends_them),
		T(hints_answer_both_ways_and_tell_nodata),
		T(any_and_strange_questions_have_standard_answers),
		T(first_final_rule_wins_and_chains_go_on),
		T(answer_rule_forges_its_types_and_leaves_others),
		T(truncate_rule_lets_tcp_through),
		T(callback_rule_stops_and_resumes_behind_itself),
		T(strangers_are_refused_unless_allowed),
		T(view_rules_ask_for_the_clients_address),
		T(rules_for_other_names_leave_a_name_plain),
		T(names_on_the_way_follow_routes_not_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
