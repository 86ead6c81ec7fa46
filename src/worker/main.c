/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/main.c - the program shoald: its options. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "worker/start.h"
#include "worker/version.h"

enum { OPTION_CHECK = 256, OPTION_SOCKETS, EXIT_USAGE = 2 };

static const struct {
	const char *name;
	int letter;
	const char *argument;
	const char *help;
} options[] = {
	{ "config", 'c', "FILE", "the configuration (" SHOAL_SYSCONFDIR "/shoal.lua)" },
	{ "instance", 'i', "NAME", "the instance's name ($SYSTEMD_INSTANCE, else 1)" },
	{ "check", OPTION_CHECK, NULL,
		"read the configuration, say what is wrong, open nothing" },
	{ "sockets", OPTION_SOCKETS, NULL,
		"print the addresses that the configuration listens on, open nothing" },
	{ "version", 'V', NULL, "version, libraries, what this kernel offers" },
	{ "help", 'h', NULL, "this text" },
};

enum { OPTIONS = sizeof(options) / sizeof(*options) };

static void print_help(void)
{
	puts("usage: shoald [-c FILE] [-i NAME] [--check]\n"
	     "\n"
	     "One instance of Shoal, a caching DNS resolver. `shoal run` starts "
	     "several.\n");
	for (size_t i = 0; i < OPTIONS; i++) {
		char left[64], letter[8] = "    ";
		if (options[i].letter < OPTION_CHECK)
			snprintf(letter, sizeof(letter), "-%c, ", options[i].letter);
		snprintf(left, sizeof(left), "%s--%s %s", letter, options[i].name,
			options[i].argument ? options[i].argument : "");
		printf("  %-24s %s\n", left, options[i].help);
	}
	puts("\nExit status: 0 stopped as asked, 1 could not start, 2 usage.");
}

static void fill_getopt(char *letters, struct option *longs)
{
	*letters++ = ':'; /* errors are ours to say */
	for (size_t i = 0; i < OPTIONS; i++) {
		longs[i] = (struct option){ options[i].name,
			options[i].argument ? required_argument : no_argument, NULL,
			options[i].letter };
		if (options[i].letter >= OPTION_CHECK)
			continue;
		*letters++ = (char)options[i].letter;
		if (options[i].argument)
			*letters++ = ':';
	}
	*letters = '\0';
}

static int usage(const char *what, const char *which)
{
	fprintf(stderr, "shoald: %s %s (see shoald --help)\n", what, which);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	char letters[2 * OPTIONS + 2];
	struct option longs[OPTIONS + 1] = { 0 };
	struct start_options o = { .file = SHOAL_SYSCONFDIR "/shoal.lua" };
	const char *name = NULL;
	fill_getopt(letters, longs);
	for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
		switch (c) {
		case 'c':
			o.file = optarg;
			break;
		case 'i':
			name = optarg;
			break;
		case OPTION_CHECK:
			o.check = true;
			break;
		case OPTION_SOCKETS:
			o.sockets = true;
			break;
		case 'V':
			version_print();
			return 0;
		case 'h':
			print_help();
			return 0;
		case ':':
			return usage("an argument is missing after", argv[optind - 1]);
		default:
			return usage("unknown option", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage("unexpected argument", argv[optind]);
	o.name = start_name(name);
	if (!o.name)
		return usage(
			"an instance's name has 1 to 63 of A-Z a-z 0-9 _ . : -, not",
			name ? name : getenv("SYSTEMD_INSTANCE"));
	if (o.sockets)
		return start_sockets(&o);
	return o.check ? start_check(&o) : start_run(&o);
}
