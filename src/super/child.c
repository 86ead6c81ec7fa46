/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "super/keep.h"

enum { PIPE_BYTES = 256 * 1024 }; /* what an instance may say while we look away */

/* systemd's own words to us are not for our children: sd_notify(3), sd_listen_fds(3).
 */
static const char *const not_theirs[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC",
	"WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
	"SYSTEMD_INSTANCE", "SHOAL_STANDS_IN", "SHARD_INSTANCE" };

static void set_environment(const struct child_plan *plan, pid_t supervisor)
{
	char number[32];
	for (size_t i = 0; i < sizeof(not_theirs) / sizeof(not_theirs[0]); i++)
		unsetenv(not_theirs[i]);
	for (const char *const *e = plan->env; e && *e; e++) {
		union {
			const char *in;
			char *out;
		} word = { *e }; /* kept in the environment, never written */
		putenv(word.out);
	}
	if (plan->run_folder) {
		setenv("SYSTEMD_INSTANCE", plan->name, 1);
		setenv("SHOAL_RUN", plan->run_folder, 1);
	} else {
		setenv("SHARD_INSTANCE", plan->name, 1);
	}
	if (plan->stands_in)
		setenv("SHOAL_STANDS_IN", "1", 1);
	if (!plan->notify)
		return;
	snprintf(number, sizeof(number), "%d", (int)supervisor);
	if (plan->run_folder)
		setenv("SHOAL_SUPERVISED", number, 1);
	setenv("NOTIFY_SOCKET", plan->notify, 1);
	if (plan->watchdog_us) {
		snprintf(number, sizeof(number), "%" PRId64, plan->watchdog_us);
		setenv("WATCHDOG_USEC", number, 1);
		snprintf(number, sizeof(number), "%d", (int)getpid());
		setenv("WATCHDOG_PID", number, 1);
	}
}

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All of them at numbers from `above` on: true, or none. */
static bool raise_all(const struct keep *keep, int above, int fds[static KEEP_MAX])
{
	for (size_t i = 0; i < keep->count; i++) {
		fds[i] = fcntl(keep->rows[i].fd, F_DUPFD_CLOEXEC, above);
		if (fds[i] >= 0)
			continue;
		while (i--)
			close(fds[i]);
		return false;
	}
	return true;
}

/* The supervisor's own, for room: the standard ones are ours already. */
static void close_others(const struct keep *keep)
{
	int fd = STDERR_FILENO + 1, highest = fd;
	for (size_t i = 0; i < keep->count; i++)
		if (keep->rows[i].fd > highest)
			highest = keep->rows[i].fd;
	for (; fd <= highest; fd++) {
		bool kept = false;
		for (size_t i = 0; i < keep->count && !kept; i++)
			kept = keep->rows[i].fd == fd;
		if (!kept)
			close(fd);
	}
	close_range((unsigned)highest + 1, ~0U, 0);
}

/* As 3, 4, 5...: sd_listen_fds(3). First above all of those numbers, for one may
 * stand where another must go. Returns how many: all, for a number that was told and holds nothing is
 * soon that of another thing. */
static int hand_on(const struct keep *keep)
{
	const int count = keep ? (int)keep->count : 0;
	const int above = STDERR_FILENO + 1 + count;
	int fds[KEEP_MAX];
	bool there = !count || raise_all(keep, above, fds);
	if (!there) {
		close_others(keep);
		there = raise_all(keep, above, fds);
	}
	if (!there) {
		dprintf(STDERR_FILENO,
			"its %d descriptors cannot be handed on: too few may be open "
			"(ulimit -n)\n",
			count);
		_exit(127);
	}
	for (int i = 0; i < count; i++)
		dup2(fds[i], STDERR_FILENO + 1 + i);
	return count;
}

static void set_listen(const struct keep *keep, int count)
{
	char number[32];
	static char names[KEEP_MAX * KEEP_NAME_MAX];
	size_t len = 0;
	if (!count)
		return;
	for (int i = 0; i < count; i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			i ? ":" : "", keep->rows[i].name);
	setenv("LISTEN_FDNAMES", names, 1);
	snprintf(number, sizeof(number), "%d", count);
	setenv("LISTEN_FDS", number, 1);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
}

/* Between fork and exec of a single-threaded process: anything may be called. */
static _Noreturn void run(const struct child_plan *plan, int out, pid_t supervisor)
{
	reset_signals();
	/* its own group: Ctrl-C is for the supervisor, which then stops all in order */
	setpgid(0, 0);
	const int null = open("/dev/null", O_RDONLY);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	const int count = hand_on(plan->keep);
	const int first = STDERR_FILENO + 1 + count;
	if (close_range((unsigned)first, ~0U, 0) < 0)
		for (int fd = first; fd < first + 1024; fd++)
			close(fd);
	set_environment(plan, supervisor);
	set_listen(plan->keep, count);
	/* execv promises not to change them: the prototype is older than const */
	union {
		const char *const *in;
		char *const *out;
	} argv = { plan->argv };
	execv(plan->program, argv.out);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", plan->program, strerror(errno));
	_exit(127);
}

pid_t child_start(const struct child_plan *plan, int *out)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
	fd_set_nonblock(ends[0]);
	/* an instance must not wait for a supervisor that was stopped; a program that knows
	 * nothing of us takes EAGAIN for an error of its disk */
	if (plan->run_folder)
		fd_set_nonblock(ends[1]);
	const pid_t self = getpid(), pid = fork();
	if (pid == 0)
		run(plan, ends[1], self);
	const int err = pid < 0 ? -errno : 0;
	fd_close(&ends[1]);
	if (err) {
		fd_close(&ends[0]);
		return err;
	}
	*out = ends[0];
	return pid;
}

char *child_words(int status, char buf[static CHILD_WORDS_MAX])
{
	if (WIFEXITED(status)) {
		snprintf(buf, CHILD_WORDS_MAX, "exit code %d", WEXITSTATUS(status));
	} else {
		const int signo = WTERMSIG(status);
		const char *name = sigabbrev_np(signo);
		snprintf(buf, CHILD_WORDS_MAX, "killed by signal %d (%s%s)%s", signo,
			name ? "SIG" : "", name ? name : "unnamed",
			WCOREDUMP(status) ? ", core dumped" : "");
	}
	return buf;
}
