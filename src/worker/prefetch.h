/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/prefetch.h - popular answers are fetched anew shortly before their end.
 *
 * The client has the cached answer at once. A mark in the shared cache keeps the other
 * instances from doing the same; only what nears its end is asked for, so of an alias
 * perhaps the target alone. */
#pragma once

#include "worker/worker.h"

bool prefetch_open(struct worker *w);
void prefetch_close(struct worker *w);
/* The finished answer to `q` was handed out in the last part of its life. */
void prefetch_start(struct worker *w, const struct query *q, const struct route *route,
	uint32_t left_s);
