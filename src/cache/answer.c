/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stored: a head (how many TTLs, which records rotate), the distances between the TTLs
 * (one byte, or 255 and two), the message. Rotating swaps the RDATA of A or AAAA
 * records, which stand at even distances and hold no compressed names. */
#include "cache/answer.h"

#include <endian.h>
#include <string.h>

#include "base/limits.h"
#include "cache/internal.h"
#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/msg.h"
#include "wire/name.h"

enum {
	HEADER = 12, /* of a DNS message */
	ANSWER_HEAD = 10,
	LONG_STEP = 255,
	TTL_TO_RDATA = 6, /* TTL 4, RDLENGTH 2 */
	RDATA_MAX = 16,
};

/* Records of one RRset, `stride` bytes from one RDATA to the next. */
struct rotation {
	uint16_t at; /* offset of the first RDATA */
	uint16_t stride;
	uint16_t count;
	uint8_t len; /* of each RDATA */
	bool uneven; /* longer names between: leave them */
};

struct layout {
	uint8_t steps[3 * LIMIT_MESSAGE_RECORDS];
	size_t steps_len;
	uint16_t ttls;
	struct rotation rotation;
};

/* --- storing ----------------------------------------------------- */

static void note_ttl(struct layout *l, size_t step)
{
	if (step < LONG_STEP) {
		l->steps[l->steps_len++] = (uint8_t)step;
	} else {
		l->steps[l->steps_len++] = LONG_STEP;
		l->steps[l->steps_len++] = (uint8_t)(step >> 8);
		l->steps[l->steps_len++] = (uint8_t)step;
	}
	l->ttls++;
}

static void note_address(
	struct rotation *r, const struct msg_rr *rr, uint16_t at, bool same)
{
	if (!same) {
		*r = (struct rotation){
			.at = at, .count = 1, .len = (uint8_t)rr->rdata_len
		};
		return;
	}
	const uint16_t stride = (uint16_t)(at - r->at - (r->count - 1) * r->stride);
	if (r->count == 1)
		r->stride = stride;
	else if (r->stride != stride)
		r->uneven = true;
	r->count++;
}

static bool is_address(const struct msg_rr *rr)
{
	return (rr->type == TYPE_A && rr->rdata_len == 4) ||
	       (rr->type == TYPE_AAAA && rr->rdata_len == 16);
}

static bool lay_out(struct layout *l, const struct msg *m)
{
	l->steps_len = 0;
	l->ttls = 0;
	l->rotation = (struct rotation){ 0 };
	size_t last = HEADER;
	struct msg_rr rr[2];
	unsigned turn = 0;
	bool before =
		false; /* the record before was an address in the answer section */
	for (struct msg_walk w = msg_begin(m); msg_next(&w, &rr[turn]); turn ^= 1) {
		const struct msg_rr *one = &rr[turn], *other = &rr[turn ^ 1];
		const size_t at = (size_t)(one->rdata - m->pkt);
		if (l->ttls == LIMIT_MESSAGE_RECORDS)
			return false;
		note_ttl(l, at - TTL_TO_RDATA - last);
		last = at - TTL_TO_RDATA;
		const bool address = one->section == SECTION_ANSWER && is_address(one);
		if (address)
			note_address(&l->rotation, one, (uint16_t)at,
				before && one->type == other->type &&
					name_equal(one->name, other->name));
		before = address;
	}
	return true;
}

static void put_u16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

bool answer_put(struct cache *c, const struct cache_key *key, const struct now *now,
	const struct cache_meta *meta, const uint8_t *msg, size_t len)
{
	static struct layout l; /* too large for a stack */
	static uint8_t value[CACHE_VALUE_MAX];
	struct msg m;
	if (len > UINT16_MAX || !msg_read(&m, msg, len) || m.edns || m.qd_count != 1 ||
		!name_equal(m.qname, key->name) || !lay_out(&l, &m))
		return false;
	const struct rotation *r = &l.rotation;
	const bool rotates = r->count > 1 && !r->uneven;
	put_u16(value, l.ttls);
	put_u16(value + 2, r->at);
	put_u16(value + 4, r->stride);
	put_u16(value + 6, rotates ? r->count : 0);
	put_u16(value + 8, r->len);
	const size_t body = ANSWER_HEAD + l.steps_len;
	if (body + len > sizeof(value))
		return false;
	memcpy(value + ANSWER_HEAD, l.steps, l.steps_len);
	memcpy(value + body, msg, len);
	return cache_put(c, key, now, meta, value, body + len);
}

/* --- handing out ------------------------------------------------- */

/* Walks the steps without using them, to come to the message. */
static const uint8_t *find_message(struct cursor *c, uint16_t ttls)
{
	for (unsigned i = 0; i < ttls; i++)
		if (cursor_u8(c) == LONG_STEP)
			cursor_u16(c);
	return cursor_bad(c) ? NULL : c->pos;
}

static bool age_ttls(
	struct cursor steps, uint16_t ttls, uint32_t age, uint8_t *msg, size_t len)
{
	size_t at = HEADER;
	for (unsigned i = 0; i < ttls; i++) {
		uint16_t step = cursor_u8(&steps);
		if (step == LONG_STEP)
			step = cursor_u16(&steps);
		at += step;
		if (at + sizeof(uint32_t) > len)
			return false;
		uint32_t ttl;
		memcpy(&ttl, msg + at, sizeof(ttl));
		ttl = be32toh(ttl);
		ttl = htobe32(ttl > age ? ttl - age : 0);
		memcpy(msg + at, &ttl, sizeof(ttl));
	}
	return true;
}

static bool rotate_records(const struct rotation *r, uint32_t by, const uint8_t *from,
	uint8_t *to, size_t len)
{
	if (r->len > RDATA_MAX || r->stride < r->len ||
		r->at + (size_t)(r->count - 1) * r->stride + r->len > len)
		return false;
	for (unsigned i = 0; i < r->count; i++) {
		const size_t here = r->at + (size_t)i * r->stride;
		const size_t there = r->at + (size_t)((i + by) % r->count) * r->stride;
		memcpy(to + here, from + there, r->len);
	}
	return true;
}

static bool fill_in(
	uint8_t *out, size_t len, uint16_t id, uint16_t flags, const uint8_t *qname)
{
	const size_t name = name_len(qname);
	if (HEADER + name + 4 > len || name_check(out + HEADER, len - HEADER) != name)
		return false;
	put_u16(out, id);
	const uint16_t stored = (uint16_t)(out[2] << 8 | out[3]);
	const uint16_t theirs = FLAG_RD | FLAG_CD;
	put_u16(out + 2, (uint16_t)((stored & ~theirs) | (flags & theirs)));
	memcpy(out + HEADER, qname, name);
	return true;
}

size_t answer_get(struct cache *c, const struct cache_key *key, const struct now *now,
	uint16_t id, uint16_t flags, const uint8_t *qname, uint32_t rotate,
	uint8_t *out, size_t cap, struct cache_meta *meta, bool *too_long)
{
	*too_long = false;
	const union entry *e = cache_get_entry(c, key, now);
	if (!e)
		return 0;
	struct cursor at = cursor_over(entry_value(e), e->head.value_len);
	const uint16_t ttls = cursor_u16(&at);
	struct rotation r = { .at = cursor_u16(&at) };
	r.stride = cursor_u16(&at);
	r.count = cursor_u16(&at);
	const uint16_t rdata_len = cursor_u16(&at);
	r.len = rdata_len > RDATA_MAX ? RDATA_MAX + 1 : (uint8_t)rdata_len;
	const struct cursor steps = at;
	const uint8_t *msg = find_message(&at, ttls);
	const size_t len = cursor_left(&at);
	if (!msg || len < HEADER)
		return 0;
	if (len > cap) {
		*too_long = true;
		return 0;
	}
	memcpy(out, msg, len);
	const int64_t age = now_wall_s(now) - e->head.stored_s;
	if (!fill_in(out, len, id, flags, qname) ||
		!age_ttls(steps, ttls, age > 0 ? (uint32_t)age : 0, out, len))
		return 0;
	if (rotate && r.count > 1 && !rotate_records(&r, rotate, msg, out, len))
		return 0;
	cache_entry_meta(e, meta);
	return len;
}
