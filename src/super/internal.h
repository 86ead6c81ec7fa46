/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/internal.h - the supervisor's state, for the files of this folder that move it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/counters.h"
#include "ctl/control.h"
#include "loop/loop.h"
#include "super/backoff.h"
#include "super/child.h"
#include "super/keep.h"
#include "super/output.h"
#include "super/pulse.h"
#include "super/super.h"

enum { NOTIFY_MAX = 108, STAND_INS = 6 };
#define NOTIFY_FILE "super.notify"

enum instance_state { WAITING, STARTING, READY, LEAVING, ENDED };

/* From SIGTERM to SIGKILL: queries 3.3 s, snapshot 3 s. */
enum { STOP_US = 8 * 1000 * 1000 };

struct super;

/* The second process of an instance, while it is restarted. */
enum role { NOBODY, SUCCESSOR, PREDECESSOR };

struct other {
	enum role role;
	bool stands_in; /* no `shoal restart`: the first one stands still, or stood */
	bool aborted;
	pid_t pid;
	int64_t started_us;
	struct source source;
	struct watch watch;
	struct timer timer; /* SIGKILL: not ready, or not gone, in time */
};

struct instance {
	struct super *super;
	const char *name;
	enum instance_state state;
	pid_t pid;
	int64_t started_us;
	unsigned long starts;
	int64_t beat_us; /* as its stats file said last */
	bool told;       /* its silence */
	bool replaced;   /* SIGABRT was sent */
	struct backoff backoff;
	struct source source;
	struct watch watch;
	struct timer timer; /* WAITING: start; LEAVING, replaced: SIGKILL */
	struct keep keep;   /* what it left with us for its successor */
	bool parked;        /* its sockets, while it stands still */
	bool out;           /* steering passes its sockets by since a death */
	int64_t stood_in_us[STAND_INS]; /* when others stood in for it of late, or 0 */
	unsigned stand_ins;             /* how many ever */
	bool restart;                   /* asked for, not begun */
	bool revived; /* it had ended, and `shoal restart` starts it again */
	bool leaves;  /* `shoal stop` was asked for, and it has not ended yet */
	bool unwell;  /* it was to stop, and had to be killed, or died */
	struct other other;
};

/* `shoal restart`: one after the other. */
struct rolling {
	unsigned long serial; /* of the last one asked for */
	size_t left, done;
	bool failed;
	char failure[448];
};

struct super {
	const struct super_plan *plan;
	struct loop *loop;
	struct output out;
	char notify_path[NOTIFY_MAX];
	struct watch notify;
	struct timer tick;
	struct timer stop;
	int64_t tick_us; /* when the last one was */
	unsigned ticks;
	int64_t parent_us; /* when our own watchdog was last fed */
	bool stopping;
	bool any_ready; /* some instance, some time: the configuration can work */
	bool told_ready;
	int code;
	int claim; /* claim.h */
	struct control *control;
	struct shard_steer *steer; /* NULL: by the kernel's hash */
	struct watch steer_watch;  /* who asks for it */
	struct counters counters;  /* the control socket wants some */
	struct rolling rolling;
	struct instance *instances;
	struct pulse *pulses; /* beside the instances */
	size_t count;
};

/* One line of our own in the log. */
#define say(s, ...) output_say(&(s)->out, (s)->plan->who, __VA_ARGS__)

struct pulse *pulse_of(const struct instance *i);
int64_t now_us(const struct super *s);
size_t count_state(const struct super *s, enum instance_state state);
/* Asked to go: its signal. `wake`: also where it is stopped, and would not see it. */
void instance_tell_to_stop(const struct super *s, pid_t pid, bool wake);
/* Stuck: SIGABRT shows what it was at work on. */
void instance_abort(pid_t pid);
/* A process of this instance: pid, its output in `source`, watched; or -errno. */
pid_t instance_spawn(struct instance *i, struct source *source, bool stands_in);
/* The first process of this instance. 0 or -errno. */
int instance_begin(struct instance *i);
void instance_output(void *ctx, unsigned events);
/* It is ready: told to whoever started us. */
void instance_became_ready(struct instance *i);
void end_if_all_ended(struct super *s);
/* Where instances tell: `notify` and its path. 0 or -errno. */
int notify_open(struct super *s);

/* --- steer.c: the programs that choose among instances ------------------------------- */

/* The pinned ones, else our own, passed on over <run>/control/.steer. */
void steer_start(struct super *s);
/* Its members take no new flows, where others do. False: it has none, or nobody else is there. */
bool steer_out(struct super *s, pid_t pid);
void steer_stop(struct super *s);
/* <run>/control/.steer, in place of the one before. */
void steer_listen(struct super *s);

/* --- cleaned.c: the run folder was emptied ------------------------------------------- */

/* Once a second. */
void cleaned_tick(struct super *s);

/* --- restart.c: successor first, then the predecessor goes ----------------------- */

/* The instance's turn: the others wait. */
void restart_next(struct super *s);
/* READY=1 of a second process. */
void restart_ready(struct instance *i);
/* A second process is dead. */
void restart_other_died(struct instance *i, int status);
/* The first process died while its successor was starting: that one is the instance
 * now. */
bool restart_promote(struct instance *i);
/* The instance stands still: a successor on the same sockets serves its clients, and takes
 * its place when it is ready. False: that is not possible now. */
bool restart_stand_in(struct instance *i);
/* All shall stop. */
void restart_stop(struct super *s);
/* It had ended, and is ready again; or it died before. */
void restart_revived(struct instance *i);
void restart_not_revived(struct instance *i, int status);

/* --- stop.c: some of them leave for good ------------------------------------------ */

/* False: it has ended already. */
bool stop_ask(struct instance *i);
/* Those who were asked for and can be told now. */
void stop_next(struct super *s);
/* Its process has ended. */
void stop_died(struct instance *i, pid_t pid, int status);

/* --- asked.c: the control socket -------------------------------------------------- */

/* <run>/control/.supervisor; a warning when there is none. */
void asked_listen(struct super *s);
