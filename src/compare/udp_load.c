/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/udp_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	FLOWS_MAX = 1024,
	WINDOW = 1 << 18, /* questions whose time is remembered */
	BATCH = 64,
	PATIENCE_US = 2000000,
	EVENTS = 64,
	COSTLY = 20,
	RECEIVE_BYTES = 4 << 20,
};

struct generator {
	struct crew *crew;
	const struct udp_load *load;
	int epoll;
	int flows[FLOWS_MAX];
	uint32_t sent, oldest; /* numbers */
	uint64_t open;
	uint32_t draw;
	int64_t begun_us[WINDOW]; /* 0: answered or given up */
};

/* Which flow is no secret: a small generator of its own. */
static uint32_t draw(struct generator *g)
{
	g->draw ^= g->draw << 13;
	g->draw ^= g->draw >> 17;
	g->draw ^= g->draw << 5;
	return g->draw;
}

static bool flows_open(struct generator *g)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(g->load->port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned i = 0; i < g->load->flows; i++) {
		const int bytes = RECEIVE_BYTES;
		const int fd =
			socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
		if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
			epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
			return false;
		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) <
			0)
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		g->flows[i] = fd;
	}
	return true;
}

static int flow_draw(struct generator *g)
{
	if (g->load->heavy > 0 && draw(g) < g->load->heavy * 4294967295.0)
		return g->flows[0];
	return g->flows[draw(g) % g->load->flows];
}

static void ask(struct generator *g, int64_t due_us)
{
	const uint32_t number = g->sent++;
	const struct udp_question q = { .number = number,
		.times =
			g->load->costly && number % g->load->costly == 0 ? COSTLY : 1 };
	g->begun_us[number % WINDOW] = due_us;
	g->open++;
	atomic_fetch_add(&g->crew->g.sent, 1);
	/* what does not go out is lost, and counted as such */
	(void)!send(flow_draw(g), &q, sizeof(q), 0);
}

static void hear(struct generator *g, int fd, int64_t now)
{
	struct udp_question q;
	for (int i = 0; i < BATCH && recv(fd, &q, sizeof(q), 0) == sizeof(q); i++) {
		int64_t *begun = &g->begun_us[q.number % WINDOW];
		if (g->sent - q.number > WINDOW || !*begun) {
			/* for the second time, or too late */
			atomic_fetch_add(&g->crew->g.twice, 1);
			continue;
		}
		crew_answered(g->crew, *begun, now);
		*begun = 0;
		g->open--;
	}
}

static void give_up_old(struct generator *g, int64_t now)
{
	for (; g->oldest != g->sent; g->oldest++) {
		int64_t *begun = &g->begun_us[g->oldest % WINDOW];
		if (!*begun)
			continue;
		if (now - *begun < PATIENCE_US && g->sent - g->oldest < WINDOW)
			return;
		*begun = 0;
		g->open--;
		atomic_fetch_add(&g->crew->g.lost, 1);
	}
}

static void ask_due(struct generator *g, double *next_us, int64_t now)
{
	if (atomic_load_explicit(&g->crew->quiet, memory_order_relaxed))
		return;
	if (g->load->rate <= 0) {
		for (int i = 0; i < BATCH && g->open < g->load->in_flight; i++)
			ask(g, now);
		return;
	}
	const double every_us = 1e6 / g->load->rate;
	for (int i = 0; i < BATCH && *next_us <= (double)now; i++) {
		ask(g, (int64_t)*next_us);
		*next_us += every_us;
	}
}

void udp_load_run(struct crew *c, unsigned index, void *load)
{
	struct generator *g = calloc(1, sizeof(*g));
	struct epoll_event events[EVENTS];
	(void)index;
	if (!g)
		return;
	g->crew = c;
	g->load = load;
	g->draw = 2463534242u;
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	pin_to_last_cpu();
	if (!flows_open(g)) {
		free(g);
		return;
	}
	double next_us = (double)now_us();
	for (;;) {
		int64_t now = now_us();
		ask_due(g, &next_us, now);
		const bool soon = g->load->rate > 0 && next_us - (double)now < 1000;
		const int n = crew_listen(c, g->epoll, events, EVENTS, !soon);
		now = now_us();
		for (int i = 0; i < n; i++)
			hear(g, events[i].data.fd, now);
		give_up_old(g, now);
	}
}
