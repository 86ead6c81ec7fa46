/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/framed.h - put an answer of the control socket together from the pieces it comes
 * in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAMED_MAX = 64 * 1024 * 1024 }; /* a length that nobody means */

/* All zero at the start. */
struct framed {
	char *buf;
	size_t len, cap;
};

/* 1: whole, 0: more is due, -EMSGSIZE, -EPROTO, -ENOMEM. */
int framed_add(struct framed *r, const void *data, size_t len);
/* The text (malloc'ed) and verdict of a whole answer. 0 or -ENOMEM. */
int framed_take(const struct framed *r, char **text, bool *ok);
void framed_fini(struct framed *r);
