/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/keep.h - the descriptors that an instance leaves with us, for its successor:
 * sd_pid_notify_with_fds(3). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KEEP_MAX = 1024, /* an instance: more is a fault of its own */
	KEEP_NAME_MAX = 96,
};

struct kept_fd {
	char name[KEEP_NAME_MAX];
	int fd;
	uint64_t device, inode;
};

struct keep {
	struct kept_fd *rows;
	size_t count;
};

/* Takes the descriptor; the same file is kept once. False: closed, there is no room. */
bool keep_add(struct keep *k, const char *name, int fd);
/* Closes all of this name; how many. */
size_t keep_remove(struct keep *k, const char *name);
/* Connect-parks its UDP sockets, so that the kernel chooses siblings; how many. Final.
 */
size_t keep_park(const struct keep *k);
/* Closes its TCP listeners. */
void keep_close_listeners(struct keep *k);
void keep_close(struct keep *k);
