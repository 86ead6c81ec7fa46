/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/core_anchors.c - trust anchors, negative ones, and whom to ask for the time. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lua/internal.h"

enum { REASON_MAX = 200 };

/* anchor_add(text) */
static int core_anchor_add(lua_State *L)
{
	char error[256];
	if (!conf_anchor_add(
		    script_of(L)->conf, luaL_checkstring(L, 1), script_where(L), error))
		return script_raise(L, "trust_anchors.add: %s", error);
	return 0;
}

/* anchor_file(path, readonly) */
static int core_anchor_file(lua_State *L)
{
	char error[256];
	if (!conf_anchor_file(script_of(L)->conf, luaL_checkstring(L, 1),
		    lua_toboolean(L, 2), script_where(L), error))
		return script_raise(L, "trust_anchors.add_file: %s", error);
	return 0;
}

/* anchor_remove(name) -> was there anything */
static int core_anchor_remove(lua_State *L)
{
	uint8_t name[NAME_MAX_LEN];
	core_name_arg(L, 1, "trust_anchors.remove", name);
	lua_pushboolean(L, conf_anchor_remove(script_of(L)->conf, name));
	return 1;
}

/* Text of what is said for a zone, or for all of them, before the instance runs. */
static void push_configured(lua_State *L, const struct conf *c, const uint8_t *only)
{
	char name[NAME_TEXT_MAX];
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < c->insecure_count; i++) {
		const struct conf_insecure *n = &c->insecure[i];
		if (only && !name_equal(n->name, only))
			continue;
		luaL_addstring(&b, name_to_text(n->name, name));
		luaL_addstring(&b, " is negative trust anchor\n");
	}
	for (size_t i = 0; i < c->anchor_count; i++) {
		if (only && !name_equal(c->anchors[i].owner, only))
			continue;
		luaL_addstring(&b, c->anchors[i].text);
		luaL_addstring(&b, "\n");
	}
	for (size_t i = 0; i < c->anchor_file_count; i++) {
		const struct conf_anchor_file *f = &c->anchor_files[i];
		if (only && !name_equal(f->owner, only))
			continue;
		luaL_addstring(&b, name_to_text(f->owner, name));
		luaL_addstring(&b, " has its keys in ");
		luaL_addstring(&b, f->path);
		luaL_addstring(&b, "\n");
	}
	if (c->anchor_builtin && (!only || name_is_root(only)))
		luaL_addstring(&b, ". has the keys that are built in\n");
	luaL_pushresult(&b);
}

/* anchors([owner]) -> text */
static int core_anchors(lua_State *L)
{
	struct script *s = script_of(L);
	uint8_t name[NAME_MAX_LEN];
	const bool one = !lua_isnoneornil(L, 1);
	if (one)
		core_name_arg(L, 1, "trust_anchors.summary", name);
	if (!s->running || !s->host.anchors) {
		push_configured(L, s->conf, one ? name : NULL);
		return 1;
	}
	char *text = s->host.anchors(s->host.ctx, one ? name : NULL);
	lua_pushstring(L, text ? text : "");
	free(text);
	return 1;
}

/* "2026-12-31" or "2026-12-31T23:59:59Z", or seconds since 1970. */
static int64_t time_arg(lua_State *L, const char *what)
{
	struct tm tm = { 0 };
	if (lua_isnil(L, -1))
		return INT64_MAX;
	if (lua_type(L, -1) == LUA_TNUMBER) {
		const double s = lua_tonumber(L, -1);
		if (s > 0 && s < 1e12)
			return (int64_t)s;
	}
	const char *text = lua_tostring(L, -1);
	const char *rest = text ? strptime(text, "%Y-%m-%d", &tm) : NULL;
	if (rest && *rest)
		rest = strptime(rest, "T%H:%M:%SZ", &tm);
	if (!rest || *rest)
		return script_raise(L,
			"%s: expires: expected 'YYYY-MM-DD', 'YYYY-MM-DDTHH:MM:SSZ' or "
			"seconds since 1970, got '%s'",
			what, text ? text : luaL_typename(L, -1));
	const struct tm said = tm;
	const time_t t = timegm(&tm); /* 30 February becomes 2 March */
	if (tm.tm_mday != said.tm_mday || tm.tm_sec != said.tm_sec)
		return script_raise(L, "%s: expires: there is no '%s'", what, text);
	return t;
}

static const char *reason_arg(lua_State *L, const char *what)
{
	if (lua_isnil(L, -1))
		return NULL;
	const char *text = lua_tostring(L, -1);
	bool fine = text && strlen(text) <= REASON_MAX;
	for (const char *c = text; fine && *c; c++)
		fine = *c >= ' ' && *c <= '~';
	if (!fine)
		script_raise(L, "%s: reason: expected printable ASCII, at most %d",
			what, REASON_MAX);
	return arena_strdup(script_of(L)->conf->arena, text);
}

/* Likely a list in one string; a space that is meant is written \032. */
static void warn_of_spaces(lua_State *L, int idx, const char *what)
{
	size_t len;
	const char *text = lua_tolstring(L, idx, &len);
	if (strlen(text) == len && strpbrk(text, " \t\r\n")) /* not in wire form */
		script_warn(script_of(L), script_where(L),
			"%s: '%s' is one name with a space in it: several names are a "
			"list, { 'A', 'B' }",
			what, text);
}

/* The list's item on the stack: 'NAME' or { 'NAME', reason =, expires = }. */
static void insecure_item(lua_State *L, const char *what)
{
	struct conf *c = script_of(L)->conf;
	uint8_t name[NAME_MAX_LEN];
	struct conf_insecure item = { .until_s = INT64_MAX };
	size_t len;
	if (lua_istable(L, -1)) {
		lua_rawgeti(L, -1, 1);
		len = core_name_arg(L, -1, what, name);
		warn_of_spaces(L, -1, what);
		lua_getfield(L, -2, "reason");
		item.reason = reason_arg(L, what);
		lua_getfield(L, -3, "expires");
		item.until_s = time_arg(L, what);
		lua_pop(L, 3);
		lua_pushnil(L);
		while (lua_next(L, -2)) { /* what nobody reads is a mistake */
			lua_pop(L, 1);
			lua_pushvalue(L, -1); /* lua_next wants it unchanged */
			const char *key = lua_tostring(L, -1);
			if (!key ||
				(strcmp(key, "1") != 0 && strcmp(key, "reason") != 0 &&
					strcmp(key, "expires") != 0))
				script_raise(L, "%s: unknown field '%s'", what,
					key ? key : luaL_typename(L, -1));
			lua_pop(L, 1);
		}
	} else {
		len = core_name_arg(L, -1, what, name);
		warn_of_spaces(L, -1, what);
	}
	char text[NAME_TEXT_MAX];
	if (item.until_s <= time(NULL))
		script_warn(script_of(L), script_where(L),
			"%s: the end of %s is past: it is validated", what,
			name_to_text(name, text));
	else if (name_is_root(name))
		script_warn(script_of(L), script_where(L),
			"%s: below '.' is every name: nothing is validated but what "
			"has a "
			"trust anchor of its own",
			what);
	item.name = arena_dup(c->arena, name, len);
	struct conf_insecure *to =
		conf_push(c, &c->insecure, &c->insecure_count, sizeof(*to));
	if (to)
		*to = item;
}

/* insecure([list]) -> list of names */
static int core_insecure(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	char text[NAME_TEXT_MAX];
	if (lua_istable(L, 1)) {
		c->insecure = NULL;
		c->insecure_count = 0;
		for (int i = 1; i <= (int)lua_objlen(L, 1); i++) {
			lua_rawgeti(L, 1, i);
			insecure_item(L, "trust_anchors.set_insecure");
			lua_pop(L, 1);
		}
	}
	lua_newtable(L);
	for (size_t i = 0; i < c->insecure_count; i++) {
		lua_pushstring(L, name_to_text(c->insecure[i].name, text));
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

/* time_servers([list of names]) -> list of names */
static int core_time_servers(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	uint8_t name[NAME_MAX_LEN];
	char text[NAME_TEXT_MAX];
	if (lua_istable(L, 1)) {
		c->time_servers = NULL;
		c->time_server_count = 0;
		for (int i = 1; i <= (int)lua_objlen(L, 1); i++) {
			lua_rawgeti(L, 1, i);
			const size_t len = core_name_arg(
				L, -1, "trust_anchors.set_time_servers", name);
			if (name_is_root(name))
				return script_raise(L,
					"trust_anchors.set_time_servers: a host name, "
					"not '.'");
			const uint8_t **to = conf_push(c, &c->time_servers,
				&c->time_server_count, sizeof(*to));
			if (to)
				*to = arena_dup(c->arena, name, len);
			lua_pop(L, 1);
		}
	}
	lua_newtable(L);
	for (size_t i = 0; i < c->time_server_count; i++) {
		lua_pushstring(L, name_to_text(c->time_servers[i], text));
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

const luaL_Reg core_anchor_functions[] = {
	{ "anchor_add", core_anchor_add },
	{ "anchor_file", core_anchor_file },
	{ "anchor_remove", core_anchor_remove },
	{ "anchors", core_anchors },
	{ "insecure", core_insecure },
	{ "time_servers", core_time_servers },
	{ NULL, NULL },
};
