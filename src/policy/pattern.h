/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/pattern.h - Lua's patterns over bytes, without Lua: for policy.pattern. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NULL if the pattern is well formed, else what is wrong with it. */
const char *pattern_check(const char *pattern, size_t len);
/* Does it occur in `data`? As string.find() of Lua 5.1, but back-tracking is bounded: a
 * pattern that would try for too long does not match. A malformed pattern does not
 * match. */
bool pattern_match(
	const char *pattern, size_t len, const uint8_t *data, size_t data_len);
