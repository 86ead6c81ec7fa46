/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/restart.c - `shoal restart`: ask whoever supervises the instances, wait for the
 * end. */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/supervisor.h"
#include "cli/units.h"

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* One unit after the other: each returns when it is ready. */
static int restart_units(const struct fleet *f, char *const *names, size_t count)
{
	size_t done = 0;
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		if (!units_is_named(m->name, names, count) || (!count && !m->alive))
			continue;
		/* it was stopped together with the instance */
		if (!m->alive && units_has_socket(m) &&
			units_systemctl("start", m->name, "socket"))
			return 1;
		if (units_systemctl("restart", m->name, "service"))
			return 1;
		done++;
	}
	printf("%zu instances restarted\n", done);
	return 0;
}

int cli_restart(int argc, char **argv)
{
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_explain("restart");
		return cli_usage("restart");
	}
	return units_or_supervisor(supervisor_restart, restart_units, argv + optind,
		(size_t)(argc - optind));
}
