/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/help.c - `shoal help`: the commands, or one of them. */
#include <stdio.h>

#include "cli/cli.h"

int cli_help(int argc, char **argv)
{
	if (argc < 2) {
		cli_list(stdout);
		return 0;
	}
	if (!command_find(argv[1])) {
		fprintf(stderr, "shoal: no command %s\n", argv[1]);
		return EXIT_USAGE;
	}
	return cli_explain(argv[1]);
}
