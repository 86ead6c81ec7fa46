/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_drain.c - the server stops: what waits is taken, what was asked is answered,
 * then everybody leaves, when it is least likely that a question is on its way.
 *
 * After our goodbye we can answer nothing more. A connection that was closed then and there
 * would reset who still asks, and with the reset a client may lose answers that it has not
 * read yet; so our side ends, and what comes is thrown away until the client ends its own. */
#include <sys/socket.h>

#include "net/stream_internal.h"

enum {
	ACCEPTS_A_DRAIN = 4096,
	FRESH_MS = 1500, /* without a query until now: the first may be on its way */
	IDLE_MS = 500,
	BUSY_MS = 1000, /* then who asks all the time goes too, in a pause */
	PAUSE_MS = 5,
	PAUSE_MISSED_MS = 15, /* we came too late: the next one */
	HURRY_MS = 2000,      /* then who makes no pauses, right after an answer */
	LINGER_MS = 500,
	READS = 4,
};

static bool is_after(const struct stream_server *s, int64_t at_us, int64_t ms)
{
	return at_us > s->drain_us + ms * 1000;
}

/* All that came is answered, and the answers have left. */
static bool is_served(const struct conn *c)
{
	return c->asked && !c->handshaking && !c->pending && !conn_owed(c) &&
	       !c->stalled && !frame_held(&c->in);
}

/* Who has just had its answers, and then says nothing, is awake to hear the goodbye, and is
 * least likely to have a question on its way. */
static bool is_in_pause(const struct conn *c)
{
	const struct stream_server *s = c->server;
	const int64_t now_us = loop_now(s->loop)->mono_us;
	return is_served(c) && is_after(s, c->active_us, BUSY_MS) &&
	       now_us < c->active_us + PAUSE_MISSED_MS * 1000;
}

int64_t drain_due_us(const struct conn *c)
{
	if (conn_owed(c) && !c->left)
		return INT64_MAX; /* who reads slowly has as long as ever, or as we have */
	const bool fresh = c->handshaking || !c->asked;
	const int64_t ms = c->left          ? LINGER_MS
			   : fresh          ? FRESH_MS
			   : is_in_pause(c) ? PAUSE_MS
					    : IDLE_MS;
	return c->active_us + ms * 1000;
}

bool drain_leave(struct conn *c)
{
	if (!c->server->draining || c->left || !is_served(c))
		return false;
	conn_last_words(c);
	if (shutdown(c->fd, SHUT_WR) < 0)
		return false;
	c->left = true;
	conn_touch(c);
	conn_timer_set(c);
	if (loop_watch_events(c->server->loop, &c->watch, LOOP_READ))
		conn_close(c);
	return true;
}

bool drain_settled(struct conn *c)
{
	if (!c->server->draining || !is_in_pause(c))
		return false;
	/* unread or not holds for the moment only: looked at last */
	if (is_after(c->server, c->active_us, HURRY_MS) && !layer_has_unread(c->layer))
		return drain_leave(c);
	conn_timer_set(c);
	return false;
}

void drain_linger(struct conn *c)
{
	struct stream_server *s = c->server;
	ssize_t n = 1;
	for (int i = 0; i < READS && n > 0; i++)
		n = c->layer->ops->read(c->layer, s->scratch, sizeof(s->scratch));
	if (n == LAYER_DONE || n == LAYER_BROKEN)
		conn_close(c);
}

void drain_look(struct stream_server *s)
{
	if (s->draining && !s->count)
		loop_defer(s->loop, &s->drained);
}

void stream_server_drain(struct stream_server *s, void (*fn)(void *ctx), void *ctx)
{
	s->drained_fn = fn;
	s->drained_ctx = ctx;
	if (s->draining)
		return;
	for (int i = 0; s->fd >= 0 && i < ACCEPTS_A_DRAIN && server_accept(s); i++)
		;
	s->draining = true;
	s->drain_us = loop_now(s->loop)->mono_us;
	server_stop_listening(s);
	for (unsigned i = 0; i < s->conf.max_clients; i++) {
		struct conn *c = &s->conns[i];
		if (!c->open)
			continue;
		if (c->codec) {
			c->codec->ops->leave(c->codec);
			conn_mark_dirty(c);
		}
		conn_timer_set(c);
	}
	drain_look(s);
}
