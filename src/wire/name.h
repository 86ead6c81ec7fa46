/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/name.h - domain names in uncompressed wire form: RFC 1035 section 3.1.
 *
 * A `const uint8_t *name` is a valid uncompressed name of 1..255 bytes, unless it says
 * "any bytes". Case is kept; comparing ignores ASCII case (RFC 4343). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/cursor.h"

enum {
	NAME_MAX_LEN = 255,
	NAME_TEXT_MAX = 1024, /* 4 characters a byte at worst, a dot a label, NUL */
	NAME_LABELS_MAX = 127,
};

/* Length of the uncompressed name in any bytes, with its root label; 0 if malformed,
 * compressed or longer than `left`. */
size_t name_check(const uint8_t *bytes, size_t left);
/* Read a perhaps compressed name at the cursor (which must walk inside pkt[0..pkt_len)) into
 * `out`. Pointers must go backwards, so there are no loops. Returns its length; 0 and a bad
 * cursor if malformed. */
size_t name_read(
	struct cursor *c, const uint8_t *pkt, uint8_t out[static NAME_MAX_LEN]);
/* The same without the copy: is it well-formed? Its uncompressed length or 0. */
size_t name_verify(struct cursor *c, const uint8_t *pkt);
/* Step over it, no pointer is followed: what it points to may still be malformed. */
bool name_skip(struct cursor *c);

size_t name_len(const uint8_t *name);      /* with the root label */
unsigned name_labels(const uint8_t *name); /* without the root label: 0 for "." */
bool name_is_root(const uint8_t *name);
bool name_equal(const uint8_t *a, const uint8_t *b);
bool name_equal_case(const uint8_t *a, const uint8_t *b); /* byte by byte */
/* At or below `zone`. Everything is within the root. */
bool name_within(const uint8_t *name, const uint8_t *zone);
const uint8_t *name_parent(const uint8_t *name); /* of the root: the root */
/* Without its first `labels` labels. */
const uint8_t *name_strip(const uint8_t *name, unsigned labels);
/* How many labels both share at the end, without the root. */
unsigned name_common_labels(const uint8_t *a, const uint8_t *b);
size_t name_copy(uint8_t *to, const uint8_t *from); /* returns the length */
void name_lower(uint8_t *name);
size_t name_copy_lower(uint8_t *to, const uint8_t *from);
/* Canonical order: RFC 4034 section 6.1. <0, 0, >0. */
int name_order(const uint8_t *a, const uint8_t *b);
bool name_is_wildcard(const uint8_t *name); /* first label "*" */
/* *.ENCLOSER, where the encloser is the last `labels` labels of `name`, fewer than it has:
 * so that it fits. */
void name_make_wildcard(
	uint8_t out[static NAME_MAX_LEN], const uint8_t *name, unsigned labels);
/* prefix.owner -> prefix.target (DNAME, RFC 6672). Returns the length, 0 if over 255 bytes or not below owner. */
size_t name_replace_suffix(uint8_t out[static NAME_MAX_LEN], const uint8_t *name,
	const uint8_t *owner, const uint8_t *target);

/* Text with escapes (\. \DDD); a final dot is optional. Returns the length, 0 if malformed. */
size_t name_from_text(uint8_t out[static NAME_MAX_LEN], const char *text);
/* With a final dot. Returns `buf`. */
char *name_to_text(const uint8_t *name, char buf[static NAME_TEXT_MAX]);
