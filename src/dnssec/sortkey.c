/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/sortkey.h"

#include <string.h>

#include "wire/name.h"

enum { END = 0, ESCAPE = 1 };

size_t sortkey_of_name(
	uint8_t *out, size_t cap, const uint8_t *name, const uint8_t *zone)
{
	uint8_t lower[NAME_MAX_LEN];
	size_t len = 0;
	if (!name_within(name, zone))
		return SIZE_MAX;
	name_copy_lower(lower, name);
	const unsigned labels = name_labels(name) - name_labels(zone);
	for (unsigned i = labels; i; i--) {
		const uint8_t *label = name_strip(lower, i - 1);
		for (unsigned j = 1; j <= label[0]; j++) {
			const uint8_t octet = label[j];
			if (cap - len < 2)
				return SIZE_MAX;
			if (octet <= ESCAPE)
				out[len++] = ESCAPE;
			out[len++] = octet <= ESCAPE ? (uint8_t)(octet + 1) : octet;
		}
		if (len == cap)
			return SIZE_MAX;
		out[len++] = END;
	}
	return len;
}

/* The label that begins at key[*at]; false: malformed. */
static bool take_label(
	const uint8_t *key, size_t len, size_t *at, uint8_t label[static 64])
{
	unsigned n = 0;
	for (; *at < len && key[*at] != END; (*at)++) {
		uint8_t octet = key[*at];
		if (octet == ESCAPE) {
			if (++*at == len || key[*at] < 1 || key[*at] > 2)
				return false;
			octet = (uint8_t)(key[*at] - 1);
		}
		if (n == 63)
			return false;
		label[++n] = octet;
	}
	label[0] = (uint8_t)n;
	return n && (*at)++ < len;
}

size_t sortkey_to_name(
	uint8_t out[static 255], const uint8_t *key, size_t len, const uint8_t *zone)
{
	uint8_t label[64];
	size_t used = name_copy_lower(out, zone);
	for (size_t at = 0; at < len;) {
		if (!take_label(key, len, &at, label))
			return 0;
		const size_t more = (size_t)label[0] + 1;
		if (used + more > NAME_MAX_LEN)
			return 0;
		memmove(out + more, out, used);
		memcpy(out, label, more);
		used += more;
	}
	return used;
}

size_t sortkey_hash_owner(uint8_t out[static 255],
	const uint8_t hash[static NSEC3_HASH_LEN], const uint8_t *zone)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	enum { LABEL = 32 };
	if (name_len(zone) + LABEL + 1 > NAME_MAX_LEN)
		return 0;
	out[0] = LABEL;
	for (unsigned i = 0; i < NSEC3_HASH_LEN; i += 5) {
		uint64_t word = 0;
		for (unsigned j = 0; j < 5; j++)
			word = word << 8 | hash[i + j];
		for (unsigned j = 0; j < 8; j++)
			out[1 + i / 5 * 8 + j] =
				(uint8_t)digits[word >> (35 - 5 * j) & 31];
	}
	return LABEL + 1 + name_copy_lower(out + LABEL + 1, zone);
}
