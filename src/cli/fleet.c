/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/fleet.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"

enum { SILENT_US = 3 * 1000 * 1000 }; /* a loop turns at least once a second */

static void say_none(const char *run_folder)
{
	const char *given = getenv("SHOAL_RUN");
	fprintf(stderr,
		"shoal: no shoal is running in %s (%s): start one with `shoal run`, or "
		"set "
		"SHOAL_RUN to its run folder\n",
		run_folder,
		given && *given ? "from SHOAL_RUN" : "SHOAL_RUN is not set");
}

bool fleet_read(struct fleet *f)
{
	static char names[STATS_INSTANCES_MAX][64];
	*f = (struct fleet){ .run_folder = fd_run_folder() };
	f->count = stats_names(f->run_folder, names, STATS_INSTANCES_MAX);
	if (!f->count) {
		say_none(f->run_folder);
		return false;
	}
	f->members = calloc(f->count, sizeof(*f->members));
	if (!f->members) {
		perror("shoal");
		return false;
	}
	for (size_t i = 0; i < f->count; i++) {
		struct member *m = &f->members[i];
		memcpy(m->name, names[i], sizeof(m->name));
		m->readable = stats_read(f->run_folder, m->name, &m->b);
		m->alive = m->readable && stats_alive(&m->b);
	}
	return true;
}

void fleet_free(struct fleet *f)
{
	free(f->members);
	*f = (struct fleet){ 0 };
}

const struct member *fleet_find(const struct fleet *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->members[i].name, name) == 0)
			return &f->members[i];
	return NULL;
}

bool fleet_has(unsigned row, uint64_t value)
{
	return value ||
	       row != offsetof(struct counters, tls_certificate_not_after_seconds) /
			       sizeof(uint64_t);
}

/* A longest of several is no sum, nor is the first of several times. */
static uint64_t total_of(unsigned row, uint64_t a, uint64_t b)
{
	static const size_t longest[] = {
		offsetof(struct counters, loop_longest_us),
		offsetof(struct counters, loop_longest_cpu_us),
		offsetof(struct counters, dnssec_longest_cpu_us),
		offsetof(struct counters, dnssec_step_checks),
		offsetof(struct counters, dnssec_step_blocks),
	};
	if (!fleet_has(row, 0))
		return !fleet_has(row, a) || (fleet_has(row, b) && b < a) ? b : a;
	for (size_t i = 0; i < sizeof(longest) / sizeof(*longest); i++)
		if (row == longest[i] / sizeof(uint64_t))
			return a > b ? a : b;
	return a + b;
}

void fleet_total(const struct fleet *f, struct counters *out)
{
	uint64_t *sum = (uint64_t *)out;
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < f->count; i++)
		for (unsigned k = 0; f->members[i].alive && k < COUNTER_COUNT; k++)
			sum[k] = total_of(
				k, sum[k], counter_get(&f->members[i].b.counters, k));
}

const char *member_state(const struct member *m)
{
	static const char *const words[] = {
		[STATE_STARTING] = "starting",
		[STATE_READY] = "ready",
		[STATE_STOPPING] = "stopping",
		[STATE_STOPPED] = "stopped",
	};
	if (!m->readable)
		return "damaged";
	if (!m->alive)
		return m->b.state == STATE_STOPPED ? "stopped" : "DEAD";
	if (m->b.state == STATE_READY &&
		clock_read().mono_us - m->b.beat_mono_us > SILENT_US)
		return "SILENT";
	return words[m->b.state];
}

void fleet_say_unknown(const struct fleet *f, const char *name)
{
	fprintf(stderr, "shoal: no instance %s in %s; there:", name, f->run_folder);
	for (size_t i = 0; i < f->count; i++)
		fprintf(stderr, " %s", f->members[i].name);
	fputc('\n', stderr);
}
