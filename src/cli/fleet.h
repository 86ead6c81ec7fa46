/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/fleet.h - what all instances of a run folder show of themselves, in one reading.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ctl/stats.h"

struct member {
	char name[64];
	bool readable; /* else `b` is all zero: damaged, or of another version */
	bool alive;
	struct stats_block b;
};

struct fleet {
	const char *run_folder;
	size_t count;
	struct member *members;
};

/* False: out of memory, or no instance at all; then it has said what to do. */
bool fleet_read(struct fleet *f);
void fleet_free(struct fleet *f);
const struct member *fleet_find(const struct fleet *f, const char *name);
/* False: it is none, like the end of a certificate where there is no certificate. */
bool fleet_has(unsigned row, uint64_t value);
/* Sum over the readable ones that are alive. */
void fleet_total(const struct fleet *f, struct counters *out);
/* "state" as a word, dead and unreadable included. */
const char *member_state(const struct member *m);
/* Says that `name` is not there, and who is. */
void fleet_say_unknown(const struct fleet *f, const char *name);
