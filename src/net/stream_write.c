/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_write.c - answers become bytes, which leave at the end of the turn.
 *
 * What is ready in one turn leaves in one write a connection. Who does not read has so many
 * bytes wait and then goes. */
#include <assert.h>

#include "base/limits.h"
#include "net/stream_internal.h"

/* --- what waits ------------------------------------------------------------ */

size_t conn_owed(const struct conn *c)
{
	return outbox_len(&c->out) + (c->codec ? c->codec->ops->held(c->codec) : 0);
}

/* After each change: its part of what all owe. */
static void conn_count_owed(struct conn *c)
{
	const size_t owed = conn_owed(c);
	c->server->unsent += owed - c->counted;
	c->counted = owed;
}

/* Its own share is used up, or that of all while it has not read what it has. */
static bool owes_too_much(const struct conn *c, size_t more)
{
	const size_t own = conn_owed(c);
	return own + more > LIMIT_TCP_OUT_BYTES ||
	       (own && c->server->unsent + more > LIMIT_TCP_OUT_ALL);
}

/* --- bytes in -------------------------------------------------------------- */

bool conn_send(
	void *ctx, const void *head, size_t head_len, const void *data, size_t len)
{
	struct conn *c = ctx;
	return outbox_room(&c->out, head_len + len) &&
	       outbox_add(&c->out, head, head_len) && outbox_add(&c->out, data, len);
}

/* Each answer of a codec goes into a record of its own, all in one write: dnsperf takes
 * what comes in one record for one answer. */
void conn_mark(void *ctx)
{
	struct conn *c = ctx;
	outbox_mark_end(&c->out);
}

static bool conn_frame(struct conn *c, const uint8_t *data, size_t len)
{
	const uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };
	return conn_send(c, head, sizeof(head), data, len);
}

static void conn_is_done(struct conn *c)
{
	c->pending -= c->pending > 0;
	conn_mark_dirty(c);
}

bool conn_answer(struct conn *c, uint32_t request, const uint8_t *msg, size_t len)
{
	const bool slow = owes_too_much(c, len + 2);
	if (slow)
		tally_add(c->server, TALLY_SLOW_READERS, 1);
	if (slow || (!c->codec && !conn_frame(c, msg, len))) {
		conn_close(c);
		return false;
	}
	if (c->codec)
		c->codec->ops->answer(c->codec, request, msg, len);
	c->telling = true;
	conn_count_owed(c);
	conn_is_done(c);
	conn_touch(c);
	return true;
}

void conn_skip(struct conn *c, uint32_t request)
{
	if (c->codec)
		c->codec->ops->skip(c->codec, request);
	conn_is_done(c);
	conn_slight(c);
}

/* --- bytes out ------------------------------------------------------------- */

bool conn_write(struct conn *c)
{
	const size_t before = conn_owed(c);
	if (c->codec)
		c->codec->ops->output(c->codec);
	c->write_wants = outbox_write(&c->out, c->layer);
	if (c->write_wants == LAYER_BROKEN) {
		conn_close(c);
		return false;
	}
	conn_count_owed(c);
	const size_t owed = conn_owed(c);
	if (c->telling && owed < before)
		conn_touch(c);
	c->telling = c->telling && owed;
	if (!outbox_len(&c->out) && !c->pending)
		outbox_fini(&c->out); /* idle connections cost no buffers */
	return true;
}

void conn_last_words(struct conn *c)
{
	if (c->handshaking || c->left)
		return;
	if (c->codec && !c->codec->ops->over(c->codec)) {
		c->codec->ops->goodbye(c->codec);
		c->codec->ops->output(c->codec);
		outbox_write(&c->out, c->layer);
	}
	if (c->layer->ops->goodbye)
		c->layer->ops->goodbye(c->layer);
}

void conn_write_fini(struct conn *c)
{
	c->server->unsent -= c->counted;
	c->counted = 0;
	outbox_fini(&c->out);
}

/* --- the end of the turn --------------------------------------------------- */

void conn_mark_dirty(struct conn *c)
{
	struct stream_server *s = c->server;
	if (c->dirty)
		return;
	c->dirty = true;
	c->next_dirty = NULL;
	*(s->dirty_last ? &s->dirty_last->next_dirty : &s->dirty_first) = c;
	s->dirty_last = c;
	if (!s->flushing)
		loop_defer(s->loop, &s->flush);
}

static void conn_flush(struct conn *c)
{
	conn_share_anew(c);
	if (!conn_write(c))
		return;
	const bool more =
		c->stalled ? conn_may_take(c) : conn_may_read(c) && conn_buffered(c);
	if (more && !conn_read(c))
		return;
	conn_settle(c);
}

/* What this brings forth waits for the next turn, else one busy client would hold the
 * loop. */
void server_flush(void *ctx)
{
	struct stream_server *s = ctx;
	const struct conn *const last = s->dirty_last;
	bool more = s->dirty_first != NULL;
	s->flushing = true;
	while (more) {
		struct conn *c = s->dirty_first;
		assert(c); /* `last` is not reached yet */
		more = c != last && !loop_turn_is_spent(s->loop);
		s->dirty_first = c->next_dirty;
		if (!s->dirty_first)
			s->dirty_last = NULL;
		c->dirty = false;
		c->next_dirty = NULL;
		if (c->open && !c->handshaking && !c->left)
			conn_flush(c);
	}
	s->flushing = false;
	if (s->dirty_first)
		loop_timer_set(s->loop, &s->flush_again, 0, server_flush, s);
}
