/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/core_data.c - names and numbers of the DNS; hints, root hints. */
#include <arpa/inet.h>
#include <string.h>

#include "lua/internal.h"
#include "wire/codes.h"

/* --- names and codes -------------------------------------------------------------- */

size_t core_name_arg(
	lua_State *L, int idx, const char *what, uint8_t out[static NAME_MAX_LEN])
{
	size_t len;
	if (lua_type(L, idx) != LUA_TSTRING)
		return (size_t)script_raise(
			L, "%s: expected a name, got %s", what, luaL_typename(L, idx));
	const char *text = lua_tolstring(L, idx, &len);
	/* a wire name ends with a NUL, a text cannot hold one */
	if (len && len <= NAME_MAX_LEN && name_check((const uint8_t *)text, len) == len)
		return name_copy_lower(out, (const uint8_t *)text);
	if (strlen(text) != len || !name_from_text(out, text))
		return (size_t)script_raise(L, "%s: '%s' is not a name", what, text);
	name_lower(out);
	return name_len(out);
}

/* dname(text) -> wire name with case kept, nil if malformed */
static int core_dname(lua_State *L)
{
	uint8_t name[NAME_MAX_LEN];
	size_t text_len;
	const char *text = luaL_checklstring(L, 1, &text_len);
	const size_t len = strlen(text) == text_len ? name_from_text(name, text) : 0;
	if (!len)
		return 0;
	lua_pushlstring(L, (const char *)name, len);
	return 1;
}

static int core_dname_text(lua_State *L)
{
	size_t len;
	const char *name = luaL_checklstring(L, 1, &len);
	char text[NAME_TEXT_MAX];
	if (!len || name_check((const uint8_t *)name, len) != len)
		return 0;
	lua_pushstring(L, name_to_text((const uint8_t *)name, text));
	return 1;
}

/* name_lower(name, what): a wire name in lower case; raises */
static int core_name(lua_State *L)
{
	uint8_t name[NAME_MAX_LEN];
	const size_t len = core_name_arg(L, 1, luaL_checkstring(L, 2), name);
	lua_pushlstring(L, (const char *)name, len);
	return 1;
}

static int core_ip_bytes(lua_State *L)
{
	struct addr a;
	if (!addr_from_text(&a, luaL_checkstring(L, 1), 0) || a.port)
		return 0;
	lua_pushlstring(L, (const char *)a.ip, a.family == 4 ? 4 : 16);
	return 1;
}

static int core_type_number(lua_State *L)
{
	uint16_t n;
	if (!type_from_text(&n, luaL_checkstring(L, 1)))
		return 0;
	lua_pushinteger(L, n);
	return 1;
}

static int core_type_name(lua_State *L)
{
	char text[16];
	lua_pushstring(L, type_to_text((uint16_t)luaL_checkinteger(L, 1), text));
	return 1;
}

static int core_class_number(lua_State *L)
{
	uint16_t n;
	if (!class_from_text(&n, luaL_checkstring(L, 1)))
		return 0;
	lua_pushinteger(L, n);
	return 1;
}

static int core_rcode_number(lua_State *L)
{
	uint16_t n;
	if (!rcode_from_text(&n, luaL_checkstring(L, 1)))
		return 0;
	lua_pushinteger(L, n);
	return 1;
}

/* rdata(type number, text) -> bytes, nil if malformed */
static int core_rdata(lua_State *L)
{
	static uint8_t
		out[65535]; /* one script a process, and it never calls itself here */
	const int len = conf_rdata_from_text((uint16_t)luaL_checkinteger(L, 1),
		luaL_checkstring(L, 2), out, sizeof(out));
	if (len < 0)
		return 0;
	lua_pushlstring(L, (const char *)out, (size_t)len);
	return 1;
}

/* --- hints ------------------------------------------------------------------------ */

static bool addr_arg(lua_State *L, int idx, const char *what, struct addr *out)
{
	const char *text = luaL_checkstring(L, idx);
	if (addr_from_text(out, text, 0))
		return true;
	script_raise(L, "%s: '%s' is not an address", what, text);
	return false;
}

/* hint_add(what, name, ip) */
static int core_hint_add(lua_State *L)
{
	uint8_t name[NAME_MAX_LEN];
	struct addr a;
	const char *what = luaL_checkstring(L, 1);
	core_name_arg(L, 2, what, name);
	if (addr_arg(L, 3, what, &a))
		conf_hint_add(script_of(L)->conf, name, &a);
	return 0;
}

/* hint_del(name[, ip]) -> how many */
static int core_hint_del(lua_State *L)
{
	uint8_t name[NAME_MAX_LEN];
	struct addr a;
	const bool one = lua_gettop(L) > 1 && !lua_isnil(L, 2);
	core_name_arg(L, 1, "hints.del", name);
	if (one && !addr_arg(L, 2, "hints.del", &a))
		return 0;
	lua_pushinteger(L,
		(lua_Integer)conf_hint_del(script_of(L)->conf, name, one ? &a : NULL));
	return 1;
}

/* Append to the list at t[name], the table being on top. */
static void list_append(lua_State *L, const uint8_t *name, const struct addr *a)
{
	char text[NAME_TEXT_MAX], ip[ADDR_TEXT_MAX];
	name_to_text(name, text);
	lua_getfield(L, -1, text);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setfield(L, -3, text);
	}
	lua_pushstring(L,
		a->port && a->port != 53 ? addr_to_text(a, ip) : addr_ip_text(a, ip));
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_pop(L, 1);
}

/* hints([name]) -> { name = { ip... } } */
static int core_hints(lua_State *L)
{
	const struct conf *c = script_of(L)->conf;
	uint8_t name[NAME_MAX_LEN];
	const bool one = !lua_isnoneornil(L, 1);
	if (one)
		core_name_arg(L, 1, "hints.get", name);
	lua_newtable(L);
	for (size_t i = 0; i < c->hint_count; i++)
		if (!one || name_equal(c->hints[i].name, name))
			list_append(L, c->hints[i].name, &c->hints[i].addr);
	return 1;
}

static int core_hints_clear(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	c->hints = NULL;
	c->hint_count = 0;
	return 0;
}

static int core_hosts_file(lua_State *L)
{
	char error[256];
	struct conf *c = script_of(L)->conf;
	conf_source_file(c, luaL_checkstring(L, 1));
	if (!conf_hosts_file(c, luaL_checkstring(L, 1), error))
		return script_raise(L, "hints: %s", error);
	return 0;
}

static int core_root_file(lua_State *L)
{
	char error[256];
	struct conf *c = script_of(L)->conf;
	conf_source_file(c, luaL_checkstring(L, 1));
	if (!conf_root_file(c, luaL_checkstring(L, 1), error))
		return script_raise(L, "hints.root_file: %s", error);
	return 0;
}

static int core_roots(lua_State *L)
{
	const struct conf *c = script_of(L)->conf;
	lua_newtable(L);
	for (size_t i = 0; i < c->root_count; i++)
		list_append(L, c->roots[i].name, &c->roots[i].addr);
	return 1;
}

static int core_roots_clear(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	c->roots = NULL;
	c->root_count = 0;
	return 0;
}

static int core_root_add(lua_State *L)
{
	uint8_t name[NAME_MAX_LEN];
	struct addr a;
	core_name_arg(L, 1, "hints.root", name);
	if (addr_arg(L, 2, "hints.root", &a))
		conf_root_add(script_of(L)->conf, name, &a);
	return 0;
}

const luaL_Reg core_data[] = {
	{ "dname", core_dname },
	{ "dname_text", core_dname_text },
	{ "name", core_name },
	{ "ip_bytes", core_ip_bytes },
	{ "type_number", core_type_number },
	{ "type_name", core_type_name },
	{ "class_number", core_class_number },
	{ "rcode_number", core_rcode_number },
	{ "rdata", core_rdata },
	{ "hint_add", core_hint_add },
	{ "hint_del", core_hint_del },
	{ "hints", core_hints },
	{ "hints_clear", core_hints_clear },
	{ "hosts_file", core_hosts_file },
	{ "root_file", core_root_file },
	{ "roots", core_roots },
	{ "roots_clear", core_roots_clear },
	{ "root_add", core_root_add },
	{ NULL, NULL },
};
