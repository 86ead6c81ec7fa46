/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/rdata.h"

#include <string.h>

#include "wire/codes.h"
#include "wire/msg.h"
#include "wire/name.h"

enum {
	NAME = FIELD_NAME,
	PLAIN = FIELD_NAME_PLAIN,
	STRING = FIELD_STRING,
	SHAPES = 64, /* higher types are opaque */
	RRSIG_FIXED = 18,
	SOA_FIXED = 20,
};

/* TXT is opaque: what it says is never looked at. */
static const uint8_t shapes[SHAPES][FIELDS_MAX] = {
	[TYPE_A] = { 4 },
	[TYPE_NS] = { NAME },
	[3 /* MD */] = { NAME },
	[4 /* MF */] = { NAME },
	[TYPE_CNAME] = { NAME },
	[TYPE_SOA] = { NAME, NAME, SOA_FIXED },
	[7 /* MB */] = { NAME },
	[8 /* MG */] = { NAME },
	[9 /* MR */] = { NAME },
	[TYPE_PTR] = { NAME },
	[14 /* MINFO */] = { NAME, NAME },
	[TYPE_MX] = { 2, NAME },
	[17 /* RP */] = { PLAIN, PLAIN },
	[18 /* AFSDB */] = { 2, PLAIN },
	[21 /* RT */] = { 2, PLAIN },
	[TYPE_SIG] = { RRSIG_FIXED, PLAIN, FIELD_REST },
	[26 /* PX */] = { 2, PLAIN, PLAIN },
	[TYPE_AAAA] = { 16 },
	[30 /* NXT */] = { PLAIN, FIELD_REST },
	[TYPE_SRV] = { 6, PLAIN },
	[TYPE_NAPTR] = { 4, STRING, STRING, STRING, PLAIN },
	[36 /* KX */] = { 2, PLAIN },
	[TYPE_DNAME] = { PLAIN },
	[TYPE_DS] = { 4, FIELD_REST_FULL },
	[TYPE_RRSIG] = { RRSIG_FIXED, PLAIN, FIELD_REST_FULL },
	[TYPE_NSEC] = { PLAIN, FIELD_BITMAP },
	[TYPE_DNSKEY] = { 4, FIELD_REST },
	[TYPE_NSEC3] = { 4, STRING, FIELD_STRING_FULL, FIELD_BITMAP },
	[TYPE_NSEC3PARAM] = { 4, STRING },
};

const uint8_t *rdata_fields(uint16_t type)
{
	return type < SHAPES && shapes[type][0] ? shapes[type] : NULL;
}

/* Windows rise, each has 1 to 32 bytes. */
static bool bitmap_skip(struct cursor *c)
{
	for (int last = -1; cursor_left(c);) {
		const int window = cursor_u8(c);
		const uint8_t len = cursor_u8(c);
		if (!cursor_take(c, len) || window <= last || !len || len > 32)
			return false;
		last = window;
	}
	return true;
}

bool rdata_field_skip(struct cursor *c, uint8_t field)
{
	uint8_t len;
	switch (field) {
	case FIELD_STRING:
	case FIELD_STRING_FULL:
		len = cursor_u8(c);
		return cursor_take(c, len) && (len || field == FIELD_STRING);
	case FIELD_BITMAP:
		return bitmap_skip(c);
	case FIELD_REST:
	case FIELD_REST_FULL:
		if (!cursor_left(c) && field == FIELD_REST_FULL)
			return false;
		return cursor_take(c, cursor_left(c)) != NULL;
	default:
		return cursor_take(c, field) != NULL;
	}
}

bool rdata_valid(uint16_t type, const uint8_t *rdata, size_t len)
{
	const uint8_t *field = rdata_fields(type);
	if (!field)
		return true;
	struct cursor c = cursor_over(rdata, len);
	for (; *field; field++) {
		if (*field != NAME && *field != PLAIN) {
			if (!rdata_field_skip(&c, *field))
				return false;
			continue;
		}
		const size_t name = name_check(c.pos, cursor_left(&c));
		if (!name)
			return false;
		cursor_take(&c, name);
	}
	return !cursor_left(&c);
}

/* A field by field copy of compressed RDATA. */
int msg_rdata(const struct msg *m, const struct msg_rr *rr, uint8_t *out, size_t cap)
{
	struct cursor c = cursor_over(rr->rdata, rr->rdata_len);
	const uint8_t *field = rdata_fields(rr->type);
	static const uint8_t opaque[] = { FIELD_REST, FIELD_END };
	size_t len = 0;
	for (field = field ? field : opaque; *field; field++) {
		uint8_t name[NAME_MAX_LEN];
		const uint8_t *from = c.pos;
		size_t part;
		if (*field == NAME || *field == PLAIN) {
			part = name_read(&c, m->pkt, name);
			if (!part)
				return -1;
			from = name;
		} else {
			if (!rdata_field_skip(&c, *field))
				return -1;
			part = (size_t)(c.pos - from);
		}
		if (part > cap - len)
			return -1;
		if (part)
			memcpy(out + len, from, part);
		len += part;
	}
	/* a name that was compressed may be longer than RDATA can be */
	return cursor_left(&c) || len > UINT16_MAX ? -1 : (int)len;
}

int rdata_target(uint16_t type)
{
	switch (type) {
	case TYPE_NS:
	case TYPE_CNAME:
	case TYPE_DNAME:
	case TYPE_PTR:
		return 0;
	case TYPE_MX:
		return 2;
	case TYPE_SRV:
		return 6;
	default:
		return -1;
	}
}

uint16_t rdata_rrsig_covers(const uint8_t *rdata, size_t len)
{
	if (len < RRSIG_FIXED)
		return 0;
	return (uint16_t)(rdata[0] << 8 | rdata[1]);
}

uint32_t rdata_soa_minimum(const uint8_t *rdata, size_t len, uint32_t fallback)
{
	struct cursor c = cursor_over(rdata, len);
	for (int i = 0; i < 2; i++) {
		const size_t name = name_check(c.pos, cursor_left(&c));
		if (!name)
			return fallback;
		cursor_take(&c, name);
	}
	cursor_take(&c, SOA_FIXED - 4);
	const uint32_t minimum = cursor_u32(&c);
	return cursor_bad(&c) || cursor_left(&c) ? fallback : minimum;
}
