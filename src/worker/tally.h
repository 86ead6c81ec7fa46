/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/tally.h - which counters one answer moves. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/counters.h"

/* An answer leaves, so long after its query came. */
void tally_answer(struct counters *c, unsigned rcode, bool has_data, int64_t took_us);
