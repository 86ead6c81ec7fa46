/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/snapshot.h - the cache on disk, for the time after a reboot.
 *
 * One instance at a time writes <folder>/cache-v<layout>.snapshot, in a child of its own,
 * at most every ten minutes and when the last one stops; whoever makes a new segment has
 * a child fill it from there. What was cleared since stands in a list beside it
 * (cache/cleared.h) and does not come back. Secrets are not in it: entries are indexed
 * anew under the new segment's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/cache.h"

enum {
	SNAPSHOT_EVERY_S = 600,
	SNAPSHOT_FIRST_S = 10,      /* after our start */
	SNAPSHOT_STEP = 256 * 1024, /* bytes of the file read in one step */
	SNAPSHOT_FOLDER = 256,
};

struct snapshot;

/* `folder` as in cache.storage. NULL: no memory. A folder that cannot be made is a
 * warning, and nothing is kept. */
struct snapshot *snapshot_open(
	struct cache *c, const char *folder, const struct now *now);
/* Ends a writer of ours, not one that restores. */
void snapshot_close(struct snapshot *s);
/* Once a second: begins what is due, in a child (filling a segment that was just made,
 * then a snapshot when it is time), and says how it ended. */
void snapshot_tick(struct snapshot *s, const struct now *now);
/* This instance will stop, and may serve until then: begins the last one if no other has the
 * cache open. */
void snapshot_stopping(struct snapshot *s, const struct now *now);
/* Until it is there, or failed. */
bool snapshot_is_written(struct snapshot *s, const struct now *now);
/* When this instance stops, unless that was done already: if no other has the cache open, a last one, in a child that
 * is waited for so long. */
void snapshot_last(struct snapshot *s, int64_t timeout_us, const struct now *now);
/* Now and here, without a child; 0 or -errno (-EAGAIN: another writes). */
int snapshot_write(struct snapshot *s, const struct now *now, uint64_t *entries);
/* The same for one step of filling the cache. False: nothing (more) to read. */
bool snapshot_restore(struct snapshot *s, const struct now *now);

struct snapshot_numbers {
	uint64_t written, restored, refused; /* entries */
	int64_t written_s;                   /* wall clock of our last one; 0: none */
	int error;                           /* of the last try, errno */
};
struct snapshot_numbers snapshot_numbers(const struct snapshot *s);

/* For cache.c: a clear concerns what is on disk, too. Looks for the folder by the link
 * that snapshot_open left beside the segment. 0 (also where there is none), 1 when all of
 * the snapshot counts as cleared from now on, or -errno.
 * `folder`: where cleared_sync is due, or empty. */
struct cleared;
int snapshot_note_clear(const char *run_folder, const struct cleared *what,
	char folder[static SNAPSHOT_FOLDER]);
