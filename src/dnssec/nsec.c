/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/nsec.h"

#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/name.h"
#include "wire/rdata.h"

bool type_bitmap_has(const struct type_bitmap *b, uint16_t type)
{
	struct cursor c = cursor_over(b->bytes, b->len);
	while (cursor_left(&c)) {
		const uint8_t window = cursor_u8(&c), len = cursor_u8(&c);
		const uint8_t *bits = cursor_take(&c, len);
		if (!bits || window > type >> 8)
			return false;
		const unsigned at = (type & 0xff) / 8;
		if (window == type >> 8)
			return at < len && bits[at] & 0x80 >> type % 8;
	}
	return false;
}

bool type_bitmap_is_bare(const struct type_bitmap *b)
{
	struct cursor c = cursor_over(b->bytes, b->len);
	while (cursor_left(&c)) {
		const unsigned window = cursor_u8(&c), len = cursor_u8(&c);
		const uint8_t *bits = cursor_take(&c, len);
		for (unsigned bit = 0; bits && bit < len * 8; bit++) {
			const unsigned type = window << 8 | bit;
			if (bits[bit / 8] & 0x80 >> bit % 8 && type != TYPE_RRSIG &&
				type != TYPE_NSEC && type != TYPE_NXNAME)
				return false;
		}
	}
	return true;
}

bool type_bitmap_is_cut(const struct type_bitmap *b)
{
	return type_bitmap_has(b, TYPE_NS) && !type_bitmap_has(b, TYPE_SOA);
}

bool type_bitmap_denies(const struct type_bitmap *b, const uint8_t *name, uint16_t type)
{
	if (type_bitmap_has(b, type) || type_bitmap_has(b, TYPE_CNAME))
		return false;
	if (type == TYPE_ANY && !type_bitmap_is_bare(b))
		return false;
	/* DS belongs to the parent, all else to the child; the root has no parent */
	if (type == TYPE_DS)
		return name_is_root(name) || !type_bitmap_has(b, TYPE_SOA);
	return !type_bitmap_is_cut(b);
}

bool nsec_read(struct nsec *n, const uint8_t *zone, const uint8_t *owner,
	const uint8_t *rdata, size_t len)
{
	if (len > UINT16_MAX || !rdata_valid(TYPE_NSEC, rdata, len))
		return false;
	const size_t next = name_len(rdata);
	if (!name_within(owner, zone) || !name_within(rdata, zone))
		return false;
	if (name_order(owner, rdata) >= 0 && !name_equal(rdata, zone))
		return false;
	*n = (struct nsec){
		.owner = owner,
		.next = rdata,
		.types = { rdata + next, (uint16_t)(len - next) },
	};
	return true;
}

bool nsec_covers(const struct nsec *n, const uint8_t *zone, const uint8_t *name)
{
	if (!name_within(name, zone) || name_order(n->owner, name) >= 0)
		return false;
	if (!name_equal(n->next, zone) && name_order(name, n->next) >= 0)
		return false;
	/* the owner comes first, so that the name is not equal to it */
	return !name_within(name, n->owner) ||
	       (!type_bitmap_is_cut(&n->types) &&
		       !type_bitmap_has(&n->types, TYPE_DNAME));
}

bool nsec_is_empty(const struct nsec *n, const uint8_t *name)
{
	return name_within(n->next, name);
}

unsigned nsec_encloser(const struct nsec *n, const uint8_t *name)
{
	const unsigned owner = name_common_labels(n->owner, name);
	const unsigned next = name_common_labels(n->next, name);
	return owner > next ? owner : next;
}
