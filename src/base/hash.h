/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/hash.h - SipHash-1-3 and 2-4 (keyed: strangers choose the input), CRC-free checksums. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k0, k1;
};

uint64_t hash_sip13(
	const struct hash_key *key, const void *data, size_t len); /* tables */
/* Over whole words, as one that told its length by itself: no block for the length. */
uint64_t hash_sip13_words(
	const struct hash_key *key, const uint64_t *words, size_t count);
uint64_t hash_sip24(
	const struct hash_key *key, const void *data, size_t len); /* as published */
/* Streaming form of SipHash-1-3: the same value as over the joined bytes. */
struct hash_state {
	uint64_t v[4];
	uint64_t tail;
	size_t len;
};
void hash_begin(struct hash_state *s, const struct hash_key *key);
void hash_add(struct hash_state *s, const void *data, size_t len);
uint64_t hash_end(struct hash_state *s);
