/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_begin.c - what comes before the first message: a PROXY header, then the
 * layer's handshake.
 *
 * A connection is young until both are over. */
#include "base/limits.h"
#include "net/stream_internal.h"

void conn_refuse_header(struct conn *c, bool malformed)
{
	const struct stream_server *s = c->server;
	if (malformed)
		counter_up(s->counters, proxy_malformed);
	else
		counter_up(s->counters, proxy_refused);
	if (s->hooks.refused && !c->proxied) /* else `from` is not who sent it */
		s->hooks.refused(s->hooks.ctx, &c->from, malformed);
}

void conn_stray_header(void *ctx)
{
	conn_refuse_header(ctx, false);
}

/* False: c is closed, for this client has too many. */
static bool conn_is_of(struct conn *c, const struct proxy_header *h)
{
	struct stream_server *s = c->server;
	if (!addr_same_ip(&h->from, &c->from) && !client_make_room(s, &h->from)) {
		tally_add(s, TALLY_SHED, 1);
		conn_close(c);
		return false;
	}
	room_rename(c, &h->from);
	c->to = h->to;
	c->proxied = true;
	return true;
}

/* False: the header is not complete, or c is closed. */
static bool conn_take_header(struct conn *c)
{
	struct counters *counters = c->server->counters;
	struct proxy_header h;
	const enum proxy_verdict verdict = proxy_reader_step(c->proxy, c->fd, &h);
	if (verdict == PROXY_MORE)
		return false;
	if (verdict == PROXY_BAD || (verdict != PROXY_NONE && !c->believed)) {
		conn_refuse_header(c, c->believed);
		conn_close(c);
		return false;
	}
	proxy_reader_free(c->proxy);
	c->proxy = NULL;
	if (verdict == PROXY_NONE)
		return true;
	counter_up(counters, proxy_accepted);
	return verdict == PROXY_LOCAL || conn_is_of(c, &h);
}

/* False: so many had theirs in this turn that others must come between. */
static bool handshake_has_turn(struct stream_server *s)
{
	if (loop_quota_take(s->loop, s->conf.handshakes, LIMIT_TLS_HANDSHAKES_A_TURN))
		return true;
	counter_up(s->counters, tls_handshakes_put_off);
	return false;
}

/* Bytes of messages may flow. */
static void conn_began(struct conn *c)
{
	c->handshaking = false;
	c->read_wants = LAYER_WANT_READ;
	conn_touch(c);
	conn_timer_set(c);
}

bool conn_begin(struct conn *c)
{
	if (c->proxy && !conn_take_header(c))
		return false;
	if (!c->layer->ops->handshake) {
		conn_began(c);
		return true;
	}
	if (!handshake_has_turn(c->server))
		return false;
	const int result = c->layer->ops->handshake(c->layer);
	if (result == LAYER_DONE) {
		conn_began(c);
		return true;
	}
	if (result == LAYER_BROKEN) {
		if (c->layer->stray_header)
			conn_refuse_header(c, false);
		conn_close(c);
		return false;
	}
	c->read_wants = result;
	conn_settle(c);
	return false;
}
