/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/tick.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/secrets.h"
#include "ctl/notify.h"
#include "worker/anchor_files.h"
#include "worker/clock.h"
#include "worker/lines.h"
#include "worker/listen.h"
#include "worker/orphan.h"
#include "worker/rate.h"
#include "worker/secure.h"
#include "worker/socknum.h"
#include "worker/start.h"
#include "worker/steering.h"
#include "worker/watchmen.h"

enum {
	TICK_US = 500 * 1000, /* a heart that stands still for a second is seen */
	TICKS_A_SECOND = 1000 * 1000 / TICK_US,
	TICKS_IDLE_GAUGES = 20, /* an idle instance looks at itself every 10 s only */
};

/* proc(5), statm: resident pages. */
static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	uint64_t total = 0, resident = 0;
	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, &total, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t time_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

static void gauges(struct worker *w)
{
	struct rusage usage;
	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		counter_set(w->counters, cpu_user_us, time_us(&usage.ru_utime));
		counter_set(w->counters, cpu_system_us, time_us(&usage.ru_stime));
	}
	counter_set(w->counters, memory_rss, resident_bytes());
	const struct crypto_stats keys = crypto_stats(w->verifier.crypto);
	counter_set(w->counters, dnssec_hot_keys, keys.hot);
	counter_set(w->counters, dnssec_hot_checks, keys.hot_checks);
	socknum_tick(w);
	steering_gauges(w);
}

static void follow_secret(struct worker *w)
{
	if (!w->secrets || !secrets_tick(w->secrets))
		return;
	secure_renew(w);
	cookies_renew(w);
}

static void tick(void *ctx)
{
	struct worker *w = ctx;
	const struct now *now = loop_now(w->loop);
	__atomic_store_n(&w->stats->beat_mono_us, now->mono_us, __ATOMIC_RELAXED);
	const struct loop_numbers numbers = loop_numbers_take(w->loop);
	counter_set(w->counters, loop_turns, numbers.turns);
	counter_set(w->counters, loop_turns_cut, numbers.cut);
	if (numbers.longest_us > w->counters->loop_longest_us)
		counter_set(w->counters, loop_longest_us, numbers.longest_us);
	/* the first turns are those of the start */
	if (w->ticks > 2 && numbers.longest_cpu_us > w->counters->loop_longest_cpu_us)
		counter_set(w->counters, loop_longest_cpu_us, numbers.longest_cpu_us);
	if (w->ticks % TICKS_A_SECOND == 0) {
		stats_reclaim(w->run_folder, &w->stats_shm);
		cache_tick(w->cache, now);
		if (w->pages)
			pages_tick(w->pages);
		if (w->snapshot)
			snapshot_tick(w->snapshot, now);
		follow_secret(w);
		secure_tick(w);
		cookies_tick(w);
		lines_tick(w);
		if (rate_tick(w))
			listen_count_again(w);
		listen_tick(w);
		watchmen_tick(w);
		orphan_tick(w);
		if (!w->ready_told && !w->orphaned)
			start_tell_ready(w, notify_send);
		resolve_check(w->resolve);
		clock_tick(w);
		anchor_files_tick(w);
		const bool busy = w->counters->queries != w->busy_queries;
		if (busy || w->ticks % TICKS_IDLE_GAUGES == 0)
			gauges(w);
		w->busy_queries = w->counters->queries;
	}
	steering_tick(w);
	w->ticks++;
	loop_timer_set(w->loop, &w->tick_timer, now->mono_us + TICK_US, tick, w);
}

static void watchdog(void *ctx)
{
	struct worker *w = ctx;
	notify_send("WATCHDOG=1", NULL, 0);
	loop_timer_set(w->loop, &w->watchdog_timer,
		loop_now(w->loop)->mono_us + (int64_t)(notify_watchdog_us() / 2),
		watchdog, w);
}

void tick_start(struct worker *w)
{
	clock_start(w);
	tick(w);
	if (notify_watchdog_us() && conf_module_on(w->conf, MODULE_watchdog))
		watchdog(w);
}
