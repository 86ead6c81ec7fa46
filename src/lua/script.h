/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/script.h - run the configuration script: Lua in, struct conf out; and what it may do at run time.
 *
 * The only folder that sees Lua. LuaJIT with the JIT off (no writable and executable memory). The script lives as long as
 * the instance: events, callbacks of policy rules and the control socket call into it, never on the fast path. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "conf/conf.h"
#include "policy/policy.h"

struct script;

/* What an instance said to a line. */
typedef void script_row_fn(
	void *rowctx, const char *instance, bool ok, const char *text);

/* What a running instance lends to the script; all NULL under --check. Texts returned are malloc'ed. */
struct script_host {
	void *ctx;
	struct cache *(*cache)(void *ctx);
	/* Counter by its name in that dialect ("answer.nxdomain", "request.udp") or ours; false if unknown */
	bool (*stat)(void *ctx, const char *name, double *out);
	/* Each (name, value) of stats.list */
	void (*stats)(void *ctx, const char *prefix,
		void (*row)(void *rowctx, const char *name, double value),
		void *rowctx);
	/* After so many ms run script_event(script, id); recurrent until cancelled */
	bool (*event_set)(void *ctx, int id, int64_t ms, bool recurrent);
	void (*event_clear)(void *ctx, int id);
	/* map(): run a line on every instance by the control sockets; results one by one. False: not now, another
	 * instance does it */
	bool (*map)(void *ctx, const char *lua, script_row_fn *fn, void *rowctx);
	void (*quit)(void *ctx);
	/* trust_anchors.summary(): text, of one zone or (NULL) of all */
	char *(*anchors)(void *ctx, const uint8_t *zone);
	/* worker.stats(): (name, value) pairs */
	void (*worker_stats)(void *ctx,
		void (*row)(void *rowctx, const char *name, double value),
		void *rowctx);
	/* resolve(): internal query; its end is told by script_resolved(id, ...) */
	bool (*resolve)(void *ctx, int id, const uint8_t *name, uint16_t type,
		uint16_t rclass, uint32_t flags);
};

/* Read and run `file`. NULL on any error: `error` says "FILE:LINE: text" in one line (chunk names are file names as given).
 * Limits: LIMIT_CONFIG_BYTES, LIMIT_CONFIG_MS (a count hook stops an endless script).
 * `check`: nothing is opened or changed in the world. Warnings are logged and counted. */
struct script *script_load(const char *file, const char *instance, bool check,
	const struct script_host *host, char error[static 1024], int *warnings);
void script_free(struct script *s);
/* Lives as long as the script. */
struct conf *script_conf(struct script *s);
/* The world is there now (sockets open, cache mapped): from now on settings are refused, calls like cache.clear() work. */
void script_running(struct script *s);

/* One line from the control socket: result or error as text (malloc'ed, pretty-printed as in that dialect). True: ok.
 * Stops after a second of run time. */
bool script_eval(struct script *s, const char *line, char **out);
/* An event's time has come. */
void script_event(struct script *s, int id);
/* resolve() has an end: `text` is the answer for people (kdig-like), "" if there is none. */
void script_resolved(struct script *s, int id, uint16_t rcode, const char *text);
/* A policy callback: the verdict as the script gave it, into the `out` that policy_decide left (its flags are kept and may
 * grow); false: the callback passed (or failed: logged): go on with policy_decide(..., out->resume, out). */
bool script_policy(struct script *s, int callback, const struct policy_query *q,
	struct arena *arena, struct policy_verdict *out);
