/* SPDX-License-Identifier: GPL-3.0-or-later */
/* meddle.h - what somebody on the way may do to a server's reply. */
#pragma once

#include "play.h"

struct meddler {
	uint64_t state;  /* of its random numbers: not 0 */
	unsigned one_in; /* so many replies one is changed */
	bool trace;
};

/* A stage_meddle_fn; `ctx` is a struct meddler. */
size_t meddle(void *ctx, const struct play *p, uint8_t *msg, size_t len, size_t cap);
