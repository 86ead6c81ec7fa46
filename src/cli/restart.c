/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/restart.c - `shoal restart`: ask whoever supervises the instances, wait for the
 * end. */
#include <errno.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/fleet.h"
#include "ctl/control.h"

enum {
	ASK_MS = 5000,
	POLL_NS = 50 * 1000 * 1000,
	LINE_MAX_LEN = 32 * 1024,
};

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* 0 and the answer's text, else an exit code, and the reason is said. */
static int ask(const char *line, char **text)
{
	bool fine = false;
	const int err = control_ask(
		fd_run_folder(), CONTROL_SUPERVISOR, line, ASK_MS, text, &fine);
	if (err) {
		fprintf(stderr, "shoal: the supervisor of %s does not answer: %s\n",
			fd_run_folder(), strerror(-err));
		return 1;
	}
	if (fine)
		return 0;
	fprintf(stderr, "shoal: %s\n", *text);
	free(*text);
	return 1;
}

static bool make_line(char out[static LINE_MAX_LEN], char *const *names, size_t count)
{
	size_t at = (size_t)snprintf(out, LINE_MAX_LEN, "restart");
	for (size_t i = 0; i < count && at < LINE_MAX_LEN; i++)
		at += (size_t)snprintf(out + at, LINE_MAX_LEN - at, " %s", names[i]);
	return at < LINE_MAX_LEN;
}

static int restart_supervised(char *const *names, size_t count)
{
	static char line[LINE_MAX_LEN];
	char *text;
	if (!make_line(line, names, count)) {
		fprintf(stderr, "shoal: too many names\n");
		return EXIT_USAGE;
	}
	int code = ask(line, &text);
	if (code)
		return code;
	snprintf(line, sizeof(line), "progress %.20s", text);
	for (;;) {
		unsigned long left = 0, done = 0;
		free(text);
		nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
		code = ask(line, &text);
		if (code)
			return code;
		if (sscanf(text, "%lu %lu", &left, &done) == 2 && !left) {
			printf("%lu instances restarted\n", done);
			free(text);
			return 0;
		}
	}
}

/* --- under systemd --------------------------------------------------------------- */

static int run_systemctl(const char *name)
{
	extern char **environ;
	char unit[96], program[] = "systemctl", verb[] = "restart";
	char *const argv[] = { program, verb, unit, NULL };
	pid_t pid;
	int status;
	snprintf(unit, sizeof(unit), "shoald@%.63s.service", name);
	const int err = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
	if (err) {
		fprintf(stderr, "shoal: systemctl: %s\n", strerror(err));
		return 1;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	fprintf(stderr, "shoal: systemctl restart %s failed; the rest is left alone\n",
		unit);
	return 1;
}

static bool is_named(const char *name, char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return !count;
}

/* One unit after the other: each returns when it is ready. */
static int restart_units(const struct fleet *f, char *const *names, size_t count)
{
	size_t done = 0;
	for (size_t i = 0; i < count; i++)
		if (!fleet_find(f, names[i])) {
			fleet_say_unknown(f, names[i]);
			return EXIT_USAGE;
		}
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		if (!is_named(m->name, names, count) || (!count && !m->alive))
			continue;
		if (run_systemctl(m->name))
			return 1;
		done++;
	}
	printf("%zu instances restarted\n", done);
	return 0;
}

static bool is_supervised(void)
{
	char *text = NULL;
	bool fine;
	const int err = control_ask(
		fd_run_folder(), CONTROL_SUPERVISOR, "hello", ASK_MS, &text, &fine);
	free(text);
	return err != -ENOENT && err != -ECONNREFUSED;
}

/* Someone keeps its sockets over a restart: only systemd can, where no supervisor is.
 */
static bool has_units(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->members[i].alive &&
			(strcmp(f->members[i].b.keeper, "socket unit") == 0 ||
				strcmp(f->members[i].b.keeper, "descriptor store") ==
					0))
			return true;
	return false;
}

int cli_restart(int argc, char **argv)
{
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_explain("restart");
		return cli_usage("restart");
	}
	char *const *names = argv + optind;
	const size_t count = (size_t)(argc - optind);
	for (size_t i = 0; i < count; i++)
		if (!stats_name_valid(names[i])) {
			fprintf(stderr, "shoal: no name for an instance: %s\n",
				names[i]);
			return EXIT_USAGE;
		}
	if (is_supervised())
		return restart_supervised(names, count);
	struct fleet f;
	if (!fleet_read(&f))
		return 1;
	int code = 1;
	if (has_units(&f))
		code = restart_units(&f, names, count);
	else
		fprintf(stderr,
			"shoal: nobody supervises the instances in %s: neither `shoal "
			"run` "
			"nor "
			"systemd\n",
			f.run_folder);
	fleet_free(&f);
	return code;
}
