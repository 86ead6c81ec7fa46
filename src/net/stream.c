/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream.c - the clients' connections: who may come, who must go, what is read and
 * written when.
 *
 * Invariants:
 * - A slot of `conns` is open, or on the free list. An id is slot and generation;
 *   closing raises the generation, so a late answer finds nothing.
 * - An open connection stands in exactly one of three lists, each ordered by last
 *   activity: `young` until its handshake is over, `busy` while a query of it is
 *   unanswered, else `idle`. Busy ones are never closed to make room; young ones are
 *   when they are more than their share, so that half-open ones drive nobody out.
 * - A connection that may begin with a PROXY header is young until that has come, then its
 *   handshake follows; its client's address takes the place of the proxy's.
 * - While a message is handed out its buffer lives: closing is put off (dying) until
 *   the hook returns.
 * - Activity is a whole message, an answer, or progress in writing; single bytes of a
 *   message that never ends are none. */
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/random.h"
#include "net/frame.h"
#include "net/outbox.h"
#include "net/proxy.h"

enum {
	ACCEPTS_A_WAKEUP = 32,
	ACCEPTS_A_DRAIN = 4096,
	READS_A_WAKEUP = 4,
	MESSAGES_A_SHARE = 32, /* of one connection, then others have their turn */
	ACCEPT_PAUSE_MS = 100,
	DRAIN_IDLE_MS = 500,
	DRAIN_BUSY_MS =
		1000, /* then a busy one ends when all that it asked is answered */
	DRAIN_FRESH_MS = 1500, /* without a query until now */
	HANDSHAKES_A_TURN = 8, /* a third of a millisecond each */
	YOUNG_SHARE = 4,       /* a quarter of the places is left to handshakes */
	LEAST_SHARE =
		64, /* of the host's places one in so many is ours, if all are taken */
	OUT_PAUSE_BYTES = 64 * 1024, /* unsent answers: no further queries are read */
	BUCKETS = 256,
	CODEC_READ = 16 * 1024, /* at most this is handed out at once */
};

/* What is counted for each kind, in its own counter. */
enum tally {
	TALLY_ACCEPTED,
	TALLY_CLIENTS,
	TALLY_SHED,
	TALLY_TIMEOUTS,
	TALLY_SLOW_READERS,
	TALLY_COUNT
};

#define ROW(kind)                                                                      \
	{                                                                              \
		offsetof(struct counters, kind##_accepted),                            \
			offsetof(struct counters, kind##_clients),                     \
			offsetof(struct counters, kind##_clients_shed),                \
			offsetof(struct counters, kind##_timeouts),                    \
			offsetof(struct counters, kind##_slow_readers)                 \
	}
static const size_t tallies[][TALLY_COUNT] = {
	[STREAM_TCP] = ROW(tcp),
	[STREAM_TLS] = ROW(tls),
	[STREAM_HTTPS] = ROW(doh),
};
#undef ROW

struct conn_list {
	struct conn *first, *last;
	unsigned count;
};

struct conn {
	struct stream_server *server;
	uint32_t generation;
	bool open;
	bool delivering;
	bool dying;       /* to be closed when the hook returns */
	bool read_closed; /* the client has sent all it will */
	unsigned share;   /* messages that may still be handed out this time */
	bool stalled;     /* reading stopped at a limit: go on when answers have left */
	bool handshaking;
	bool proxied;               /* `from` and `to` are of a PROXY header */
	bool believed;              /* the sender may name its client */
	struct proxy_reader *proxy; /* a PROXY header may come */
	bool dirty;
	int read_wants; /* LAYER_WANT_* */
	int write_wants;

	int fd;
	struct watch watch;
	struct timer timer;
	struct addr from, to;
	struct stream_layer *layer;
	struct frame in;
	struct outbox out;
	struct stream_codec *codec; /* NULL: two-byte framing */
	size_t counted;             /* of server->unsent */
	unsigned pending;           /* unanswered queries */
	bool asked;                 /* something, some time */
	int64_t active_us;

	struct conn_list *list;
	struct conn *prev, *next;
	struct conn *next_same_hash;
	struct conn *next_dirty;
	struct conn *next_free;
};

struct stream_server {
	struct loop *loop;
	struct stream_conf conf;
	struct stream_hooks hooks;
	struct counters *counters;

	int fd;
	struct watch watch;
	struct timer accept_pause;
	struct addr bound;
	bool wildcard;

	struct conn *conns; /* conf.max_clients of them */
	unsigned count;
	uint64_t accepted;
	size_t unsent; /* bytes of answers of all, as each conn counted them last */
	struct conn *free;
	struct conn_list young, idle, busy;
	int64_t turn_us; /* the turn in which `handshakes` were begun */
	unsigned handshakes;
	struct conn *buckets[BUCKETS];
	struct hash_key key; /* strangers choose the addresses */

	struct conn *dirty_first, *dirty_last;
	struct defer flush;
	struct timer flush_again;
	bool flushing;

	bool draining;
	int64_t drain_us; /* since */
	struct defer drained;
	void (*drained_fn)(void *ctx);
	void *drained_ctx;

	uint8_t scratch[FRAME_MAX];
};

static void conn_ready(void *ctx, unsigned events);
static void conn_timeout(void *ctx);
static struct stream_codec *codec_of(struct stream_server *s, struct conn *c);

/* --- lists ----------------------------------------------------------------- */

static void list_remove(struct conn *c)
{
	struct conn_list *l = c->list;
	*(c->prev ? &c->prev->next : &l->first) = c->next;
	*(c->next ? &c->next->prev : &l->last) = c->prev;
	l->count--;
	c->prev = c->next = NULL;
	c->list = NULL;
}

static void list_append(struct conn_list *l, struct conn *c)
{
	c->list = l;
	c->prev = l->last;
	c->next = NULL;
	*(l->last ? &l->last->next : &l->first) = c;
	l->last = c;
	l->count++;
}

/* It did something: it is the youngest of its list. */
static void conn_touch(struct conn *c)
{
	struct stream_server *s = c->server;
	c->active_us = loop_now(s->loop)->mono_us;
	list_remove(c);
	list_append(c->pending ? &s->busy : &s->idle, c);
}

static struct conn **bucket_of(struct stream_server *s, const struct addr *a)
{
	return &s->buckets[hash_sip13(&s->key, a->ip, sizeof(a->ip)) % BUCKETS];
}

static void conn_mark_dirty(struct conn *c)
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

static struct stream_id conn_id(const struct conn *c, uint32_t request)
{
	return (struct stream_id){
		.conn = (uint64_t)c->generation << 32 |
			(uint64_t)(c - c->server->conns),
		.request = request,
	};
}

static struct conn *conn_find(struct stream_server *s, struct stream_id id)
{
	const uint32_t i = (uint32_t)id.conn;
	if (i >= s->conf.max_clients)
		return NULL;
	struct conn *c = &s->conns[i];
	return c->open && !c->dying && c->generation == (uint32_t)(id.conn >> 32)
		       ? c
		       : NULL;
}

/* And what the client does not let the codec send; reading goes on all the same, for that
 * it may send is told by the client. */
static size_t conn_owed(const struct conn *c)
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

/* --- coming and going ------------------------------------------------------ */

static void tally_add(struct stream_server *s, enum tally what, int n)
{
	uint64_t *at =
		(uint64_t *)(void *)((char *)s->counters + tallies[s->conf.kind][what]);
	__atomic_store_n(at, *at + (uint64_t)(int64_t)n, __ATOMIC_RELAXED);
}

static void gauge_clients(struct stream_server *s, int change)
{
	tally_add(s, TALLY_CLIENTS, change); /* several servers share it */
}

static void census_change(const struct conn *c, int change)
{
	const struct stream_server *s = c->server;
	const struct stream_census *census = s->conf.census;
	if (census)
		census->count(census->ctx, s->conf.kind, &c->from, change);
}

static void bucket_remove(struct conn *c)
{
	census_change(c, -1);
	struct conn **link = bucket_of(c->server, &c->from);
	while (*link != c)
		link = &(*link)->next_same_hash;
	*link = c->next_same_hash;
}

static void bucket_add(struct conn *c)
{
	census_change(c, 1);
	struct conn **bucket = bucket_of(c->server, &c->from);
	c->next_same_hash = *bucket;
	*bucket = c;
}

/* GOAWAY, if the socket takes it. */
static void conn_last_words(struct conn *c)
{
	if (c->codec->ops->over(c->codec))
		return;
	c->codec->ops->goodbye(c->codec);
	c->codec->ops->output(c->codec);
	outbox_write(&c->out, c->layer);
}

static void conn_close(struct conn *c)
{
	struct stream_server *s = c->server;
	if (c->delivering) {
		c->dying = true;
		return;
	}
	assert(c->open);
	const struct stream_id id = conn_id(c, 0);
	if (!c->handshaking && c->codec)
		conn_last_words(c);
	if (!c->handshaking && c->layer->ops->goodbye)
		c->layer->ops->goodbye(c->layer);
	c->layer->ops->free(c->layer);
	loop_timer_clear(s->loop, &c->timer);
	loop_unwatch_close(s->loop, &c->watch, &c->fd);
	frame_fini(&c->in);
	if (c->codec)
		c->codec->ops->free(c->codec);
	c->codec = NULL;
	s->unsent -= c->counted;
	c->counted = 0;
	outbox_fini(&c->out);
	proxy_reader_free(c->proxy);
	c->proxy = NULL;
	list_remove(c);
	bucket_remove(c);
	c->open = false;
	c->generation++;
	c->next_free = s->free;
	s->free = c;
	s->count--;
	gauge_clients(s, -1);
	if (s->draining && !s->count)
		loop_defer(s->loop, &s->drained);
	if (s->hooks.closed)
		s->hooks.closed(s->hooks.ctx, id);
}

/* The longest idle of this address. */
static struct conn *oldest_from(struct stream_server *s, const struct addr *from)
{
	struct conn *oldest = NULL;
	for (struct conn *c = *bucket_of(s, from); c; c = c->next_same_hash)
		if (c->list != &s->busy && addr_same_ip(&c->from, from) &&
			(!oldest || c->active_us < oldest->active_us))
			oldest = c;
	return oldest;
}

static struct conn *oldest_of_all(struct stream_server *s)
{
	const bool crowded = s->young.count > s->conf.max_clients / YOUNG_SHARE;
	if (crowded || !s->idle.first)
		return s->young.first;
	return s->idle.first;
}

/* Close the longest idle client, of this address if given. False: nobody is idle. */
static bool server_evict(struct stream_server *s, const struct addr *from)
{
	struct conn *oldest = from ? oldest_from(s, from) : oldest_of_all(s);
	if (!oldest || oldest->delivering)
		return false;
	tally_add(s, TALLY_SHED, 1);
	conn_close(oldest);
	return true;
}

static unsigned count_from(struct stream_server *s, const struct addr *from)
{
	const struct stream_census *census = s->conf.census;
	unsigned same = 0;
	if (census)
		return census->of(census->ctx, s->conf.kind, from);
	for (struct conn *c = *bucket_of(s, from); c; c = c->next_same_hash)
		same += addr_same_ip(&c->from, from);
	return same;
}

/* For one more of this client. */
static bool client_make_room(struct stream_server *s, const struct addr *from)
{
	return count_from(s, from) < s->conf.max_clients_per_address ||
	       server_evict(s, from);
}

/* Others of the host have all places: then a few are ours nevertheless, for who holds
 * theirs would else keep everybody out here, where nobody is to make room. */
static bool host_is_full(const struct stream_server *s)
{
	const struct stream_census *census = s->conf.census;
	return census && s->count >= s->conf.max_clients / LEAST_SHARE &&
	       census->all(census->ctx, s->conf.kind) >= s->conf.max_clients;
}

/* A proxy's connections are counted for its clients, once it has named them. Where others
 * of the host have too many, one of ours goes all the same: each bears its part. */
static bool server_make_room(
	struct stream_server *s, const struct addr *from, enum stream_trust trust)
{
	if (trust != STREAM_BELIEVE && !client_make_room(s, from))
		return false;
	const bool full = s->count >= s->conf.max_clients || host_is_full(s);
	return !full || server_evict(s, NULL);
}

/* How long this connection may stand still. */
static int64_t idle_us(const struct conn *c)
{
	const struct stream_server *s = c->server;
	int64_t ms = c->handshaking ? s->conf.handshake_ms : s->conf.idle_ms;
	/* the first query of a fresh connection may be on its way */
	const int64_t drain_ms =
		c->handshaking || !c->asked ? DRAIN_FRESH_MS : DRAIN_IDLE_MS;
	if (s->draining && ms > drain_ms)
		ms = drain_ms;
	return ms * 1000;
}

static bool conn_open(
	struct stream_server *s, int fd, const struct addr *from, const struct addr *to)
{
	const enum stream_trust trust =
		s->hooks.trust ? s->hooks.trust(s->hooks.ctx, from) : STREAM_UNASKED;
	if (!server_make_room(s, from, trust)) {
		tally_add(s, TALLY_SHED, 1);
		return false;
	}
	struct conn *c = s->free;
	struct proxy_reader *proxy = NULL;
	if (trust != STREAM_UNASKED && !(proxy = proxy_reader_new()))
		return false;
	struct stream_layer *layer = s->conf.layer_new(s->conf.layer_ctx, fd);
	if (!layer) {
		proxy_reader_free(proxy);
		return false;
	}
	if (loop_watch(s->loop, &c->watch, fd, LOOP_READ, conn_ready, c)) {
		proxy_reader_free(proxy);
		layer->ops->free(layer);
		return false;
	}
	struct stream_codec *codec = NULL;
	if (s->conf.codec_new && !(codec = codec_of(s, c))) {
		loop_unwatch(s->loop, &c->watch);
		proxy_reader_free(proxy);
		layer->ops->free(layer);
		return false;
	}
	struct conn *const next_dirty = c->next_dirty, *const next_free = c->next_free;
	*c = (struct conn){
		.server = s,
		.generation = c->generation,
		.dirty = c->dirty, /* a closed connection stays in that list */
		.next_dirty = next_dirty,
		.open = true,
		.handshaking = proxy || layer->ops->handshake != NULL,
		.proxy = proxy,
		.believed = trust == STREAM_BELIEVE,
		.read_wants = LAYER_WANT_READ,
		.write_wants = LAYER_WANT_WRITE,
		.fd = fd,
		.watch = c->watch,
		.from = *from,
		.to = *to,
		.layer = layer,
		.codec = codec,
		.active_us = loop_now(s->loop)->mono_us,
	};
	s->free = next_free;
	bucket_add(c);
	list_append(c->handshaking ? &s->young : &s->idle, c);
	s->count++;
	gauge_clients(s, 1);
	tally_add(s, TALLY_ACCEPTED, 1);
	loop_timer_set(s->loop, &c->timer, c->active_us + idle_us(c), conn_timeout, c);
	return true;
}

bool stream_server_adopt(
	struct stream_server *s, int fd, const struct addr *from, const struct addr *to)
{
	if (conn_open(s, fd, from, to))
		return true;
	fd_close(&fd);
	return false;
}

static void conn_timeout(void *ctx)
{
	struct conn *c = ctx;
	struct stream_server *s = c->server;
	const int64_t now = loop_now(s->loop)->mono_us;
	const bool unread = conn_owed(c) > 0;
	int64_t due = c->active_us + idle_us(c);
	if (due <= now && c->pending && !unread)
		due = now + idle_us(c); /* it waits for us */
	if (due > now) {
		loop_timer_set(s->loop, &c->timer, due, conn_timeout, c);
		return;
	}
	if (c->proxy)
		counter_up(s->counters, proxy_timeouts);
	else if (c->handshaking)
		counter_up(s->counters, tls_handshake_timeouts);
	else if (unread)
		tally_add(s, TALLY_SLOW_READERS, 1);
	else
		tally_add(s, TALLY_TIMEOUTS, 1);
	conn_close(c);
}

static void conn_message(void *ctx, uint32_t request, const uint8_t *msg, size_t len);
static void conn_mark(void *ctx);
static bool conn_send(
	void *ctx, const void *head, size_t head_len, const void *data, size_t len);

static struct stream_codec *codec_of(struct stream_server *s, struct conn *c)
{
	const struct codec_owner owner = {
		.message = conn_message,
		.send = conn_send,
		.mark = conn_mark,
		.ctx = c,
		.counters = s->counters,
		.max_requests = s->conf.pipeline,
		.fields = s->conf.fields,
	};
	return s->conf.codec_new(&owner);
}

/* --- reading --------------------------------------------------------------- */

static bool conn_may_take(const struct conn *c)
{
	return c->share && c->pending < c->server->conf.pipeline &&
	       outbox_len(&c->out) < OUT_PAUSE_BYTES;
}

static bool conn_may_read(const struct conn *c)
{
	return !c->read_closed && conn_may_take(c);
}

/* Bytes may come, or whole messages wait since a limit was reached. */
static bool conn_may_go_on(const struct conn *c)
{
	return conn_may_take(c) && (!c->read_closed || c->stalled);
}

/* Hand out the whole messages that are there. False: c is closed. */
static bool conn_deliver(struct conn *c)
{
	struct stream_server *s = c->server;
	const uint8_t *msg;
	size_t len;
	c->delivering = true;
	while (!c->dying && conn_may_take(c) && frame_next(&c->in, &msg, &len)) {
		c->pending++;
		c->asked = true;
		c->share--;
		conn_touch(c);
		s->hooks.query(
			s->hooks.ctx, s, conn_id(c, 0), &c->from, &c->to, msg, len);
	}
	c->delivering = false;
	const bool lives = !c->dying && frame_settle(&c->in);
	if (!lives)
		conn_close(c);
	return lives;
}

static bool conn_buffered(const struct conn *c)
{
	return c->layer->ops->buffered && c->layer->ops->buffered(c->layer);
}

/* A message from the codec. */
static void conn_message(void *ctx, uint32_t request, const uint8_t *msg, size_t len)
{
	struct conn *c = ctx;
	struct stream_server *s = c->server;
	if (c->dying)
		return;
	c->pending++;
	c->asked = true;
	c->share -= c->share > 0;
	conn_touch(c);
	s->hooks.query(
		s->hooks.ctx, s, conn_id(c, request), &c->from, &c->to, msg, len);
}

/* As conn_read_once(). */
static int conn_read_codec(struct conn *c)
{
	uint8_t *scratch = c->server->scratch;
	const ssize_t n = c->layer->ops->read(c->layer, scratch, CODEC_READ);
	if (n == LAYER_BROKEN) {
		conn_close(c);
		return LAYER_BROKEN;
	}
	if (n > 0) {
		c->delivering = true;
		c->codec->ops->input(c->codec, scratch, (size_t)n);
		c->delivering = false;
	}
	if (c->dying) {
		conn_close(c);
		return LAYER_BROKEN;
	}
	conn_mark_dirty(c); /* it may have something to say of its own */
	if (n == LAYER_DONE || c->codec->ops->over(c->codec))
		c->read_closed = true;
	if (n < 0)
		c->read_wants = (int)n;
	if (n > 0 && n < CODEC_READ && !conn_buffered(c))
		return LAYER_WANT_READ;
	return n > 0 ? 1 : (int)n;
}

/* One read. LAYER_*, or 1: there may be more. Negative LAYER_BROKEN: c is closed. */
static int conn_read_once(struct conn *c)
{
	size_t room;
	uint8_t *to = frame_room(&c->in, c->server->scratch, &room);
	const ssize_t n = to ? c->layer->ops->read(c->layer, to, room) : LAYER_BROKEN;
	if (n > 0 && !c->asked && !frame_held(&c->in) &&
		proxy_is_header(to, (size_t)n)) {
		/* nobody's is taken here: else it would wait for a message of 3 KB */
		counter_up(c->server->counters, proxy_refused);
		conn_close(c);
		return LAYER_BROKEN;
	}
	if (n > 0)
		frame_added(&c->in, (size_t)n);
	if (n == LAYER_BROKEN) {
		conn_close(c);
		return LAYER_BROKEN;
	}
	if (!conn_deliver(c))
		return LAYER_BROKEN;
	if (n == LAYER_DONE)
		c->read_closed = true;
	if (n < 0)
		c->read_wants = (int)n;
	if (n > 0 && (size_t)n < room && !conn_buffered(c))
		return LAYER_WANT_READ; /* the socket is empty: save the call that says
					   so */
	return n > 0 ? 1 : (int)n;
}

/* False: c is closed. */
static bool conn_read(struct conn *c)
{
	if (frame_held(&c->in) && !conn_deliver(c))
		return false;
	int more = 1;
	for (int i = 0; i < READS_A_WAKEUP && more == 1 && conn_may_read(c); i++) {
		c->read_wants = LAYER_WANT_READ;
		more = c->codec ? conn_read_codec(c) : conn_read_once(c);
	}
	if (more == LAYER_BROKEN)
		return false;
	c->stalled = !c->read_closed && !conn_may_read(c);
	if (frame_held(&c->in) && !conn_may_take(c))
		c->stalled = true; /* whole messages may wait, also behind the end */
	if (!c->share)
		conn_mark_dirty(c);
	if (more == 1 && !c->stalled && conn_buffered(c))
		conn_mark_dirty(c); /* epoll does not know of those bytes */
	return true;
}

/* --- writing --------------------------------------------------------------- */

/* An answer ends here. Each of a codec goes into a record of its own, all in one write:
 * dnsperf takes what comes in one record for one answer. */
static void conn_mark(void *ctx)
{
	struct conn *c = ctx;
	outbox_mark_end(&c->out);
}

/* Bytes from the codec. */
static bool conn_send(
	void *ctx, const void *head, size_t head_len, const void *data, size_t len)
{
	struct conn *c = ctx;
	return outbox_room(&c->out, head_len + len) &&
	       outbox_add(&c->out, head, head_len) && outbox_add(&c->out, data, len);
}

/* False: c is closed. */
static bool conn_write(struct conn *c)
{
	if (c->codec)
		c->codec->ops->output(c->codec);
	const size_t before = outbox_len(&c->out);
	c->write_wants = outbox_write(&c->out, c->layer);
	if (c->write_wants == LAYER_BROKEN) {
		conn_close(c);
		return false;
	}
	conn_count_owed(c);
	if (outbox_len(&c->out) != before)
		conn_touch(c);
	if (!outbox_len(&c->out) && !c->pending)
		outbox_fini(&c->out); /* idle connections cost no buffers */
	return true;
}

/* --- one connection's turn ------------------------------------------------- */

static unsigned wants_event(int wants)
{
	return wants == LAYER_WANT_WRITE ? LOOP_WRITE : LOOP_READ;
}

/* While draining. Right after an answer is the moment at which a client is least likely to
 * have the next question on its way. */
static bool conn_may_leave(const struct conn *c)
{
	const struct stream_server *s = c->server;
	return s->draining && !c->handshaking && !c->pending && !conn_owed(c) &&
	       !c->stalled && !frame_held(&c->in) && c->active_us > s->drain_us &&
	       loop_now(s->loop)->mono_us > s->drain_us + DRAIN_BUSY_MS * 1000;
}

/* Closed when all is said, else waiting for the right things. */
static void conn_settle(struct conn *c)
{
	const bool done = c->read_closed && !c->stalled && !c->pending && !conn_owed(c);
	const bool over =
		c->codec && !outbox_len(&c->out) && c->codec->ops->over(c->codec);
	if (done || over || conn_may_leave(c)) {
		conn_close(c);
		return;
	}
	unsigned events = 0;
	if (c->handshaking || conn_may_read(c))
		events |= wants_event(c->read_wants);
	if (!c->handshaking && outbox_len(&c->out))
		events |= wants_event(c->write_wants);
	if (loop_watch_events(c->server->loop, &c->watch, events))
		conn_close(c);
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
	bucket_remove(c);
	c->from = h->from;
	c->to = h->to;
	c->proxied = true;
	bucket_add(c);
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
	if (verdict != PROXY_NONE && !c->believed) {
		counter_up(counters, proxy_refused);
		conn_close(c);
		return false;
	}
	if (verdict == PROXY_BAD) {
		counter_up(counters, proxy_malformed);
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

/* Bytes of messages may flow. */
static void conn_begin(struct conn *c)
{
	c->handshaking = false;
	c->read_wants = LAYER_WANT_READ;
	conn_touch(c);
	loop_timer_set(
		c->server->loop, &c->timer, c->active_us + idle_us(c), conn_timeout, c);
}

/* False: not yet, or c is closed. */
static bool conn_handshake(struct conn *c)
{
	struct stream_server *s = c->server;
	if (c->proxy && !conn_take_header(c))
		return false;
	if (!c->layer->ops->handshake) {
		conn_begin(c);
		return true;
	}
	const int64_t turn_us = loop_now(s->loop)->mono_us;
	if (s->turn_us != turn_us)
		s->handshakes = 0;
	s->turn_us = turn_us;
	if (s->handshakes++ >= HANDSHAKES_A_TURN)
		return false; /* epoll tells again; who is served comes between */
	const int result = c->layer->ops->handshake(c->layer);
	if (result == LAYER_DONE) {
		conn_begin(c);
		return true;
	}
	if (result == LAYER_BROKEN) {
		conn_close(c);
		return false;
	}
	c->read_wants = result;
	conn_settle(c);
	return false;
}

static void conn_ready(void *ctx, unsigned events)
{
	struct conn *c = ctx;
	c->share = MESSAGES_A_SHARE;
	if (c->handshaking && !conn_handshake(c))
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

static void conn_flush(struct conn *c)
{
	c->share = MESSAGES_A_SHARE;
	if (!conn_write(c))
		return;
	const bool more =
		c->stalled ? conn_may_take(c) : conn_may_read(c) && conn_buffered(c);
	if (more && !conn_read(c))
		return;
	conn_settle(c);
}

/* The end of the turn: what was answered leaves in one write each, and reading goes on.
 * What that brings forth waits for the next turn, else one busy client would hold the
 * loop. */
static void server_flush(void *ctx)
{
	struct stream_server *s = ctx;
	const struct conn *const last = s->dirty_last;
	bool more = s->dirty_first != NULL;
	s->flushing = true;
	while (more) {
		struct conn *c = s->dirty_first;
		more = c != last;
		s->dirty_first = c->next_dirty;
		if (!s->dirty_first)
			s->dirty_last = NULL;
		c->dirty = false;
		c->next_dirty = NULL;
		if (c->open && !c->handshaking)
			conn_flush(c);
	}
	s->flushing = false;
	if (s->dirty_first)
		loop_timer_set(s->loop, &s->flush_again, 0, server_flush, s);
}

static void conn_answered(struct conn *c)
{
	if (c->pending)
		c->pending--;
	conn_touch(c);
	conn_mark_dirty(c);
}

/* Its own share is used up, or that of all while it has not read what it has. */
static bool owes_too_much(const struct conn *c, size_t more)
{
	const size_t own = conn_owed(c);
	return own + more > LIMIT_TCP_OUT_BYTES ||
	       (own && c->server->unsent + more > LIMIT_TCP_OUT_ALL);
}

static bool conn_frame(struct conn *c, const uint8_t *data, size_t len)
{
	const uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };
	return conn_send(c, head, sizeof(head), data, len);
}

bool stream_reply(
	struct stream_server *s, struct stream_id id, const uint8_t *data, size_t len)
{
	struct conn *c = conn_find(s, id);
	assert(len <= UINT16_MAX);
	if (!c)
		return false;
	if (owes_too_much(c, len + 2)) {
		tally_add(s, TALLY_SLOW_READERS, 1);
		conn_close(c);
		return false;
	}
	if (c->codec) {
		c->codec->ops->answer(c->codec, id.request, data, len);
	} else if (!conn_frame(c, data, len)) {
		conn_close(c);
		return false;
	}
	conn_count_owed(c);
	conn_answered(c);
	return true;
}

void stream_skip(struct stream_server *s, struct stream_id id)
{
	struct conn *c = conn_find(s, id);
	if (!c)
		return;
	if (c->codec)
		c->codec->ops->skip(c->codec, id.request);
	conn_answered(c);
}

bool stream_is_proxied(struct stream_server *s, struct stream_id id)
{
	const struct conn *c = conn_find(s, id);
	return c && c->proxied;
}

const char *stream_fields(struct stream_server *s, struct stream_id id, size_t *len)
{
	const struct conn *c = conn_find(s, id);
	*len = 0;
	return c && c->codec ? c->codec->ops->fields(c->codec, len) : NULL;
}

void stream_close(struct stream_server *s, struct stream_id id)
{
	struct conn *c = conn_find(s, id);
	if (c)
		conn_close(c);
}

/* --- accepting ------------------------------------------------------------- */

static void server_ready(void *ctx, unsigned events);

static void accept_again(void *ctx)
{
	struct stream_server *s = ctx;
	if (loop_watch(s->loop, &s->watch, s->fd, LOOP_READ, server_ready, s))
		loop_timer_set(s->loop, &s->accept_pause,
			loop_now(s->loop)->mono_us + ACCEPT_PAUSE_MS * 1000,
			accept_again, s);
}

static void accept_rest(struct stream_server *s)
{
	counter_up(s->counters, fd_exhausted);
	server_evict(s, NULL);
	loop_unwatch(s->loop, &s->watch);
	loop_timer_set(s->loop, &s->accept_pause,
		loop_now(s->loop)->mono_us + ACCEPT_PAUSE_MS * 1000, accept_again, s);
}

union stream_name {
	struct sockaddr sa;
	struct sockaddr_storage any;
};

/* Which of our addresses a client came to. */
static struct addr accepted_to(const struct stream_server *s, int fd)
{
	struct addr to = s->bound;
	union stream_name name;
	socklen_t len = sizeof(name);
	if (s->wildcard && getsockname(fd, &name.sa, &len) == 0)
		addr_from_sockaddr(&to, &name.sa);
	return to;
}

/* False: nobody waits, or none can be taken now. */
static bool server_accept(struct stream_server *s)
{
	union stream_name name;
	socklen_t len = sizeof(name);
	int fd = accept4(s->fd, &name.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			errno == ENOMEM)
			accept_rest(s);
		/* others: accept(2) also tells errors of the connection itself */
		return errno == EINTR || errno == ECONNABORTED || errno == EPROTO ||
		       errno == ENETDOWN || errno == ENOPROTOOPT ||
		       errno == EHOSTDOWN || errno == ENONET || errno == EPERM ||
		       errno == EHOSTUNREACH || errno == ENETUNREACH;
	}
	struct addr from;
	const struct addr to = accepted_to(s, fd);
	s->accepted++;
	if (!addr_from_sockaddr(&from, &name.sa) || !conn_open(s, fd, &from, &to))
		fd_close(&fd);
	return true;
}

static void server_ready(void *ctx, unsigned events)
{
	(void)events;
	struct stream_server *s = ctx;
	for (int i = 0; i < ACCEPTS_A_WAKEUP && server_accept(s); i++)
		;
}

/* --- the server's life ----------------------------------------------------- */

static void server_drained(void *ctx)
{
	struct stream_server *s = ctx;
	if (s->drained_fn)
		s->drained_fn(s->drained_ctx);
}

static int server_listen(struct stream_server *s, int fd)
{
	static const uint8_t zero[16];
	union stream_name name;
	socklen_t len = sizeof(name);
	const int on = 1;
	if (getsockname(fd, &name.sa, &len) < 0 ||
		!addr_from_sockaddr(&s->bound, &name.sa))
		return -ENOTSOCK;
	s->wildcard = memcmp(s->bound.ip, zero, sizeof(zero)) == 0;
	/* inherited by what is accepted; a socket where it can't be set works too */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* who reads nothing would have megabytes of answers wait in the kernel */
	const int unsent = LIMIT_TCP_KERNEL_BYTES;
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	return loop_watch(s->loop, &s->watch, fd, LOOP_READ, server_ready, s);
}

struct stream_server *stream_server_new(struct loop *l, int fd,
	const struct stream_conf *conf, const struct stream_hooks *hooks,
	struct counters *counters)
{
	assert(conf->max_clients && conf->pipeline && conf->idle_ms > 0 &&
		hooks->query);
	struct stream_server *s = calloc(1, sizeof(*s));
	struct conn *conns = calloc(conf->max_clients, sizeof(*conns));
	if (!s || !conns) {
		free(s);
		free(conns);
		errno = ENOMEM;
		return NULL;
	}
	s->loop = l;
	s->conf = *conf;
	if (!s->conf.layer_new)
		s->conf.layer_new = layer_plain_new;
	if (!s->conf.handshake_ms)
		s->conf.handshake_ms = conf->idle_ms;
	s->hooks = *hooks;
	s->counters = counters;
	s->fd = fd;
	s->watch.fd = -1;
	s->conns = conns;
	for (unsigned i = conf->max_clients; i--;) {
		conns[i].generation = 1; /* no id is 0 */
		conns[i].fd = -1;
		conns[i].next_free = s->free;
		s->free = &conns[i];
	}
	s->flush = (struct defer){ .fn = server_flush, .ctx = s };
	s->drained = (struct defer){ .fn = server_drained, .ctx = s };
	struct random r;
	random_init(&r);
	random_fill(&r, &s->key, sizeof(s->key));
	const int e = fd < 0 ? 0 : server_listen(s, fd);
	if (e) {
		free(conns);
		free(s);
		errno = -e;
		return NULL;
	}
	return s;
}

static void server_stop_listening(struct stream_server *s)
{
	loop_timer_clear(s->loop, &s->accept_pause);
	loop_unwatch(s->loop, &s->watch);
	fd_close(&s->fd);
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
		if (c->open && c->codec) {
			c->codec->ops->leave(c->codec);
			conn_mark_dirty(c);
		}
		if (c->open)
			loop_timer_set(s->loop, &c->timer, c->active_us + idle_us(c),
				conn_timeout, c);
	}
	if (!s->count)
		loop_defer(s->loop, &s->drained);
}

void stream_server_free(struct stream_server *s)
{
	if (!s)
		return;
	server_stop_listening(s);
	for (unsigned i = 0; i < s->conf.max_clients; i++) {
		struct conn *c = &s->conns[i];
		assert(!c->delivering);
		if (c->open && (!outbox_len(&c->out) || conn_write(c)))
			conn_close(c);
	}
	loop_undefer(s->loop, &s->flush);
	loop_timer_clear(s->loop, &s->flush_again);
	loop_undefer(s->loop, &s->drained);
	free(s->conns);
	free(s);
}

int stream_server_fd(const struct stream_server *s)
{
	return s->fd;
}

uint64_t stream_server_accepted(const struct stream_server *s)
{
	return s->accepted;
}

unsigned stream_server_clients(const struct stream_server *s)
{
	return s->count;
}
