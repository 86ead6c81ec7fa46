/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/host.h"
#include "worker/anchors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/fd.h"
#include "ctl/control.h"
#include "ctl/stats.h"
#include "policy/policy.h"
#include "wire/codes.h"
#include "wire/text.h"
#include "worker/stat.h"
#include "worker/stop.h"

enum {
	/* for all: no query is served meanwhile */
	MAP_TIMEOUT_MS = 250,
	MAP_STILL_US = 2000 * 1000, /* an instance beats twice a second */
};

static struct cache *host_cache(void *ctx)
{
	const struct worker *w = ctx;
	return w->cache;
}

static bool host_stat(void *ctx, const char *name, double *out)
{
	const struct worker *w = ctx;
	return w->counters && stat_get(w->counters, name, out);
}

static void host_stats(void *ctx, const char *prefix,
	void (*row)(void *rowctx, const char *name, double value), void *rowctx)
{
	const struct worker *w = ctx;
	if (w->counters)
		stat_list(w->counters, prefix, row, rowctx);
}

/* --- event.* ---------------------------------------------------------------------- */

static struct script_timer *timer_find(struct worker *w, int id)
{
	for (size_t i = 0; i < EVENTS_MAX; i++)
		if (w->events[i].id == id)
			return &w->events[i];
	return NULL;
}

static void event_fire(void *ctx)
{
	struct script_timer *t = ctx;
	struct worker *w = t->w;
	const int id = t->id;
	if (t->every_us)
		loop_timer_set(w->loop, &t->timer,
			loop_now(w->loop)->mono_us + t->every_us, event_fire, t);
	else
		t->id = 0;
	script_event(w->script, id);
}

static bool host_event_set(void *ctx, int id, int64_t ms, bool recurrent)
{
	struct worker *w = ctx;
	struct script_timer *t = timer_find(w, id);
	if (!t)
		t = timer_find(w, 0);
	if (!t || id == 0 || !w->loop)
		return false;
	const int64_t us = (ms > 0 ? ms : 1) * INT64_C(1000);
	t->w = w;
	t->id = id;
	t->every_us = recurrent ? us : 0;
	loop_timer_set(
		w->loop, &t->timer, loop_now(w->loop)->mono_us + us, event_fire, t);
	return true;
}

static void host_event_clear(void *ctx, int id)
{
	struct worker *w = ctx;
	struct script_timer *t = id ? timer_find(w, id) : NULL;
	if (!t)
		return;
	loop_timer_clear(w->loop, &t->timer);
	t->id = 0;
}

/* --- map() ------------------------------------------------------------------------ */

/* Ourselves directly: our loop is busy here and would never answer. */
static void map_own(struct worker *w, const char *lua, script_row_fn *fn, void *rowctx)
{
	char *text = NULL;
	const bool ok = script_eval(w->script, lua, &text);
	fn(rowctx, w->name, ok, text ? text : "");
	free(text);
}

/* One instance maps at a time: two that asked each other would both wait for nothing. False: another one does. */
static bool map_begin(const struct worker *w, int *lock)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%.4000s/control", w->run_folder);
	*lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return true;
	fd_close(lock);
	return false;
}

/* Why an instance is not asked, or 0. */
static int map_excuse(const struct worker *w, const char *name)
{
	if (strcmp(name, w->name) == 0)
		return -EALREADY;
	struct stats_block *b = malloc(sizeof(*b));
	int excuse = -ENOENT;
	if (b && stats_read(w->run_folder, name, b) && stats_alive(b) &&
		b->state != STATE_STOPPED)
		excuse = clock_read().mono_us - b->beat_mono_us > MAP_STILL_US ? -EBUSY
									       : 0;
	free(b);
	return excuse;
}

/* Who went away meanwhile is skipped. */
static void map_tell(struct worker *w, const char *lua, const struct control_asked *row,
	script_row_fn *fn, void *rowctx)
{
	char why[128];
	switch (-row->error) {
	case 0:
		fn(rowctx, row->name, row->ok, row->text);
		return;
	case EALREADY:
		map_own(w, lua, fn, rowctx);
		return;
	case ENOENT:
	case ECONNREFUSED:
	case EPIPE:
		return;
	case EBUSY:
		snprintf(why, sizeof(why), "it stands still, and was not asked");
		break;
	case ETIMEDOUT:
		snprintf(why, sizeof(why),
			"no answer within %d ms; it may still run the line",
			MAP_TIMEOUT_MS);
		break;
	default:
		snprintf(why, sizeof(why), "%s", strerror(-row->error));
	}
	fn(rowctx, row->name, false, why);
}

static bool host_map(void *ctx, const char *lua, script_row_fn *fn, void *rowctx)
{
	struct worker *w = ctx;
	int lock;
	if (!map_begin(w, &lock))
		return false;
	char(*names)[64] = calloc(STATS_INSTANCES_MAX, sizeof(*names));
	struct control_asked *rows = calloc(STATS_INSTANCES_MAX, sizeof(*rows));
	size_t count = 0;
	bool own = false;
	if (names && rows)
		count = stats_names(w->run_folder, names, STATS_INSTANCES_MAX);
	for (size_t i = 0; i < count; i++) {
		rows[i] = (struct control_asked){ .name = names[i],
			.error = map_excuse(w, names[i]) };
		own |= rows[i].error == -EALREADY;
	}
	control_ask_all(w->run_folder, lua, MAP_TIMEOUT_MS, rows, count);
	fd_close(&lock); /* the line itself may map */
	for (size_t i = 0; i < count; i++) {
		map_tell(w, lua, &rows[i], fn, rowctx);
		free(rows[i].text);
	}
	if (!own)
		map_own(w, lua, fn, rowctx);
	free(rows);
	free(names);
	return true;
}

/* --- resolve() -------------------------------------------------------------------- */

struct lookup {
	struct worker *w;
	int id;
};

static void write_records(FILE *out, const struct iter_answer *a)
{
	char name[NAME_TEXT_MAX], type[16], text[2048];
	for (size_t i = 0; i < a->record_count; i++) {
		const struct rrset *rr = &a->records[i].rr;
		struct rrset_walk walk = rrset_begin(rr);
		struct rdata r;
		if (a->records[i].section != SECTION_ANSWER)
			continue;
		for (unsigned k = 0; k < rr->count && rrset_next(&walk, &r); k++)
			fprintf(out, "%s %u IN %s %s\n", name_to_text(rr->name, name),
				(unsigned)rr->ttl, type_to_text(rr->type, type),
				rdata_to_text(
					rr->type, r.bytes, r.len, text, sizeof(text)));
	}
}

static void resolved(void *ctx, const struct resolve_result *result)
{
	const struct lookup l = *(const struct lookup *)ctx;
	char *text = NULL;
	size_t len = 0;
	free(ctx);
	FILE *out = open_memstream(&text, &len);
	if (out) {
		write_records(out, result->answer);
		fclose(out);
	}
	script_resolved(l.w->script, l.id, result->answer->rcode, text ? text : "");
	free(text);
}

static bool host_resolve(void *ctx, int id, const uint8_t *name, uint16_t type,
	uint16_t rclass, uint32_t flags)
{
	struct worker *w = ctx;
	struct resolve_query q = {
		.iter = { .name = name, .type = type, .rclass = rclass }
	};
	if (w->stopping || rclass != CLASS_IN || type_is_meta(type))
		return false;
	struct lookup *l = malloc(sizeof(*l));
	if (!l)
		return false;
	*l = (struct lookup){ w, id };
	struct route *route = &q.iter.route;
	policy_route(w->conf, name, route);
	if (flags & ~route->flags) {
		route->flags |= flags;
		route->domain = conf_domain_route(w->conf->domain, route->flags,
			(int)route->kind, route->targets, route->tls,
			route->target_count, route->zone);
	}
	struct waiter waiter = { .done = resolved, .ctx = l, .q.name = name };
	if (resolve_ask(w->resolve, &q, &waiter) != RESOLVE_BUSY)
		return true;
	free(l);
	return false;
}

/* --- the rest --------------------------------------------------------------------- */

static void host_quit(void *ctx)
{
	stop_for_good(ctx);
}

static void host_worker_stats(void *ctx,
	void (*row)(void *rowctx, const char *name, double value), void *rowctx)
{
	const struct worker *w = ctx;
	const struct counters *c = w->counters;
	struct rusage u;
	if (!c || getrusage(RUSAGE_SELF, &u) < 0)
		return;
	const struct {
		const char *name;
		double value;
	} rows[] = {
		{ "concurrent", (double)resolve_in_flight(w->resolve) },
		{ "queries", (double)c->queries },
		{ "udp", (double)c->upstream_udp },
		{ "tcp", (double)c->upstream_tcp },
		{ "dropped", (double)c->queries_dropped },
		{ "timeout", (double)c->upstream_timeouts },
		{ "usertime",
			(double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 },
		{ "systime",
			(double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6 },
		{ "pagefaults", (double)u.ru_majflt },
		{ "swaps", (double)u.ru_nswap },
		{ "csw", (double)(u.ru_nvcsw + u.ru_nivcsw) },
		{ "rss", (double)u.ru_maxrss * 1024 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		row(rowctx, rows[i].name, rows[i].value);
}

struct script_host host_of(struct worker *w)
{
	return (struct script_host){
		.ctx = w,
		.cache = host_cache,
		.stat = host_stat,
		.stats = host_stats,
		.event_set = host_event_set,
		.event_clear = host_event_clear,
		.map = host_map,
		.quit = host_quit,
		.anchors = anchors_summary,
		.resolve = host_resolve,
		.worker_stats = host_worker_stats,
	};
}
