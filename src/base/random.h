/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/random.h - unpredictable numbers, from the kernel's generator only.
 *
 * A `struct random` is handed to whoever needs numbers, so that a scripted test can
 * hand in its own. The real one buffers getrandom(2) and wipes what it gave out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct random {
	void (*fill)(struct random *r, void *out, size_t len);
	size_t left; /* unread bytes in buf */
	uint8_t buf[2048];
};

void random_init(
	struct random *r); /* from getrandom(2), aborts if the kernel has none */
static inline void random_fill(struct random *r, void *out, size_t len)
{
	r->fill(r, out, len);
}
uint16_t random_u16(struct random *r);
uint32_t random_u32(struct random *r);
uint64_t random_u64(struct random *r);
/* Even over 0..bound-1, bound > 0. */
uint32_t random_below(struct random *r, uint32_t bound);
