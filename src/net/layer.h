/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/layer.h - the bytes of one connection: plain TCP, later TLS.
 *
 * A layer never waits: it says what it waits for. It does not own the socket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Results besides a number of bytes. */
enum {
	LAYER_DONE =
		0, /* handshake, goodbye; as a result of read: the end of the stream */
	LAYER_WANT_READ = -1,  /* again when the socket is readable */
	LAYER_WANT_WRITE = -2, /* again when the socket is writable */
	LAYER_BROKEN = -3,     /* close it */
};

struct stream_layer;

struct layer_ops {
	/* LAYER_DONE once bytes may flow. NULL: at once. */
	int (*handshake)(struct stream_layer *y);
	ssize_t (*read)(struct stream_layer *y, void *buf, size_t len);
	ssize_t (*write)(struct stream_layer *y, const void *data, size_t len);
	/* Bytes were taken from the socket that read would give at once. NULL: never.
	 */
	bool (*buffered)(struct stream_layer *y);
	/* Say goodbye, once, without waiting. NULL: nothing to say. */
	void (*goodbye)(struct stream_layer *y);
	void (*free)(struct stream_layer *y);
};

struct stream_layer {
	const struct layer_ops *ops;
	int fd;
	bool stray_header; /* a PROXY header came instead of a handshake */
	/* Where records should end in what is written next, offsets from its first byte, in
	 * order; a layer without records takes no notice. */
	const size_t *ends;
	unsigned end_count;
};

/* Bytes wait to be read: the layer has them, or its socket. A system call. */
bool layer_has_unread(struct stream_layer *y);

/* Plain TCP; NULL when out of memory. */
struct stream_layer *layer_plain_new(void *ctx, int fd);
