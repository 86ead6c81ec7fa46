/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/resolve.h - the resolutions under way: equal questions share one.
 *
 * Carries the wishes of iter out: joins upstream fetches, asks servers, waits, and
 * calls iter again. One resolution's step never runs inside another's: what other
 * resolutions are told goes through a queue that is drained in a turn of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iter/iter.h"
#include "loop/loop.h"
#include "net/stream.h"
#include "net/udp.h"
#include "net/upstream.h"
#include "wire/query.h"
#include "worker/transport.h"

struct resolve;
struct waiter;

/* Who asked, over which transport: as much as an answer needs to find its way. */
struct client {
	struct udp_server *udp; /* over UDP, else NULL */
	struct udp_peer peer;   /* where an answer over UDP goes */
	struct addr from, to; /* the client, and what it asked, as a proxy tells them */
	bool proxied;
	struct stream_server *stream;
	struct stream_id stream_id;
	enum transport transport;
	int64_t arrived_us;
};

/* Where to put an answer that is ready before resolve_ask() returns. */
struct reply_slot {
	uint8_t *out;
	size_t cap;
	size_t len;
	bool vouched; /* server_query: the sender is no forgery, and not over its rate */
};

struct resolve_result {
	const struct iter_answer *answer; /* lives during the call */
	uint64_t generation;              /* for what is kept of it */
	uint32_t epoch;
	uint64_t domain;
	uint16_t type, rclass;
};

struct waiter {
	struct waiter *next;
	struct client client;
	struct query q;          /* q.name leads to `name` */
	struct reply_slot *slot; /* NULL once the asker's call is over */
	/* an internal query: called instead of the answer hook; then the rest is unused
	 */
	void (*done)(void *ctx, const struct resolve_result *result);
	void *ctx;
	uint8_t name[NAME_MAX_LEN];
};

struct resolve_env {
	struct loop *loop;
	struct iter_env iter;
	struct counters *counters;
	struct random *random;
	/* RFC 8767: expired data is the answer when fresh is not there after so long, or
	 * fails */
	bool serve_stale;
	int64_t stale_after_us;
	const char *run_folder; /* NULL: no fetches are shared with other instances */
	/* upstream_ask() and upstream_cancel(), or a test's own */
	struct ask *(*ask)(
		void *ctx, const struct iter_ask *what, ask_fn *fn, void *fn_ctx);
	void (*cancel)(void *ctx, struct ask *a);
	void *ask_ctx;
	/* A client's resolution has ended. */
	void (*answer)(
		void *ctx, struct waiter *w, const struct resolve_result *result);
	void *ctx;
};

struct resolve_query {
	struct iter_query iter;
	bool cache_only; /* RD=0: what is not in the cache is not looked for */
};

enum resolve_outcome {
	RESOLVE_DONE,  /* the answer hook was called */
	RESOLVE_LATER, /* it will be */
	RESOLVE_BUSY,  /* a limit: nothing was begun */
};

/* NULL when out of memory. */
struct resolve *resolve_new(const struct resolve_env *env);
void resolve_free(struct resolve *r);
/* `w` (with q.name leading to its own name) is copied if it must wait; its slot is used
 * only during this call. */
enum resolve_outcome resolve_ask(
	struct resolve *r, const struct resolve_query *q, struct waiter *w);
/* Once a second: what is shared with the other instances may have been cut or removed.
 */
void resolve_check(struct resolve *r);
/* SERVFAIL with this extended error to everyone who waits. */
void resolve_give_up(struct resolve *r, int ede, const char *text);
/* For what begins from now on; held by what goes on. */
void resolve_set_anchors(struct resolve *r, struct anchor_set *set);
size_t resolve_in_flight(const struct resolve *r);
/* Clients that wait; internal queries are not counted. */
size_t resolve_waiting(const struct resolve *r);
