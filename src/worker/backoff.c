/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/backoff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "ctl/stats.h"

/* A clean stop, a running sibling generation, another boot: no reason to wait. */
static int64_t wait_ms(const struct stats_block *before)
{
	const bool ours = before->started_mono_us <= clock_read().mono_us;
	return ours && !stats_alive(before) ? stats_backoff_ms(before) : 0;
}

void backoff_wait(const char *run_folder, const char *name)
{
	if (!getenv("NOTIFY_SOCKET") || getenv("SHOAL_SUPERVISED"))
		return;
	struct stats_block *before = malloc(sizeof(*before));
	const bool known = before && stats_read(run_folder, name, before);
	const int64_t ms = known ? wait_ms(before) : 0;
	const unsigned deaths = known ? before->quick_deaths + 1 : 0;
	free(before);
	if (!ms)
		return;
	log_warning(SYSTEM,
		"%u predecessors in a row died young: waiting %" PRId64 " ms", deaths,
		ms);
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000,
			  .tv_nsec = ms % 1000 * 1000000L },
		NULL);
}
