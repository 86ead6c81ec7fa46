/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/special.c - the table of special names: RFC 6303, 6761, 6762, 7686, 7793,
 * 8375, 8880, 9462, 9476. */
#include "policy/special.h"

#include <stddef.h>
#include <string.h>

#include "wire/name.h"

#define W(text) ((const uint8_t *)(text))
#define IN_ADDR "\007in-addr\004arpa"
#define IP6 "\003ip6\004arpa"
#define ZERO8 "\0010\0010\0010\0010\0010\0010\0010\0010"

static const struct special specials[] = {
	{ W("\011localhost"), 1, 0, 0, SPECIAL_LOCALHOST, true, "RFC 6761" },
	{ W("\004test"), 1, 0, 0, SPECIAL_NXDOMAIN, false, "RFC 6761" },
	{ W("\007invalid"), 1, 0, 0, SPECIAL_NXDOMAIN, true, "RFC 6761" },
	{ W("\005local"), 1, 0, 0, SPECIAL_NXDOMAIN, false, "RFC 6762" },
	{ W("\005onion"), 1, 0, 0, SPECIAL_NXDOMAIN, true, "RFC 7686" },
	{ W("\003alt"), 1, 0, 0, SPECIAL_NXDOMAIN, true, "RFC 9476" },
	{ W("\004home\004arpa"), 2, 0, 0, SPECIAL_EMPTY, false, "RFC 8375" },
	{ W("\010ipv4only\004arpa"), 2, 0, 0, SPECIAL_IPV4ONLY, false, "RFC 8880" },
	{ W("\010resolver\004arpa"), 2, 0, 0, SPECIAL_RESOLVER, true, "RFC 9462" },
	{ W("\003170\0010\0010\003192" IN_ADDR), 6, 0, 0, SPECIAL_IPV4ONLY_PTR, false,
		"RFC 8880" },
	{ W("\003171\0010\0010\003192" IN_ADDR), 6, 0, 0, SPECIAL_IPV4ONLY_PTR, false,
		"RFC 8880" },
	{ W("\00210" IN_ADDR), 3, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\003172" IN_ADDR), 4, 16, 31, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\003168\003192" IN_ADDR), 4, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\003100" IN_ADDR), 4, 64, 127, SPECIAL_EMPTY, false, "RFC 7793" },
	{ W("\0010" IN_ADDR), 3, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\003127" IN_ADDR), 3, 0, 0, SPECIAL_LOOPBACK4, true, "RFC 6303" },
	{ W("\003254\003169" IN_ADDR), 4, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\0012\0010\003192" IN_ADDR), 5, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\003100\00251\003198" IN_ADDR), 5, 0, 0, SPECIAL_EMPTY, false,
		"RFC 6303" },
	{ W("\003113\0010\003203" IN_ADDR), 5, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\003255\003255\003255\003255" IN_ADDR), 6, 0, 0, SPECIAL_EMPTY, false,
		"RFC 6303" },
	{ W(ZERO8 ZERO8 ZERO8 ZERO8 IP6), 34, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\0011\0010\0010\0010\0010\0010\0010\0010" ZERO8 ZERO8 ZERO8 IP6), 34, 0, 0,
		SPECIAL_LOOPBACK6, true, "RFC 6303" },
	{ W("\001d\001f" IP6), 4, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\0018\001e\001f" IP6), 5, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\0019\001e\001f" IP6), 5, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\001a\001e\001f" IP6), 5, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\001b\001e\001f" IP6), 5, 0, 0, SPECIAL_EMPTY, false, "RFC 6303" },
	{ W("\0018\001b\001d\0010\0011\0010\0010\0012" IP6), 10, 0, 0, SPECIAL_EMPTY,
		false, "RFC 6303" },
};
enum { SPECIAL_COUNT = sizeof(specials) / sizeof(specials[0]) };

/* The label as a decimal number without leading zeros, or -1. */
static int label_number(const uint8_t *label)
{
	int n = 0;
	if (label[0] < 1 || label[0] > 3 || (label[0] > 1 && label[1] == '0'))
		return -1;
	for (unsigned i = 1; i <= label[0]; i++) {
		if (label[i] < '0' || label[i] > '9')
			return -1;
		n = n * 10 + label[i] - '0';
	}
	return n;
}

/* Is `at` (a suffix of as many labels as the row's zone) that zone? Both are lower
 * case. */
static bool row_is(const struct special *row, const uint8_t *at)
{
	if (row->to) {
		const int n = label_number(at);
		if (n < row->from || n > row->to)
			return false;
		at += at[0] + 1;
	}
	return at[0] == row->zone[0] && name_equal_case(at, row->zone);
}

/* Cheap refusal of nearly every name: its last label must be one of the table's. */
static bool last_label_is_special(const uint8_t *label)
{
	static const char *const ends[] = { "\004arpa", "\004test", "\005local",
		"\011localhost", "\005onion", "\007invalid", "\003alt" };
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (label[0] == (uint8_t)ends[i][0] &&
			memcmp(label + 1, ends[i] + 1, label[0]) == 0)
			return true;
	return false;
}

const struct special *special_find(const uint8_t *name, const uint8_t **apex)
{
	const uint8_t *at[NAME_LABELS_MAX +
			  1]; /* at[n]: the suffix without its first n labels */
	unsigned labels = 0;
	for (const uint8_t *p = name; *p; p += *p + 1)
		at[labels++] = p;
	if (!labels || !last_label_is_special(at[labels - 1]))
		return NULL;
	for (size_t i = 0; i < SPECIAL_COUNT; i++) {
		const struct special *row = &specials[i];
		if (row->labels <= labels && row_is(row, at[labels - row->labels])) {
			*apex = at[labels - row->labels];
			return row;
		}
	}
	return NULL;
}
