/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/frame.h - bytes in, whole messages out: the two-byte length of RFC 1035
 * section 4.2.2.
 *
 * A frame that holds nothing reads into the caller's scratch buffer; only what is left
 * over when the caller goes is copied. Memory grows with what has come, never with what
 * was promised. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_MAX = 2 + 65535 };

struct frame {
	uint8_t *buf;
	size_t start; /* first unread byte */
	size_t end;   /* one past the last */
	size_t cap;
	bool borrowed; /* buf is the scratch buffer */
};

/* Where to read to, never without room; at least FRAME_MAX of `scratch`. NULL: out of
 * memory. Only after frame_next() gave false. */
uint8_t *frame_room(struct frame *f, uint8_t scratch[static FRAME_MAX], size_t *room);
void frame_added(struct frame *f, size_t len);
/* The next whole message, valid until frame_room() or frame_settle(). */
bool frame_next(struct frame *f, const uint8_t **msg, size_t *len);
/* Before the scratch buffer is used for another: keep a copy of what is left. False:
 * out of memory. */
bool frame_settle(struct frame *f);
static inline size_t frame_held(const struct frame *f)
{
	return f->end - f->start;
}
void frame_fini(struct frame *f);
