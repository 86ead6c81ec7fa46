/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_drain.c - the server stops: what waits is taken, what was asked is answered,
 * then everybody leaves, when it is least likely that a question is on its way. */
#include "net/stream_internal.h"

enum {
	ACCEPTS_A_DRAIN = 4096,
	IDLE_MS = 500,
	BUSY_MS = 1000,  /* then a busy one ends when all that it asked is answered */
	FRESH_MS = 1500, /* without a query until now */
};

int64_t drain_idle_ms(const struct conn *c, int64_t ms)
{
	/* the first query of a fresh connection may be on its way */
	const int64_t drain_ms = c->handshaking || !c->asked ? FRESH_MS : IDLE_MS;
	return ms < drain_ms ? ms : drain_ms;
}

/* Right after an answer is the moment at which a client is least likely to have the next
 * question on its way. */
bool drain_may_leave(const struct conn *c)
{
	const struct stream_server *s = c->server;
	return s->draining && !c->handshaking && !c->pending && !conn_owed(c) &&
	       !c->stalled && !frame_held(&c->in) && c->active_us > s->drain_us &&
	       loop_now(s->loop)->mono_us > s->drain_us + BUSY_MS * 1000;
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
