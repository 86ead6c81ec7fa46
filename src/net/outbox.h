/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/outbox.h - bytes that wait for their socket, and where records should end in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/layer.h"

enum { OUTBOX_ENDS = 32 };

/* Zeroed: empty, without memory. */
struct outbox {
	uint8_t *buf;
	size_t start; /* first byte that waits */
	size_t end;   /* one past the last */
	size_t cap;
	size_t ends[OUTBOX_ENDS]; /* counted from `start`, in order */
	unsigned end_count;
};

static inline size_t outbox_len(const struct outbox *o)
{
	return o->end - o->start;
}
/* False: out of memory, and what is there stays. */
bool outbox_room(struct outbox *o, size_t len);
/* As outbox_room(), and the bytes are in. */
bool outbox_add(struct outbox *o, const void *data, size_t len);
/* A record should end here. Those that do not fit are forgotten: a longer record then. */
void outbox_mark_end(struct outbox *o);
/* As much as the layer takes. LAYER_DONE: all; LAYER_WANT_* for the rest, LAYER_BROKEN. */
int outbox_write(struct outbox *o, struct stream_layer *y);
void outbox_fini(struct outbox *o); /* empty, without memory, ready to be used again */
