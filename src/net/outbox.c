/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/outbox.h"

#include <stdlib.h>
#include <string.h>

enum { OUTBOX_START = 1024 };

bool outbox_room(struct outbox *o, size_t len)
{
	if (o->cap - o->end >= len)
		return true;
	const size_t held = outbox_len(o);
	if (o->start) {
		memmove(o->buf, o->buf + o->start, held);
		o->start = 0;
		o->end = held;
	}
	size_t cap = o->cap ? o->cap : OUTBOX_START;
	while (cap - held < len)
		cap *= 2;
	if (cap == o->cap)
		return true;
	uint8_t *buf = realloc(o->buf, cap);
	if (!buf)
		return false;
	o->buf = buf;
	o->cap = cap;
	return true;
}

bool outbox_add(struct outbox *o, const void *data, size_t len)
{
	if (!len)
		return true;
	if (!outbox_room(o, len))
		return false;
	memcpy(o->buf + o->end, data, len);
	o->end += len;
	return true;
}

void outbox_mark_end(struct outbox *o)
{
	if (o->end_count < OUTBOX_ENDS)
		o->ends[o->end_count++] = outbox_len(o);
}

/* The first `len` bytes are gone. */
static void outbox_shift(struct outbox *o, size_t len)
{
	unsigned kept = 0;
	o->start += len;
	if (o->start == o->end)
		o->start = o->end = 0;
	for (unsigned i = 0; i < o->end_count; i++)
		if (o->ends[i] > len)
			o->ends[kept++] = o->ends[i] - len;
	o->end_count = kept;
}

int outbox_write(struct outbox *o, struct stream_layer *y)
{
	while (outbox_len(o)) {
		y->ends = o->ends;
		y->end_count = o->end_count;
		const ssize_t n = y->ops->write(y, o->buf + o->start, outbox_len(o));
		if (n <= 0)
			return n < 0 ? (int)n : LAYER_WANT_WRITE;
		outbox_shift(o, (size_t)n);
	}
	return LAYER_DONE;
}

void outbox_fini(struct outbox *o)
{
	free(o->buf);
	*o = (struct outbox){ 0 };
}
