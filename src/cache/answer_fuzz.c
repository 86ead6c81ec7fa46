/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as the value of a finished answer, parts and cuts among them: a miss, or a
 * message under our id; never a byte too far. */
#include "cache/answer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

static const uint8_t name[] = "\3www\4test";
static char folder[] = "/tmp/shoal-fuzz-XXXXXX";
static struct cache *cache;
static struct random rnd;
static struct counters counters;

static void tidy(void)
{
	char command[64];
	cache_close(cache);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	(void)!system(command);
}

static void put(uint8_t kind, uint8_t flags, const struct now *now,
	const uint8_t *value, size_t len)
{
	const struct cache_key key = {
		.kind = kind, .flags = flags, .type = 1, .rclass = 1, .name = name
	};
	const struct cache_meta meta = { .stored_s = now_wall_s(now),
		.expire_s = now_wall_s(now) + 100,
		.generation = cache_generation(cache),
		.epoch = cache_epoch(cache),
		.rank = RANK_AUTH_ANSWER };
	cache_put(cache, &key, now, &meta, value, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[4096];
	const struct now now = clock_read();
	if (!cache) {
		const struct cache_conf conf = { .run_folder = folder,
			.size = 1 << 20 };
		log_set_level(LOG_LEVEL_CRIT);
		random_init(&rnd);
		assert(mkdtemp(folder));
		cache = cache_open(&conf, &counters, &rnd);
		assert(cache);
		atexit(tidy);
	}
	if (size > CACHE_VALUE_MAX)
		return 0;
	put(CACHE_RRSET, 0, &now, data, size); /* something to refer to */
	put(CACHE_ANSWER, CACHE_KEY_DO, &now, data, size);
	const struct cache_key key = { .kind = CACHE_ANSWER,
		.flags = CACHE_KEY_DO,
		.type = 1,
		.rclass = 1,
		.name = name };
	struct cache_meta meta;
	bool too_long;
	const size_t cap = size & 1 ? sizeof(out) : 512;
	const size_t len = answer_get(cache, &key, &now, 7, 0x100, name,
		(uint32_t)(size % 3), out, cap, &meta, &too_long);
	assert(len <= cap);
	assert(!len || (out[0] == 0 && out[1] == 7));
	return 0;
}
