/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/test_help.h - what the unit tests of this folder share: a run folder, names,
 * keys. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "cache/cache.h"
#include "wire/name.h"

#define DAY 86400

struct help {
	char folder[128];
	struct random rnd;
	struct counters counters;
	struct now now;
	struct cache *cache;
};

static inline struct cache *help_open(struct help *h, size_t size)
{
	const struct cache_conf conf = { .run_folder = h->folder, .size = size };
	struct cache *c = cache_open(&conf, &h->counters, &h->rnd);
	assert_non_null(c);
	return c;
}

static inline int help_setup_size(void **state, size_t size)
{
	struct help *h = calloc(1, sizeof(*h));
	const char *tmp = getenv("TMPDIR");
	snprintf(h->folder, sizeof(h->folder), "%s/shoal-test-XXXXXX",
		tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(h->folder));
	random_init(&h->rnd);
	h->now = clock_read();
	log_set_level(LOG_LEVEL_CRIT);
	if (size)
		h->cache = help_open(h, size);
	*state = h;
	return 0;
}

static inline int help_setup(void **state)
{
	return help_setup_size(state, 4 * 1024 * 1024);
}

static inline int help_setup_none(void **state)
{
	return help_setup_size(state, 0);
}

static inline int help_teardown(void **state)
{
	struct help *h = *state;
	char command[300];
	cache_close(h->cache);
	snprintf(command, sizeof(command), "rm -rf '%s'", h->folder);
	const int rc = system(command);
	free(h);
	return rc;
}

static inline void help_path(const struct help *h, char out[static 200])
{
	snprintf(out, 200, "%s/shm/cache-v%d", h->folder, CACHE_LAYOUT);
}

/* One of a few names at once, so that several can stand in one call. */
static inline const uint8_t *help_name(const char *text)
{
	static uint8_t names[16][NAME_MAX_LEN];
	static unsigned turn;
	uint8_t *name = names[turn++ % 16];
	assert_true(name_from_text(name, text) > 0);
	return name;
}

static inline struct cache_key help_key(const char *name, uint16_t type)
{
	return (struct cache_key){
		.kind = CACHE_RRSET, .type = type, .rclass = 1, .name = help_name(name)
	};
}

static inline struct cache_meta help_meta(const struct help *h, int64_t life_s)
{
	return (struct cache_meta){
		.stored_s = now_wall_s(&h->now),
		.expire_s = now_wall_s(&h->now) + life_s,
		.generation = cache_generation(h->cache),
		.epoch = cache_epoch(h->cache),
		.rank = RANK_AUTH_ANSWER,
		.ede = -1,
	};
}

static inline bool help_put(
	struct help *h, const char *name, uint16_t type, const char *text)
{
	const struct cache_key key = help_key(name, type);
	const struct cache_meta meta = help_meta(h, DAY);
	return cache_put(
		h->cache, &key, &h->now, &meta, (const uint8_t *)text, strlen(text));
}

/* The value as text; NULL if missed. */
static inline const char *help_get_from(
	struct help *h, struct cache *c, const char *name, uint16_t type)
{
	static char buf[CACHE_VALUE_MAX + 1];
	struct cache_meta meta;
	const struct cache_key key = help_key(name, type);
	const int len =
		cache_get(c, &key, &h->now, &meta, (uint8_t *)buf, CACHE_VALUE_MAX);
	if (len < 0)
		return NULL;
	buf[len] = 0;
	return buf;
}

static inline const char *help_get(struct help *h, const char *name, uint16_t type)
{
	return help_get_from(h, h->cache, name, type);
}
