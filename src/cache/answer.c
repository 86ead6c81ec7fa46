/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stored: a head, the distances between the TTLs (one byte, or 255 and two), the parts and
 * cuts (cache/parts.h), the message without what is cut out. Rotating swaps the RDATA of A or AAAA
 * records, which stand at even distances and hold no compressed names. */
#include "cache/answer.h"

#include <endian.h>
#include <string.h>

#include "base/limits.h"
#include "cache/internal.h"
#include "cache/parts.h"
#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/msg.h"
#include "wire/name.h"

enum {
	HEADER = 12, /* of a DNS message */
	LONG_STEP = 255,
	TTL_TO_RDATA = 6, /* TTL 4, RDLENGTH 2 */
	RDATA_MAX = 16,
};

/* Native: it stays on this machine, and in a snapshot of its own layout. */
struct answer_head {
	uint16_t ttls, steps_len;
	uint16_t at, stride, count; /* struct rotation */
	uint8_t rdata_len, parts;
	uint16_t cuts;
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

static uint8_t *put_bytes(uint8_t *to, const void *from, size_t len)
{
	if (len)
		memcpy(to, from, len);
	return to + len;
}

bool answer_put(struct cache *c, const struct cache_key *key, const struct now *now,
	const struct cache_meta *meta, const uint8_t *msg, size_t len)
{
	static struct layout l; /* too large for a stack */
	static uint8_t value[CACHE_VALUE_MAX];
	static struct parts parts;
	struct msg m;
	if (len > UINT16_MAX || !msg_read(&m, msg, len) || m.edns || m.qd_count != 1 ||
		!name_equal(m.qname, key->name) || !lay_out(&l, &m))
		return false;
	const struct rotation *r = &l.rotation;
	const bool rotates = r->count > 1 && !r->uneven;
	parts.count = parts.cut_count = 0;
	if (key->flags & CACHE_KEY_DO)
		parts_find(c, key, &m, &parts);
	const struct answer_head head = {
		.ttls = l.ttls,
		.steps_len = (uint16_t)l.steps_len,
		.at = r->at,
		.stride = r->stride,
		.count = rotates ? r->count : 0,
		.rdata_len = r->len,
		.parts = (uint8_t)parts.count,
		.cuts = (uint16_t)parts.cut_count,
	};
	const size_t parts_len = parts.count * sizeof(parts.part[0]),
		     cuts_len = parts.cut_count * sizeof(parts.cut[0]);
	if (sizeof(head) + l.steps_len + parts_len + cuts_len + len > sizeof(value))
		return false;
	uint8_t *end = put_bytes(value, &head, sizeof(head));
	end = put_bytes(end, l.steps, l.steps_len);
	end = put_bytes(end, parts.part, parts_len);
	end = put_bytes(end, parts.cut, cuts_len);
	size_t at = 0;
	for (unsigned i = 0; i < parts.cut_count; i++) {
		const struct cut *cut = &parts.cut[i];
		end = put_bytes(end, msg + at, cut->at - at);
		at = (size_t)cut->at + cut->len;
	}
	end = put_bytes(end, msg + at, len - at);
	struct cache_meta own = *meta;
	own.user = parts.count ? ANSWER_HAS_PARTS : 0;
	return cache_put(c, key, now, &own, value, (size_t)(end - value));
}

/* --- handing out ------------------------------------------------- */

/* A value, read and bounded. */
struct stored {
	struct answer_head head;
	struct cursor steps;
	const uint8_t *body;
	size_t body_len, len; /* of the message, with what is cut out */
	bool has_parts;
};

static bool read_parts(
	struct cursor *c, const struct answer_head *h, struct parts *p, size_t *cut_len)
{
	if (h->parts > PARTS_MAX || h->cuts > CUTS_MAX)
		return false;
	p->count = h->parts;
	p->cut_count = h->cuts;
	const uint8_t *parts = cursor_take(c, h->parts * sizeof(p->part[0]));
	const uint8_t *cuts = cursor_take(c, h->cuts * sizeof(p->cut[0]));
	if (!parts || !cuts)
		return false;
	memcpy(p->part, parts, h->parts * sizeof(p->part[0]));
	memcpy(p->cut, cuts, h->cuts * sizeof(p->cut[0]));
	*cut_len = 0;
	for (unsigned i = 0; i < p->cut_count; i++)
		*cut_len += p->cut[i].len;
	return true;
}

/* `p` is filled where there are parts. */
static bool read_stored(const union entry *e, struct stored *s, struct parts *p)
{
	struct cursor c = cursor_over(entry_value(e), e->head.value_len);
	const uint8_t *head = cursor_take(&c, sizeof(s->head));
	size_t cut_len = 0;
	if (!head)
		return false;
	memcpy(&s->head, head, sizeof(s->head));
	const uint8_t *steps = cursor_take(&c, s->head.steps_len);
	if (!steps)
		return false;
	s->steps = cursor_over(steps, s->head.steps_len);
	s->has_parts = s->head.parts != 0;
	if (s->has_parts && !read_parts(&c, &s->head, p, &cut_len))
		return false;
	s->body = c.pos;
	s->body_len = cursor_left(&c);
	s->len = s->body_len + cut_len;
	return s->len >= HEADER && s->len <= UINT16_MAX;
}

/* The message as it was: false if a part is gone. */
static bool put_together(
	struct cache *c, const struct stored *s, const struct parts *p, uint8_t *out)
{
	if (!s->has_parts) {
		memcpy(out, s->body, s->len);
		return true;
	}
	size_t at = 0, taken = 0;
	for (unsigned i = 0; i < p->cut_count; i++) {
		const struct cut *cut = &p->cut[i];
		if (cut->at < at || cut->at - at > s->body_len - taken)
			return false;
		memcpy(out + at, s->body + taken, cut->at - at);
		taken += cut->at - at;
		at = (size_t)cut->at + cut->len;
	}
	if (s->len - at != s->body_len - taken)
		return false;
	memcpy(out + at, s->body + taken, s->len - at);
	return parts_fill(c, p, out, s->len);
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

static bool rotate_records(
	const struct answer_head *h, uint32_t by, uint8_t *msg, size_t len)
{
	static uint8_t before[UINT16_MAX];
	const size_t span = (size_t)(h->count - 1) * h->stride + h->rdata_len;
	if (h->at < HEADER || h->rdata_len > RDATA_MAX || h->stride < h->rdata_len ||
		h->at + span > len)
		return false;
	memcpy(before, msg + h->at, span);
	unsigned from = by % h->count;
	for (unsigned i = 0; i < h->count; i++) {
		memcpy(msg + h->at + (size_t)i * h->stride,
			before + (size_t)from * h->stride, h->rdata_len);
		from = from + 1 == h->count ? 0 : from + 1;
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
	static struct parts parts;
	struct stored s;
	if (!read_stored(e, &s, &parts))
		return 0;
	if (s.len > cap) {
		*too_long = true;
		return 0;
	}
	const int64_t age = now_wall_s(now) - e->head.stored_s;
	if (!put_together(c, &s, &parts, out) ||
		!fill_in(out, s.len, id, flags, qname) ||
		!age_ttls(
			s.steps, s.head.ttls, age > 0 ? (uint32_t)age : 0, out, s.len))
		return 0;
	if (rotate && s.head.count > 1 && !rotate_records(&s.head, rotate, out, s.len))
		return 0;
	cache_entry_meta(e, meta);
	return s.len;
}
