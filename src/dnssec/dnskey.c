/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/dnskey.h"

#include <assert.h>

#include "dnssec/algorithm.h"
#include "wire/cursor.h"

static_assert(LIMIT_ZONE_KEYS <= 64, "a bit of 64 for each");

uint16_t dnskey_tag(const uint8_t *rdata, size_t len)
{
	enum { ALGORITHM_AT = 3 };
	if (len > ALGORITHM_AT + 3 && rdata[ALGORITHM_AT] == ALGORITHM_RSAMD5)
		return (uint16_t)(rdata[len - 3] << 8 | rdata[len - 2]);
	uint32_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? rdata[i] : (uint32_t)rdata[i] << 8;
	return (uint16_t)(sum + (sum >> 16));
}

bool dnskey_read(struct dnskey *k, const uint8_t *rdata, size_t len)
{
	struct cursor c = cursor_over(rdata, len);
	struct dnskey key = { .rdata = rdata, .rdata_len = (uint16_t)len };
	key.flags = cursor_u16(&c);
	key.protocol = cursor_u8(&c);
	key.algorithm = cursor_u8(&c);
	if (cursor_bad(&c) || len > UINT16_MAX)
		return false;
	key.key = c.pos;
	key.key_len = (uint16_t)cursor_left(&c);
	key.tag = dnskey_tag(rdata, len);
	*k = key;
	return true;
}

bool dnskey_is_usable(const struct dnskey *k)
{
	return k->flags & DNSKEY_ZONE && !(k->flags & DNSKEY_REVOKED) &&
	       k->protocol == DNSKEY_PROTOCOL;
}

void keyset_read(struct keyset *set, const struct rrset *rr)
{
	struct rrset_walk w = rrset_begin(rr);
	struct rdata item;
	set->zone = rr->name;
	set->count = 0;
	set->usable = 0;
	for (unsigned i = 0; i < rr->count && set->count < LIMIT_ZONE_KEYS; i++) {
		if (!rrset_next(&w, &item))
			break;
		struct dnskey *k = &set->key[set->count];
		if (!dnskey_read(k, item.bytes, item.len))
			continue;
		if (dnskey_is_usable(k))
			set->usable |= UINT64_C(1) << set->count;
		set->count++;
	}
}
