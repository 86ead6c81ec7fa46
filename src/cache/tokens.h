/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/tokens.h - so many a second for each client, counted for the whole host.
 *
 * Instances lease batches from one table in shared memory (shm/tokens-v<layout>) and spend
 * them by themselves, so that no two write one line for each query: one instance or
 * sixteen give the same ceiling within a tenth. Lossy: a full or damaged row begins anew,
 * which gives a client one burst more. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"

enum { TOKENS_LAYOUT = 1 };

struct tokens;

struct tokens_limit {
	uint32_t per_s; /* 1 .. 1,000,000 */
	uint32_t burst; /* at once, after a pause; at least 1, at most 60 s of per_s */
};

/* NULL only for lack of memory: where no file can be had, this instance counts alone. */
struct tokens *tokens_open(const char *run_folder, struct random *rnd);
void tokens_close(struct tokens *t);
/* Once a second: a file that was removed, replaced or cut is left for the one that is there
 * now. */
void tokens_tick(struct tokens *t);
/* May it have one more? `client`: its address or prefix, `len` at most 32 bytes; `group`
 * tells limits apart that count the same client. */
bool tokens_take(struct tokens *t, uint32_t group, const void *client, uint8_t len,
	const struct tokens_limit *limit, const struct now *now);
