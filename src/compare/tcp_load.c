/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/tcp_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compare/path.h"

enum {
	IN_FLIGHT_MAX = 4096,
	EVENTS = 256,
	PATIENCE_US = 3000000,
	SOURCES = 200, /* client addresses 127.0.1.1 to .200: ports enough */
};

struct client {
	int fd; /* -1: free */
	int64_t begun_us;
	bool asked;
};

struct generator {
	struct crew *crew;
	const struct tcp_load *load;
	int epoll;
	unsigned open;
	uint64_t number; /* connections begun */
	unsigned free_count;
	uint16_t free[IN_FLIGHT_MAX];
	struct client clients[IN_FLIGHT_MAX];
};

/* Reset instead of FIN: no TIME_WAIT keeps the port. */
static void client_close(struct generator *g, struct client *k)
{
	const struct linger now = { .l_onoff = 1 };
	setsockopt(k->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(k->fd);
	k->fd = -1;
	g->open--;
	g->free[g->free_count++] = (uint16_t)(k - g->clients);
}

static void client_lost(struct generator *g, struct client *k)
{
	atomic_fetch_add(&g->crew->g.lost, 1);
	client_close(g, k);
}

static void client_begin(struct generator *g, int64_t due_us)
{
	const int one = 1;
	struct client *k = &g->clients[g->free[--g->free_count]];
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET };
	to.sin_port = htons(g->load->port);
	const uint32_t turn = (uint32_t)(g->number % SOURCES);
	/* who connects through the path is seen as whom it connected to */
	to.sin_addr.s_addr = htonl(g->load->far ? PATH_FAR + turn : INADDR_LOOPBACK);
	from.sin_addr.s_addr = htonl(g->load->far ? PATH_NEAR : 0x7f000101 + turn);
	k->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	k->begun_us = due_us;
	k->asked = false;
	g->open++;
	g->number++;
	atomic_fetch_add(&g->crew->g.sent, 1);
	struct epoll_event e = { .events = EPOLLOUT,
		.data.u32 = (uint32_t)(k - g->clients) };
	if (k->fd < 0 ||
		setsockopt(k->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
			sizeof(one)) < 0 ||
		bind(k->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
		(connect(k->fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
			errno != EINPROGRESS) ||
		epoll_ctl(g->epoll, EPOLL_CTL_ADD, k->fd, &e) < 0)
		client_lost(g, k);
}

static void client_ask(struct generator *g, struct client *k)
{
	const uint64_t number = g->number;
	const bool costly = g->load->costly && number % g->load->costly == 0;
	const uint8_t times = costly ? TCP_COSTLY : 1;
	struct epoll_event e = { .events = EPOLLIN,
		.data.u32 = (uint32_t)(k - g->clients) };
	k->asked = true;
	if (send(k->fd, &times, 1, MSG_NOSIGNAL) != 1 ||
		epoll_ctl(g->epoll, EPOLL_CTL_MOD, k->fd, &e) < 0)
		client_lost(g, k);
}

static void client_event(struct generator *g, struct client *k)
{
	uint8_t byte;
	if (k->fd < 0)
		return;
	if (!k->asked) {
		client_ask(g, k);
		return;
	}
	const ssize_t n = recv(k->fd, &byte, 1, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n != 1) {
		client_lost(g, k);
		return;
	}
	crew_answered(g->crew, k->begun_us, now_us());
	client_close(g, k);
}

static void give_up_old(struct generator *g, int64_t now)
{
	for (unsigned i = 0; i < IN_FLIGHT_MAX; i++)
		if (g->clients[i].fd >= 0 && now - g->clients[i].begun_us > PATIENCE_US)
			client_lost(g, &g->clients[i]);
}

/* What is due: of an open loop the times are its plan's, late or not. */
static void begin_due(struct generator *g, double *next_us, int64_t now)
{
	if (atomic_load_explicit(&g->crew->quiet, memory_order_relaxed))
		return;
	if (g->load->rate <= 0) {
		while (g->open < g->load->in_flight)
			client_begin(g, now);
		return;
	}
	const double every_us = 1e6 / g->load->rate;
	for (; *next_us <= (double)now && g->free_count; *next_us += every_us)
		client_begin(g, (int64_t)*next_us);
}

void tcp_load_run(struct crew *c, unsigned index, void *load)
{
	struct generator *g = calloc(1, sizeof(*g));
	struct epoll_event events[EVENTS];
	(void)index;
	if (!g)
		return;
	g->crew = c;
	g->load = load;
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < IN_FLIGHT_MAX; i++) {
		g->clients[i].fd = -1;
		g->free[g->free_count++] = (uint16_t)i;
	}
	pin_to_last_cpu();
	double next_us = (double)now_us();
	int64_t swept_us = now_us();
	for (;;) {
		const int64_t now = now_us();
		begin_due(g, &next_us, now);
		if (now - swept_us > PATIENCE_US / 4) {
			give_up_old(g, now);
			swept_us = now;
		}
		const bool soon = g->load->rate > 0 && next_us - (double)now < 1000;
		const int n = crew_listen(c, g->epoll, events, EVENTS, !soon);
		for (int i = 0; i < n; i++)
			client_event(g, &g->clients[events[i].data.u32]);
	}
}
