/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/watchmen.h - sockets of others that take queries of ours: noticed, said, counted. */
#pragma once

#include <stdint.h>

#include "ctl/stats.h"

enum { WATCHMEN_KNOWN_MAX = STATS_INSTANCES_MAX * STATS_COOKIES };

struct worker;

/* Our sockets' cookies into the stats file, by which siblings know them. */
void watchmen_show(struct worker *w);
/* Every second; looks once in a while. */
void watchmen_tick(struct worker *w);
/* The cookies of all instances' sockets, of the dead too: those are kept for their
 * successors. The count; -1: some cannot be known, one has more than it can show. */
int watchmen_known(const char *run_folder, uint64_t known[static WATCHMEN_KNOWN_MAX]);
