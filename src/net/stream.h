/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream.h - serve DNS over connections: two-byte framing, pipelining out of order (RFC 7766), limits, timeouts.
 *
 * The framing reads from and writes to a byte layer (struct stream_layer): plain TCP or TLS. A codec
 * (struct stream_codec) can take the framing's place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counters.h"
#include "loop/loop.h"
#include "net/codec.h"
#include "net/layer.h"

struct stream_server;

/* A connection outlives neither its socket nor its server: an id that was closed is
 * simply not found, so answers may come late. */
struct stream_id {
	uint64_t conn;    /* never 0 */
	uint32_t request; /* of the connection, where a codec tells them apart */
};

enum stream_kind { STREAM_TCP, STREAM_TLS, STREAM_HTTPS };

/* Who counts the connections of clients beyond this server: those of the whole host. */
struct stream_census {
	void (*count)(
		void *ctx, enum stream_kind kind, const struct addr *from, int change);
	unsigned (*of)(void *ctx, enum stream_kind kind, const struct addr *from);
	unsigned (*all)(void *ctx, enum stream_kind kind);
	void *ctx;
};

struct stream_conf {
	enum stream_kind kind; /* which counters */
	unsigned
		max_clients; /* LIMIT_TCP_CLIENTS; the longest idle one is closed to make room */
	unsigned max_clients_per_address; /* LIMIT_TCP_CLIENTS_PER_ADDRESS */
	/* The two limits hold for all that it counts; NULL: for this server alone. */
	const struct stream_census *census;
	unsigned
		pipeline; /* unanswered queries of a connection before it is read no further */
	int64_t idle_ms; /* net.tcp_in_idle; also to complete one message, to read one answer */
	int64_t handshake_ms; /* net.tls_handshake_timeout; 0: idle_ms */
	/* LIMIT_TLS_HANDSHAKES_A_TURN for all that share it; NULL: for this server alone. */
	struct quota *handshakes;
	const char *fields; /* codec_owner.fields */
	/* The bytes of an accepted socket; NULL: layer_plain_new. */
	struct stream_layer *(*layer_new)(void *ctx, int fd);
	void *layer_ctx;
	/* What stands in its bytes; NULL: messages behind their length. */
	struct stream_codec *(*codec_new)(const struct codec_owner *owner);
};

/* What a PROXY header from there counts for. */
enum stream_trust {
	STREAM_UNASKED, /* not looked for */
	STREAM_REFUSE,  /* closed: anybody could say so */
	STREAM_BELIEVE, /* who it names is the client; there may be none */
};

struct stream_hooks {
	/* One message, framing taken off. len 0..65535. Not from in here: stream_server_free(), a nested loop_turn(). */
	void (*query)(void *ctx, struct stream_server *s, struct stream_id id,
		const struct addr *from, const struct addr *to, const uint8_t *data,
		size_t len);
	/* Does this connection's sender say by a PROXY header (net/proxy.h), before TLS or as the
	 * first thing in it, who the client is? From then on that is `from`. NULL: nobody's header is taken. */
	enum stream_trust (*trust)(void *ctx, const struct addr *peer);
	/* A PROXY header of this peer was not taken, and the connection ends: it may send none,
	 * or what it sent is none (malformed). Counted already; may be NULL. */
	void (*refused)(void *ctx, const struct addr *peer, bool malformed);
	/* May be NULL. Not from in here either: stream_server_free(). */
	void (*closed)(void *ctx, struct stream_id id);
	void *ctx;
};

/* `fd` listens, non-blocking, owned from here on; -1: only stream_server_adopt(). NULL with errno (fd stays
 * the caller's). Out of descriptors: the longest idle client is closed, accepting pauses for 100 ms. */
struct stream_server *stream_server_new(struct loop *l, int fd,
	const struct stream_conf *conf, const struct stream_hooks *hooks,
	struct counters *counters);
/* One answer; ready answers of one turn leave in one write. False: the connection is gone. */
bool stream_reply(
	struct stream_server *s, struct stream_id id, const uint8_t *data, size_t len);
/* A PROXY header named the client. */
bool stream_is_proxied(struct stream_server *s, struct stream_id id);
/* Within hooks.query: what a codec tells of this request (codec_ops.fields), or NULL. */
const char *stream_fields(struct stream_server *s, struct stream_id id, size_t *len);
/* There is no answer: it was no query, or is dropped on purpose. Such a message keeps no
 * connection open: whoever sends nothing else is idle. */
void stream_skip(struct stream_server *s, struct stream_id id);
/* What came is no DNS: close without another word. */
void stream_close(struct stream_server *s, struct stream_id id);
/* A connected, non-blocking socket from elsewhere; owned from here on, closed when there is no room. False then. */
bool stream_server_adopt(struct stream_server *s, int fd, const struct addr *from,
	const struct addr *to);
/* Takes what waits in the accept queue, then no new connections; those there are answered and leave: once idle
 * for half a second, from one second on in a pause of some milliseconds after their answers, from two on right
 * after an answer. Their ends are waited for (half a second each); fn when none is left. */
void stream_server_drain(struct stream_server *s, void (*fn)(void *ctx), void *ctx);
void stream_server_free(struct stream_server *s);
/* conf.census forgot what it was told: all connections anew. */
void stream_server_count_again(const struct stream_server *s);
int stream_server_fd(const struct stream_server *s); /* -1 when draining */
uint64_t stream_server_accepted(
	const struct stream_server *s); /* connections, those shed at once too */
unsigned stream_server_clients(const struct stream_server *s);
