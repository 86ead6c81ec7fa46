/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/rounds.h - the same measurements several times, in turn, and their medians.
 *
 * What else the machine does meanwhile hits all ways alike, and one bad moment none. */
#pragma once

#include "compare/compare.h"

enum { ROUNDS_MAX = 99, WAYS_MAX = 16 };

/* Fills the row of one way: name, load, figures; or `skipped` and why. */
typedef void measure_fn(struct report *r, unsigned way, void *ctx, struct row *row);

/* A row for each of `ways` that is wanted, in their order. */
typedef const char *name_fn(unsigned way);
void rounds_measure(struct report *r, const char *table, unsigned ways, name_fn *name,
	measure_fn *measure, void *ctx);
/* Medians; what was lost is added up; skipped as soon as one was. */
void rounds_median(struct row *out, const struct row *rounds, unsigned count);
