/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/world_zone.h - for tests: a zone of the small internet, as its servers and its
 * signer see it. */
#pragma once

#include "iter/world.h"

enum { WORLD_RECORDS = 4400 };

struct record {
	uint8_t name[NAME_MAX_LEN];
	uint16_t type, len;
	uint32_t ttl;
	uint8_t rdata[512];
};

struct world_zone {
	uint8_t origin[NAME_MAX_LEN];
	struct addr at[8];
	unsigned at_count;
	struct record *records; /* WORLD_RECORDS */
	unsigned count;
	bool is_signed, new_key;
};

struct record *world_record(struct world_zone *z, const uint8_t *name, uint16_t type,
	uint32_t ttl, const uint8_t *rdata, size_t len);
/* Of the zones with this origin the first. */
struct world_zone *world_zone_of(struct world *w, const uint8_t *origin);
/* Records of a signed zone that deny `name`, or its types: their owners. */
enum { WORLD_PROOFS = 2 };
unsigned world_proofs(
	const struct world_zone *z, const uint8_t *name, const uint8_t **owners);
