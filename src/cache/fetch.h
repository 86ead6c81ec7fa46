/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/fetch.h - upstream fetches in flight: equal ones are joined.
 *
 * The key names the upstream fetch (domain, zone cut, name, type). Who comes first owns
 * it, under a lease with a deadline; others wait. The owner publishes what it accepted;
 * waiters get those bytes. When the owner gives up or its lease runs out, the longest
 * waiting one takes over. Local failures are never shared; each waiter goes on with its
 * own budget. The result is kept a second for late comers, even at TTL 0. The table
 * joins within the process, and by fetch_share with all instances of the host: then
 * wakes also come from fetch_tick, and the keys must be equal on all of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"

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
/* Join with the other instances of this run folder. False: no memory. */
bool fetch_share(struct fetch_table *t, const char *run_folder, struct random *rnd);

enum fetch_role fetch_join(struct fetch_table *t, const struct fetch_key *key,
	const struct now *now, int64_t lease_us, void *waiter, struct fetch **out,
	const uint8_t **pkt, size_t *len);
void fetch_publish(struct fetch_table *t, struct fetch *own, const struct now *now,
	const uint8_t *pkt, size_t len);
void fetch_abandon(struct fetch_table *t, struct fetch *own, const struct now *now);
/* Before the owner asks again: is the lease still its own? No: it stalled and another
 * took over; abandon and join anew. Yes: it begins anew. */
bool fetch_owns(struct fetch_table *t, struct fetch *own, const struct now *now);
void fetch_leave(struct fetch_table *t, struct fetch *waiting);
/* Wakes are delivered from here and from fetch_publish/abandon, never from fetch_join.
 * Call every 50 ms or so: it also renews our leases, which last 300 ms. */
void fetch_tick(struct fetch_table *t, const struct now *now);
/* Readable when another instance moved on what we wait for: then call fetch_moved. -1:
 * there is none. It may change: after fetch_check. */
int fetch_fd(const struct fetch_table *t);
void fetch_moved(struct fetch_table *t, const struct now *now);
/* Once a second: the host's table may have been cut or removed. */
void fetch_check(struct fetch_table *t);

struct fetch_numbers {
	uint64_t host_joined; /* joins with what another instance asks */
	uint64_t taken_over;  /* from an instance that died or stalled */
	uint64_t damaged;
	bool shared;
};
struct fetch_numbers fetch_numbers(const struct fetch_table *t);
