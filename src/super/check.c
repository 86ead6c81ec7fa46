/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "super/child.h"

enum { CHECK_MS = 30000 }; /* shoald itself ends an endless configuration before */

/* What it says until it ends, as much as fits; false: not in time. */
static bool read_all(int fd, char *text, size_t cap)
{
	const int64_t until_us = clock_read().mono_us + CHECK_MS * 1000LL;
	size_t len = 0;
	for (;;) {
		char rest[4096];
		const int64_t left_us = until_us - clock_read().mono_us;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		text[len] = 0;
		if (left_us <= 0)
			return false;
		if (poll(&p, 1, (int)(left_us / 1000) + 1) <= 0)
			continue;
		const bool full = len == cap - 1;
		const ssize_t n = full ? read(fd, rest, sizeof(rest))
				       : read(fd, text + len, cap - 1 - len);
		if (n == 0)
			return true;
		if (n > 0 && !full)
			len += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return true;
	}
}

static bool check_one(const struct super_plan *plan, const char *name)
{
	const char *const argv[] = { "shoald", "--check", "-c", plan->conf, "-i", name,
		NULL };
	const struct child_plan child = { .program = plan->program,
		.argv = argv,
		.name = name,
		.run_folder = plan->run_folder };
	char text[16384], words[CHILD_WORDS_MAX];
	int out, status = 0;
	const pid_t pid = child_start(&child, &out);
	if (pid < 0) {
		fprintf(stderr, "shoal: cannot start %s: %s\n", plan->program,
			strerror(-pid));
		return false;
	}
	const bool in_time = read_all(out, text, sizeof(text));
	if (!in_time)
		kill(pid, SIGKILL);
	fd_close(&out);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	fputs(text, stderr);
	fprintf(stderr,
		"shoal: nothing is started or ended: instance %s does not pass the "
		"check\n",
		name);
	if (!in_time)
		fprintf(stderr, "shoal: checking %s takes too long\n", plan->conf);
	else if (!text[0] || !WIFEXITED(status))
		fprintf(stderr, "shoal: checking %s: %s\n", plan->conf,
			child_words(status, words));
	return false;
}

bool check_plan(const struct super_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (!check_one(plan, plan->names[i]))
			return false;
	return true;
}
