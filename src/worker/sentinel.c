/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/sentinel.h"

#include <string.h>
#include <strings.h>

#include "dnssec/anchor.h"
#include "dnssec/ds.h"
#include "wire/codes.h"

/* Section 2.1: the first label, its key tag in five decimal digits. */
bool sentinel_name(const uint8_t *name, bool *is_ta, uint16_t *tag)
{
	static const char is[] = "root-key-sentinel-is-ta-",
			  not [] = "root-key-sentinel-not-ta-";
	enum { DIGITS = 5 };
	const char *label = (const char *)name + 1;
	const size_t len = name[0];
	uint32_t number = 0;
	if (len == sizeof(is) - 1 + DIGITS &&
		strncasecmp(label, is, sizeof(is) - 1) == 0)
		*is_ta = true;
	else if (len == sizeof(not ) - 1 + DIGITS &&
		 strncasecmp(label, not, sizeof(not ) - 1) == 0)
		*is_ta = false;
	else
		return false;
	for (size_t i = len - DIGITS; i < len; i++) {
		if (label[i] < '0' || label[i] > '9')
			return false;
		number = number * 10 + (uint32_t)(label[i] - '0');
	}
	*tag = (uint16_t)number;
	return number <= UINT16_MAX;
}

static bool root_has(const struct worker *w, uint16_t tag)
{
	static const uint8_t root[1] = { 0 };
	const struct anchor *a =
		anchor_find(w->anchors, root, now_wall_s(loop_now(w->loop)));
	if (!a || a->kind != ANCHOR_POSITIVE)
		return false;
	for (unsigned i = 0; i < a->ds.count; i++) {
		struct ds ds;
		const struct rdata item = rrset_at(&a->ds, i);
		if (ds_read(&ds, item.bytes, item.len) && ds.tag == tag)
			return true;
	}
	return false;
}

bool sentinel_fails(
	struct worker *w, const struct query *q, const struct iter_answer *answer)
{
	bool is_ta;
	uint16_t tag;
	if ((q->qtype != TYPE_A && q->qtype != TYPE_AAAA) ||
		!sentinel_name(q->name, &is_ta, &tag))
		return false;
	if (!w->anchors || answer->status != CACHE_SECURE ||
		answer->rcode == RCODE_SERVFAIL || q->flags & FLAG_CD ||
		!conf_module_on(w->conf, MODULE_ta_sentinel) ||
		root_has(w, tag) == is_ta)
		return false;
	counter_up(w->counters, answers_sentinel);
	return true;
}
