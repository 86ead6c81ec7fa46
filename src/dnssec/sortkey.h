/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/sortkey.h - names of a zone as bytes whose order (memcmp) is the canonical one
 * (RFC 4034 section 6.1), and back; hashes as names (RFC 5155 section 3). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnssec/nsec3.h"

/* Labels from the zone down, each ended by 0; octets 0 and 1 stand as 1,1 and 1,2. Of the
 * zone's own name: nothing. SIZE_MAX: it does not fit, or is not within the zone. */
size_t sortkey_of_name(
	uint8_t *out, size_t cap, const uint8_t *name, const uint8_t *zone);
/* In lower case. 0: not such a key, or the name is too long. */
size_t sortkey_to_name(
	uint8_t out[static 255], const uint8_t *key, size_t len, const uint8_t *zone);
/* The owner of a hash's NSEC3; 0: the name is too long. */
size_t sortkey_hash_owner(uint8_t out[static 255],
	const uint8_t hash[static NSEC3_HASH_LEN], const uint8_t *zone);
