/* SPDX-License-Identifier: MIT */
/* shard/process.c - is that very process alive: proc(5), /proc/PID/stat. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/shard_internal.h"

enum { FIELDS_BEFORE_START = 19 }; /* between the state and starttime */

/* Start time in clock ticks after boot, which tells a reused pid; 0: no such process,
 * or dead and not yet waited for. */
uint64_t shard_process_start(uint32_t pid)
{
	char path[32], text[1024];
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	const size_t len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = '\0';
	const char *at = strrchr(text, ')'); /* the name may hold anything */
	if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return 0;
	at += 2;
	for (int i = 0; i < FIELDS_BEFORE_START; i++) {
		at = strchr(at, ' ');
		if (!at)
			return 0;
		at++;
	}
	return strtoull(at, NULL, 10);
}

bool shard_process_alive(uint32_t pid, uint64_t start)
{
	const uint64_t now = shard_process_start(pid);
	if (now)
		return !start || now == start;
	/* without /proc only the pid itself can be asked for */
	return shard_process_start(1) == 0 &&
	       shard_process_start((uint32_t)getpid()) == 0 &&
	       (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}
