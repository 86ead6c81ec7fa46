/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/check.c - `shoal check`: shoald --check in our place. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "instance", required_argument, NULL, 'i' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

int cli_check(int argc, char **argv)
{
	const char *conf = cli_conf_default(), *name = NULL;
	char shoald[4096];
	for (int o; (o = getopt_long(argc, argv, "c:i:h", options, NULL)) != -1;) {
		switch (o) {
		case 'c':
			conf = optarg;
			break;
		case 'i':
			name = optarg;
			break;
		case 'h':
			return cli_explain("check");
		default:
			return cli_usage("check");
		}
	}
	if (optind < argc)
		return cli_usage("check");
	if (!cli_find_shoald(shoald))
		return 1;
	if (name)
		execl(shoald, "shoald", "--check", "-c", conf, "-i", name,
			(char *)NULL);
	else
		execl(shoald, "shoald", "--check", "-c", conf, (char *)NULL);
	fprintf(stderr, "shoal: cannot run %s: %s\n", shoald, strerror(errno));
	return 1;
}
