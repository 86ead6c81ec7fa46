/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/bundle.h - a few RRsets as one cache value: what kinds RRSET to CUT hold. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/msg.h"
#include "wire/rrset.h"

/* A cut: NS, DS or its denial, glue of both families for most. */
enum { BUNDLE_MAX = 40 };

struct bundle_item {
	/* ANSWER: the data itself; AUTHORITY: SOA, NSEC.. that prove it */
	enum msg_section section;
	struct rrset rr; /* ttl as it was when stored */
};

/* Bytes written, or 0 if it does not fit. `key`: the name under which it will lie, which
 * owners that are the same, to the letter, need not repeat; NULL: unknown. */
size_t bundle_write(uint8_t *buf, size_t cap, const uint8_t *key,
	const struct bundle_item *items, size_t count);
/* Items borrow from `value` and `key`. Everything is checked, for the cache is an input. Returns
 * the count, or -1. */
int bundle_read(const uint8_t *value, size_t len, const uint8_t *key,
	struct bundle_item items[static BUNDLE_MAX]);
