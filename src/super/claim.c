/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/stats.h"

enum { ERROR_MAX = 1024 };

static void path_of(char out[static PATH_MAX], const char *run_folder)
{
	snprintf(out, PATH_MAX, "%.4000s/super.lock", run_folder);
}

/* Who holds it, for others to read. */
static void show(int fd)
{
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
}

/* The folder may belong to the instances' user, who could have put a link there to what only
 * root may write; and flock(2) needs no more than a file that can be opened for reading. -1 with
 * errno. */
static int open_lock(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fd;
	if (S_ISREG(st.st_mode) && st.st_nlink <= 1) {
		fchmod(fd, 0600); /* one of before was for all to read */
		return fd;
	}
	fd_close(&fd);
	errno = ENOTSUP;
	return -1;
}

static void tell_holder(int fd, const char *path, char error[static ERROR_MAX])
{
	char text[32] = "";
	const ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	const int pid = atoi(text);
	if (pid > 0 && (kill(pid, 0) == 0 || errno == EPERM))
		snprintf(error, ERROR_MAX,
			"another `shoal run` (pid %d) holds %.800s: stop it, or set "
			"SHOAL_RUN to another folder",
			pid, path);
	else
		snprintf(error, ERROR_MAX,
			"another process has locked %.800s, and the last `shoal run` "
			"there (pid %d) is gone: fuser(1) tells which; stop it, or set "
			"SHOAL_RUN to another folder",
			path, pid);
}

static int lock(const char *run_folder, char error[static ERROR_MAX])
{
	char path[PATH_MAX];
	path_of(path, run_folder);
	int fd = open_lock(path);
	if (fd < 0) {
		snprintf(error, ERROR_MAX,
			"cannot write %.900s: %s (SHOAL_RUN names another run folder)",
			path,
			errno == ELOOP || errno == ENOTSUP
				? "it is a link or no plain file"
				: strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	tell_holder(fd, path, error);
	fd_close(&fd);
	return -1;
}

/* Its `shoal run` was killed (we hold the lock), and a successor of ours will serve under its name: then it leaves by
 * itself (worker/orphan). */
static bool is_succeeded(const struct super_plan *plan, const struct stats_block *b)
{
	if (strncmp(b->keeper, "shoal run", strlen("shoal run")) != 0)
		return false;
	for (size_t i = 0; i < plan->count; i++)
		if (strcmp(plan->names[i], b->name) == 0)
			return true;
	return false;
}

/* Instances outlive a supervisor that was killed. */
static size_t list_running(
	const struct super_plan *plan, size_t *succeeded, char *out, size_t cap)
{
	static char names[STATS_INSTANCES_MAX][64];
	const size_t count = stats_names(plan->run_folder, names, STATS_INSTANCES_MAX);
	size_t running = 0, at = 0;
	for (size_t i = 0; i < count; i++) {
		struct stats_block b;
		if (!stats_read(plan->run_folder, names[i], &b) || !stats_alive(&b))
			continue;
		if (is_succeeded(plan, &b)) {
			++*succeeded;
			continue;
		}
		if (cap - at > 100)
			at += (size_t)snprintf(out + at, cap - at, "%s%s (pid %d)",
				running ? ", " : "", names[i], b.pid);
		running++;
	}
	return running;
}

int claim_take(
	const struct super_plan *plan, size_t *succeeded, char error[static ERROR_MAX])
{
	const char *const run_folder = plan->run_folder;
	char running[ERROR_MAX / 2];
	*succeeded = 0;
	const int err = fd_make_folder(run_folder, 0755);
	if (err) {
		snprintf(error, ERROR_MAX,
			"cannot make the run folder %.800s: %s (SHOAL_RUN names "
			"another)",
			run_folder, strerror(-err));
		return -1;
	}
	int fd = lock(run_folder, error);
	if (fd < 0)
		return -1;
	if (list_running(plan, succeeded, running, sizeof(running))) {
		snprintf(error, ERROR_MAX,
			"instances run in %.300s already: %s; stop them, or set "
			"SHOAL_RUN to "
			"another folder",
			run_folder, running);
		fd_close(&fd);
		return -1;
	}
	show(fd);
	return fd;
}

bool claim_renew(const char *run_folder, int *claim)
{
	char path[PATH_MAX], error[ERROR_MAX];
	struct stat own, here;
	path_of(path, run_folder);
	if (fstat(*claim, &own) == 0 && lstat(path, &here) == 0 &&
		own.st_ino == here.st_ino && own.st_dev == here.st_dev)
		return false;
	fd_make_folder(run_folder, 0755);
	const int fd = lock(run_folder, error);
	if (fd < 0)
		return false;
	show(fd);
	fd_close(claim);
	*claim = fd;
	return true;
}
