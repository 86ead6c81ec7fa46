/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/steer.h - who chooses the socket of a sharded group, if not the kernel's hash. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum steer_policy {
	STEER_NONE,   /* the kernel's hash */
	STEER_CPU,    /* classic BPF: the CPU that took the packet */
	STEER_ROUND,  /* eBPF: one after the other */
	STEER_LEAST,  /* eBPF: who has least to do, of all */
	STEER_SPREAD, /* libshard: the less loaded of two, for everything */
	STEER_HEAVY,  /* libshard: by hash; heavy flows to the less loaded of two */
	STEER_STRICT, /* libshard by hash; strangers get nothing */
	STEER_GUARD,  /* and sk_lookup in front */
};

struct steer; /* NULL: nothing is steered, and the calls do nothing */

/* May programs be loaded here? If not, `why` says it. Tried once. */
bool steer_possible(char *why, size_t cap);
/* For the sockets of one group, in the order of their binding. NULL with errno. */
struct steer *steer_new(enum steer_policy policy, const int *fds, unsigned count);
void steer_free(struct steer *s);

/* Before a receiving call. */
void steer_begin(struct steer *s, unsigned index);
/* A datagram of this client came (heavy ones are vouched for). */
void steer_heard(struct steer *s, const struct sockaddr *client, socklen_t len);
/* A worker's word: one more is answered (who chooses by load needs it). */
void steer_done(struct steer *s, unsigned index);
/* And so long it took. */
void steer_worked(struct steer *s, unsigned index, uint64_t cpu_ns);
/* A new socket takes the worker's place; its old one gets nothing more. 0 or -errno. */
int steer_join(struct steer *s, unsigned index, int fd);
/* The worker takes nothing new, when this returns. */
void steer_leave(struct steer *s, unsigned index);
