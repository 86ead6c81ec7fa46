/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/cache.c - reads and writes a second of the shared cache, by 1..N processes at
 * once.
 *
 * usage: bench-cache [ENTRIES [SECONDS [PROCESSES]]]   (200000, 1, 2) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/answer.h"
#include "cache/cache.h"
#include "wire/name.h"
#include "wire/writer.h"

enum { VALUE = 100, NAME = 32, PROCESSES_MAX = 16, ROUND = 1000 };

static char folder[] = "/dev/shm/shoal-bench-XXXXXX";
static uint8_t (*names)[NAME];
static unsigned entries = 200000;
static uint64_t *done; /* operations of each process, shared */

struct job {
	struct cache *cache;
	struct random rnd;
	struct counters counters;
	struct cache_meta meta;
	uint64_t seed;
	uint8_t value[CACHE_VALUE_MAX];
};

static unsigned pick(struct job *j)
{
	j->seed = j->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)((j->seed >> 33) % entries);
}

static struct cache_key key_of(unsigned i, uint8_t kind)
{
	return (struct cache_key){
		.kind = kind, .type = 1, .rclass = 1, .name = names[i]};
}

static bool read_one(struct job *j, const struct now *now)
{
	const struct cache_key key = key_of(pick(j), CACHE_RRSET);
	struct cache_meta meta;
	return cache_get(j->cache, &key, now, &meta, j->value, sizeof(j->value)) >= 0;
}

static bool read_hot(struct job *j, const struct now *now)
{
	const struct cache_key key = key_of(pick(j) % 1000, CACHE_RRSET);
	struct cache_meta meta;
	return cache_get(j->cache, &key, now, &meta, j->value, sizeof(j->value)) >= 0;
}

static bool write_one(struct job *j, const struct now *now)
{
	const struct cache_key key = key_of(pick(j), CACHE_RRSET);
	return cache_put(j->cache, &key, now, &j->meta, j->value, VALUE);
}

static bool mixed(struct job *j, const struct now *now)
{
	return pick(j) % 10 ? read_one(j, now) : write_one(j, now);
}

static bool answer_one(struct job *j, const struct now *now)
{
	const struct cache_key key = key_of(pick(j) % 10000, CACHE_ANSWER);
	struct cache_meta meta;
	bool too_long;
	return answer_get(j->cache, &key, now, 1, 0x100, key.name, 1, j->value, 1232,
		       &meta, &too_long) > 0;
}

static const struct {
	const char *name;
	bool (*run)(struct job *j, const struct now *now);
} kinds[] = {
	{"read, all names", read_one},
	{"read, 1,000 names", read_hot},
	{"finished answers", answer_one},
	{"write", write_one},
	{"9 reads, 1 write", mixed},
};

static struct job *job_open(uint64_t seed)
{
	const struct cache_conf conf = {.run_folder = folder, .size = 256u << 20};
	struct job *j = calloc(1, sizeof(*j));
	if (!j)
		exit(1);
	random_init(&j->rnd);
	j->cache = cache_open(&conf, &j->counters, &j->rnd);
	if (!j->cache)
		exit(1);
	const struct now now = clock_read();
	j->seed = seed;
	j->meta = (struct cache_meta){
		.stored_s = now_wall_s(&now),
		.expire_s = now_wall_s(&now) + 86400,
		.generation = cache_generation(j->cache),
		.epoch = cache_epoch(j->cache),
		.rank = RANK_AUTH_ANSWER,
	};
	return j;
}

static void store_answer(struct job *j, unsigned i, const struct now *now)
{
	static const uint8_t data[] = {4, 0, 192, 0, 2, 1, 4, 0, 192, 0, 2, 2};
	const struct rrset rr = {.name = names[i],
		.type = 1,
		.rclass = 1,
		.count = 2,
		.ttl = 86400,
		.data = data,
		.data_len = sizeof(data)};
	const struct cache_key key = key_of(i, CACHE_ANSWER);
	uint8_t msg[512];
	struct writer w;
	writer_begin(&w, msg, sizeof(msg), 0, 0x8180);
	writer_question(&w, names[i], 1, 1);
	writer_rrset(&w, SECTION_ANSWER, &rr, 0, false);
	answer_put(j->cache, &key, now, &j->meta, msg, writer_end(&w));
}

static void fill(void)
{
	struct job *j = job_open(1);
	const struct now now = clock_read();
	for (unsigned i = 0; i < entries; i++) {
		const struct cache_key key = key_of(i, CACHE_RRSET);
		cache_put(j->cache, &key, &now, &j->meta, j->value, VALUE);
		if (i < 10000)
			store_answer(j, i, &now);
	}
	struct cache_stats stats;
	cache_stats(j->cache, &stats);
	printf("%u names of %d bytes: %.1f MB in logs, %.0f bytes an entry\n", entries,
		VALUE, (double)stats.bytes_used / 1e6,
		(double)stats.bytes_used / (double)stats.entries);
	cache_close(j->cache);
	free(j);
}

static bool look(void *ctx, const struct cache_key *key, const struct cache_meta *meta,
	const uint8_t *value, size_t len)
{
	(void)ctx;
	(void)key;
	(void)meta;
	(void)value;
	return len < CACHE_VALUE_MAX;
}

static void child(unsigned number, unsigned kind, double seconds)
{
	struct job *j = job_open(number * UINT64_C(7919) + 17);
	struct now now = clock_read();
	/* touch all pages first: their faults are the mapping's cost, once */
	cache_walk(j->cache, &now, look, NULL);
	const int64_t start = clock_read().mono_us;
	const clock_t cpu = clock();
	uint64_t count = 0, good = 0;
	do {
		now = clock_read();
		for (unsigned i = 0; i < ROUND; i++)
			good += kinds[kind].run(j, &now);
		count += ROUND;
	} while ((double)(now.mono_us - start) < seconds * 1e6);
	done[3 * number] =
		(uint64_t)((double)count * 1e6 / (double)(now.mono_us - start));
	done[3 * number + 1] = good * 1000 / count;
	done[3 * number + 2] = (uint64_t)((double)(clock() - cpu) * 1e9 /
					  CLOCKS_PER_SEC / (double)count);
	_exit(0);
}

static void measure(unsigned kind, unsigned processes, double seconds)
{
	for (unsigned i = 0; i < processes; i++)
		if (fork() == 0)
			child(i, kind, seconds);
	while (wait(NULL) > 0)
		;
	double sum = 0, good = 0, cpu_ns = 0;
	for (unsigned i = 0; i < processes; i++) {
		sum += (double)done[3 * i];
		good += (double)done[3 * i + 1] / 10 / processes;
		cpu_ns += (double)done[3 * i + 2] / processes;
	}
	printf("%-20s %10u %10.2f %8.0f %8.1f\n", kinds[kind].name, processes,
		sum / 1e6, cpu_ns, good);
}

int main(int argc, char **argv)
{
	const double seconds = argc > 2 ? atof(argv[2]) : 1;
	unsigned most = argc > 3 ? (unsigned)atoi(argv[3]) : 2;
	if (argc > 1)
		entries = (unsigned)atoi(argv[1]);
	if (entries < 10000 || most < 1 || most > PROCESSES_MAX || !mkdtemp(folder)) {
		fprintf(stderr, "usage: %s [ENTRIES >= 10000 [SECONDS [PROCESSES]]]\n",
			argv[0]);
		return 2;
	}
	names = calloc(entries, sizeof(*names));
	done = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!names || done == MAP_FAILED)
		return 1;
	for (unsigned i = 0; i < entries; i++) {
		char text[NAME];
		uint8_t name[NAME_MAX_LEN];
		snprintf(text, sizeof(text), "www.name%07u.test", i);
		memcpy(names[i], name, name_from_text(name, text));
	}
	fill();
	printf("%-20s %10s %10s %8s %8s\n", "", "processes", "million/s", "CPU ns",
		"% done");
	fflush(stdout);
	for (unsigned kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++)
		for (unsigned p = 1; p <= most; p *= 2) {
			measure(kind, p, seconds);
			fflush(stdout);
		}
	char command[80];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}
