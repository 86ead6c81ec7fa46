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

static inline bool lower_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (; len >= 8; len -= 8, a += 8, b += 8) {
		uint64_t wa, wb;
		memcpy(&wa, a, 8);
		memcpy(&wb, b, 8);
		if (wa != wb && lower_word(wa) != lower_word(wb))
			return false;
	}
	for (; len; len--)
		if (lower_table[*a++] != lower_table[*b++])
			return false;
	return true;
}
