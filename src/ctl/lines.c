/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/lines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { READ_ROOM = 4096 }; /* beside a line of full length */

bool lines_init(struct lines *l, size_t max)
{
	assert(max > 0);
	/* "\r", "\n" and a NUL stand beside the line itself */
	*l = (struct lines){ .buf = malloc(max + READ_ROOM + 3), .max = max };
	return l->buf;
}

void lines_fini(struct lines *l)
{
	free(l->buf);
	*l = (struct lines){ 0 };
}

/* Give back the byte that the NUL of the text before stands on. */
static void untake(struct lines *l)
{
	if (l->nul_at)
		*l->nul_at = l->nul_was;
	l->nul_at = NULL;
}

char *lines_space(struct lines *l, size_t *room)
{
	untake(l);
	if (l->start) {
		memmove(l->buf, l->buf + l->start, l->end - l->start);
		l->end -= l->start;
		l->start = 0;
	}
	*room = l->max + READ_ROOM + 2 - l->end; /* one byte stays for a NUL */
	return l->buf + l->end;
}

void lines_added(struct lines *l, size_t len)
{
	assert(len <= l->max + READ_ROOM + 2 - l->end);
	l->end += len;
}

/* Hand out `len` bytes as text and skip `skip` more. */
static void take(struct lines *l, size_t len, size_t skip, char **text)
{
	*text = l->buf + l->start;
	l->start += len + skip;
	l->nul_at = *text + len;
	l->nul_was = *l->nul_at;
	*l->nul_at = 0;
}

enum line_kind lines_next(struct lines *l, char **text, size_t *len)
{
	untake(l);
	const size_t left = l->end - l->start;
	const char *at = l->buf + l->start;
	const char *newline = memchr(at, '\n', left);
	const size_t n = newline ? (size_t)(newline - at) : left;
	if (newline && n && at[n - 1] == '\r' && n - 1 <= l->max) {
		*len = n - 1;
		take(l, n - 1, 2, text);
		return LINE_WHOLE;
	}
	if (n > l->max) {
		*len = l->max;
		take(l, l->max, 0, text);
		return LINE_PART;
	}
	if (!newline)
		return LINE_NONE;
	*len = n;
	take(l, n, 1, text);
	return LINE_WHOLE;
}

enum line_kind lines_rest(struct lines *l, char **text, size_t *len)
{
	const enum line_kind kind = lines_next(l, text, len);
	if (kind != LINE_NONE || l->start == l->end)
		return kind;
	*len = l->end - l->start;
	take(l, *len, 0, text);
	return LINE_WHOLE;
}
