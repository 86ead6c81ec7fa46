/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/ta_signal.h - tell zones which of their keys are trusted here: the query
 * _ta-4f66-9728. NULL, RFC 8145 section 5. The module ta_signal_query. */
#pragma once

#include "dnssec/anchor.h"
#include "worker/worker.h"

/* Soon, then once a day. The cache keeps all but one instance from sending it. */
void ta_signal_start(struct worker *w);
/* The name for an anchor; 0: no name for it. */
size_t ta_signal_name(const struct anchor *a, uint8_t out[static NAME_MAX_LEN]);
