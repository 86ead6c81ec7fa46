/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/stop.c - `shoal stop NAME`: an instance leaves for good, its siblings serve its clients.
 *
 * Nobody comes to read what would wait in its sockets. Of UDP the instance itself leaves
 * the group, by steering or parked, and empties the queue before it ends; then we close our
 * duplicates. A listener stays in its group until the last duplicate is closed, so ours go
 * first: the instance takes what waits and closes it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "super/internal.h"

static void kill_late(void *ctx)
{
	const struct instance *i = ctx;
	say(i->super, "instance %s (pid %d) does not stop: killed", i->name,
		(int)i->pid);
	kill(i->pid, SIGKILL);
}

static void end(struct instance *i)
{
	i->state = ENDED;
	i->leaves = false;
	keep_close(&i->keep);
}

static void begin(struct instance *i)
{
	struct super *s = i->super;
	say(s, "stopping instance %s (pid %d)", i->name, (int)i->pid);
	i->state = LEAVING;
	pulse_of(i)->dead = true; /* it beats no more */
	keep_close_listeners(&i->keep);
	instance_tell_to_stop(s, i->pid, true);
	loop_timer_set(s->loop, &i->timer, now_us(s) + STOP_US, kill_late, i);
}

bool stop_ask(struct instance *i)
{
	i->unwell = false;
	i->leaves = i->state != ENDED;
	return i->leaves;
}

void stop_next(struct super *s)
{
	for (size_t k = 0; !s->stopping && k < s->count; k++) {
		struct instance *i = &s->instances[k];
		if (!i->leaves)
			continue;
		if (i->state == WAITING) {
			loop_timer_clear(s->loop, &i->timer);
			say(s, "instance %s is not started again", i->name);
			end(i);
		} else if (i->state == READY && i->other.role == NOBODY &&
			   !i->replaced) {
			begin(i); /* who is starting is waited for: what waits in its queues is served */
		}
	}
	end_if_all_ended(s);
}

void stop_died(struct instance *i, pid_t pid, int status)
{
	struct super *s = i->super;
	char words[CHILD_WORDS_MAX];
	i->unwell = !WIFEXITED(status) || WEXITSTATUS(status);
	if (i->unwell)
		say(s, "instance %s (pid %d) did not stop well: %s", i->name, (int)pid,
			child_words(status, words));
	else
		say(s, "instance %s (pid %d) has stopped", i->name, (int)pid);
	end(i);
}
