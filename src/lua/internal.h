/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/internal.h - inside this folder: the script's state and the functions that the
 * prelude calls. */
#pragma once

#include <lauxlib.h>
#include <lua.h>

#include "lua/script.h"

enum {
	SCRIPT_MEMORY_MAX = 256 * 1024 * 1024,
	SCRIPT_EVAL_MS = 1000,
	SCRIPT_EVENT_MS = 1000,
	SCRIPT_POLICY_MS = 50, /* a client waits, and everybody behind it */
	SCRIPT_TARGETS_MAX = 1024,
};

struct kept_targets { /* of FORWARD and STUB that a callback returned */
	const struct addr *targets;
	const struct conf_tls_peer *const *tls;
	size_t count;
};

struct script {
	lua_State *L;
	struct conf *conf;
	struct script_host host;
	bool check;
	bool running;
	bool out_of_time;
	int warnings;
	int64_t deadline_us; /* of the call into Lua under way; 0: none is */
	size_t memory;
	int dispatch; /* reference to the prelude's table of entry points */
	uint32_t next_rule_id;
	struct kept_targets *kept;
	size_t kept_count;
};

extern const char prelude_base[];
extern const size_t prelude_base_len;
extern const char prelude_dialect[];
extern const size_t prelude_dialect_len;
extern const char prelude_policy[];
extern const size_t prelude_policy_len;

struct script *script_of(lua_State *L);
/* "FILE:LINE: text", FILE and LINE being where the script called. Does not return. */
int script_raise(lua_State *L, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line of the log and one more warning: "FILE:LINE: text". */
void script_warn(struct script *s, struct conf_where where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Where the script is now: the innermost frame that is not ours. Line 0 if none. */
struct conf_where script_where(lua_State *L);
/* Like lua_pcall, with a time limit and errors as "FILE:LINE: text". 0, or not: then a
 * text is on the stack. */
int script_call(struct script *s, int args, int results, int limit_ms);
/* Push the prelude's entry point of this name. */
void script_entry(struct script *s, const char *name);

/* The tables of functions that make up `core`, one file each. */
extern const luaL_Reg core_settings[];
extern const luaL_Reg core_net[];
extern const luaL_Reg core_data[];
extern const luaL_Reg core_anchor_functions[];
extern const luaL_Reg core_policy[];
extern const luaL_Reg core_run[];

/* A wire name (a Lua string that is one) or text; lower case in `out`. Raises. Returns
 * the length. */
size_t core_name_arg(
	lua_State *L, int idx, const char *what, uint8_t out[static NAME_MAX_LEN]);
