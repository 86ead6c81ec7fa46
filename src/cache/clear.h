/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/clear.h - is an entry cleared? A private index over the shared clear lines. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/entry.h"
#include "cache/shared.h"

enum { CLEAR_TABLE = 2 * LIMIT_CLEAR_LINES };

/* Made anew when the generation has moved: then a look-up costs a probe for each name
 * above at which something was cleared, not a walk over the lines. */
struct clear_index {
	uint64_t generation; /* lines up to this one are in it; 0: none */
	uint64_t floor;      /* entries older than this are cleared */
	unsigned count;
	struct shared_clear line[LIMIT_CLEAR_LINES];
	uint16_t table[CLEAR_TABLE]; /* by name: line number + 1, 0 free */
	uint64_t exact[2];           /* label counts (bits) at which lines are */
	uint64_t subtree[2];
};

/* The generation now, the index following it. */
uint64_t clear_follow(struct clear_index *x, struct shared *s);
/* After clear_follow. `generation` and the names are the entry's; deps hold whole
 * names. */
bool clear_hits(
	const struct clear_index *x, const struct shared *s, const union entry *e);
/* Both return the line's generation. */
uint64_t clear_name(struct shared *s, const uint8_t *name, bool subtree, uint16_t type);
uint64_t clear_all(struct shared *s);

/* An index by hand, of lines that stand elsewhere; `name` NULL: everything. What does not
 * fit any more counts as everything. */
void clear_begin(struct clear_index *x);
void clear_add(struct clear_index *x, const struct shared *s, const uint8_t *name,
	bool subtree, uint16_t type, uint64_t generation);
