/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exec/main.c - `shard COMMAND`: find the row, run it. */
#include <stdio.h>
#include <string.h>

#include "exec/exec.h"
#include "shard.h"

static const struct {
	const char *name, *arguments, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
#define X(name, arguments, help) { #name, arguments, help, shard_cmd_##name },
	EXEC_COMMANDS(X)
#undef X
};

void exec_usage(FILE *f)
{
	fputs("usage: shard COMMAND [ARGUMENTS]\n\n", f);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(f, "  %s %s\n      %s\n", commands[i].name,
			commands[i].arguments, commands[i].help);
	fputs("  help, version\n\nMore: shard exec --help, shard(1).\n", f);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 ||
		strcmp(name, "-h") == 0) {
		exec_usage(stdout);
		return 0;
	}
	if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0 ||
		strcmp(name, "-V") == 0) {
		printf("shard %s\n", shard_version());
		return 0;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (*name)
		fprintf(stderr, "shard: no command %s\n\n", name);
	exec_usage(stderr);
	return EXEC_USAGE;
}
