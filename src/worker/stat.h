/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/stat.h - counters by the names of the configuration's dialect
 * ("answer.nxdomain"), and by our own. */
#pragma once

#include <stdbool.h>

#include "base/counters.h"

bool stat_get(const struct counters *c, const char *name, double *out);
/* All of the dialect, then all of ours, whose names begin with `prefix` ("" or NULL:
 * all). */
void stat_list(const struct counters *c, const char *prefix,
	void (*row)(void *ctx, const char *name, double value), void *ctx);
