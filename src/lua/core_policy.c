/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/core_policy.c - rules as the prelude's tables -> struct policy_rule; callbacks of
 * rules. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "lua/internal.h"
#include "policy/pattern.h"
#include "wire/codes.h"

static const char *const action_names[] = {
	[POLICY_PASS] = "PASS",
	[POLICY_DENY] = "DENY",
	[POLICY_DENY_MSG] = "DENY_MSG",
	[POLICY_REFUSE] = "REFUSE",
	[POLICY_DROP] = "DROP",
	[POLICY_NO_ANSWER] = "NO_ANSWER",
	[POLICY_TC] = "TC",
	[POLICY_ANSWER] = "ANSWER",
	[POLICY_FORWARD] = "FORWARD",
	[POLICY_STUB] = "STUB",
	[POLICY_FLAGS] = "FLAGS",
	[POLICY_CALL] = "CALL",
};
static const char *const filter_names[] = {
	[FILTER_ALL] = "all",
	[FILTER_SUFFIX] = "suffix",
	[FILTER_DOMAINS] = "domains",
	[FILTER_PATTERN] = "pattern",
	[FILTER_CALL] = "call",
};

#define FIND(names, text) find(names, sizeof(names) / sizeof((names)[0]), text)

static int find(const char *const *names, size_t count, const char *text)
{
	for (size_t i = 0; text && i < count; i++)
		if (strcmp(names[i], text) == 0)
			return (int)i;
	return -1;
}

/* The string field of the table at idx, kept in the arena; NULL if absent. */
static const char *field_text(
	lua_State *L, int idx, const char *name, struct arena *arena)
{
	lua_getfield(L, idx, name);
	const char *text = lua_tostring(L, -1);
	const char *kept = text ? arena_strdup(arena, text) : NULL;
	lua_pop(L, 1);
	return kept;
}

static lua_Integer field_int(
	lua_State *L, int idx, const char *name, lua_Integer absent)
{
	lua_getfield(L, idx, name);
	const lua_Integer n = lua_isnil(L, -1) ? absent : lua_tointeger(L, -1);
	lua_pop(L, 1);
	return n;
}

static bool field_bool(lua_State *L, int idx, const char *name)
{
	lua_getfield(L, idx, name);
	const bool on = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return on;
}

/* --- actions ---------------------------------------------------------------------- */

static void targets_take(
	lua_State *L, int action, struct policy_rule *r, struct arena *arena)
{
	lua_getfield(L, action, "targets");
	const size_t count = lua_objlen(L, -1);
	struct addr *targets = arena_alloc(arena, count * sizeof(*targets));
	for (size_t i = 0; targets && i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		const char *text = lua_tostring(L, -1);
		if (!text || !addr_from_text(&targets[i], text, 53))
			script_raise(L, "policy.%s: '%s' is not an address",
				action_names[r->action], text ? text : "?");
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	r->targets = targets;
	r->target_count = targets ? count : 0;
}

/* The peers of TLS_FORWARD, by number: the targets are theirs. */
static void peers_take(
	lua_State *L, int action, struct policy_rule *r, struct arena *arena)
{
	const struct conf *c = script_of(L)->conf;
	lua_getfield(L, action, "peers");
	const size_t count = lua_objlen(L, -1);
	struct addr *targets = arena_alloc(arena, count * sizeof(*targets));
	const struct conf_tls_peer **tls = arena_alloc(arena, count * sizeof(*tls));
	if (!targets || !tls) {
		script_raise(L, "policy.TLS_FORWARD: out of memory");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		tls[i] = c->tls_peers[lua_tointeger(L, -1)]; /* the prelude's */
		targets[i] = tls[i]->addr;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	r->targets = targets;
	r->tls = tls;
	r->target_count = count;
}

/* A = { type=, ttl=, rdata = { bytes... } } on top. */
static void answer_take(lua_State *L, struct policy_answer *a, struct arena *arena)
{
	size_t total = 0;
	a->type = (uint16_t)field_int(L, -1, "type", 0);
	a->ttl = (uint32_t)field_int(L, -1, "ttl", 1);
	lua_getfield(L, -1, "rdata");
	const size_t count = lua_objlen(L, -1);
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(L, -1, (int)i);
		total += 2 + lua_objlen(L, -1);
		lua_pop(L, 1);
	}
	uint8_t *data = arena_alloc(arena, total);
	size_t at = 0;
	for (size_t i = 1; data && i <= count; i++) {
		size_t len;
		lua_rawgeti(L, -1, (int)i);
		const char *bytes = lua_tolstring(L, -1, &len);
		const uint16_t len16 = (uint16_t)len;
		memcpy(data + at, &len16, 2);
		memcpy(data + at + 2, bytes, len);
		at += 2 + len;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	a->rdata = data;
	a->count = (uint16_t)(data ? count : 0);
	a->rdata_len = (uint32_t)at;
}

static void answers_take(
	lua_State *L, int action, struct policy_rule *r, struct arena *arena)
{
	lua_getfield(L, action, "answers");
	const size_t count = lua_objlen(L, -1);
	struct policy_answer *answers = arena_alloc(arena, count * sizeof(*answers));
	for (size_t i = 0; answers && i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		answer_take(L, &answers[i], arena);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	r->answers = answers;
	r->answer_count = answers ? count : 0;
	r->nodata = field_bool(L, action, "nodata");
}

static void callback_take(lua_State *L, int idx, struct policy_rule *r);

/* The action at stack index `action` (absolute): the prelude's table, or the user's
 * function. */
static void action_take(
	lua_State *L, int action, struct policy_rule *r, struct arena *arena)
{
	if (lua_isfunction(L, action)) {
		r->action = POLICY_CALL;
		callback_take(L, action, r);
		return;
	}
	const char *kind = field_text(L, action, "action", arena);
	const bool tls = kind && strcmp(kind, "TLS_FORWARD") == 0;
	const int found = tls ? POLICY_FORWARD : FIND(action_names, kind);
	if (found < 0)
		script_raise(L, "policy: expected an action, as policy.DENY");
	r->action = (enum policy_action)found;
	r->ede = (int)field_int(L, action, "ede", -1);
	r->message = field_text(L, action, "message", arena);
	r->flags_set = (uint32_t)field_int(L, action, "set", 0);
	r->flags_clear = (uint32_t)field_int(L, action, "clear", 0);
	if (tls)
		peers_take(L, action, r, arena);
	else if (r->action == POLICY_FORWARD || r->action == POLICY_STUB)
		targets_take(L, action, r, arena);
	else if (r->action == POLICY_ANSWER)
		answers_take(L, action, r, arena);
}

/* --- callbacks -------------------------------------------------------------------- */

/* What the function does, as one number: its file's text and where it stands in it. Its
 * bytecode would not do: the order of constants in there differs between processes. */
static uint64_t code_hash(lua_State *L, int idx)
{
	static const struct hash_key key = { 1, 2 };
	struct hash_state hash;
	lua_Debug ar;
	lua_pushvalue(L, idx);
	lua_getinfo(L, ">S", &ar);
	hash_begin(&hash, &key);
	hash_add(&hash, &ar.linedefined, sizeof(ar.linedefined));
	char *text = NULL;
	size_t len;
	if (*ar.source == '@' &&
		fd_read_file(ar.source + 1, LIMIT_CONFIG_BYTES, &text, &len) == 0)
		hash_add(&hash, text, len);
	free(text);
	return hash_end(&hash);
}

static void callback_take(lua_State *L, int idx, struct policy_rule *r)
{
	r->callback_hash = code_hash(L, idx);
	lua_pushvalue(L, idx);
	r->callback = luaL_ref(L, LUA_REGISTRYINDEX);
	script_of(L)->conf->has_callbacks = true;
}

/* --- rules ------------------------------------------------------------------------ */

static void names_take(
	lua_State *L, int rule, struct policy_rule *r, struct arena *arena)
{
	lua_getfield(L, rule, "names");
	const size_t count = lua_objlen(L, -1);
	const uint8_t **names = arena_alloc(arena, count * sizeof(*names));
	for (size_t i = 0; names && i < count; i++) {
		size_t len;
		lua_rawgeti(L, -1, (int)i + 1);
		const char *bytes =
			lua_tolstring(L, -1, &len); /* checked by the prelude */
		names[i] = arena_dup(arena, bytes, len);
		lua_pop(L, 1);
		if (!names[i])
			names = NULL;
	}
	lua_pop(L, 1);
	if (!names)
		script_raise(L, "policy: out of memory");
	conf_names_sort(names, count);
	r->names = names;
	r->name_count = count;
}

static void pattern_take(
	lua_State *L, int rule, struct policy_rule *r, struct arena *arena)
{
	lua_getfield(L, rule, "pattern");
	const char *pattern = lua_tolstring(L, -1, &r->pattern_len);
	const char *wrong = pattern_check(pattern, r->pattern_len);
	if (wrong)
		script_raise(L, "policy.pattern: %s", wrong);
	r->pattern = arena_dup(arena, pattern, r->pattern_len + 1);
	lua_pop(L, 1);
}

/* The rule at absolute index `rule`: a table of the prelude's filters or a function. */
static void rule_take(
	lua_State *L, int rule, struct policy_rule *r, struct arena *arena)
{
	*r = (struct policy_rule){ .ede = -1, .callback = LUA_NOREF };
	if (lua_isfunction(L, rule)) {
		r->filter = FILTER_CALL;
		r->action = POLICY_CALL;
		callback_take(L, rule, r);
		return;
	}
	const int filter = FIND(filter_names, field_text(L, rule, "filter", arena));
	if (filter < 0)
		script_raise(L, "policy: expected a rule, as policy.all(policy.DENY)");
	r->filter = (enum policy_filter)filter;
	if (r->filter == FILTER_SUFFIX || r->filter == FILTER_DOMAINS)
		names_take(L, rule, r, arena);
	if (r->filter == FILTER_PATTERN)
		pattern_take(L, rule, r, arena);
	lua_getfield(L, rule, "action");
	action_take(L, lua_gettop(L), r, arena);
	lua_pop(L, 1);
}

static int rule_store(lua_State *L, struct policy_rule *to, const struct policy_rule *r)
{
	struct script *s = script_of(L);
	if (!to)
		return script_raise(L, "policy: out of memory");
	*to = *r;
	to->id = s->next_rule_id++;
	to->hits = arena_alloc(s->conf->arena, sizeof(*to->hits));
	to->where = script_where(L);
	lua_pushinteger(L, to->id);
	return 1;
}

/* rule_add(rule) -> id */
static int core_rule_add(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	struct policy_rule r;
	rule_take(L, 1, &r, c->arena);
	return rule_store(L, conf_push(c, &c->rules, &c->rule_count, sizeof(r)), &r);
}

/* view_add(subnet, rule, dst) -> id */
static int core_view_add(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	struct policy_rule r;
	const char *text = luaL_checkstring(L, 1);
	rule_take(L, 2, &r, c->arena);
	r.view = true;
	r.view_dst = lua_toboolean(L, 3);
	if (!subnet_from_text(&r.net, text))
		return script_raise(L, "view:addr: '%s' is not a subnet", text);
	return rule_store(L, conf_push(c, &c->views, &c->view_count, sizeof(r)), &r);
}

static int core_rule_del(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	const lua_Integer id = luaL_checkinteger(L, 1);
	bool found = false;
	for (size_t i = 0; i < c->rule_count; i++)
		if (c->rules[i].id == id && !c->rules[i].deleted) {
			c->rules[i].deleted = true;
			found = true;
		}
	lua_pushboolean(L, found);
	return 1;
}

/* rule_count(id) -> hits */
static int core_rule_hits(lua_State *L)
{
	const struct conf *c = script_of(L)->conf;
	const lua_Integer id = luaL_checkinteger(L, 1);
	double hits = 0;
	for (size_t i = 0; i < c->rule_count + c->view_count; i++) {
		const struct policy_rule *r =
			i < c->rule_count ? &c->rules[i] : &c->views[i - c->rule_count];
		if (r->id == id && r->hits)
			hits = (double)*r->hits;
	}
	lua_pushnumber(L, hits);
	return 1;
}

const luaL_Reg core_policy[] = {
	{ "rule_add", core_rule_add },
	{ "view_add", core_view_add },
	{ "rule_del", core_rule_del },
	{ "rule_hits", core_rule_hits },
	{ NULL, NULL },
};

/* --- the verdict of a callback ---------------------------------------------------- */

static void push_query(lua_State *L, const struct policy_query *q)
{
	char ip[ADDR_TEXT_MAX];
	lua_newtable(L);
	lua_pushlstring(L, (const char *)q->name, name_len(q->name));
	lua_setfield(L, -2, "sname");
	lua_pushinteger(L, q->type);
	lua_setfield(L, -2, "stype");
	lua_pushinteger(L, q->rclass);
	lua_setfield(L, -2, "sclass");
	lua_pushboolean(L, q->tcp);
	lua_setfield(L, -2, "tcp");
	if (q->fields) {
		lua_pushlstring(L, q->fields, q->fields_len);
		lua_setfield(L, -2, "fields");
	}
	if (q->client.family) {
		lua_pushstring(L, addr_ip_text(&q->client, ip));
		lua_setfield(L, -2, "client");
	}
	if (q->server.family) {
		lua_pushstring(L, addr_ip_text(&q->server, ip));
		lua_setfield(L, -2, "server");
	}
}

static bool targets_same(const struct kept_targets *k, const struct policy_rule *r)
{
	if (k->count != r->target_count || !k->tls != !r->tls)
		return false;
	for (size_t i = 0; i < k->count; i++)
		if (!addr_equal(&k->targets[i], &r->targets[i]) ||
			(k->tls && k->tls[i] != r->tls[i]))
			return false;
	return true;
}

/* Routes outlive the query's arena: the same targets are kept once, as long as the
 * script lives. */
static bool targets_keep(struct script *s, struct policy_rule *r)
{
	struct conf *c = s->conf;
	for (size_t i = 0; i < s->kept_count; i++)
		if (targets_same(&s->kept[i], r)) {
			r->targets = s->kept[i].targets;
			r->tls = s->kept[i].tls;
			return true;
		}
	if (s->kept_count >= SCRIPT_TARGETS_MAX)
		return false;
	struct addr *copy =
		arena_dup(c->arena, r->targets, r->target_count * sizeof(*copy));
	const struct conf_tls_peer *const *tls =
		r->tls ? arena_dup(c->arena, r->tls, r->target_count * sizeof(*tls))
		       : NULL;
	struct kept_targets *k = conf_push(c, &s->kept, &s->kept_count, sizeof(*k));
	if (!copy || (r->tls && !tls) || !k)
		return false;
	*k = (struct kept_targets){ copy, tls, r->target_count };
	r->targets = copy;
	r->tls = tls;
	return true;
}

struct callback_result {
	struct policy_rule *rule;
	struct arena *arena;
};

/* The result (an action's table) to a rule; protected, since it may raise. */
static int result_take(lua_State *L)
{
	struct callback_result *c = lua_touserdata(L, 2);
	*c->rule = (struct policy_rule){ .filter = FILTER_CALL, .ede = -1 };
	if (lua_isfunction(L, 1))
		return script_raise(L, "a callback's action cannot be a function");
	action_take(L, 1, c->rule, c->arena);
	if (c->rule->target_count && !targets_keep(script_of(L), c->rule))
		return script_raise(L, "more than %d different lists of forwarders",
			SCRIPT_TARGETS_MAX);
	return 0;
}

bool script_policy(struct script *s, int callback, const struct policy_query *q,
	struct arena *arena, struct policy_verdict *out)
{
	lua_State *L = s->L;
	const int top = lua_gettop(L);
	struct policy_rule rule;
	struct callback_result result = { &rule, arena };
	bool final = false;
	script_entry(s, "policy");
	lua_rawgeti(L, LUA_REGISTRYINDEX, callback);
	push_query(L, q);
	int rc = script_call(s, 2, 1, SCRIPT_POLICY_MS);
	if (rc == 0 && lua_istable(L, -1)) {
		lua_pushcfunction(L, result_take);
		lua_insert(L, -2);
		lua_pushlightuserdata(L, &result);
		rc = script_call(s, 2, 0, SCRIPT_POLICY_MS);
		if (rc == 0)
			final = policy_apply(s->conf, &rule, q, arena, out);
	}
	if (rc != 0)
		log_error(POLICY, "rule: %s", lua_tostring(L, -1));
	lua_settop(L, top);
	return final;
}
