/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/policy.c - walk the rules: the first action that does not chain is the
 * verdict. */
#include "policy/policy.h"

#include <assert.h>
#include <string.h>

#include "policy/pattern.h"
#include "policy/special.h"
#include "policy/verdict.h"
#include "wire/codes.h"
#include "wire/name.h"

static const uint8_t root[] = { 0 };

/* --- filters -------------------------------------------------------------------- */

/* The zone for which the rule speaks if its names cover `name` (lower case), or NULL.
 */
static const uint8_t *rule_zone(const struct policy_rule *r, const uint8_t *name)
{
	switch (r->filter) {
	case FILTER_SUFFIX:
		return conf_names_find(r->names, r->name_count, name, false);
	case FILTER_DOMAINS:
		return conf_names_find(r->names, r->name_count, name, true);
	case FILTER_PATTERN:
		return pattern_match(r->pattern, r->pattern_len, name, name_len(name))
			       ? root
			       : NULL;
	case FILTER_ALL:
	case FILTER_CALL:
		break;
	}
	return root;
}

static bool view_covers(const struct policy_rule *r, const struct policy_query *q)
{
	return !r->view || subnet_has(&r->net, r->view_dst ? &q->server : &q->client);
}

/* Actions that make sense for other classes and for transfers: they close. */
static bool action_closes(enum policy_action action)
{
	return action == POLICY_DENY || action == POLICY_DENY_MSG ||
	       action == POLICY_REFUSE || action == POLICY_DROP ||
	       action == POLICY_NO_ANSWER || action == POLICY_TC;
}

/* --- actions -------------------------------------------------------------------- */

static void deny(const struct policy_rule *r, const struct policy_query *q,
	struct arena *arena, struct policy_verdict *v)
{
	static const uint8_t owner[] = "\013explanation\007invalid";
	verdict_answer(v, RCODE_NXDOMAIN, r->ede >= 0 ? r->ede : EDE_BLOCKED, NULL);
	v->aa = true;
	verdict_soa(v, arena, SECTION_AUTHORITY, q->name, q->rclass, NEGATIVE_TTL);
	if (r->action != POLICY_DENY_MSG || !r->message)
		return;
	uint8_t text[256];
	const size_t len = strnlen(r->message, 255);
	text[0] = (uint8_t)len;
	memcpy(text + 1, r->message, len);
	v->ede_text = r->message;
	verdict_record(v, arena, SECTION_ADDITIONAL, owner, TYPE_TXT, q->rclass,
		NEGATIVE_TTL, text, (uint16_t)(len + 1));
}

/* False: no data of this type, and the rule leaves other types alone. */
static bool forge(const struct policy_rule *r, const struct policy_query *q,
	struct arena *arena, struct policy_verdict *v)
{
	const struct policy_answer *found = NULL;
	for (size_t i = 0; i < r->answer_count; i++)
		if (r->answers[i].type == q->type)
			found = &r->answers[i];
	if (!found && !r->nodata)
		return false;
	verdict_answer(v, RCODE_NOERROR, EDE_FORGED_ANSWER, NULL);
	v->aa = true;
	if (found)
		verdict_rrset(v, arena, SECTION_ANSWER, q->name, q->type, q->rclass,
			found->ttl, found->count, found->rdata, found->rdata_len);
	else
		verdict_soa(
			v, arena, SECTION_AUTHORITY, q->name, q->rclass, NEGATIVE_TTL);
	return true;
}

static void route_domain(const struct conf *conf, struct route *route)
{
	route->domain = conf->domain;
	if (route->kind != ROUTE_ITERATE || route->flags != conf->flags)
		route->domain = conf_domain_route(conf->domain, route->flags,
			(int)route->kind, route->targets, route->tls,
			route->target_count, route->zone);
}

static void route_to(
	const struct policy_rule *r, const uint8_t *zone, struct route *route)
{
	route->kind = r->action == POLICY_FORWARD ? ROUTE_FORWARD : ROUTE_STUB;
	route->targets = r->targets;
	route->target_count = r->target_count;
	route->tls = r->tls;
	route->zone = zone;
}

/* Which special names does this final rule leave to the DNS? */
static enum lifted rule_lifts(const struct policy_rule *r, const uint8_t *zone)
{
	if (!name_is_root(zone) || r->filter == FILTER_PATTERN ||
		r->filter == FILTER_CALL)
		return LIFTED_ALL;
	/* view:addr(subnet, policy.all(policy.PASS)) says who is served, not what */
	if (r->view && r->action == POLICY_PASS)
		return LIFTED_NONE;
	return LIFTED_USUAL;
}

static const struct policy_rule *route_rule(const struct conf *conf,
	const uint8_t *name, uint32_t *flags, const uint8_t **zone);

/* The name that DNS64 leads an address of its own to (RFC 6147 section 5.3.1) may be known
 * here, unless a rule sends it elsewhere: RFC 6303, RFC 8880 section 7.1. */
static void made_address(const struct conf *conf, const struct policy_query *q,
	enum lifted lifted, struct arena *arena, struct policy_verdict *v)
{
	uint8_t name[NAME_MAX_LEN], target[NAME_MAX_LEN];
	const uint8_t *zone;
	uint32_t flags = 0;
	if (q->as_is || q->type == TYPE_CNAME || !conf_dns64_on(conf, v->route.flags))
		return;
	name_copy_lower(name, q->name);
	const size_t len = conf_dns64_reverse(conf, name, target);
	if (!len)
		return;
	const struct policy_rule *r = route_rule(conf, target, &flags, &zone);
	const enum lifted own = r ? rule_lifts(r, zone) : LIFTED_NONE;
	struct policy_query to = *q;
	struct policy_verdict known = *v;
	to.name = target;
	if (!local_answer(conf, &to, own > lifted ? own : lifted, arena, &known))
		return;
	*v = known;
	v->record_count = 0;
	verdict_record(v, arena, SECTION_ANSWER, q->name, TYPE_CNAME, q->rclass,
		conf->dns64.rev_ttl, target, (uint16_t)len);
	for (size_t i = 0; v->record_count && i < known.record_count; i++)
		v->records[v->record_count++] = known.records[i];
}

static void finish(const struct conf *conf, const struct policy_query *q,
	enum lifted lifted, struct arena *arena, struct policy_verdict *v)
{
	route_domain(conf, &v->route);
	if (!local_answer(conf, q, lifted, arena, v))
		made_address(conf, q, lifted, arena, v);
}

/* The action of a rule that matched in `zone`. False: go on with the next rule. */
static bool rule_apply(const struct conf *conf, const struct policy_rule *r,
	const uint8_t *zone, const struct policy_query *q, struct arena *arena,
	struct policy_verdict *v)
{
	switch (r->action) {
	case POLICY_FORWARD:
	case POLICY_STUB:
		route_to(r, zone, &v->route);
		finish(conf, q, rule_lifts(r, zone), arena, v);
		return true;
	case POLICY_PASS:
		finish(conf, q, rule_lifts(r, zone), arena, v);
		return true;
	case POLICY_DENY:
	case POLICY_DENY_MSG:
		deny(r, q, arena, v);
		return true;
	case POLICY_REFUSE:
		v->outcome = OUTCOME_REFUSE;
		v->rcode = RCODE_REFUSED;
		v->ede = EDE_PROHIBITED;
		return true;
	case POLICY_DROP:
		v->outcome = OUTCOME_SERVFAIL;
		v->rcode = RCODE_SERVFAIL;
		v->ede = EDE_PROHIBITED;
		return true;
	case POLICY_NO_ANSWER:
		v->outcome = OUTCOME_SILENCE;
		return true;
	case POLICY_TC:
		v->outcome = q->tcp ? OUTCOME_RESOLVE : OUTCOME_TRUNCATE;
		return !q->tcp;
	case POLICY_ANSWER:
		return forge(r, q, arena, v);
	case POLICY_FLAGS:
		v->route.flags = (v->route.flags | r->flags_set) & ~r->flags_clear;
		return false;
	case POLICY_CALL:
		v->outcome = OUTCOME_CALL;
		v->callback = r->callback;
		return true;
	}
	return false;
}

static void count_hit(const struct policy_rule *r)
{
	if (r->hits)
		++*r->hits;
}

bool policy_apply(const struct conf *conf, const struct policy_rule *rule,
	const struct policy_query *q, struct arena *arena, struct policy_verdict *out)
{
	uint8_t name[NAME_MAX_LEN];
	name_copy_lower(name, q->name);
	const uint8_t *zone = rule_zone(rule, name);
	out->outcome = OUTCOME_RESOLVE;
	if (!zone || !rule_apply(conf, rule, zone, q, arena, out))
		return false;
	count_hit(rule);
	return true;
}

/* --- the walk --------------------------------------------------------------------- */

static void verdict_begin(const struct conf *conf, struct policy_verdict *v)
{
	*v = (struct policy_verdict){
		.outcome = OUTCOME_RESOLVE,
		.route = { .kind = ROUTE_ITERATE, .zone = root, .flags = conf->flags },
		.ede = EDE_NONE,
		.callback = -1,
	};
	route_domain(conf, &v->route);
}

/* User rules, then view rules, by one index. */
static const struct policy_rule *rule_at(const struct conf *conf, size_t i)
{
	if (i < conf->rule_count)
		return conf_module_on(conf, MODULE_policy) ? &conf->rules[i] : NULL;
	return conf_module_on(conf, MODULE_view) ? &conf->views[i - conf->rule_count]
						 : NULL;
}

void policy_decide(const struct conf *conf, const struct policy_query *q,
	struct arena *arena, size_t resume, struct policy_verdict *out)
{
	uint8_t name[NAME_MAX_LEN];
	const bool ordinary = local_is_ordinary(q->type, q->rclass);
	if (resume == 0)
		verdict_begin(conf, out);
	out->outcome = OUTCOME_RESOLVE;
	const size_t count = conf->rule_count + conf->view_count;
	if (resume < count)
		name_copy_lower(name, q->name);
	for (size_t i = resume; i < count; i++) {
		const struct policy_rule *r = rule_at(conf, i);
		if (!r || r->deleted || !view_covers(r, q) ||
			(!ordinary && !action_closes(r->action)))
			continue;
		const uint8_t *zone = rule_zone(r, name);
		if (!zone || !rule_apply(conf, r, zone, q, arena, out))
			continue;
		count_hit(r);
		out->resume = i + 1;
		return;
	}
	finish(conf, q, LIFTED_NONE, arena, out);
}

bool policy_allows(const struct conf *conf, const struct addr *client)
{
	if (client->family == 0 || addr_is_local_net(client))
		return true;
	for (size_t i = 0; i < conf->allow_count; i++)
		if (subnet_has(&conf->allow[i], client))
			return true;
	if (!conf_module_on(conf, MODULE_view))
		return false;
	for (size_t i = 0; i < conf->view_count; i++) {
		const struct policy_rule *r = &conf->views[i];
		if (r->deleted || r->view_dst || r->filter != FILTER_ALL ||
			!subnet_has(&r->net, client))
			continue;
		if (r->action == POLICY_PASS || r->action == POLICY_FORWARD ||
			r->action == POLICY_STUB)
			return true;
		if (r->action != POLICY_FLAGS && r->action != POLICY_TC)
			return false; /* closed by the first rule that is final */
	}
	return false;
}

/* Can the rule change what becomes of this name (lower case)? */
static bool rule_touches(const struct policy_rule *r, const uint8_t *name)
{
	if (r->deleted)
		return false;
	/* a view rule that only says who is served */
	if (r->view && r->filter == FILTER_ALL && r->action == POLICY_PASS)
		return false;
	return rule_zone(r, name) != NULL;
}

bool policy_is_plain(
	const struct conf *conf, const uint8_t *name, uint16_t type, uint16_t rclass)
{
	uint8_t lower[NAME_MAX_LEN], target[NAME_MAX_LEN];
	const uint8_t *apex;
	size_t count;
	if (rclass != CLASS_IN || type_is_meta(type))
		return false;
	name_copy_lower(lower, name);
	for (size_t i = 0; i < conf->rule_count; i++)
		if (rule_touches(&conf->rules[i], lower))
			return false;
	for (size_t i = 0; i < conf->view_count; i++)
		if (rule_touches(&conf->views[i], lower))
			return false;
	if (conf->hint_count &&
		(type == TYPE_PTR || conf_hint_find(conf, lower, &count)))
		return false;
	return !designated_covers(conf, lower, type) && !special_find(lower, &apex) &&
	       !conf_dns64_reverse(conf, lower, target);
}

/* What policy_route looks for: rules that say where, or that names are iterated. */
static bool rule_routes(const struct policy_rule *r)
{
	if (r->deleted || r->filter == FILTER_CALL)
		return false;
	return r->action == POLICY_FORWARD || r->action == POLICY_STUB ||
	       r->action == POLICY_PASS || r->action == POLICY_FLAGS;
}

/* The rule that says where this name (lower case) is resolved, its zone for it, and the flags
 * of those before it; NULL: none. */
static const struct policy_rule *route_rule(const struct conf *conf,
	const uint8_t *name, uint32_t *flags, const uint8_t **zone)
{
	const size_t count = conf_module_on(conf, MODULE_policy) ? conf->rule_count : 0;
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *r = &conf->rules[i];
		*zone = rule_routes(r) ? rule_zone(r, name) : NULL;
		if (*zone && r->action != POLICY_FLAGS)
			return r;
		if (*zone)
			*flags = (*flags | r->flags_set) & ~r->flags_clear;
	}
	return NULL;
}

void policy_route(const struct conf *conf, const uint8_t *name, struct route *out)
{
	uint8_t lower[NAME_MAX_LEN];
	const uint8_t *zone;
	struct route route = {
		.kind = ROUTE_ITERATE, .zone = root, .flags = conf->flags
	};
	name_copy_lower(lower, name);
	const struct policy_rule *r = route_rule(conf, lower, &route.flags, &zone);
	if (r && r->action != POLICY_PASS)
		route_to(r, zone, &route);
	route_domain(conf, &route);
	*out = route;
}
