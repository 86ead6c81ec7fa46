/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/supervisor.h - ask the supervisor of a run folder, and wait for what it was asked for; of `shoal` and
 * `shard`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { SUPERVISOR_USAGE = 2 };

struct supervisor {
	const char *program; /* who says what is wrong: "shoal", "shard" */
	const char *run_folder;
};

/* 0 and the answer's text, the caller's to free; else an exit code, and the reason is said. */
int supervisor_ask(const struct supervisor *s, const char *line, char **text);
/* Is there one (that answers or not)? */
bool supervisor_is_there(const struct supervisor *s);
/* Restart these instances (none: all) one after the other and wait for the end. Exit code. */
int supervisor_restart(const struct supervisor *s, char *const *names, size_t count);
/* Stop these instances (none: all, and the supervisor ends) and wait until they have ended. Exit code. */
int supervisor_stop(const struct supervisor *s, char *const *names, size_t count);
