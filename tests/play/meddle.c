/* SPDX-License-Identifier: GPL-3.0-or-later */
/* meddle.c - records are left out, doubled, moved, changed; bits are flipped; another reply
 * comes in its place, or none. Names in play files are not compressed, so that a record
 * is its bytes, wherever it stands. */
#include "meddle.h"

#include <stdio.h>
#include <string.h>

#include "wire/codes.h"
#include "wire/cursor.h"

enum {
	PARTS = 256,
	HEADER = 12,
	OPS_MAX = 3,
	FIXED = 10 /* of a record, after its name */
};

struct part { /* a record */
	const uint8_t *at;
	size_t len;
	size_t name_len;
	unsigned section;
};

struct draft { /* the message, taken apart */
	uint8_t bytes[PLAY_MESSAGE];
	size_t body; /* header and question */
	struct part parts[PARTS];
	unsigned count;
};

static unsigned below(struct meddler *m, size_t bound)
{
	m->state ^= m->state << 13;
	m->state ^= m->state >> 7;
	m->state ^= m->state << 17;
	return bound ? (unsigned)((m->state >> 11) % bound) : 0;
}

static unsigned get16(const uint8_t *at)
{
	return (unsigned)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, unsigned n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

static bool take_apart(struct draft *d, const uint8_t *msg, size_t len)
{
	memcpy(d->bytes, msg, len);
	struct cursor c = cursor_over(d->bytes, len);
	cursor_take(&c, HEADER);
	for (unsigned i = get16(msg + 4); i && !cursor_bad(&c); i--) {
		name_skip(&c);
		cursor_take(&c, 4);
	}
	d->body = len - cursor_left(&c);
	d->count = 0;
	for (unsigned section = 0; section < 3; section++)
		for (unsigned i = get16(msg + 6 + 2 * section); i && !cursor_bad(&c);
			i--) {
			struct part *p = &d->parts[d->count];
			const size_t before = cursor_left(&c);
			p->at = d->bytes + (len - before);
			p->section = section;
			name_skip(&c);
			p->name_len = before - cursor_left(&c);
			cursor_take(&c, FIXED - 2);
			cursor_take(&c, cursor_u16(&c));
			p->len = before - cursor_left(&c);
			if (cursor_bad(&c) || ++d->count == PARTS)
				return !cursor_bad(&c);
		}
	return !cursor_bad(&c);
}

static size_t put_together(const struct draft *d, uint8_t *msg, size_t cap)
{
	size_t len = d->body;
	memcpy(msg, d->bytes, len);
	for (unsigned section = 0; section < 3; section++) {
		unsigned n = 0;
		for (unsigned i = 0; i < d->count; i++) {
			const struct part *p = &d->parts[i];
			if (p->section != section || len + p->len > cap)
				continue;
			memcpy(msg + len, p->at, p->len);
			len += p->len;
			n++;
		}
		put16(msg + 6 + 2 * section, n);
	}
	return len;
}

static uint16_t type_of(const struct part *p)
{
	return (uint16_t)get16(p->at + p->name_len);
}

/* The bytes of the draft's record, to be changed. */
static uint8_t *own(struct draft *d, const struct part *p)
{
	return d->bytes + (p->at - d->bytes);
}

static void leave_out(struct draft *d, unsigned i)
{
	memmove(&d->parts[i], &d->parts[i + 1],
		(d->count - i - 1) * sizeof(d->parts[0]));
	d->count--;
}

static void leave_out_type(struct draft *d, uint16_t type)
{
	for (unsigned i = d->count; i-- > 0;)
		if (type_of(&d->parts[i]) == type)
			leave_out(d, i);
}

static void flip(struct meddler *m, uint8_t *bytes, size_t len)
{
	if (len)
		bytes[below(m, len)] ^= (uint8_t)(1u << below(m, 8));
}

/* The name of another record in place of its own, if as long. */
static void rename_part(struct meddler *m, struct draft *d, struct part *p)
{
	const struct part *other = &d->parts[below(m, d->count)];
	if (other->name_len == p->name_len)
		memmove(own(d, p), other->at, p->name_len);
}

static void lengthen(struct meddler *m, struct draft *d, const struct part *p)
{
	uint8_t *ttl = own(d, p) + p->name_len + 4;
	ttl[below(m, 4)] = (uint8_t)below(m, 256);
}

/* Another message of the scenario under this header and question. */
static void replace(struct meddler *m, const struct play *p, struct draft *d)
{
	static struct draft other;
	const struct play_range *r =
		p->range_count ? &p->ranges[below(m, p->range_count)] : NULL;
	if (!r || !r->entry_count)
		return;
	const struct play_entry *e = &r->entries[below(m, r->entry_count)];
	if (e->raw || e->len < HEADER || !take_apart(&other, e->wire, e->len) ||
		d->body + e->len > sizeof(d->bytes))
		return;
	memcpy(d->bytes + d->body, other.bytes, e->len);
	put16(d->bytes + 2, get16(other.bytes + 2));
	d->count = other.count;
	for (unsigned i = 0; i < other.count; i++) {
		d->parts[i] = other.parts[i];
		d->parts[i].at = d->bytes + d->body + (other.parts[i].at - other.bytes);
	}
}

enum op {
	OP_LEAVE_OUT,
	OP_DOUBLE,
	OP_SWAP,
	OP_MOVE,
	OP_FLIP_DATA,
	OP_FLIP_RECORD,
	OP_FLIP_HEADER,
	OP_STRIP,
	OP_STRIP_TYPE,
	OP_RENAME,
	OP_TTL,
	OP_RETYPE,
	OP_RCODE,
	OP_REPLACE,
	OP_EMPTY,
	OP_COUNT
};

static void change(struct meddler *m, const struct play *p, struct draft *d)
{
	const enum op op = (enum op)below(m, OP_COUNT);
	const unsigned i = below(m, d->count);
	struct part *at = &d->parts[i];
	if (m->trace)
		fprintf(stderr, "    changed: %u at record %u of %u\n", op, i,
			d->count);
	if (!d->count && op != OP_FLIP_HEADER && op != OP_RCODE && op != OP_REPLACE)
		return;
	switch (op) {
	case OP_LEAVE_OUT:
		leave_out(d, i);
		break;
	case OP_DOUBLE:
		if (d->count < PARTS)
			d->parts[d->count++] = *at;
		break;
	case OP_SWAP: {
		struct part *other = &d->parts[below(m, d->count)], was = *at;
		*at = *other;
		*other = was;
		break;
	}
	case OP_MOVE:
		at->section = below(m, 3);
		break;
	case OP_FLIP_DATA:
		flip(m, own(d, at) + at->name_len + FIXED,
			at->len - at->name_len - FIXED);
		break;
	case OP_FLIP_RECORD:
		flip(m, own(d, at), at->len);
		break;
	case OP_FLIP_HEADER: /* not the id: that would be as if nothing came */
		flip(m, d->bytes + 2, 10);
		break;
	case OP_STRIP:
		leave_out_type(d, TYPE_RRSIG);
		break;
	case OP_STRIP_TYPE:
		leave_out_type(d, type_of(at));
		break;
	case OP_RENAME:
		rename_part(m, d, at);
		break;
	case OP_TTL:
		lengthen(m, d, at);
		break;
	case OP_RETYPE:
		put16(own(d, at) + at->name_len,
			type_of(&d->parts[below(m, d->count)]));
		break;
	case OP_RCODE:
		d->bytes[3] ^= RCODE_NXDOMAIN;
		break;
	case OP_REPLACE:
		replace(m, p, d);
		break;
	case OP_EMPTY:
		for (unsigned k = d->count; k-- > 0;)
			if (d->parts[k].section == at->section && k != i)
				leave_out(d, k);
		break;
	case OP_COUNT:
		break;
	}
}

size_t meddle(void *ctx, const struct play *p, uint8_t *msg, size_t len, size_t cap)
{
	enum { LOST_ONE_IN = 24, CUT_ONE_IN = 24, BYTES_ONE_IN = 8 };
	static struct draft d;
	struct meddler *m = ctx;
	if (below(m, m->one_in))
		return len;
	if (!below(m, LOST_ONE_IN))
		return 0;
	if (!below(m, CUT_ONE_IN))
		return below(m, len);
	if (!below(m, BYTES_ONE_IN)) {
		for (unsigned n = 1 + below(m, 8); n; n--)
			flip(m, msg + 2, len - 2);
		return len;
	}
	if (len < HEADER || !take_apart(&d, msg, len))
		return len;
	for (unsigned n = 1 + below(m, OPS_MAX); n; n--)
		change(m, p, &d);
	return put_together(&d, msg, cap);
}
