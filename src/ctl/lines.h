/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/lines.h - cut a stream of bytes into lines of bounded length.
 *
 * Bytes go in as they come, lines come out whole; a line longer than the bound comes
 * out in parts. Never holds more than bound + one read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct lines {
	char *buf;         /* owned */
	size_t max;        /* bytes of a line, without its newline */
	size_t start, end; /* unread bytes are buf[start..end) */
	char *nul_at;      /* where the text handed out ends, and what stood there */
	char nul_was;
};

enum line_kind {
	LINE_NONE, /* nothing whole yet */
	LINE_WHOLE,
	LINE_PART, /* the first `max` bytes of a longer line; the rest follows as the
		      next */
};

bool lines_init(struct lines *l, size_t max); /* false: out of memory */
void lines_fini(struct lines *l);

/* Where the next bytes go and how many fit: never zero as long as lines_next was called
 * until LINE_NONE. Then say how many came. */
char *lines_space(struct lines *l, size_t *room);
void lines_added(struct lines *l, size_t len);

/* The next line without "\n" or "\r\n", NUL-terminated in place (it may hold NULs of
 * its own: see `len`); valid until the next call. */
enum line_kind lines_next(struct lines *l, char **text, size_t *len);
/* At the end of the stream: what is left without a newline. */
enum line_kind lines_rest(struct lines *l, char **text, size_t *len);
