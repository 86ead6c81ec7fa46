/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/lower.h - bytes compared without ASCII case: RFC 4343. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern const uint8_t lower_table[256];

/* Eight bytes: A..Z become a..z, others stay. A byte's upper bit in `above` is set from
 * 'A' on, in `beyond` after 'Z'; bytes of 128 and more were masked out of both sums. */
static inline uint64_t lower_word(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101;
	const uint64_t low7 = w & (ones * 0x7f);
	const uint64_t above = low7 + ones * (0x80 - 'A');
	const uint64_t beyond = low7 + ones * (0x80 - 'Z' - 1);
	const uint64_t upper = (above ^ beyond) & ~w & (ones * 0x80);
	return w | upper >> 2;
}

static inline bool lower_equal_word(uint64_t a, uint64_t b)
{
	return a == b || lower_word(a) == lower_word(b);
}

static inline uint64_t load_word(const uint8_t *at)
{
	uint64_t w;
	memcpy(&w, at, sizeof(w));
	return w;
}

static inline uint32_t load_half(const uint8_t *at)
{
	uint32_t w;
	memcpy(&w, at, sizeof(w));
	return w;
}

/* Whole words; the last one overlaps the one before. */
static inline bool lower_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	if (len >= 8) {
		const uint8_t *last_a = a + len - 8, *last_b = b + len - 8;
		for (; a < last_a; a += 8, b += 8)
			if (!lower_equal_word(load_word(a), load_word(b)))
				return false;
		return lower_equal_word(load_word(last_a), load_word(last_b));
	}
	if (len >= 4) {
		const uint64_t wa = load_half(a) | (uint64_t)load_half(a + len - 4)
							   << 32;
		const uint64_t wb = load_half(b) | (uint64_t)load_half(b + len - 4)
							   << 32;
		return lower_equal_word(wa, wb);
	}
	for (; len; len--)
		if (lower_table[*a++] != lower_table[*b++])
			return false;
	return true;
}
