/* SPDX-License-Identifier: MIT */
/* shard/shard_internal.h - what the library's files share; nothing of it is exported.
 */
#ifndef SHARD_INTERNAL_H
#define SHARD_INTERNAL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

union shard_name {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage any;
};

/* A socket as sock_diag(7) shows it. */
struct diag_socket {
	union shard_name local;
	uint8_t state; /* TCP_CLOSE, TCP_LISTEN...; a connected UDP socket:
			  TCP_ESTABLISHED */
	uint32_t uid;
	uint32_t inode;
	uint32_t ifindex; /* SO_BINDTODEVICE, or 0 */
	uint64_t cookie;  /* SO_COOKIE */
};

/* Return false to stop. */
typedef bool diag_fn(void *ctx, const struct diag_socket *s);

/* Every UDP socket or TCP listener of `family` on `port` (host order), of all users.
 * UDP sockets in all states. 0 or -errno. */
int shard_diag_each(int family, int type, uint16_t port, diag_fn *fn, void *ctx);

struct shard_problem;
/* Who holds the port of this address: fills owner_pid, owner, owner_uid as far as
 * visible. */
void shard_diag_find_owner(
	const union shard_name *wanted, int type, struct shard_problem *p);

/* Is what keeps an address from being bound only our own, parked sockets among them? */
bool shard_diag_only_ours(const union shard_name *wanted, uint32_t uid);

uint16_t shard_name_port(const union shard_name *name); /* host order */
bool shard_name_is_any(const union shard_name *name);
/* Address, family and, for link-local, scope. */
bool shard_name_same_ip(const union shard_name *a, const union shard_name *b);

/* Options that can be set before and after bind(2). 0 or -errno. */
int shard_socket_set_options(int fd, int family, int type, const char **what);

/* Until no softirq works any more with what it saw before. */
void shard_wait_grace_period(void);

/* Start time of a process (0: none, or dead), and whether that very one is alive. */
uint64_t shard_process_start(uint32_t pid);
bool shard_process_alive(uint32_t pid, uint64_t start);

#endif
