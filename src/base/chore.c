/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/chore.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { POLL_US = 1000, ERRNO_MAX = 127 };

/* SIGBUS stays ours: a mapping may be cut while the child uses it. */
static void signals_default(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGSEGV, SIGILL, SIGFPE,
		SIGABRT };
	sigset_t none;
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool close_others(int keep_fd)
{
	if (keep_fd < 3)
		return close_range(3, ~0u, 0) == 0;
	if (keep_fd > 3 && close_range(3, (unsigned)keep_fd - 1, 0) < 0)
		return false;
	return close_range((unsigned)keep_fd + 1, ~0u, 0) == 0;
}

int chore_begin(
	struct chore *c, int (*fn)(void *ctx), void *ctx, int keep_fd, int nice_by)
{
	if (c->pid)
		return -EBUSY;
	const pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid) {
		c->pid = pid;
		return 0;
	}
	signals_default();
	if (!close_others(keep_fd))
		_exit(EPROTO);
	setpriority(PRIO_PROCESS, 0, nice_by);
	const int err = fn(ctx);
	_exit(err < 0 && err >= -ERRNO_MAX ? -err : err ? EIO : 0);
}

bool chore_ended(struct chore *c, int *err)
{
	int status = 0;
	if (!c->pid)
		return false;
	const pid_t pid = waitpid(c->pid, &status, WNOHANG);
	if (pid == 0)
		return false;
	c->pid = 0;
	*err = pid > 0 && WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
	return true;
}

int chore_wait(struct chore *c, int64_t timeout_us)
{
	const int64_t end_us = clock_read().mono_us + timeout_us;
	int err = 0;
	if (!c->pid)
		return 0;
	while (!chore_ended(c, &err)) {
		if (clock_read().mono_us >= end_us) {
			chore_kill(c);
			return -ETIME;
		}
		usleep(POLL_US);
	}
	return err;
}

void chore_kill(struct chore *c)
{
	if (!c->pid)
		return;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	c->pid = 0;
}
