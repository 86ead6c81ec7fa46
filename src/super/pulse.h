/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/pulse.h - tell what is stuck from what was merely paused with the machine.
 *
 * Silence is counted in ticks of the supervisor, so that time in which it stood still
 * itself counts for nobody. An instance is stuck when it is silent while a sibling
 * beats; all silent at once points at the machine, and is believed only after much
 * longer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PULSE_TICK_MS = 250,
	PULSE_ASIDE_MS = 1000,  /* its clients are led to its siblings */
	PULSE_TOLD_MS = 2000,   /* an instance beats once a second: it missed one */
	PULSE_STUCK_MS = 10000, /* what WATCHDOG_USEC promises */
	PULSE_ALL_MS = 30000,   /* when no sibling shows that the machine is awake */
	PULSE_START_MS = 60000, /* until it is ready */
};

struct pulse {
	int64_t silent_ms;
	bool beats;    /* it has beaten since its start: silence means something */
	bool starting; /* not ready yet: only PULSE_START_MS counts */
	bool dead;     /* no process, or on its way out: out of the question */
	bool rare; /* it beats by WATCHDOG=1 alone, twice in PULSE_STUCK_MS: no stats file
		      shows more */
};

enum pulse_verdict {
	PULSE_FINE,
	PULSE_SILENT, /* say so */
	PULSE_STUCK,  /* replace it */
};

/* `passed_ms` since the last tick on the supervisor's clock. */
void pulse_tick(struct pulse *all, size_t count, int64_t passed_ms);
void pulse_beat(struct pulse *p);
enum pulse_verdict pulse_judge(const struct pulse *all, size_t count, size_t which);
/* Should siblings serve its clients: it stands still while one of them does not? */
bool pulse_aside(const struct pulse *all, size_t count, size_t which);
