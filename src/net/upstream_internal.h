/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/upstream_internal.h - what the ways of asking servers share: the ask itself. */
#pragma once

#include "net/frame.h"
#include "net/upstream.h"

struct conn;
struct port;
struct ports;

enum ask_state { ASK_FREE, ASK_OPEN, ASK_OVER };

struct ask {
	struct upstream *upstream;
	enum ask_state state;
	uint32_t generation; /* raised when it ends: a callback may end it and start
				another in its place */
	struct timer timer;
	struct addr server;
	enum ask_event at_timer; /* what the timer's end means */
	ask_fn *fn;
	void *ctx;
	struct conn *conn; /* TCP */
	struct port *port; /* UDP, with what follows */
	struct late_mark mark;
	int64_t sent_us; /* TLS too */
	bool clean;      /* sent once, and nothing has come */
	bool answered; /* what came, and is handed out, is the first and only thing: the
			    answer; TLS: something came */
	struct ask *next_free;

	/* TLS: it waits in the line's queue, or is under way on one of its connections */
	struct upstream_line *line;
	struct line_conn *on; /* NULL: in the queue */
	struct ask *prev, *next;
	uint8_t *
		msg; /* the question, to be sent again where a connection ends under it */
	uint16_t len;
	uint16_t id; /* under which it is sent */
	uint8_t sends;
	bool over_soon; /* in the queue: sent too often, ends as closed */
};

struct upstream {
	struct loop *loop;
	struct upstream_conf conf;
	struct random *rnd;
	struct counters *counters;
	struct late *late;
	struct ports *ports;
	struct ask_chunk *chunks;
	struct ask *free;
	size_t in_flight;
	struct conn *idle_first, *idle_last;
	unsigned idle_count;
	struct upstream_line *lines;
	struct quota handshakes; /* of all lines */
	uint8_t scratch[FRAME_MAX];
};

/* The last event of an ask. */
void ask_finish(struct ask *a, enum ask_event what);
/* False: the ask ended in the callback. */
bool ask_deliver(struct ask *a, const uint8_t *msg, size_t len);

/* A socket for this server, not yet connected: descriptor or -errno. */
int upstream_socket(struct upstream *u, const struct addr *server, int type);
/* 0 or -errno. */
int upstream_connect(int fd, const struct addr *server);

/* --- line.c --- */
struct upstream *line_upstream(const struct upstream_line *l);
const struct addr *line_server(const struct upstream_line *l);
/* The question is copied and leaves at the end of the turn, or when a connection is there.
 * False: out of memory. */
bool line_ask_begin(
	struct upstream_line *l, struct ask *a, const uint8_t *msg, size_t len);
/* Nothing is kept for it any more. */
void line_ask_end(struct ask *a);
/* It timed out; line_ask_end() follows. */
void line_ask_late(struct ask *a);
void line_free(struct upstream_line *l);
