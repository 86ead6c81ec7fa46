/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/notify.h - sd_notify(3) both ways, without libsystemd: READY=1, STOPPING=1,
 * WATCHDOG=1, FDSTORE=1. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* To $NOTIFY_SOCKET; 0, -errno, or 1 when there is none. `fds` (may be NULL) go by
 * SCM_RIGHTS. Never waits: -EAGAIN when the receiver is behind, so that a stopped
 * supervisor stops nobody. */
int notify_send(const char *text, const int *fds, size_t count);
/* For what must arrive, as READY=1: waits up to two seconds for a receiver that is
 * behind. Only ten messages wait where net.unix.max_dgram_qlen is the kernel's. */
int notify_send_surely(const char *text, const int *fds, size_t count);
/* Microseconds of $WATCHDOG_USEC if it is meant for this process, else 0. */
uint64_t notify_watchdog_us(void);
/* The value of "KEY=value" on a line of its own; false when it is not there. Cut at
 * `cap`. */
bool notify_value(const char *text, const char *key, char *out, size_t cap);

/* The supervisor's side: a bound datagram socket with SO_PASSCRED. */
struct notify_message {
	pid_t pid; /* as the kernel says; 0: unknown */
	char text[2048];
	int fds[16]; /* the receiver's to close */
	size_t fd_count;
	bool lost; /* some descriptors could not be received: too many are open */
};
/* A path, replaced if it is there, or "@name" in the abstract namespace. Anyone may
 * send (instances may have given up their rights): judge by `pid`. Descriptor or
 * -errno. */
int notify_listen(const char *path);
int notify_receive(int fd, struct notify_message *out); /* 1 message, 0 none, -errno */
