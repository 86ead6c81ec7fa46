/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/crew.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compare/shares.h"

enum { READY_MS = 2000 };
static const double WARM_UP_S = 0.3;

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;
	if (clock_gettime(id, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t cpu_now_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t now_us(void)
{
	return (int64_t)(clock_ns(CLOCK_MONOTONIC) / 1000);
}

void sleep_us(int64_t us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

struct crew *crew_new(unsigned workers)
{
	struct crew *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c == MAP_FAILED)
		return NULL;
	c->workers = workers;
	c->generator = -1;
	return c;
}

void crew_free(struct crew *c)
{
	for (unsigned i = 0; i < c->pid_count; i++)
		kill(c->pids[i], SIGKILL);
	for (unsigned i = 0; i < c->pid_count; i++)
		while (waitpid(c->pids[i], NULL, 0) < 0 && errno == EINTR)
			;
	munmap(c, sizeof(*c));
}

/* The generator has its CPU to itself: else it is chance who waits for whom. */
static void pin_off_last_cpu(void)
{
	cpu_set_t set;
	const size_t last = (size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	if (!last || sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	CPU_CLR(last, &set);
	if (CPU_COUNT(&set) > 0)
		sched_setaffinity(0, sizeof(set), &set);
}

pid_t crew_start(struct crew *c, void (*fn)(struct crew *c, unsigned index, void *ctx),
	unsigned index, void *ctx)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_TIMERSLACK, 1);
		if (getppid() != parent)
			_exit(1);
		pin_off_last_cpu();
		fn(c, index, ctx);
		_exit(0);
	}
	if (pid > 0 && c->pid_count < PIDS_MAX)
		c->pids[c->pid_count++] = pid;
	return pid;
}

void crew_end(struct crew *c, pid_t pid, int signo)
{
	if (signo)
		kill(pid, signo);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	for (unsigned i = 0; i < c->pid_count; i++)
		if (c->pids[i] == pid)
			c->pids[i] = c->pids[--c->pid_count];
}

void pin_to_last_cpu(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int crew_listen(
	struct crew *c, int epoll, struct epoll_event *events, int max, bool wait)
{
	const int n = epoll_wait(epoll, events, max, 0);
	atomic_fetch_add_explicit(&c->g.turns, 1, memory_order_relaxed);
	if (n || !wait)
		return n;
	atomic_fetch_add_explicit(&c->g.waits, 1, memory_order_relaxed);
	return epoll_wait(epoll, events, max, 1);
}

void crew_answered(struct crew *c, int64_t begun_us, int64_t now)
{
	const uint64_t us = now > begun_us ? (uint64_t)(now - begun_us) : 0;
	atomic_fetch_add(&c->g.answered, 1);
	if (us > atomic_load_explicit(&c->g.longest_us, memory_order_relaxed))
		atomic_store(&c->g.longest_us, us);
	if (atomic_load_explicit(&c->measuring, memory_order_relaxed))
		hist_add(&c->g.latency, us);
}

void crew_ready(struct crew *c)
{
	atomic_fetch_add(&c->ready, 1);
}

bool crew_wait(struct crew *c, unsigned count)
{
	for (int ms = 0; ms < READY_MS; ms++) {
		if (atomic_load(&c->ready) >= count)
			return true;
		sleep_us(1000);
	}
	return false;
}

/* --- the service ---------------------------------------------------------------- */

void service_do(const struct service *s, unsigned times, struct crew_worker *w)
{
	const int64_t us = (int64_t)s->us * times;
	if (us <= 0)
		return;
	if (s->kind == SERVICE_WAIT) {
		const uint64_t begun = clock_ns(CLOCK_MONOTONIC);
		sleep_us(us);
		w->service_ns += clock_ns(CLOCK_MONOTONIC) - begun;
		return;
	}
	/* CPU time, so that being preempted is no service */
	const uint64_t begun = cpu_now_ns();
	while (cpu_now_ns() - begun < (uint64_t)us * 1000)
		;
	w->service_ns += cpu_now_ns() - begun;
}

/* --- measuring ------------------------------------------------------------------ */

struct snapshot {
	uint64_t at_ns, served[WORKERS_MAX], busy[WORKERS_MAX];
	uint64_t cpu_ns, answered, lost, sent, turns, waits;
};

static uint64_t process_ns(pid_t pid)
{
	clockid_t id;
	return pid > 0 && clock_getcpuclockid(pid, &id) == 0 ? clock_ns(id) : 0;
}

static void take(struct crew *c, struct snapshot *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < c->workers; i++) {
		s->served[i] = atomic_load(&c->w[i].served);
		const uint64_t cpu = atomic_load(&c->w[i].cpu_ns);
		const uint64_t service = atomic_load(&c->w[i].service_ns);
		s->busy[i] = cpu > service ? cpu : service;
	}
	for (unsigned i = 0; i < c->pid_count; i++)
		if (c->pids[i] != c->generator)
			s->cpu_ns += process_ns(c->pids[i]);
	s->answered = atomic_load(&c->g.answered);
	s->lost = atomic_load(&c->g.lost);
	s->sent = atomic_load(&c->g.sent);
	s->turns = atomic_load(&c->g.turns);
	s->waits = atomic_load(&c->g.waits);
	s->at_ns = clock_ns(CLOCK_MONOTONIC);
}

/* It fell behind its own rate; or, without a rate, it never had to wait for the workers. */
static bool generator_was_limit(
	const struct snapshot *a, const struct snapshot *b, double ns, double offered)
{
	if (offered > 0)
		return (double)(b->sent - a->sent) * 1e9 / ns < 0.95 * offered;
	return (double)(b->waits - a->waits) < 0.1 * (double)(b->turns - a->turns);
}

void crew_measure(struct crew *c, double seconds, struct row *row)
{
	struct snapshot a, b;
	double served[WORKERS_MAX], busy[WORKERS_MAX];
	sleep_us((int64_t)(fmin(seconds, WARM_UP_S) * 1e6));
	take(c, &a);
	atomic_store(&c->measuring, true);
	sleep_us((int64_t)(seconds * 1e6));
	atomic_store(&c->measuring, false);
	take(c, &b);
	const double ns = (double)(b.at_ns - a.at_ns);
	for (unsigned i = 0; i < c->workers; i++) {
		served[i] = (double)(b.served[i] - a.served[i]);
		busy[i] = (double)(b.busy[i] - a.busy[i]);
	}
	const struct shares items = shares_of(served, c->workers);
	row->max_mean = items.max_mean;
	row->max_min = items.max_min;
	row->chi_square = items.chi_square;
	row->busy_max_mean = shares_of(busy, c->workers).max_mean;
	const double answered = (double)(b.answered - a.answered);
	row->rate = answered * 1e9 / ns;
	row->cpu_us = answered > 0 ? (double)(b.cpu_ns - a.cpu_ns) / 1e3 / answered : 0;
	row->lost = b.lost - a.lost;
	row->p50_us = (double)hist_quantile(&c->g.latency, 0.5);
	row->p99_us = (double)hist_quantile(&c->g.latency, 0.99);
	row->p999_us = (double)hist_quantile(&c->g.latency, 0.999);
	row->generator_limit = generator_was_limit(&a, &b, ns, row->offered);
}
