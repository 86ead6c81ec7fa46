/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/steer.c - the programs of the kernel that choose among instances: loaded by us where we may and
 * nobody has pinned some, passed on by SCM_RIGHTS.
 *
 * No pins of our own: the last process that has the programs open takes them along. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/sockpath.h"
#include "shard.h"
#include "super/internal.h"

enum { PATH_CAP = 4096, BACKLOG = 64, ASKED_A_TURN = 64 };

/* Whoever can open the socket in the private folder is of our user, or root. */
static void asked(void *ctx, unsigned events)
{
	struct super *s = ctx;
	(void)events;
	for (int i = 0; i < ASKED_A_TURN; i++) {
		int fd = accept4(
			s->steer_watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		const int e = shard_steer_send(s->steer, fd);
		if (e < 0)
			say(s, "the steering programs cannot be passed on: %s",
				strerror(-e));
		fd_close(&fd);
	}
}

static void open_set(struct super *s)
{
	char path[PATH_CAP];
	const unsigned flags = s->plan->guard ? SHARD_STEER_GUARD : 0;
	if (shard_steer_path(path, sizeof(path), s->plan->run_folder) == 0)
		s->steer = shard_steer_open(path);
	if (!s->steer)
		s->steer = shard_steer_new(flags);
	if (s->plan->guard &&
		!(s->steer && shard_steer_flags(s->steer) & SHARD_STEER_GUARD))
		say(s, "no guard against strangers: %s",
			s->steer ? "steering was loaded without it" : strerror(errno));
}

void steer_listen(struct super *s)
{
	char folder[PATH_CAP];
	struct stat st;
	int before = s->steer_watch.fd;
	if (before >= 0)
		loop_unwatch(s->loop, &s->steer_watch);
	fd_close(&before);
	snprintf(folder, sizeof(folder), "%.4000s/control", s->plan->run_folder);
	int fd = sockpath_listen(folder, ".steer.new", ".steer", BACKLOG, &st);
	if (fd >= 0 && fd_set_nonblock(fd) == 0 &&
		loop_watch(s->loop, &s->steer_watch, fd, LOOP_READ, asked, s) == 0)
		return;
	say(s, "%s/.steer: %s: instances are not steered", folder, strerror(errno));
	fd_close(&fd);
	shard_steer_close(s->steer);
	s->steer = NULL;
}

void steer_start(struct super *s)
{
	if (!s->plan->conf)
		return; /* another program, which knows nothing of it */
	open_set(s);
	if (s->steer)
		steer_listen(s);
}

bool steer_out(struct super *s, pid_t pid)
{
	if (!s->steer)
		return false;
	shard_steer_out(s->steer, pid);
	return shard_steer_is_out(s->steer, pid); /* by a sibling, perhaps */
}

void steer_stop(struct super *s)
{
	char path[PATH_CAP];
	int fd = s->steer_watch.fd;
	if (!s->steer)
		return;
	loop_unwatch(s->loop, &s->steer_watch);
	fd_close(&fd);
	if (snprintf(path, sizeof(path), "%.4000s/control/.steer",
		    s->plan->run_folder) < (int)sizeof(path))
		unlink(path);
	shard_steer_close(s->steer);
	s->steer = NULL;
}
