/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any line: what is read is a valid set or head, and written and read again the same. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cacheline.h"

enum { NOW_S = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(char *line)
{
	struct cacheline_head one, two;
	if (cacheline_head_read(line, NOW_S, &one))
		return;
	char *again = cacheline_head_write(&one);
	assert(again && !cacheline_head_read(again, NOW_S, &two));
	assert(one.kind == two.kind && one.type == two.type && one.rank == two.rank &&
		one.items == two.items && one.expire_s == two.expire_s &&
		one.domain == two.domain && name_equal(one.name, two.name));
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cacheline one, two;
	char *line = strndup((const char *)data, size);
	if (line && *line == '@') {
		check_head(line);
	} else if (line && !cacheline_read(line, NOW_S, &one)) {
		assert(rrset_valid(&one.rr));
		assert(one.expire_s <= NOW_S + CACHELINE_LIFE_MAX_S);
		char *again =
			cacheline_write(&one.rr, one.expire_s, one.domain, one.rank);
		if (again) {
			assert(!cacheline_read(again, NOW_S, &two));
			assert(two.rr.count == one.rr.count &&
				two.rr.sig_count == one.rr.sig_count);
			assert(two.rr.data_len == one.rr.data_len);
			assert(!memcmp(two.rr.data, one.rr.data, one.rr.data_len));
		}
		free(again);
	}
	free(line);
	return 0;
}
