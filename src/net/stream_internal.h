/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_internal.h - what the files of the stream server share: a connection, the server.
 *
 *   stream.c         the server's life, answers
 *   stream_accept.c  the listening socket
 *   stream_room.c    who may come, who must go
 *   stream_conn.c    a connection's life: opened, woken, standing still, closed
 *   stream_begin.c   what comes before the first message: PROXY header, handshake
 *   stream_read.c    bytes become messages
 *   stream_write.c   answers become bytes
 *   stream_drain.c   everybody leaves
 *
 * Invariants:
 * - A slot of `conns` is open, or on the free list. An id is slot and generation;
 *   closing raises the generation, so a late answer finds nothing.
 * - An open connection stands in exactly one of three lists: `young` until its handshake
 *   is over, `busy` while a query of it is unanswered, else `idle`. `young` and `idle` are
 *   ordered by last activity, but for who sent last what gets no answer (slighted): first
 *   in `idle`.
 * - While a message is handed out its buffer lives: closing is put off (dying) until
 *   the hook returns.
 * - Activity is an answer, or progress in writing answers. Single bytes of a message that
 *   never ends are none, nor are messages that get no answer, nor is what a codec says of
 *   its own: who sends PINGs is idle. */
#pragma once

#include "base/hash.h"
#include "net/frame.h"
#include "net/outbox.h"
#include "net/proxy.h"
#include "net/stream.h"

enum { STREAM_BUCKETS = 256 };

/* What is counted for each kind, in its own counter. */
enum tally {
	TALLY_ACCEPTED,
	TALLY_CLIENTS, /* several servers share it */
	TALLY_SHED,
	TALLY_TIMEOUTS,
	TALLY_SLOW_READERS,
	TALLY_COUNT
};

struct conn_list {
	struct conn *first, *last;
	unsigned count;
};

struct conn {
	struct stream_server *server;
	uint32_t generation;
	bool open;
	bool delivering;
	bool dying; /* to be closed when the hook returns */

	/* before the first message */
	bool handshaking;
	bool believed;              /* the sender may name its client */
	struct proxy_reader *proxy; /* a PROXY header may come */
	bool inside;  /* none came in front of TLS: the first thing in it */
	bool proxied; /* `from` and `to` are of one */

	int fd;
	struct watch watch;
	struct timer timer;
	struct addr from, to;
	struct stream_layer *layer;
	struct stream_codec *codec; /* NULL: two-byte framing */

	/* reading */
	int read_wants; /* LAYER_WANT_* */
	struct frame in;
	bool read_closed; /* the client has sent all it will */
	bool stalled;     /* reading stopped at a limit: go on when answers have left */
	unsigned share;   /* messages that may still be handed out this time */
	unsigned pending; /* unanswered queries */
	bool asked;       /* something, some time */

	/* writing */
	int write_wants;
	struct outbox out;
	size_t counted; /* of server->unsent */
	bool telling;   /* of an answer something is unsent */
	bool dirty;
	bool left; /* the goodbye is said */

	int64_t active_us;
	bool slighted;
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
	uint64_t accepted;

	struct conn *conns; /* conf.max_clients of them */
	unsigned count;
	struct conn *free;
	struct conn_list young, idle, busy;
	struct conn *buckets[STREAM_BUCKETS]; /* by address */
	struct hash_key key;                  /* strangers choose the addresses */

	struct quota handshakes; /* where conf has no other */

	size_t unsent; /* bytes of answers of all, as each conn counted them last */
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

/* --- stream.c --- */

void tally_add(struct stream_server *s, enum tally what, int n);

/* --- stream_accept.c --- */

/* 0 or -errno, and `fd` stays the caller's. */
int server_listen(struct stream_server *s, int fd);
/* One connection. False: nobody waits, or none can be taken now. */
bool server_accept(struct stream_server *s);
void server_stop_listening(struct stream_server *s);

/* --- stream_room.c --- */

/* For one more of this client, who may have too many. */
bool client_make_room(struct stream_server *s, const struct addr *from);
/* For one more of whomever. */
bool server_make_room(
	struct stream_server *s, const struct addr *from, enum stream_trust trust);
/* Close the longest idle client, of this address if given. False: nobody is idle. */
bool server_evict(struct stream_server *s, const struct addr *from);
/* It is one of c->from's, in its list, from now on; until room_leave(). */
void room_enter(struct conn *c);
void room_leave(struct conn *c);
/* It is the connection of this client instead. */
void room_rename(struct conn *c, const struct addr *from);
/* It did something: it is the youngest of its list. */
void conn_touch(struct conn *c);
/* A message of it is handed out: nobody closes it, for as long as c->pending says so. */
void conn_make_busy(struct conn *c);
/* It sent what gets no answer: if nothing else is under way, it is the next to make room. */
void conn_slight(struct conn *c);

/* --- stream_conn.c --- */

/* False: `fd` stays the caller's. */
bool conn_open(struct stream_server *s, int fd, const struct addr *from,
	const struct addr *to);
void conn_close(struct conn *c);
struct stream_id conn_id(const struct conn *c, uint32_t request);
/* NULL: gone. */
struct conn *conn_find(struct stream_server *s, struct stream_id id);
/* When it has stood still for so long, it goes. */
void conn_timer_set(struct conn *c);
/* Closed when all is said, else waiting for the right things. */
void conn_settle(struct conn *c);

/* --- stream_begin.c --- */

/* True: messages may flow. False: not yet, or c is closed. */
bool conn_begin(struct conn *c);
/* From the beginning of what TLS brings. LAYER_DONE: messages may flow; LAYER_WANT_READ: it is not
 * complete; LAYER_BROKEN: c is closed. */
int conn_take_inside(struct conn *c);
/* A PROXY header came that is not taken. */
void conn_refuse_header(struct conn *c, bool malformed);
/* codec_owner.stray_header. */
void conn_stray_header(void *ctx);

/* --- stream_read.c --- */

/* There is room for one more message. */
bool conn_may_take(const struct conn *c);
/* And more bytes are wanted. */
bool conn_may_read(const struct conn *c);
/* Bytes may come, or whole messages wait since a limit was reached. */
bool conn_may_go_on(const struct conn *c);
/* The layer holds bytes that epoll does not know of. */
bool conn_buffered(const struct conn *c);
/* False: c is closed. */
bool conn_read(struct conn *c);
/* Bytes that were read by somebody else. False: c is closed. */
bool conn_feed(struct conn *c, const uint8_t *data, size_t len);
/* codec_owner.message. */
void conn_message(void *ctx, uint32_t request, const uint8_t *msg, size_t len);
/* A fresh share of messages: others have had their turn. */
void conn_share_anew(struct conn *c);

/* --- stream_write.c --- */

/* Unsent bytes, and what the client does not let the codec send; reading goes on all the
 * same with those, for that it may send is told by the client. */
size_t conn_owed(const struct conn *c);
/* False: c is closed. */
bool conn_write(struct conn *c);
/* One answer is ready, or there will be none; it leaves at the end of the turn. False: c is closed. */
bool conn_answer(struct conn *c, uint32_t request, const uint8_t *msg, size_t len);
void conn_skip(struct conn *c, uint32_t request);
/* GOAWAY, close_notify: if there is to whom, and the socket takes them. */
void conn_last_words(struct conn *c);
void conn_write_fini(struct conn *c);
/* It has its turn in the flush. */
void conn_mark_dirty(struct conn *c);
void server_flush(void *ctx);
/* codec_owner.send, codec_owner.mark. */
bool conn_send(
	void *ctx, const void *head, size_t head_len, const void *data, size_t len);
void conn_mark(void *ctx);

/* --- stream_drain.c --- */

/* So long it may stand still. */
int64_t drain_due_us(const struct conn *c);
/* All is said for now: it may go, or soon. True: it has left, or is closed. */
bool drain_settled(struct conn *c);
/* Our goodbye; closed when the client has said its own. False: it cannot be said. */
bool drain_leave(struct conn *c);
/* Something came after it. */
void drain_linger(struct conn *c);
/* The last one may have gone. */
void drain_look(struct stream_server *s);
