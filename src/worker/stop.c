/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/stop.h"

#include <poll.h>

#include "base/fd.h"
#include "base/log.h"
#include "cache/snapshot.h"
#include "ctl/notify.h"
#include "shard.h"
#include "wire/codes.h"
#include "worker/listen.h"
#include "worker/steering.h"

enum {
	PATIENCE_US = 3000 * 1000, /* for what is in flight */
	FLUSH_US = 300 * 1000,     /* for TCP clients to take their last answer */
	POLL_US = 10 * 1000,
};

static void stream_empty(void *ctx)
{
	struct worker *w = ctx;
	w->streams_open--;
}

/* Does a successor read what comes to this very socket from now on? */
static bool has_successor(const struct listener *l)
{
	return l->ring && shard_ring_others(l->ring) > 0;
}

/* With a sibling in the group the kernel must choose it before our queue is emptied. */
static void leave_udp(struct listener *l)
{
	const int fd = udp_server_fd(l->udp);
	bool goes_on = has_successor(l);
	if (l->ring)
		shard_ring_leaving(l->ring);
	bool park = !goes_on && !l->unit && !steering_chooses(l);
	if (!goes_on && steering_leave_udp(l)) {
		l->unit = false; /* siblings have its clients: nobody need wait in it */
		park = steering_yields(
			l->w); /* that is the kernel's choice, when we are the last */
	} else if (l->unit) {
		goes_on = true; /* the next one to whom its unit gives it */
	}
	if (park && shard_group_size(fd) > 1) {
		const int e = shard_park(fd);
		if (e < 0)
			log_info(NET, "cannot leave the group first: error %d", -e);
	}
	if (!goes_on)
		udp_server_drain(l->udp);
	udp_server_pause(l->udp);
}

static void leave(struct worker *w, struct listener *l)
{
	if (!has_successor(l))
		steering_leave_tcp(l);
	if (l->udp)
		leave_udp(l);
	w->streams_open++;
	stream_server_drain(l->stream, stream_empty, w);
}

static void gone(void *ctx)
{
	struct worker *w = ctx;
	loop_stop(w->loop, 0);
}

static void settle(void *ctx)
{
	struct worker *w = ctx;
	const int64_t now_us = loop_now(w->loop)->mono_us;
	const bool answered = resolve_waiting(w->resolve) == 0;
	if (answered && !w->streams_open) {
		gone(w);
		return;
	}
	if (now_us < w->stop_at_us) {
		loop_timer_set(w->loop, &w->stop_timer, now_us + POLL_US, settle, w);
		return;
	}
	resolve_give_up(w->resolve, EDE_NOT_READY, "shutting down");
	loop_timer_set(w->loop, &w->stop_timer,
		now_us + (w->streams_open ? FLUSH_US : 0), gone, w);
}

static void leave_all(struct worker *w)
{
	for (size_t i = 0; i < w->listener_count; i++)
		leave(w, &w->listeners[i]);
	/* in a later turn: what this one has answered still leaves */
	const int64_t now_us = loop_refresh(w->loop)->mono_us;
	w->stop_at_us = now_us + PATIENCE_US;
	loop_timer_set(w->loop, &w->stop_timer, now_us, settle, w);
}

/* Has the keeper closed the listeners that it shall hold no more, where it was told so? */
static bool keeper_is_done(struct worker *w)
{
	struct pollfd p = { .fd = w->keeper_barrier };
	if (p.fd >= 0 && poll(&p, 1, 0) == 0)
		return false;
	fd_close(&w->keeper_barrier);
	return true;
}

/* The last one of the host serves while a child writes the snapshot: who starts it again
 * misses it only for as long as any other. */
static void serve_on(void *ctx)
{
	struct worker *w = ctx;
	const struct now *now = loop_now(w->loop);
	const bool kept = keeper_is_done(w);
	const bool written = !w->snapshot || snapshot_is_written(w->snapshot, now);
	if ((kept && written) || now->mono_us >= w->stop_at_us)
		leave_all(w);
	else
		loop_timer_set(
			w->loop, &w->stop_timer, now->mono_us + POLL_US, serve_on, w);
}

void stop_begin(struct worker *w)
{
	if (w->stopping || !w->serving)
		return;
	w->stopping = true;
	w->respond.leaving = true;
	w->stats->state = STATE_STOPPING;
	notify_send("STOPPING=1\nSTATUS=stopping", NULL, 0);
	log_notice(SYSTEM, "stopping, %zu queries are waiting",
		resolve_waiting(w->resolve));
	w->stop_at_us = loop_now(w->loop)->mono_us + PATIENCE_US;
	if (w->snapshot)
		snapshot_stopping(w->snapshot, loop_now(w->loop));
	serve_on(w);
}

void stop_for_good(struct worker *w)
{
	if (!w->stopping && w->serving)
		w->keeper_barrier = listen_give_up(w);
	stop_begin(w);
}

void stop_signal(void *ctx, int signo)
{
	(void)signo;
	struct worker *w = ctx;
	if (!w->stopping) {
		stop_begin(w);
		return;
	}
	log_notice(SYSTEM, "asked to stop again: at once");
	loop_stop(w->loop, 0);
}
