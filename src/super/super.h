/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/super.h - keep instances running, in the foreground. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct keep;

/* In `argv`: the instance's name stands here. Known by its address. */
extern const char super_name_here[];

struct super_plan {
	const char *who;         /* "shoal", "shard": before our own lines */
	const char *program;     /* its path */
	const char *const *argv; /* NULL at the end */
	bool expand;             /* in argv %w is the name, %% is % */
	const char *const *env;  /* "NAME=value", NULL at the end; or NULL */
	const char *run_folder;
	const char *const *names;
	size_t count;
	bool guard;       /* sk_lookup in front of the instances' sockets */
	const char *conf; /* of shoald: checked before, and its stats are read; NULL:
			     another program */
	int settle_ms;    /* ready when it has lived so long, if READY=1 does not come
			     before; 0: only by READY=1 */
	int stop_signal;  /* 0: SIGTERM */
	int stop_ms;      /* then SIGKILL; 0: 5 s */
	bool watchdog;    /* WATCHDOG=1 is expected */
	/* May be NULL. The sockets of the instance, made by us and held from the start. False: said
	 * why. */
	bool (*hold)(void *ctx, size_t index, struct keep *keep);
	/* May be NULL: what else the control socket is asked, malloc'ed text. */
	bool (*asked)(void *ctx, const char *line, char **out);
	/* May be NULL: new clients shall (not) be led to the instance; nobody reads its sockets while it
	 * waits for its next start. */
	void (*lead)(void *ctx, size_t index, bool here);
	/* May be NULL: all instances are ready (again). */
	void (*all_ready)(void *ctx);
	void *ctx;
};

/* What can be seen of an instance from outside. */
struct super_seen {
	const char *name;
	const char *state; /* "ready", "starting", "waiting", "stopping", "ended" */
	int pid;           /* 0: none */
	int next_pid;      /* of the second process while it is restarted, 0: none */
	unsigned long starts;
	long long age_s; /* of the process */
	const struct keep *keep;
};

/* Until told to stop. Exit code: 0 all stopped well, 1 could not start or not all did.
 */
int super_run(const struct super_plan *plan);
/* CPUs that this process may use: sched_getaffinity(2), for up to 8,192 of them; 1 to `most`. */
size_t super_usable_cpus(size_t most);
/* For `asked`: the i-th instance. */
struct super_seen super_look(size_t i);
/* A line of the log, as of the supervisor. */
void super_say(const char *text);
