/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/proxy.h - PROXY protocol, version 2: a proxy in front says who the client is.
 *
 * The header stands before all else: in each datagram, or at the beginning of a connection,
 * before TLS. Whether its sender may say so is the caller's to know. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/addr.h"

enum { PROXY_SIGNATURE_LEN = 12 };
extern const uint8_t proxy_signature[PROXY_SIGNATURE_LEN];

enum proxy_verdict {
	PROXY_NONE, /* something else */
	PROXY_MORE, /* not complete yet */
	PROXY_BAD, /* a header, but not as the protocol has it, or over LIMIT_PROXY_HEADER */
	PROXY_LOCAL, /* the proxy speaks for itself (a health check), or names no IP address */
	PROXY_CLIENT, /* for this client */
};

struct proxy_header {
	size_t len;           /* LOCAL, CLIENT: what follows is the client's */
	struct addr from, to; /* CLIENT */
};

/* Version 1 is a line of text, which is not taken: it is BAD. No query begins so (its opcode
 * would be 9, over TCP 11). */
static inline bool proxy_is_version_1(const uint8_t *data, size_t len)
{
	return len >= 6 && memcmp(data, "PROXY ", 6) == 0;
}

/* Any bytes. No query has the signature (its opcode would be 1), nor have TLS and HTTP/2. */
enum proxy_verdict proxy_read(
	struct proxy_header *out, const uint8_t *data, size_t len);

static inline bool proxy_is_header(const uint8_t *data, size_t len)
{
	return (len >= PROXY_SIGNATURE_LEN &&
		       memcmp(data, proxy_signature, PROXY_SIGNATURE_LEN) == 0) ||
	       proxy_is_version_1(data, len);
}

/* The header of a connection: taken from the socket to the byte, so that TLS finds its own; or
 * the first thing inside TLS. */
struct proxy_reader;
struct stream_layer;
struct proxy_reader *proxy_reader_new(void); /* NULL: out of memory */
void proxy_reader_free(struct proxy_reader *r);
/* `fd` is readable. NONE: nothing was taken. BAD: also when the connection broke. */
enum proxy_verdict proxy_reader_step(
	struct proxy_reader *r, int fd, struct proxy_header *out);
/* The same of what `y` gives. NONE: what was taken all the same is proxy_reader_taken(). */
enum proxy_verdict proxy_reader_step_inside(
	struct proxy_reader *r, struct stream_layer *y, struct proxy_header *out);
const uint8_t *proxy_reader_taken(const struct proxy_reader *r, size_t *len);
