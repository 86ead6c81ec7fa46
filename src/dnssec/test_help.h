/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/test_help.h - RRsets out of the vectors' hex, for tests and benchmarks. */
#pragma once

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "wire/name.h"
#include "wire/rrset.h"

struct vector {
	const char *name, *zone;
	uint32_t now;
	const char *owner;
	uint16_t type;
	uint32_t ttl;
	const char *keys[4], *ds[4], *rdata[4], *sigs[4];
};

struct denial_vector {
	const char *zone, *owner;
	uint16_t type;
	const char *rdata;
};

struct test_set {
	struct rrset rr;
	uint8_t name[NAME_MAX_LEN];
	uint8_t data[8192];
};

static inline size_t unhex(uint8_t *out, const char *hex)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = 0;
	for (; hex[0] && hex[1]; hex += 2)
		out[len++] = (uint8_t)((strchr(digits, hex[0]) - digits) << 4 |
				       (strchr(digits, hex[1]) - digits));
	return len;
}

static inline void set_begin(struct test_set *s, const char *owner, uint16_t type)
{
	memset(s, 0, sizeof(*s));
	const size_t len = name_from_text(s->name, owner);
	assert(len);
	s->rr = (struct rrset){
		.name = s->name, .type = type, .rclass = 1, .ttl = 3600, .data = s->data
	};
}

/* Records before signatures. */
static inline void set_add(
	struct test_set *s, const uint8_t *rdata, size_t len, int sig)
{
	const uint16_t size = (uint16_t)len;
	assert(s->rr.data_len + 2 + len <= sizeof(s->data));
	memcpy(s->data + s->rr.data_len, &size, 2);
	if (len)
		memcpy(s->data + s->rr.data_len + 2, rdata, len);
	s->rr.data_len += 2u + size;
	s->rr.count = (uint16_t)(s->rr.count + !sig);
	s->rr.sig_count = (uint16_t)(s->rr.sig_count + !!sig);
}

static inline void set_add_hex(struct test_set *s, const char *const *hex, int sig)
{
	uint8_t bytes[2048];
	for (unsigned i = 0; i < 4 && hex[i]; i++) {
		const size_t len = unhex(bytes, hex[i]);
		set_add(s, bytes, len, sig);
	}
}

/* The signed RRset, the keys and the DS records of a vector. */
static inline void set_vector(const struct vector *v, struct test_set *rr,
	struct test_set *keys, struct test_set *ds)
{
	set_begin(rr, v->owner, v->type);
	rr->rr.ttl = v->ttl;
	set_add_hex(rr, v->rdata, 0);
	set_add_hex(rr, v->sigs, 1);
	set_begin(keys, v->zone, 48);
	set_add_hex(keys, v->keys, 0);
	set_begin(ds, v->zone, 43);
	set_add_hex(ds, v->ds, 0);
}
