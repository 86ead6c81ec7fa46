/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Property: an answer is whole at the same byte, with the same text, in whatever pieces
 * it comes. */
#include "ctl/framed.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int add_by(struct framed *r, const uint8_t *data, size_t size, size_t piece)
{
	int result = 0;
	for (size_t at = 0; at < size && !result; at += piece)
		result =
			framed_add(r, data + at, size - at < piece ? size - at : piece);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct framed whole = { 0 }, pieces = { 0 };
	const int a = size ? framed_add(&whole, data, size) : 0;
	const int b = add_by(&pieces, data, size, 1);
	if ((a > 0) != (b > 0) || (a == 0) != (b == 0))
		__builtin_trap();
	if (a > 0) {
		char *x, *y;
		bool ok_x, ok_y;
		if (framed_take(&whole, &x, &ok_x) == 0 &&
			framed_take(&pieces, &y, &ok_y) == 0) {
			if (strcmp(x, y) != 0 || ok_x != ok_y)
				__builtin_trap();
			free(x);
			free(y);
		}
	}
	framed_fini(&whole);
	framed_fini(&pieces);
	return 0;
}
