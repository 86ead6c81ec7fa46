/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A resolver with guessable ids and ports must not run: no fallback. */
static void kernel_fill(void *out, size_t len)
{
	for (uint8_t *to = out; len;) {
		const ssize_t got = getrandom(to, len, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		to += got;
		len -= (size_t)got;
	}
}

/* The unread bytes are the last `left` of buf; what was read is zero. */
static void buffered_fill(struct random *r, void *out, size_t len)
{
	if (len > sizeof(r->buf)) {
		kernel_fill(out, len);
		return;
	}
	uint8_t *to = out;
	while (len) {
		if (!r->left) {
			kernel_fill(r->buf, sizeof(r->buf));
			r->left = sizeof(r->buf);
		}
		const size_t part = len < r->left ? len : r->left;
		uint8_t *from = r->buf + sizeof(r->buf) - r->left;
		memcpy(to, from, part);
		explicit_bzero(from, part);
		r->left -= part;
		to += part;
		len -= part;
	}
}

void random_init(struct random *r)
{
	r->fill = buffered_fill;
	r->left = 0;
	uint8_t probe;
	kernel_fill(&probe, sizeof(probe));
}

uint16_t random_u16(struct random *r)
{
	uint16_t n;
	random_fill(r, &n, sizeof(n));
	return n;
}

uint32_t random_u32(struct random *r)
{
	uint32_t n;
	random_fill(r, &n, sizeof(n));
	return n;
}

uint64_t random_u64(struct random *r)
{
	uint64_t n;
	random_fill(r, &n, sizeof(n));
	return n;
}

/* Lemire, "Fast Random Integer Generation in an Interval": draws again only where the
 * product falls into the uneven part, which needs a division but seldom. A scripted
 * generator that repeats one number ends up here too: after 64 draws the bias is taken.
 */
uint32_t random_below(struct random *r, uint32_t bound)
{
	assert(bound);
	uint64_t product = (uint64_t)random_u32(r) * bound;
	if ((uint32_t)product < bound) {
		const uint32_t uneven = -bound % bound;
		for (unsigned i = 0; i < 64 && (uint32_t)product < uneven; i++)
			product = (uint64_t)random_u32(r) * bound;
	}
	return (uint32_t)(product >> 32);
}
