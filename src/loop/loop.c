/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loop/loop.c - one turn: wait, read the clocks, events, timers, deferred functions.
 *
 * Invariants:
 * - An epoll event carries a slot and that slot's generation, never a pointer.
 *   Unwatching raises the generation, so an event that was fetched before is recognised
 *   as stale, even when the descriptor or the slot is in use again.
 * - events[event_at .. event_count - 1] are still to be delivered; nothing else is asked
 *   of epoll before, or who comes first each time would keep the others out.
 * - heap[i].t->heap == i + 1 for every timer in the heap; order is (at_us, seq), so
 *   timers of the same instant fire in the order in which they were set. */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"

enum {
	EVENTS_A_TURN = 128,
	DEFERS_A_TURN =
		4096, /* one that asks for itself again must not stop the loop */
	HEAP_START = 256,
	SLOTS_START = 256,
	NO_SLOT = UINT32_MAX,
	SIGNALS = 65,
};

struct slot {
	struct watch *w; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct heap_entry {
	int64_t at_us;
	uint64_t seq;
	struct timer *t;
};

struct signal_handler {
	void (*fn)(void *ctx, int signo);
	void *ctx;
};

struct loop {
	int epoll_fd;
	struct now now;

	struct epoll_event events[EVENTS_A_TURN];
	int event_at, event_count;
	int64_t began_us, turn_limit_us;
	bool cut;

	struct slot *slots;
	uint32_t slot_count;
	uint32_t slot_free; /* NO_SLOT: none */

	struct heap_entry *heap;
	uint32_t heap_count;
	uint32_t heap_cap;
	uint64_t heap_seq;

	struct defer *defer_first;
	struct defer *defer_last;

	struct watch signal_watch;
	sigset_t signal_set;
	struct signal_handler signals[SIGNALS];

	bool stopped;
	int code;
	bool cpu_measured;
	struct loop_numbers numbers;
};

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->slot_free = NO_SLOT;
	l->turn_limit_us = INT64_MAX;
	l->signal_watch.fd = -1;
	sigemptyset(&l->signal_set);
	l->heap = calloc(HEAP_START, sizeof(*l->heap));
	l->heap_cap = HEAP_START;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!l->heap || l->epoll_fd < 0) {
		const int error = l->heap ? errno : ENOMEM;
		loop_free(l);
		errno = error;
		return NULL;
	}
	l->now = clock_read();
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	int signal_fd = l->signal_watch.fd;
	loop_unwatch(l, &l->signal_watch);
	fd_close(&signal_fd);
	fd_close(&l->epoll_fd);
	free(l->slots);
	free(l->heap);
	free(l);
}

const struct now *loop_now(const struct loop *l)
{
	return &l->now;
}

const struct now *loop_refresh(struct loop *l)
{
	l->now = clock_read();
	return &l->now;
}

/* --- watches --------------------------------------------------------------- */

static bool slots_grow(struct loop *l)
{
	const uint32_t count = l->slot_count ? l->slot_count * 2 : SLOTS_START;
	struct slot *slots = reallocarray(l->slots, count, sizeof(*slots));
	if (!slots)
		return false;
	for (uint32_t i = l->slot_count; i < count; i++)
		slots[i] =
			(struct slot){ .next_free = i + 1 < count ? i + 1 : NO_SLOT };
	l->slot_free = l->slot_count;
	l->slots = slots;
	l->slot_count = count;
	return true;
}

static uint32_t events_for_epoll(unsigned events)
{
	return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0u) |
	       (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0u);
}

static struct epoll_event slot_event(
	const struct loop *l, uint32_t slot, unsigned events)
{
	return (struct epoll_event){
		.events = events_for_epoll(events),
		.data.u64 = (uint64_t)l->slots[slot].generation << 32 | slot,
	};
}

/* watch.slot is the slot + 1, so that a zeroed watch is an unwatched one. */
static struct slot *watch_slot(const struct loop *l, const struct watch *w)
{
	if (!w->slot)
		return NULL;
	assert(w->slot <= l->slot_count && l->slots[w->slot - 1].w == w);
	return &l->slots[w->slot - 1];
}

int loop_watch(struct loop *l, struct watch *w, int fd, unsigned events,
	void (*fn)(void *ctx, unsigned events), void *ctx)
{
	loop_unwatch(l, w);
	if (l->slot_free == NO_SLOT && !slots_grow(l))
		return -ENOMEM;
	const uint32_t slot = l->slot_free;
	struct epoll_event event = slot_event(l, slot, events);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	l->slot_free = l->slots[slot].next_free;
	l->slots[slot].w = w;
	*w = (struct watch){
		.fd = fd, .events = events, .fn = fn, .ctx = ctx, .slot = slot + 1
	};
	return 0;
}

int loop_watch_events(struct loop *l, struct watch *w, unsigned events)
{
	if (!watch_slot(l, w))
		return -EBADF;
	if (w->events == events)
		return 0;
	struct epoll_event event = slot_event(l, w->slot - 1, events);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &event) < 0)
		return -errno;
	w->events = events;
	return 0;
}

/* Events of it that were fetched already are stale from here on. */
static void slot_release(struct loop *l, struct watch *w)
{
	struct slot *s = watch_slot(l, w);
	if (s) {
		s->w = NULL;
		s->generation++;
		s->next_free = l->slot_free;
		l->slot_free = w->slot - 1;
	}
	w->slot = 0;
	w->fd = -1;
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	/* fails only when the owner closed first: nothing is left to remove then */
	if (watch_slot(l, w))
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	slot_release(l, w);
}

void loop_unwatch_close(struct loop *l, struct watch *w, int *fd)
{
	assert(!watch_slot(l, w) || w->fd == *fd);
	fd_close(fd);
	slot_release(l, w);
}

static void event_deliver(struct loop *l, const struct epoll_event *event)
{
	const uint32_t slot = (uint32_t)event->data.u64;
	const uint32_t generation = (uint32_t)(event->data.u64 >> 32);
	if (slot >= l->slot_count || l->slots[slot].generation != generation)
		return; /* unwatched earlier in this turn */
	const struct watch *w = l->slots[slot].w;
	if (!w)
		return;
	unsigned events = 0;
	if (event->events & EPOLLIN)
		events |= LOOP_READ;
	if (event->events & EPOLLOUT)
		events |= LOOP_WRITE;
	/* whoever reads or writes meets the error there */
	if (event->events & (EPOLLERR | EPOLLHUP))
		events |= LOOP_HANGUP | w->events;
	events &= w->events | LOOP_HANGUP; /* asked for less since epoll_wait */
	if (events)
		w->fn(w->ctx, events);
}

static void turn_is_cut(struct loop *l)
{
	l->numbers.cut += !l->cut;
	l->cut = true;
}

/* --- timers ---------------------------------------------------------------- */

static bool entry_before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void heap_put(struct loop *l, uint32_t i, struct heap_entry e)
{
	l->heap[i] = e;
	e.t->heap = i + 1;
}

static void heap_up(struct loop *l, uint32_t i, struct heap_entry e)
{
	while (i > 0) {
		const uint32_t parent = (i - 1) / 2;
		if (!entry_before(&e, &l->heap[parent]))
			break;
		heap_put(l, i, l->heap[parent]);
		i = parent;
	}
	heap_put(l, i, e);
}

static void heap_down(struct loop *l, uint32_t i, struct heap_entry e)
{
	for (;;) {
		uint32_t child = 2 * i + 1;
		if (child >= l->heap_count)
			break;
		if (child + 1 < l->heap_count &&
			entry_before(&l->heap[child + 1], &l->heap[child]))
			child++;
		if (!entry_before(&l->heap[child], &e))
			break;
		heap_put(l, i, l->heap[child]);
		i = child;
	}
	heap_put(l, i, e);
}

/* Put `e` at place i, whose old content is gone, and restore the order. */
static void heap_settle(struct loop *l, uint32_t i, struct heap_entry e)
{
	if (i > 0 && entry_before(&e, &l->heap[(i - 1) / 2]))
		heap_up(l, i, e);
	else
		heap_down(l, i, e);
}

void loop_timer_set(struct loop *l, struct timer *t, int64_t at_us,
	void (*fn)(void *ctx), void *ctx)
{
	/* the past is now, behind what is due already */
	if (at_us < l->now.mono_us)
		at_us = l->now.mono_us;
	t->at_us = at_us;
	t->fn = fn;
	t->ctx = ctx;
	const struct heap_entry e = { .at_us = at_us, .seq = l->heap_seq++, .t = t };
	if (t->heap) {
		assert(t->heap <= l->heap_count && l->heap[t->heap - 1].t == t);
		heap_settle(l, t->heap - 1, e);
		return;
	}
	if (l->heap_count == l->heap_cap) {
		struct heap_entry *heap =
			reallocarray(l->heap, l->heap_cap, 2 * sizeof(*heap));
		if (!heap)
			abort(); /* a timer that never fires is worse than a restart */
		l->heap = heap;
		l->heap_cap *= 2;
	}
	heap_up(l, l->heap_count++, e);
}

void loop_timer_clear(struct loop *l, struct timer *t)
{
	if (!t->heap)
		return;
	const uint32_t i = t->heap - 1;
	assert(i < l->heap_count && l->heap[i].t == t);
	t->heap = 0;
	const struct heap_entry last = l->heap[--l->heap_count];
	if (i < l->heap_count)
		heap_settle(l, i, last);
}

/* Is that enough of them? They have as much time as all before them, or whoever keeps the
 * loop busy with events would hold them up. */
static bool timers_are_enough(struct loop *l, int64_t *until_us)
{
	if (l->turn_limit_us == INT64_MAX)
		return false;
	const int64_t now_us = clock_read().mono_us;
	if (!*until_us)
		*until_us = now_us + l->turn_limit_us;
	if (now_us < *until_us)
		return false;
	turn_is_cut(l);
	return true;
}

static void timers_fire(struct loop *l)
{
	int64_t until_us = 0;
	/* what is set from here on waits for the next turn, else a timer that sets itself
	 * to "now" again would keep this one from ending */
	const uint64_t end = l->heap_seq;
	while (l->heap_count && l->heap[0].seq < end) {
		struct timer *t = l->heap[0].t;
		if (t->at_us > l->now.mono_us || timers_are_enough(l, &until_us))
			return;
		loop_timer_clear(l, t);
		t->fn(t->ctx);
	}
}

bool loop_quota_take(const struct loop *l, struct quota *q, unsigned a_turn)
{
	if (q->turn != l->numbers.turns)
		*q = (struct quota){ .turn = l->numbers.turns };
	if (q->used >= a_turn)
		return false;
	q->used++;
	return true;
}

/* --- deferred functions ---------------------------------------------------- */

void loop_defer(struct loop *l, struct defer *d)
{
	if (d->queued)
		return;
	d->queued = true;
	d->next = NULL;
	if (l->defer_last)
		l->defer_last->next = d;
	else
		l->defer_first = d;
	l->defer_last = d;
}

void loop_undefer(struct loop *l, struct defer *d)
{
	if (!d->queued)
		return;
	struct defer *before = NULL;
	struct defer **link = &l->defer_first;
	while (*link != d) {
		assert(*link);
		before = *link;
		link = &before->next;
	}
	*link = d->next;
	if (l->defer_last == d)
		l->defer_last = before;
	d->queued = false;
}

static void defers_run(struct loop *l)
{
	for (unsigned left = DEFERS_A_TURN; left && l->defer_first; left--) {
		struct defer *d = l->defer_first;
		loop_undefer(l, d);
		d->fn(d->ctx);
	}
}

/* --- signals --------------------------------------------------------------- */

static void signals_read(void *ctx, unsigned events)
{
	(void)events;
	struct loop *l = ctx;
	struct signalfd_siginfo info;
	while (l->signal_watch.fd >= 0 &&
		read(l->signal_watch.fd, &info, sizeof(info)) ==
			(ssize_t)sizeof(info)) {
		if (info.ssi_signo >= SIGNALS)
			continue;
		const struct signal_handler *h = &l->signals[info.ssi_signo];
		if (h->fn)
			h->fn(h->ctx, (int)info.ssi_signo);
	}
}

int loop_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx)
{
	if (signo < 1 || signo >= SIGNALS || sigaddset(&l->signal_set, signo) < 0)
		return -EINVAL;
	if (sigprocmask(SIG_BLOCK, &l->signal_set, NULL) < 0)
		return -errno;
	const bool first = l->signal_watch.fd < 0;
	int fd = signalfd(
		l->signal_watch.fd, &l->signal_set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (first) {
		const int e =
			loop_watch(l, &l->signal_watch, fd, LOOP_READ, signals_read, l);
		if (e) {
			fd_close(&fd);
			return e;
		}
	}
	l->signals[signo] = (struct signal_handler){ .fn = fn, .ctx = ctx };
	return 0;
}

/* --- turning --------------------------------------------------------------- */

/* Milliseconds to wait, rounded up: a timer never fires early, nor the loop spin before
 * it. */
static int wait_for(const struct loop *l, int at_most_ms)
{
	if (l->defer_first || l->stopped)
		return 0;
	if (!l->heap_count)
		return at_most_ms;
	const int64_t left_us = l->heap[0].at_us - clock_read().mono_us;
	if (left_us <= 0)
		return 0;
	const int64_t left_ms = (left_us + 999) / 1000;
	if (at_most_ms >= 0 && left_ms > at_most_ms)
		return at_most_ms;
	return left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

void loop_limit_turn(struct loop *l, int64_t us)
{
	l->turn_limit_us = us;
}

bool loop_turn_is_spent(struct loop *l)
{
	if (l->turn_limit_us == INT64_MAX ||
		clock_read().mono_us - l->began_us < l->turn_limit_us)
		return false;
	turn_is_cut(l);
	return true;
}

static void events_fetch(struct loop *l, int wait_ms)
{
	const int count =
		epoll_wait(l->epoll_fd, l->events, EVENTS_A_TURN, wait_for(l, wait_ms));
	assert(count >= 0 || errno == EINTR);
	l->event_at = 0;
	l->event_count = count > 0 ? count : 0;
}

static void events_deliver(struct loop *l)
{
	bool more = l->event_at < l->event_count;
	while (more) {
		event_deliver(l, &l->events[l->event_at++]);
		more = l->event_at < l->event_count && !loop_turn_is_spent(l);
	}
}

void loop_turn(struct loop *l, int wait_ms)
{
	if (l->event_at == l->event_count)
		events_fetch(l, wait_ms);
	l->now = clock_read();
	const int64_t began_us = l->now.mono_us;
	const int64_t cpu_us = l->cpu_measured ? clock_cpu_us() : 0;
	l->began_us = began_us;
	l->cut = false;

	events_deliver(l);
	timers_fire(l);
	defers_run(l);

	const int64_t work_us = clock_read().mono_us - began_us;
	l->numbers.turns++;
	if (work_us > 0 && (uint64_t)work_us > l->numbers.longest_us)
		l->numbers.longest_us = (uint64_t)work_us;
	if (!l->cpu_measured)
		return;
	const int64_t used_us = clock_cpu_us() - cpu_us;
	if (used_us > 0 && (uint64_t)used_us > l->numbers.longest_cpu_us)
		l->numbers.longest_cpu_us = (uint64_t)used_us;
}

void loop_measure_cpu(struct loop *l)
{
	l->cpu_measured = true;
}

int loop_run(struct loop *l)
{
	while (!l->stopped)
		loop_turn(l, -1);
	l->stopped = false;
	return l->code;
}

void loop_stop(struct loop *l, int code)
{
	l->stopped = true;
	l->code = code;
}

struct loop_numbers loop_numbers_take(struct loop *l)
{
	const struct loop_numbers taken = l->numbers;
	l->numbers.longest_us = l->numbers.longest_cpu_us = 0;
	return taken;
}
