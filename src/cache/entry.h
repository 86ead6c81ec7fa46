/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/entry.h - how one entry lies in the log: a head of one cache line, then bytes.
 *
 *   head 64 | name (lower case) | deps | value | zeros up to a multiple of 16
 *
 * `position` is where it was written, counted over the log's whole life, and `check` is
 * over everything else: so neither an older nor a half overwritten entry passes for
 * this one. */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"

struct entry_head {
	uint64_t position;
	uint64_t check;
	uint64_t domain;
	uint64_t generation;
	uint32_t stored_s; /* wall clock, until 2106 */
	uint32_t life_s;
	uint32_t epoch;
	uint32_t value_len;
	uint16_t type;
	uint16_t rclass;
	uint16_t deps_len;
	uint16_t rcode;
	int16_t ede;
	uint16_t user;
	uint8_t name_len;
	uint8_t kind;
	uint8_t flags;
	uint8_t trust; /* status << 4 | rank */
};

enum {
	ENTRY_UNIT = 16,
	ENTRY_NAME_MAX = 255,
	ENTRY_MAX = 64 + 16 * ((ENTRY_NAME_MAX + CACHE_VALUE_MAX + 15) / 16),
};

static_assert(sizeof(struct entry_head) == 64, "layout of the log");
static_assert(ENTRY_MAX % ENTRY_UNIT == 0, "entries fill whole units");

/* A private copy. */
union entry {
	alignas(16) struct entry_head head;
	uint64_t words[ENTRY_MAX / 8];
	uint8_t bytes[ENTRY_MAX];
};

static inline size_t entry_used(const struct entry_head *h)
{
	return sizeof(*h) + h->name_len + h->deps_len + h->value_len;
}

/* What it takes in the log. */
static inline size_t entry_size(const struct entry_head *h)
{
	return (entry_used(h) + ENTRY_UNIT - 1) / ENTRY_UNIT * ENTRY_UNIT;
}

static inline const uint8_t *entry_name(const union entry *e)
{
	return e->bytes + sizeof(e->head);
}

static inline const uint8_t *entry_deps(const union entry *e)
{
	return entry_name(e) + e->head.name_len;
}

static inline const uint8_t *entry_value(const union entry *e)
{
	return entry_deps(e) + e->head.deps_len;
}
