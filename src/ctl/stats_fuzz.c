/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Property: what is accepted has texts that end, are printable, and bear the name asked
 * for. The input is laid over a good block, so that the checks behind the magic are
 * reached. */
#include "ctl/stats.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t cap)
{
	const char *end = memchr(text, 0, cap);
	if (!end)
		__builtin_trap();
	for (; text < end; text++)
		if ((*text < ' ' && *text != '\n') || *text > '~')
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stats_block b = { .head = { .magic = STATS_MAGIC,
					 .layout = STATS_LAYOUT,
					 .size = sizeof(b) },
		.name = "1",
		.counter_count = COUNTER_COUNT };
	struct stats_block out;
	if (size < 2)
		return 0;
	const size_t at = (size_t)(data[0] << 8 | data[1]) % sizeof(b);
	const size_t n = size - 2 < sizeof(b) - at ? size - 2 : sizeof(b) - at;
	memcpy((char *)&b + at, data + 2, n);
	if (!stats_parse(&b, sizeof(b), "1", &out))
		return 0;
	if (strcmp(out.name, "1") != 0 || out.state > STATE_STOPPED)
		__builtin_trap();
	check_text(out.version, sizeof(out.version));
	check_text(out.keeper, sizeof(out.keeper));
	check_text(out.steering, sizeof(out.steering));
	check_text(out.engine, sizeof(out.engine));
	check_text(out.sockets, sizeof(out.sockets));
	check_text(out.notes, sizeof(out.notes));
	stats_alive(&out);
	return 0;
}
