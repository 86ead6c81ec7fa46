/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/proxy.c - "The PROXY protocol, versions 1 and 2", section 2.2. */
#include "net/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "net/layer.h"
#include "wire/cursor.h"

enum {
	HEAD_LEN = PROXY_SIGNATURE_LEN + 4, /* version and command, family, length */
	VERSION_2 = 0x20,
	COMMAND_LOCAL = 0,
	COMMAND_PROXY = 1,
	FAMILY_UNSPEC = 0,
	FAMILY_INET = 1,
	FAMILY_INET6 = 2,
	FAMILY_UNIX = 3,
	TRANSPORT_STREAM = 1,
	TRANSPORT_DGRAM = 2,
};

const uint8_t proxy_signature[PROXY_SIGNATURE_LEN] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00,
	0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

/* Both addresses, then both ports. */
static void addresses_read(struct cursor *c, size_t ip_len, struct proxy_header *out)
{
	const uint8_t *from = cursor_take(c, ip_len);
	const uint8_t *to = cursor_take(c, ip_len);
	struct addr *const both[] = { &out->from, &out->to };
	const uint8_t *const ips[] = { from, to };
	for (unsigned i = 0; i < 2; i++) {
		struct sockaddr_storage sa = { 0 };
		struct addr a = { .family = ip_len == 4 ? 4 : 6,
			.port = cursor_u16(c) };
		if (cursor_bad(c))
			return;
		memcpy(a.ip, ips[i], ip_len);
		/* a mapped IPv4 address is one, as everywhere */
		addr_to_sockaddr(&a, &sa);
		addr_from_sockaddr(both[i], (const struct sockaddr *)&sa);
	}
}

/* Type-length-values say more about the client; nothing of it is needed. */
static void values_skip(struct cursor *c)
{
	while (cursor_left(c) && !cursor_bad(c)) {
		cursor_u8(c);
		cursor_take(c, cursor_u16(c));
	}
}

/* The part behind the length. */
static enum proxy_verdict body_read(struct proxy_header *out, unsigned command,
	unsigned family, unsigned transport, struct cursor *c)
{
	if (command == COMMAND_LOCAL)
		return PROXY_LOCAL; /* whatever the rest is */
	if (family == FAMILY_UNSPEC && transport == FAMILY_UNSPEC)
		return PROXY_LOCAL; /* it does not know the client */
	/* which of both the client used: a proxy may ask by the other */
	if (transport != TRANSPORT_STREAM && transport != TRANSPORT_DGRAM)
		return PROXY_BAD;
	if (family == FAMILY_UNIX)
		return PROXY_LOCAL; /* not taken: as if it did not know him */
	if (family != FAMILY_INET && family != FAMILY_INET6)
		return PROXY_BAD;
	addresses_read(c, family == FAMILY_INET ? 4 : 16, out);
	values_skip(c);
	return cursor_bad(c) ? PROXY_BAD : PROXY_CLIENT;
}

enum proxy_verdict proxy_read(struct proxy_header *out, const uint8_t *data, size_t len)
{
	*out = (struct proxy_header){ .len = 0 };
	if (proxy_is_version_1(data, len))
		return PROXY_BAD;
	const size_t first = len < PROXY_SIGNATURE_LEN ? len : PROXY_SIGNATURE_LEN;
	if (!first || memcmp(data, proxy_signature, first) != 0)
		return PROXY_NONE;
	struct cursor c = cursor_over(data, len);
	cursor_take(&c, PROXY_SIGNATURE_LEN);
	const uint8_t command = cursor_u8(&c), family = cursor_u8(&c);
	const size_t rest = cursor_u16(&c);
	if (cursor_bad(&c))
		return PROXY_MORE;
	if ((command & 0xf0) != VERSION_2 || (command & 0x0f) > COMMAND_PROXY ||
		HEAD_LEN + rest > LIMIT_PROXY_HEADER)
		return PROXY_BAD;
	const uint8_t *body = cursor_take(&c, rest);
	if (!body)
		return PROXY_MORE;
	struct proxy_header h = { .len = HEAD_LEN + rest };
	struct cursor b = cursor_over(body, rest);
	const enum proxy_verdict verdict =
		body_read(&h, command & 0x0f, family >> 4, family & 0x0f, &b);
	if (verdict != PROXY_BAD)
		*out = h;
	return verdict;
}

/* --- a connection ------------------------------------------------------------------ */

struct proxy_reader {
	size_t have;
	uint8_t data[LIMIT_PROXY_HEADER];
};

struct proxy_reader *proxy_reader_new(void)
{
	struct proxy_reader *r = malloc(sizeof(*r));
	if (r)
		r->have = 0;
	return r;
}

void proxy_reader_free(struct proxy_reader *r)
{
	free(r);
}

/* Bytes; 0: none now; -1: no more will come. */
static ssize_t receive(struct proxy_reader *r, int fd, size_t want, int flags)
{
	ssize_t n;
	do {
		n = recv(fd, r->data + r->have, want - r->have, MSG_DONTWAIT | flags);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	return n < 0 && errno == EAGAIN ? 0 : -1;
}

/* How long the header is as far as it tells. */
static size_t wanted(const struct proxy_reader *r)
{
	if (r->have < HEAD_LEN)
		return HEAD_LEN;
	return HEAD_LEN + ((size_t)r->data[HEAD_LEN - 2] << 8 | r->data[HEAD_LEN - 1]);
}

enum proxy_verdict proxy_reader_step(
	struct proxy_reader *r, int fd, struct proxy_header *out)
{
	if (!r->have) { /* only looked at: perhaps it is something else */
		const ssize_t n = receive(r, fd, HEAD_LEN, MSG_PEEK);
		if (n < 0)
			return PROXY_NONE; /* who reads next finds out why */
		if (n == 0)
			return PROXY_MORE;
		if (proxy_read(out, r->data, (size_t)n) == PROXY_NONE)
			return PROXY_NONE;
	}
	for (;;) {
		const ssize_t n = receive(r, fd, wanted(r), 0);
		if (n < 0)
			return PROXY_BAD;
		if (n == 0)
			return PROXY_MORE;
		r->have += (size_t)n;
		const enum proxy_verdict verdict = proxy_read(out, r->data, r->have);
		if (verdict != PROXY_MORE) /* NONE: bytes that were taken */
			return verdict == PROXY_NONE ? PROXY_BAD : verdict;
	}
}

enum proxy_verdict proxy_reader_step_inside(
	struct proxy_reader *r, struct stream_layer *y, struct proxy_header *out)
{
	for (;;) {
		const ssize_t n =
			y->ops->read(y, r->data + r->have, wanted(r) - r->have);
		if (n == LAYER_WANT_READ || n == LAYER_WANT_WRITE)
			return PROXY_MORE;
		if (n <= 0) /* who reads next finds out why */
			return r->have ? PROXY_BAD : PROXY_NONE;
		r->have += (size_t)n;
		const enum proxy_verdict verdict = proxy_read(out, r->data, r->have);
		if (verdict != PROXY_MORE)
			return verdict;
	}
}

const uint8_t *proxy_reader_taken(const struct proxy_reader *r, size_t *len)
{
	*len = r->have;
	return r->data;
}
