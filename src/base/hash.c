/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/hash.c - SipHash: Aumasson and Bernstein, "SipHash: a fast short-input PRF". */
#include "base/hash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t rotl(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_rounds(uint64_t v[4], unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] = rotl(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] = rotl(v[2], 32);
	}
}

static inline void sip_begin(uint64_t v[4], const struct hash_key *key)
{
	v[0] = key->k0 ^ 0x736f6d6570736575;
	v[1] = key->k1 ^ 0x646f72616e646f6d;
	v[2] = key->k0 ^ 0x6c7967656e657261;
	v[3] = key->k1 ^ 0x7465646279746573;
}

static inline void sip_word(uint64_t v[4], uint64_t word, unsigned rounds)
{
	v[3] ^= word;
	sip_rounds(v, rounds);
	v[0] ^= word;
}

/* `tail` holds len % 8 bytes. */
static inline uint64_t sip_end(
	uint64_t v[4], uint64_t tail, size_t len, unsigned rounds, unsigned last_rounds)
{
	sip_word(v, tail | (uint64_t)len << 56, rounds);
	v[2] ^= 0xff;
	sip_rounds(v, last_rounds);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

static inline uint64_t load_tail(const uint8_t *p, size_t len)
{
	uint64_t word = 0;
	for (size_t i = 0; i < len; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

static inline uint64_t sip(const struct hash_key *key, const void *data, size_t len,
	unsigned rounds, unsigned last_rounds)
{
	const uint8_t *p = data;
	uint64_t v[4];
	sip_begin(v, key);
	for (size_t words = len / 8; words; words--, p += 8)
		sip_word(v, load64(p), rounds);
	return sip_end(v, load_tail(p, len % 8), len, rounds, last_rounds);
}

uint64_t hash_sip13(const struct hash_key *key, const void *data, size_t len)
{
	return sip(key, data, len, 1, 3);
}

uint64_t hash_sip13_words(
	const struct hash_key *key, const uint64_t *words, size_t count)
{
	uint64_t v[4];
	sip_begin(v, key);
	for (size_t i = 0; i < count; i++)
		sip_word(v, words[i], 1);
	v[2] ^= 0xff;
	sip_rounds(v, 3);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_sip24(const struct hash_key *key, const void *data, size_t len)
{
	return sip(key, data, len, 2, 4);
}

void hash_begin(struct hash_state *s, const struct hash_key *key)
{
	sip_begin(s->v, key);
	s->tail = 0;
	s->len = 0;
}

void hash_add(struct hash_state *s, const void *data, size_t len)
{
	const uint8_t *p = data;
	/* fill the word begun before, byte by byte */
	for (; len && s->len % 8; p++, len--) {
		s->tail |= (uint64_t)*p << (8 * (s->len % 8));
		if (++s->len % 8 == 0) {
			sip_word(s->v, s->tail, 1);
			s->tail = 0;
		}
	}
	if (!len)
		return;
	s->len += len;
	for (; len >= 8; len -= 8, p += 8)
		sip_word(s->v, load64(p), 1);
	s->tail = load_tail(p, len);
}

uint64_t hash_end(struct hash_state *s)
{
	return sip_end(s->v, s->tail, s->len, 1, 3);
}
