/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/control.h - the control socket: <run>/control/<name>, one line of Lua per
 * request.
 *
 * As in that dialect: a prompt "> ", one request a line, the result pretty-printed;
 * "__binary" switches to answers of 4-byte big-endian length and payload without prompt
 * (requests stay lines; the switch itself is not answered). "__checked" is the same,
 * and the payload begins with '+' or '-': fine or failed. Requests longer than
 * LIMIT_CONTROL_LINE end the connection; of too many clients the one longest idle goes.
 * The folder is 0700: who can open the socket has full control. A successor binds under
 * a temporary name and renames its own into place; nobody unlinks another's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/counters.h"
#include "loop/loop.h"

struct control;

/* The supervisor's socket among those of the instances, whose names never begin with a dot. */
#define CONTROL_SUPERVISOR ".supervisor"

/* Runs a line; returns malloc'ed text and whether it was fine. */
typedef bool control_eval_fn(void *ctx, const char *line, char **out);

/* NULL with errno. Do this as the user who will serve: the folder, made here, is for
 * its owner alone. */
struct control *control_open(struct loop *l, const char *run_folder, const char *name,
	control_eval_fn *fn, void *ctx, struct counters *counters);
void control_close(struct control
		*c); /* unlinks its own socket only if the path still leads to it */

/* One of those that are asked at once. */
struct control_asked {
	const char *name; /* the caller's; the rest is the answer */
	int error; /* -errno, as of control_ask(); who has one before is not asked */
	bool ok;
	char *text; /* malloc'ed, where there is no error */
};

/* The client's side, blocking with a time-out for all of them together: the result of one
 * line from each. */
void control_ask_all(const char *run_folder, const char *line, int timeout_ms,
	struct control_asked *rows, size_t count);
/* The same of one. 0, or -errno (ENOENT, ECONNREFUSED: nobody there; ETIMEDOUT; EINVAL: `line` has a newline or is
 * too long; EPIPE: it went away meanwhile). `*out` is malloc'ed. */
int control_ask(const char *run_folder, const char *name, const char *line,
	int timeout_ms, char **out, bool *ok);
