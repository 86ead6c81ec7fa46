/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths, base64url and answers from anybody; what is decoded encodes to the same again. */
#include <stdlib.h>
#include <string.h>

#include "net/doh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		__builtin_trap();
}

/* Of the text without padding, the bits that say something. */
static void encodes_back(const uint8_t *text, size_t len, const uint8_t *msg, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	for (size_t i = 0; i < n * 8 / 6 && i < len; i++) {
		const size_t bit = i * 6;
		unsigned two = (unsigned)msg[bit / 8] << 8;
		if (bit / 8 + 1 < n)
			two |= msg[bit / 8 + 1];
		must(digits[two >> (10 - bit % 8) & 63] == (char)text[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *dns;
	size_t len;
	uint8_t msg[DOH_PATH_MAX];
	const unsigned status = doh_path_read(data, size, &dns, &len);
	must(status == 200 || status == 404 || status == 414);
	must(!dns || (dns >= data && dns + len <= data + size));
	uint8_t plain[DOH_PATH_MAX], again[DOH_PATH_MAX];
	if (size <= DOH_PATH_MAX) {
		const size_t shorter = doh_path_plain(data, size, plain);
		must(shorter <= size && (size - shorter) % 2 == 0);
		must(doh_path_plain(plain, shorter, again) <= shorter);
	}
	if (dns) {
		const int n = doh_base64url(dns, len, msg, sizeof(msg));
		must(n >= -1 && (n < 0 || (size_t)n <= len * 3 / 4));
		if (n > 0) {
			encodes_back(dns, len, msg, (size_t)n);
			doh_fresh_s(msg, (size_t)n);
		}
	}
	doh_fresh_s(data, size);
	doh_is_message(data, size);
	return 0;
}
