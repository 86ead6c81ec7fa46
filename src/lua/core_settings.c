/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/core_settings.c - single values: options, texts, flags, modules, log. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "lua/internal.h"

static int core_check(lua_State *L)
{
	lua_pushboolean(L, script_of(L)->check);
	return 1;
}

static int core_is_running(lua_State *L)
{
	lua_pushboolean(L, script_of(L)->running);
	return 1;
}

static int core_fail(lua_State *L)
{
	lua_settop(L, 1);
	return lua_error(L);
}

/* where() -> "FILE:LINE" of the script's own code that runs */
static int core_where(lua_State *L)
{
	const struct conf_where where = script_where(L);
	lua_pushfstring(L, "%s:%d", where.file, where.line);
	return 1;
}

static int core_warn(lua_State *L)
{
	script_warn(script_of(L), script_where(L), "%s", luaL_checkstring(L, 1));
	return 0;
}

/* Settings end where the instance runs. */
static int core_setting(lua_State *L)
{
	if (script_of(L)->running)
		return script_raise(L,
			"%s is set in the configuration file: change it there and "
			"restart the instances",
			luaL_checkstring(L, 1));
	return 0;
}

/* source(path): the script reads this file; anything else is no matter */
static int core_source(lua_State *L)
{
	struct script *s = script_of(L);
	if (!s->running && lua_type(L, 1) == LUA_TSTRING)
		conf_source_file(s->conf, lua_tostring(L, 1));
	return 0;
}

static int option_push(lua_State *L, const struct conf_option_row *row)
{
	const double value = conf_option_get(script_of(L)->conf, row);
	if (row->type == CONF_TYPE_BOOL)
		lua_pushboolean(L, value > 0);
	else
		lua_pushnumber(L, value);
	return 1;
}

/* option(name[, value]) -> value */
static int core_option(lua_State *L)
{
	char error[256];
	const char *name = luaL_checkstring(L, 1);
	const struct conf_option_row *row = conf_option_find(name);
	if (!row)
		return script_raise(L, "no option '%s'", name);
	if (lua_gettop(L) < 2 || lua_isnil(L, 2))
		return option_push(L, row);
	double value;
	if (row->type == CONF_TYPE_BOOL) {
		if (!lua_isboolean(L, 2))
			return script_raise(L, "%s: expected true or false, got %s",
				row->lua, luaL_typename(L, 2));
		value = lua_toboolean(L, 2);
	} else {
		if (lua_type(L, 2) != LUA_TNUMBER)
			return script_raise(L, "%s: expected a number, got %s",
				row->lua, luaL_typename(L, 2));
		value = lua_tonumber(L, 2);
	}
	if (!conf_option_set(script_of(L)->conf, row, value, error))
		return script_raise(L, "%s", error);
	return option_push(L, row);
}

static const char **text_field(struct conf *c, const char *name)
{
	const struct {
		const char *name;
		const char **at;
	} fields[] = { { "nsid", &c->nsid }, { "chaos_hostname", &c->chaos_hostname },
		{ "chaos_version", &c->chaos_version }, { "user", &c->user },
		{ "group", &c->group }, { "cache_storage", &c->cache_storage },
		{ "infourl", &c->infourl }, { "doh_headers", &c->doh_headers } };
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].at;
	return NULL;
}

/* text(field[, value]) -> value or nil; false clears */
static int core_text(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	const char **field = text_field(c, luaL_checkstring(L, 1));
	if (!field)
		return script_raise(L, "no text '%s'", lua_tostring(L, 1));
	if (lua_isboolean(L, 2))
		*field = NULL;
	else if (!lua_isnoneornil(L, 2))
		*field = arena_strdup(c->arena, luaL_checkstring(L, 2));
	lua_pushstring(L, *field);
	return 1;
}

/* flag(name[, on]) -> on; nil: no such flag */
static int core_flag(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	const int bit = conf_flag_find(luaL_checkstring(L, 1));
	if (bit < 0)
		return 0;
	const uint32_t mask = UINT32_C(1) << bit;
	if (!lua_isnoneornil(L, 2))
		c->flags = lua_toboolean(L, 2) ? c->flags | mask : c->flags & ~mask;
	lua_pushboolean(L, (c->flags & mask) != 0);
	return 1;
}

static int core_flag_names(lua_State *L)
{
	lua_newtable(L);
	for (int i = 0; i < CONF_FLAG_COUNT; i++) {
		lua_pushstring(L, conf_flag_name((unsigned)i));
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

/* module(name[, on]) -> on; nil: not one of ours */
static int core_module(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	const int m = conf_module_find(luaL_checkstring(L, 1));
	if (m < 0)
		return 0;
	const uint32_t mask = UINT32_C(1) << m;
	if (!lua_isnoneornil(L, 2))
		c->modules =
			lua_toboolean(L, 2) ? c->modules | mask : c->modules & ~mask;
	lua_pushboolean(L, (c->modules & mask) != 0);
	return 1;
}

static int core_module_names(lua_State *L)
{
	lua_newtable(L);
	for (int i = 0; i < MODULE_COUNT; i++) {
		lua_pushstring(L, conf_module_name((enum conf_module)i));
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

/* user(name[, group]) -> why not, or nil */
static int core_user(lua_State *L)
{
	const char *user = luaL_checkstring(L, 1), *group = luaL_optstring(L, 2, NULL);
	struct conf *c = script_of(L)->conf;
	c->user = arena_strdup(c->arena, user);
	c->group = group ? arena_strdup(c->arena, group) : NULL;
	if (!getpwnam(user))
		lua_pushfstring(L, "user '%s' does not exist", user);
	else if (group && !getgrnam(group))
		lua_pushfstring(L, "group '%s' does not exist", group);
	else
		lua_pushnil(L);
	return 1;
}

/* log(level, group, text): unknown groups go to "module" */
static int core_log(lua_State *L)
{
	const int level = log_level_find(luaL_checkstring(L, 1));
	const int group = log_group_find(luaL_checkstring(L, 2));
	log_write(group < 0 ? LOG_MODULE : (enum log_group)group,
		level < 0 ? LOG_LEVEL_NOTICE : (enum log_level)level, "%s",
		luaL_checkstring(L, 3));
	return 0;
}

/* log_level([name]) -> name; nil: no such level */
static int core_log_level(lua_State *L)
{
	struct script *s = script_of(L);
	if (!lua_isnoneornil(L, 1)) {
		const int level = log_level_find(luaL_checkstring(L, 1));
		if (level < 0)
			return 0;
		s->conf->log_level = (enum log_level)level;
		if (!s->check)
			log_set_level(s->conf->log_level);
	}
	lua_pushstring(L, log_level_name(s->conf->log_level));
	return 1;
}

static int core_log_target(lua_State *L)
{
	static const char *const targets[] = { [LOG_TO_STDERR] = "stderr",
		[LOG_TO_STDOUT] = "stdout",
		[LOG_TO_SYSLOG] = "syslog" };
	struct script *s = script_of(L);
	if (!lua_isnoneornil(L, 1)) {
		int found = -1;
		for (int i = 0; i < 3; i++)
			if (strcmp(targets[i], luaL_checkstring(L, 1)) == 0)
				found = i;
		if (found < 0)
			return 0;
		s->conf->log_target = (enum log_target)found;
		if (!s->check)
			log_set_target(s->conf->log_target);
	}
	lua_pushstring(L, targets[s->conf->log_target]);
	return 1;
}

/* log_groups([list]) -> list; raises on an unknown one */
static int core_log_groups(lua_State *L)
{
	struct script *s = script_of(L);
	if (lua_istable(L, 1)) {
		uint64_t groups = 0;
		for (int i = 1; i <= (int)lua_objlen(L, 1); i++) {
			lua_rawgeti(L, 1, i);
			const char *name = lua_tostring(L, -1);
			const int group = name ? log_group_find(name) : -1;
			if (group < 0)
				return script_raise(L, "log_groups: unknown group '%s'",
					name ? name : luaL_typename(L, -1));
			groups |= UINT64_C(1) << group;
			lua_pop(L, 1);
		}
		s->conf->log_groups = groups;
		for (int i = 0; !s->check && i < LOG_GROUP_COUNT; i++)
			log_set_group((enum log_group)i, groups >> i & 1);
	}
	lua_newtable(L);
	for (int i = 0, n = 0; i < LOG_GROUP_COUNT; i++)
		if (s->conf->log_groups >> i & 1) {
			lua_pushstring(L, log_group_name((enum log_group)i));
			lua_rawseti(L, -2, ++n);
		}
	return 1;
}

static int core_instance(lua_State *L)
{
	lua_pushstring(L, script_of(L)->conf->instance);
	return 1;
}

static int core_run_folder(lua_State *L)
{
	lua_pushstring(L, script_of(L)->conf->run_folder);
	return 1;
}

static int core_pid(lua_State *L)
{
	lua_pushinteger(L, getpid());
	return 1;
}

static int core_cwd(lua_State *L)
{
	char *cwd = getcwd(NULL, 0);
	lua_pushstring(L, cwd ? cwd : "");
	free(cwd);
	return 1;
}

static int core_hostname(lua_State *L)
{
	char name[256] = "";
	gethostname(name, sizeof(name) - 1);
	lua_pushstring(L, name);
	return 1;
}

static int core_version(lua_State *L)
{
	lua_pushliteral(L, SHOAL_VERSION);
	return 1;
}

/* fssize(path): bytes of its file system, or of the nearest folder above that exists */
static int core_fssize(lua_State *L)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s", luaL_checkstring(L, 1));
	struct statvfs st;
	while (statvfs(path, &st) < 0) {
		char *slash = strrchr(path, '/');
		if (!slash || slash == path)
			return script_raise(L, "cache.fssize: no such file system");
		*slash = 0;
	}
	lua_pushnumber(L, (double)st.f_frsize * (double)st.f_blocks);
	return 1;
}

/* kind(name) -> number, served; nil if unknown */
static int core_kind(lua_State *L)
{
	const int kind = conf_kind_find(luaL_checkstring(L, 1));
	if (kind < 0)
		return 0;
	lua_pushinteger(L, kind);
	lua_pushboolean(L, conf_kind_served((enum conf_kind)kind));
	return 2;
}

const luaL_Reg core_settings[] = {
	{ "is_check", core_check },
	{ "is_running", core_is_running },
	{ "fail", core_fail },
	{ "warn", core_warn },
	{ "where", core_where },
	{ "setting", core_setting },
	{ "source", core_source },
	{ "option", core_option },
	{ "text", core_text },
	{ "flag", core_flag },
	{ "flag_names", core_flag_names },
	{ "module", core_module },
	{ "module_names", core_module_names },
	{ "user", core_user },
	{ "log", core_log },
	{ "log_level", core_log_level },
	{ "log_target", core_log_target },
	{ "log_groups", core_log_groups },
	{ "instance", core_instance },
	{ "run_folder", core_run_folder },
	{ "pid", core_pid },
	{ "cwd", core_cwd },
	{ "hostname", core_hostname },
	{ "version", core_version },
	{ "fssize", core_fssize },
	{ "kind", core_kind },
	{ NULL, NULL },
};
