/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/asked.c - the control socket: what `shoal restart` and `shoal stop` ask, and are told.
 *
 *	restart [NAME...]   the serial to ask for with "progress"
 *	progress SERIAL     "left done", or what failed
 *	stop [NAME...]      how many there are to stop; without names the supervisor ends too
 *	stopped NAME...     "left done", or who did not stop well */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "super/internal.h"

enum { NAME_CAP = 64 };

static struct instance *find(struct super *s, const char *name)
{
	for (size_t k = 0; k < s->count; k++)
		if (strcmp(s->instances[k].name, name) == 0)
			return &s->instances[k];
	return NULL;
}

/* The next word of the line. */
static bool word_take(const char **at, char out[static NAME_CAP])
{
	*at += strspn(*at, " ");
	const size_t len = strcspn(*at, " ");
	if (!len || len >= NAME_CAP)
		return false;
	memcpy(out, *at, len);
	out[len] = 0;
	*at += len;
	return true;
}

static bool is_named(const char *names, const char *wanted)
{
	char name[NAME_CAP];
	for (const char *at = names; word_take(&at, name);)
		if (strcmp(name, wanted) == 0)
			return true;
	return false;
}

static bool answer(char **out, bool fine, const char *text)
{
	*out = strdup(text);
	return fine && *out;
}

/* How many names; -1: one of them is unknown, and the answer says so. */
static int count_names(struct super *s, const char *names, char **out)
{
	char name[NAME_CAP] = "";
	size_t len;
	int count = 0;
	const char *at = names;
	for (; word_take(&at, name) && find(s, name); count++)
		*name = 0;
	if (!*name && !*at)
		return count;
	FILE *f = open_memstream(out, &len);
	if (!f)
		return -1;
	fprintf(f, "no instance %s in %s; there:", name, s->plan->run_folder);
	for (size_t k = 0; k < s->count; k++)
		fprintf(f, " %s", s->instances[k].name);
	fclose(f);
	return -1;
}

static bool ask_restart(struct super *s, const char *names, char **out)
{
	char text[32];
	if (s->stopping)
		return answer(out, false, "it is stopping");
	if (s->rolling.left)
		return answer(out, false, "a restart is under way");
	const int count = count_names(s, names, out);
	if (count < 0)
		return false;
	s->rolling = (struct rolling){ .serial = s->rolling.serial + 1 };
	for (size_t k = 0; k < s->count; k++) {
		struct instance *i = &s->instances[k];
		i->restart = count ? is_named(names, i->name)
				   : i->state != ENDED && !i->leaves;
		s->rolling.left += i->restart;
	}
	snprintf(text, sizeof(text), "%lu", s->rolling.serial);
	restart_next(s);
	return answer(out, true, text);
}

static bool ask_progress(struct super *s, const char *serial, char **out)
{
	char text[80];
	const struct rolling *r = &s->rolling;
	if (strtoul(serial, NULL, 10) != r->serial)
		return answer(out, false, "another restart was asked for meanwhile");
	if (r->failed)
		return answer(out, false, r->failure);
	if (s->stopping)
		return answer(out, false, "it is stopping");
	snprintf(text, sizeof(text), "%zu %zu", r->left, r->done);
	return answer(out, true, text);
}

/* As by SIGTERM, when the answer has left. */
static bool stop_all(struct super *s, char **out)
{
	char text[32];
	snprintf(text, sizeof(text), "%zu", s->count - count_state(s, ENDED));
	kill(getpid(), SIGTERM);
	return answer(out, true, text);
}

static bool ask_stop(struct super *s, const char *names, char **out)
{
	char text[32];
	size_t left = 0;
	const int count = count_names(s, names, out);
	if (count < 0)
		return false;
	if (!count)
		return stop_all(s, out);
	if (!s->plan->conf)
		return answer(out, false,
			"this program's instances are stopped all together, without "
			"names");
	if (s->stopping)
		return answer(out, false, "it is stopping");
	if (s->rolling.left)
		return answer(out, false, "a restart is under way");
	for (size_t k = 0; k < s->count; k++)
		if (is_named(names, s->instances[k].name))
			left += stop_ask(&s->instances[k]);
	snprintf(text, sizeof(text), "%zu", left);
	return answer(out, true, text);
}

static bool ask_stopped(struct super *s, const char *names, char **out)
{
	char text[160];
	size_t left = 0, done = 0;
	for (size_t k = 0; k < s->count; k++) {
		const struct instance *i = &s->instances[k];
		if (!is_named(names, i->name))
			continue;
		left += i->leaves;
		done += i->state == ENDED;
		if (i->unwell || (!i->leaves && i->state != ENDED)) {
			snprintf(text, sizeof(text), "instance %.63s %s", i->name,
				i->unwell ? "did not stop well: the log says how"
					  : "was started again meanwhile");
			return answer(out, false, text);
		}
	}
	snprintf(text, sizeof(text), "%zu %zu", left, done);
	return answer(out, true, text);
}

static bool ask_hello(struct super *s, const char *rest, char **out)
{
	(void)rest;
	return answer(out, true, s->plan->who);
}

static bool asked(void *ctx, const char *line, char **out)
{
	static const struct {
		const char *word;
		bool (*fn)(struct super *s, const char *rest, char **out);
	} rows[] = { { "hello", ask_hello }, { "restart", ask_restart },
		{ "progress", ask_progress }, { "stop", ask_stop },
		{ "stopped", ask_stopped } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t len = strlen(rows[i].word);
		if (strncmp(line, rows[i].word, len) == 0 &&
			(!line[len] || line[len] == ' '))
			return rows[i].fn(ctx, line + len, out);
	}
	const struct super_plan *plan = ((struct super *)ctx)->plan;
	if (plan->asked)
		return plan->asked(plan->ctx, line, out);
	return answer(out, false, "unknown command");
}

void asked_listen(struct super *s)
{
	s->control = control_open(s->loop, s->plan->run_folder, CONTROL_SUPERVISOR,
		asked, s, &s->counters);
	if (!s->control)
		say(s, "no control socket for `shoal restart`: %s", strerror(errno));
}
