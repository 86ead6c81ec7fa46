/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/sockpath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

/* An address has 107 bytes (unix(7)); a longer path is reached through a descriptor of
 * its folder. 0 or -errno; `*dir` is the caller's to close, -1 if not needed. */
static int make_address(
	struct sockaddr_un *out, const char *folder, const char *name, int *dir)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	const int cap = sizeof(out->sun_path);
	*dir = -1;
	if (snprintf(out->sun_path, sizeof(out->sun_path), "%s/%s", folder, name) < cap)
		return 0;
	*dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return -errno;
	if (snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", *dir,
		    name) < cap)
		return 0;
	fd_close(dir);
	return -ENAMETOOLONG;
}

static int rename_in(
	const char *folder, const char *from, const char *to, struct stat *st)
{
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	int err = 0;
	if (fstatat(dir, from, st, AT_SYMLINK_NOFOLLOW) < 0 ||
		renameat(dir, from, dir, to) < 0)
		err = -errno;
	fd_close(&dir);
	return err;
}

int sockpath_listen(const char *folder, const char *temp, const char *name, int backlog,
	struct stat *st)
{
	struct sockaddr_un at;
	int dir, err = make_address(&at, folder, temp, &dir);
	if (err)
		return err;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		err = -errno;
	if (!err) {
		unlink(at.sun_path); /* of a dead process that had our pid */
		if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
			listen(fd, backlog) < 0)
			err = -errno;
	}
	if (!err)
		err = rename_in(folder, temp, name, st);
	fd_close(&dir);
	if (err)
		fd_close(&fd);
	return err ? err : fd;
}

int sockpath_connect(const char *folder, const char *name, int timeout_ms)
{
	const struct timeval limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000L };
	struct sockaddr_un at;
	int dir, err = make_address(&at, folder, name, &dir);
	if (err)
		return err;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
		connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		err = -errno;
	fd_close(&dir);
	if (err)
		fd_close(&fd);
	return err ? err : fd;
}
