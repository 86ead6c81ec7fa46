/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/shared.h - the segment that all instances write at once: index, logs, clear
 * lines.
 *
 * All atomics of the cache are in shared.c, with the protocol written above them. What
 * comes out of here was verified on a private copy; what it means is the caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/limits.h"
#include "cache/entry.h"

/* New entries go to YOUNG once MAIN was full; what is asked again moves to MAIN. So
 * a flood of names asked once turns YOUNG over and leaves MAIN as it is. */
enum shared_region { REGION_MAIN, REGION_YOUNG, REGION_COUNT };

enum { SHARED_WAYS = 16 };

struct shared_log {
	uint8_t *base;
	uint64_t size;
	uint64_t inverse, age_scale; /* for dividing by the size */
	struct shared_line *line;    /* tail and counts, in the segment */
};

/* Only a test defines it: called at each step of the protocol, to stop or die there. */
void shared_test_point(const char *step) __attribute__((weak));

/* This process's view; geometry follows from the size alone, keys are copied at the
 * start: nothing here is read from the segment again. */
struct shared {
	struct shared_segment *seg;
	uint64_t *index;
	uint64_t buckets;
	struct shared_log log[REGION_COUNT];
	struct hash_key key;
	uint64_t seed[4];
};

struct shared_secrets {
	struct hash_key key;
	uint64_t seed[4];
};

void shared_format(void *base, size_t size, const struct shared_secrets *secrets);
/* A new segment in place of another: the same secrets, so that hashes stay what they are,
 * and a generation far above, under which no line stands yet. Entries put into it must
 * have been judged after `generation` was read there. */
void shared_format_after(void *base, size_t size, const struct shared *old,
	uint64_t generation, uint32_t epoch);
/* What was cleared in `old` after generation `from`, and its epoch: the same in its
 * successor, which nobody uses yet. */
void shared_carry(struct shared *s, const struct shared *old, uint64_t from);
/* False: its head is damaged, make a new one. */
bool shared_attach(struct shared *s, void *base, size_t size);

/* An index slot with the hash's tag, as it was read. */
struct shared_found {
	uint64_t *slot;
	uint64_t ref;
};

/* A look-up will follow. */
void shared_prefetch(const struct shared *s, uint64_t hash);
/* In the bucket's other line, too. */
void shared_prefetch_other(const struct shared *s, uint64_t hash);
/* Its head and name. */
void shared_prefetch_entry(const struct shared *s, uint64_t ref);
/* All candidates for a hash, live ones only; usually none or one. `home`: only those in
 * the bucket's line where most are. */
unsigned shared_find_home(const struct shared *s, uint64_t hash,
	struct shared_found out[static SHARED_WAYS / 2]);
unsigned shared_find(const struct shared *s, uint64_t hash,
	struct shared_found out[static SHARED_WAYS]);

enum shared_copied { COPIED, COPY_GONE, COPY_DAMAGED };
enum shared_copied shared_copy(const struct shared *s, uint64_t ref, union entry *out);

/* Only head and name, and not verified but for the position: enough to see what stands
 * there before it is replaced. */
bool shared_head(const struct shared *s, uint64_t ref, union entry *out);

/* A slot with the hash's tag whose entry was written over: most likely the key was here
 * not long ago and is asked again. */
bool shared_ghost(const struct shared *s, uint64_t hash, struct shared_found *out);

/* Has it come so many eighths of the way to being written over? Also when it was. */
bool shared_older(const struct shared *s, uint64_t ref, unsigned eighths);
enum shared_region shared_region(uint64_t ref);

/* Writes a copy of the entry (its position and check are filled in); its ref, or 0 if
 * it cannot be. `again`: it lay in this region before, which takes from the credit for
 * moving. */
uint64_t shared_append(struct shared *s, enum shared_region region, union entry *e,
	uint64_t hash, bool again);
/* Is there credit? Bytes that come into a full MAIN earn several times their length,
 * moved ones cost theirs: so a cache does not turn itself over by being read. */
bool shared_may_move(const struct shared *s);
bool shared_main_full(const struct shared *s);
/* What the next `size` bytes into MAIN would be written over: the entries there one by
 * one, head and name, not verified. Start with *from = 0. */
bool shared_next_victim(
	const struct shared *s, size_t size, uint64_t *from, union entry *out);
/* All of such a one, verified; false: damaged, or written over. */
bool shared_victim(const struct shared *s, union entry *e);
/* Is this verified copy from MAIN still what the index names for the hash? */
bool shared_named(const struct shared *s, uint64_t hash, const union entry *e,
	struct shared_found *out);
/* Goes up by two with each round of MAIN's log. */
uint64_t shared_half_laps(const struct shared *s);

/* Put `ref` where `was` is: false if it is no longer (another writer was faster). */
bool shared_replace(const struct shared_found *was, uint64_t ref);
/* Put it in an empty, a dead or the oldest slot of the hash's bucket. NULL slot: gave
 * up. */
struct shared_found shared_insert(struct shared *s, uint64_t hash, uint64_t ref);

/* Slots one by one, for walks: 0 if the slot is empty or dead. */
uint64_t shared_slots(const struct shared *s);
uint64_t shared_slot_ref(const struct shared *s, uint64_t i);

/* --- clearing ---------------------------------------------------- */

/* The same for a segment and its successors of other sizes. */
uint64_t shared_lineage(const struct shared *s);

enum { LINE_SUBTREE = 1, LINE_ALL = 2, LINE_ABOVE = 4 };

struct shared_clear {
	uint64_t generation;
	uint64_t name;              /* keyed hash of the lower-case name */
	uint16_t above[LINE_ABOVE]; /* hashes of the names above it, of 1 label, 2 ..: a
				       denial there counts too */
	uint16_t type;              /* 0: all */
	uint8_t labels;
	uint8_t flags; /* LINE_* */
};

/* 0: the word is damaged (call shared_generation_repair). */
uint64_t shared_generation(const struct shared *s);
uint64_t shared_generation_repair(struct shared *s, uint64_t at_least);
/* Visible to everyone before it returns. Its generation. */
uint64_t shared_clear_publish(struct shared *s, struct shared_clear line);
/* The line of a generation; false: it is unknown (overwritten, never written, damaged),
 * and then everything older must count as cleared. */
bool shared_clear_line(
	const struct shared *s, uint64_t generation, struct shared_clear *out);

/* 0: damaged. */
uint32_t shared_epoch(const struct shared *s);
uint32_t shared_epoch_raise(struct shared *s, uint32_t at_least);

struct shared_counts {
	uint64_t entries, bytes, inserts, evictions, clears;
};
/* `entries` is extrapolated from a sample where the index is large. */
void shared_count(const struct shared *s, struct shared_counts *out);
