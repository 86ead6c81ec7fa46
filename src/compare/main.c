/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/main.c - shardbench: the classic comparison of sharded sockets, on this host. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compare/compare.h"
#include "compare/rounds.h"
#include "shard.h"

enum {
	EXIT_USAGE = 2,
	OPTION_WORK = 256,
	OPTION_SKEW,
	OPTION_JSON,
	OPTION_PLOT,
	OPTION_ROUNDS,
	OPTION_WAY
};

static const struct {
	const char *name;
	bool (*run)(struct report *r);
	const char *help;
} commands[] = {
	{ "tcp", compare_tcp, "ways to share a listening port: how fast, how even" },
	{ "udp", compare_udp, "ways to share a UDP port: how even, how late" },
	{ "restart", compare_restart, "what each way to leave a group loses" },
	{ "hijack", compare_hijack, "who may join a group, or take it over" },
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct option long_options[] = {
	{ "workers", required_argument, NULL, 'w' },
	{ "seconds", required_argument, NULL, 't' },
	{ "rounds", required_argument, NULL, OPTION_ROUNDS },
	{ "way", required_argument, NULL, OPTION_WAY },
	{ "work", required_argument, NULL, OPTION_WORK },
	{ "skew", required_argument, NULL, OPTION_SKEW },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "plot", required_argument, NULL, OPTION_PLOT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

static void usage(FILE *f)
{
	fputs("usage: shardbench tcp|udp|restart|hijack|all [OPTIONS]\n\n", f);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("  all      all four, one after the other\n\n"
	      "  -w, --workers N     processes that serve (4)\n"
	      "  -t, --seconds S     of each measurement (2)\n"
	      "      --rounds N      of each measurement of tcp and udp, the ways in\n"
	      "                      turn; medians are told (3)\n"
	      "      --way TEXT      only ways whose name contains it\n"
	      "      --work US       service of a connection (20, computing) or of a\n"
	      "                      datagram (100, waiting), microseconds\n"
	      "      --skew PERCENT  of all that the heavy flow sends (50)\n"
	      "      --json          machine-readable, on standard output\n"
	      "      --plot FILE     bars, SVG\n"
	      "  -h, --help          this\n"
	      "  -V, --version\n\n"
	      "Exit code: 0 measured, 1 nothing could be measured, 2 usage.\n"
	      "As root all is measured, in a network namespace of its own; else what\n"
	      "needs more rights is left out, with the reason.\n",
		f);
}

/* A number within bounds, or a complaint and exit. */
static double number(const char *option, const char *text, double least, double most)
{
	char *end;
	errno = 0;
	const double value = strtod(text, &end);
	if (!errno && end != text && !*end && value >= least && value <= most)
		return value;
	fprintf(stderr, "shardbench: %s %s: want a number from %g to %g\n", option,
		text, least, most);
	exit(EXIT_USAGE);
}

bool own_network(void)
{
	struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };
	if (unshare(CLONE_NEWNET) < 0)
		return false;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "lo");
	const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const bool fine = s >= 0 && ioctl(s, SIOCSIFFLAGS, &r) == 0;
	if (s >= 0)
		close(s);
	return fine;
}

static void raise_files(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static void read_options(struct options *o, int argc, char **argv)
{
	for (int c;
		(c = getopt_long(argc, argv, "w:t:hV", long_options, NULL)) != -1;) {
		switch (c) {
		case 'w':
			o->workers =
				(unsigned)number("--workers", optarg, 2, WORKERS_MAX);
			break;
		case 't':
			o->seconds = number("--seconds", optarg, 0.1, 600);
			break;
		case OPTION_ROUNDS:
			o->rounds = (unsigned)number("--rounds", optarg, 1, ROUNDS_MAX);
			break;
		case OPTION_WAY:
			o->way = optarg;
			break;
		case OPTION_WORK:
			o->work_us = (int)number("--work", optarg, 0, 100000);
			break;
		case OPTION_SKEW:
			o->skew = number("--skew", optarg, 0, 100);
			break;
		case OPTION_JSON:
			o->json = true;
			break;
		case OPTION_PLOT:
			o->plot = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			printf("shardbench %s\n", shard_version());
			exit(0);
		default:
			usage(stderr);
			exit(EXIT_USAGE);
		}
	}
}

static bool measured(const struct report *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (!r->rows[i].skipped)
			return true;
	for (size_t i = 0; i < r->loss_count; i++)
		if (!r->losses[i].skipped)
			return true;
	for (size_t i = 0; i < r->hijack_count; i++)
		if (!r->hijacks[i].skipped)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static struct report r;
	static struct options o = {
		.workers = 4, .seconds = 2, .rounds = 3, .work_us = -1, .skew = 50
	};
	bool known = false;
	r.options = &o;
	read_options(&o, argc, argv);
	if (optind + 1 != argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	const char *what = argv[optind];
	const bool all = strcmp(what, "all") == 0;
	for (size_t i = 0; i < COMMANDS; i++)
		known = known || all || strcmp(what, commands[i].name) == 0;
	if (!known) {
		fprintf(stderr, "shardbench: no comparison %s\n\n", what);
		usage(stderr);
		return EXIT_USAGE;
	}
	raise_files();
	own_network(); /* if not: the host's loopback will do */
	for (size_t i = 0; i < COMMANDS; i++)
		if (all || strcmp(what, commands[i].name) == 0)
			commands[i].run(&r);
	progress(NULL, NULL, NULL);
	if (o.json)
		report_json(&r);
	else
		report_print(&r);
	if (o.plot) {
		const int e = report_plot(&r, o.plot);
		if (e) {
			fprintf(stderr, "shardbench: %s: %s\n", o.plot, strerror(-e));
			return 1;
		}
	}
	if (fflush(stdout) != 0)
		return 1;
	return measured(&r) ? 0 : 1;
}
