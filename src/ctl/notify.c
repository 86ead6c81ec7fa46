/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/notify.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

enum {
	FDS_MAX = sizeof(((struct notify_message *)0)->fds) / sizeof(int),
	SURELY_TRIES = 400,
	SURELY_WAIT_NS = 5 * 1000 * 1000,
};

/* Length of the address, 0 if `path` is none: sd_notify(3) knows "/path" and
 * "@abstract". */
static socklen_t address_of(struct sockaddr_un *out, const char *path)
{
	const size_t len = strlen(path);
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len < 2 || len >= sizeof(out->sun_path) ||
		(path[0] != '/' && path[0] != '@'))
		return 0;
	memcpy(out->sun_path, path, len);
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	if (path[0] == '/')
		return (socklen_t)(head + len + 1);
	out->sun_path[0] = 0;
	return (socklen_t)(head + len);
}

int notify_send(const char *text, const int *fds, size_t count)
{
	assert(count <= FDS_MAX);
	const char *path = getenv("NOTIFY_SOCKET");
	if (!path || !*path)
		return 1;
	struct sockaddr_un to;
	const socklen_t to_len = address_of(&to, path);
	if (!to_len)
		return -EINVAL;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;

	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = { 0 };
	struct iovec data = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr msg = { .msg_name = &to,
		.msg_namelen = to_len,
		.msg_iov = &data,
		.msg_iovlen = 1 };
	if (count) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	}
	const ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	const int err = sent < 0 ? -errno : 0;
	fd_close(&fd);
	return err;
}

int notify_send_surely(const char *text, const int *fds, size_t count)
{
	int err = notify_send(text, fds, count);
	for (int i = 0; i < SURELY_TRIES && err == -EAGAIN; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = SURELY_WAIT_NS }, NULL);
		err = notify_send(text, fds, count);
	}
	return err;
}

static bool read_u64(const char *text, uint64_t *out)
{
	char *end;
	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	const unsigned long long value = strtoull(text, &end, 10);
	if (errno || *end)
		return false;
	*out = value;
	return true;
}

uint64_t notify_watchdog_us(void)
{
	uint64_t us, pid;
	if (!read_u64(getenv("WATCHDOG_USEC"), &us))
		return 0;
	const char *meant = getenv("WATCHDOG_PID");
	if (meant && (!read_u64(meant, &pid) || pid != (uint64_t)getpid()))
		return 0;
	return us;
}

bool notify_value(const char *text, const char *key, char *out, size_t cap)
{
	assert(cap > 0);
	const size_t key_len = strlen(key);
	for (const char *at = text; *at;) {
		const size_t len = strcspn(at, "\n");
		if (len > key_len && strncmp(at, key, key_len) == 0 &&
			at[key_len] == '=') {
			size_t n = len - key_len - 1;
			n = n < cap - 1 ? n : cap - 1;
			memcpy(out, at + key_len + 1, n);
			out[n] = 0;
			return true;
		}
		at += len + (at[len] == '\n');
	}
	return false;
}

int notify_listen(const char *path)
{
	struct sockaddr_un at;
	const socklen_t len = address_of(&at, path);
	if (!len)
		return -ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (path[0] == '/')
		unlink(path);
	const int on = 1;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
		bind(fd, (const struct sockaddr *)&at, len) < 0 ||
		(path[0] == '/' && chmod(path, 0666) < 0)) {
		const int err = -errno;
		fd_close(&fd);
		return err;
	}
	return fd;
}

/* Descriptors first: each of them must reach `out`, which somebody closes. */
static void take_control(struct notify_message *out, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			for (size_t i = 0; i < count; i++) {
				int fd;
				memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
				if (out->fd_count < FDS_MAX)
					out->fds[out->fd_count++] = fd;
				else
					close(fd);
			}
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred who;
			memcpy(&who, CMSG_DATA(c), sizeof(who));
			out->pid = who.pid;
		}
	}
}

int notify_receive(int fd, struct notify_message *out)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX) +
			   CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec data = { out->text, sizeof(out->text) - 1 };
	struct msghdr msg = { .msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	out->pid = 0;
	out->fd_count = 0;
	ssize_t n;
	do
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	take_control(out, &msg);
	out->lost = msg.msg_flags & MSG_CTRUNC;
	out->text[n] = 0;
	return 1;
}
