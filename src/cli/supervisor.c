/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/control.h"

enum {
	ASK_MS = 5000,
	POLL_NS = 50 * 1000 * 1000,
	LINE_CAP = 32 * 1024,
};

int supervisor_ask(const struct supervisor *s, const char *line, char **text)
{
	bool fine = false;
	const int err = control_ask(
		s->run_folder, CONTROL_SUPERVISOR, line, ASK_MS, text, &fine);
	if (err) {
		fprintf(stderr, "%s: the supervisor of %s does not answer: %s\n",
			s->program, s->run_folder, strerror(-err));
		return 1;
	}
	if (fine)
		return 0;
	fprintf(stderr, "%s: %s\n", s->program, *text);
	free(*text);
	return 1;
}

bool supervisor_is_there(const struct supervisor *s)
{
	char *text = NULL;
	bool fine;
	const int err = control_ask(
		s->run_folder, CONTROL_SUPERVISOR, "hello", ASK_MS, &text, &fine);
	free(text);
	return err != -ENOENT && err != -ECONNREFUSED && err != -EPIPE;
}

void supervisor_pause(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
}

static bool make_line(char out[static LINE_CAP], char *const *names, size_t count)
{
	size_t at = (size_t)snprintf(out, LINE_CAP, "restart");
	for (size_t i = 0; i < count && at < LINE_CAP; i++)
		at += (size_t)snprintf(out + at, LINE_CAP - at, " %s", names[i]);
	return at < LINE_CAP;
}

int supervisor_restart(const struct supervisor *s, char *const *names, size_t count)
{
	static char line[LINE_CAP];
	char *text;
	if (!make_line(line, names, count)) {
		fprintf(stderr, "%s: too many names\n", s->program);
		return SUPERVISOR_USAGE;
	}
	int code = supervisor_ask(s, line, &text);
	if (code)
		return code;
	snprintf(line, sizeof(line), "progress %.20s", text);
	for (;;) {
		unsigned long left = 0, done = 0;
		free(text);
		supervisor_pause();
		code = supervisor_ask(s, line, &text);
		if (code)
			return code;
		if (sscanf(text, "%lu %lu", &left, &done) == 2 && !left) {
			printf("%lu instances restarted\n", done);
			free(text);
			return 0;
		}
	}
}
