/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/hijack.c - who may take part in a group of sockets, or take it over.
 *
 * A socket belongs to whoever is the user when socket(2) is called; so one process can
 * play all parts: it becomes the one, opens the group; becomes the other, tries. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compare/compare.h"
#include "compare/crew.h"
#include "compare/steer.h"
#include "shard.h"

enum {
	MEMBERS = 2,
	ASKED = 300, /* datagrams or connections, each from a port of its own */
	BACKLOG = 512,
	RECEIVE_BYTES = 1 << 20,
	SETTLE_US = 50000,
};

enum user { ROOT = 0, SERVER = 61001, STRANGER = 61002 };

enum shield { PLAIN, STEERED, GUARDED };

struct attempt {
	const char *what;
	enum user server, stranger;
	bool server_any;     /* the group is on 0.0.0.0 */
	bool server_alone;   /* without SO_REUSEPORT */
	bool server_address; /* and SO_REUSEADDR */
	bool stranger_alone; /* without SO_REUSEPORT */
	bool stranger_address;
	bool replaces; /* the group's program by one of its own */
	enum shield shield;
};

static const struct attempt attempts[] = {
	{ .what = "another user joins", .server = SERVER, .stranger = STRANGER },
	{ .what = "root joins a user's group", .server = SERVER, .stranger = ROOT },
	{ .what = "a user joins a group that root made",
		.server = ROOT,
		.stranger = STRANGER },
	{ .what = "joiner without SO_REUSEPORT",
		.server = SERVER,
		.stranger = SERVER,
		.stranger_alone = true },
	{ .what = "first member without SO_REUSEPORT",
		.server = SERVER,
		.stranger = SERVER,
		.server_alone = true },
	{ .what = "same user joins", .server = SERVER, .stranger = SERVER },
	{ .what = "same user, more specific address",
		.server = SERVER,
		.stranger = SERVER,
		.server_any = true },
	{ .what = "another user, more specific address",
		.server = SERVER,
		.stranger = STRANGER,
		.server_any = true },
	{ .what = "another user, both with SO_REUSEADDR too",
		.server = SERVER,
		.stranger = STRANGER,
		.server_address = true,
		.stranger_address = true },
	{ .what = "same user joins and replaces the program",
		.server = SERVER,
		.stranger = SERVER,
		.replaces = true },
	{ .what = "same user joins, libshard steering, strict",
		.server = SERVER,
		.stranger = SERVER,
		.shield = STEERED },
	{ .what = "same user replaces the program, steering, strict",
		.server = SERVER,
		.stranger = SERVER,
		.replaces = true,
		.shield = STEERED },
	{ .what = "same user, more specific address, steering, strict",
		.server = SERVER,
		.stranger = SERVER,
		.server_any = true,
		.shield = STEERED },
	{ .what = "same user joins, libshard guard",
		.server = SERVER,
		.stranger = SERVER,
		.shield = GUARDED },
	{ .what = "same user replaces the program, guard",
		.server = SERVER,
		.stranger = SERVER,
		.replaces = true,
		.shield = GUARDED },
	{ .what = "same user, more specific address, guard",
		.server = SERVER,
		.stranger = SERVER,
		.server_any = true,
		.shield = GUARDED },
};

static void set_option(int fd, int option)
{
	const int one = 1;
	setsockopt(fd, SOL_SOCKET, option, &one, sizeof(one));
}

/* As this user; -1 with errno. */
static int open_as(enum user user, int type, bool alone, bool address,
	const struct sockaddr_in *to)
{
	const int bytes = RECEIVE_BYTES;
	if (seteuid(user) < 0)
		return -1;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int opened = errno;
	if (seteuid(ROOT) < 0)
		return -1;
	errno = opened;
	if (fd < 0)
		return -1;
	if (!alone)
		set_option(fd, SO_REUSEPORT);
	if (address)
		set_option(fd, SO_REUSEADDR);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	/* bind(2) asks whose the socket is, not who asks */
	if (bind(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 &&
		(type == SOCK_DGRAM || listen(fd, BACKLOG) == 0))
		return fd;
	const int e = errno;
	close(fd);
	errno = e;
	return -1;
}

/* "Member number `which`": needs no privilege. */
static bool replace_program(int fd, unsigned which)
{
	struct sock_filter code[] = { { BPF_RET | BPF_K, 0, 0, which } };
	const struct sock_fprog program = { .len = 1, .filter = code };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
		       sizeof(program)) == 0;
}

/* How many came here. */
static int count_taken(int fd, int type)
{
	char data[64];
	int count = 0;
	for (;;) {
		if (type == SOCK_DGRAM) {
			if (recv(fd, data, sizeof(data), MSG_DONTWAIT) < 0)
				return count;
		} else {
			const int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
			if (c < 0)
				return count;
			close(c);
		}
		count++;
	}
}

/* How many could be asked. */
static int ask_all(uint16_t port, int type, int *fds)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int sent = 0;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < ASKED; i++) {
		fds[i] = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fds[i] < 0)
			break;
		const int e = connect(fds[i], (struct sockaddr *)&to, sizeof(to));
		if (type == SOCK_DGRAM)
			sent += e == 0 && send(fds[i], "?", 1, 0) == 1;
		else
			sent += e == 0 || errno == EINPROGRESS;
	}
	sleep_us(SETTLE_US);
	return sent;
}

struct scene {
	int members[MEMBERS], stranger;
	struct steer *steer;
	uint16_t port;
};

static bool group_open(struct scene *s, const struct attempt *a, int type)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	const int count = a->server_alone ? 1 : MEMBERS;
	at.sin_addr.s_addr = htonl(a->server_any ? INADDR_ANY : INADDR_LOOPBACK);
	for (int i = 0; i < count; i++) {
		s->members[i] = open_as(
			a->server, type, a->server_alone, a->server_address, &at);
		if (s->members[i] < 0 ||
			getsockname(s->members[i], (struct sockaddr *)&at, &len) < 0)
			return false;
	}
	s->port = ntohs(at.sin_port);
	if (a->shield == PLAIN)
		return true;
	s->steer = steer_new(
		a->shield == GUARDED ? STEER_GUARD : STEER_STRICT, s->members, MEMBERS);
	return s->steer;
}

static void attempt_make(
	struct scene *s, const struct attempt *a, int type, struct hijack_row *row)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(s->port) };
	int clients[ASKED];
	memset(clients, -1, sizeof(clients));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->stranger =
		open_as(a->stranger, type, a->stranger_alone, a->stranger_address, &at);
	row->allowed = s->stranger >= 0;
	if (!row->allowed)
		snprintf(row->why, sizeof(row->why), "%s", strerror(errno));
	if (row->allowed && a->replaces && !replace_program(s->stranger, MEMBERS))
		snprintf(row->why, sizeof(row->why), "program not replaced: %s",
			strerror(errno));
	row->sent = ask_all(s->port, type, clients);
	for (int i = 0; i < MEMBERS; i++)
		if (s->members[i] >= 0)
			row->ours += count_taken(s->members[i], type);
	if (row->allowed)
		row->stranger = count_taken(s->stranger, type);
	for (int i = 0; i < ASKED; i++)
		if (clients[i] >= 0)
			close(clients[i]);
}

static void compare_attempt(struct report *r, const struct attempt *a, int type)
{
	struct scene s = { .members = { -1, -1 }, .stranger = -1 };
	struct hijack_row *row = report_hijack(r);
	if (!row)
		return;
	row->protocol = type == SOCK_DGRAM ? "UDP" : "TCP";
	row->attempt = a->what;
	row->skipped = true;
	progress("hijack", a->what, row->protocol);
	if (geteuid() != 0) {
		snprintf(row->why, sizeof(row->why),
			"needs root, to become other users");
		return;
	}
	if (a->shield != PLAIN && !steer_possible(row->why, sizeof(row->why)))
		return;
	row->skipped = !group_open(&s, a, type);
	if (row->skipped)
		snprintf(row->why, sizeof(row->why), "cannot be set up: %s",
			strerror(errno));
	else
		attempt_make(&s, a, type, row);
	steer_free(s.steer);
	for (int i = 0; i < MEMBERS; i++)
		if (s.members[i] >= 0)
			close(s.members[i]);
	if (s.stranger >= 0)
		close(s.stranger);
}

bool compare_hijack(struct report *r)
{
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	for (size_t t = 0; t < 2; t++)
		for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
			compare_attempt(r, &attempts[i], types[t]);
	return true;
}
