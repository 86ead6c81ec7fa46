/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A name that was read is well-formed, survives its text, and is ordered consistently.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A macro, so that the trap has its own line in the report. */
#define must(ok)                                                                       \
	do {                                                                           \
		if (!(ok))                                                             \
			__builtin_trap();                                              \
	} while (0)

static void check_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), back[NAME_TEXT_MAX];
	if (!text)
		return;
	memcpy(text, data, size);
	text[size] = 0;
	uint8_t name[NAME_MAX_LEN], again[NAME_MAX_LEN];
	const size_t len = name_from_text(name, text);
	if (len) {
		must(name_check(name, len) == len);
		must(name_from_text(again, name_to_text(name, back)) == len);
		must(memcmp(name, again, len) == 0);
	}
	free(text);
}

static void check_pair(const uint8_t *a, const uint8_t *b)
{
	const int order = name_order(a, b), reverse = name_order(b, a);
	must((order < 0) == (reverse > 0) && (order == 0) == name_equal(a, b));
	const unsigned common = name_common_labels(a, b);
	const unsigned in_a = name_labels(a), in_b = name_labels(b);
	must(name_within(a, b) == (common == in_b));
	must(name_within(b, a) == (common == in_a));
	must(name_equal(name_strip(a, in_a - common), name_strip(b, in_b - common)));
	uint8_t out[NAME_MAX_LEN];
	const size_t len = name_replace_suffix(out, a, name_parent(a), b);
	if (len)
		must(name_check(out, len) == len && name_within(out, b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_text(data, size);
	/* the whole input is a packet; names begin at its first byte and follow each
	 * other */
	uint8_t last[NAME_MAX_LEN] = { 0 };
	struct cursor c = cursor_over(data, size);
	while (cursor_left(&c)) {
		struct cursor skip = c, verify = c;
		uint8_t name[NAME_MAX_LEN];
		const size_t len = name_read(&c, data, name);
		must(name_verify(&verify, data) == len);
		must(cursor_bad(&verify) == cursor_bad(&c) && verify.pos == c.pos);
		if (!len)
			break;
		must(name_skip(&skip) && skip.pos == c.pos);
		must(name_check(name, len) == len && name_len(name) == len);
		check_pair(name, last);
		name_copy(last, name);
	}
	return 0;
}
