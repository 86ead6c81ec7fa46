/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/units.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/supervisor.h"

int units_systemctl(const char *verb, const char *name, const char *kind)
{
	extern char **environ;
	char unit[96], program[] = "systemctl", word[16];
	char *const argv[] = { program, word, unit, NULL };
	pid_t pid;
	int status;
	snprintf(word, sizeof(word), "%s", verb);
	snprintf(unit, sizeof(unit), "shoald@%.63s.%s", name, kind);
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
	fprintf(stderr, "shoal: systemctl %s %s failed; the rest is left alone\n", verb,
		unit);
	return 1;
}

bool units_is_named(const char *name, char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return !count;
}

bool units_has_socket(const struct member *m)
{
	return m->readable && strcmp(m->b.keeper, "socket unit") == 0;
}

/* Someone keeps its sockets over a restart: only systemd can, where no supervisor is.
 */
static bool has_units(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->members[i].alive && (units_has_socket(&f->members[i]) ||
						   strcmp(f->members[i].b.keeper,
							   "descriptor store") == 0))
			return true;
	return false;
}

static int with_units(units_fn *units, char *const *names, size_t count)
{
	struct fleet f;
	int code = 0;
	if (!fleet_read(&f))
		return 1;
	if (!has_units(&f)) {
		fprintf(stderr,
			"shoal: nobody supervises the instances in %s: neither `shoal "
			"run` nor systemd\n",
			f.run_folder);
		code = 1;
	}
	for (size_t i = 0; !code && i < count; i++)
		if (!fleet_find(&f, names[i])) {
			fleet_say_unknown(&f, names[i]);
			code = EXIT_USAGE;
		}
	if (!code)
		code = units(&f, names, count);
	fleet_free(&f);
	return code;
}

int units_or_supervisor(
	int (*super)(const struct supervisor *s, char *const *names, size_t count),
	units_fn *units, char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!stats_name_valid(names[i])) {
			fprintf(stderr, "shoal: no name for an instance: %s\n",
				names[i]);
			return EXIT_USAGE;
		}
	const struct supervisor s = { "shoal", fd_run_folder() };
	return supervisor_is_there(&s) ? super(&s, names, count)
				       : with_units(units, names, count);
}
