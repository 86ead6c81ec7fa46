/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/orphan.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "worker/steering.h"
#include "worker/stop.h"
#include "worker/worker.h"

enum {
	/* beside a successor that is ready: its steering programs take a group with
	 * members of others in it over after 5 s */
	LEAVE_AFTER_S = 10,
};

static void tell(struct worker *w, int supervisor)
{
	log_warning(SYSTEM,
		"`shoal run` (process %d) is gone: nobody keeps the sockets or starts "
		"this instance again; a new `shoal run` takes its place without a gap",
		supervisor);
	snprintf(w->stats->keeper, sizeof(w->stats->keeper), "shoal run, dead");
}

static bool has_successor(const struct worker *w)
{
	struct stats_block *b = malloc(sizeof(*b));
	const bool has = b && stats_read(w->run_folder, w->name, b) &&
			 b->pid != (int32_t)getpid() && b->state == STATE_READY &&
			 stats_alive(b);
	free(b);
	return has;
}

void orphan_tick(struct worker *w)
{
	const char *supervisor = getenv("SHOAL_SUPERVISED");
	if (!supervisor || w->stopping || getppid() == atoi(supervisor))
		return;
	if (!w->orphaned)
		tell(w, atoi(supervisor));
	w->orphaned = true;
	w->succeeded_s = has_successor(w) ? w->succeeded_s + 1 : 0;
	steering_yield(w, w->succeeded_s > 0);
	if (w->succeeded_s < LEAVE_AFTER_S)
		return;
	log_notice(SYSTEM, "another process serves as instance %s: this one leaves",
		w->name);
	stop_begin(w);
}
