/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_conn.c - the life of one connection: opened, woken, standing still, closed. */
#include <assert.h>

#include "net/stream_internal.h"

static void conn_ready(void *ctx, unsigned events);

/* --- names ----------------------------------------------------------------- */

struct stream_id conn_id(const struct conn *c, uint32_t request)
{
	return (struct stream_id){
		.conn = (uint64_t)c->generation << 32 |
			(uint64_t)(c - c->server->conns),
		.request = request,
	};
}

struct conn *conn_find(struct stream_server *s, struct stream_id id)
{
	const uint32_t i = (uint32_t)id.conn;
	if (i >= s->conf.max_clients)
		return NULL;
	struct conn *c = &s->conns[i];
	return c->open && !c->dying && c->generation == (uint32_t)(id.conn >> 32)
		       ? c
		       : NULL;
}

/* --- opened ---------------------------------------------------------------- */

static int64_t conn_now_us(void *ctx)
{
	const struct conn *c = ctx;
	return loop_now(c->server->loop)->mono_us;
}

static struct stream_codec *codec_of(struct conn *c)
{
	const struct stream_server *s = c->server;
	const struct codec_owner owner = {
		.message = conn_message,
		.send = conn_send,
		.mark = conn_mark,
		.ctx = c,
		.counters = s->counters,
		.max_requests = s->conf.pipeline,
		.fields = s->conf.fields,
		.stray_header = conn_stray_header,
		.now_us = conn_now_us,
		.request_us = s->conf.idle_ms * 1000,
	};
	return s->conf.codec_new(&owner);
}

/* What belongs to it alone, but for the socket. */
static void conn_fini(struct conn *c)
{
	if (c->layer)
		c->layer->ops->free(c->layer);
	c->layer = NULL;
	if (c->codec)
		c->codec->ops->free(c->codec);
	c->codec = NULL;
	proxy_reader_free(c->proxy);
	c->proxy = NULL;
	frame_fini(&c->in);
	conn_write_fini(c);
}

/* False: out of memory; conn_fini() is due. */
static bool conn_equip(struct conn *c, enum stream_trust trust)
{
	const struct stream_server *s = c->server;
	if (trust != STREAM_UNASKED && !(c->proxy = proxy_reader_new()))
		return false;
	if (!(c->layer = s->conf.layer_new(s->conf.layer_ctx, c->fd)))
		return false;
	if (s->conf.codec_new && !(c->codec = codec_of(c)))
		return false;
	c->handshaking = c->proxy || c->layer->ops->handshake;
	return loop_watch(s->loop, &c->watch, c->fd, LOOP_READ, conn_ready, c) == 0;
}

bool conn_open(
	struct stream_server *s, int fd, const struct addr *from, const struct addr *to)
{
	const enum stream_trust trust =
		s->hooks.trust ? s->hooks.trust(s->hooks.ctx, from) : STREAM_UNASKED;
	if (!server_make_room(s, from, trust)) {
		tally_add(s, TALLY_SHED, 1);
		return false;
	}
	struct conn *c = s->free;
	*c = (struct conn){
		.server = s,
		.generation = c->generation,
		.dirty = c->dirty, /* a closed connection stays in that list */
		.next_dirty = c->next_dirty,
		.next_free = c->next_free,
		.believed = trust == STREAM_BELIEVE,
		.read_wants = LAYER_WANT_READ,
		.fd = fd,
		.from = *from,
		.to = *to,
		.active_us = loop_now(s->loop)->mono_us,
	};
	if (!conn_equip(c, trust)) {
		conn_fini(c);
		return false;
	}
	s->free = c->next_free;
	c->open = true;
	room_enter(c);
	tally_add(s, TALLY_ACCEPTED, 1);
	conn_timer_set(c);
	return true;
}

/* --- closed ---------------------------------------------------------------- */

void conn_close(struct conn *c)
{
	struct stream_server *s = c->server;
	if (c->delivering) {
		c->dying = true;
		return;
	}
	assert(c->open);
	const struct stream_id id = conn_id(c, 0);
	conn_last_words(c);
	conn_fini(c);
	loop_timer_clear(s->loop, &c->timer);
	loop_unwatch_close(s->loop, &c->watch, &c->fd);
	room_leave(c);
	c->open = false;
	c->generation++;
	c->next_free = s->free;
	s->free = c;
	drain_look(s);
	if (s->hooks.closed)
		s->hooks.closed(s->hooks.ctx, id);
}

/* --- standing still -------------------------------------------------------- */

/* So long it may. */
static int64_t due_us(const struct conn *c)
{
	const struct stream_server *s = c->server;
	const int64_t ms = c->handshaking ? s->conf.handshake_ms : s->conf.idle_ms;
	const int64_t at = c->active_us + ms * 1000;
	const int64_t drain = s->draining ? drain_due_us(c) : at;
	return drain < at ? drain : at;
}

/* It waits for us, or has asked just now. */
static bool is_waiting(const struct conn *c)
{
	if (conn_owed(c) || c->left)
		return false;
	return c->pending || (c->server->draining && layer_has_unread(c->layer));
}

static void conn_timeout(void *ctx)
{
	struct conn *c = ctx;
	struct stream_server *s = c->server;
	const int64_t now = loop_now(s->loop)->mono_us;
	int64_t due = due_us(c);
	if (due <= now && is_waiting(c))
		due = now + (due - c->active_us);
	if (due > now) {
		loop_timer_set(s->loop, &c->timer, due, conn_timeout, c);
		return;
	}
	if (drain_leave(c))
		return;
	if (c->proxy && c->handshaking && !c->inside)
		counter_up(s->counters, proxy_timeouts);
	else if (c->handshaking && s->conf.kind == STREAM_HTTPS)
		counter_up(s->counters, doh_handshake_timeouts);
	else if (c->handshaking)
		counter_up(s->counters, tls_handshake_timeouts);
	else if (conn_owed(c))
		tally_add(s, TALLY_SLOW_READERS, 1);
	else if (!c->left)
		tally_add(s, TALLY_TIMEOUTS, 1);
	conn_close(c);
}

void conn_timer_set(struct conn *c)
{
	loop_timer_set(c->server->loop, &c->timer, due_us(c), conn_timeout, c);
}

/* --- woken ----------------------------------------------------------------- */

static unsigned wants_event(int wants)
{
	return wants == LAYER_WANT_WRITE ? LOOP_WRITE : LOOP_READ;
}

void conn_settle(struct conn *c)
{
	const bool unsent = outbox_len(&c->out) > 0;
	const bool done = c->read_closed && !c->stalled && !c->pending && !conn_owed(c);
	const bool over = c->codec && !unsent && c->codec->ops->over(c->codec);
	if (done || over) {
		conn_close(c);
		return;
	}
	if (drain_settled(c))
		return;
	unsigned events = 0;
	if (c->handshaking || conn_may_read(c))
		events |= wants_event(c->read_wants);
	if (!c->handshaking && unsent)
		events |= wants_event(c->write_wants);
	if (loop_watch_events(c->server->loop, &c->watch, events))
		conn_close(c);
}

static void conn_ready(void *ctx, unsigned events)
{
	struct conn *c = ctx;
	if (c->left) {
		drain_linger(c);
		return;
	}
	conn_share_anew(c);
	if (c->handshaking && !conn_begin(c))
		return;
	if (outbox_len(&c->out) && !conn_write(c))
		return;
	if (conn_may_go_on(c)) {
		if (!conn_read(c))
			return;
	} else if (events & LOOP_HANGUP) {
		conn_close(c); /* both ways are shut: nobody waits for an answer */
		return;
	}
	if (!c->dirty) /* else at the end of the turn, when it is known what is left */
		conn_settle(c);
}
