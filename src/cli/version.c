/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/version.c - `shoal version`. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "config.h"

int cli_version(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return cli_explain("version");
	if (argc > 1)
		return cli_usage("version");
	printf("shoal %s\n", SHOAL_VERSION);
	return 0;
}
