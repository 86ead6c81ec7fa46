/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/steering.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "ctl/sockpath.h"
#include "ctl/stats.h"
#include "shard.h"
#include "worker/heavy.h"
#include "worker/worker.h"

enum {
	PATH_CAP = 4096,
	CONNECT_MS = 500,
	SIBLINGS_MAX = 64,
	TICKS_RETRY = 4, /* of half a second: somebody may load the programs later */
	TICKS_ALARM = 120,
	VOUCH_S = 10,
};

/* A process that has members of our groups. */
struct sibling {
	struct worker *w;
	pid_t pid;
	struct watch watch; /* of its pidfd */
};

struct steering {
	struct shard_steer *set; /* NULL: by the kernel's hash */
	struct heavy *heavy;
	struct sibling siblings[SIBLINGS_MAX]; /* pid 0: free */
	char pins[PATH_CAP];                   /* where they stand, or would stand */
	unsigned ticks, alarm; /* until when a replaced program is an alarm */
	uint64_t unsteered;    /* sockets, at the last try */
	bool by_pins;          /* no supervisor's set */
	bool yields;           /* to another set, which takes our clients over */
};

/* --- the set ------------------------------------------------------------------------ */

static struct shard_steer *from_pins(const struct worker *w)
{
	return shard_steer_open(w->steering->pins);
}

/* `shoal run` gives it to whoever may open its socket. */
static struct shard_steer *from_supervisor(const struct worker *w)
{
	char folder[PATH_CAP];
	snprintf(folder, sizeof(folder), "%.4000s/control", w->run_folder);
	int fd = sockpath_connect(folder, ".steer", CONNECT_MS);
	if (fd < 0)
		return NULL;
	struct shard_steer *set = shard_steer_receive(fd);
	fd_close(&fd);
	return set;
}

static void tell(const struct worker *w)
{
	const struct steering *s = w->steering;
	if (!w->stats)
		return;
	snprintf(w->stats->steering, sizeof(w->stats->steering), "%s",
		!s || !s->set                                      ? "kernel hash"
		: !(shard_steer_flags(s->set) & SHARD_STEER_GUARD) ? "BPF"
		: shard_steer_guards(s->set, s->pins)              ? "BPF, guarded"
								   : STATS_GUARD_LOST);
}

void steering_open(struct worker *w)
{
	if (shard_disabled("bpf"))
		return;
	if (!w->steering)
		w->steering = calloc(1, sizeof(*w->steering));
	if (!w->steering || w->steering->set ||
		shard_steer_path(w->steering->pins, PATH_CAP, w->run_folder) < 0)
		return;
	/* that of the siblings, and of the sockets that we get, whatever was pinned since */
	w->steering->set = from_supervisor(w);
	w->steering->by_pins = !w->steering->set;
	if (!w->steering->set)
		w->steering->set = from_pins(w);
	const int error = errno;
	if (w->steering->set)
		w->steering->heavy = heavy_new(&w->random);
	else if (error == EPROTO || error == EACCES)
		log_info(NET, "the pinned steering programs cannot be used: %s",
			strerror(error));
}

/* --- our members ---------------------------------------------------------------------- */

static struct shard_member *join(struct worker *w, int fd)
{
	struct shard_steer *set = w->steering ? w->steering->set : NULL;
	if (!set || fd < 0)
		return NULL;
	struct shard_member *m = shard_steer_join(set, fd, -1);
	if (!m && !w->steering->unsteered)
		log_warning(NET, "a socket is not steered: %s", strerror(errno));
	return m;
}

static void watch_siblings(struct worker *w);

static void join_sockets(struct worker *w, struct listener *l)
{
	if (l->udp && !l->udp_member) {
		l->udp_member = join(w, udp_server_fd(l->udp));
		udp_server_use_member(l->udp, l->udp_member);
	}
	if (l->stream && !l->tcp_member)
		l->tcp_member = join(w, stream_server_fd(l->stream));
}

void steering_join(struct worker *w, struct listener *l)
{
	join_sockets(w, l);
	tell(w);
}

void steering_rejoin_udp(struct worker *w, struct listener *l)
{
	udp_server_use_member(l->udp, NULL);
	shard_member_close(l->udp_member);
	l->udp_member = join(w, udp_server_fd(l->udp));
	udp_server_use_member(l->udp, l->udp_member);
}

bool steering_chooses(const struct listener *l)
{
	struct shard_member_numbers n = { 0 };
	if (l->udp_member)
		shard_member_count(l->udp_member, &n);
	return n.armed;
}

bool steering_leave_udp(struct listener *l)
{
	return steering_chooses(l) && shard_member_leave(l->udp_member) == 0;
}

bool steering_leave_tcp(struct listener *l)
{
	return l->tcp_member && shard_member_leave(l->tcp_member) == 0;
}

void steering_drop(struct worker *w, int fd)
{
	struct shard_member *m = join(w, fd);
	if (!m)
		return;
	shard_member_leave(m);
	shard_member_close(m);
}

/* --- siblings ------------------------------------------------------------------------- */

static void sibling_forget(struct sibling *s)
{
	int fd = s->watch.fd;
	loop_unwatch(s->w->loop, &s->watch);
	fd_close(&fd);
	s->pid = 0;
}

/* Its flows are led to the living at once; its sockets may be kept for its successor. */
static void sibling_died(void *ctx, unsigned events)
{
	(void)events;
	struct sibling *s = ctx;
	struct worker *w = s->w;
	const pid_t pid = s->pid;
	sibling_forget(s);
	const unsigned out = shard_steer_out(w->steering->set, pid);
	if (!out)
		return;
	counter_add(w->counters, steer_out, out);
	log_notice(NET, "process %d ended: its %u socket%s passed by", (int)pid, out,
		out == 1 ? " is" : "s are");
}

static struct sibling *sibling_find(struct steering *s, pid_t pid)
{
	for (size_t i = 0; i < SIBLINGS_MAX; i++)
		if (s->siblings[i].pid == pid)
			return &s->siblings[i];
	return NULL;
}

static void sibling_add(struct worker *w, pid_t pid)
{
	struct sibling *s = sibling_find(w->steering, 0);
	if (!s)
		return;
	int fd = shard_disabled("pidfd") ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0) {
		/* an old kernel; dead, or of another pid namespace: then its standing still tells */
		return;
	}
	*s = (struct sibling){ .w = w, .pid = pid };
	if (loop_watch(w->loop, &s->watch, fd, LOOP_READ, sibling_died, s) < 0) {
		fd_close(&fd);
		s->pid = 0;
	}
}

static void watch_siblings(struct worker *w)
{
	pid_t pids[SIBLINGS_MAX];
	int count = shard_steer_siblings(w->steering->set, pids, SIBLINGS_MAX);
	count = count < SIBLINGS_MAX ? count : SIBLINGS_MAX;
	for (int i = 0; i < count; i++)
		if (!sibling_find(w->steering, pids[i]))
			sibling_add(w, pids[i]);
}

/* --- every half second ---------------------------------------------------------------- */

/* Others are pinned since: who starts now is in these, and they take our clients. */
static bool is_outdated(const struct steering *s)
{
	return s->by_pins && !shard_steer_pinned(s->set, s->pins) &&
	       access(s->pins, F_OK) == 0;
}

static void join_all(struct worker *w)
{
	const bool outdated = is_outdated(w->steering);
	if (w->steering->by_pins)
		steering_yield(w, outdated);
	uint64_t unsteered = 0;
	if (outdated && !w->steering->unsteered)
		log_warning(NET,
			"other steering programs are pinned now: restart this "
			"instance to use them; those that do take its clients");
	for (size_t i = 0; i < w->listener_count; i++) {
		struct listener *l = &w->listeners[i];
		join_sockets(w, l);
		unsteered += l->udp && (outdated || !l->udp_member) ? 1u : 0u;
		unsteered += l->stream && (outdated || !l->tcp_member) ? 1u : 0u;
	}
	if (w->steering->unsteered && !unsteered)
		log_notice(NET, "all sockets are steered now");
	w->steering->unsteered = unsteered;
	tell(w); /* the guard may have ended */
	counter_set(w->counters, steer_unsteered, unsteered);
}

static void late_open(struct worker *w)
{
	w->steering->set = from_pins(w);
	if (!w->steering->set)
		return;
	w->steering->by_pins = true;
	w->steering->heavy = heavy_new(&w->random);
	log_notice(NET, "steering programs were loaded: used from now on");
}

static void tell_news(struct worker *w, const struct shard_steer_news *news)
{
	if (news->out)
		log_notice(NET, "%u socket%s still: passed by", news->out,
			news->out == 1 ? " of another instance stands"
				       : "s of other instances stand");
	if (news->back)
		log_notice(NET, "this instance was passed by, it takes queries again");
	if (news->bypassed)
		log_error(NET, "queries come by another way than the steering program: "
			       "somebody of this user replaced it; attached anew");
	if (news->unguarded)
		log_error(NET, "queries come past the guard: it was unloaded or "
			       "detached; sockets of others can take queries");
	counter_add(w->counters, steer_out, news->out);
	counter_add(w->counters, steer_back, news->back);
	counter_add(w->counters, steer_bypassed, news->bypassed);
	if (news->bypassed)
		w->steering->alarm = TICKS_ALARM;
	else
		w->steering->alarm -= w->steering->alarm > 0;
	counter_set(w->counters, steer_replaced, w->steering->alarm > 0);
}

void steering_against(struct worker *w, const struct listener *l, bool udp)
{
	struct shard_member *m = udp ? l->udp_member : l->tcp_member;
	if (m && shard_member_attach(m) == 0)
		counter_up(w->counters, steer_attached);
}

void steering_yield(struct worker *w, bool yields)
{
	if (!w->steering || !w->steering->set)
		return;
	w->steering->yields = yields;
	shard_steer_yield(w->steering->set, yields);
}

bool steering_yields(const struct worker *w)
{
	return w->steering && w->steering->yields;
}

void steering_tick(struct worker *w)
{
	struct shard_steer_news news;
	if (!w->steering || w->stopping)
		return;
	const bool retry = w->steering->ticks++ % TICKS_RETRY == 0;
	if (!w->steering->set && retry)
		late_open(w);
	if (!w->steering->set)
		return;
	if (retry)
		join_all(w);
	shard_steer_tick(w->steering->set, &news);
	tell_news(w, &news);
	watch_siblings(w);
	if (w->steering->heavy)
		heavy_tick(w->steering->heavy);
}

static void add(const struct shard_member *m, struct shard_member_numbers *sum)
{
	struct shard_member_numbers n;
	if (!m)
		return;
	shard_member_count(m, &n);
	sum->steered += n.steered;
	sum->waiting += n.waiting;
	sum->spread += n.spread;
	sum->missed += n.missed;
	sum->passed += n.passed;
	sum->dropped += n.dropped;
	sum->migrated += n.migrated;
}

void steering_gauges(struct worker *w)
{
	struct shard_member_numbers sum = { 0 };
	for (size_t i = 0; i < w->listener_count; i++) {
		add(w->listeners[i].udp_member, &sum);
		add(w->listeners[i].tcp_member, &sum);
	}
	counter_set(w->counters, steer_steered, sum.steered);
	counter_set(w->counters, steer_waiting, sum.waiting);
	counter_set(w->counters, steer_spread, sum.spread);
	counter_set(w->counters, steer_missed, sum.missed + sum.passed + sum.dropped);
	counter_set(w->counters, steer_migrated, sum.migrated);
}

/* --- heavy flows ---------------------------------------------------------------------- */

void steering_saw(struct worker *w, const struct addr *client, bool vouched)
{
	struct steering *s = w->steering;
	if (!vouched || !s || !s->heavy || !heavy_saw(s->heavy, client))
		return;
	struct sockaddr_storage sa;
	const socklen_t len = addr_to_sockaddr(client, &sa);
	char text[ADDR_TEXT_MAX];
	const int e = shard_vouch(s->set, (const struct sockaddr *)&sa, len, VOUCH_S);
	if (!e)
		log_debug(NET, "%s is heavy: spread over all instances",
			addr_to_text(client, text));
}

void steering_close(struct worker *w)
{
	struct steering *s = w->steering;
	if (!s)
		return;
	for (size_t i = 0; i < SIBLINGS_MAX; i++)
		if (s->siblings[i].pid)
			sibling_forget(&s->siblings[i]);
	shard_steer_close(s->set);
	heavy_free(s->heavy);
	free(s);
	w->steering = NULL;
}
