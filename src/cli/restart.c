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
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/fleet.h"
#include "cli/supervisor.h"

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

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
	const struct supervisor super = { "shoal", fd_run_folder() };
	if (supervisor_is_there(&super))
		return supervisor_restart(&super, names, count);
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
