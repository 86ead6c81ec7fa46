/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/main.c - `shoal COMMAND`: find the row, run it. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
	if (argc < 2) {
		cli_list(stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	const struct command *c = command_find(name);
	if (!c) {
		fprintf(stderr, "shoal: no command %s\n\n", name);
		cli_list(stderr);
		return EXIT_USAGE;
	}
	char words[64]; /* what getopt(3) puts before its complaints */
	snprintf(words, sizeof(words), "shoal %s", c->name);
	argv[1] = words;
	return c->run(argc - 1, argv + 1);
}
