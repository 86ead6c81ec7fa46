/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/arena.h - memory that is given back all at once.
 *
 * A whole answer is built without testing each allocation: the first one that
 * does not fit turns the arena `overflowed`, and that is tested once at the end.
 * An overflowed arena goes on to return NULL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

/* `limit` bytes in all at most (it stops one query from growing the process). NULL when out of memory. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *a);
/* Forget everything, keep the first chunk for reuse. */
void arena_reset(struct arena *a);
/* Zeroed, aligned to 16. NULL when over the limit or out of memory. len 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t len);
void *arena_dup(struct arena *a, const void *data, size_t len);
char *arena_strdup(struct arena *a, const char *text);
bool arena_overflowed(const struct arena *a);
size_t arena_used(const struct arena *a);
