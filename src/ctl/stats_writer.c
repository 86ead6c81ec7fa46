/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/stats_writer.c - the instance's side: a file of its own, taking the predecessor's
 * place. */
#include <assert.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "ctl/stats.h"

enum {
	QUICK_DEATH_US = 10000000, /* as long as shoal run remembers */
	BACKOFF_FIRST_MS = 100,
	BACKOFF_LAST_MS = 10000,
	SERVED_US = 2000000, /* who lived so long was of use to its clients */
	BACKOFF_SERVED_MS =
		500, /* what waits in its queues and ring is 3 s old at most */
};

static bool died_quickly(const struct stats_block *b)
{
	const bool ended_well = b->state == STATE_STOPPING || b->state == STATE_STOPPED;
	return !ended_well && b->beat_mono_us - b->started_mono_us < QUICK_DEATH_US;
}

int64_t stats_backoff_after_ms(uint32_t deaths, int64_t lived_us)
{
	const int64_t last = lived_us < SERVED_US ? BACKOFF_LAST_MS : BACKOFF_SERVED_MS;
	if (deaths == 0)
		return 0;
	const uint32_t doublings = deaths - 1;
	const int64_t ms = doublings < 10 ? (int64_t)BACKOFF_FIRST_MS << doublings
					  : BACKOFF_LAST_MS;
	return ms < last ? ms : last;
}

int64_t stats_backoff_ms(const struct stats_block *before)
{
	return died_quickly(before)
		       ? stats_backoff_after_ms(before->quick_deaths,
				 before->beat_mono_us - before->started_mono_us)
		       : 0;
}

static void fill(
	struct stats_block *b, const char *name, const struct stats_block *before)
{
	const struct now now = clock_read();
	char state;
	snprintf(b->name, sizeof(b->name), "%s", name);
	b->pid = getpid();
	b->state = STATE_STARTING;
	if (before) {
		b->restarts = before->restarts + (before->state != STATE_STOPPED);
		b->quick_deaths = died_quickly(before) ? before->quick_deaths + 1 : 0;
		/* its sockets may be kept for us, and they stay so should we fail */
		memcpy(b->cookies, before->cookies, sizeof(b->cookies));
	}
	b->started_wall_ms = now.wall_ms;
	b->started_mono_us = now.mono_us;
	b->beat_mono_us = now.mono_us;
	stats_process_start(b->pid, &state, &b->pid_start);
	b->counter_count = COUNTER_COUNT;
}

/* Of processes of this name that were killed before their file was published. */
static void forget_dead(const char *folder, const char *name)
{
	char path[PATH_MAX], state;
	DIR *d = opendir(folder);
	const size_t len = strlen(name);
	for (struct dirent *e; d && (e = readdir(d));) {
		const char *at = e->d_name;
		if (*at++ != '.' || strncmp(at, name, len) != 0 || at[len] != '.')
			continue;
		at += len + 1;
		uint64_t start;
		if (!*at || strspn(at, "0123456789") != strlen(at) ||
			(atoi(at) != getpid() &&
				stats_process_start(atoi(at), &state, &start)))
			continue;
		snprintf(path, sizeof(path), "%.3800s/%s", folder, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
}

/* Under a name of its own first, so that readers see the predecessor's until this is
 * whole. */
static enum shm_result open_file(const char *run_folder, const char *name,
	struct shm *shm, char reason[static 256])
{
	char path[PATH_MAX], temp[PATH_MAX];
	if (!stats_path(path, run_folder, "") || fd_make_folder(path, 0755) < 0)
		log_debug(SYSTEM, "%s/stats: %m", run_folder);
	forget_dead(path, name);
	snprintf(temp, sizeof(temp), "%.3800s/.%s.%d", path, name, (int)getpid());
	const struct shm_want want = { .path = temp,
		.magic = STATS_MAGIC,
		.layout = STATS_LAYOUT,
		.size = sizeof(struct stats_block),
		.mode = 0644 };
	return shm_open_file(shm, &want, reason);
}

static bool serves(const struct stats_block *b)
{
	return b->state == STATE_READY && b->pid != (int32_t)getpid() && stats_alive(b);
}

struct stats_block *stats_open(
	const char *run_folder, const char *name, struct shm *shm)
{
	assert(stats_name_valid(name));
	struct stats_block before;
	char reason[256] = "";
	const bool had = stats_read(run_folder, name, &before);
	const enum shm_result result = open_file(run_folder, name, shm, reason);
	if (result == SHM_FAILED)
		return NULL;

	struct stats_block *b = shm->base;
	fill(b, name, had ? &before : NULL);
	if (result == SHM_ANONYMOUS)
		log_warning(SYSTEM,
			"numbers of this instance are not visible to others: %s",
			reason);
	else if (!had || !serves(&before))
		stats_publish(run_folder, shm);
	return b;
}

static bool is_published(const struct shm *shm)
{
	const char *slash = strrchr(shm->path, '/');
	return !slash || slash[1] != '.'; /* no name begins with a dot */
}

void stats_publish(const char *run_folder, struct shm *shm)
{
	const struct stats_block *b = shm->base;
	char path[PATH_MAX];
	if (is_published(shm))
		return;
	if (!stats_path(path, run_folder, b->name) || rename(shm->path, path) < 0) {
		log_warning(SYSTEM,
			"numbers of this instance are not visible to others: %s: %m",
			path);
		unlink(shm->path);
		shm->path[0] = 0;
		return;
	}
	/* shorter than the name before, which had room there */
	memcpy(shm->path, path, strlen(path) + 1);
}

void stats_reclaim(const char *run_folder, struct shm *shm)
{
	const struct stats_block *b = shm->base;
	struct stats_block there;
	struct shm fresh;
	char reason[256];
	if (b->state != STATE_READY || !shm->path[0] || shm_current(shm) ||
		(stats_read(run_folder, b->name, &there) && stats_alive(&there)))
		return;
	const enum shm_result result = open_file(run_folder, b->name, &fresh, reason);
	if (result == SHM_FAILED)
		return;
	if (result == SHM_ANONYMOUS || !shm_move(shm, &fresh)) {
		shm_close(&fresh);
		return;
	}
	stats_publish(run_folder, shm);
}

void stats_close(struct shm *shm, const char *failure)
{
	struct stats_block *b = shm->base;
	if (failure)
		snprintf(b->notes, sizeof(b->notes), "ended: %s", failure);
	else
		b->state = STATE_STOPPED;
	if (!is_published(shm))
		unlink(shm->path);
	shm_close(shm);
}
