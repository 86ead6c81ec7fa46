/* SPDX-License-Identifier: GPL-3.0-or-later */
/* First byte: the pattern's length. Any pattern over any bytes ends soon; what is
 * refused never matches. */
#include <stdlib.h>
#include <string.h>

#include "policy/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || data[0] > size - 1)
		return 0;
	const size_t len = data[0], rest = size - 1 - len;
	/* copies of exact length: reads past either end are seen */
	char *pattern = malloc(len ? len : 1);
	uint8_t *bytes = malloc(rest ? rest : 1);
	if (pattern && bytes) {
		memcpy(pattern, data + 1, len);
		memcpy(bytes, data + 1 + len, rest);
		const bool hit = pattern_match(pattern, len, bytes, rest);
		if (hit && pattern_check(pattern, len))
			__builtin_trap();
	}
	free(pattern);
	free(bytes);
	return 0;
}
