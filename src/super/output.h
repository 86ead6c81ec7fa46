/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/output.h - many sources, one log stream: each line with its source's name.
 *
 * "dns1  | text"; what a long line was cut into goes on as "dns1  + text". Never waits
 * for a reader that is behind: lines are kept up to a bound, then lost and counted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ctl/lines.h"

enum {
	OUTPUT_LINE_MAX = 3500
}; /* with name and newline below PIPE_BUF: written whole or not */

struct output {
	int fd;
	int width; /* of the names */
	char *kept;
	size_t kept_len;
	unsigned long lost;
};

/* One source: a pipe's reading side, non-blocking. */
struct source {
	const char *name; /* kept pointer */
	int fd;           /* -1: closed */
	struct lines lines;
	bool continued; /* the last piece was the middle of a line */
	char last[200]; /* words: the last line, cut */
};

bool output_init(struct output *o, int fd, int width); /* false: out of memory */
/* At the end: waits up to a second for the reader. */
void output_fini(struct output *o);
/* One line of our own. */
void output_say(struct output *o, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* What could not be written before. */
void output_flush(struct output *o);

bool source_open(struct source *s, const char *name, int fd);
/* All that is there now, a bounded amount a call; false: the other side is closed. */
bool source_read(struct source *s, struct output *o);
/* The last bytes, also of a line that never ended; closes. */
void source_close(struct source *s, struct output *o);
