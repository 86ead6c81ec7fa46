/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/super.c - the life of each instance: started, ready, died, waiting, started
 *again.
 *
 *	WAITING --timer--> STARTING --READY=1--> READY
 *	   ^                  |                    |
 *	   +---- back-off ----+------- died -------+       exit code 0, or all stop:
 *ENDED
 *
 * An instance is known to the kernel by `pid` (0 in WAITING and ENDED). The supervisor
 * keeps a duplicate of each of its sockets, so that what waits in their queues finds
 *the successor; killed, it leaves the instances serving. */
#include "super/internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"
#include "ctl/notify.h"
#include "ctl/stats.h"
#include "loop/loop.h"
#include "super/check.h"
#include "super/claim.h"

enum {
	ABORT_US = 2 * 1000 * 1000, /* from SIGABRT to SIGKILL: time for a core file */
	ORPHAN_US = 20 * 1000,      /* longer without a successor: siblings take over */
	TICKS_A_SECOND = 1000 / PULSE_TICK_MS,
};

struct pulse *pulse_of(const struct instance *i)
{
	return &i->super->pulses[i - i->super->instances];
}

int64_t now_us(const struct super *s)
{
	return loop_now(s->loop)->mono_us;
}

size_t count_state(const struct super *s, enum instance_state state)
{
	size_t count = 0;
	for (size_t i = 0; i < s->count; i++)
		count += s->instances[i].state == state;
	return count;
}

/* --- to whoever started us ---------------------------------------------------- */

static void tell_parent(struct super *s, const char *first)
{
	char text[128];
	snprintf(text, sizeof(text), "%sSTATUS=%zu of %zu instances are ready", first,
		count_state(s, READY), s->count);
	(*first ? notify_send_surely : notify_send)(text, NULL, 0);
}

static void feed_parent(struct super *s)
{
	const int64_t every_us = (int64_t)notify_watchdog_us() / 2;
	if (every_us && now_us(s) - s->parent_us >= every_us) {
		notify_send("WATCHDOG=1", NULL, 0);
		s->parent_us = now_us(s);
	}
}

/* --- starting ----------------------------------------------------------------- */

static void stop_all(struct super *s);
static void instance_start(void *ctx);

void instance_output(void *ctx, unsigned events)
{
	struct instance *i = ctx;
	(void)events;
	if (!source_read(&i->source, &i->super->out))
		loop_unwatch(i->super->loop,
			&i->watch); /* closed; its death is told by SIGCHLD */
}

static void wait_to_start(struct instance *i, int64_t delay_us)
{
	struct super *s = i->super;
	i->state = WAITING;
	loop_timer_set(s->loop, &i->timer, now_us(s) + delay_us, instance_start, i);
}

const char super_name_here[] = "";

void instance_tell_to_stop(const struct super *s, pid_t pid, bool wake)
{
	/* before the signal: at its end a process may be stopped for a moment by what looks at it (a
	 * leak checker, a debugger), which a SIGCONT that comes then leaves waiting for ever */
	if (wake)
		kill(pid, SIGCONT);
	kill(pid, s->plan->stop_signal ? s->plan->stop_signal : SIGTERM);
}

void instance_abort(pid_t pid)
{
	char state = 0;
	uint64_t start;
	stats_process_start(pid, &state, &start);
	/* a stopped process sees no SIGABRT, and its question is not to blame */
	kill(pid, state == 'T' ? SIGKILL : SIGABRT);
}

enum { ARGS_MAX = 1024, WORDS_MAX = 64 * 1024 };

struct words {
	const char *argv[ARGS_MAX];
	char text[WORDS_MAX];
	size_t len;
};

/* With the name for %w. False: no room. */
static bool word_expand(struct words *w, const char *word, const char *name)
{
	for (; *word; word++) {
		const bool is_name = word[0] == '%' && word[1] == 'w';
		if (w->len + strlen(name) + 2 > WORDS_MAX)
			return false;
		if (is_name)
			w->len += (size_t)sprintf(w->text + w->len, "%s", name);
		else
			w->text[w->len++] = *word;
		word += is_name || (word[0] == '%' && word[1] == '%');
	}
	if (w->len == WORDS_MAX)
		return false;
	w->text[w->len++] = 0;
	return true;
}

/* False: too many, or too long. */
static bool words_make(struct words *w, const struct super_plan *plan, const char *name)
{
	size_t n = 0;
	w->len = 0;
	for (; plan->argv[n]; n++) {
		const char *word = plan->argv[n];
		if (n == ARGS_MAX - 1)
			return false;
		w->argv[n] = word == super_name_here ? name : word;
		if (!plan->expand || word == super_name_here || !strchr(word, '%'))
			continue;
		w->argv[n] = w->text + w->len;
		if (!word_expand(w, word, name))
			return false;
	}
	w->argv[n] = NULL;
	return true;
}

pid_t instance_spawn(struct instance *i, struct source *source, bool stands_in)
{
	struct super *s = i->super;
	static struct words words;
	if (!words_make(&words, s->plan, i->name)) {
		source->fd = -1;
		return -E2BIG;
	}
	i->starts++;
	const struct child_plan plan = { .program = s->plan->program,
		.argv = words.argv,
		.name = i->name,
		.run_folder = s->plan->conf ? s->plan->run_folder : NULL,
		.env = s->plan->env,
		.notify = s->notify_path,
		.watchdog_us = s->plan->watchdog ? PULSE_STUCK_MS * 1000LL : 0,
		.keep = &i->keep,
		.stands_in = stands_in };
	int out = -1;
	const pid_t pid = child_start(&plan, &out);
	if (pid > 0 && source_open(source, i->name, out))
		return pid;
	say(s, "instance %s cannot be started: %s", i->name,
		strerror(pid < 0 ? -pid : ENOMEM));
	if (pid > 0)
		kill(pid, SIGKILL);
	fd_close(&out);
	source->fd = -1;
	return pid < 0 ? pid : -ENOMEM;
}

/* It lives: all that a program without READY=1 tells. */
static void instance_settled(void *ctx)
{
	struct instance *i = ctx;
	if (i->state == STARTING)
		instance_became_ready(i);
}

int instance_begin(struct instance *i)
{
	struct super *s = i->super;
	const pid_t pid = instance_spawn(i, &i->source, false);
	if (pid < 0)
		return pid;
	i->state = STARTING;
	i->pid = pid;
	i->started_us = now_us(s);
	i->told = i->replaced = i->parked = false;
	i->beat_us = 0;
	*pulse_of(i) = (struct pulse){ .starting = true };
	loop_watch(s->loop, &i->watch, i->source.fd, LOOP_READ, instance_output, i);
	if (s->plan->settle_ms)
		loop_timer_set(s->loop, &i->timer,
			now_us(s) + s->plan->settle_ms * 1000LL, instance_settled, i);
	return 0;
}

static void instance_start(void *ctx)
{
	struct instance *i = ctx;
	if (instance_begin(i) < 0)
		wait_to_start(i, backoff_after(&i->backoff, 0));
}

/* --- what instances say ------------------------------------------------------- */

void instance_became_ready(struct instance *i)
{
	struct super *s = i->super;
	i->state = READY;
	i->out = false;
	s->any_ready = true;
	if (s->plan->lead)
		s->plan->lead(s->plan->ctx, (size_t)(i - s->instances), true);
	*pulse_of(i) = (struct pulse){ 0 };
	if (count_state(s, READY) == s->count && s->plan->all_ready)
		s->plan->all_ready(s->plan->ctx);
	if (count_state(s, READY) == s->count && !s->told_ready) {
		s->told_ready = true;
		if (s->count == 1)
			say(s, "instance %s is ready", i->name);
		else
			say(s, "all %zu instances are ready", s->count);
		tell_parent(s, "READY=1\n");
	} else {
		tell_parent(s, "");
	}
	if (i->revived)
		restart_revived(i);
}

static void kill_stuck(void *ctx)
{
	const struct instance *i = ctx;
	if (i->pid)
		kill(i->pid, SIGKILL);
}

static void instance_replace(struct instance *i)
{
	struct super *s = i->super;
	size_t replaced = 0;
	for (size_t k = 0; k < s->count; k++)
		replaced += s->instances[k].replaced;
	if (i->replaced || replaced >= (s->count > 1 ? s->count / 2 : 1))
		return; /* never more than half at once */
	say(s, "instance %s (pid %d) is stuck: replaced", i->name, (int)i->pid);
	i->replaced = true;
	pulse_of(i)->dead = true;
	instance_abort(i->pid);
	loop_timer_set(s->loop, &i->timer, now_us(s) + ABORT_US, kill_stuck, i);
}

static void instance_ready(struct instance *i, pid_t pid)
{
	if (i->super->stopping)
		return; /* a successor that is being killed replaces nobody */
	if (i->other.pid == pid)
		restart_ready(i);
	else if (i->state == STARTING)
		instance_became_ready(i);
}

/* FDSTORE=1, FDSTOREREMOVE=1: what its successor shall have. FDPOLL=0 is how we do it
 * anyway. */
static void instance_keeps(struct instance *i, struct notify_message *m)
{
	char value[16], name[KEEP_NAME_MAX] = "stored";
	notify_value(m->text, "FDNAME", name, sizeof(name));
	if (notify_value(m->text, "FDSTORE", value, sizeof(value)) &&
		strcmp(value, "1") == 0) {
		for (size_t k = 0; k < m->fd_count; k++)
			if (!keep_add(&i->keep, name, m->fds[k]))
				say(i->super, "instance %s: %s is not kept: too many",
					i->name, name);
		m->fd_count = 0;
		if (m->lost)
			say(i->super,
				"instance %s: %s is not kept: too many files are open "
				"(ulimit -n)",
				i->name, name);
	}
	if (notify_value(m->text, "FDSTOREREMOVE", value, sizeof(value)) &&
		strcmp(value, "1") == 0)
		keep_remove(&i->keep, name);
}

static void instance_says(struct instance *i, struct notify_message *m)
{
	const char *text = m->text;
	char value[16];
	instance_keeps(i, m);
	if (notify_value(text, "READY", value, sizeof(value)) &&
		strcmp(value, "1") == 0)
		instance_ready(i, m->pid);
	if (notify_value(text, "WATCHDOG", value, sizeof(value))) {
		if (strcmp(value, "trigger") == 0)
			instance_replace(i);
		else
			pulse_beat(pulse_of(i));
	}
}

static void notify_event(void *ctx, unsigned events)
{
	struct super *s = ctx;
	struct notify_message m;
	(void)events;
	/* bounded: anyone may send here */
	for (int n = 0; n < 256 && notify_receive(s->notify.fd, &m) == 1; n++) {
		for (size_t k = 0; m.pid > 0 && k < s->count; k++)
			if (s->instances[k].pid == m.pid ||
				s->instances[k].other.pid == m.pid)
				instance_says(&s->instances[k], &m);
		for (size_t k = 0; k < m.fd_count; k++)
			close(m.fds[k]); /* of a stranger, or without FDSTORE=1 */
	}
}

/* --- dying -------------------------------------------------------------------- */

void end_if_all_ended(struct super *s)
{
	for (size_t k = 0; k < s->count; k++)
		if (s->instances[k].state != ENDED || s->instances[k].other.pid)
			return;
	loop_stop(s->loop, s->code);
}

/* Before any instance was ever ready, an orderly failure is the configuration's or the
 * sockets': trying again would say the same for ever. */
static bool is_hopeless(const struct super *s, int status)
{
	return !s->any_ready && WIFEXITED(status) && WEXITSTATUS(status) != 0;
}

/* Asked to go: anything but going is worth a line, once for all that cannot start. */
static void died_stopping(struct instance *i, pid_t pid, int status)
{
	struct super *s = i->super;
	char words[CHILD_WORDS_MAX];
	const bool fine = (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
			  (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	i->state = ENDED;
	if (!fine)
		s->code = 1;
	if (!fine && !is_hopeless(s, status))
		say(s, "instance %s (pid %d) did not stop well: %s", i->name, (int)pid,
			child_words(status, words));
}

static void died_running(struct instance *i, pid_t pid, int status)
{
	struct super *s = i->super;
	char words[CHILD_WORDS_MAX], when[64];
	const double lived_s = (double)(now_us(s) - i->started_us) / 1e6;
	/* who died before it came into its slot left it as the one before it did: passed by */
	const bool out = steer_out(s, pid) || i->out;
	i->out = out;
	child_words(status, words);
	if (is_hopeless(s, status)) {
		say(s, "instance %s cannot start: %s: %s", i->name, words,
			i->source.last[0] ? i->source.last : "it said nothing");
		i->state = ENDED;
		s->code = 1;
		stop_all(s);
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		say(s, "instance %s (pid %d) ended by itself after %.1f s", i->name,
			(int)pid, lived_s);
		i->state = ENDED;
		keep_close(&i->keep); /* it emptied them: nobody comes to read them */
		return;
	}
	const int64_t delay_us = backoff_after(&i->backoff, now_us(s) - i->started_us);
	snprintf(when, sizeof(when), delay_us ? "in %.1f s" : "at once",
		(double)delay_us / 1e6);
	say(s, "instance %s (pid %d) died after %.1f s: %s; started again %s%s%s",
		i->name, (int)pid, lived_s, words, when,
		i->source.last[0] ? "; last words: " : "", i->source.last);
	if (!out && delay_us > ORPHAN_US && s->plan->conf && keep_park(&i->keep))
		say(s, "instance %s: its siblings serve its clients meanwhile",
			i->name);
	if (delay_us > ORPHAN_US && s->plan->lead)
		s->plan->lead(s->plan->ctx, (size_t)(i - s->instances), false);
	wait_to_start(i, delay_us);
}

static void instance_died(struct instance *i, int status)
{
	struct super *s = i->super;
	const pid_t pid = i->pid;
	i->pid = 0;
	i->replaced = false;
	pulse_of(i)->dead = true;
	loop_timer_clear(s->loop, &i->timer);
	loop_unwatch(s->loop, &i->watch);
	source_close(&i->source, &s->out);
	if (s->stopping)
		died_stopping(i, pid, status);
	else if (i->revived)
		restart_not_revived(i, status);
	else if (!restart_promote(i))
		i->leaves ? stop_died(i, pid, status) : died_running(i, pid, status);
	if (!s->stopping)
		tell_parent(s, "");
	end_if_all_ended(s);
}

static void on_child(void *ctx, int signo)
{
	struct super *s = ctx;
	int status;
	(void)signo;
	loop_refresh(s->loop);
	notify_event(s, LOOP_READ); /* what they said before they died */
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		for (size_t k = 0; k < s->count; k++) {
			if (s->instances[k].pid == pid)
				instance_died(&s->instances[k], status);
			else if (s->instances[k].other.pid == pid)
				restart_other_died(&s->instances[k], status);
		}
}

/* --- stopping ----------------------------------------------------------------- */

static void kill_rest(void *ctx)
{
	struct super *s = ctx;
	for (size_t k = 0; k < s->count; k++) {
		struct instance *i = &s->instances[k];
		if (!i->pid)
			continue;
		say(s, "instance %s (pid %d) does not stop: killed", i->name,
			(int)i->pid);
		kill(i->pid, SIGKILL);
	}
}

static void stop_all(struct super *s)
{
	s->stopping = true;
	notify_send("STOPPING=1", NULL, 0);
	restart_stop(s);
	for (size_t k = 0; k < s->count; k++) {
		struct instance *i = &s->instances[k];
		loop_timer_clear(s->loop, &i->timer);
		if (!i->pid) {
			i->state = ENDED;
			continue;
		}
		if (i->state == LEAVING)
			continue; /* asked twice it would lose what it has begun */
		instance_tell_to_stop(s, i->pid, true);
	}
	loop_timer_set(s->loop, &s->stop,
		now_us(s) + (s->plan->stop_ms ? s->plan->stop_ms * 1000LL : STOP_US),
		kill_rest, s);
	end_if_all_ended(s);
}

static void on_stop(void *ctx, int signo)
{
	struct super *s = ctx;
	if (s->stopping) {
		if (signo == SIGINT)
			kill_rest(s); /* a person asked again: no patience left */
		return;
	}
	const size_t count = s->count - count_state(s, ENDED);
	say(s, "stopping %zu instance%s (SIG%s)", count, count == 1 ? "" : "s",
		sigabbrev_np(signo));
	stop_all(s);
}

static void on_hangup(void *ctx, int signo)
{
	(void)ctx,
		(void)signo; /* a terminal that closes is no reason to stop serving */
}

/* --- watching ------------------------------------------------------------------- */

static void instance_listen(struct instance *i)
{
	const struct super_plan *plan = i->super->plan;
	struct pulse *p = pulse_of(i);
	struct stats_block b;
	if (i->state != READY)
		return;
	p->rare = !plan->conf || !stats_read(plan->run_folder, i->name, &b) ||
		  b.pid != i->pid;
	if (p->rare)
		return;
	if (b.beat_mono_us != i->beat_us)
		pulse_beat(p);
	i->beat_us = b.beat_mono_us;
}

/* Taken out of service, as long as nobody serves in its place. */
static bool is_aside(const struct instance *i)
{
	return i->parked || (i->other.stands_in && i->other.role == SUCCESSOR);
}

/* A successor on the same sockets at once: what waits in their queues is served. Where
 * that is not possible the sockets are parked, which is final for them (should it go
 * on, it sees that and opens fresh ones), and the queues wait until it is. */
static void instance_aside(struct instance *i)
{
	struct super *s = i->super;
	size_t aside = 0;
	if ((i->other.stands_in && i->other.role == SUCCESSOR) ||
		!pulse_aside(s->pulses, s->count, (size_t)(i - s->instances)))
		return;
	for (size_t k = 0; k < s->count; k++)
		aside += is_aside(&s->instances[k]);
	if (!i->parked && aside >= s->count / 2)
		return; /* never more than half at once */
	if (restart_stand_in(i) || i->parked)
		return;
	i->parked = true;
	if (steer_out(s, i->pid) || keep_park(&i->keep))
		say(s,
			"instance %s (pid %d) stands still since %.1f s: its siblings "
			"serve "
			"its clients",
			i->name, (int)i->pid, (double)pulse_of(i)->silent_ms / 1e3);
}

static void instance_judge(struct instance *i)
{
	struct super *s = i->super;
	instance_aside(i);
	const struct pulse *p = pulse_of(i);
	switch (pulse_judge(s->pulses, s->count, (size_t)(i - s->instances))) {
	case PULSE_FINE:
		if (i->told && !p->dead && p->silent_ms < PULSE_TOLD_MS) {
			say(s, "instance %s (pid %d) goes on", i->name, (int)i->pid);
			i->told = false;
		}
		if (p->silent_ms < PULSE_ASIDE_MS)
			i->parked = false;
		break;
	case PULSE_SILENT:
		if (!i->told)
			say(s, "instance %s (pid %d) stands still since %.1f s",
				i->name, (int)i->pid, (double)p->silent_ms / 1e3);
		i->told = true;
		break;
	case PULSE_STUCK:
		instance_replace(i);
		break;
	}
}

static void on_tick(void *ctx)
{
	struct super *s = ctx;
	const int64_t now = now_us(s);
	pulse_tick(s->pulses, s->count, (now - s->tick_us) / 1000);
	s->tick_us = now;
	for (size_t k = 0; k < s->count; k++)
		instance_listen(&s->instances[k]);
	if (!s->stopping && s->plan->watchdog)
		for (size_t k = 0; k < s->count; k++)
			instance_judge(&s->instances[k]);
	output_flush(&s->out);
	feed_parent(s);
	stop_next(s);
	restart_next(s);
	if (++s->ticks % TICKS_A_SECOND == 0)
		cleaned_tick(s);
	loop_timer_set(s->loop, &s->tick, now + PULSE_TICK_MS * 1000LL, on_tick, s);
}

/* --- the whole ------------------------------------------------------------------ */

/* In the run folder; where its path is too long for an address, in the abstract
 * namespace. */
int notify_open(struct super *s)
{
	const int n = snprintf(s->notify_path, sizeof(s->notify_path),
		"%s/" NOTIFY_FILE, s->plan->run_folder);
	if (n >= (int)sizeof(s->notify_path)) {
		struct random r;
		random_init(&r);
		snprintf(s->notify_path, sizeof(s->notify_path), "@shoal-run-%d-%08x",
			(int)getpid(), random_u32(&r));
	}
	int fd = notify_listen(s->notify_path);
	if (fd < 0)
		return fd;
	return loop_watch(s->loop, &s->notify, fd, LOOP_READ, notify_event, s);
}

static int watch_signals(struct super *s)
{
	int err = loop_signal(s->loop, SIGCHLD, on_child, s);
	if (!err)
		err = loop_signal(s->loop, SIGTERM, on_stop, s);
	if (!err)
		err = loop_signal(s->loop, SIGINT, on_stop, s);
	if (!err)
		err = loop_signal(s->loop, SIGHUP, on_hangup, s);
	return err;
}

static bool set_up(struct super *s, const struct super_plan *plan)
{
	int width = (int)strlen(plan->who);
	s->plan = plan;
	s->count = plan->count;
	s->notify.fd = -1;
	s->steer_watch.fd = -1;
	s->instances = calloc(plan->count, sizeof(*s->instances));
	s->pulses = calloc(plan->count, sizeof(*s->pulses));
	if (!s->instances || !s->pulses)
		return false;
	for (size_t k = 0; k < plan->count; k++) {
		const int len = (int)strlen(plan->names[k]);
		width = len > width ? len : width;
		s->instances[k] = (struct instance){ .super = s,
			.name = plan->names[k],
			.watch = { .fd = -1 },
			.source = { .fd = -1 },
			.other = { .watch = { .fd = -1 }, .source = { .fd = -1 } } };
		s->pulses[k].dead = true;
	}
	s->loop = loop_new();
	return s->loop && output_init(&s->out, STDERR_FILENO, width);
}

static void tear_down(struct super *s)
{
	int fd = s->notify.fd;
	if (s->loop)
		loop_unwatch(s->loop, &s->notify);
	if (fd >= 0 && s->notify_path[0] == '/')
		unlink(s->notify_path);
	fd_close(&fd);
	steer_stop(s);
	for (size_t k = 0; s->instances && k < s->count; k++)
		keep_close(&s->instances[k].keep);
	if (s->out.kept)
		output_fini(&s->out);
	fd_close(&s->claim);
	if (s->control) {
		/* the last: who waits for our end may begin anew */
		char folder[PATH_MAX];
		control_close(s->control);
		snprintf(
			folder, sizeof(folder), "%.4000s/control", s->plan->run_folder);
		rmdir(folder); /* with nobody's socket in it */
	}
	loop_free(s->loop);
	free(s->instances);
	free(s->pulses);
}

static int run(struct super *s, size_t succeeded)
{
	int err = notify_open(s);
	if (!err)
		err = watch_signals(s);
	if (err) {
		say(s, "cannot start: %s: %s", s->notify_path, strerror(-err));
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	fd_raise_limit();
	asked_listen(s);
	steer_start(s);
	say(s, "starting %zu instance%s with %s, run folder %s", s->count,
		s->count == 1 ? "" : "s",
		s->plan->conf ? s->plan->conf : s->plan->program, s->plan->run_folder);
	if (succeeded)
		say(s,
			"%zu of a `shoal run` that was killed serve until their "
			"successors do",
			succeeded);
	s->tick_us = now_us(s);
	for (size_t k = 0; s->plan->hold && k < s->count; k++)
		if (!s->plan->hold(s->plan->ctx, k, &s->instances[k].keep))
			return 1;
	for (size_t k = 0; k < s->count; k++)
		instance_start(&s->instances[k]);
	on_tick(s);
	return loop_run(s->loop);
}

/* Instances of an earlier plan are gone for good (claim_take has seen that none of
 * them runs). */
static void forget_others(const struct super_plan *plan)
{
	static char names[STATS_INSTANCES_MAX][64];
	const size_t count = stats_names(plan->run_folder, names, STATS_INSTANCES_MAX);
	for (size_t i = 0; i < count; i++) {
		char path[4096];
		bool ours = false;
		for (size_t k = 0; k < plan->count; k++)
			ours = ours || strcmp(names[i], plan->names[k]) == 0;
		if (!ours && stats_path(path, plan->run_folder, names[i]))
			unlink(path);
	}
}

static struct super *running; /* for super_look() */

struct super_seen super_look(size_t i)
{
	static const char *const words[] = { [WAITING] = "waiting",
		[STARTING] = "starting",
		[READY] = "ready",
		[LEAVING] = "stopping",
		[ENDED] = "ended" };
	assert(running && i < running->count);
	const struct instance *k = &running->instances[i];
	return (struct super_seen){ .name = k->name,
		.state = words[k->state],
		.pid = k->pid,
		.next_pid = k->other.pid,
		.starts = k->starts,
		.age_s = k->pid ? (now_us(running) - k->started_us) / 1000000 : 0,
		.keep = &k->keep };
}

void super_say(const char *text)
{
	if (running)
		say(running, "%s", text);
}

int super_run(const struct super_plan *plan)
{
	struct super s = { 0 };
	char error[1024];
	int code = 1;
	size_t succeeded;
	s.claim = claim_take(plan, &succeeded, error);
	if (s.claim < 0) {
		fprintf(stderr, "%s: %s\n", plan->who, error);
		return 1;
	}
	if (!plan->conf || check_plan(plan)) {
		forget_others(plan);
		running = &s;
		if (set_up(&s, plan))
			code = run(&s, succeeded);
		else
			fprintf(stderr, "%s: %s\n", plan->who, strerror(errno));
		tear_down(&s);
	}
	fd_close(&s.claim); /* unless that is done */
	return code;
}
