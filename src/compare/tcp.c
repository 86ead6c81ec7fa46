/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/tcp.c - the ways in which several workers can share one listening port. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare/compare.h"
#include "compare/crew.h"
#include "compare/rounds.h"
#include "compare/steer.h"
#include "compare/tcp_load.h"
#include "shard.h"

enum {
	WORK_US = 20,
	BACKLOG = 4096,
	IN_FLIGHT = 64,
	QUEUE_MAX = 4096,
	LIGHT_RATE = 1000,
	COSTLY_EVERY = 10,
	READ_MS = 2000,
};

/* One run of one way. */
struct tcp_run {
	struct crew *crew;
	struct service service;
	const struct tcp_way *way;
	int listener;              /* shared by all, or -1 */
	int own[WORKERS_MAX];      /* one a worker */
	int pairs[WORKERS_MAX][2]; /* handing on: [0] the worker's end */
	struct steer *steer;
	uint16_t port;
};

struct tcp_way {
	const char *name;
	bool sharded;  /* a socket a worker */
	bool steered;  /* libshard chooses */
	bool hands_on; /* an acceptor more */
	bool threads;
	void (*worker)(struct tcp_run *run, unsigned index);
};

/* --- what every worker does with a connection ------------------------------------ */

static void serve(struct tcp_run *run, unsigned index, int fd)
{
	struct crew_worker *w = &run->crew->w[index];
	uint8_t times = 0;
	ssize_t n = recv(fd, &times, 1, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (poll(&p, 1, READ_MS) == 1)
			n = recv(fd, &times, 1, 0);
	}
	if (n == 1) {
		service_do(&run->service, times, w);
		send(fd, &times, 1, MSG_NOSIGNAL);
	}
	close(fd);
	steer_done(run->steer, index);
	const uint64_t cpu_ns = cpu_now_ns();
	steer_worked(run->steer, index, cpu_ns - atomic_load(&w->cpu_ns));
	atomic_store(&w->cpu_ns, cpu_ns);
	atomic_fetch_add(&w->served, 1);
}

static void set_blocking(int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* --- the ways -------------------------------------------------------------------- */

static void accept_blocking(struct tcp_run *run, unsigned index)
{
	const int fd = run->listener >= 0 ? run->listener : run->own[index];
	set_blocking(fd);
	for (;;) {
		steer_begin(run->steer, index);
		const int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (c >= 0)
			serve(run, index, c);
	}
}

static void accept_epoll(struct tcp_run *run, unsigned index, uint32_t flags)
{
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN | flags };
	epoll_ctl(epoll, EPOLL_CTL_ADD, run->listener, &e);
	for (;;) {
		if (epoll_wait(epoll, &e, 1, -1) != 1)
			continue;
		const int c = accept4(run->listener, NULL, NULL, SOCK_CLOEXEC);
		if (c >= 0)
			serve(run, index, c);
		else
			atomic_fetch_add(&run->crew->w[index].wakeups, 1);
	}
}

static void accept_epoll_all(struct tcp_run *run, unsigned index)
{
	accept_epoll(run, index, 0);
}

static void accept_epoll_exclusive(struct tcp_run *run, unsigned index)
{
	accept_epoll(run, index, EPOLLEXCLUSIVE);
}

/* Descriptors from the acceptor: SCM_RIGHTS. */
static void take_descriptors(struct tcp_run *run, unsigned index)
{
	for (;;) {
		char byte;
		union {
			struct cmsghdr head;
			char space[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec v = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr m = { .msg_iov = &v,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control) };
		if (recvmsg(run->pairs[index][0], &m, MSG_CMSG_CLOEXEC) != 1)
			continue;
		const struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		int fd;
		if (!h || h->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
		serve(run, index, fd);
	}
}

static void hand_descriptor(int to, int fd)
{
	char byte = 0;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS } };
	struct iovec v = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	if (sendmsg(to, &m, MSG_NOSIGNAL) < 0)
		fprintf(stderr, "shardbench: sendmsg: %s\n", strerror(errno));
}

static void acceptor(struct crew *c, unsigned index, void *ctx)
{
	const struct tcp_run *run = ctx;
	unsigned next = 0;
	(void)index;
	set_blocking(run->listener);
	crew_ready(c);
	for (;;) {
		const int fd = accept4(run->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		hand_descriptor(run->pairs[next][1], fd);
		close(fd);
		next = (next + 1) % c->workers;
	}
}

/* --- threads: one accepts, a queue, the others serve ------------------------------ */

struct pool {
	struct tcp_run *run;
	pthread_mutex_t lock;
	pthread_cond_t filled, room;
	int queue[QUEUE_MAX];
	unsigned head, count;
};

struct pool_worker {
	struct pool *pool;
	unsigned index;
};

static void *pool_serve(void *ctx)
{
	const struct pool_worker *me = ctx;
	struct pool *p = me->pool;
	for (;;) {
		pthread_mutex_lock(&p->lock);
		while (!p->count)
			pthread_cond_wait(&p->filled, &p->lock);
		const int fd = p->queue[p->head];
		p->head = (p->head + 1) % QUEUE_MAX;
		p->count--;
		pthread_cond_signal(&p->room);
		pthread_mutex_unlock(&p->lock);
		serve(p->run, me->index, fd);
	}
	return NULL;
}

static void pool_run(struct crew *c, unsigned index, void *ctx)
{
	static struct pool p = { .lock = PTHREAD_MUTEX_INITIALIZER,
		.filled = PTHREAD_COND_INITIALIZER,
		.room = PTHREAD_COND_INITIALIZER };
	static struct pool_worker workers[WORKERS_MAX];
	(void)index;
	p.run = ctx;
	for (unsigned i = 0; i < c->workers; i++) {
		pthread_t thread;
		workers[i] = (struct pool_worker){ .pool = &p, .index = i };
		if (pthread_create(&thread, NULL, pool_serve, &workers[i]) != 0)
			return;
	}
	set_blocking(p.run->listener);
	crew_ready(c);
	for (;;) {
		const int fd = accept4(p.run->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		pthread_mutex_lock(&p.lock);
		while (p.count == QUEUE_MAX)
			pthread_cond_wait(&p.room, &p.lock);
		p.queue[(p.head + p.count++) % QUEUE_MAX] = fd;
		pthread_cond_signal(&p.filled);
		pthread_mutex_unlock(&p.lock);
	}
}

static const struct tcp_way ways[] = {
	{ .name = "acceptor, descriptors",
		.hands_on = true,
		.worker = take_descriptors },
	{ .name = "acceptor, threads", .hands_on = true, .threads = true },
	{ .name = "shared accept", .worker = accept_blocking },
	{ .name = "shared epoll", .worker = accept_epoll_all },
	{ .name = "shared epoll exclusive", .worker = accept_epoll_exclusive },
	{ .name = "reuseport", .sharded = true, .worker = accept_blocking },
	{ .name = "libshard steering",
		.sharded = true,
		.steered = true,
		.worker = accept_blocking },
};

/* --- a run ------------------------------------------------------------------------ */

static int open_socket(uint16_t port, bool shared)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	const struct shard_opt opt = { .addr = (struct sockaddr *)&a,
		.addr_len = sizeof(a),
		.type = SOCK_STREAM,
		.backlog = BACKLOG,
		.flags = shared ? SHARD_EXCLUSIVE : 0 };
	return shard_open(&opt, NULL);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	return getsockname(fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(a.sin_port)
								 : 0;
}

static bool sockets_open(struct tcp_run *run)
{
	const unsigned workers = run->crew->workers;
	for (unsigned i = 0; i < workers; i++)
		run->own[i] = -1;
	if (!run->way->sharded) {
		run->listener = open_socket(0, true);
		run->port = port_of(run->listener);
		return run->listener >= 0;
	}
	for (unsigned i = 0; i < workers; i++) {
		run->own[i] = open_socket(run->port, false);
		if (run->own[i] < 0)
			return false;
		run->port = port_of(run->own[i]);
	}
	if (!run->way->steered)
		return true;
	run->steer = steer_new(STEER_SPREAD, run->own, workers);
	return run->steer;
}

static void sockets_close(struct tcp_run *run)
{
	if (run->listener >= 0)
		close(run->listener);
	for (unsigned i = 0; i < run->crew->workers; i++) {
		if (run->own[i] >= 0)
			close(run->own[i]);
		if (run->pairs[i][1] > 0) {
			close(run->pairs[i][0]);
			close(run->pairs[i][1]);
		}
	}
	steer_free(run->steer);
}

static void worker_run(struct crew *c, unsigned index, void *ctx)
{
	struct tcp_run *run = ctx;
	atomic_store(
		&c->w[index].cpu_ns, cpu_now_ns()); /* what came before is no work */
	crew_ready(c);
	run->way->worker(run, index);
}

static bool crew_begin(struct tcp_run *run)
{
	struct crew *c = run->crew;
	if (run->way->threads) {
		crew_start(c, pool_run, 0, run);
		return crew_wait(c, 1);
	}
	for (unsigned i = 0; i < c->workers; i++) {
		if (run->way->hands_on &&
			socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				run->pairs[i]) < 0)
			return false;
		crew_start(c, worker_run, i, run);
	}
	if (run->way->hands_on)
		crew_start(c, acceptor, c->workers, run);
	return crew_wait(c, c->workers + run->way->hands_on);
}

struct load_kind {
	const char *name;
	unsigned costly;
	double rate;
};

static const struct load_kind loads[] = {
	{ "short, light", 0, LIGHT_RATE },
	{ "short, full", 0, 0 },
	{ "mixed, light", COSTLY_EVERY, LIGHT_RATE },
	{ "mixed, full", COSTLY_EVERY, 0 },
};

static const char *name_of(unsigned way)
{
	return ways[way].name;
}

static void measure(struct report *r, unsigned number, void *ctx, struct row *row)
{
	const struct load_kind *kind = ctx;
	const struct tcp_way *way = &ways[number];
	struct tcp_run run = { .way = way, .listener = -1 };
	struct tcp_load load = {
		.costly = kind->costly, .rate = kind->rate, .in_flight = IN_FLIGHT
	};
	row->way = way->name;
	row->load = kind->name;
	row->offered = kind->rate;
	progress("tcp", way->name, kind->name);
	if (way->steered && !steer_possible(row->why, sizeof(row->why))) {
		row->skipped = true;
		return;
	}
	run.crew = crew_new(r->options->workers);
	if (!run.crew)
		return;
	run.service =
		(struct service){ .us = r->options->work_us >= 0 ? r->options->work_us
								 : WORK_US };
	row->skipped = !sockets_open(&run) || !crew_begin(&run);
	if (row->skipped) {
		snprintf(row->why, sizeof(row->why), "cannot be set up: %s",
			strerror(errno));
	} else {
		load.port = run.port;
		run.crew->generator = crew_start(run.crew, tcp_load_run, 0, &load);
		crew_measure(run.crew, r->options->seconds, row);
	}
	sockets_close(&run);
	crew_free(run.crew);
}

bool compare_tcp(struct report *r)
{
	for (size_t k = 0; k < sizeof(loads) / sizeof(loads[0]); k++) {
		struct load_kind kind = loads[k];
		rounds_measure(r, "tcp", sizeof(ways) / sizeof(ways[0]), name_of,
			measure, &kind);
	}
	return true;
}
