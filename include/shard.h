/* SPDX-License-Identifier: MIT */
/* shard.h - sharded sockets: several processes behind one UDP or TCP port (libshard).
 *
 * libc and the kernel only. Calls return 0 or a negative errno unless said otherwise;
 * none of them starts threads, installs signal handlers or prints. */
#ifndef SHARD_H
#define SHARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHARD_API __attribute__((visibility("default")))

/* Options of shard_open(). */
enum {
	SHARD_FREEBIND = 1 << 0, /* the address need not exist yet: IP_FREEBIND */
	SHARD_V6ONLY = 1 << 1,   /* set by default for every IPv6 socket; kept for clarity */
	SHARD_EXCLUSIVE = 1 << 2, /* no SO_REUSEPORT: nobody may join */
};

struct shard_opt {
	const struct sockaddr *addr;
	socklen_t addr_len;
	int type;          /* SOCK_DGRAM or SOCK_STREAM */
	unsigned flags;
	int rcvbuf;        /* bytes wanted for SO_RCVBUF (SO_RCVBUFFORCE where allowed); 0: the default */
	int backlog;       /* SOCK_STREAM: listen(2); 0: 1024 */
};

/* Why shard_open() failed, for people. */
struct shard_problem {
	int error;       /* positive errno */
	char what[24];   /* the call that failed: "bind", "socket"... */
	int owner_pid;   /* EADDRINUSE: who has the port, where visible; 0 unknown */
	char owner[64];  /* its name; "" unknown */
	unsigned owner_uid; /* the socket's owner (sock_diag); (unsigned)-1 unknown */
};

/* A bound (and listening) socket of the group of this address, non-blocking, close-on-exec, options
 * right: SO_REUSEPORT, never SO_REUSEADDR on UDP, IPV6_V6ONLY, packet info (IP_PKTINFO, IPV6_RECVPKTINFO), no
 * fragmentation of answers by path MTU (IP_PMTUDISC_OMIT). Returns the descriptor or -errno. `p` may be NULL. */
SHARD_API int shard_open(const struct shard_opt *opt, struct shard_problem *p);

/* Sockets handed over by a service manager (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES: sd_listen_fds(3)).
 * A socket is recognised by getsockname(2) and its type; names only label it.
 * Returns how many were found (0..max) and fills fds; call once, it clears the variables. */
struct shard_inherited {
	int fd;
	char name[64];
};
SHARD_API int shard_inherited(struct shard_inherited *out, int max);
/* Is this descriptor a socket of this type bound to this address? 1 or 0. */
SHARD_API int shard_matches(int fd, const struct sockaddr *addr, socklen_t len, int type);
/* Make an inherited socket ready: options as shard_open() sets them. 0 or -errno. */
SHARD_API int shard_adopt(int fd);

/* How many sockets share the group of fd now (itself included), by sock_diag(7); -errno if it cannot be told. */
SHARD_API int shard_group_size(int fd);

/* Take no new datagrams: connect-parking. The kernel skips a connected UDP socket in its
 * group while its queue stays readable. Final: drain and close it. Waits one RCU grace period (membarrier(2)). */
SHARD_API int shard_park(int fd);

/* What this kernel and these rights allow. */
enum {
	SHARD_CAN_REUSEPORT = 1 << 0,
	SHARD_CAN_BPF = 1 << 1,         /* may load programs */
	SHARD_CAN_MIGRATE_REQ = 1 << 2, /* net.ipv4.tcp_migrate_req is 1 */
	SHARD_CAN_RCVBUFFORCE = 1 << 3,
	SHARD_CAN_IO_URING = 1 << 4,
	SHARD_CAN_MEMBARRIER = 1 << 5,
};
SHARD_API unsigned shard_features(void);

SHARD_API const char *shard_version(void);

#ifdef __cplusplus
}
#endif
#endif
