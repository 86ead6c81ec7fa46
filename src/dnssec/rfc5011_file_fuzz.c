/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a file of keys: what is read is written, and read again as the same. */
#include <stdlib.h>
#include <string.h>

#include "dnssec/rfc5011_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct trust_point first, second;
	static char text[RFC5011_FILE_MAX];
	char error[256];
	char *copy = malloc(size ? size : 1); /* of exact length */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (rfc5011_file_read(&first, copy, size, 2592000, error)) {
		const size_t len = rfc5011_file_write(&first, text, sizeof(text));
		if (!len || !rfc5011_file_read(&second, text, len, 2592000, error) ||
			memcmp(&first, &second, sizeof(first)) != 0)
			__builtin_trap();
	}
	free(copy);
	return 0;
}
