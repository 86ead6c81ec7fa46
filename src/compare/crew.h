/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/crew.h - worker processes and one generator, and the memory in which they count.
 *
 * Generator and workers are processes of their own, so that neither's time is counted as
 * the other's. All of them die with their parent. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "compare/compare.h"
#include "compare/hist.h"

enum { PIDS_MAX = 2 * WORKERS_MAX + 4 }; /* each worker and its successor */

struct crew_worker {
	_Alignas(128) _Atomic uint64_t served;
	_Atomic uint64_t service_ns; /* time that the service itself took */
	_Atomic uint64_t cpu_ns;     /* of this worker (process or thread), by itself */
	_Atomic uint64_t wakeups;    /* for nothing */
};

struct crew_generator {
	_Alignas(128) _Atomic uint64_t sent;
	_Atomic uint64_t answered, lost, twice;
	_Atomic uint64_t longest_us;
	_Atomic uint64_t turns, waits; /* waits: nothing to ask, nothing to hear */
	struct hist latency;
};

struct crew {
	unsigned workers;       /* processes or threads that serve */
	_Atomic bool measuring; /* latencies count */
	_Atomic bool quiet;     /* nothing new is asked */
	_Atomic unsigned ready;
	_Atomic uint32_t leave[WORKERS_MAX];   /* compare/restart.c */
	struct crew_worker w[WORKERS_MAX + 1]; /* the last: who hands on */
	struct crew_generator g;
	/* the parent's */
	pid_t pids[PIDS_MAX];
	unsigned pid_count;
	pid_t generator;
};

/* In memory that children share. NULL: none. */
struct crew *crew_new(unsigned workers);
void crew_free(struct crew *c); /* ends all that were started */

/* A child that runs fn and ends; its pid or -1. */
pid_t crew_start(struct crew *c, void (*fn)(struct crew *c, unsigned index, void *ctx),
	unsigned index, void *ctx);
/* Waits until `count` children called crew_ready(), at most two seconds. */
bool crew_wait(struct crew *c, unsigned count);
/* Ends one child and waits for it. */
void crew_end(struct crew *c, pid_t pid, int signo);
void crew_ready(struct crew *c);
/* The thread's CPU time so far. */
uint64_t cpu_now_ns(void);
int64_t now_us(void);
void sleep_us(int64_t us);
void pin_to_last_cpu(void);

/* The generator's turn: epoll_wait(2), without waiting where something is there. */
int crew_listen(
	struct crew *c, int epoll, struct epoll_event *events, int max, bool wait);
/* The generator's word: one was answered. */
void crew_answered(struct crew *c, int64_t begun_us, int64_t now);

/* Warms up, measures for `seconds`, fills rate, CPU, shares, latencies, lost. */
void crew_measure(struct crew *c, double seconds, struct row *row);

/* The service that a connection or datagram costs. */
enum service_kind { SERVICE_COMPUTE, SERVICE_WAIT };
struct service {
	enum service_kind kind;
	int us;
};
/* `times` of it; counted in w. */
void service_do(const struct service *s, unsigned times, struct crew_worker *w);
