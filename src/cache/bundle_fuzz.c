/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is read lies inside, and written again gives the same bytes. */
#include "cache/bundle.h"

#include <string.h>

#include "wire/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[128 * 1024];
	struct bundle_item items[BUNDLE_MAX];
	if (size > sizeof(again))
		return 0;
	const int count = bundle_read(data, size, NULL, items);
	if (count < 0)
		return 0;
	for (int i = 0; i < count; i++) {
		const struct rrset *rr = &items[i].rr;
		if (rr->name < data || rr->name + name_len(rr->name) > data + size ||
			rr->data + rr->data_len > data + size || !rrset_valid(rr))
			__builtin_trap();
	}
	if (bundle_write(again, sizeof(again), NULL, items, (size_t)count) != size ||
		memcmp(again, data, size) != 0)
		__builtin_trap();
	if (!count)
		return 0;
	/* and as it would lie under its first owner's name */
	const uint8_t *key = items[0].rr.name;
	struct bundle_item short_items[BUNDLE_MAX];
	const size_t len =
		bundle_write(again, sizeof(again), key, items, (size_t)count);
	if (!len || len > size || bundle_read(again, len, key, short_items) != count)
		__builtin_trap();
	for (int i = 0; i < count; i++)
		if (!name_equal_case(short_items[i].rr.name, items[i].rr.name) ||
			short_items[i].rr.data_len != items[i].rr.data_len)
			__builtin_trap();
	return 0;
}
