/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/backoff.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "ctl/stats.h"

/* How long the predecessor lived, and how long that makes us wait. */
static const struct {
	int64_t lived_us;
	int wait_ms;
} rows[] = {
	{ 500 * 1000, 3000 },
	{ 3 * 1000 * 1000, 1500 },
	{ 10 * 1000 * 1000, 300 },
};

void backoff_wait(const char *run_folder, const char *name)
{
	if (!getenv("NOTIFY_SOCKET") || getenv("SHOAL_SUPERVISED"))
		return;
	struct stats_block *before = malloc(sizeof(*before));
	if (!before)
		return;
	const struct now now = clock_read();
	/* a clean stop, a running sibling generation, another boot: no reason to wait
	 */
	const bool died = stats_read(run_folder, name, before) &&
			  before->state != STATE_STOPPED && !stats_alive(before) &&
			  before->restarts > 1 &&
			  before->started_mono_us <= now.mono_us;
	const int64_t lived_us =
		died ? before->beat_mono_us - before->started_mono_us : 0;
	const int64_t since_us =
		died ? now.mono_us - before->started_mono_us : INT64_MAX;
	free(before);
	for (size_t i = 0; died && i < sizeof(rows) / sizeof(*rows); i++) {
		if (lived_us >= rows[i].lived_us || since_us > 60 * INT64_C(1000000))
			continue;
		log_warning(SYSTEM, "the predecessor died young: waiting %d ms",
			rows[i].wait_ms);
		nanosleep(&(struct timespec){ .tv_sec = rows[i].wait_ms / 1000,
				  .tv_nsec = rows[i].wait_ms % 1000 * 1000000L },
			NULL);
		return;
	}
}
