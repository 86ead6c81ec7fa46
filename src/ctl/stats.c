/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/stats.c - the readers' side: what another process wrote is checked first. */
#include "ctl/stats.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

static_assert(sizeof(struct shm_head) == 32, "layout of the head");
static_assert(
	offsetof(struct stats_block, counters) % 8 == 0, "counters are read by others");
static_assert(
	sizeof(struct counters) == COUNTER_COUNT * sizeof(uint64_t), "only counters");

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

/* proc(5), fields 3 and 22 of /proc/PID/stat. The name before may hold anything. */
bool stats_process_start(pid_t pid, char *state, uint64_t *start)
{
	char path[64], *text;
	size_t len;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (fd_read_file(path, 8192, &text, &len) < 0)
		return false;
	const char *at = strrchr(text, ')');
	unsigned long long ticks = 0;
	const bool ok = at && sscanf(at + 1,
				      " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
				      "%*s %*s %*s %*s %*s %*s %*s %llu",
				      state, &ticks) == 2;
	free(text);
	*start = ticks;
	return ok;
}

bool stats_alive(const struct stats_block *b)
{
	char state;
	uint64_t start;
	return b->pid > 0 && stats_process_start(b->pid, &state, &start) &&
	       start == b->pid_start && state != 'Z' && state != 'X';
}

bool stats_cookies_full(const struct stats_block *b)
{
	return b->cookies[STATS_COOKIES - 1] != 0;
}

/* What another process wrote goes to a terminal: nothing that moves its cursor. */
static void make_printable(char *text, size_t cap)
{
	text[cap - 1] = 0;
	for (; *text; text++)
		if ((*text < ' ' && *text != '\n') || *text > '~')
			*text = '?';
}

bool stats_parse(
	const void *data, size_t len, const char *name, struct stats_block *out)
{
	struct stats_block b;
	if (len != sizeof(b))
		return false;
	memcpy(&b, data, sizeof(b));
	if (b.head.magic != STATS_MAGIC || b.head.layout != STATS_LAYOUT ||
		b.head.size != sizeof(b) || b.counter_count != COUNTER_COUNT)
		return false;
	make_printable(b.name, sizeof(b.name));
	if (strcmp(b.name, name) != 0 || b.state > STATE_STOPPED)
		return false;
	make_printable(b.version, sizeof(b.version));
	make_printable(b.keeper, sizeof(b.keeper));
	make_printable(b.steering, sizeof(b.steering));
	make_printable(b.engine, sizeof(b.engine));
	make_printable(b.sockets, sizeof(b.sockets));
	make_printable(b.notes, sizeof(b.notes));
	for (size_t i = 0; i < STATS_SOCKETS; i++)
		make_printable(b.socket[i].name, sizeof(b.socket[i].name));
	*out = b;
	return true;
}

bool stats_path(char out[static 4096], const char *run_folder, const char *name)
{
	const int n = snprintf(out, 4096, "%s/stats/%s", run_folder, name);
	return n > 0 && n < 4096;
}

/* read(2) and not a mapping: a file that shrinks meanwhile is short, not SIGBUS. */
bool stats_read(const char *run_folder, const char *name, struct stats_block *out)
{
	char path[4096], *data;
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
	char path[4096];
	DIR *d = stats_path(path, run_folder, "") ? opendir(path) : NULL;
	if (!d)
		return 0;
	size_t count = 0;
	for (struct dirent *e; count < max && (e = readdir(d));)
		if (stats_name_valid(e->d_name))
			memcpy(names[count++], e->d_name, strlen(e->d_name) + 1);
	closedir(d);
	qsort(names, count, 64, compare_names);
	return count;
}
