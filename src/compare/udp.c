/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/udp.c - the ways in which several workers can share one UDP port. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compare/compare.h"
#include "compare/crew.h"
#include "compare/rounds.h"
#include "compare/steer.h"
#include "compare/udp_load.h"
#include "compare/udp_take.h"
#include "shard.h"

enum {
	WAIT_US = 100,   /* a service that waits: queues show on any number of CPUs */
	COMPUTE_US = 20, /* full: then the workers are the limit, not the generator */
	IN_FLIGHT = 256,
	MANY_FLOWS = 1024,
	FEW_FLOWS = 8,
	RECEIVE_BYTES = 4 << 20,
};

/* With a service of WAIT_US a worker answers about 1 / (WAIT_US + 10) a microsecond: so
 * much of it is asked for. */
static const double light = 0.5;

struct udp_way {
	const char *name;
	bool shared;
	enum steer_policy policy;
};

enum { REUSEPORT = 1 };
static const struct udp_way ways[] = {
	{ "one shared socket", true, STEER_NONE },
	[REUSEPORT] = { "reuseport", false, STEER_NONE },
	{ "CPU-local", false, STEER_CPU },
	{ "round robin", false, STEER_ROUND },
	{ "least loaded", false, STEER_LEAST },
	{ "libshard steering", false, STEER_SPREAD },
	{ "libshard, heavy flows", false, STEER_HEAVY },
};

struct udp_run {
	struct crew *crew;
	struct service service;
	const struct udp_way_to_take *take;
	int fds[WORKERS_MAX];
	unsigned fd_count;
	struct steer *steer;
	uint16_t port;
};

struct worker {
	struct udp_run *run;
	unsigned index;
};

static void begin(void *ctx)
{
	const struct worker *me = ctx;
	steer_begin(me->run->steer, me->index);
}

static void serve(void *ctx, const struct msghdr *from, const void *data, size_t len)
{
	const struct worker *me = ctx;
	struct udp_run *run = me->run;
	struct crew_worker *w = &run->crew->w[me->index];
	struct udp_question q = { 0 };
	memcpy(&q, data, len < sizeof(q) ? len : sizeof(q));
	steer_heard(run->steer, from->msg_name, from->msg_namelen);
	service_do(&run->service, q.times, w);
	steer_done(run->steer, me->index);
	const uint64_t served = atomic_fetch_add(&w->served, 1);
	if (served % 16 == 0)
		atomic_store(&w->cpu_ns, cpu_now_ns());
}

static void worker_run(struct crew *c, unsigned index, void *ctx)
{
	struct worker me = { .run = ctx, .index = index };
	const int fd = me.run->fds[me.run->fd_count > 1 ? index : 0];
	crew_ready(c);
	me.run->take->run(fd, begin, serve, &me);
}

static bool sockets_open(struct udp_run *run, const struct udp_way *way)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	const unsigned count = way->shared ? 1 : run->crew->workers;
	for (; run->fd_count < count; run->fd_count++) {
		const struct shard_opt opt = { .addr = (struct sockaddr *)&a,
			.addr_len = sizeof(a),
			.type = SOCK_DGRAM,
			.rcvbuf = RECEIVE_BYTES };
		const int fd = shard_open(&opt, NULL);
		if (fd < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
			return false;
		run->fds[run->fd_count] = fd;
	}
	run->port = ntohs(a.sin_port);
	if (way->policy == STEER_NONE)
		return true;
	run->steer = steer_new(way->policy, run->fds, run->fd_count);
	return run->steer;
}

static bool crew_begin(struct udp_run *run)
{
	for (unsigned i = 0; i < run->crew->workers; i++)
		crew_start(run->crew, worker_run, i, run);
	return crew_wait(run->crew, run->crew->workers);
}

/* Which load, and who serves it. */
struct plan {
	const char *name;
	const struct udp_way *ways;
	const struct udp_way_to_take *take;
	struct service service;
	struct udp_load load;
};

static const char *name_of(unsigned way)
{
	return ways[way].name;
}

static const char *name_of_reuseport(unsigned way)
{
	return ways[REUSEPORT + way].name;
}

static void measure(struct report *r, unsigned number, void *ctx, struct row *row)
{
	const struct plan *plan = ctx;
	const struct udp_way *way = &plan->ways[number];
	struct udp_run run = { .take = plan->take, .service = plan->service };
	struct udp_load load = plan->load;
	row->way = way->name;
	row->load = plan->name;
	row->offered = load.rate;
	progress("udp", way->name, plan->name);
	const bool needs_ebpf = way->policy != STEER_NONE && way->policy != STEER_CPU;
	if (needs_ebpf && !steer_possible(row->why, sizeof(row->why))) {
		row->skipped = true;
		return;
	}
	run.crew = crew_new(r->options->workers);
	if (!run.crew)
		return;
	row->skipped = !sockets_open(&run, way) || !crew_begin(&run);
	if (row->skipped) {
		snprintf(row->why, sizeof(row->why), "cannot be set up: %s",
			strerror(errno));
	} else {
		load.port = run.port;
		run.crew->generator = crew_start(run.crew, udp_load_run, 0, &load);
		crew_measure(run.crew, r->options->seconds, row);
	}
	for (unsigned i = 0; i < run.fd_count; i++)
		close(run.fds[i]);
	steer_free(run.steer);
	crew_free(run.crew);
}

struct flow_kind {
	const char *name;
	unsigned flows;
	bool heavy;
};

static const struct flow_kind kinds[] = {
	{ "many flows", MANY_FLOWS, false },
	{ "few flows", FEW_FLOWS, false },
	{ "one heavy flow", MANY_FLOWS, true },
};

bool compare_udp(struct report *r)
{
	const unsigned count = sizeof(ways) / sizeof(ways[0]);
	const int us = r->options->work_us >= 0 ? r->options->work_us : WAIT_US;
	const double capacity = 1e6 * r->options->workers / (us + 10.0);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct plan plan = { .name = kinds[k].name,
			.ways = ways,
			.take = &udp_takes[0],
			.service = { .kind = SERVICE_WAIT, .us = us },
			.load = { .flows = kinds[k].flows,
				.heavy = kinds[k].heavy ? r->options->skew / 100 : 0,
				.rate = capacity * light } };
		rounds_measure(r, "udp", count, name_of, measure, &plan);
	}
	struct plan full = { .name = "computing, full",
		.ways = ways,
		.take = &udp_takes[0],
		.service = { .kind = SERVICE_COMPUTE, .us = COMPUTE_US },
		.load = { .flows = MANY_FLOWS, .in_flight = IN_FLIGHT } };
	rounds_measure(r, "udp", count, name_of, measure, &full);
	full.name = "no service, full";
	full.service = (struct service){ 0 };
	rounds_measure(r, "udp", count, name_of, measure, &full);
	for (size_t t = 1; t < udp_take_count; t++) {
		static char name[8][48];
		snprintf(name[t % 8], sizeof(name[0]), "no service, full, %s",
			udp_takes[t].name);
		if (strcmp(udp_takes[t].name, "io_uring") == 0 &&
			shard_disabled("io_uring"))
			continue;
		full.name = name[t % 8];
		full.ways = &ways[REUSEPORT];
		full.take = &udp_takes[t];
		rounds_measure(r, "udp", 1, name_of_reuseport, measure, &full);
	}
	return true;
}
