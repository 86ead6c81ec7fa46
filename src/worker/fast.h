/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/fast.h - the fast path: a finished answer from the shared cache, no
 * allocation. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "worker/worker.h"

/* Where what is kept about a question as it was asked lies. Borrows the name. */
struct cache_key fast_key(const struct query *q, enum cache_kind kind, uint64_t domain);
/* The length of the answer written to `out`, or 0: a miss. *due: it nears its end and
 * has so many seconds left; else 0. */
size_t fast_answer(struct worker *w, const struct query *q, enum transport via,
	uint64_t domain, uint8_t *out, size_t cap, uint32_t *due_s);

/* Of a batch: what it asks for will be looked up; 0: nothing. Then, with what it gave. */
uint64_t fast_ahead(struct worker *w, const uint8_t *pkt, size_t len);
void fast_ahead_next(struct worker *w, uint64_t ahead);
