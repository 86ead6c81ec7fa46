/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/codec.h - what stands between the bytes of one connection and DNS messages, when it
 * is more than the two-byte length: HTTP/2.
 *
 * A codec does no I/O. Requests of one connection have numbers of the codec's choice;
 * answers may come in any order, or when the request is long gone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counters.h"

struct stream_codec;

/* Who owns the connection. */
struct codec_owner {
	/* A whole message; its answer may be given from in here. */
	void (*message)(void *ctx, uint32_t request, const uint8_t *msg, size_t len);
	/* Bytes to send, behind those before. False: out of memory. */
	bool (*send)(void *ctx, const void *head, size_t head_len, const void *data,
		size_t len);
	/* An answer ends with what was sent last. */
	void (*mark)(void *ctx);
	void *ctx;
	struct counters *counters;
	unsigned max_requests; /* at a time */
	const char *fields;    /* names in lower case, by spaces, that fields() tells */
	/* What came first is a PROXY header. */
	void (*stray_header)(void *ctx);
	int64_t (*now_us)(void *ctx); /* monotonic */
	int64_t request_us;           /* so long one may take to come whole */
};

struct codec_ops {
	void (*input)(struct stream_codec *c, const uint8_t *data, size_t len);
	void (*answer)(struct stream_codec *c, uint32_t request, const uint8_t *msg,
		size_t len);
	/* There will be no answer. */
	void (*skip)(struct stream_codec *c, uint32_t request);
	/* Of the request that message() hands out, until it returns: the fields that the owner
	 * named, as they came, each "name NUL value NUL". NULL: none. */
	const char *(*fields)(const struct stream_codec *c, size_t *len);
	/* Send what may be sent now. */
	void (*output)(struct stream_codec *c);
	/* Bytes of answers that the other side does not take yet. */
	size_t (*held)(const struct stream_codec *c);
	/* Tell the other side to go elsewhere with what is new. */
	void (*leave)(struct stream_codec *c);
	/* The last word; output() once more, then free(). */
	void (*goodbye)(struct stream_codec *c);
	/* Nothing more will come of it: close when all is sent. */
	bool (*over)(const struct stream_codec *c);
	void (*free)(struct stream_codec *c);
};

struct stream_codec {
	const struct codec_ops *ops;
};

/* DNS over HTTP/2, RFC 8484. NULL: out of memory. */
struct stream_codec *codec_https_new(const struct codec_owner *owner);
