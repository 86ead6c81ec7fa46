/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/ta_signal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dnssec/ds.h"
#include "policy/policy.h"
#include "wire/codes.h"

enum {
	TAGS_MAX = 12, /* of one label */
	LABEL_MAX = 63,
	FIRST_MIN_MS = 1000,
	FIRST_SPREAD_MS = 4000,
	AGAIN_S = 86400, /* about as often as the root's keys are asked for */
};

static int tag_order(const void *a, const void *b)
{
	uint16_t x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

size_t ta_signal_name(const struct anchor *a, uint8_t out[static NAME_MAX_LEN])
{
	uint16_t tags[TAGS_MAX];
	unsigned count = 0;
	char *label = (char *)out + 1; /* its NUL is written over */
	for (unsigned i = 0; i < a->ds.count && count < TAGS_MAX; i++) {
		struct ds ds;
		const struct rdata item = rrset_at(&a->ds, i);
		if (ds_read(&ds, item.bytes, item.len))
			tags[count++] = ds.tag;
	}
	qsort(tags, count, sizeof(*tags), tag_order);
	size_t len = (size_t)snprintf(label, LABEL_MAX + 1, "_ta");
	for (unsigned i = 0; i < count; i++)
		if (!i || tags[i] != tags[i - 1]) /* two digests of one key */
			len += (size_t)snprintf(
				label + len, LABEL_MAX + 1 - len, "-%04x", tags[i]);
	const size_t owner_len = name_len(a->owner);
	if (!count || 1 + len + owner_len > NAME_MAX_LEN)
		return 0;
	out[0] = (uint8_t)len;
	memcpy(out + 1 + len, a->owner, owner_len);
	return 1 + len + owner_len;
}

/* What comes back does not matter: asking was telling. */
static void told(void *ctx, const struct resolve_result *result)
{
	(void)ctx, (void)result;
}

static void tell(struct worker *w, const struct anchor *a)
{
	uint8_t name[NAME_MAX_LEN];
	char text[NAME_TEXT_MAX];
	if (!ta_signal_name(a, name))
		return;
	struct waiter waiter = { .done = told, .ctx = w, .q.name = name };
	struct resolve_query q = {
		.iter = { .name = name, .type = TYPE_NULL, .rclass = CLASS_IN },
	};
	policy_route(w->conf, name, &q.iter.route);
	log_info(
		TASIGN, "telling which keys are trusted: %s", name_to_text(name, text));
	if (resolve_ask(w->resolve, &q, &waiter) != RESOLVE_BUSY)
		counter_up(w->counters, anchors_signals);
}

static void signal_all(void *ctx)
{
	struct worker *w = ctx;
	const struct now *now = loop_now(w->loop);
	for (size_t i = 0; i < anchor_set_count(w->anchors); i++) {
		const struct anchor *a = anchor_set_at(w->anchors, i);
		if (a->kind == ANCHOR_POSITIVE)
			tell(w, a);
	}
	loop_timer_set(w->loop, &w->signal_timer,
		now->mono_us +
			AGAIN_S * (900000 + (int64_t)random_below(&w->random, 100000)),
		signal_all, w);
}

void ta_signal_start(struct worker *w)
{
	if (!conf_module_on(w->conf, MODULE_ta_signal_query))
		return;
	const int64_t ms = FIRST_MIN_MS + random_below(&w->random, FIRST_SPREAD_MS);
	loop_timer_set(w->loop, &w->signal_timer,
		loop_now(w->loop)->mono_us + ms * 1000, signal_all, w);
}
