/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/control.c - the server's side of the control socket.
 *
 * A client is read only while nothing waits to be written to it, so one that asks much
 * and reads nothing holds one answer, not many. */
#include "ctl/control.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "ctl/lines.h"
#include "ctl/sockpath.h"

enum { ACCEPT_PAUSE_US = 100 * 1000 };

enum mode { MODE_TEXT, MODE_BINARY, MODE_CHECKED };

struct client {
	struct control *owner;
	struct client *next;
	struct watch watch;
	struct lines in;
	char *out; /* what waits to be written */
	size_t out_len, out_sent, out_cap;
	enum mode mode;
	bool ended; /* the other side sends no more, or must not */
	int64_t active_us;
};

struct control {
	struct loop *loop;
	control_eval_fn *fn;
	void *ctx;
	struct counters *counters;
	struct watch watch; /* the listening socket */
	struct timer pause; /* no descriptor is left: it is not watched meanwhile */
	struct client *clients;
	size_t count;
	char path[PATH_MAX];
	dev_t device; /* the socket's own file: the path may lead to a successor's */
	ino_t inode;
};

static void client_free(struct client *c)
{
	struct control *o = c->owner;
	struct client **at = &o->clients;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	o->count--;
	int fd = c->watch.fd;
	loop_unwatch(o->loop, &c->watch);
	fd_close(&fd);
	lines_fini(&c->in);
	free(c->out);
	free(c);
}

/* --- answers ---------------------------------------------------------------- */

static void put(struct client *c, const void *data, size_t len)
{
	if (c->out_cap - c->out_len < len) {
		const size_t cap = c->out_len + len + 256;
		char *more = realloc(c->out, cap);
		if (!more) {
			c->ended = true; /* an answer cut in the middle is none */
			return;
		}
		c->out = more;
		c->out_cap = cap;
	}
	memcpy(c->out + c->out_len, data, len);
	c->out_len += len;
}

static void put_answer(struct client *c, bool ok, const char *text)
{
	const size_t len = strlen(text);
	if (c->mode == MODE_TEXT) {
		put(c, text, len);
		if (len && text[len - 1] != '\n')
			put(c, "\n", 1);
		put(c, "> ", 2);
		return;
	}
	const uint32_t head = htonl((uint32_t)len + (c->mode == MODE_CHECKED));
	put(c, &head, sizeof(head));
	if (c->mode == MODE_CHECKED)
		put(c, ok ? "+" : "-", 1);
	put(c, text, len);
}

static void run_line(struct client *c, const char *line, size_t len)
{
	struct control *o = c->owner;
	if (strcmp(line, "__binary") == 0) {
		c->mode = MODE_BINARY;
		return;
	}
	if (strcmp(line, "__checked") == 0) {
		c->mode = MODE_CHECKED;
		return;
	}
	if (strlen(line) != len) {
		put_answer(c, false, "error: a NUL in the line");
		return;
	}
	char *text = NULL;
	counter_up(o->counters, control_commands);
	const bool ok = o->fn(o->ctx, line, &text);
	if (ok)
		log_debug(CONTRL, "%s", line);
	else
		log_warning(CONTRL, "failed: %s: %s", line, text ? text : "");
	put_answer(c, ok, text ? text : "");
	free(text);
}

/* --- one client ------------------------------------------------------------- */

/* False: it went away. */
static bool client_flush(struct client *c)
{
	while (c->out_sent < c->out_len) {
		const ssize_t n = send(c->watch.fd, c->out + c->out_sent,
			c->out_len - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		c->out_sent += (size_t)n;
	}
	c->out_sent = c->out_len = 0;
	return true;
}

/* Lines that are here already, as long as their answers leave. False: it went away. */
static bool client_lines(struct client *c)
{
	char *line;
	size_t len;
	while (!c->out_len) {
		enum line_kind kind = lines_next(&c->in, &line, &len);
		if (kind == LINE_NONE && c->ended)
			kind = lines_rest(&c->in, &line, &len);
		if (kind == LINE_NONE)
			return !c->ended;
		if (kind == LINE_PART) {
			put_answer(c, false, "error: the line is too long");
			client_flush(c);
			return false;
		}
		if (len)
			run_line(c, line, len);
		else
			put_answer(c, true, "");
		if (!client_flush(c))
			return false;
	}
	return true;
}

static bool client_read(struct client *c)
{
	size_t room;
	char *at = lines_space(&c->in, &room);
	const ssize_t n = recv(c->watch.fd, at, room, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		c->ended = true;
	lines_added(&c->in, (size_t)n);
	return true;
}

static void client_event(void *ctx, unsigned events)
{
	struct client *c = ctx;
	struct control *o = c->owner;
	c->active_us = loop_now(o->loop)->mono_us;
	bool alive = client_flush(c);
	if (alive && !c->out_len && !c->ended && events & (LOOP_READ | LOOP_HANGUP))
		alive = client_read(c);
	if (alive && !c->out_len)
		alive = client_lines(c);
	if (!alive)
		client_free(c);
	else
		loop_watch_events(
			o->loop, &c->watch, c->out_len ? LOOP_WRITE : LOOP_READ);
}

/* A hundred hung clients must not lock the operator out. */
static void shed_idlest(struct control *o)
{
	struct client *idlest = o->clients;
	for (struct client *c = o->clients; c; c = c->next)
		if (c->active_us < idlest->active_us)
			idlest = c;
	client_free(idlest);
}

static void client_new(struct control *o, int fd)
{
	if (o->count >= LIMIT_CONTROL_CLIENTS)
		shed_idlest(o);
	struct client *c = calloc(1, sizeof(*c));
	if (!c || !lines_init(&c->in, LIMIT_CONTROL_LINE)) {
		free(c);
		fd_close(&fd);
		return;
	}
	c->owner = o;
	c->next = o->clients;
	c->active_us = loop_now(o->loop)->mono_us;
	o->clients = c;
	o->count++;
	if (loop_watch(o->loop, &c->watch, fd, LOOP_READ, client_event, c) < 0) {
		c->watch.fd = -1;
		fd_close(&fd);
		client_free(c);
		return;
	}
	put(c, "> ", 2);
	if (!client_flush(c))
		client_free(c);
}

static void accept_again(void *ctx)
{
	struct control *o = ctx;
	loop_watch_events(o->loop, &o->watch, LOOP_READ);
}

static void listener_event(void *ctx, unsigned events)
{
	struct control *o = ctx;
	(void)events;
	const int fd = accept4(o->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		client_new(o, fd);
	} else if (errno == EMFILE || errno == ENFILE) {
		counter_up(o->counters, fd_exhausted);
		loop_watch_events(o->loop, &o->watch, 0);
		loop_timer_set(o->loop, &o->pause,
			loop_now(o->loop)->mono_us + ACCEPT_PAUSE_US, accept_again, o);
	}
}

/* --- the socket ------------------------------------------------------------- */

/* The folder is what keeps strangers out. */
static int make_folder(const char *run_folder, const char *folder)
{
	int err = fd_make_folder(run_folder, 0755);
	if (!err)
		err = fd_make_folder(folder, 0700);
	struct stat st;
	if (!err && stat(folder, &st) < 0)
		err = -errno;
	if (!err && st.st_mode & 077 && chmod(folder, 0700) < 0)
		err = -errno;
	return err;
}

static int open_listener(struct control *o, const char *run_folder, const char *name)
{
	char folder[PATH_MAX], temp[128];
	if (snprintf(folder, sizeof(folder), "%s/control", run_folder) >=
			(int)sizeof(folder) ||
		snprintf(o->path, sizeof(o->path), "%s/control/%s", run_folder, name) >=
			(int)sizeof(o->path))
		return -ENAMETOOLONG;
	snprintf(temp, sizeof(temp), ".%s.%d", name, (int)getpid());
	const int err = make_folder(run_folder, folder);
	if (err)
		return err;
	struct stat st;
	const int fd = sockpath_listen(folder, temp, name, LIMIT_CONTROL_CLIENTS, &st);
	if (fd >= 0) {
		o->device = st.st_dev;
		o->inode = st.st_ino;
	}
	return fd;
}

struct control *control_open(struct loop *l, const char *run_folder, const char *name,
	control_eval_fn *fn, void *ctx, struct counters *counters)
{
	assert(l && fn && counters);
	struct control *o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	*o = (struct control){ .loop = l, .fn = fn, .ctx = ctx, .counters = counters };
	o->watch.fd = -1;
	int fd = open_listener(o, run_folder, name);
	const int err =
		fd < 0 ? fd
		       : loop_watch(l, &o->watch, fd, LOOP_READ, listener_event, o);
	if (err < 0) {
		fd_close(&fd);
		free(o);
		errno = -err;
		return NULL;
	}
	return o;
}

void control_close(struct control *o)
{
	if (!o)
		return;
	for (struct client *c = o->clients, *next; c; c = next) {
		next = c->next;
		client_free(c);
	}
	int fd = o->watch.fd;
	loop_timer_clear(o->loop, &o->pause);
	loop_unwatch(o->loop, &o->watch);
	fd_close(&fd);
	struct stat st;
	if (stat(o->path, &st) == 0 && st.st_dev == o->device && st.st_ino == o->inode)
		unlink(o->path);
	free(o);
}
