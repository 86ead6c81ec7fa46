/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/rounds.h"

#include <assert.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double figure_of(const struct row *row, size_t offset)
{
	return *(const double *)((const char *)row + offset);
}

static double median(const struct row *rounds, unsigned count, size_t offset)
{
	double values[ROUNDS_MAX];
	for (unsigned i = 0; i < count; i++)
		values[i] = figure_of(&rounds[i], offset);
	qsort(values, count, sizeof(values[0]), compare_doubles);
	if (count % 2)
		return values[count / 2];
	return (values[count / 2 - 1] + values[count / 2]) / 2;
}

void rounds_median(struct row *out, const struct row *rounds, unsigned count)
{
	static const size_t figures[] = { offsetof(struct row, rate),
		offsetof(struct row, cpu_us), offsetof(struct row, max_mean),
		offsetof(struct row, max_min), offsetof(struct row, chi_square),
		offsetof(struct row, busy_max_mean), offsetof(struct row, p50_us),
		offsetof(struct row, p99_us), offsetof(struct row, p999_us) };
	unsigned limited = 0;
	uint64_t lost = 0;
	assert(count > 0 && count <= ROUNDS_MAX);
	*out = rounds[0];
	for (unsigned i = 0; i < count; i++) {
		if (rounds[i].skipped) {
			*out = rounds[i];
			return;
		}
		limited += rounds[i].generator_limit;
		lost += rounds[i].lost;
	}
	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++)
		*(double *)((char *)out + figures[f]) =
			median(rounds, count, figures[f]);
	out->lost = lost;
	out->generator_limit = 2 * limited > count;
}

void rounds_measure(struct report *r, const char *table, unsigned ways, name_fn *name,
	measure_fn *measure, void *ctx)
{
	static struct row rows[WAYS_MAX][ROUNDS_MAX];
	const unsigned rounds = r->options->rounds;
	assert(ways <= WAYS_MAX && rounds > 0 && rounds <= ROUNDS_MAX);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < ways; i++) {
			/* no way is always the one after the same other */
			const unsigned way = (i + round) % ways;
			struct row *row = &rows[way][round];
			if (!way_wanted(r->options, name(way)))
				continue;
			*row = (struct row){ .table = table };
			if (round && rows[way][0].skipped)
				*row = rows[way][0];
			else
				measure(r, way, ctx, row);
		}
	for (unsigned way = 0; way < ways; way++) {
		struct row *row =
			way_wanted(r->options, name(way)) ? report_row(r, table) : NULL;
		if (row)
			rounds_median(row, rows[way], rounds);
	}
}
