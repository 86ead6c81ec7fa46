/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/shares.h - how even a division is. */
#pragma once

#include <stddef.h>

struct shares {
	double max_mean;   /* 1: even; 0 when there was nothing to divide */
	double max_min;    /* HUGE_VAL: one got nothing */
	double chi_square; /* expected for a fair draw: about count - 1 */
};

struct shares shares_of(const double *values, size_t count);
