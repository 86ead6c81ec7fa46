/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_begin.c - what comes before the first message: a PROXY header, then the
 * layer's handshake.
 *
 * A connection is young until both are over. A header that did not come before the handshake
 * may be the first thing inside TLS, as dnsdist sends it. */
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

/* What it turned out to be, but for MORE. False: c is closed. */
static bool conn_judge_header(
	struct conn *c, enum proxy_verdict verdict, const struct proxy_header *h)
{
	if (verdict == PROXY_BAD || (verdict != PROXY_NONE && !c->believed)) {
		conn_refuse_header(c, c->believed);
		conn_close(c);
		return false;
	}
	if (verdict != PROXY_NONE)
		counter_up(c->server->counters, proxy_accepted);
	return verdict != PROXY_CLIENT || conn_is_of(c, h);
}

static void conn_forget_header(struct conn *c)
{
	proxy_reader_free(c->proxy);
	c->proxy = NULL;
	c->inside = false;
}

/* False: the header is not complete, or c is closed. */
static bool conn_take_header(struct conn *c)
{
	struct proxy_header h;
	const enum proxy_verdict verdict = proxy_reader_step(c->proxy, c->fd, &h);
	if (verdict == PROXY_MORE || !conn_judge_header(c, verdict, &h))
		return false;
	c->inside = verdict == PROXY_NONE && c->believed && c->layer->ops->handshake;
	if (!c->inside)
		conn_forget_header(c);
	return true;
}

int conn_take_inside(struct conn *c)
{
	struct proxy_header h;
	size_t len = 0;
	const enum proxy_verdict verdict =
		proxy_reader_step_inside(c->proxy, c->layer, &h);
	if (verdict == PROXY_MORE)
		return LAYER_WANT_READ;
	if (!conn_judge_header(c, verdict, &h))
		return LAYER_BROKEN;
	c->inside = false;
	const uint8_t *taken = proxy_reader_taken(c->proxy, &len);
	if (verdict == PROXY_NONE && !conn_feed(c, taken, len))
		return LAYER_BROKEN;
	conn_forget_header(c);
	return LAYER_DONE;
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
	if (c->proxy && !c->inside && !conn_take_header(c))
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
