/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/pages.c - what a look-up among pages of denials costs, CPU time:
 *
 *   bench-pages FOLDER */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/page.h"
#include "cache/pages.h"
#include "wire/codes.h"

enum { ROUNDS = 400000 };

static uint64_t seed = 1;

static void draw(uint8_t *out, uint32_t number)
{
	uint64_t mix = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (unsigned i = 0; i < 20; i++) {
		mix = mix * UINT64_C(6364136223846793005) + 1442695040888963407;
		out[i] = (uint8_t)(mix >> 56);
	}
}

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint32_t number(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % below;
}

static void measure(struct pages *p, uint32_t keys, const struct now *now)
{
	const struct pages_chain chain = { .type = TYPE_NSEC3 };
	uint8_t zone[] = "\7zone000\4test", key[20];
	struct pages_chain got;
	struct keylist_key found;
	unsigned hits = 0;
	snprintf((char *)zone + 1, 8, "z%06u", keys);
	zone[8] = 4;
	double begin = cpu_ns();
	for (uint32_t i = 0; i < keys; i++) {
		draw(key, i);
		pages_add(p, 1, zone, &chain, key, sizeof(key), UINT32_MAX, now);
	}
	const double add_ns = (cpu_ns() - begin) / keys;
	begin = cpu_ns();
	for (unsigned i = 0; i < ROUNDS; i++) {
		draw(key, number(keys));
		pages_add(p, 1, zone, &chain, key, sizeof(key), UINT32_MAX, now);
	}
	const double again_ns = (cpu_ns() - begin) / ROUNDS;
	begin = cpu_ns();
	for (unsigned i = 0; i < ROUNDS; i++) {
		draw(key, number(UINT32_MAX));
		hits += pages_zone(p, 1, zone, now, &got) &&
			pages_find(p, key, sizeof(key), now, &found);
	}
	const double find_ns = (cpu_ns() - begin) / ROUNDS;
	begin = cpu_ns();
	for (unsigned i = 0; i < ROUNDS; i++) {
		zone[1] = (uint8_t)('a' + i % 20);
		hits += pages_zone(p, 2, zone, now, &got);
	}
	printf("%6u keys: %.0f ns to add, %.0f ns again, %.0f ns to find (zone and "
	       "key), "
	       "%.0f ns for a zone of which nothing is known; %u hits\n",
		keys, add_ns, again_ns, find_ns, (cpu_ns() - begin) / ROUNDS, hits);
}

int main(int argc, char **argv)
{
	static struct counters counters;
	static struct random rnd;
	random_init(&rnd);
	const struct cache_conf conf = { .run_folder = argc > 1 ? argv[1] : "/tmp",
		.size = 256 * 1024 * 1024 };
	struct cache *cache = cache_open(&conf, &counters, &rnd);
	struct pages *p =
		cache ? pages_open(conf.run_folder, cache, &counters, &rnd) : NULL;
	if (!p)
		return 1;
	const struct now now = clock_read();
	measure(p, 2, &now);
	measure(p, 30, &now);
	measure(p, 1000, &now);
	measure(p, 30000, &now);
	pages_close(p);
	cache_close(cache);
	return 0;
}
