/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/rrset.h"

#include <string.h>

bool rrset_next(struct rrset_walk *w, struct rdata *out)
{
	uint16_t len;
	const size_t left = (size_t)(w->end - w->at);
	if (left < sizeof(len))
		return false;
	memcpy(&len, w->at, sizeof(len));
	if (left - sizeof(len) < len)
		return false;
	*out = (struct rdata){ w->at + sizeof(len), len };
	w->at += sizeof(len) + len;
	return true;
}

bool rrset_valid(const struct rrset *rr)
{
	struct rrset_walk w = rrset_begin(rr);
	struct rdata item;
	unsigned items = 0;
	while (rrset_next(&w, &item))
		items++;
	return w.at == w.end && items == (unsigned)rr->count + rr->sig_count;
}

struct rdata rrset_at(const struct rrset *rr, unsigned i)
{
	struct rrset_walk w = rrset_begin(rr);
	struct rdata item;
	for (; rrset_next(&w, &item); i--)
		if (!i)
			return item;
	return (struct rdata){ 0 };
}

bool rrset_has(const struct rrset *rr, const uint8_t *bytes, uint16_t len)
{
	struct rrset_walk w = rrset_begin(rr);
	struct rdata item;
	for (unsigned i = 0; i < rr->count && rrset_next(&w, &item); i++)
		if (item.len == len && memcmp(item.bytes, bytes, len) == 0)
			return true;
	return false;
}
