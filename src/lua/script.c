/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/script.c - the life of the script: load, call with limits, errors that name file
 * and line. */
#include "lua/script.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <luajit.h>
#include <lualib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "lua/internal.h"

enum {
	HOOK_EVERY = 1000, /* instructions between two looks at the clock */
};

/* --- memory and time -------------------------------------------------------------- */

static void *script_alloc(void *ctx, void *old, size_t old_len, size_t len)
{
	struct script *s = ctx;
	if (len == 0) {
		free(old);
		s->memory -= old_len;
		return NULL;
	}
	if (!old)
		old_len = 0;
	/* shrinking never fails: Lua counts on it; and outside a protected call a
	 * failure would end the process */
	if (s->deadline_us && len > old_len &&
		s->memory + (len - old_len) > SCRIPT_MEMORY_MAX)
		return NULL;
	void *new = realloc(old, len);
	if (new)
		s->memory = s->memory - old_len + len;
	return new;
}

struct script *script_of(lua_State *L)
{
	void *ctx;
	lua_getallocf(L, &ctx);
	return ctx;
}

static void script_hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	struct script *s = script_of(L);
	if (!s->deadline_us || clock_read().mono_us < s->deadline_us)
		return;
	/* from now on at every instruction: a pcall in a loop does not help */
	s->out_of_time = true;
	lua_sethook(L, script_hook, LUA_MASKCOUNT, 1);
	lua_pushliteral(L, "stopped: it runs for too long");
	lua_error(L);
}

/* --- errors ----------------------------------------------------------------------- */

static bool frame_is_ours(const lua_Debug *ar)
{
	return strcmp(ar->what, "C") == 0 || strncmp(ar->source, "=prelude", 8) == 0 ||
	       ar->currentline <= 0;
}

static bool frame_find(lua_State *L, lua_Debug *ar)
{
	for (int level = 0; lua_getstack(L, level, ar); level++) {
		lua_getinfo(L, "Sl", ar);
		if (!frame_is_ours(ar))
			return true;
	}
	return false;
}

static const char *frame_file(const lua_Debug *ar)
{
	return *ar->source == '@' || *ar->source == '=' ? ar->source + 1
							: ar->short_src;
}

struct conf_where script_where(lua_State *L)
{
	struct script *s = script_of(L);
	lua_Debug ar;
	if (!frame_find(L, &ar))
		return (struct conf_where){ s->conf->file, 0 };
	const char *file = frame_file(&ar);
	if (strcmp(file, s->conf->file) == 0)
		file = s->conf->file;
	else
		file = arena_strdup(s->conf->arena, file);
	return (struct conf_where){ file ? file : "", ar.currentline };
}

/* Push "FILE:LINE: " of the frame. */
static void push_where(lua_State *L, const lua_Debug *ar)
{
	lua_pushfstring(L, "%s:%d: ", frame_file(ar), ar->currentline);
}

int script_raise(lua_State *L, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	lua_pushstring(L, text);
	return lua_error(L); /* error_handler puts the place before it */
}

void script_warn(struct script *s, struct conf_where where, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_warning(SYSTEM, "%s:%d: %s", where.file ? where.file : s->conf->file,
		where.line, text);
	s->warnings++;
}

/* Behind "NAME:LINE: " at the start of the text, if NAME is this one. */
static const char *skip_place(const char *text, const char *name)
{
	const size_t len = strlen(name);
	if (strncmp(text, name, len) != 0 || text[len] != ':')
		return text;
	const char *at = text + len + 1;
	const size_t digits = strspn(at, "0123456789");
	return digits && strncmp(at + digits, ": ", 2) == 0 ? at + digits + 2 : text;
}

static const char *skip_our_place(const char *text)
{
	static const char *const ours[] = { "prelude.base", "prelude.dialect",
		"prelude.policy" };
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		text = skip_place(text, ours[i]);
	return text;
}

/* A module's table is missing: which line brings it. */
static const char *advise(lua_State *L, const char *text)
{
	char name[32];
	if (sscanf(text, "attempt to index global '%31[a-z0-9_]' (a nil value)",
		    name) != 1 ||
		conf_module_find(name) < 0)
		return text;
	return lua_pushfstring(
		L, "module '%s' is not loaded: modules.load('%s')", name, name);
}

/* Any error becomes "FILE:LINE: text", with the file as it was given and not as Lua
 * shortens it. */
static int error_handler(lua_State *L)
{
	lua_Debug ar;
	const char *text = lua_tostring(L, 1);
	if (!text)
		text = lua_pushfstring(L, "error of type %s", luaL_typename(L, 1));
	text = skip_our_place(text);
	if (!frame_find(L, &ar)) {
		lua_pushstring(L, text);
		return 1;
	}
	char expected[LUA_IDSIZE + 16];
	snprintf(expected, sizeof(expected), "%s:%d: ", ar.short_src, ar.currentline);
	if (strncmp(text, expected, strlen(expected)) == 0)
		text += strlen(expected);
	text = advise(L, text);
	push_where(L, &ar);
	lua_pushstring(L, text);
	lua_concat(L, 2);
	return 1;
}

int script_call(struct script *s, int args, int results, int limit_ms)
{
	lua_State *L = s->L;
	const bool outer = s->deadline_us == 0;
	const int base = lua_gettop(L) - args;
	lua_pushcfunction(L, error_handler);
	lua_insert(L, base);
	if (outer) {
		s->deadline_us = clock_read().mono_us + (int64_t)limit_ms * 1000;
		s->out_of_time = false;
		lua_sethook(L, script_hook, LUA_MASKCOUNT, HOOK_EVERY);
	}
	const int rc = lua_pcall(L, args, results, base);
	if (outer) {
		lua_sethook(L, NULL, 0, 0);
		s->deadline_us = 0;
	}
	lua_remove(L, base);
	if (rc == LUA_ERRMEM) {
		lua_pop(L, 1);
		lua_gc(L, LUA_GCCOLLECT, 0);
		lua_pushfstring(L, "%s:1: out of memory: a script may use %d MB",
			s->conf->file, SCRIPT_MEMORY_MAX / 1024 / 1024);
	}
	return rc;
}

void script_entry(struct script *s, const char *name)
{
	lua_rawgeti(s->L, LUA_REGISTRYINDEX, s->dispatch);
	lua_getfield(s->L, -1, name);
	lua_remove(s->L, -2);
}

/* --- load ------------------------------------------------------------------------- */

/* Does "NAME:LINE: " stand at the start? */
static bool has_place(const char *text)
{
	for (const char *at = text; (at = strchr(at, ':')) != NULL;) {
		at++;
		const size_t digits = strspn(at, "0123456789");
		if (digits && strncmp(at + digits, ": ", 2) == 0)
			return true;
	}
	return false;
}

/* A line for people: no line break, and a place even where Lua gave none. */
static bool fail(char error[static 1024], const struct script *s, const char *text)
{
	if (has_place(text))
		snprintf(error, 1024, "%s", text);
	else
		snprintf(error, 1024, "%s:1: %s", s->conf->file, text);
	for (char *c = error; *c; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' ';
	return false;
}

static void register_all(lua_State *L, const luaL_Reg *functions)
{
	for (; functions->name; functions++) {
		lua_pushcfunction(L, functions->func);
		lua_setfield(L, -2, functions->name);
	}
}

static bool prelude_run(
	struct script *s, const char *name, const char *code, size_t len)
{
	lua_State *L = s->L;
	if (luaL_loadbuffer(L, code, len, name) != 0)
		return false;
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->dispatch);
	return script_call(s, 1, 0, LIMIT_CONFIG_MS) == 0;
}

static bool prelude_load(struct script *s, char error[static 1024])
{
	lua_State *L = s->L;
	lua_newtable(L);
	register_all(L, core_settings);
	register_all(L, core_net);
	register_all(L, core_data);
	register_all(L, core_anchor_functions);
	register_all(L, core_policy);
	register_all(L, core_run);
	s->dispatch = luaL_ref(L, LUA_REGISTRYINDEX);
	if (prelude_run(s, "=prelude.base", prelude_base, prelude_base_len) &&
		prelude_run(
			s, "=prelude.dialect", prelude_dialect, prelude_dialect_len) &&
		prelude_run(s, "=prelude.policy", prelude_policy, prelude_policy_len))
		return true;
	return fail(error, s, lua_tostring(L, -1));
}

/* The file's text, or NULL and why. */
static char *file_take(struct script *s, size_t *len, char error[static 1024])
{
	char *text = NULL;
	char why[128];
	const int err = fd_read_pipe(s->conf->file, LIMIT_CONFIG_BYTES, &text, len);
	if (err == 0 && !memchr(text, 0, *len) && (*len == 0 || text[0] != '\033')) {
		conf_source_add(s->conf, s->conf->file, text, *len);
		return text;
	}
	if (err == 0)
		snprintf(why, sizeof(why), "not a text file");
	else if (err == -EFBIG)
		snprintf(why, sizeof(why), "larger than %d MB",
			LIMIT_CONFIG_BYTES / 1024 / 1024);
	else
		snprintf(why, sizeof(why), "cannot read: %s%s", strerror(-err),
			err == -ENOENT ? " (-c names another file)" : "");
	free(text);
	fail(error, s, why);
	return NULL;
}

/* Lua shortens long names in messages: a stand-in for the syntax errors. */
static bool syntax_check(
	struct script *s, const char *text, size_t len, char error[static 1024])
{
	lua_State *L = s->L;
	if (luaL_loadbuffer(L, text, len, "=\001") == 0) {
		lua_pop(L, 1);
		return true;
	}
	const char *said = lua_tostring(L, -1);
	if (strncmp(said, "\001:", 2) == 0)
		said = lua_pushfstring(L, "%s:%s", s->conf->file, said + 2);
	return fail(error, s, said);
}

/* The hook sees instructions only: a pattern that backtracks forever inside one is
 * stopped here, with the process that has not begun to serve. */
static char too_long[1024];

static void on_alarm(int signal)
{
	(void)signal;
	ssize_t put = write(STDERR_FILENO, too_long, strlen(too_long));
	(void)put;
	_exit(1);
}

static void alarm_begin(const char *file, struct sigaction *old)
{
	const struct sigaction act = { .sa_handler = on_alarm };
	const struct itimerval limit = { .it_value.tv_sec =
						 LIMIT_CONFIG_MS / 1000 + 2 };
	snprintf(too_long, sizeof(too_long),
		"shoald: %.900s:1: stopped: it runs for too long\n", file);
	sigaction(SIGALRM, &act, old);
	setitimer(ITIMER_REAL, &limit, NULL);
}

static void alarm_end(const struct sigaction *old)
{
	const struct itimerval none = { 0 };
	setitimer(ITIMER_REAL, &none, NULL);
	sigaction(SIGALRM, old, NULL);
}

/* Did the script write into copies? False: the message is on the stack. */
static bool watched(struct script *s)
{
	script_entry(s, "watched");
	return script_call(s, 0, 0, LIMIT_CONFIG_MS) == 0;
}

static bool file_run(struct script *s, char error[static 1024])
{
	lua_State *L = s->L;
	size_t len, skip = 0;
	char *text = file_take(s, &len, error);
	if (!text)
		return false;
	if (*text == '#') /* a first line for the kernel; its line break stays, lines
			     count on */
		skip = strcspn(text, "\n");
	bool fine = syntax_check(s, text + skip, len - skip, error);
	if (fine) {
		lua_pushfstring(L, "@%s", s->conf->file);
		if (luaL_loadbuffer(L, text + skip, len - skip, lua_tostring(L, -1)) !=
				0 ||
			script_call(s, 0, 0, LIMIT_CONFIG_MS) != 0 || !watched(s))
			fine = fail(error, s, lua_tostring(L, -1));
	}
	free(text);
	return fine;
}

/* What can only be told when all is said: a later record may be the one that counts. */
static void warn_of_anchors(struct script *s)
{
	char name[NAME_TEXT_MAX];
	const struct conf *c = s->conf;
	for (size_t i = 0; i < c->anchor_count; i++) {
		const struct conf_anchor *a = &c->anchors[i];
		const char *doubt = conf_anchor_doubt(c, a);
		if (doubt)
			script_warn(s, a->where, "trust_anchors.add: %s: %s",
				name_to_text(a->owner, name), doubt);
	}
	for (size_t i = 0; i < c->anchor_file_count; i++) {
		const struct conf_anchor_file *f = &c->anchor_files[i];
		const char *doubt = conf_anchor_file_doubt(c, f);
		if (doubt)
			script_warn(s, f->where, "trust_anchors.add_file: %s: %s",
				name_to_text(f->owner, name), doubt);
	}
}

static bool script_run(struct script *s, const char *file, const char *instance,
	char error[static 1024])
{
	struct conf *c = s->conf;
	c->file = arena_strdup(c->arena, file);
	c->instance = arena_strdup(c->arena, instance ? instance : "");
	c->run_folder = arena_strdup(c->arena, fd_run_folder());
	if (!c->file || !c->instance || !c->run_folder) {
		snprintf(error, 1024, "%s:1: out of memory", file);
		return false;
	}
	if (instance && *instance)
		setenv("SYSTEMD_INSTANCE", instance, 1);
	luaL_openlibs(s->L);
	luaJIT_setmode(s->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	if (!prelude_load(s, error))
		return false;
	struct sigaction old;
	alarm_begin(c->file, &old);
	const bool fine = file_run(s, error);
	alarm_end(&old);
	if (!fine)
		return false;
	if (arena_overflowed(c->arena)) {
		snprintf(error, 1024, "%s:1: out of memory: too much is configured",
			file);
		return false;
	}
	warn_of_anchors(s);
	conf_finish(c);
	return true;
}

struct script *script_load(const char *file, const char *instance, bool check,
	const struct script_host *host, char error[static 1024], int *warnings)
{
	struct script *s = calloc(1, sizeof(*s));
	if (s) {
		s->check = check;
		s->host = host ? *host : (struct script_host){ 0 };
		s->conf = conf_new();
		s->L = s->conf ? lua_newstate(script_alloc, s) : NULL;
	}
	if (!s || !s->L) {
		snprintf(error, 1024, "%s:1: out of memory", file);
		script_free(s);
		return NULL;
	}
	const bool fine = script_run(s, file, instance, error);
	if (warnings)
		*warnings = s->warnings;
	if (fine)
		return s;
	script_free(s);
	return NULL;
}

void script_free(struct script *s)
{
	if (!s)
		return;
	if (s->L)
		lua_close(s->L);
	conf_free(s->conf);
	free(s);
}

struct conf *script_conf(struct script *s)
{
	return s->conf;
}

/* --- at run time ------------------------------------------------------------------ */

void script_running(struct script *s)
{
	s->running = true;
	script_entry(s, "running");
	if (script_call(s, 0, 0, SCRIPT_EVENT_MS) != 0) {
		log_error(SYSTEM, "%s", lua_tostring(s->L, -1));
		lua_pop(s->L, 1);
	}
}

bool script_eval(struct script *s, const char *line, char **out)
{
	lua_State *L = s->L;
	script_entry(s, "eval");
	lua_pushstring(L, line);
	const bool fine = script_call(s, 1, 1, SCRIPT_EVAL_MS) == 0;
	const char *text = lua_tostring(L, -1);
	*out = strdup(text ? text : "");
	lua_pop(L, 1);
	return fine && *out;
}

void script_event(struct script *s, int id)
{
	script_entry(s, "event");
	lua_pushinteger(s->L, id);
	if (script_call(s, 1, 0, SCRIPT_EVENT_MS) != 0) {
		log_error(SYSTEM, "event %d: %s", id, lua_tostring(s->L, -1));
		lua_pop(s->L, 1);
	}
}

void script_resolved(struct script *s, int id, uint16_t rcode, const char *text)
{
	script_entry(s, "resolved");
	lua_pushinteger(s->L, id);
	lua_pushinteger(s->L, rcode);
	lua_pushstring(s->L, text);
	if (script_call(s, 3, 0, SCRIPT_EVENT_MS) != 0) {
		log_error(SYSTEM, "resolve: %s", lua_tostring(s->L, -1));
		lua_pop(s->L, 1);
	}
}
