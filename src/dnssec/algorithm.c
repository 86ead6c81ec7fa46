/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/algorithm.h"

#include <stddef.h>

static const struct algorithm rows[] = {
	[ALGORITHM_RSASHA1] = { "RSASHA1", ALGORITHM_KIND_RSA, 160, 0, 0 },
	[ALGORITHM_RSASHA1_NSEC3] = { "RSASHA1-NSEC3-SHA1", ALGORITHM_KIND_RSA, 160, 0,
		0 },
	[ALGORITHM_RSASHA256] = { "RSASHA256", ALGORITHM_KIND_RSA, 256, 0, 0 },
	[ALGORITHM_RSASHA512] = { "RSASHA512", ALGORITHM_KIND_RSA, 512, 0, 0 },
	[ALGORITHM_P256] = { "ECDSAP256SHA256", ALGORITHM_KIND_P256, 256, 64, 64 },
	[ALGORITHM_P384] = { "ECDSAP384SHA384", ALGORITHM_KIND_P384, 384, 96, 96 },
	[ALGORITHM_ED25519] = { "ED25519", ALGORITHM_KIND_ED25519, 0, 32, 64 },
	[ALGORITHM_ED448] = { "ED448", ALGORITHM_KIND_ED448, 0, 57, 114 },
};

const struct algorithm *algorithm_get(uint8_t number)
{
	if (number >= sizeof(rows) / sizeof(*rows) || !rows[number].kind)
		return NULL;
	return &rows[number];
}

bool algorithm_is_sha1(uint8_t number)
{
	const struct algorithm *row = algorithm_get(number);
	return row && row->hash_bits == 160;
}

uint8_t digest_len(uint8_t type)
{
	static const uint8_t lens[] = {
		[DIGEST_SHA1] = 20, [DIGEST_SHA256] = 32, [DIGEST_SHA384] = 48
	};
	return type < sizeof(lens) ? lens[type] : 0;
}
