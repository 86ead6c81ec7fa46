/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/fetch.h - upstream fetches in flight: equal ones are joined.
 *
 * The key names the upstream fetch (domain, zone cut, name, type). Who comes first owns
 * it, under a lease with a deadline; others wait. The owner publishes what it accepted;
 * waiters get those bytes. When the owner gives up or its lease runs out, the longest
 * waiting one takes over. Local failures are never shared; each waiter goes on with its
 * own budget. The result is kept a second for late comers, even at TTL 0. This version
 * joins within one process; the interface is that of a table shared by the host. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct fetch_key {
	uint64_t h[2]; /* keyed hash of the fetch's parts */
};

enum fetch_role {
	FETCH_OWNER,  /* ask the server, then fetch_publish or fetch_abandon */
	FETCH_WAITER, /* wake() will come */
	FETCH_RESULT, /* one is there: *pkt, *len (valid until the next call) */
	FETCH_ALONE,  /* the table is full: ask without it; no handle */
};

enum fetch_wake {
	FETCH_WAKE_RESULT,    /* pkt, len */
	FETCH_WAKE_TAKE_OVER, /* you are the owner now */
};

typedef void fetch_wake_fn(
	void *ctx, void *waiter, enum fetch_wake what, const uint8_t *pkt, size_t len);

struct fetch_table;
struct fetch; /* one joiner's handle: gone after result, publish, abandon or leave */

struct fetch_table *fetch_table_new(size_t max, fetch_wake_fn *wake, void *ctx);
void fetch_table_free(struct fetch_table *t);

enum fetch_role fetch_join(struct fetch_table *t, const struct fetch_key *key,
	const struct now *now, int64_t lease_us, void *waiter, struct fetch **out,
	const uint8_t **pkt, size_t *len);
void fetch_publish(struct fetch_table *t, struct fetch *own, const struct now *now,
	const uint8_t *pkt, size_t len);
void fetch_abandon(struct fetch_table *t, struct fetch *own, const struct now *now);
void fetch_leave(struct fetch_table *t, struct fetch *waiting);
/* Wakes are delivered from here and from fetch_publish/abandon, never from fetch_join.
 * Call every 50 ms or so. */
void fetch_tick(struct fetch_table *t, const struct now *now);
