/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/restart/tcp.c - new connections at a constant rate: connect, ask one cached name,
 * read the answer, close. Client addresses change with every connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
	CONNECTIONS = 65536, /* by descriptor */
	EVENTS = 256,
	TURN = 32,
	MESSAGE_MAX = 512,
	LENGTH = 2,
};

struct connection {
	uint32_t record;
	uint16_t id;
	uint16_t have;
	bool open, asked;
	uint8_t message[MESSAGE_MAX];
};

struct tcp {
	struct sockaddr_in to;
	uint32_t addresses, hot, next;
	int ep, live;
	struct connection *rows;
};

static void finish(struct tcp *t, int fd, enum outcome outcome)
{
	account_close(t->rows[fd].record, outcome);
	t->rows[fd].open = false;
	t->live--;
	close(fd); /* with SO_LINGER: no TIME_WAIT, so ports never run out */
}

static void fail(struct tcp *t, int fd, int error)
{
	finish(t, fd,
		error == ECONNRESET || error == EPIPE ? OUTCOME_RESET
		: error == ECONNREFUSED               ? OUTCOME_NO_LISTENER
		: error == ETIMEDOUT                  ? OUTCOME_LOST
						      : OUTCOME_UNSENT);
}

/* On 127.0.0.0/8 the source address changes. Elsewhere the destination does, which the
 * path makes the client's (path.c). */
static struct sockaddr_in connect_from(struct tcp *t, int fd, int *error)
{
	const uint32_t step = t->next++ % t->addresses;
	struct sockaddr_in to = t->to, own = { .sin_family = AF_INET }, seen;
	socklen_t len = sizeof(own);
	const int one = 1;
	const bool local = ntohl(to.sin_addr.s_addr) >> 24 == 127;
	if (local) {
		own.sin_addr.s_addr = htonl(0x7f020001 + step);
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		bind(fd, (struct sockaddr *)&own, sizeof(own));
	} else {
		to.sin_addr.s_addr = htonl(ntohl(to.sin_addr.s_addr) + step);
	}
	*error = connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
	getsockname(fd, (struct sockaddr *)&own, &len);
	seen = own;
	if (!local)
		seen.sin_addr = to.sin_addr;
	return seen;
}

static void open_connection(struct tcp *t)
{
	const struct linger at_once = { 1, 0 };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || fd >= CONNECTIONS)
		load_die("socket");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	int error;
	const struct sockaddr_in seen = connect_from(t, fd, &error);
	t->rows[fd] = (struct connection){ .record = account_open(false, &seen),
		.open = true };
	t->live++;
	struct epoll_event e = { .events = EPOLLOUT, .data.fd = fd };
	if (error && error != EINPROGRESS)
		fail(t, fd, error);
	else if (epoll_ctl(t->ep, EPOLL_CTL_ADD, fd, &e) < 0)
		load_die("epoll");
}

static void ask(struct tcp *t, int fd)
{
	struct connection *c = &t->rows[fd];
	uint8_t m[LENGTH + QUERY_MAX];
	int error = 0;
	socklen_t size = sizeof(error);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	c->id = (uint16_t)rand();
	const size_t len = load_write_query(m + LENGTH, c->id, false, t->next % t->hot);
	m[0] = 0;
	m[1] = (uint8_t)len;
	if (!error && send(fd, m, LENGTH + len, MSG_NOSIGNAL) < 0)
		error = errno;
	if (error) {
		fail(t, fd, error);
		return;
	}
	c->asked = true;
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
	epoll_ctl(t->ep, EPOLL_CTL_MOD, fd, &e);
}

static void take(struct tcp *t, int fd)
{
	struct connection *c = &t->rows[fd];
	const ssize_t n =
		recv(fd, c->message + c->have, sizeof(c->message) - c->have, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (n < 0)
			fail(t, fd, errno);
		else
			finish(t, fd, OUTCOME_CLOSED);
		return;
	}
	c->have = (uint16_t)(c->have + n);
	const uint8_t *m = c->message;
	if (c->have < LENGTH + DNS_HEADER || c->have < LENGTH + (m[0] << 8 | m[1]))
		return;
	const bool ours = (m[LENGTH] << 8 | m[LENGTH + 1]) == c->id;
	finish(t, fd, ours ? load_judge(m + LENGTH, c->have - LENGTH) : OUTCOME_RCODE);
}

static void turn(struct tcp *t, bool busy)
{
	struct epoll_event e[EVENTS];
	const int n = epoll_wait(t->ep, e, EVENTS, busy ? 0 : 1);
	for (int i = 0; i < n; i++) {
		if (t->rows[e[i].data.fd].asked)
			take(t, e[i].data.fd);
		else
			ask(t, e[i].data.fd);
	}
}

int tcp_main(char **v)
{
	struct tcp t = { .to = load_addr(v[0], v[1]),
		.addresses = (uint32_t)atoi(v[3]),
		.hot = (uint32_t)atoi(v[4]),
		.ep = epoll_create1(EPOLL_CLOEXEC),
		.rows = calloc(CONNECTIONS, sizeof(*t.rows)) };
	load_raise_files();
	if (!t.rows || !t.addresses || !t.hot)
		load_die("arguments");
	srand((unsigned)load_now_us());
	account_start(atof(v[2]));
	uint64_t due;
	while (account_due(&due)) {
		for (uint64_t i = 0; i < due && i < TURN; i++)
			open_connection(&t);
		turn(&t, due > TURN);
	}
	const int64_t end_us = load_now_us() + LATE_MS * 1000;
	while (t.live && load_now_us() < end_us)
		turn(&t, false);
	account_print(0); /* what is still open stays lost */
	return 0;
}
