/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/canon.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/name.h"
#include "wire/rdata.h"

enum {
	RR_FIXED = 10, /* type, class, TTL, length */
	RRSIG_FIXED = 18,
	RRSIG_TTL_AT = 4,
};

void canon_fini(struct canon *c)
{
	free(c->items);
	free(c->rdata);
	free(c->message);
	*c = (struct canon){ 0 };
}

/* The content is not kept. */
static bool grow(void *block, size_t *cap, size_t need, size_t size)
{
	if (need <= *cap)
		return true;
	void **at = block;
	const size_t want = need < 64 ? 64 : need + need / 2;
	free(*at);
	*at = calloc(want, size);
	*cap = *at ? want : 0;
	return *at != NULL;
}

bool canon_rdata(uint16_t type, uint8_t *rdata, size_t len)
{
	const uint8_t *field = rdata_fields(type);
	if (!field)
		return true;
	struct cursor c = cursor_over(rdata, len);
	for (; *field; field++) {
		if (*field != FIELD_NAME && *field != FIELD_NAME_PLAIN) {
			if (!rdata_field_skip(&c, *field))
				return false;
			continue;
		}
		uint8_t *name = rdata + (len - cursor_left(&c));
		const size_t name_bytes = name_check(c.pos, cursor_left(&c));
		if (!name_bytes)
			return false;
		if (type != TYPE_NSEC)
			name_lower(name);
		cursor_take(&c, name_bytes);
	}
	return !cursor_left(&c);
}

/* RFC 4034 section 6.3: as octets, the shorter one first. */
static int rdata_order(const void *a, const void *b)
{
	const struct rdata *ra = a, *rb = b;
	const size_t len = ra->len < rb->len ? ra->len : rb->len;
	const int order = len ? memcmp(ra->bytes, rb->bytes, len) : 0;
	return order ? order : (int)ra->len - (int)rb->len;
}

static void sort_unique(struct canon *c)
{
	if (c->count < 2)
		return;
	qsort(c->items, c->count, sizeof(*c->items), rdata_order);
	size_t kept = 1;
	for (size_t i = 1; i < c->count; i++) {
		if (rdata_order(&c->items[kept - 1], &c->items[i]) == 0)
			c->bytes -= c->items[i].len;
		else
			c->items[kept++] = c->items[i];
	}
	c->count = kept;
}

enum canon_verdict canon_prepare(struct canon *c, const struct rrset *rr)
{
	c->count = c->bytes = 0;
	/* signatures lie in data_len too, and lengths of two bytes each */
	if (rr->count > LIMIT_RRSET_RECORDS || rr->data_len > 4u * LIMIT_RRSET_BYTES)
		return CANON_TOO_LARGE;
	if (!grow(&c->items, &c->items_cap, rr->count, sizeof(*c->items)) ||
		!grow(&c->rdata, &c->rdata_cap, rr->data_len, 1))
		return CANON_NO_MEMORY;
	struct rrset_walk w = rrset_begin(rr);
	struct rdata item;
	while (c->count < rr->count && rrset_next(&w, &item)) {
		uint8_t *copy = c->rdata + c->bytes;
		if (item.len)
			memcpy(copy, item.bytes, item.len);
		if (!canon_rdata(rr->type, copy, item.len))
			return CANON_MALFORMED;
		c->items[c->count++] = (struct rdata){ copy, item.len };
		c->bytes += item.len;
	}
	if (!c->count || c->count != rr->count)
		return CANON_MALFORMED;
	sort_unique(c);
	/* an owner of 255 octets that was compressed on its way stands before each record */
	if (c->bytes + c->count * (name_len(rr->name) + RR_FIXED) >
		LIMIT_CANONICAL_BYTES)
		return CANON_TOO_LARGE;
	return CANON_OK;
}

static uint8_t *put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
	return to + 2;
}

const uint8_t *canon_message(struct canon *c, const struct rrset *rr,
	const uint8_t *owner, const uint8_t fixed[static RRSIG_FIXED],
	const uint8_t *signer, size_t *len)
{
	uint8_t prefix[NAME_MAX_LEN + RR_FIXED];
	size_t prefix_len = name_copy_lower(prefix, owner);
	uint8_t *at = put16(put16(prefix + prefix_len, rr->type), rr->rclass);
	memcpy(at, fixed + RRSIG_TTL_AT, 4);
	prefix_len += RR_FIXED - 2;

	const size_t most =
		RRSIG_FIXED + NAME_MAX_LEN + c->bytes + c->count * (prefix_len + 2);
	if (!grow(&c->message, &c->message_cap, most, 1))
		return NULL;
	memcpy(c->message, fixed, RRSIG_FIXED);
	at = c->message + RRSIG_FIXED;
	at += name_copy_lower(at, signer);
	for (size_t i = 0; i < c->count; i++) {
		memcpy(at, prefix, prefix_len);
		at = put16(at + prefix_len, c->items[i].len);
		if (c->items[i].len)
			memcpy(at, c->items[i].bytes, c->items[i].len);
		at += c->items[i].len;
	}
	*len = (size_t)(at - c->message);
	return c->message;
}
