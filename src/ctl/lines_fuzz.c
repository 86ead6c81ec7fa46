/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Property: whatever pieces the bytes come in, the lines put together again are the
 * stream; none is longer than the bound. */
#include "ctl/lines.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t drain(struct lines *l, uint8_t *out, size_t at)
{
	char *text;
	size_t len;
	for (enum line_kind kind; (kind = lines_next(l, &text, &len)) != LINE_NONE;) {
		if (len > l->max || text[len] != 0)
			__builtin_trap();
		memcpy(out + at, text, len);
		at += len;
		if (kind == LINE_WHOLE)
			out[at++] = '\n';
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || memchr(data, '\r', size))
		return 0;
	struct lines l;
	if (!lines_init(&l, (size_t)data[0] + 1))
		return 0;
	const size_t piece = (size_t)data[1] + 1;
	data += 2;
	size -= 2;
	uint8_t *out = malloc(size + 1);
	size_t got = 0, at = 0;
	while (at < size) {
		size_t room, n = size - at < piece ? size - at : piece;
		char *space = lines_space(&l, &room);
		n = n < room ? n : room;
		if (!n)
			__builtin_trap();
		memcpy(space, data + at, n);
		lines_added(&l, n);
		at += n;
		got = drain(&l, out, got);
	}
	char *text;
	size_t len;
	if (lines_rest(&l, &text, &len) != LINE_NONE) {
		memcpy(out + got, text, len);
		got += len;
	}
	if (got != size || memcmp(out, data, size) != 0)
		__builtin_trap();
	free(out);
	lines_fini(&l);
	return 0;
}
