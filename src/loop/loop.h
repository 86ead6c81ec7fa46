/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loop/loop.h - epoll, a timer heap, signals: one thread, one clock reading per turn.
 *
 * Watches and timers are embedded in their owners; the loop never allocates for them.
 * A callback may delete any watch or timer, its own included. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct loop;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 /* given, never asked for */ };

/* Zeroed is unwatched. Unwatch before closing the descriptor. */
struct watch {
	int fd; /* -1: not watched */
	unsigned events;
	void (*fn)(void *ctx, unsigned events);
	void *ctx;
	uint32_t slot; /* the loop's; 0: not watched */
};

struct timer {
	int64_t at_us; /* monotonic */
	void (*fn)(void *ctx);
	void *ctx;
	uint32_t heap; /* place in the heap + 1; 0: not set */
};

/* Runs once at the end of the turn in which it was asked for: to send what the turn piled up. */
struct defer {
	void (*fn)(void *ctx);
	void *ctx;
	struct defer *next;
	bool queued;
};

struct loop *loop_new(void); /* NULL with errno */
void loop_free(struct loop *l);
/* Clocks as read at the start of this turn. */
const struct now *loop_now(const struct loop *l);
/* Read the clocks again: after long work. */
const struct now *loop_refresh(struct loop *l);

/* Level-triggered. 0 or -errno. */
int loop_watch(struct loop *l, struct watch *w, int fd, unsigned events,
	void (*fn)(void *ctx, unsigned events), void *ctx);
int loop_watch_events(struct loop *l, struct watch *w, unsigned events);
void loop_unwatch(
	struct loop *l, struct watch *w); /* does not close; fine when not watched */
/* Close the watched *fd, which becomes -1: this alone ends the watching, so its
 * descriptor must have no duplicate. One system call less than unwatching first. */
void loop_unwatch_close(struct loop *l, struct watch *w, int *fd);

void loop_timer_set(struct loop *l, struct timer *t, int64_t at_us,
	void (*fn)(void *ctx), void *ctx); /* set again: moved */
void loop_timer_clear(struct loop *l, struct timer *t);
static inline bool loop_timer_is_set(const struct timer *t)
{
	return t->heap != 0;
}
/* Zeroed: unused. */
struct quota {
	uint64_t turn;
	unsigned used;
};
/* Long work, so often in one turn. False: not again in this one, others have theirs first;
 * what epoll told, it tells again in the next. */
bool loop_quota_take(const struct loop *l, struct quota *q, unsigned a_turn);

void loop_defer(struct loop *l, struct defer *d); /* asked for twice: runs once */
/* Before the owner goes; fine when not queued. */
void loop_undefer(struct loop *l, struct defer *d);

/* signalfd(2): blocks the signal for the process. 0 or -errno. */
int loop_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx);

/* Until loop_stop; returns its code. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int code);
/* One turn, waiting at most `wait_ms` (tests, nested work). */
void loop_turn(struct loop *l, int wait_ms);

/* From now on events that are left when a turn has cost so much have the next one, before
 * others are asked for; so have timers when they alone cost it. */
void loop_limit_turn(struct loop *l, int64_t us);
/* For who does things one after the other in a callback: has this turn cost so much? Then the
 * rest belongs into a later one. */
bool loop_turn_is_spent(struct loop *l);

/* From now on turns are measured in CPU time too: two system calls each. */
void loop_measure_cpu(struct loop *l);

struct loop_numbers {
	uint64_t turns; /* since the start */
	uint64_t
		longest_us; /* since asked last: work in one turn without the waiting */
	uint64_t longest_cpu_us; /* the same in CPU time, if measured */
	uint64_t cut;            /* since the start: spent before everything was done */
};
struct loop_numbers loop_numbers_take(struct loop *l);
