/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each item: section 8, type 16, class 16, count 16, signatures 16, ttl 32, length of
 * data 32, owner (or one byte: the key's name), data as struct rrset has it. */
#include "cache/bundle.h"

#include <endian.h>
#include <string.h>

#include "wire/cursor.h"
#include "wire/name.h"

enum { OWNER_IS_KEY = 0xff }; /* no label is that long */

struct item_head {
	uint8_t section;
	uint16_t type, rclass, count, sig_count;
	uint32_t ttl, data_len;
} __attribute__((packed));

size_t bundle_write(uint8_t *buf, size_t cap, const uint8_t *key,
	const struct bundle_item *items, size_t count)
{
	static const uint8_t is_key[1] = { OWNER_IS_KEY };
	size_t len = 0;
	if (count > BUNDLE_MAX)
		return 0;
	for (size_t i = 0; i < count; i++) {
		const struct rrset *rr = &items[i].rr;
		const struct item_head h = {
			.section = (uint8_t)items[i].section,
			.type = htobe16(rr->type),
			.rclass = htobe16(rr->rclass),
			.count = htobe16(rr->count),
			.sig_count = htobe16(rr->sig_count),
			.ttl = htobe32(rr->ttl),
			.data_len = htobe32(rr->data_len),
		};
		const bool same = key && name_equal_case(rr->name, key);
		const size_t owner = same ? sizeof(is_key) : name_len(rr->name);
		if (sizeof(h) + owner + rr->data_len > cap - len)
			return 0;
		memcpy(buf + len, &h, sizeof(h));
		len += sizeof(h);
		memcpy(buf + len, same ? is_key : rr->name, owner);
		len += owner;
		if (rr->data_len)
			memcpy(buf + len, rr->data, rr->data_len);
		len += rr->data_len;
	}
	return len;
}

static const uint8_t *read_owner(struct cursor *c, const uint8_t *key)
{
	if (key && cursor_left(c) && *c->pos == OWNER_IS_KEY)
		return cursor_take(c, 1) ? key : NULL;
	return cursor_take(c, name_check(c->pos, cursor_left(c)));
}

static bool read_item(struct cursor *c, const uint8_t *key, struct bundle_item *out)
{
	const uint8_t section = cursor_u8(c);
	struct bundle_item item = { .section = section };
	item.rr.type = cursor_u16(c);
	item.rr.rclass = cursor_u16(c);
	item.rr.count = cursor_u16(c);
	item.rr.sig_count = cursor_u16(c);
	item.rr.ttl = cursor_u32(c);
	item.rr.data_len = cursor_u32(c);
	if (cursor_bad(c) || section > SECTION_ADDITIONAL)
		return false;
	item.rr.name = read_owner(c, key);
	item.rr.data = cursor_take(c, item.rr.data_len);
	if (cursor_bad(c) || item.rr.data == item.rr.name || !rrset_valid(&item.rr))
		return false;
	*out = item;
	return true;
}

int bundle_read(const uint8_t *value, size_t len, const uint8_t *key,
	struct bundle_item items[static BUNDLE_MAX])
{
	struct cursor c = cursor_over(value, len);
	int count = 0;
	while (cursor_left(&c)) {
		if (count == BUNDLE_MAX || !read_item(&c, key, &items[count]))
			return -1;
		count++;
	}
	return count;
}
