/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/restart.c - `shoal restart`: ask whoever supervises the instances, wait for the
 * end. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/supervisor.h"
#include "cli/units.h"
#include "super/check.h"

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static bool is_meant(const struct member *m, char *const *names, size_t count)
{
	return units_is_named(m->name, names, count) && (count || m->alive);
}

/* The file that the instance was started with, as its command line says; what is not read
 * there is the default. */
static const char *conf_of(const struct member *m, char line[static 4096])
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)m->b.pid);
	int fd = m->alive ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	const ssize_t n = fd < 0 ? 0 : read(fd, line, 4095);
	fd_close(&fd);
	const size_t len = n > 0 ? (size_t)n : 0;
	line[len] = 0;
	for (size_t at = 0; at < len; at += strlen(line + at) + 1) {
		const size_t next = at + strlen(line + at) + 1;
		if (strcmp(line + at, "-c") == 0 && next < len)
			return line + next;
	}
	return cli_conf_default();
}

/* systemd ends the one that serves before it finds out that the next one cannot start. */
static bool pass_check(const struct fleet *f, char *const *names, size_t count)
{
	char shoald[4096], line[4096];
	if (!cli_find_shoald(shoald))
		return false;
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		const char *const name = m->name;
		if (!is_meant(m, names, count))
			continue;
		const struct super_plan plan = { .program = shoald,
			.run_folder = f->run_folder,
			.names = &name,
			.count = 1,
			.conf = conf_of(m, line) };
		if (!check_plan(&plan))
			return false;
	}
	return true;
}

/* One unit after the other: each returns when it is ready. */
static int restart_units(const struct fleet *f, char *const *names, size_t count)
{
	size_t done = 0;
	if (!pass_check(f, names, count))
		return 1;
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		if (!is_meant(m, names, count))
			continue;
		/* it was stopped together with the instance */
		if (!m->alive && units_has_socket(m) &&
			units_systemctl("start", m->name, "socket"))
			return 1;
		if (units_systemctl("restart", m->name, "service"))
			return 1;
		done++;
	}
	printf("%zu instance%s restarted\n", done, done == 1 ? "" : "s");
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
