/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/restart.c - what each way to leave a sharded group loses.
 *
 * Under a constant load the workers are restarted one after the other. A way says how a
 * worker goes, who holds its socket meanwhile, and whether its successor comes first. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compare/compare.h"
#include "compare/crew.h"
#include "compare/path.h"
#include "compare/steer.h"
#include "compare/tcp_load.h"
#include "compare/udp_load.h"
#include "compare/udp_take.h"
#include "shard.h"

enum {
	EVERY_MS = 200, /* one event */
	GAP_MS = 20,    /* from a death to its successor's start */
	UDP_RATE = 20000,
	TCP_RATE = 1000,
	UDP_FLOWS = 256,
	UDP_WORK_US = 5,
	TCP_WORK_US = 20,
	DELAY_US = 5000, /* each way */
	TURN_MS = 2,
	BACKLOG = 4096,
	TCP_MOST = 2048,
	PATIENCE_MS = 3200, /* longer than a generator's */
	RECEIVE_BYTES = 4 << 20,
};

enum leaving { LEAVE_KILL, LEAVE_CLOSE, LEAVE_DRAIN, LEAVE_PARK, LEAVE_STEER };

struct way {
	const char *name;
	int type; /* SOCK_DGRAM, SOCK_STREAM */
	enum leaving leaving;
	bool held;    /* its socket outlives it */
	bool first;   /* its successor starts before it goes */
	bool ring;    /* received into memory that outlives it */
	bool migrate; /* net.ipv4.tcp_migrate_req=1 */
};

static const struct way ways[] = {
	{ .name = "SIGKILL", .type = SOCK_DGRAM, .leaving = LEAVE_KILL },
	{ .name = "close", .type = SOCK_DGRAM, .leaving = LEAVE_CLOSE },
	{ .name = "read empty, close", .type = SOCK_DGRAM, .leaving = LEAVE_DRAIN },
	{ .name = "park, read empty, close",
		.type = SOCK_DGRAM,
		.leaving = LEAVE_PARK },
	{ .name = "libshard steering: out, read empty",
		.type = SOCK_DGRAM,
		.leaving = LEAVE_STEER },
	{ .name = "held, successor first",
		.type = SOCK_DGRAM,
		.leaving = LEAVE_DRAIN,
		.held = true,
		.first = true },
	{ .name = "held, SIGKILL",
		.type = SOCK_DGRAM,
		.leaving = LEAVE_KILL,
		.held = true },
	{ .name = "held, ring, SIGKILL",
		.type = SOCK_DGRAM,
		.leaving = LEAVE_KILL,
		.held = true,
		.ring = true },
	{ .name = "SIGKILL", .type = SOCK_STREAM, .leaving = LEAVE_KILL },
	{ .name = "close", .type = SOCK_STREAM, .leaving = LEAVE_CLOSE },
	{ .name = "accept all, close", .type = SOCK_STREAM, .leaving = LEAVE_DRAIN },
	{ .name = "tcp_migrate_req, accept all, close",
		.type = SOCK_STREAM,
		.leaving = LEAVE_DRAIN,
		.migrate = true },
	{ .name = "libshard steering: out, accept all",
		.type = SOCK_STREAM,
		.leaving = LEAVE_STEER },
	{ .name = "held, successor first",
		.type = SOCK_STREAM,
		.leaving = LEAVE_DRAIN,
		.held = true,
		.first = true },
	{ .name = "held, SIGKILL",
		.type = SOCK_STREAM,
		.leaving = LEAVE_KILL,
		.held = true },
};

struct run {
	const struct way *way;
	struct crew *crew;
	struct path path;
	struct steer *steer;
	struct sockaddr_in address;
	int fds[WORKERS_MAX];   /* held: the parent's; else -1 */
	int rings[WORKERS_MAX]; /* memfds, or -1 */
	pid_t pids[WORKERS_MAX];
	_Atomic uint32_t *leave; /* a worker of a generation below goes; shared */
	uint32_t generation[WORKERS_MAX];
};

struct place {
	struct run *run;
	unsigned index;
	uint32_t generation;
	int fd;
	struct shard_ring *ring;
};

static int open_socket(const struct run *run)
{
	const struct shard_opt opt = { .addr = (const struct sockaddr *)&run->address,
		.addr_len = sizeof(run->address),
		.type = run->way->type,
		.backlog = BACKLOG,
		.rcvbuf = RECEIVE_BYTES };
	return shard_open(&opt, NULL);
}

/* --- a worker: UDP ------------------------------------------------------------------ */

static void answer(
	const struct place *p, const struct msghdr *head, const void *data, size_t len)
{
	const struct service work = { .us = UDP_WORK_US };
	struct crew_worker *w = &p->run->crew->w[p->index];
	service_do(&work, 1, w);
	sendto(p->fd, data, len, 0, head->msg_name, head->msg_namelen);
	steer_done(p->run->steer, p->index);
	atomic_fetch_add(&w->served, 1);
}

/* How many came. */
static int take_plain(const struct place *p)
{
	static struct udp_batch b;
	const int n = udp_batch_take(&b, p->fd);
	for (int i = 0; i < n; i++)
		answer(p, &b.m[i].msg_hdr, b.data[i], b.m[i].msg_len);
	return n;
}

static int take_into_ring(const struct place *p)
{
	const int n = shard_ring_receive(p->ring, p->fd, now_us());
	for (int i = 0; i < n; i++) {
		struct shard_datagram d;
		shard_ring_work(p->ring, (unsigned)i);
		shard_ring_at(p->ring, (unsigned)i, &d);
		answer(p, &d.head, d.data, d.len);
	}
	if (n > 0)
		shard_ring_batch_done(p->ring);
	return n;
}

static void replay(const struct place *p)
{
	struct shard_datagram d;
	shard_ring_take_over(p->ring);
	while (shard_ring_replay(p->ring, now_us() - 3000000, &d)) {
		answer(p, &d.head, d.data, d.len);
		shard_ring_release(p->ring, d.slot);
	}
}

/* --- a worker: TCP ------------------------------------------------------------------ */

static int take_connection(const struct place *p)
{
	const struct service work = { .us = TCP_WORK_US };
	struct crew_worker *w = &p->run->crew->w[p->index];
	struct pollfd waits = { .events = POLLIN };
	uint8_t byte;
	waits.fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);
	if (waits.fd < 0)
		return -1;
	if (poll(&waits, 1, 1000) == 1 && recv(waits.fd, &byte, 1, 0) == 1) {
		service_do(&work, 1, w);
		send(waits.fd, &byte, 1, MSG_NOSIGNAL);
	}
	close(waits.fd);
	steer_done(p->run->steer, p->index);
	atomic_fetch_add(&w->served, 1);
	return 1;
}

/* --- a worker ------------------------------------------------------------------------ */

static int take(const struct place *p)
{
	steer_begin(p->run->steer, p->index);
	if (p->run->way->type == SOCK_STREAM)
		return take_connection(p);
	return p->ring ? take_into_ring(p) : take_plain(p);
}

static void leave(const struct place *p)
{
	switch (p->run->way->leaving) {
	case LEAVE_KILL:
	case LEAVE_CLOSE:
		return;
	case LEAVE_PARK:
		shard_park(p->fd);
		break;
	case LEAVE_STEER:
		steer_leave(p->run->steer, p->index);
		break;
	case LEAVE_DRAIN:
		if (p->run->way->held)
			return; /* the successor reads on */
		break;
	}
	while (take(p) > 0)
		;
}

static void worker_run(struct crew *c, unsigned index, void *ctx)
{
	struct run *run = ctx;
	struct place p = { .run = run,
		.index = index,
		.generation = run->generation[index],
		.fd = run->way->held ? run->fds[index] : open_socket(run) };
	if (p.fd < 0)
		return;
	fcntl(p.fd, F_SETFL, fcntl(p.fd, F_GETFL) | O_NONBLOCK);
	if (run->way->ring) {
		p.ring = shard_ring_open(run->rings[index]);
		if (!p.ring)
			return;
		replay(&p);
	}
	if (run->steer && steer_join(run->steer, index, p.fd))
		return;
	crew_ready(c);
	while (atomic_load(&run->leave[index]) <= p.generation) {
		struct pollfd waits = { .fd = p.fd, .events = POLLIN };
		if (poll(&waits, 1, TURN_MS) == 1)
			take(&p);
	}
	leave(&p);
}

/* --- the parent ---------------------------------------------------------------------- */

static bool worker_start(struct run *run, unsigned i)
{
	const unsigned before = atomic_load(&run->crew->ready);
	run->generation[i]++;
	run->pids[i] = crew_start(run->crew, worker_run, i, run);
	return run->pids[i] > 0 && crew_wait(run->crew, before + 1);
}

static void worker_end(struct run *run, unsigned i, pid_t pid, uint32_t generation)
{
	if (run->way->leaving == LEAVE_KILL) {
		crew_end(run->crew, pid, SIGKILL);
		return;
	}
	atomic_store(&run->leave[i], generation + 1);
	crew_end(run->crew, pid, 0);
}

static bool event(struct run *run, unsigned i)
{
	const pid_t old = run->pids[i];
	const uint32_t generation = run->generation[i];
	if (run->way->first) {
		const bool fine = worker_start(run, i);
		worker_end(run, i, old, generation);
		return fine;
	}
	worker_end(run, i, old, generation);
	sleep_us(GAP_MS * 1000);
	return worker_start(run, i);
}

static bool set_migrate(bool on)
{
	const int fd = open("/proc/sys/net/ipv4/tcp_migrate_req", O_WRONLY | O_CLOEXEC);
	const bool fine = fd >= 0 && write(fd, on ? "1" : "0", 1) == 1;
	if (fd >= 0)
		close(fd);
	return fine;
}

/* A port that is free, then the sockets that are held. */
static bool sockets_open(struct run *run)
{
	socklen_t len = sizeof(run->address);
	const int probe = open_socket(run);
	bool fine = probe >= 0 &&
		    getsockname(probe, (struct sockaddr *)&run->address, &len) == 0;
	if (probe >= 0)
		close(probe);
	for (unsigned i = 0; fine && run->way->held && i < run->crew->workers; i++) {
		run->fds[i] = open_socket(run);
		fine = run->fds[i] >= 0;
		if (fine && run->way->ring) {
			run->rings[i] = shard_ring_create(
				(struct sockaddr *)&run->address, len, 0);
			fine = run->rings[i] >= 0;
		}
	}
	if (fine && run->way->leaving == LEAVE_STEER)
		fine = (run->steer = steer_new(
				STEER_SPREAD, NULL, run->crew->workers)) != NULL;
	return fine;
}

static bool path_start(struct run *run, bool far)
{
	if (!far)
		return true;
	return path_open(&run->path, DELAY_US) &&
	       crew_start(run->crew, path_carry, 0, &run->path) > 0;
}

static bool measure(struct run *run, struct loss_row *row, double seconds, bool far)
{
	struct crew *c = run->crew;
	struct tcp_load tcp = { .rate = TCP_RATE, .in_flight = TCP_MOST, .far = far };
	struct udp_load udp = { .rate = UDP_RATE, .flows = UDP_FLOWS };
	run->address = (struct sockaddr_in){ .sin_family = AF_INET };
	run->address.sin_addr.s_addr = htonl(far ? PATH_NEAR : INADDR_LOOPBACK);
	if (!path_start(run, far) || !sockets_open(run))
		return false;
	for (unsigned i = 0; i < c->workers; i++)
		if (!worker_start(run, i))
			return false;
	tcp.port = udp.port = ntohs(run->address.sin_port);
	c->generator = run->way->type == SOCK_STREAM
			       ? crew_start(c, tcp_load_run, 0, &tcp)
			       : crew_start(c, udp_load_run, 0, &udp);
	sleep_us(EVERY_MS * 1000);
	row->events = (unsigned)(seconds * 1000 / EVERY_MS);
	row->events = row->events > 0 ? row->events : 1;
	for (unsigned k = 0; k < row->events; k++) {
		const int64_t next = now_us() + EVERY_MS * 1000;
		if (!event(run, k % c->workers))
			return false;
		const int64_t left = next - now_us();
		sleep_us(left > 0 ? left : 0);
	}
	atomic_store(&c->quiet, true);
	for (int ms = 0; ms < PATIENCE_MS &&
			 atomic_load(&c->g.answered) + atomic_load(&c->g.lost) <
				 atomic_load(&c->g.sent);
		ms += 10)
		sleep_us(10000);
	row->sent = atomic_load(&c->g.sent);
	const uint64_t answered = atomic_load(&c->g.answered);
	row->lost = row->sent > answered ? row->sent - answered : 0;
	row->lost_per_event = (double)row->lost / row->events;
	row->twice = atomic_load(&c->g.twice);
	row->max_ms = (double)atomic_load(&c->g.longest_us) / 1e3;
	return true;
}

static void run_close(struct run *run)
{
	for (unsigned i = 0; i < run->crew->workers; i++) {
		if (run->fds[i] >= 0)
			close(run->fds[i]);
		if (run->rings[i] >= 0)
			close(run->rings[i]);
	}
	if (run->path.fd >= 0)
		close(run->path.fd);
	steer_free(run->steer);
	crew_free(run->crew);
}

static void compare_way(struct report *r, const struct way *way, bool far)
{
	static struct run run;
	struct loss_row *row = report_loss(r);
	if (!row)
		return;
	row->protocol = way->type == SOCK_STREAM ? "TCP" : "UDP";
	row->way = way->name;
	row->path = far ? "10 ms" : "loopback";
	progress("restart", way->name, row->path);
	row->skipped = true;
	if (way->leaving == LEAVE_STEER && !steer_possible(row->why, sizeof(row->why)))
		return;
	errno = ECANCELED;
	if (way->migrate && (shard_disabled("migrate_req") || !set_migrate(true))) {
		snprintf(row->why, sizeof(row->why), "net.ipv4.tcp_migrate_req: %s",
			strerror(errno));
		return;
	}
	run = (struct run){ .way = way, .path.fd = -1 };
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		run.fds[i] = run.rings[i] = -1;
	run.crew = crew_new(r->options->workers);
	if (!run.crew)
		return;
	run.leave = run.crew->leave;
	errno = 0;
	row->skipped = !measure(&run, row, r->options->seconds, far);
	if (row->skipped)
		snprintf(row->why, sizeof(row->why), "cannot be set up: %s",
			strerror(errno));
	run_close(&run);
	if (way->migrate)
		set_migrate(false);
}

bool compare_restart(struct report *r)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!way_wanted(r->options, ways[i].name))
			continue;
		if (ways[i].type == SOCK_DGRAM)
			compare_way(r, &ways[i], false);
		else
			compare_way(r, &ways[i], true);
	}
	return true;
}
