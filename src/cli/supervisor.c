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
	GONE_LOOKS =
		1800, /* a minute and a half: one that starts is ready, or given up, in one */
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

/* What control_ask() says where nobody listens (any more). */
static bool is_nobody(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -EPIPE;
}

bool supervisor_is_there(const struct supervisor *s)
{
	char *text = NULL;
	bool fine;
	const int err = control_ask(
		s->run_folder, CONTROL_SUPERVISOR, "hello", ASK_MS, &text, &fine);
	free(text);
	return !is_nobody(err);
}

static void pause_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
}

/* False: too many names, and said so. */
static bool make_line(const struct supervisor *s, char out[static LINE_CAP],
	const char *word, char *const *names, size_t count)
{
	size_t at = (size_t)snprintf(out, LINE_CAP, "%s", word);
	for (size_t i = 0; i < count && at < LINE_CAP; i++)
		at += (size_t)snprintf(out + at, LINE_CAP - at, " %s", names[i]);
	if (at < LINE_CAP)
		return true;
	fprintf(stderr, "%s: too many names\n", s->program);
	return false;
}

int supervisor_restart(const struct supervisor *s, char *const *names, size_t count)
{
	static char line[LINE_CAP];
	char *text;
	if (!make_line(s, line, "restart", names, count))
		return SUPERVISOR_USAGE;
	int code = supervisor_ask(s, line, &text);
	if (code)
		return code;
	snprintf(line, sizeof(line), "progress %.20s", text);
	for (;;) {
		unsigned long left = 0, done = 0;
		free(text);
		pause_a_moment();
		code = supervisor_ask(s, line, &text);
		if (code)
			return code;
		if (sscanf(text, "%lu %lu", &left, &done) == 2 && !left) {
			printf("%lu instance%s restarted\n", done,
				done == 1 ? "" : "s");
			free(text);
			return 0;
		}
	}
}

/* 1: they have ended, or it has, with the last of them; 0: not yet; -1: it failed, and said why. */
static int look_for_end(const struct supervisor *s, const char *line)
{
	char *text = NULL;
	bool fine = false;
	unsigned long left = 1;
	const int err = control_ask(
		s->run_folder, CONTROL_SUPERVISOR, line, ASK_MS, &text, &fine);
	if (err)
		return is_nobody(err);
	if (!fine)
		fprintf(stderr, "%s: %s\n", s->program, text);
	else
		sscanf(text, "%lu", &left);
	free(text);
	return fine ? !left : -1;
}

int supervisor_stop(const struct supervisor *s, char *const *names, size_t count)
{
	static char line[LINE_CAP];
	char *text;
	if (!make_line(s, line, "stop", names, count))
		return SUPERVISOR_USAGE;
	const int code = supervisor_ask(s, line, &text);
	if (code)
		return code;
	const unsigned long stopped = strtoul(text, NULL, 10);
	free(text);
	if (!make_line(s, line, count ? "stopped" : "hello", names, count))
		return SUPERVISOR_USAGE;
	for (int looks = 0; looks < GONE_LOOKS; looks++) {
		pause_a_moment();
		const int ended = look_for_end(s, line);
		if (ended > 0)
			printf("%lu instance%s stopped\n", stopped,
				stopped == 1 ? "" : "s");
		if (ended)
			return ended < 0;
	}
	fprintf(stderr, "%s: %s not stopped in a minute and a half\n", s->program,
		count ? "they have" : "it has");
	return 1;
}
