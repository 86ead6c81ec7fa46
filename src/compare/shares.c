/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/shares.h"

#include <math.h>

struct shares shares_of(const double *values, size_t count)
{
	struct shares out = { 0 };
	double sum = 0, max = 0, min = HUGE_VAL;
	for (size_t i = 0; i < count; i++) {
		sum += values[i];
		max = fmax(max, values[i]);
		min = fmin(min, values[i]);
	}
	if (sum <= 0)
		return out;
	const double mean = sum / (double)count;
	for (size_t i = 0; i < count; i++)
		out.chi_square += (values[i] - mean) * (values[i] - mean) / mean;
	out.max_mean = max / mean;
	out.max_min = min > 0 ? max / min : HUGE_VAL;
	return out;
}
