/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/keep.h - which finished answers are worth a place in the cache: those asked
 * twice.
 *
 * Names that are asked once (a flood of random ones) leave only a mark in a small table
 * of this process. */
#pragma once

#include "worker/worker.h"

/* The answer to `q` as a resolution gave it, if it was asked for before. */
void keep_answer(
	struct worker *w, const struct query *q, const struct resolve_result *result);
/* Of one that was kept: in any case. */
void keep_again(
	struct worker *w, const struct query *q, const struct resolve_result *result);
