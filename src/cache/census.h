/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/census.h - how many connections clients have, counted for the whole host.
 *
 * Each instance counts its own in a place of shm/clients-v<layout> that it alone writes; what the
 * host has is the sum. Counts of a client are upper bounds, by a sketch: two clients may seem one,
 * by a few connections. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/random.h"

enum { CENSUS_LAYOUT = 1, CENSUS_KINDS = 3, CENSUS_PLACES = 64 };

struct census;

/* NULL only for lack of memory: without file, or beyond CENSUS_PLACES, this instance counts alone. */
struct census *census_open(const char *run_folder, struct random *rnd);
/* Its connections are gone. */
void census_close(struct census *c);
/* Once a second: what the dead had is no more. True: the file had been removed, replaced or
 * cut; in the one that is there now this instance has no connections until it counts them
 * again. */
bool census_tick(struct census *c);
/* `client`: its address or prefix. */
void census_count(
	struct census *c, unsigned kind, const void *client, size_t len, int change);
unsigned census_of(
	const struct census *c, unsigned kind, const void *client, size_t len);
unsigned census_all(const struct census *c, unsigned kind);
