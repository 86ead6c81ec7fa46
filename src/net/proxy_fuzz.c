/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a PROXY header: what is taken lies inside, each prefix of a header asks for
 * more, and what follows it changes nothing. */
#include "base/limits.h"
#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(ok)                                                                       \
	do {                                                                           \
		if (!(ok))                                                             \
			__builtin_trap();                                              \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h, again;
	const enum proxy_verdict verdict = proxy_read(&h, data, size);
	must((verdict == PROXY_NONE) ==
		(!size || (!proxy_is_version_1(data, size) &&
				  memcmp(data, proxy_signature,
					  size < PROXY_SIGNATURE_LEN
						  ? size
						  : PROXY_SIGNATURE_LEN))));
	must(!proxy_is_header(data, size) || verdict != PROXY_NONE);
	if (verdict != PROXY_LOCAL && verdict != PROXY_CLIENT) {
		must(h.len == 0);
		return 0;
	}
	must(h.len >= 16 && h.len <= size && h.len <= LIMIT_PROXY_HEADER);
	if (verdict == PROXY_CLIENT)
		must(h.len >= 28 && (h.from.family == 4 || h.from.family == 6) &&
			(h.to.family == 4 || h.to.family == 6));
	must(proxy_read(&again, data, h.len) == verdict);
	must(addr_equal(&h.from, &again.from) && again.len == h.len);
	for (size_t len = 1; len < h.len; len++)
		must(proxy_read(&again, data, len) == PROXY_MORE);
	return 0;
}
