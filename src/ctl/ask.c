/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/ask.c - the client's side of the control socket: one line, one answer of each that is asked. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "ctl/control.h"
#include "ctl/framed.h"
#include "ctl/sockpath.h"
#include "ctl/stats.h"

/* A connection that is asked. */
struct asking {
	int fd;
	const char *at; /* of the question, `left` bytes that are not sent yet */
	size_t left;
	struct framed in;
};

static int asking_send(struct asking *a)
{
	while (a->left) {
		const ssize_t n =
			send(a->fd, a->at, a->left, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		a->at += n;
		a->left -= (size_t)n;
	}
	return 0;
}

/* 1: the answer is whole, 0: more is due. */
static int asking_receive(struct asking *a)
{
	char buf[16384];
	for (;;) {
		const ssize_t n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		const int done = framed_add(&a->in, buf, (size_t)n);
		if (done)
			return done;
	}
}

/* As far as it goes without waiting. False: it is over, with row->error. */
static bool asking_go(struct asking *a, struct control_asked *row)
{
	int got = asking_send(a);
	if (!got && !a->left)
		got = asking_receive(a);
	if (!got)
		return true;
	row->error = got < 0 ? got : framed_take(&a->in, &row->text, &row->ok);
	return false;
}

static void asking_end(struct asking *a)
{
	fd_close(&a->fd);
	framed_fini(&a->in);
}

/* Until all are over, or the time is. */
static void asking_all(struct asking *asks, struct control_asked *rows,
	struct pollfd *polls, size_t count, int64_t until_us)
{
	for (;;) {
		size_t open = 0;
		for (size_t i = 0; i < count; i++) {
			if (asks[i].fd >= 0 && !asking_go(&asks[i], &rows[i]))
				asking_end(&asks[i]);
			polls[i] = (struct pollfd){ .fd = asks[i].fd,
				.events = asks[i].left ? POLLOUT : POLLIN };
			open += asks[i].fd >= 0;
		}
		const int64_t left_us = until_us - clock_read().mono_us;
		if (!open || left_us <= 0)
			return;
		poll(polls, count, (int)((left_us + 999) / 1000));
	}
}

static bool line_make(char **out, const char *line)
{
	return !strpbrk(line, "\r\n") && strlen(line) <= LIMIT_CONTROL_LINE &&
	       asprintf(out, "__checked\n%s\n", line) >= 0;
}

/* The connection, or -errno. */
static int asking_connect(const char *run_folder, const char *name, int64_t until_us)
{
	char folder[PATH_MAX];
	const int64_t left_ms = (until_us - clock_read().mono_us) / 1000;
	/* a leading dot: no instance, but the supervisor */
	if (!stats_name_valid(name + (name[0] == '.')))
		return -EINVAL;
	if (snprintf(folder, sizeof(folder), "%s/control", run_folder) >=
		(int)sizeof(folder))
		return -ENAMETOOLONG;
	const int fd = sockpath_connect(folder, name, left_ms > 0 ? (int)left_ms : 1);
	return fd == -EAGAIN ? -ETIMEDOUT : fd;
}

void control_ask_all(const char *run_folder, const char *line, int timeout_ms,
	struct control_asked *rows, size_t count)
{
	const int64_t until_us = clock_read().mono_us + timeout_ms * INT64_C(1000);
	char *text = NULL;
	struct asking *asks = calloc(count, sizeof(*asks));
	struct pollfd *polls = calloc(count, sizeof(*polls));
	const int error = !asks || !polls           ? -ENOMEM
			  : !line_make(&text, line) ? -EINVAL
						    : 0;
	for (size_t i = 0; i < count; i++) {
		struct control_asked *row = &rows[i];
		int fd = -1;
		if (!row->error && !error)
			fd = asking_connect(run_folder, row->name, until_us);
		if (!row->error)
			row->error = error ? error : fd < 0 ? fd : -ETIMEDOUT;
		if (!error)
			asks[i] = (struct asking){
				.fd = fd, .at = text, .left = strlen(text)
			};
	}
	if (!error)
		asking_all(asks, rows, polls, count, until_us);
	for (size_t i = 0; !error && i < count; i++)
		asking_end(&asks[i]);
	free(text);
	free(polls);
	free(asks);
}

int control_ask(const char *run_folder, const char *name, const char *line,
	int timeout_ms, char **out, bool *ok)
{
	struct control_asked row = { .name = name };
	control_ask_all(run_folder, line, timeout_ms, &row, 1);
	if (!row.error) {
		*out = row.text;
		*ok = row.ok;
	}
	return row.error;
}
