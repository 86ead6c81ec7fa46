/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/stop.c - `shoal stop`: ask whoever supervises the instances, wait until they have ended. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/supervisor.h"
#include "cli/units.h"
#include "ctl/control.h"

enum {
	ASK_MS = 1000,
	LOOK_NS = 20 * 1000 * 1000,
	LOOKS = 400, /* 8 s, as from SIGTERM to SIGKILL under `shoal run` */
};

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* SIGTERM by systemd may mean a restart, where what comes waits in the sockets for the next one.
 * quit() never does: it leaves them to its siblings. Who does not hear it is stopped by systemd. */
static void quit(const struct fleet *f, const struct member *m)
{
	char *text = NULL;
	bool fine = false;
	const int err =
		control_ask(f->run_folder, m->name, "quit()", ASK_MS, &text, &fine);
	free(text);
	for (int i = 0; !err && fine && i < LOOKS && stats_alive(&m->b); i++)
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
}

/* Its socket unit first: it would start the instance again for the next query. */
static int stop_unit(const struct fleet *f, const struct member *m, bool siblings)
{
	if (units_has_socket(m) && units_systemctl("stop", m->name, "socket"))
		return 1;
	if (siblings && m->alive)
		quit(f, m);
	return units_systemctl("stop", m->name, "service");
}

static int stop_units(const struct fleet *f, char *const *names, size_t count)
{
	size_t done = 0;
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		if (!units_is_named(m->name, names, count))
			continue;
		if (stop_unit(f, m, count > 0))
			return 1;
		done += m->alive;
	}
	printf("%zu instance%s stopped\n", done, done == 1 ? "" : "s");
	return 0;
}

int cli_stop(int argc, char **argv)
{
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_explain("stop");
		return cli_usage("stop");
	}
	return units_or_supervisor(
		supervisor_stop, stop_units, argv + optind, (size_t)(argc - optind));
}
