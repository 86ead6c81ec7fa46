/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/start.h - from a configuration file to a serving instance, step by step. */
#pragma once

#include <stdbool.h>

#include "worker/worker.h"

struct start_options {
	const char *file;
	const char *name; /* valid, see start_name() */
	bool check, sockets;
};

/* The instance's name: `given`, else $SYSTEMD_INSTANCE, else "1"; NULL if it has
 * characters that no name may have. It is put into $SYSTEMD_INSTANCE for the
 * configuration. */
const char *start_name(const char *given);
/* --check: 0 or 1; prints. */
int start_check(const struct start_options *o);
/* --sockets: "IP PORT" and " freebind", one a line. 0 or 1. */
int start_sockets(const struct start_options *o);
/* READY=1 by one of notify_send(), notify_send_surely(): tried again each second until it is told. */
void start_tell_ready(
	struct worker *w, int (*send)(const char *text, const int *fds, size_t count));
/* Until the instance stops: 0, or 1 when it could not start (one line on standard
 * error). */
int start_run(const struct start_options *o);
