/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/pulse.h"

#include <assert.h>

void pulse_tick(struct pulse *all, size_t count, int64_t passed_ms)
{
	/* longer: the supervisor itself was paused or starved, and who knows who else
	 */
	if (passed_ms > 2LL * PULSE_TICK_MS)
		passed_ms = PULSE_TICK_MS;
	for (size_t i = 0; i < count; i++)
		all[i].silent_ms += passed_ms;
}

void pulse_beat(struct pulse *p)
{
	p->silent_ms = 0;
	p->beats = true;
}

static bool counts(const struct pulse *p)
{
	return !p->dead && !p->starting && p->beats;
}

/* Does any other show that the machine is awake? */
static bool sibling_beats(
	const struct pulse *all, size_t count, size_t which, int64_t within_ms)
{
	for (size_t i = 0; i < count; i++)
		if (i != which && counts(&all[i]) && all[i].silent_ms < within_ms)
			return true;
	return false;
}

bool pulse_aside(const struct pulse *all, size_t count, size_t which)
{
	assert(which < count);
	return counts(&all[which]) && !all[which].rare &&
	       all[which].silent_ms >= PULSE_ASIDE_MS &&
	       sibling_beats(all, count, which, PULSE_ASIDE_MS);
}

/* Of several that are silent together, the one longest so; the first of equals. */
static bool longest(const struct pulse *all, size_t count, size_t which)
{
	for (size_t i = 0; i < count; i++) {
		if (i == which || !counts(&all[i]))
			continue;
		if (all[i].silent_ms > all[which].silent_ms ||
			(all[i].silent_ms == all[which].silent_ms && i < which))
			return false;
	}
	return true;
}

static bool has_siblings(const struct pulse *all, size_t count, size_t which)
{
	for (size_t i = 0; i < count; i++)
		if (i != which && counts(&all[i]))
			return true;
	return false;
}

enum pulse_verdict pulse_judge(const struct pulse *all, size_t count, size_t which)
{
	assert(which < count);
	const struct pulse *p = &all[which];
	if (p->dead)
		return PULSE_FINE;
	if (p->starting)
		return p->silent_ms >= PULSE_START_MS ? PULSE_STUCK : PULSE_FINE;
	if (!p->beats || p->silent_ms < (p->rare ? PULSE_STUCK_MS : PULSE_TOLD_MS))
		return PULSE_FINE;
	/* alone, the supervisor's own ticks are the only witness */
	if (sibling_beats(all, count, which, PULSE_TOLD_MS) ||
		!has_siblings(all, count, which))
		return p->silent_ms >= PULSE_STUCK_MS ? PULSE_STUCK : PULSE_SILENT;
	if (p->silent_ms >= PULSE_ALL_MS && longest(all, count, which))
		return PULSE_STUCK;
	return PULSE_FINE;
}
