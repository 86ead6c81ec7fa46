/* SPDX-License-Identifier: MIT */
/* shard/inherit.c - sockets that a service manager hands over: sd_listen_fds(3). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard.h"
#include "shard/shard_internal.h"

enum {
	FIRST_FD = 3,
	BACKLOG = 4096,
	MOST_FDS = 65536, /* a claim of the environment, not a fact */
};

/* A whole decimal number, or -1. */
static long env_number(const char *name)
{
	const char *text = getenv(name);
	if (!text || *text < '0' || *text > '9')
		return -1;
	char *end;
	errno = 0;
	const long value = strtol(text, &end, 10);
	return errno || *end ? -1 : value;
}

/* The next of names separated by colons; too long ones are cut. */
static void name_take(const char **names, char *out, size_t cap)
{
	const size_t len = strcspn(*names, ":");
	snprintf(out, cap, "%.*s", (int)(len < cap ? len : cap - 1), *names);
	*names += len;
	if (**names == ':')
		(*names)++;
}

int shard_inherited(struct shard_inherited *out, int max)
{
	const long pid = env_number("LISTEN_PID");
	const long fds = env_number("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	int count = 0;
	if (pid == (long)getpid() && fds > 0 && fds <= MOST_FDS) {
		const char *rest = names ? names : "";
		for (int fd = FIRST_FD; fd < FIRST_FD + (int)fds && count < max; fd++) {
			struct shard_inherited found = { .fd = fd };
			name_take(&rest, found.name, sizeof(found.name));
			const int flags = fcntl(fd, F_GETFD);
			if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
				continue; /* not open */
			out[count++] = found;
		}
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return count;
}

static bool socket_type(int fd, int *type)
{
	socklen_t len = sizeof(*type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, type, &len) == 0;
}

static bool socket_name(int fd, union shard_name *name)
{
	socklen_t len = sizeof(*name);
	memset(name, 0, sizeof(*name));
	return getsockname(fd, &name->sa, &len) == 0 &&
	       (name->sa.sa_family == AF_INET || name->sa.sa_family == AF_INET6);
}

int shard_matches(int fd, const struct sockaddr *addr, socklen_t len, int type)
{
	union shard_name wanted = { 0 }, have;
	int have_type;
	if (!addr || len > sizeof(wanted) || len < sizeof(struct sockaddr_in))
		return 0;
	memcpy(&wanted, addr, len);
	if (!socket_type(fd, &have_type) || have_type != type ||
		!socket_name(fd, &have))
		return 0;
	return shard_name_port(&wanted) == shard_name_port(&have) &&
	       shard_name_same_ip(&wanted, &have);
}

/* A parked one has it no more (park.c), and is no member either. */
static bool may_be_joined(int fd, int type)
{
	int reuse = 0;
	socklen_t len = sizeof(reuse);
	return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse, &len) < 0 || reuse ||
	       (type == SOCK_DGRAM && shard_parked(fd));
}

int shard_adopt(int fd)
{
	int type;
	union shard_name name;
	if (!socket_type(fd, &type) || !socket_name(fd, &name))
		return errno == EBADF ? -EBADF : -ENOTSOCK;
	if (type != SOCK_DGRAM && type != SOCK_STREAM)
		return -EPROTOTYPE;
	const int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	const char *what;
	const int e = shard_socket_set_options(fd, name.sa.sa_family, type, &what);
	if (e)
		return e;
	int listens = type == SOCK_DGRAM;
	socklen_t len = sizeof(listens);
	if (!listens && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
		return -errno;
	if (!listens && listen(fd, BACKLOG) < 0)
		return -errno;
	return may_be_joined(fd, type) ? 0 : -EADDRINUSE;
}
