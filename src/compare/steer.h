/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/steer.h - who chooses the socket of a sharded group, if not the kernel's hash. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum steer_policy {
	STEER_NONE,     /* the kernel's hash */
	STEER_CPU,      /* classic BPF: the CPU that took the packet */
	STEER_ROUND,    /* eBPF: one after the other */
	STEER_LEAST,    /* eBPF: who has least to do, of all */
	STEER_LIBSHARD, /* libshard: two choices */
	STEER_STRICT,   /* libshard by hash; strangers get nothing */
	STEER_GUARD,    /* and sk_lookup in front */
};

struct steer; /* NULL: nothing is steered, and the calls do nothing */

/* May programs be loaded here? If not, `why` says it. */
bool steer_possible(char *why, size_t cap);
/* For the sockets of one group, in the order of their binding. NULL with errno. */
struct steer *steer_new(enum steer_policy policy, const int *fds, unsigned count);
void steer_free(struct steer *s);

/* A worker's word: one more is answered (who chooses by load needs it). */
void steer_done(struct steer *s, unsigned index);
/* A new socket takes the worker's place; its old one gets nothing more. 0 or -errno. */
int steer_join(struct steer *s, unsigned index, int fd);
/* The worker takes nothing new, when this returns. */
void steer_leave(struct steer *s, unsigned index);
