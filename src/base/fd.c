/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd); /* never again on EINTR: the number is free already */
	*fd = -1;
}

int fd_set_nonblock(int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int fd_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *from = data;
	while (len) {
		const ssize_t put = write(fd, from, len);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		from += put;
		len -= (size_t)put;
	}
	return 0;
}

/* Reads to the end, whatever the size was said to be: /proc says 0, pipes nothing. */
static int read_all(int fd, size_t max, size_t guess, char **out, size_t *len)
{
	size_t size = guess + 2, got = 0; /* a byte to see the end, a NUL */
	char *buf = malloc(size);
	int err = buf ? 0 : -ENOMEM;
	while (!err) {
		const ssize_t n = read(fd, buf + got, size - 1 - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		got += (size_t)n;
		if (got > max) {
			err = -EFBIG;
		} else if (got == size - 1) {
			size *= 2;
			char *more = realloc(buf, size);
			if (more)
				buf = more;
			else
				err = -ENOMEM;
		}
	}
	if (err) {
		free(buf);
		return err;
	}
	buf[got] = 0;
	*out = buf;
	*len = got;
	return 0;
}

static int read_path(const char *path, int how, size_t max, char **out, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | how);
	if (fd < 0)
		return -errno;
	struct stat st;
	int err = 0;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (S_ISFIFO(st.st_mode) && how & O_NONBLOCK)
		err = -ENOTSUP;
	else if (S_ISREG(st.st_mode) && st.st_size > 0 && (uintmax_t)st.st_size > max)
		err = -EFBIG;
	if (!err) {
		const bool known = S_ISREG(st.st_mode) && st.st_size > 0;
		err = read_all(fd, max, known ? (size_t)st.st_size : 4096, out, len);
	}
	fd_close(&fd);
	return err;
}

int fd_read_file(const char *path, size_t max, char **out, size_t *len)
{
	return read_path(path, O_NONBLOCK, max, out, len);
}

int fd_read_pipe(const char *path, size_t max, char **out, size_t *len)
{
	return read_path(path, 0, max, out, len);
}

const char *fd_read_error(int err)
{
	return err == -ENOTSUP ? "is a pipe, not a file" : strerror(-err);
}

bool fd_in_memory(const char *folder)
{
	struct statfs st;
	return statfs(folder, &st) == 0 &&
	       (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC);
}

static int make_one(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fd_make_folder(const char *path, mode_t mode)
{
	const int err = make_one(path, mode);
	if (err != -ENOENT)
		return err;
	char above[PATH_MAX];
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len && path[len - 1] != '/')
		len--;
	if (len <= 1 || len > sizeof(above))
		return err;
	memcpy(above, path, len - 1);
	above[len - 1] = 0;
	const int above_err = make_one(above, mode);
	return above_err ? above_err : make_one(path, mode);
}

size_t fd_raise_limit(void)
{
	struct rlimit lim;
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return 0;
	if (lim.rlim_cur != lim.rlim_max) {
		const struct rlimit wanted = { lim.rlim_max, lim.rlim_max };
		if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
			lim = wanted;
	}
	return (size_t)lim.rlim_cur;
}

const char *fd_run_folder(void)
{
	static char path[PATH_MAX];
	const char *given = getenv("SHOAL_RUN");
	const char *user = getenv("XDG_RUNTIME_DIR");
	const char *system = "/run/shoal";
	if (given && *given) {
		snprintf(path, sizeof(path), "%s", given);
		return path;
	}
	if (geteuid() == 0 || access(system, W_OK) == 0 || !user || !*user)
		return system;
	snprintf(path, sizeof(path), "%s/shoal", user);
	return path;
}
