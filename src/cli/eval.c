/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/eval.c - `shoal eval`: a line of Lua, run where it matters. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/fleet.h"
#include "ctl/control.h"

enum { EVAL_MS = 10000 }; /* an instance itself ends a line after a second */

static const struct option options[] = {
	{ "instance", required_argument, NULL, 'i' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* Each line with the instance's name when several answer. */
static void print(FILE *out, const char *name, int width, const char *text)
{
	while (*text) {
		const int len = (int)strcspn(text, "\n");
		if (width)
			fprintf(out, "%-*s | ", width, name);
		fprintf(out, "%.*s\n", len, text);
		text += len + (text[len] == '\n');
	}
}

static const char *reason(int err)
{
	switch (err) {
	case -EACCES:
		return "not permitted: be root, or the user that the instances run as";
	case -ENOENT:
	case -ECONNREFUSED:
		return "it is not running";
	case -ETIMEDOUT:
		return "no answer in time: is it stuck? `shoal status` tells";
	case -EPIPE:
		return "it closed the connection: the line is too long, or it ended";
	case -EINVAL:
		return "only one line, please, of at most 64 KiB";
	default:
		return strerror(-err);
	}
}

static bool eval_at(
	const char *run_folder, const char *name, int width, const char *line)
{
	char *text = NULL;
	bool ok = false;
	const int err = control_ask(run_folder, name, line, EVAL_MS, &text, &ok);
	if (err)
		fprintf(stderr, "shoal: instance %s: %s\n", name, reason(err));
	else
		print(ok ? stdout : stderr, name, width, text);
	free(text);
	fflush(stdout);
	return !err && ok;
}

static int eval(const char *only, const char *line)
{
	struct fleet f;
	size_t asked = 0, failed = 0, alive = 0;
	int width = 0;
	if (!fleet_read(&f))
		return 1;
	for (size_t i = 0; i < f.count; i++) {
		alive += f.members[i].alive;
		const int len = (int)strlen(f.members[i].name);
		width = len > width ? len : width;
	}
	if (only && !fleet_find(&f, only)) {
		fleet_say_unknown(&f, only);
		failed++;
	}
	for (size_t i = 0; i < f.count; i++) {
		const struct member *m = &f.members[i];
		if (only ? strcmp(only, m->name) != 0 : !m->alive)
			continue;
		asked++;
		failed += !eval_at(
			f.run_folder, m->name, only || alive < 2 ? 0 : width, line);
	}
	if (!asked && !failed)
		fprintf(stderr, "shoal: no instance in %s is alive\n", f.run_folder);
	fleet_free(&f);
	return failed || !asked;
}

int cli_eval(int argc, char **argv)
{
	const char *only = NULL;
	/* '+': the line of Lua may begin with anything after it */
	for (int o; (o = getopt_long(argc, argv, "+i:h", options, NULL)) != -1;) {
		switch (o) {
		case 'i':
			only = optarg;
			break;
		case 'h':
			return cli_explain("eval");
		default:
			return cli_usage("eval");
		}
	}
	if (optind != argc - 1)
		return cli_usage("eval");
	return eval(only, argv[optind]);
}
