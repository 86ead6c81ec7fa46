/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exec/exec.h - the subcommands of `shard`: one row each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* X(name, arguments, help) */
#define EXEC_COMMANDS(X)                                                               \
	X(exec,                                                                        \
		"[-n N] [--tcp ADDRESS]... [--udp ADDRESS]... [OPTIONS] -- PROGRAM "   \
		"[ARGUMENTS]",                                                         \
		"run a program N times on sharded sockets")                            \
	X(status, "[--json] [--name NAME]", "one row per instance, one per socket")    \
	X(restart, "[--name NAME] [INSTANCE...]",                                      \
		"one instance after the other, its successor first")                   \
	X(stop, "[--name NAME]", "end all instances, and who supervises them")

#define X(name, arguments, help) int shard_cmd_##name(int argc, char **argv);
EXEC_COMMANDS(X)
#undef X

enum { EXEC_USAGE = 2, EXEC_PATH = 4096 };

void exec_usage(FILE *f);
/* The folder of the run with this name (NULL: of the only one there is). False: said why. */
bool exec_folder(const char *name, char out[static EXEC_PATH]);
/* The folder that holds all runs: $SHARD_RUN, /run/shard, $XDG_RUNTIME_DIR/shard. */
const char *exec_root(void);
