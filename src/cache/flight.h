/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/flight.h - the host's table of upstream fetches under way, in
 * shm/fetches-v<layout>.
 *
 * One row for each fetch: who owns it, until when its lease lasts, which instances wait
 * for it, and for a second its result. Whoever asks of a row that nobody keeps alive
 * becomes its owner. Losing a row, or finding it damaged, means one more question to a
 * server and never a wrong answer: results carry key and checksum. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "cache/fetch.h"

enum {
	FLIGHT_LAYOUT = 1,
	/* A lease, renewed by the owner's loop while it goes on asking: so a stopped
	 * owner is noticed after this, and a dead one at the next look. */
	FLIGHT_LEASE_US = 300 * 1000,
	FLIGHT_KEEP_US = 1000 * 1000, /* a result, for late comers */
};

struct flight_table;

/* A row that we own, as we left it. Zeroed: none. */
struct flight {
	uint64_t state;
	uint32_t row;
	bool held;
};

enum flight_role {
	FLIGHT_OWNED,  /* `out` is ours now */
	FLIGHT_TAKEN,  /* another instance asks; ask again when woken, or at the next
			  tick */
	FLIGHT_RESULT, /* *pkt, *len, valid until the next call */
	FLIGHT_NONE,   /* no room: go on without the table */
};

/* NULL only for lack of memory: where no file can be had, the table is ours alone. */
struct flight_table *flight_open(const char *run_folder, struct random *rnd);
void flight_close(struct flight_table *t);

/* Never waits. For those who wait it is also the look whether they still have to. */
enum flight_role flight_join(struct flight_table *t, const struct fetch_key *key,
	const struct now *now, int64_t lease_us, struct flight *out,
	const uint8_t **pkt, size_t *len);
/* False: another took over; it is not held any more. */
bool flight_renew(struct flight_table *t, struct flight *f, const struct now *now,
	int64_t lease_us);
/* The result for everyone who waits, on all instances; `f` is not held afterwards. Also
 * of one who lost the row: its answer is as good. */
void flight_publish(struct flight_table *t, struct flight *f,
	const struct fetch_key *key, const struct now *now, const uint8_t *pkt,
	size_t len);
/* Given up without a result: one of those who wait may go on. */
void flight_release(struct flight_table *t, struct flight *f);

/* Readable when something that we wait for has moved; -1: there is none, only look. */
int flight_wake_fd(const struct flight_table *t);
void flight_wake_drain(struct flight_table *t);
/* Seldom (a second): a file that was cut, replaced or removed is opened anew. */
void flight_check(struct flight_table *t);

struct flight_numbers {
	uint64_t damaged; /* results that were not what they should be */
	uint64_t taken_over;
	unsigned slot;
	bool shared;
};
struct flight_numbers flight_numbers(const struct flight_table *t);
