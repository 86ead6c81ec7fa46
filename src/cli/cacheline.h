/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/cacheline.h - an RRset of the cache as a line of text, for export and import.
 *
 * Fields between tabs: owner, when it expires (Unix time), IN, type, rank (glue .. answer),
 * domain (16 hex digits), how many records, the records, then their signatures, all in
 * presentation form. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "wire/name.h"
#include "wire/rrset.h"

enum {
	CACHELINE_MAX = 1024 * 1024,      /* a longer line is refused */
	CACHELINE_LIFE_MAX_S = 7 * 86400, /* nothing imported lives longer */
};

struct cacheline {
	struct rrset rr; /* ttl: seconds left */
	int64_t expire_s;
	uint64_t domain;
	uint8_t rank;
	uint8_t name[NAME_MAX_LEN];
	uint8_t data[CACHE_VALUE_MAX];
};

const char *cacheline_rank_name(uint8_t rank);
/* Malloc'ed, without newline; NULL: no memory, or a record too long to be a line. */
char *cacheline_write(
	const struct rrset *rr, int64_t expire_s, uint64_t domain, uint8_t rank);
/* `line` (cut up meanwhile) into `out`. NULL, or what is wrong with it. */
const char *cacheline_read(char *line, int64_t now_s, struct cacheline *out);
