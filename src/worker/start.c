/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/start.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "config.h"
#include "ctl/notify.h"
#include "worker/anchors.h"
#include "worker/backoff.h"
#include "worker/host.h"
#include "worker/kept.h"
#include "worker/lines.h"
#include "worker/listen.h"
#include "worker/netwatch.h"
#include "worker/poison.h"
#include "worker/prefetch.h"
#include "worker/prime.h"
#include "worker/rate.h"
#include "worker/rights.h"
#include "worker/secure.h"
#include "worker/server.h"
#include "worker/socknum.h"
#include "worker/steering.h"
#include "worker/stop.h"
#include "worker/ta_signal.h"
#include "worker/tick.h"
#include "worker/watchmen.h"

enum {
	NAME_LEN_MAX = 63,
	POLICY_ARENA = 1024 * 1024,
	TEXT = 1024,
	LAST_SNAPSHOT_US =
		3000 * 1000, /* the supervisor kills after 8 s, systemd after 10 */
};

const char *start_name(const char *given)
{
	const char *name = given ? given : getenv("SYSTEMD_INSTANCE");
	if (!name || !*name)
		name = given ? "" : "1";
	const size_t len = strlen(name);
	if (!len || len > NAME_LEN_MAX || name[0] == '.' || name[0] == '-' ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "0123456789_.:-") != len)
		return NULL;
	return setenv("SYSTEMD_INSTANCE", name, 1) == 0 ? name : NULL;
}

/* --- the steps, in the order of the table below: false and a line that says why --- */

static bool say(char error[static TEXT], const char *text)
{
	snprintf(error, TEXT, "%s", text);
	return false;
}

static bool make_loop(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o;
	const int missing = kept_missing();
	if (missing >= 0) {
		snprintf(error, TEXT, "LISTEN_FDS=%s, but descriptor %d is not open",
			getenv("LISTEN_FDS"), missing);
		return false;
	}
	signal(SIGPIPE, SIG_IGN);
	random_init(&w->random);
	w->loop = loop_new();
	if (w->loop && getenv("SHOAL_TURN_CPU")) /* ./dev bench grind */
		loop_measure_cpu(w->loop);
	if (w->loop) {
		loop_limit_turn(w->loop, LIMIT_TURN_US);
		return true;
	}
	snprintf(error, TEXT, "event loop: %s", strerror(errno));
	return false;
}

static bool kinds_served(const struct conf *conf, char error[static TEXT])
{
	for (size_t i = 0; i < conf->listen_count; i++) {
		const struct conf_listen *l = &conf->listens[i];
		char addr[ADDR_TEXT_MAX];
		if (conf_kind_served(l->kind))
			continue;
		snprintf(error, TEXT,
			"%s:%d: net.listen %s: kind '%s' is not served by this version",
			l->where.file ? l->where.file : conf->file, l->where.line,
			addr_to_text(&l->addr, addr), conf_kind_name(l->kind));
		return false;
	}
	return true;
}

static bool read_conf(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	const struct script_host host = host_of(w);
	int warnings = 0;
	w->script = script_load(o->file, o->name, false, &host, error, &warnings);
	if (!w->script)
		return false;
	w->conf = script_conf(w->script);
	return kinds_served(w->conf, error);
}

static bool raise_limits(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)w, (void)o, (void)error;
	const size_t fds = fd_raise_limit();
	if (fds < LIMIT_ASKS + LIMIT_ASKS_LATE + LIMIT_PORTS_KEPT + LIMIT_TCP_CLIENTS)
		log_info(SYSTEM, "%zu descriptors at most: fewer queries at a time",
			fds);
	return true;
}

static bool wait_if_young(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)error;
	backoff_wait(w->run_folder, o->name);
	return true;
}

static bool open_steering(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o, (void)error;
	steering_open(w);
	return true;
}

static bool take_user(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o;
	return rights_take_user(w, error);
}

/* Two of one name may overlap, a successor and its predecessor; started by hand it is
 * mostly a mistake. */
static void tell_of_namesake(struct worker *w, const char *name)
{
	struct stats_block *before = malloc(sizeof(*before));
	if (before && stats_read(w->run_folder, name, before) &&
		before->state == STATE_READY && stats_alive(before)) {
		log_notice(SYSTEM,
			"instance %s runs already (pid %d): it goes on, `shoal status` "
			"shows this one",
			name, before->pid);
		w->before = before;
	} else {
		free(before);
	}
}

static bool open_stats(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	tell_of_namesake(w, o->name);
	/* before the guard, which hands on what is not its own */
	w->poison = poison_open(w->run_folder, &w->random);
	if (w->poison)
		poison_watch(w->poison);
	shm_guard_install();
	w->stats = stats_open(w->run_folder, o->name, &w->stats_shm);
	if (!w->stats)
		return say(error, "out of memory");
	w->counters = &w->stats->counters;
	w->stats->conf_hash = w->conf->hash;
	static_assert((int)CONF_SOURCES <= (int)STATS_SOURCES, "all have a place");
	for (size_t i = 0; i < w->conf->source_count; i++)
		w->stats->sources[i] = (struct stats_source){ w->conf->sources[i].path,
			w->conf->sources[i].content };
	snprintf(w->stats->version, sizeof(w->stats->version), "%s", SHOAL_VERSION);
	snprintf(w->stats->engine, sizeof(w->stats->engine), "recvmmsg");
	snprintf(w->stats->keeper, sizeof(w->stats->keeper), "%s",
		getenv("SHOAL_SUPERVISED") ? "shoal run" : "none");
	return true;
}

static bool open_memory(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o;
	const struct cache_conf conf = { .run_folder = w->run_folder,
		.size = w->conf->cache_size };
	w->cache = cache_open(&conf, w->counters, &w->random);
	if (w->cache && w->conf->cache_storage) {
		const struct now now = clock_read();
		w->snapshot = snapshot_open(w->cache, w->conf->cache_storage, &now);
	}
	w->infra = infra_open(w->run_folder, &w->random);
	if (w->cache)
		w->pages = pages_open(w->run_folder, w->cache, w->counters, &w->random);
	if (!rate_open(w) || !cookies_open(w))
		return say(error, "out of memory");
	w->arena = arena_new(POLICY_ARENA);
	w->keep_seen = calloc(KEEP_SLOTS, sizeof(*w->keep_seen));
	w->scratch = malloc(SCRATCH_LEN);
	w->reply = malloc(SCRATCH_LEN);
	random_fill(&w->random, &w->keep_key, sizeof(w->keep_key));
	if (w->cache && w->infra && w->arena && w->keep_seen && w->scratch && w->reply)
		return true;
	return say(error, "out of memory");
}

static struct ask *ask_upstream(
	void *ctx, const struct iter_ask *what, ask_fn *fn, void *fn_ctx)
{
	struct worker *w = ctx;
	if (what->tls)
		return upstream_ask_line(lines_get(w, what->tls), what->msg, what->len,
			what->timeout_us, fn, fn_ctx);
	return upstream_ask(w->upstream, &what->server, what->tcp, what->msg, what->len,
		what->timeout_us, fn, fn_ctx);
}

/* Nobody waits for it any more, but how slow the server is, is known now. */
static void late_answer(void *ctx, const struct addr *server, int64_t rtt_us)
{
	struct worker *w = ctx;
	infra_answered(w->infra, server, (uint32_t)rtt_us, loop_now(w->loop));
}

static void cancel_upstream(void *ctx, struct ask *a)
{
	struct worker *w = ctx;
	upstream_cancel(w->upstream, a);
}

static bool open_resolver(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o;
	const struct upstream_conf up = {
		.outgoing_v4 = w->conf->outgoing_v4,
		.outgoing_v6 = w->conf->outgoing_v6,
		.max_asks = LIMIT_ASKS,
		.late = late_answer,
		.late_ctx = w,
	};
	w->upstream = upstream_new(w->loop, &up, &w->random, w->counters);
	if (!w->upstream || !anchors_open(w))
		return say(error, "out of memory");
	const struct resolve_env env = {
		.loop = w->loop,
		.iter = { .conf = w->conf,
			.cache = w->cache,
			.infra = w->infra,
			.cookie_key = w->cookies.on ? &w->cookies.client : NULL,
			.pages = w->pages,
			.random = &w->random,
			.counters = w->counters,
			.anchors = w->anchors,
			.verifier = &w->verifier },
		.counters = w->counters,
		.random = &w->random,
		.run_folder = w->run_folder,
		.ask = ask_upstream,
		.cancel = cancel_upstream,
		.ask_ctx = w,
		.serve_stale = conf_module_on(w->conf, MODULE_serve_stale),
		.stale_after_us = w->conf->serve_stale_timeout_ms * INT64_C(1000),
		.answer = server_deliver,
		.ctx = w,
	};
	w->resolve = resolve_new(&env);
	respond_setup(&w->respond, w->conf);
	return w->resolve && prefetch_open(w) ? true : say(error, "out of memory");
}

/* Strangers choose the keys that are looked up in it. */
static bool open_verifier(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	struct hash_key secret;
	(void)o;
	random_fill(&w->random, &secret, sizeof(secret));
	const unsigned sha1 = w->conf->anchors_sha1 ? CRYPTO_SHA1 : 0;
	if (!verifier_init(&w->verifier, KEPT_KEYS, sha1 | CRYPTO_HOT, &secret))
		return say(error, "out of memory");
	if (sha1 && !crypto_has_digest(w->verifier.crypto, DIGEST_SHA1))
		log_notice(VALDTR,
			"this system's crypto policy forbids SHA-1 signatures: zones "
			"that have nothing better are insecure (RFC 9905)");
	return true;
}

static bool catch_signals(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o;
	static const int signals[] = { SIGTERM, SIGINT };
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		const int e = loop_signal(w->loop, signals[i], stop_signal, w);
		if (e < 0) {
			snprintf(error, TEXT, "signals: %s", strerror(-e));
			return false;
		}
	}
	return true;
}

static bool open_tls(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o;
	return secure_open(w, error);
}

static bool open_lines(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o;
	return lines_open(w, error);
}

static bool open_sockets(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)o;
	if (!listen_open(w, error))
		return false;
	socknum_tell(w);
	watchmen_show(w);
	rights_give_up(w);
	return true;
}

static bool eval_line(void *ctx, const char *line, char **out)
{
	const struct worker *w = ctx;
	const bool ok = script_eval(w->script, line, out);
	if (!cache_settle_clears(w->cache))
		log_warning(CACHE,
			"the disk is slow: what was cleared is not on it yet, and"
			" a power failure now would forget that");
	return ok;
}

/* An instance that serves without it is better than none: a warning. */
static bool open_control(
	struct worker *w, const struct start_options *o, char error[static TEXT])
{
	(void)error;
	w->control = control_open(
		w->loop, w->run_folder, o->name, eval_line, w, w->counters);
	if (!w->control) {
		log_warning(CONTRL, "no control socket in %s/control: %s",
			w->run_folder, strerror(errno));
		snprintf(w->stats->notes, sizeof(w->stats->notes), "no control socket");
	}
	return true;
}

static const struct {
	bool (*fn)(struct worker *w, const struct start_options *o,
		char error[static TEXT]);
} steps[] = {
	{ make_loop }, /* events of the script have a place to go */
	{ read_conf },
	{ raise_limits },
	{ wait_if_young },
	{ open_steering }, /* the pins may be root's */
	{ take_user },     /* before the first file, for all belong to the user */
	{ open_stats },
	{ open_memory },
	{ open_verifier },
	{ open_resolver },
	{ catch_signals },
	{ open_tls },
	{ open_lines },
	{ open_sockets }, /* last: who is in the group must answer */
	{ open_control },
};

/* --- serving ---------------------------------------------------------------------- */

void start_tell_ready(
	struct worker *w, int (*send)(const char *text, const int *fds, size_t count))
{
	char text[256];
	snprintf(text, sizeof(text),
		"READY=1\nMAINPID=%d\nSTATUS=serving, configuration %016" PRIx64,
		(int)getpid(), w->conf->hash);
	w->ready_told = send(text, NULL, 0) >= 0;
}

static void ready(struct worker *w, const struct start_options *o)
{
	w->serving = true;
	w->stats->state = STATE_READY;
	stats_publish(w->run_folder, &w->stats_shm);
	tick_start(w);
	netwatch_start(w);
	script_running(w->script);
	start_tell_ready(w, notify_send_surely);
	log_notice(SYSTEM,
		"shoald %s, instance %s, serves; configuration %s, hash %016" PRIx64,
		SHOAL_VERSION, o->name, o->file, w->conf->hash);
	prime_start(w);
	ta_signal_start(w);
}

/* Against the order of coming. */
static void close_all(struct worker *w, bool stopped)
{
	netwatch_stop(w);
	if (w->control)
		control_close(w->control);
	steering_close(w);
	listen_close(w);
	secure_close(w);
	resolve_free(w->resolve);
	anchors_close(w);
	if (w->upstream)
		upstream_free(w->upstream);
	lines_close(w);
	verifier_fini(&w->verifier);
	pages_close(w->pages);
	if (w->infra)
		infra_close(w->infra);
	rate_close(w);
	if (w->snapshot && stopped) {
		const struct now now = clock_read();
		snapshot_last(w->snapshot, LAST_SNAPSHOT_US, &now);
	}
	snapshot_close(w->snapshot);
	if (w->cache)
		cache_close(w->cache);
	poison_close(w->poison);
	if (w->script)
		script_free(w->script);
	if (w->arena)
		arena_free(w->arena);
	free(w->keep_seen);
	prefetch_close(w);
	free(w->scratch);
	free(w->reply);
	loop_free(w->loop);
}

int start_run(const struct start_options *o)
{
	char error[TEXT] = "";
	struct worker *w = calloc(1, sizeof(*w));
	if (!w) {
		fputs("shoald: out of memory\n", stderr);
		return 1;
	}
	w->name = o->name;
	w->keeper_barrier = -1;
	w->run_folder = fd_run_folder();
	bool fine = true;
	for (size_t i = 0; fine && i < sizeof(steps) / sizeof(*steps); i++)
		fine = steps[i].fn(w, o, error);
	int code = 1;
	if (fine) {
		ready(w, o);
		code = loop_run(w->loop);
	} else {
		fprintf(stderr, "shoald: %s\n", error);
	}
	struct stats_block *stats = w->stats;
	struct shm shm = w->stats_shm;
	close_all(w, fine && code == 0);
	if (stats && code == 0)
		stats_close(&shm, NULL);
	else if (stats)
		stats_close(&shm, fine ? "the event loop failed" : error);
	if (fine)
		log_notice(SYSTEM, "stopped");
	free(w->before);
	free(w);
	return code;
}

int start_check(const struct start_options *o)
{
	char error[TEXT] = "";
	int warnings = 0;
	struct script *s = script_load(o->file, o->name, true, NULL, error, &warnings);
	if (!s) {
		fprintf(stderr, "shoald: %s\n", error);
		return 1;
	}
	const struct conf *conf = script_conf(s);
	if (!secure_check(conf, fd_run_folder(), &warnings, error) ||
		!lines_check(conf, error) || !listen_check(conf, error)) {
		fprintf(stderr, "shoald: %s\n", error);
		script_free(s);
		return 1;
	}
	const size_t rules = conf->rule_count + conf->view_count;
	printf("%s: %s for instance %s (%zu listener%s, %zu rule%s, %d warning%s, "
	       "hash %016" PRIx64 ")\n",
		o->file, warnings ? "accepted" : "fine", o->name, conf->listen_count,
		conf->listen_count == 1 ? "" : "s", rules, rules == 1 ? "" : "s",
		warnings, warnings == 1 ? "" : "s", conf->hash);
	script_free(s);
	return 0;
}

int start_sockets(const struct start_options *o)
{
	char error[TEXT] = "", text[ADDR_TEXT_MAX];
	int warnings = 0;
	struct script *s = script_load(o->file, o->name, true, NULL, error, &warnings);
	if (!s) {
		fprintf(stderr, "shoald: %s\n", error);
		return 1;
	}
	const struct conf *conf = script_conf(s);
	for (size_t i = 0; i < conf->listen_count; i++)
		printf("%s %u%s%s\n", addr_ip_text(&conf->listens[i].addr, text),
			conf->listens[i].addr.port,
			conf->listens[i].kind == KIND_DNS ? "" : " stream",
			conf->listens[i].freebind ? " freebind" : "");
	script_free(s);
	return 0;
}
