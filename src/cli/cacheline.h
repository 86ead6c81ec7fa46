/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/cacheline.h - an RRset of the cache as a line of text, for export and import.
 *
 * Fields between tabs: owner, when it expires (Unix time), IN, type, rank (glue .. answer),
 * domain (16 hex digits), how many records, the records, then their signatures, all in
 * presentation form.
 *
 * What is more than one set (a denial, a zone cut, a wildcard's set with its proof) begins
 * with a head: @rrset, @nodata, @nxdomain or @cut, owner, when it expires, type (- for
 * NXDOMAIN), rank, domain, how many sets; then its sets, each with +answer, +authority or
 * +additional before it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "wire/msg.h"
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

struct cacheline_head {
	uint8_t kind; /* enum cache_kind */
	uint8_t rank;
	uint16_t type;
	unsigned items; /* at most BUNDLE_MAX */
	int64_t expire_s;
	uint64_t domain;
	uint8_t name[NAME_MAX_LEN];
};

const char *cacheline_rank_name(uint8_t rank);
/* NULL: none that is exported. */
const char *cacheline_kind_name(uint8_t kind);
const char *cacheline_section_name(enum msg_section section);
/* "+SECTION", tab: *line is what is behind it. */
bool cacheline_section_read(char **line, enum msg_section *out);
/* As the functions below. */
char *cacheline_head_write(const struct cacheline_head *h);
const char *cacheline_head_read(char *line, int64_t now_s, struct cacheline_head *out);
/* Malloc'ed, without newline; NULL: no memory, or a record too long to be a line. */
char *cacheline_write(
	const struct rrset *rr, int64_t expire_s, uint64_t domain, uint8_t rank);
/* `line` (cut up meanwhile) into `out`. NULL, or what is wrong with it. */
const char *cacheline_read(char *line, int64_t now_s, struct cacheline *out);
