/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/core_run.c - what a running instance offers: cache, counters, events, the others
 * by map(). */
#include <string.h>

#include "base/clock.h"
#include "lua/internal.h"
#include "wire/codes.h"

static struct cache *cache_of(lua_State *L)
{
	const struct script *s = script_of(L);
	struct cache *c =
		s->running && s->host.cache ? s->host.cache(s->host.ctx) : NULL;
	if (!c)
		script_raise(L, "the cache is there only in a running instance");
	return c;
}

/* cache_clear(name, subtree, type number or 0) */
static int core_cache_clear(lua_State *L)
{
	uint8_t name[NAME_MAX_LEN];
	struct cache *c = cache_of(L);
	core_name_arg(L, 1, "cache.clear", name);
	cache_clear(c, name, lua_toboolean(L, 2), (uint16_t)luaL_optinteger(L, 3, 0));
	return 0;
}

static int core_cache_clear_all(lua_State *L)
{
	cache_clear_all(cache_of(L));
	return 0;
}

static int core_cache_stats(lua_State *L)
{
	struct cache_stats st;
	cache_stats(cache_of(L), &st);
	const struct {
		const char *name;
		double value;
	} rows[] = { { "size", (double)st.size },
		{ "count_entries", (double)st.entries },
		{ "bytes_used", (double)st.bytes_used },
		{ "write", (double)st.inserts }, { "evictions", (double)st.evictions },
		{ "clear", (double)st.clears },
		{ "usage_percent",
			st.size ? 100 * (double)st.bytes_used / (double)st.size : 0 } };
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		lua_pushnumber(L, rows[i].value);
		lua_setfield(L, -2, rows[i].name);
	}
	lua_pushboolean(L, st.is_private);
	lua_setfield(L, -2, "private");
	lua_pushstring(L, st.path);
	lua_setfield(L, -2, "path");
	return 1;
}

/* --- counters --------------------------------------------------------------------- */

/* Rows come from the host while nothing of Lua may raise: out of memory is the only
 * way. */
static void row_to_table(void *ctx, const char *name, double value)
{
	lua_State *L = ctx;
	lua_pushnumber(L, value);
	lua_setfield(L, -2, name);
}

static int core_stats(lua_State *L)
{
	const struct script *s = script_of(L);
	const char *prefix = luaL_optstring(L, 1, "");
	lua_newtable(L);
	if (s->host.stats)
		s->host.stats(s->host.ctx, prefix, row_to_table, L);
	return 1;
}

static int core_stat(lua_State *L)
{
	const struct script *s = script_of(L);
	double value;
	if (!s->host.stat || !s->host.stat(s->host.ctx, luaL_checkstring(L, 1), &value))
		return 0;
	lua_pushnumber(L, value);
	return 1;
}

static int core_worker_stats(lua_State *L)
{
	const struct script *s = script_of(L);
	lua_newtable(L);
	if (s->host.worker_stats)
		s->host.worker_stats(s->host.ctx, row_to_table, L);
	return 1;
}

/* --- events and the others -------------------------------------------------------- */

/* event_set(id, ms, recurrent) -> bool */
static int core_event_set(lua_State *L)
{
	const struct script *s = script_of(L);
	lua_pushboolean(L,
		s->host.event_set &&
			s->host.event_set(s->host.ctx, (int)luaL_checkinteger(L, 1),
				(int64_t)luaL_checknumber(L, 2), lua_toboolean(L, 3)));
	return 1;
}

static int core_event_clear(lua_State *L)
{
	const struct script *s = script_of(L);
	if (s->host.event_clear)
		s->host.event_clear(s->host.ctx, (int)luaL_checkinteger(L, 1));
	return 0;
}

static void row_to_list(void *ctx, const char *instance, bool ok, const char *text)
{
	lua_State *L = ctx;
	lua_newtable(L);
	lua_pushstring(L, instance);
	lua_setfield(L, -2, "instance");
	lua_pushboolean(L, ok);
	lua_setfield(L, -2, "ok");
	lua_pushstring(L, text);
	lua_setfield(L, -2, "text");
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

/* map(line) -> list of { instance, ok, text } */
static int core_map(lua_State *L)
{
	struct script *s = script_of(L);
	const char *line = luaL_checkstring(L, 1);
	if (!s->running || !s->host.map)
		return script_raise(L, "map() works in a running instance only");
	lua_newtable(L);
	/* waiting for the others is not the script's own time */
	const int64_t began = clock_read().mono_us;
	const bool asked = s->host.map(s->host.ctx, line, row_to_list, L);
	if (s->deadline_us)
		s->deadline_us += clock_read().mono_us - began;
	if (!asked)
		return script_raise(L,
			"map: another instance asks all of them just now: again later");
	return 1;
}

static int core_quit(lua_State *L)
{
	const struct script *s = script_of(L);
	if (!s->running || !s->host.quit)
		return script_raise(L, "quit() works in a running instance only");
	s->host.quit(s->host.ctx);
	return 0;
}

/* resolve(id, name, type, class, flags) -> bool */
static int core_resolve(lua_State *L)
{
	const struct script *s = script_of(L);
	uint8_t name[NAME_MAX_LEN];
	core_name_arg(L, 2, "resolve", name);
	if (!s->running || !s->host.resolve)
		return script_raise(L, "resolve() works in a running instance only");
	lua_pushboolean(L, s->host.resolve(s->host.ctx, (int)luaL_checkinteger(L, 1),
				   name, (uint16_t)luaL_checkinteger(L, 3),
				   (uint16_t)luaL_checkinteger(L, 4),
				   (uint32_t)luaL_optinteger(L, 5, 0)));
	return 1;
}

const luaL_Reg core_run[] = {
	{ "cache_clear", core_cache_clear },
	{ "cache_clear_all", core_cache_clear_all },
	{ "cache_stats", core_cache_stats },
	{ "stats", core_stats },
	{ "stat", core_stat },
	{ "worker_stats", core_worker_stats },
	{ "event_set", core_event_set },
	{ "event_clear", core_event_clear },
	{ "map", core_map },
	{ "quit", core_quit },
	{ "resolve", core_resolve },
	{ NULL, NULL },
};
