/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes are read safely; a list that is in order is written again as it means, and
 * searching it finds what a walk finds. */
#include "cache/keylist.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int order(const struct keylist_key *a, const uint8_t *key, size_t len)
{
	const size_t least = a->len < len ? a->len : len;
	const int o = memcmp(a->bytes, key, least);
	return o ? o : (a->len > len) - (a->len < len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct keylist l, again;
	static uint8_t out[KEYLIST_BYTES_MAX];
	struct keylist_key found;
	if (size < 1 || data[0] > size - 1 || size > KEYLIST_BYTES_MAX)
		return 0;
	const size_t key_len = data[0];
	const uint8_t *key = data + 1, *list = key + key_len;
	const size_t len = size - 1 - key_len;
	const bool any = keylist_find(list, len, key, key_len, &found);
	keylist_last(list, len, &found);
	if (!keylist_read(&l, list, len))
		return 0;
	const size_t written = keylist_write(&l, 0, l.count, out, sizeof(out));
	if (written > len || !keylist_read(&again, out, written) ||
		again.count != l.count)
		abort();
	unsigned below = 0;
	while (below < l.count && order(&l.item[below], key, key_len) <= 0)
		below++;
	/* as it came it may say less than it shares; as it was written it does not */
	if (keylist_find(out, written, key, key_len, &found) != (below > 0))
		abort();
	if (below && (order(&l.item[below - 1], found.bytes, found.len) != 0 ||
			     found.end_s != l.item[below - 1].end_s))
		abort();
	(void)any;
	return 0;
}
