/* SPDX-License-Identifier: MIT */
/* shard/park.c - take a UDP socket out of its group while its queue stays readable.
 *
 * The kernel's choice among the sockets of a group skips connected ones. But who binds
 * joins the group of the first socket of the address that has SO_REUSEPORT, and a
 * parked one that stands first would found a second group with it. So a parked socket
 * has SO_REUSEPORT no more; SO_REUSEADDR on both sides is what lets a fresh one bind
 * beside it (open.c). Its queue is still read and it still sends. */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shard.h"
#include "shard/shard_internal.h"

enum {
	DEAD_PORT = 9, /* discard: nobody answers, and if so it is a stray datagram */
	DEAD_PORT_TOO = 1,
	GRACE_MS = 50, /* where membarrier(2) is refused: longer than any grace period
			  seen */
};

void shard_wait_grace_period(void)
{
	if (!shard_disabled("membarrier") &&
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		return;
	struct timespec left = { .tv_nsec = GRACE_MS * 1000000L };
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* Its own address is there as long as it can send at all; then the loopback. */
static int connect_to(int fd, const union shard_name *local, bool loopback)
{
	union shard_name to = *local;
	const uint16_t port =
		htons(shard_name_port(local) == DEAD_PORT ? DEAD_PORT_TOO : DEAD_PORT);
	if (to.sa.sa_family == AF_INET6) {
		to.v6.sin6_port = port;
		if (loopback)
			to.v6.sin6_addr = in6addr_loopback;
		return connect(fd, &to.sa, sizeof(to.v6));
	}
	to.v4.sin_port = port;
	if (loopback)
		to.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, &to.sa, sizeof(to.v4));
}

int shard_park(int fd)
{
	union shard_name local = { 0 };
	socklen_t len = sizeof(local);
	int type = 0;
	socklen_t type_len = sizeof(type);
	if (getsockname(fd, &local.sa, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0)
		return -errno;
	if (type != SOCK_DGRAM)
		return -EOPNOTSUPP;
	if (local.sa.sa_family != AF_INET && local.sa.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	if ((shard_name_is_any(&local) || connect_to(fd, &local, false) < 0) &&
		connect_to(fd, &local, true) < 0)
		return -errno;
	const int yes = 1, no = 0;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &no, sizeof(no)) < 0)
		return -errno;
	/* a softirq that chose this socket before may still be putting its datagram
	 * here */
	shard_wait_grace_period();
	return 0;
}

int shard_parked(int fd)
{
	union shard_name peer;
	socklen_t len = sizeof(peer);
	return getpeername(fd, &peer.sa, &len) == 0;
}
