/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/cursor.h"

enum { FRAME_START = 512 };

/* What is held moves to the front; more room when it is full. */
static bool frame_make_room(struct frame *f)
{
	if (f->start) {
		memmove(f->buf, f->buf + f->start, frame_held(f));
		f->end -= f->start;
		f->start = 0;
	}
	if (f->end < f->cap)
		return true;
	/* unread bytes are less than one message here, so this always makes room */
	const size_t cap = f->cap * 2 < FRAME_MAX ? f->cap * 2 : FRAME_MAX;
	assert(cap > f->end);
	uint8_t *buf = realloc(f->buf, cap);
	if (!buf)
		return false;
	f->buf = buf;
	f->cap = cap;
	return true;
}

uint8_t *frame_room(struct frame *f, uint8_t scratch[static FRAME_MAX], size_t *room)
{
	assert(!f->borrowed);
	if (!frame_held(f)) {
		frame_fini(f);
		*f = (struct frame){
			.buf = scratch, .cap = FRAME_MAX, .borrowed = true
		};
	} else if (!frame_make_room(f)) {
		return NULL;
	}
	*room = f->cap - f->end;
	return f->buf + f->end;
}

void frame_added(struct frame *f, size_t len)
{
	assert(len <= f->cap - f->end);
	f->end += len;
}

bool frame_next(struct frame *f, const uint8_t **msg, size_t *len)
{
	if (!frame_held(f))
		return false; /* there may be no buffer */
	struct cursor c = cursor_over(f->buf + f->start, frame_held(f));
	const uint16_t promised = cursor_u16(&c);
	const uint8_t *at = cursor_take(&c, promised);
	if (cursor_bad(&c))
		return false;
	*msg = at;
	*len = promised;
	f->start += 2u + promised;
	return true;
}

bool frame_settle(struct frame *f)
{
	if (!frame_held(f)) {
		frame_fini(f);
		return true;
	}
	if (!f->borrowed)
		return true;
	const size_t held = frame_held(f);
	const size_t cap = held < FRAME_START ? FRAME_START : held;
	uint8_t *own = malloc(cap);
	if (own)
		memcpy(own, f->buf + f->start, held);
	*f = (struct frame){ .buf = own, .end = own ? held : 0, .cap = own ? cap : 0 };
	return own != NULL;
}

void frame_fini(struct frame *f)
{
	if (!f->borrowed)
		free(f->buf);
	*f = (struct frame){ 0 };
}
