/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/cli.h - the subcommands of `shoal`: one file each, one row each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* X(name, arguments, options for completion, help) */
#define COMMANDS(X)                                                                    \
	X(run, "[-c FILE] [--guard] [-n N | NAME...]",                                 \
		"-c -n --config --count --guard --help",                               \
		"run instances in the foreground, start again what dies")              \
	X(restart, "[NAME...]", "--help",                                              \
		"restart instances one after the other, without losing a query")       \
	X(stop, "[NAME...]", "--help",                                                 \
		"stop instances; their siblings serve what comes")                     \
	X(sockets, "[-c FILE] [-o FOLDER] [NAME...]",                                  \
		"-c -o --config --output --write --help",                              \
		"drop-ins for shoald@.socket from a configuration")                    \
	X(bpf,                                                                         \
		"load [--guard] [--strict] [--force] [-g GROUP] | unload [--force] | " \
		"status",                                                              \
		"load unload status -g --group --guard --strict --help",               \
		"load the steering programs once, for instances without rights")       \
	X(status, "[--json | --sockets]", "--json --sockets --help",                   \
		"one row per instance, or per socket")                                 \
	X(stats, "[--json | --prometheus] [-i NAME]",                                  \
		"--json --prometheus -i --instance --help",                            \
		"all counters, per instance and in total")                             \
	X(eval, "[-i NAME] 'LUA'", "-i --instance --help",                             \
		"run a line of Lua on one instance, or on all")                        \
	X(cache,                                                                       \
		"show NAME [TYPE] [--json] | clear NAME [--exact | --type TYPE] |"     \
		" clear --all | stats [--json] | resize SIZE | export FILE | import "  \
		"FILE",                                                                \
		"show clear stats resize export import --json --exact --subtree "      \
		"--type --all"                                                         \
		" --help",                                                             \
		"look into the shared cache, clear it, carry it elsewhere")            \
	X(check, "[-c FILE] [-i NAME]", "-c -i --config --instance --help",            \
		"read the configuration and say what is wrong")                        \
	X(doctor, "", "--help",                                                        \
		"what of this host keeps a shoal from losing nothing; strangers")      \
	X(completion, "bash", "bash --help", "print completion for a shell")           \
	X(version, "", "--help", "print the version")                                  \
	X(help, "[COMMAND]", "", "list the commands, or explain one")

struct command {
	const char *name, *arguments, *options, *help;
	int (*run)(int argc, char **argv); /* argv[0] is the command; exit code */
};
extern const struct command commands[];
extern const size_t command_count;
const struct command *command_find(const char *name); /* NULL: unknown */

#define X(name, arguments, options, help) int cli_##name(int argc, char **argv);
COMMANDS(X)
#undef X

enum { EXIT_USAGE = 2 };

/* The command's usage on standard error; EXIT_USAGE. */
int cli_usage(const char *command);
/* The same on standard output, with what the command does; 0. */
int cli_explain(const char *command);
/* Everything, to `out`. */
void cli_list(FILE *out);

/* -c, else the system's. */
const char *cli_conf_default(void);
/* shoald: beside this program, where it is installed, or in PATH. False: nowhere, and
 * said so. */
bool cli_find_shoald(char out[static 4096]);
