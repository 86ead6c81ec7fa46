/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/sentinel.h - which root keys are trusted here? Asked by names, answered by
 * SERVFAIL or the data: RFC 8509. The module ta_sentinel. */
#pragma once

#include "worker/worker.h"

/* Must this answer be SERVFAIL instead? Counted. */
bool sentinel_fails(
	struct worker *w, const struct query *q, const struct iter_answer *answer);
/* Is it one of the root's keys: "is-ta", "not-ta"? False: no such name. */
bool sentinel_name(const uint8_t *name, bool *is_ta, uint16_t *tag);
