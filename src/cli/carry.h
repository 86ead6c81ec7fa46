/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/carry.h - the cache as lines of text, and back (cli/cacheline.h has their form). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "cache/cache.h"

struct carry_count {
	uint64_t done, skipped; /* entries */
};

/* RRsets, denials and zone cuts with all that proves them; not what is made of them
 * (finished answers) and what passes (failures). */
bool carry_out(
	struct cache *c, const struct now *now, FILE *file, struct carry_count *count);
/* False: a line could not be read, which is said on stderr; those before it are in. */
bool carry_in(
	struct cache *c, const struct now *now, FILE *file, struct carry_count *count);
