/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/output.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

enum {
	KEPT_MAX = 512 * 1024,
	LINE_CAP = 4096,   /* PIPE_BUF */
	READS_A_CALL = 64, /* so that a chatterer does not hold up the rest */
	FINI_MS = 1000,
};

bool output_init(struct output *o, int fd, int width)
{
	*o = (struct output){ .fd = fd, .width = width, .kept = malloc(KEPT_MAX) };
	return o->kept;
}

/* poll(2): a pipe that is writable takes PIPE_BUF bytes without waiting. */
static bool is_writable(int fd, int wait_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	return poll(&p, 1, wait_ms) == 1;
}

/* Bytes written of a piece of whole lines; the reader's end being gone counts as
 * written. */
static size_t write_some(
	const struct output *o, const char *data, size_t len, int wait_ms)
{
	if (!is_writable(o->fd, wait_ms))
		return 0;
	const ssize_t n = write(o->fd, data, len < LINE_CAP ? len : LINE_CAP);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : len;
	return (size_t)n;
}

static void flush_waiting(struct output *o, int wait_ms)
{
	size_t done = 0;
	while (done < o->kept_len) {
		const size_t n =
			write_some(o, o->kept + done, o->kept_len - done, wait_ms);
		if (n == 0)
			break;
		done += n;
	}
	memmove(o->kept, o->kept + done, o->kept_len - done);
	o->kept_len -= done;
}

static void put(struct output *o, const char *line, size_t len)
{
	if (!o->kept_len) {
		const size_t n = write_some(o, line, len, 0);
		line += n;
		len -= n;
	}
	if (!len)
		return;
	if (KEPT_MAX - o->kept_len < len) {
		o->lost++;
		return;
	}
	memcpy(o->kept + o->kept_len, line, len);
	o->kept_len += len;
}

/* What moves a terminal's cursor does not pass. */
static size_t copy_text(char *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)text[i];
		out[i] = (c < 0x20 && c != '\t') || c == 0x7f ? '?' : (char)c;
	}
	return len;
}

static void put_line(
	struct output *o, const char *name, char mark, const char *text, size_t len)
{
	char line[LINE_CAP];
	assert(len <= OUTPUT_LINE_MAX);
	size_t at = (size_t)snprintf(line, 128, "%-*.64s %c ", o->width, name, mark);
	at += copy_text(line + at, text, len);
	line[at++] = '\n';
	put(o, line, at);
}

static void tell_lost(struct output *o)
{
	const unsigned long lost = o->lost;
	if (!lost || o->kept_len >= KEPT_MAX / 2)
		return;
	o->lost = 0;
	output_say(o, "shoal", "%lu lines were lost: nobody reads this log", lost);
}

void output_flush(struct output *o)
{
	flush_waiting(o, 0);
	tell_lost(o);
}

void output_fini(struct output *o)
{
	flush_waiting(o, FINI_MS);
	tell_lost(o);
	free(o->kept);
	*o = (struct output){ .fd = -1 };
}

void output_say(struct output *o, const char *name, const char *fmt, ...)
{
	char text[OUTPUT_LINE_MAX + 1];
	va_list args;
	va_start(args, fmt);
	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		text[0] = 0;
	va_end(args);
	put_line(o, name, '|', text, strlen(text));
}

bool source_open(struct source *s, const char *name, int fd)
{
	*s = (struct source){ .name = name, .fd = fd };
	return lines_init(&s->lines, OUTPUT_LINE_MAX);
}

static void print(struct source *s, struct output *o, enum line_kind kind,
	const char *text, size_t len)
{
	put_line(o, s->name, s->continued ? '+' : '|', text, len);
	s->continued = kind == LINE_PART;
	if (len) {
		const size_t n = len < sizeof(s->last) - 1 ? len : sizeof(s->last) - 1;
		copy_text(s->last, text, n);
		s->last[n] = 0;
	}
}

bool source_read(struct source *s, struct output *o)
{
	for (int i = 0; i < READS_A_CALL; i++) {
		size_t room, len;
		char *text, *at = lines_space(&s->lines, &room);
		const ssize_t n = read(s->fd, at, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		lines_added(&s->lines, (size_t)n);
		for (enum line_kind kind;
			(kind = lines_next(&s->lines, &text, &len)) != LINE_NONE;)
			print(s, o, kind, text, len);
	}
	return true;
}

void source_close(struct source *s, struct output *o)
{
	if (s->fd < 0)
		return;
	char *text;
	size_t len;
	source_read(s, o);
	const enum line_kind kind = lines_rest(&s->lines, &text, &len);
	if (kind != LINE_NONE)
		print(s, o, LINE_WHOLE, text, len);
	lines_fini(&s->lines);
	fd_close(&s->fd);
}
