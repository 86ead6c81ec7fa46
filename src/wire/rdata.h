/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/rdata.h - of which fields the RDATA of a type consists: one row per type. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/cursor.h"

/* A field. 1..63 are that many bytes of anything. */
enum rdata_field {
	FIELD_END = 0,
	FIELD_NAME =
		64, /* compressed on the wire: RFC 1035, as RFC 3597 section 4 limits it */
	FIELD_NAME_PLAIN,  /* written uncompressed, yet read in either form */
	FIELD_STRING,      /* a length byte and so many bytes */
	FIELD_STRING_FULL, /* the same, not empty */
	FIELD_BITMAP,      /* to the end: RFC 4034 section 4.1.2 */
	FIELD_REST,        /* to the end, may be empty */
	FIELD_REST_FULL,   /* to the end, not empty */
	FIELDS_MAX = 8,
};

/* The fields, closed by FIELD_END; NULL for opaque types, RFC 3597. */
const uint8_t *rdata_fields(uint16_t type);
/* Have these uncompressed bytes the shape of the type? Opaque types: always. */
bool rdata_valid(uint16_t type, const uint8_t *rdata, size_t len);
/* Steps over a field that is no name; it is [before, c->pos) then. False: malformed. */
bool rdata_field_skip(struct cursor *c, uint8_t field);
