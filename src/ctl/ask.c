/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/ask.c - the client's side of the control socket: one line, one answer. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "ctl/control.h"
#include "ctl/framed.h"
#include "ctl/sockpath.h"
#include "ctl/stats.h"

static int wait_for(int fd, short events, int64_t until_us)
{
	for (;;) {
		const int64_t left_us = until_us - clock_read().mono_us;
		if (left_us <= 0)
			return -ETIMEDOUT;
		struct pollfd p = { .fd = fd, .events = events };
		const int n = poll(&p, 1, (int)((left_us + 999) / 1000));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(int fd, const char *data, size_t len, int64_t until_us)
{
	while (len) {
		const int err = wait_for(fd, POLLOUT, until_us);
		if (err)
			return err;
		const ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int receive(int fd, struct framed *r, int64_t until_us)
{
	char buf[16384];
	for (;;) {
		const int err = wait_for(fd, POLLIN, until_us);
		if (err)
			return err;
		const ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		const int done = framed_add(r, buf, (size_t)n);
		if (done)
			return done < 0 ? done : 0;
	}
}

static int ask(int fd, const char *line, int64_t until_us, struct framed *r)
{
	static const char head[] = "__checked\n";
	int err = send_all(fd, head, sizeof(head) - 1, until_us);
	if (!err)
		err = send_all(fd, line, strlen(line), until_us);
	if (!err)
		err = send_all(fd, "\n", 1, until_us);
	return err ? err : receive(fd, r, until_us);
}

int control_ask(const char *run_folder, const char *name, const char *line,
	int timeout_ms, char **out, bool *ok)
{
	char folder[PATH_MAX];
	/* a leading dot: no instance, but the supervisor */
	if (!stats_name_valid(name + (name[0] == '.')) ||
		strlen(line) > LIMIT_CONTROL_LINE || strpbrk(line, "\r\n"))
		return -EINVAL;
	if (snprintf(folder, sizeof(folder), "%s/control", run_folder) >=
		(int)sizeof(folder))
		return -ENAMETOOLONG;
	const int64_t until_us = clock_read().mono_us + timeout_ms * 1000LL;
	int fd = sockpath_connect(folder, name, timeout_ms);
	if (fd < 0)
		return fd == -EAGAIN ? -ETIMEDOUT : fd;
	struct framed r = { 0 };
	int err = ask(fd, line, until_us, &r);
	fd_close(&fd);
	if (!err)
		err = framed_take(&r, out, ok);
	framed_fini(&r);
	return err;
}
