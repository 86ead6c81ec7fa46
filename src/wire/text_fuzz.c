/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whatever the RDATA: text without control characters that ends within its buffer. */
#include <stdlib.h>
#include <string.h>

#include "wire/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size > 65535 + 3)
		return 0;
	const uint16_t type = (uint16_t)(data[0] << 8 | data[1]);
	const size_t cap = 4 + (size_t)data[2] * 8;
	char *buf = malloc(cap);
	if (!buf)
		return 0;
	rdata_to_text(type, data + 3, size - 3, buf, cap);
	if (strnlen(buf, cap) == cap)
		__builtin_trap();
	for (const char *at = buf; *at; at++)
		if (*at < ' ' || *at > '~')
			__builtin_trap();
	free(buf);
	return 0;
}
