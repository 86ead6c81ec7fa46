/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/chore.h - what would hold up the loop, done by a child: one at a time each.
 *
 * The child has our memory, but of our descriptors only 0 to 2 and one that it is given:
 * sockets must not live on in it. Its signals are as by default, its priority is low. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct chore {
	pid_t pid; /* 0: none */
};

/* fn returns 0 or -errno. `keep_fd`: one more that the child keeps, or -1. 0 or -errno;
 * -EBUSY: one is at work. */
int chore_begin(
	struct chore *c, int (*fn)(void *ctx), void *ctx, int keep_fd, int nice_by);
/* True once after it ended, with what fn returned; -ECHILD: it died. */
bool chore_ended(struct chore *c, int *err);
/* The same, waiting for at most so long; over it, killed: -ETIME. */
int chore_wait(struct chore *c, int64_t timeout_us);
/* At once. */
void chore_kill(struct chore *c);
