/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/child.h - start a program with nothing of ours but what it needs; say how it
 * ended. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct keep;

struct child_plan {
	const char *program;
	const char *const *argv; /* NULL at the end */
	const char *name;        /* SYSTEMD_INSTANCE */
	const char *
		run_folder; /* SHOAL_RUN; NULL: no shoald, SHARD_INSTANCE is its name */
	const char *const *env;  /* more, "NAME=value", NULL at the end; or NULL */
	const char *notify;      /* NOTIFY_SOCKET, NULL: none */
	int64_t watchdog_us;     /* WATCHDOG_USEC, 0: none */
	const struct keep *keep; /* handed on as LISTEN_FDS, NULL: none */
	bool stands_in; /* SHOAL_STANDS_IN: who had them stands still, and may go on */
};

/* Standard output and error go to a pipe whose reading side is `*out`, non-blocking; the writing side is so
 * for a shoald alone. No
 * other descriptor than the kept ones is handed on; signals are as at a login, SIGPIPE
 * ignored (it outlives us). Pid or -errno; a program that cannot be run, or get all that is kept for it, says so in
 * the pipe and ends with 127. */
pid_t child_start(const struct child_plan *plan, int *out);

enum { CHILD_WORDS_MAX = 80 };
/* "exit code 1", "killed by signal 11 (SIGSEGV), core dumped". Returns `buf`. */
char *child_words(int wait_status, char buf[static CHILD_WORDS_MAX]);
