/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/restart/udp.c - queries at a constant rate from thousands of sockets, each with an
 * address and a port of its own; connected, as those of a stub resolver. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum {
	OUTSTANDING =
		256, /* of one of many sockets; ids beyond that are over PATIENCE_MS old */
	FEW = 64,    /* sockets that may use all ids */
	EVENTS = 256,
	TURN = 64,
	MESSAGE_MAX = 4096,
	MEMINFO_DROPS = 8,
};

struct asked {
	uint32_t record;
	uint16_t id;
	bool waits;
};

struct source {
	int fd;
	uint16_t next_id;
	struct sockaddr_in own;
	struct asked *asked; /* by id, as many as there is room for */
	uint32_t room;
};

struct udp {
	struct source *sources;
	uint32_t count, hot, cold_next, hot_next;
	unsigned cold_percent;
	int ep;
};

/* 127.1.0.1 and up: one address for eight sockets. */
static void open_source(struct udp *u, uint32_t number, const struct sockaddr_in *to)
{
	struct source *s = &u->sources[number];
	const int room = 1 << 20;
	socklen_t len = sizeof(s->own);
	s->room = u->count < FEW ? UINT16_MAX + 1 : OUTSTANDING;
	s->asked = calloc(s->room, sizeof(*s->asked));
	if (!s->asked)
		load_die("memory");
	s->own = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f010001 + number / 8) };
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&s->own, sizeof(s->own)) < 0 ||
		connect(s->fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
		getsockname(s->fd, (struct sockaddr *)&s->own, &len) < 0)
		load_die("socket");
	setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	s->next_id = (uint16_t)rand();
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };
	if (epoll_ctl(u->ep, EPOLL_CTL_ADD, s->fd, &e) < 0)
		load_die("epoll");
}

static void ask(struct udp *u)
{
	struct source *s = &u->sources[(uint32_t)rand() % u->count];
	uint8_t m[QUERY_MAX];
	const bool cold = (unsigned)(rand() % 100) < u->cold_percent;
	const uint16_t id = s->next_id++;
	const size_t len = load_write_query(
		m, id, cold, cold ? u->cold_next++ : u->hot_next++ % u->hot);
	const uint32_t record = account_open(cold, &s->own);
	s->asked[id % s->room] = (struct asked){ record, id, true };
	/* an ICMP error of an earlier datagram is reported here: it says nothing of this one */
	for (int tries = 0; send(s->fd, m, len, 0) < 0; tries++)
		if (errno != ECONNREFUSED || tries == 3) {
			account_close(record, OUTCOME_UNSENT);
			return;
		}
}

static void take(struct source *s)
{
	uint8_t m[MESSAGE_MAX];
	for (;;) {
		const ssize_t n = recv(s->fd, m, sizeof(m), 0);
		if (n < 0 && errno == ECONNREFUSED)
			continue;
		if (n < 0)
			return;
		if (n < DNS_HEADER)
			continue;
		const uint16_t id = (uint16_t)(m[0] << 8 | m[1]);
		struct asked *a = &s->asked[id % s->room];
		if (!a->waits || a->id != id)
			continue; /* answered twice: allowed, the first one counts */
		a->waits = false;
		account_close(a->record, load_judge(m, (size_t)n));
	}
}

static uint64_t count_drops(const struct udp *u)
{
	uint64_t drops = 0;
	for (uint32_t i = 0; i < u->count; i++) {
		uint32_t of[MEMINFO_DROPS + 1] = { 0 };
		socklen_t len = sizeof(of);
		getsockopt(u->sources[i].fd, SOL_SOCKET, SO_MEMINFO, of, &len);
		drops += of[MEMINFO_DROPS];
	}
	return drops;
}

static void turn(struct udp *u, bool busy)
{
	struct epoll_event e[EVENTS];
	const int n = epoll_wait(u->ep, e, EVENTS, busy ? 0 : 1);
	for (int i = 0; i < n; i++)
		take(e[i].data.ptr);
}

int udp_main(char **v)
{
	const struct sockaddr_in to = load_addr(v[0], v[1]);
	struct udp u = { .count = (uint32_t)atoi(v[3]),
		.cold_percent = (unsigned)atoi(v[4]),
		.hot = (uint32_t)atoi(v[5]),
		.ep = epoll_create1(EPOLL_CLOEXEC) };
	u.sources = calloc(u.count, sizeof(*u.sources));
	load_raise_files();
	if (!u.sources || !u.count || !u.hot)
		load_die("arguments");
	/* cold names differ from those of every earlier run */
	u.cold_next = (uint32_t)(load_now_us() / 1000);
	srand((unsigned)load_now_us());
	for (uint32_t i = 0; i < u.count; i++)
		open_source(&u, i, &to);
	account_start(atof(v[2]));
	uint64_t due;
	while (account_due(&due)) {
		for (uint64_t i = 0; i < due && i < TURN; i++)
			ask(&u);
		turn(&u, due > TURN);
	}
	const int64_t end_us = load_now_us() + LATE_MS * 1000;
	while (load_now_us() < end_us)
		turn(&u, false);
	account_print(count_drops(&u));
	return 0;
}
