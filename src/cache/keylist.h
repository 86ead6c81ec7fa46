/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/keylist.h - sorted byte strings in few bytes, each with a time: what a denial page
 * holds. Each is written as what differs from the one before:
 *
 *   shared 1 | rest 1 | end 4 | `rest` bytes
 *
 * The bytes come from shared memory: any content is read safely. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KEYLIST_KEY_MAX = 255,
	KEYLIST_BYTES_MAX = 960,
	KEYLIST_ITEM = 6, /* bytes besides the key's own */
	KEYLIST_ITEMS_MAX = KEYLIST_BYTES_MAX / KEYLIST_ITEM,
};

struct keylist_key {
	uint32_t end_s; /* wall clock */
	uint8_t len;
	uint8_t bytes[KEYLIST_KEY_MAX];
};

/* The greatest that is not above `key`. False: all are above, or the bytes are malformed
 * from the beginning. */
bool keylist_find(const uint8_t *list, size_t len, const uint8_t *key, size_t key_len,
	struct keylist_key *out);
/* The greatest below `key`. */
bool keylist_below(const uint8_t *list, size_t len, const uint8_t *key, size_t key_len,
	struct keylist_key *out);
bool keylist_last(const uint8_t *list, size_t len, struct keylist_key *out);

/* A list laid open, to be changed. */
struct keylist {
	unsigned count;
	struct keylist_key item[KEYLIST_ITEMS_MAX + 1];
};

/* False: malformed, or not in order; the list is empty then. */
bool keylist_read(struct keylist *l, const uint8_t *list, size_t len);
/* Items from..to-1; the bytes used, or SIZE_MAX if they do not fit. */
size_t keylist_write(
	const struct keylist *l, unsigned from, unsigned to, uint8_t *out, size_t cap);
/* Puts it in its place, or sets the time of the one that is there. False: no room. */
bool keylist_put(struct keylist *l, const uint8_t *key, size_t key_len, uint32_t end_s);
void keylist_drop(struct keylist *l, unsigned i);
unsigned keylist_drop_ended(struct keylist *l, uint32_t now_s);
/* The shortest string above `a` and not above `b`, where a < b: it tells where the second
 * begins. */
size_t keylist_between(const struct keylist_key *a, const struct keylist_key *b,
	uint8_t out[static KEYLIST_KEY_MAX]);
