/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_read.c - bytes of a connection become messages.
 *
 * Reading stops at three limits: the pipeline's, the share of this turn, unsent answers. A
 * connection that may hold whole messages then is stalled: no event will tell of them, so
 * it goes on when answers have left. */
#include <string.h>

#include "base/limits.h"
#include "net/stream_internal.h"

enum {
	READS_A_WAKEUP = 4,
	MESSAGES_A_SHARE = 32, /* of one connection, then others have their turn */
	OUT_PAUSE_BYTES = 64 * 1024, /* unsent answers: no further queries are read */
	CODEC_READ = 16 * 1024,      /* at most this is handed out at once */
};

/* Results of one read, besides LAYER_WANT_* and LAYER_DONE. */
enum {
	READ_MORE = 1,             /* there may be more */
	READ_CLOSED = LAYER_BROKEN /* c is closed */
};

bool conn_may_take(const struct conn *c)
{
	return c->share && c->pending < c->server->conf.pipeline &&
	       outbox_len(&c->out) < OUT_PAUSE_BYTES;
}

bool conn_may_read(const struct conn *c)
{
	return !c->read_closed && conn_may_take(c);
}

bool conn_may_go_on(const struct conn *c)
{
	return conn_may_take(c) && (!c->read_closed || c->stalled);
}

bool conn_buffered(const struct conn *c)
{
	return c->layer->ops->buffered && c->layer->ops->buffered(c->layer);
}

void conn_share_anew(struct conn *c)
{
	c->share = MESSAGES_A_SHARE;
}

/* --- messages -------------------------------------------------------------- */

static void conn_hand_out(
	struct conn *c, uint32_t request, const uint8_t *msg, size_t len)
{
	struct stream_server *s = c->server;
	c->pending++;
	c->asked = true;
	c->share -= c->share > 0;
	if (c->share && loop_turn_is_spent(s->loop))
		c->share = 0;
	conn_make_busy(c);
	s->hooks.query(
		s->hooks.ctx, s, conn_id(c, request), &c->from, &c->to, msg, len);
}

void conn_message(void *ctx, uint32_t request, const uint8_t *msg, size_t len)
{
	struct conn *c = ctx;
	if (!c->dying)
		conn_hand_out(c, request, msg, len);
}

/* The whole messages that are there. False: c is closed. */
static bool conn_deliver(struct conn *c)
{
	const uint8_t *msg;
	size_t len;
	c->delivering = true;
	while (!c->dying && conn_may_take(c) && frame_next(&c->in, &msg, &len))
		conn_hand_out(c, 0, msg, len);
	c->delivering = false;
	const bool lives = !c->dying && frame_settle(&c->in);
	if (!lives)
		conn_close(c);
	return lives;
}

/* --- one read -------------------------------------------------------------- */

/* False: c is closed. */
static bool codec_take(struct conn *c, const uint8_t *data, size_t len)
{
	c->delivering = true;
	c->codec->ops->input(c->codec, data, len);
	c->delivering = false;
	if (c->dying) {
		conn_close(c);
		return false;
	}
	conn_mark_dirty(c); /* it may have something to say of its own */
	return true;
}

static int read_codec(struct conn *c)
{
	uint8_t *scratch = c->server->scratch;
	const ssize_t n = c->layer->ops->read(c->layer, scratch, CODEC_READ);
	if (n == LAYER_BROKEN) {
		conn_close(c);
		return READ_CLOSED;
	}
	if (n > 0 && !codec_take(c, scratch, (size_t)n))
		return READ_CLOSED;
	conn_mark_dirty(c);
	if (n == LAYER_DONE || c->codec->ops->over(c->codec))
		c->read_closed = true;
	if (n > 0 && n < CODEC_READ && !conn_buffered(c))
		return LAYER_WANT_READ;
	return n > 0 ? READ_MORE : (int)n;
}

/* Nobody's PROXY header is taken here: it would be the beginning of a message of 3 KB. */
static bool is_stray_header(const struct conn *c, const uint8_t *data, size_t len)
{
	return !c->asked && !frame_held(&c->in) && proxy_is_header(data, len);
}

static int read_frames(struct conn *c)
{
	size_t room;
	uint8_t *to = frame_room(&c->in, c->server->scratch, &room);
	const ssize_t n = to ? c->layer->ops->read(c->layer, to, room) : LAYER_BROKEN;
	const bool stray = n > 0 && is_stray_header(c, to, (size_t)n);
	if (stray)
		conn_refuse_header(c, false);
	if (n == LAYER_BROKEN || stray) {
		conn_close(c);
		return READ_CLOSED;
	}
	if (n > 0)
		frame_added(&c->in, (size_t)n);
	if (!conn_deliver(c))
		return READ_CLOSED;
	if (n == LAYER_DONE)
		c->read_closed = true;
	if (n > 0 && (size_t)n < room && !conn_buffered(c))
		return LAYER_WANT_READ; /* the socket is empty: save the call that says
					   so */
	return n > 0 ? READ_MORE : (int)n;
}

static bool frames_take(struct conn *c, const uint8_t *data, size_t len)
{
	size_t room = 0;
	uint8_t *to = frame_room(&c->in, c->server->scratch, &room);
	if (!to || room < len) {
		conn_close(c);
		return false;
	}
	memcpy(to, data, len);
	frame_added(&c->in, len);
	return conn_deliver(c);
}

bool conn_feed(struct conn *c, const uint8_t *data, size_t len)
{
	if (!len)
		return true;
	return c->codec ? codec_take(c, data, len) : frames_take(c, data, len);
}

/* --- a connection's reading ------------------------------------------------ */

bool conn_read(struct conn *c)
{
	if (c->inside) {
		const int result = conn_take_inside(c);
		if (result != LAYER_DONE)
			return result != LAYER_BROKEN;
	}
	if (frame_held(&c->in) && !conn_deliver(c))
		return false;
	int more = READ_MORE;
	for (int i = 0; i < READS_A_WAKEUP && more == READ_MORE && conn_may_read(c);
		i++) {
		more = c->codec ? read_codec(c) : read_frames(c);
		if (more == READ_CLOSED)
			return false;
		c->read_wants =
			more == LAYER_WANT_WRITE ? LAYER_WANT_WRITE : LAYER_WANT_READ;
	}
	c->stalled = !c->read_closed && !conn_may_read(c);
	if (frame_held(&c->in) && !conn_may_take(c))
		c->stalled = true; /* whole messages may wait, also behind the end */
	if (!c->share)
		conn_mark_dirty(c);
	if (more == READ_MORE && !c->stalled && conn_buffered(c))
		conn_mark_dirty(c); /* epoll does not know of those bytes */
	return true;
}
