/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/nsec3.h"

#include <string.h>

#include <nettle/sha1.h>

#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/name.h"
#include "wire/rdata.h"

enum {
	HASH_SHA1 = 1,
	LABEL_LEN = 32, /* 20 bytes in base32hex */
	BLOCK = 64,
	PADDING = 9, /* SHA-1's own: a byte and the length */
};

/* RFC 4648 section 7, either case: 0..31, or -1. */
static int digit32(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;
}

/* Eight digits are five bytes. */
static bool label_decode(const uint8_t *label, uint8_t out[static NSEC3_HASH_LEN])
{
	for (unsigned i = 0; i < LABEL_LEN; i += 8, out += 5) {
		uint64_t word = 0;
		for (unsigned j = 0; j < 8; j++) {
			const int digit = digit32(label[i + j]);
			if (digit < 0)
				return false;
			word = word << 5 | (uint64_t)digit;
		}
		for (unsigned j = 0; j < 5; j++)
			out[j] = (uint8_t)(word >> (32 - 8 * j));
	}
	return true;
}

bool nsec3_read(struct nsec3 *n, const uint8_t *zone, const uint8_t *owner,
	const uint8_t *rdata, size_t len)
{
	struct nsec3 r = { 0 };
	if (len > UINT16_MAX || !rdata_valid(TYPE_NSEC3, rdata, len))
		return false;
	if (owner[0] != LABEL_LEN || !label_decode(owner + 1, r.hash) ||
		!name_equal(name_parent(owner), zone))
		return false;
	struct cursor c = cursor_over(rdata, len);
	const uint8_t algorithm = cursor_u8(&c), flags = cursor_u8(&c);
	r.params.iterations = cursor_u16(&c);
	r.params.salt_len = cursor_u8(&c);
	r.params.salt = cursor_take(&c, r.params.salt_len);
	const uint8_t next_len = cursor_u8(&c);
	r.next = cursor_take(&c, next_len);
	r.types.len = (uint16_t)cursor_left(&c);
	r.types.bytes = cursor_take(&c, r.types.len);
	if (cursor_bad(&c) || algorithm != HASH_SHA1 || flags & ~NSEC3_OPT_OUT ||
		next_len != NSEC3_HASH_LEN)
		return false;
	r.opt_out = flags & NSEC3_OPT_OUT;
	*n = r;
	return true;
}

bool nsec3_same_params(const struct nsec3_params *a, const struct nsec3_params *b)
{
	return a->iterations == b->iterations && a->salt_len == b->salt_len &&
	       (!a->salt_len || memcmp(a->salt, b->salt, a->salt_len) == 0);
}

static uint32_t blocks(size_t bytes)
{
	return (uint32_t)((bytes + PADDING + BLOCK - 1) / BLOCK);
}

uint32_t nsec3_price(const struct nsec3_params *p, size_t name_bytes)
{
	return blocks(name_bytes + p->salt_len) +
	       p->iterations * blocks(NSEC3_HASH_LEN + p->salt_len);
}

bool nsec3_hash(const struct nsec3_params *p, const uint8_t *name,
	struct dnssec_work *work, uint8_t out[static NSEC3_HASH_LEN])
{
	uint8_t lower[NAME_MAX_LEN];
	const size_t len = name_copy_lower(lower, name);
	if (!dnssec_work_hash(work, nsec3_price(p, len)))
		return false;
	struct sha1_ctx sha1;
	sha1_init(&sha1);
	sha1_update(&sha1, len, lower);
	for (unsigned i = 0;; i++) {
		sha1_update(&sha1, p->salt_len, p->salt);
		sha1_digest(&sha1, NSEC3_HASH_LEN, out); /* and begins anew */
		if (i == p->iterations)
			return true;
		sha1_update(&sha1, NSEC3_HASH_LEN, out);
	}
}

bool nsec3_matches(const struct nsec3 *n, const uint8_t hash[static NSEC3_HASH_LEN])
{
	return memcmp(n->hash, hash, NSEC3_HASH_LEN) == 0;
}

/* The last one's next is the first: the interval goes round. */
bool nsec3_covers(const struct nsec3 *n, const uint8_t hash[static NSEC3_HASH_LEN])
{
	const bool after = memcmp(n->hash, hash, NSEC3_HASH_LEN) < 0;
	const bool before = memcmp(hash, n->next, NSEC3_HASH_LEN) < 0;
	if (memcmp(n->hash, n->next, NSEC3_HASH_LEN) < 0)
		return after && before;
	return !nsec3_matches(n, hash) && (after || before);
}
