/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/stats.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum {
	QUICK_DEATH_US = 1000000,
	BACKOFF_FIRST_MS = 100,
	BACKOFF_LAST_MS = 10000,
};

static const uint64_t stats_magic = 0x7374617473686f61; /* "stats" and "hoa" */

static_assert(sizeof(struct shm_head) == 32, "layout of the head");
static_assert(offsetof(struct stats_block, counters) % 8 == 0, "counters are read by others");
static_assert(sizeof(struct counters) == COUNTER_COUNT * sizeof(uint64_t), "only counters");

bool stats_name_valid(const char *name)
{
	const size_t len = strlen(name);
	if (len == 0 || len >= sizeof(((struct stats_block *)0)->name))
		return false;
	if (name[0] == '.' || name[0] == '-')
		return false;
	for (const char *at = name; *at; at++)
		if (*at <= ' ' || *at > '~' || *at == '/')
			return false;
	return true;
}

/* The letter of the state and the start time (clock ticks after boot) of a process:
 * proc(5), fields 3 and 22 of /proc/PID/stat. The name before may hold anything. */
static bool process_start(pid_t pid, char *state, uint64_t *start)
{
	char path[64], *text;
	size_t len;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (fd_read_file(path, 8192, &text, &len) < 0)
		return false;
	const char *at = strrchr(text, ')');
	unsigned long long ticks = 0;
	const bool ok = at && sscanf(at + 1,
		" %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
		state, &ticks) == 2;
	free(text);
	*start = ticks;
	return ok;
}

bool stats_alive(const struct stats_block *b)
{
	char state;
	uint64_t start;
	return b->pid > 0 && process_start(b->pid, &state, &start) && start == b->pid_start &&
		state != 'Z' && state != 'X';
}

/* --- readers ---------------------------------------------------------------- */

/* What another process wrote goes to a terminal: nothing that moves its cursor. */
static void make_printable(char *text, size_t cap)
{
	text[cap - 1] = 0;
	for (; *text; text++)
		if ((*text < ' ' && *text != '\n') || *text > '~')
			*text = '?';
}

bool stats_parse(const void *data, size_t len, const char *name, struct stats_block *out)
{
	struct stats_block b;
	if (len != sizeof(b))
		return false;
	memcpy(&b, data, sizeof(b));
	if (b.head.magic != stats_magic || b.head.layout != STATS_LAYOUT ||
		b.head.size != sizeof(b) || b.counter_count != COUNTER_COUNT)
		return false;
	make_printable(b.name, sizeof(b.name));
	if (strcmp(b.name, name) != 0 || b.state > STATE_STOPPED)
		return false;
	make_printable(b.version, sizeof(b.version));
	make_printable(b.keeper, sizeof(b.keeper));
	make_printable(b.engine, sizeof(b.engine));
	make_printable(b.sockets, sizeof(b.sockets));
	make_printable(b.notes, sizeof(b.notes));
	*out = b;
	return true;
}

static bool stats_path(char out[static PATH_MAX], const char *run_folder, const char *name)
{
	const int n = snprintf(out, PATH_MAX, "%s/stats/%s", run_folder, name);
	return n > 0 && n < PATH_MAX;
}

/* read(2) and not a mapping: a file that shrinks meanwhile is short, not SIGBUS. */
bool stats_read(const char *run_folder, const char *name, struct stats_block *out)
{
	char path[PATH_MAX], *data;
	size_t len;
	if (!stats_name_valid(name) || !stats_path(path, run_folder, name) ||
		fd_read_file(path, sizeof(*out), &data, &len) < 0)
		return false;
	const bool ok = stats_parse(data, len, name, out);
	free(data);
	return ok;
}

static bool is_number(const char *name)
{
	return *name && strspn(name, "0123456789") == strlen(name);
}

/* Numbers by value come first, then the rest by bytes. */
static int compare_names(const void *a, const void *b)
{
	const char *x = a, *y = b;
	const bool nx = is_number(x), ny = is_number(y);
	if (nx != ny)
		return nx ? -1 : 1;
	if (nx) {
		const char *sx = x + strspn(x, "0"), *sy = y + strspn(y, "0");
		if (strlen(sx) != strlen(sy))
			return strlen(sx) < strlen(sy) ? -1 : 1;
		const int order = strcmp(sx, sy);
		if (order)
			return order;
	}
	return strcmp(x, y);
}

size_t stats_names(const char *run_folder, char names[][64], size_t max)
{
	char path[PATH_MAX];
	DIR *d = stats_path(path, run_folder, "") ? opendir(path) : NULL;
	if (!d)
		return 0;
	size_t count = 0;
	for (struct dirent *e; count < max && (e = readdir(d));)
		if (stats_name_valid(e->d_name))
			snprintf(names[count++], 64, "%s", e->d_name);
	closedir(d);
	qsort(names, count, 64, compare_names);
	return count;
}

/* --- the writer ------------------------------------------------------------- */

int64_t stats_backoff_ms(uint32_t quick_deaths)
{
	if (quick_deaths == 0)
		return 0;
	const uint32_t doublings = quick_deaths - 1;
	const int64_t ms = doublings < 10 ? (int64_t)BACKOFF_FIRST_MS << doublings
					  : BACKOFF_LAST_MS;
	return ms < BACKOFF_LAST_MS ? ms : BACKOFF_LAST_MS;
}

static bool died_quickly(const struct stats_block *b)
{
	const bool ended_well = b->state == STATE_STOPPING || b->state == STATE_STOPPED;
	return !ended_well && b->beat_mono_us - b->started_mono_us < QUICK_DEATH_US;
}

static void fill(struct stats_block *b, const char *name, const struct stats_block *before)
{
	const struct now now = clock_read();
	char state;
	snprintf(b->name, sizeof(b->name), "%s", name);
	b->pid = getpid();
	b->state = STATE_STARTING;
	if (before) {
		b->restarts = before->restarts + 1;
		b->quick_deaths = died_quickly(before) ? before->quick_deaths + 1 : 0;
	}
	b->started_wall_ms = now.wall_ms;
	b->started_mono_us = now.mono_us;
	b->beat_mono_us = now.mono_us;
	process_start(b->pid, &state, &b->pid_start);
	b->counter_count = COUNTER_COUNT;
}

/* Under a name of its own first, so that readers see the predecessor's until this is whole. */
static enum shm_result open_file(const char *run_folder, const char *name, char *temp,
	struct shm *shm, char reason[static 256])
{
	char path[PATH_MAX];
	if (!stats_path(path, run_folder, "") || fd_make_folder(path, 0755) < 0)
		log_debug(SYSTEM, "%s/stats: %m", run_folder);
	snprintf(temp, PATH_MAX, "%s/stats/.%s.%d", run_folder, name, (int)getpid());
	unlink(temp); /* of a dead process that had our pid */
	const struct shm_want want = { .path = temp,
		.magic = stats_magic,
		.layout = STATS_LAYOUT,
		.size = sizeof(struct stats_block),
		.mode = 0644 };
	return shm_open_file(shm, &want, reason);
}

struct stats_block *stats_open(const char *run_folder, const char *name, struct shm *shm)
{
	assert(stats_name_valid(name));
	struct stats_block before;
	char temp[PATH_MAX], path[PATH_MAX], reason[256] = "";
	const bool had = stats_read(run_folder, name, &before);
	const enum shm_result result = open_file(run_folder, name, temp, shm, reason);
	if (result == SHM_FAILED)
		return NULL;

	struct stats_block *b = shm->base;
	fill(b, name, had ? &before : NULL);
	if (result == SHM_ANONYMOUS) {
		log_warning(SYSTEM, "numbers of this instance are not visible to others: %s",
			reason);
	} else if (!stats_path(path, run_folder, name) || rename(temp, path) < 0) {
		log_warning(SYSTEM, "numbers of this instance are not visible to others: %s: %m",
			path);
		unlink(temp);
	} else {
		snprintf(shm->path, sizeof(shm->path), "%s", path);
	}
	return b;
}
