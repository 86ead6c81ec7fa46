/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whatever text is an address or a subnet, its printed form is the same one. */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	struct addr a, b;
	struct subnet net;
	char buf[ADDR_TEXT_MAX];
	if (addr_from_text(&a, text, 53))
		if (!addr_from_text(&b, addr_to_text(&a, buf), 1) ||
			!addr_equal(&a, &b))
			__builtin_trap();
	if (subnet_from_text(&net, text))
		if (!subnet_has(&net, &net.base))
			__builtin_trap();
	free(text);
	return 0;
}
