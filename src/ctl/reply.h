/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/reply.h - put an answer of the control socket together from the pieces it comes in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPLY_MAX = 64 * 1024 * 1024 }; /* a length that nobody means */

/* All zero at the start. */
struct reply {
	char *buf;
	size_t len, cap;
};

/* 1: whole, 0: more is due, -EMSGSIZE, -EPROTO, -ENOMEM. */
int reply_add(struct reply *r, const void *data, size_t len);
/* The text (malloc'ed) and verdict of a whole answer. 0 or -ENOMEM. */
int reply_take(const struct reply *r, char **text, bool *ok);
void reply_fini(struct reply *r);
