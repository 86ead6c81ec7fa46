/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/counters.h"

#include <assert.h>

const struct counter_row counter_rows[COUNTER_COUNT] = {
#define X(id, kind, help) { #id, help, COUNTER_KIND_##kind },
	COUNTERS(X)
#undef X
};

uint64_t counter_get(const struct counters *c, unsigned i)
{
	assert(i < COUNTER_COUNT);
	return __atomic_load_n((const uint64_t *)c + i, __ATOMIC_RELAXED);
}
