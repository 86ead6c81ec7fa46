/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/rrsig.h"

#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/name.h"

enum { FIXED = 18 };

bool rrsig_read(struct rrsig *s, const uint8_t *rdata, size_t len)
{
	struct cursor c = cursor_over(rdata, len);
	struct rrsig sig = { .fixed = rdata };
	sig.covers = cursor_u16(&c);
	sig.algorithm = cursor_u8(&c);
	sig.labels = cursor_u8(&c);
	sig.original_ttl = cursor_u32(&c);
	sig.expires = cursor_u32(&c);
	sig.begins = cursor_u32(&c);
	sig.tag = cursor_u16(&c);
	sig.signer = c.pos;
	if (!cursor_take(&c, name_check(c.pos, cursor_left(&c))) || c.pos == sig.signer)
		return false;
	const size_t left = cursor_left(&c);
	sig.signature = cursor_take(&c, left);
	if (!left || left > UINT16_MAX)
		return false;
	sig.signature_len = (uint16_t)left;
	*s = sig;
	return true;
}

struct rrsig_walk rrsig_begin(const struct rrset *rr)
{
	struct rrsig_walk w = { rrset_begin(rr), rr->sig_count };
	struct rdata record;
	for (unsigned i = 0; i < rr->count && rrset_next(&w.at, &record); i++)
		;
	return w;
}

bool rrsig_next(struct rrsig_walk *w, struct rrsig *s)
{
	struct rdata item;
	while (w->left && rrset_next(&w->at, &item)) {
		w->left--;
		if (rrsig_read(s, item.bytes, item.len))
			return true;
	}
	return false;
}

unsigned rrsig_count_labels(const uint8_t *owner)
{
	return name_labels(owner) - name_is_wildcard(owner);
}

/* Fewer labels than the signer's would make a wildcard above the zone: CVE-2026-44690.
 */
bool rrsig_fits(const struct rrsig *s, const struct rrset *rr, const uint8_t *zone)
{
	/* a DS is its parent's, whoever signs it */
	if (rr->type == TYPE_DS && name_equal(rr->name, zone))
		return false;
	return s->covers == rr->type && name_equal(s->signer, zone) &&
	       name_within(rr->name, zone) &&
	       s->labels <= rrsig_count_labels(rr->name) &&
	       s->labels >= name_labels(zone);
}

/* RFC 1982: is a before b? */
static bool time_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

int rrsig_time_error(const struct rrsig *s, uint32_t now)
{
	if (time_before(s->expires, s->begins))
		return EDE_SIGNATURE_EXPIRED_BEFORE_VALID;
	if (time_before(s->expires, now))
		return EDE_SIGNATURE_EXPIRED;
	if (time_before(now, s->begins))
		return EDE_SIGNATURE_NOT_YET_VALID;
	return EDE_NONE;
}

bool rrsig_expanded(const struct rrsig *s, const uint8_t *owner)
{
	return s->labels < rrsig_count_labels(owner);
}

uint32_t rrsig_ttl(const struct rrsig *s, uint32_t ttl, uint32_t now)
{
	const uint32_t left = s->expires - now;
	if (ttl > s->original_ttl)
		ttl = s->original_ttl;
	return ttl < left ? ttl : left;
}
