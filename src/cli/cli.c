/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/cli.c - the table of subcommands, and what several of them need. */
#include "cli/cli.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

const struct command commands[] = {
#define X(name, arguments, options, help)                                              \
	{ #name, arguments, options, help, cli_##name },
	COMMANDS(X)
#undef X
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int cli_usage(const char *command)
{
	const struct command *c = command_find(command);
	assert(c);
	fprintf(stderr, "usage: shoal %s %s\n", c->name, c->arguments);
	return EXIT_USAGE;
}

int cli_explain(const char *command)
{
	const struct command *c = command_find(command);
	assert(c);
	printf("usage: shoal %s %s\n%s; see shoal(1)\n", c->name, c->arguments,
		c->help);
	return 0;
}

void cli_list(FILE *out)
{
	fprintf(out, "usage: shoal COMMAND [ARGUMENTS]\n\n");
	for (size_t i = 0; i < command_count; i++)
		fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].help);
	fprintf(out,
		"\n`shoal help COMMAND` shows its arguments. SHOAL_RUN names the run "
		"folder.\n");
}

const char *cli_conf_default(void)
{
	return SHOAL_SYSCONFDIR "/shoal.lua";
}

static bool is_program(char out[static 4096], const char *folder, int len)
{
	const int n = snprintf(out, 4096, "%.*s/shoald", len, folder);
	return n > 0 && n < 4096 && access(out, X_OK) == 0;
}

static bool find_in_path(char out[static 4096])
{
	const char *at = getenv("PATH");
	while (at && *at) {
		const size_t len = strcspn(at, ":");
		if (len && len < 4000 && is_program(out, at, (int)len))
			return true;
		at += len + (at[len] == ':');
	}
	return false;
}

bool cli_find_shoald(char out[static 4096])
{
	char self[4096];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = 0;
		const char *slash = strrchr(self, '/');
		if (slash && is_program(out, self, (int)(slash - self)))
			return true;
	}
	if (is_program(out, SHOAL_SBINDIR, (int)strlen(SHOAL_SBINDIR)) ||
		find_in_path(out))
		return true;
	fprintf(stderr, "shoal: no program shoald beside %s, in %s or in PATH\n",
		n > 0 ? self : "this one", SHOAL_SBINDIR);
	return false;
}
