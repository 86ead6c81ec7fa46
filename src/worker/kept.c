/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "ctl/notify.h"

enum {
	NAME_MAX_LEN = 96,
	FIRST_FD = 3,     /* sd_listen_fds(3) */
	SETTLE_MS = 2000, /* at the start, for all messages together */
	SETTLE_PAUSE_MS = 5,
};

static const char prefix[] = "kept-";

void kept_read(struct kept *k)
{
	k->count = shard_inherited(k->fds, KEPT_MAX);
	k->used = 0;
	k->units = false;
}

int kept_missing(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	const int count = pid && fds && atol(pid) == (long)getpid() ? atoi(fds) : 0;
	for (int i = 0; i < count; i++)
		if (fcntl(FIRST_FD + i, F_GETFD) < 0)
			return FIRST_FD + i;
	return -1;
}

void kept_close(struct kept *k)
{
	for (int i = 0; i < k->count; i++)
		fd_close(&k->fds[i].fd);
}

bool kept_is_stored(const struct shard_inherited *row)
{
	return strncmp(row->name, prefix, sizeof(prefix) - 1) == 0;
}

bool kept_is_a(const struct shard_inherited *row, const char *what)
{
	const char *name = row->name + sizeof(prefix) - 1;
	const size_t len = strlen(what);
	return kept_is_stored(row) && strncmp(name, what, len) == 0 && name[len] == '-';
}

static int take(struct kept *k, int i)
{
	const int fd = k->fds[i].fd;
	k->fds[i].fd = -1;
	k->used++;
	return fd;
}

int kept_take_socket(struct kept *k, const struct addr *a, int type, bool *unit)
{
	struct sockaddr_storage sa;
	const socklen_t len = addr_to_sockaddr(a, &sa);
	for (int i = 0; i < k->count; i++) {
		const int fd = k->fds[i].fd;
		if (fd < 0 ||
			!shard_matches(fd, (const struct sockaddr *)&sa, len, type) ||
			(type == SOCK_DGRAM && shard_parked(fd)))
			continue;
		const int e = shard_adopt(fd);
		if (e == -EADDRINUSE)
			return e;
		if (e < 0) {
			log_warning(NET, "an inherited socket cannot be used: %s",
				strerror(-e));
			continue;
		}
		*unit = !kept_is_stored(&k->fds[i]);
		k->units |= *unit;
		return take(k, i);
	}
	return -1;
}

int kept_take_ring(struct kept *k, const struct addr *a)
{
	struct sockaddr_storage sa;
	const socklen_t len = addr_to_sockaddr(a, &sa);
	for (int i = 0; i < k->count; i++)
		if (k->fds[i].fd >= 0 && shard_ring_matches(k->fds[i].fd,
						 (const struct sockaddr *)&sa, len))
			return take(k, i);
	return -1;
}

/* --- to the keeper ---------------------------------------------------------------- */

bool kept_is_possible(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	return path && *path;
}

/* FDNAME= may hold no colon: sd_pid_notify_with_fds(3). */
static void name_of(
	const char *what, const struct addr *a, char out[static NAME_MAX_LEN])
{
	char text[ADDR_TEXT_MAX];
	addr_to_text(a, text);
	for (char *c = text; *c; c++)
		if (*c == ':')
			*c = '_';
	snprintf(out, NAME_MAX_LEN, "%s%s-%s", prefix, what, text);
}

bool kept_is_of(
	const struct shard_inherited *row, const char *what, const struct addr *a)
{
	char name[NAME_MAX_LEN];
	name_of(what, a, name);
	/* names of the store are cut at the size of a row */
	return strncmp(row->name, name, sizeof(row->name) - 1) == 0;
}

/* What the keeper has not taken yet, oldest first: nobody waits for it while serving. */
struct letter {
	char text[NAME_MAX_LEN + 64];
	int fd; /* -1: none */
};

static struct {
	struct letter rows[KEPT_LETTERS_MAX];
	size_t count;
	int error; /* told last, or 0 */
} waiting;

static int send_letter(const char *text, int fd)
{
	return notify_send(text, &fd, fd >= 0 ? 1 : 0);
}

static void tell_error(int error)
{
	if (error < 0 && error != waiting.error)
		log_warning(NET, "the keeper of sockets cannot be reached: %s",
			strerror(-error));
	waiting.error = error < 0 ? error : 0;
}

/* -1: none */
static void tell(const char *text, int fd)
{
	const int e = waiting.count ? -EAGAIN : send_letter(text, fd);
	if (e != -EAGAIN) {
		tell_error(e);
		return;
	}
	if (waiting.count == KEPT_LETTERS_MAX) {
		tell_error(-ENOBUFS);
		return;
	}
	struct letter *l = &waiting.rows[waiting.count];
	l->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && l->fd < 0) {
		tell_error(-errno);
		return;
	}
	snprintf(l->text, sizeof(l->text), "%s", text);
	waiting.count++;
}

/* sd_notify_barrier(3): who takes the message closes what comes with it. */
int kept_barrier(void)
{
	int ends[2];
	if (!kept_is_possible() || pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	tell("BARRIER=1", ends[1]);
	fd_close(&ends[1]);
	return ends[0];
}

size_t kept_flush(void)
{
	size_t done = 0;
	for (; done < waiting.count; done++) {
		struct letter *l = &waiting.rows[done];
		const int e = send_letter(l->text, l->fd);
		if (e == -EAGAIN)
			break;
		tell_error(e);
		fd_close(&l->fd);
	}
	waiting.count -= done;
	memmove(waiting.rows, waiting.rows + done,
		waiting.count * sizeof(*waiting.rows));
	return waiting.count;
}

void kept_settle(void)
{
	const struct timespec pause = { .tv_nsec = SETTLE_PAUSE_MS * 1000000L };
	for (int ms = 0; kept_flush() && ms < SETTLE_MS; ms += SETTLE_PAUSE_MS)
		nanosleep(&pause, NULL);
}

void kept_store(const char *what, const struct addr *a, int fd)
{
	char name[NAME_MAX_LEN], text[NAME_MAX_LEN + 64];
	if (!kept_is_possible())
		return;
	name_of(what, a, name);
	/* without FDPOLL=0 systemd drops a parked socket at the first ICMP error */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	tell(text, fd);
}

void kept_remove_name(const char *name)
{
	char text[NAME_MAX_LEN + 64];
	if (!kept_is_possible())
		return;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	tell(text, -1);
}

void kept_remove(const char *what, const struct addr *a)
{
	char name[NAME_MAX_LEN];
	name_of(what, a, name);
	kept_remove_name(name);
}
