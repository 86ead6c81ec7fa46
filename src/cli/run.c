/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/run.c - `shoal run`: what is to be supervised. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "ctl/stats.h"
#include "super/super.h"

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "count", required_argument, NULL, 'n' },
	{ "guard", no_argument, NULL, 'g' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* 1..STATS_INSTANCES_MAX, or 0 and a line that says so. */
static size_t read_count(const char *text)
{
	char *end;
	errno = 0;
	const long n = strtol(text, &end, 10);
	if (!errno && end != text && !*end && n >= 1 && n <= STATS_INSTANCES_MAX)
		return (size_t)n;
	fprintf(stderr, "shoal: -n %s: want a number from 1 to %d\n", text,
		STATS_INSTANCES_MAX);
	return 0;
}

static bool names_are_fine(char *const *names, size_t count)
{
	if (count > STATS_INSTANCES_MAX) {
		fprintf(stderr, "shoal: at most %d instances\n", STATS_INSTANCES_MAX);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (!stats_name_valid(names[i])) {
			fprintf(stderr, "shoal: no name for an instance: %s\n",
				names[i]);
			return false;
		}
		for (size_t k = 0; k < i; k++)
			if (strcmp(names[i], names[k]) == 0) {
				fprintf(stderr, "shoal: %s is named twice\n", names[i]);
				return false;
			}
	}
	return true;
}

/* Children get it in their environment: it must not depend on the working folder. */
static bool absolute(char out[static PATH_MAX], const char *path)
{
	char here[PATH_MAX];
	int n;
	if (path[0] == '/')
		n = snprintf(out, PATH_MAX, "%s", path);
	else if (getcwd(here, sizeof(here)))
		n = snprintf(out, PATH_MAX, "%s/%s", here, path);
	else
		n = -1;
	if (n > 0 && n < PATH_MAX)
		return true;
	fprintf(stderr, "shoal: the path of the run folder is too long: %s\n", path);
	return false;
}

static int run(const char *conf, char *const *given, size_t count, bool guard)
{
	char run_folder[PATH_MAX], shoald[4096];
	char numbers[STATS_INSTANCES_MAX][8];
	const char *names[STATS_INSTANCES_MAX];
	for (size_t i = 0; i < count; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%u",
			(unsigned)(i + 1) & 0xffff);
		names[i] = given ? given[i] : numbers[i];
	}
	if (!absolute(run_folder, fd_run_folder()) || !cli_find_shoald(shoald))
		return 1;
	const char *const argv[] = { "shoald", "-c", conf, "-i", super_name_here,
		NULL };
	const struct super_plan plan = { .who = "shoal",
		.program = shoald,
		.argv = argv,
		.watchdog = true,
		.conf = conf,
		.run_folder = run_folder,
		.guard = guard,
		.names = names,
		.count = count };
	return super_run(&plan);
}

int cli_run(int argc, char **argv)
{
	const char *conf = cli_conf_default();
	size_t count = 0;
	bool guard = false;
	for (int o; (o = getopt_long(argc, argv, "c:n:h", options, NULL)) != -1;) {
		switch (o) {
		case 'c':
			conf = optarg;
			break;
		case 'n':
			count = read_count(optarg);
			if (!count)
				return EXIT_USAGE;
			break;
		case 'g':
			guard = true;
			break;
		case 'h':
			return cli_explain("run");
		default:
			return cli_usage("run");
		}
	}
	char *const *given = optind < argc ? argv + optind : NULL;
	if (given && count) {
		fprintf(stderr, "shoal: either -n or names, not both\n");
		return cli_usage("run");
	}
	if (given) {
		count = (size_t)(argc - optind);
		if (!names_are_fine(given, count))
			return EXIT_USAGE;
	}
	return run(conf, given, count ? count : super_usable_cpus(STATS_INSTANCES_MAX),
		guard);
}
