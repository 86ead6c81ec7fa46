/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/restart.c - `shoal restart`: one instance after the other, the successor first.
 *
 *	first   READY ............ its successor is ready: it becomes the second one,
 *SIGTERM second  SUCCESSOR: starting, shares the sockets; READY=1 makes it the first
 *one PREDECESSOR: reads no more, answers what it has begun, ends
 *
 * Both read the same kernel sockets and the same ring meanwhile. A successor that dies
 *or is not ready in time leaves the first one as it was, and those that would come
 *after it are not touched: the configuration or the program is what is wrong. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "super/internal.h"

enum {
	READY_US = 60 * 1000 * 1000,
	GONE_US = 5 * 1000 * 1000,
	ABORT_US = 2 * 1000 * 1000, /* from SIGABRT to SIGKILL: time for a core file */
	STAND_INS_US =
		60 * 1000 * 1000, /* STAND_INS at most in that time, for each: a machine
				     short of CPU needs no more processes */
};

static void other_output(void *ctx, unsigned events)
{
	struct instance *i = ctx;
	(void)events;
	if (!source_read(&i->other.source, &i->super->out))
		loop_unwatch(i->super->loop, &i->other.watch);
}

static void other_kill(void *ctx)
{
	struct instance *i = ctx;
	if (!i->other.pid)
		return;
	if (i->other.stands_in && i->other.role == PREDECESSOR && !i->other.aborted) {
		say(i->super, "instance %s (pid %d) is stuck: replaced", i->name,
			(int)i->other.pid);
		i->other.aborted = true;
		instance_abort(i->other.pid);
		loop_timer_set(i->super->loop, &i->other.timer,
			now_us(i->super) + ABORT_US, other_kill, i);
		return;
	}
	say(i->super, "instance %s (pid %d) %s: killed", i->name, (int)i->other.pid,
		i->other.role == SUCCESSOR ? "is not ready in time" : "does not stop");
	kill(i->other.pid, SIGKILL);
}

static void rolling_fail(struct super *s, const char *name, const char *why)
{
	struct rolling *r = &s->rolling;
	r->failed = true;
	snprintf(r->failure, sizeof(r->failure), "instance %.63s: %.350s", name, why);
	for (size_t k = 0; k < s->count; k++)
		s->instances[k].restart = false;
	r->left = 0;
}

static void rolling_step(struct super *s)
{
	s->rolling.left -= s->rolling.left > 0;
	s->rolling.done++;
	restart_next(s);
}

/* --- one instance ---------------------------------------------------------------- */

/* It lives: all that a program without READY=1 tells. */
static void successor_settled(void *ctx)
{
	restart_ready(ctx);
}

/* 0 or -errno. */
static int successor_start(struct instance *i, bool stands_in)
{
	struct super *s = i->super;
	const pid_t pid = instance_spawn(i, &i->other.source, stands_in);
	if (pid < 0)
		return pid;
	i->other.role = SUCCESSOR;
	i->other.stands_in = stands_in;
	i->other.aborted = false;
	i->other.pid = pid;
	i->other.started_us = now_us(s);
	loop_watch(s->loop, &i->other.watch, i->other.source.fd, LOOP_READ,
		other_output, i);
	if (s->plan->settle_ms)
		loop_timer_set(s->loop, &i->other.timer,
			now_us(s) + s->plan->settle_ms * 1000LL, successor_settled, i);
	else
		loop_timer_set(
			s->loop, &i->other.timer, now_us(s) + READY_US, other_kill, i);
	return 0;
}

static void restart_begin(struct instance *i)
{
	i->restart = false;
	const int e = successor_start(i, false);
	if (e) {
		rolling_fail(i->super, i->name, strerror(-e));
		return;
	}
	/* its stats are the successor's from some moment on: silence means nothing */
	*pulse_of(i) = (struct pulse){ .starting = true };
}

bool restart_stand_in(struct instance *i)
{
	struct super *s = i->super;
	int64_t *const oldest = &i->stood_in_us[i->stand_ins % STAND_INS];
	const bool enough = *oldest && now_us(s) - *oldest < STAND_INS_US;
	if (i->state != READY || i->other.role != NOBODY || i->replaced || enough ||
		!i->keep.count)
		return false;
	const int pid = (int)i->pid;
	const double silent_s = (double)pulse_of(i)->silent_ms / 1e3;
	if (successor_start(i, true))
		return false;
	*oldest = now_us(s);
	i->stand_ins++;
	say(s, "instance %s (pid %d) stands still since %.1f s: pid %d stands in",
		i->name, pid, silent_s, (int)i->other.pid);
	return true;
}

static void revive(struct instance *i)
{
	struct super *s = i->super;
	i->restart = false;
	const int e = instance_begin(i);
	if (e) {
		rolling_fail(s, i->name, strerror(-e));
		return;
	}
	i->revived = true;
	say(s, "starting instance %s again", i->name);
}

void restart_revived(struct instance *i)
{
	i->revived = false;
	rolling_step(i->super);
}

void restart_not_revived(struct instance *i, int status)
{
	struct super *s = i->super;
	char words[CHILD_WORDS_MAX], why[CHILD_WORDS_MAX + 250];
	i->revived = false;
	i->state = ENDED;
	keep_close(&i->keep);
	snprintf(why, sizeof(why), "it cannot start: %s: %s",
		child_words(status, words),
		i->source.last[0] ? i->source.last : "it said nothing");
	say(s, "instance %s: %s", i->name, why);
	rolling_fail(s, i->name, why);
}

/* Is anybody between two processes? */
static bool is_busy(const struct super *s)
{
	for (size_t k = 0; k < s->count; k++)
		if (s->instances[k].other.role != NOBODY || s->instances[k].revived)
			return true;
	return false;
}

void restart_next(struct super *s)
{
	for (size_t k = 0; !s->stopping && k < s->count; k++) {
		struct instance *i = &s->instances[k];
		if (!i->restart)
			continue;
		if (i->state == ENDED && !s->plan->conf)
			rolling_fail(s, i->name, "it has ended");
		else if (i->state == ENDED && !is_busy(s))
			revive(i);
		else if (i->state == READY && !i->replaced && !is_busy(s))
			restart_begin(i);
		return; /* in order: one that is starting is waited for */
	}
}

/* First and second change places; a watch is known by its address. */
static void swap(struct instance *i)
{
	struct loop *loop = i->super->loop;
	const struct source source = i->source;
	const pid_t pid = i->pid;
	loop_unwatch(loop, &i->watch);
	loop_unwatch(loop, &i->other.watch);
	i->source = i->other.source;
	i->pid = i->other.pid;
	i->started_us = i->other.started_us;
	i->other.source = source;
	i->other.pid = pid;
	if (i->source.fd >= 0)
		loop_watch(
			loop, &i->watch, i->source.fd, LOOP_READ, instance_output, i);
	if (source.fd >= 0)
		loop_watch(
			loop, &i->other.watch, source.fd, LOOP_READ, other_output, i);
	i->beat_us = 0;
	i->told = i->replaced = i->parked = false;
}

void restart_ready(struct instance *i)
{
	struct super *s = i->super;
	if (i->other.role != SUCCESSOR)
		return;
	swap(i);
	i->other.role = PREDECESSOR;
	instance_tell_to_stop(s, i->other.pid, !i->other.stands_in);
	int64_t patience_us = s->plan->stop_ms ? s->plan->stop_ms * 1000LL : GONE_US;
	if (i->other.stands_in) {
		/* what it had read is the successor's work already */
		patience_us = (PULSE_STUCK_MS - pulse_of(i)->silent_ms) * 1000;
		say(s, "instance %s: pid %d serves its clients", i->name, (int)i->pid);
	}
	loop_timer_set(s->loop, &i->other.timer,
		now_us(s) + (patience_us > 0 ? patience_us : 0), other_kill, i);
	instance_became_ready(i);
}

static void other_close(struct instance *i)
{
	struct super *s = i->super;
	i->other.pid = 0;
	i->other.role = NOBODY;
	i->other.stands_in = false;
	loop_timer_clear(s->loop, &i->other.timer);
	loop_unwatch(s->loop, &i->other.watch);
	source_close(&i->other.source, &s->out);
}

void restart_other_died(struct instance *i, int status)
{
	struct super *s = i->super;
	const enum role role = i->other.role;
	const bool stood_in = i->other.stands_in;
	const pid_t pid = i->other.pid;
	char words[CHILD_WORDS_MAX], why[CHILD_WORDS_MAX + 250];
	child_words(status, words);
	other_close(i);
	if (role == PREDECESSOR) {
		if (stood_in && WIFEXITED(status) && !WEXITSTATUS(status))
			say(s, "instance %s (pid %d) went on, and left", i->name,
				(int)pid);
		else if (!WIFEXITED(status) || WEXITSTATUS(status))
			say(s, "instance %s (pid %d) did not stop well: %s", i->name,
				(int)pid, words);
		if (stood_in)
			restart_next(s);
		else
			rolling_step(s);
	} else if (stood_in && !s->stopping) {
		/* nor could the next one */
		for (size_t k = 0; k < STAND_INS; k++)
			i->stood_in_us[k] = now_us(s);
		say(s, "instance %s: nobody can stand in for it: %s: %s", i->name,
			words,
			i->other.source.last[0] ? i->other.source.last
						: "it said nothing");
	} else if (!s->stopping) {
		snprintf(why, sizeof(why), "its successor cannot start: %s: %s", words,
			i->other.source.last[0] ? i->other.source.last
						: "it said nothing");
		say(s, "instance %s: %s; pid %d goes on", i->name, why, (int)i->pid);
		*pulse_of(i) = (struct pulse){ 0 };
		rolling_fail(s, i->name, why);
	}
	end_if_all_ended(s);
}

bool restart_promote(struct instance *i)
{
	struct super *s = i->super;
	if (i->other.role != SUCCESSOR)
		return false;
	const bool stood_in = i->other.stands_in;
	swap(i); /* of the dead one all is closed already */
	other_close(i);
	say(s, "instance %s died while its successor (pid %d) was starting", i->name,
		(int)i->pid);
	i->state = STARTING;
	*pulse_of(i) = (struct pulse){ .starting = true };
	if (!stood_in)
		rolling_step(s);
	return true;
}

void restart_stop(struct super *s)
{
	for (size_t k = 0; k < s->count; k++) {
		struct instance *i = &s->instances[k];
		i->restart = false;
		/* one serves nobody yet, the other one no more */
		if (i->other.role == SUCCESSOR || i->other.stands_in)
			kill(i->other.pid, SIGKILL);
	}
}
