/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/cache.c - reads and writes a second of the shared cache, by 1..N processes at
 * once, beside LMDB where the build found it; and what a snapshot costs.
 *
 * usage: bench-cache [ENTRIES [SECONDS [PROCESSES [KIND [small]]]]]   (200000, 1, 2, all;
 *                    "" is all kinds, `small`: no huge pages)
 *        bench-cache snapshot [MB]                      (1024) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_LMDB
#include <lmdb.h>
#endif

#include "cache/answer.h"
#include "cache/bundle.h"
#include "cache/cache.h"
#include "cache/snapshot.h"
#include "wire/name.h"
#include "wire/writer.h"

enum {
	VALUE = 100,
	NAME = 32,
	PROCESSES_MAX = 16,
	TURNS = 100,
	ROUNDS = 5,
	BATCH = 32
};

static char folder[] = "/dev/shm/shoal-bench-XXXXXX";
static unsigned entries = 200000;
static size_t size = 256u << 20;
static bool huge = true; /* pages, where they can be had */
struct result;
static struct result *results;

struct job {
	struct cache *cache;
	struct random rnd;
	struct counters counters;
	struct cache_meta meta;
	uint64_t seed;
	uint8_t value[CACHE_VALUE_MAX];
};

static unsigned pick(struct job *j, unsigned of)
{
	j->seed = j->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)((j->seed >> 32) * of >> 32);
}

/* www.name????????.test: made when it is asked for, as a query's name lies in the
 * processor's cache and not in a table of all names. */
static const uint8_t *name_of(unsigned i)
{
	static uint8_t turns[4][NAME] = { "\3www\14name????????\4test",
		"\3www\14name????????\4test", "\3www\14name????????\4test",
		"\3www\14name????????\4test" };
	static unsigned turn;
	uint8_t *name = turns[turn++ % 4];
	uint64_t x = i;
	x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
	x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
	x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	x += UINT64_C(0x6161616161616161); /* a to p */
	x = __builtin_bswap64(x);          /* names in the order of their numbers */
	memcpy(name + 9, &x, sizeof(x));
	return name;
}

static struct cache_key key_of(unsigned i, uint8_t kind)
{
	return (struct cache_key){
		.kind = kind, .type = 1, .rclass = 1, .name = name_of(i)
	};
}

static unsigned read_one(struct job *j, const struct now *now)
{
	const struct cache_key key = key_of(pick(j, entries), CACHE_RRSET);
	struct cache_meta meta;
	return cache_get(j->cache, &key, now, &meta, j->value, sizeof(j->value)) >= 0;
}

/* From all over: which names are in use has nothing to do with their order. */
static unsigned pick_hot(struct job *j)
{
	return pick(j, 1000) * (entries / 1000);
}

static unsigned read_hot(struct job *j, const struct now *now)
{
	const struct cache_key key = key_of(pick(j, entries) % 1000, CACHE_RRSET);
	struct cache_meta meta;
	return cache_get(j->cache, &key, now, &meta, j->value, sizeof(j->value)) >= 0;
}

/* As the worker does with a batch of datagrams. */
static unsigned read_by(struct job *j, const struct now *now)
{
	struct cache_key key[BATCH];
	uint8_t name[BATCH][NAME];
	uint64_t ahead[BATCH];
	struct cache_meta meta;
	unsigned good = 0;
	for (unsigned i = 0; i < BATCH; i++) {
		key[i] = key_of(pick(j, entries), CACHE_RRSET);
		key[i].name = memcpy(name[i], key[i].name, NAME);
		ahead[i] = cache_ahead(j->cache, &key[i]);
	}
	for (unsigned i = 0; i < BATCH; i++)
		cache_ahead_entry(j->cache, ahead[i]);
	for (unsigned i = 0; i < BATCH; i++)
		good += cache_get(j->cache, &key[i], now, &meta, j->value,
				sizeof(j->value)) >= 0;
	return good;
}

static unsigned write_one(struct job *j, const struct now *now)
{
	const struct cache_key key = key_of(pick(j, entries), CACHE_RRSET);
	return cache_put(j->cache, &key, now, &j->meta, j->value, VALUE);
}

static unsigned mixed(struct job *j, const struct now *now)
{
	return pick(j, 10) ? read_one(j, now) : write_one(j, now);
}

#ifdef HAVE_LMDB
/* As a resolver would use it: in the same tmpfs, nothing synced, a read transaction
 * renewed once a turn of the loop (100 reads), writes one by one or a hundred at once. */
enum { TURN = 100 };
static MDB_env *env;
static MDB_dbi dbi;
static MDB_txn *reader;
static unsigned turn;

static void lmdb_check(int err)
{
	if (!err)
		return;
	fprintf(stderr, "lmdb: %s\n", mdb_strerror(err));
	_exit(1);
}

/* In each process anew: an environment must not cross fork. */
static void lmdb_open(void)
{
	char path[100];
	MDB_txn *txn;
	if (env)
		return;
	snprintf(path, sizeof(path), "%s/lmdb", folder);
	lmdb_check(mdb_env_create(&env));
	lmdb_check(mdb_env_set_mapsize(env, (size_t)2 << 30));
	lmdb_check(mdb_env_open(
		env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NOTLS, 0600));
	lmdb_check(mdb_txn_begin(env, NULL, 0, &txn));
	lmdb_check(mdb_dbi_open(txn, NULL, 0, &dbi));
	lmdb_check(mdb_txn_commit(txn));
	lmdb_check(mdb_txn_begin(env, NULL, MDB_RDONLY, &reader));
	mdb_txn_reset(reader);
	lmdb_check(mdb_txn_renew(reader));
}

static MDB_val lmdb_key(unsigned i)
{
	const uint8_t *name = name_of(i);
	return (MDB_val){ name_len(name), (void *)(uintptr_t)name };
}

static bool lmdb_get(struct job *j, unsigned i)
{
	MDB_val key = lmdb_key(i), value;
	lmdb_open();
	if (++turn % TURN == 0) {
		mdb_txn_reset(reader);
		lmdb_check(mdb_txn_renew(reader));
	}
	if (mdb_get(reader, dbi, &key, &value) != 0 || value.mv_size != VALUE)
		return false;
	memcpy(j->value, value.mv_data, VALUE);
	return true;
}

static bool lmdb_put(struct job *j, unsigned count)
{
	MDB_txn *txn;
	lmdb_open();
	mdb_txn_reset(reader);
	lmdb_check(mdb_txn_begin(env, NULL, 0, &txn));
	for (unsigned i = 0; i < count; i++) {
		MDB_val key = lmdb_key(pick(j, entries)), value = { VALUE, j->value };
		lmdb_check(mdb_put(txn, dbi, &key, &value, 0));
	}
	lmdb_check(mdb_txn_commit(txn));
	lmdb_check(mdb_txn_renew(reader));
	return true;
}

static unsigned lmdb_read_one(struct job *j, const struct now *now)
{
	(void)now;
	return lmdb_get(j, pick(j, entries));
}

static unsigned lmdb_read_hot(struct job *j, const struct now *now)
{
	(void)now;
	return lmdb_get(j, pick_hot(j));
}

/* Neighbours: a few pages of the tree. */
static unsigned lmdb_read_near(struct job *j, const struct now *now)
{
	(void)now;
	return lmdb_get(j, pick(j, 1000));
}

static unsigned lmdb_write_one(struct job *j, const struct now *now)
{
	(void)now;
	return lmdb_put(j, 1);
}

static unsigned lmdb_write_many(struct job *j, const struct now *now)
{
	(void)now;
	return lmdb_put(j, TURN) ? TURN : 0;
}

static unsigned lmdb_mixed(struct job *j, const struct now *now)
{
	return pick(j, 10) ? lmdb_read_one(j, now) : lmdb_write_one(j, now);
}

/* In a child: what it opened ends with it. */
static void lmdb_fill(void)
{
	if (fork() == 0) {
		static struct job j;
		MDB_txn *txn;
		lmdb_open();
		mdb_txn_reset(reader);
		lmdb_check(mdb_txn_begin(env, NULL, 0, &txn));
		for (unsigned i = 0; i < entries; i++) {
			MDB_val key = lmdb_key(i), value = { VALUE, j.value };
			lmdb_check(mdb_put(txn, dbi, &key, &value, 0));
		}
		lmdb_check(mdb_txn_commit(txn));
		_exit(0);
	}
	wait(NULL);
}
#endif

static unsigned answer_one(struct job *j, const struct now *now)
{
	const struct cache_key key = key_of(pick(j, 10000), CACHE_ANSWER);
	struct cache_meta meta;
	bool too_long;
	return answer_get(j->cache, &key, now, 1, 0x100, key.name, 1, j->value, 1232,
		       &meta, &too_long) > 0;
}

static unsigned signed_one(struct job *j, const struct now *now)
{
	struct cache_key key = key_of(pick(j, 10000), CACHE_ANSWER);
	struct cache_meta meta;
	bool too_long;
	key.flags = CACHE_KEY_DO;
	key.domain = 1;
	return answer_get(j->cache, &key, now, 1, 0x100, key.name, 1, j->value, 1232,
		       &meta, &too_long) > 0;
}

enum {
	READ_ALL,
	READ_BY,
	READ_HOT,
	ANSWERS,
	SIGNED,
	WRITE,
	MIXED,
	LMDB_ALL,
	LMDB_HOT,
	LMDB_NEAR,
	LMDB_WRITE,
	LMDB_BY,
	LMDB_MIXED,
};

#ifndef HAVE_LMDB
enum { TURN = 100, RIVALS = 0 };
#else
enum { RIVALS = 1 };
#endif

#define RIVAL(kind) (RIVALS ? (int)(kind) : -1)

static const struct {
	const char *name;
	unsigned (*run)(struct job *j, const struct now *now); /* how many were good */
	unsigned operations;                                   /* in each call */
	unsigned group;                                        /* reads, writes, both */
	int rival;                                             /* another kind, or -1 */
} kinds[] = {
	[READ_ALL] = { "read, all names", read_one, 1, 0, RIVAL(LMDB_ALL) },
	[READ_BY] = { "read, all, by 32", read_by, BATCH, 0, RIVAL(LMDB_ALL) },
	[READ_HOT] = { "read, 1,000 names", read_hot, 1, 0, RIVAL(LMDB_HOT) },
	[ANSWERS] = { "finished answers", answer_one, 1, 0, -1 },
	[SIGNED] = { "finished, signed", signed_one, 1, 0, -1 },
	[WRITE] = { "write", write_one, 1, 1, RIVAL(LMDB_WRITE) },
	[MIXED] = { "9 reads, 1 write", mixed, 1, 2, RIVAL(LMDB_MIXED) },
#ifdef HAVE_LMDB
	[LMDB_ALL] = { "LMDB read, all", lmdb_read_one, 1, 0, -1 },
	[LMDB_HOT] = { "LMDB read, 1,000", lmdb_read_hot, 1, 0, -1 },
	[LMDB_NEAR] = { "LMDB, neighbours", lmdb_read_near, 1, 0, -1 },
	[LMDB_WRITE] = { "LMDB write", lmdb_write_one, 1, 1, -1 },
	[LMDB_BY] = { "LMDB write, by 100", lmdb_write_many, TURN, 1, -1 },
	[LMDB_MIXED] = { "LMDB 9 and 1", lmdb_mixed, 1, 2, -1 },
#endif
};

enum {
	KINDS = sizeof(kinds) / sizeof(*kinds),
	RESULTS = KINDS * ROUNDS * PROCESSES_MAX
};

static struct job *job_open(uint64_t seed)
{
	const struct cache_conf conf = { .run_folder = folder, .size = size };
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

/* Two addresses and a signature (ECDSA P-256); `signed`: for who sets DO, with the set that
 * the signature stays in. */
static void store_answer(
	struct job *j, unsigned i, bool with_signature, const struct now *now)
{
	enum { SIGNATURE = 18 + 13 + 64 };
	uint8_t data[12 + 2 + SIGNATURE] = { 4, 0, 192, 0, 2, 1, 4, 0, 192, 0, 2, 2,
		SIGNATURE, 0, 0, 1 };
	struct cache_key key = key_of(i, CACHE_RRSET);
	const struct bundle_item item = { SECTION_ANSWER,
		{ .name = key.name,
			.type = 1,
			.rclass = 1,
			.count = 2,
			.sig_count = 1,
			.ttl = 86400,
			.data = data,
			.data_len = sizeof(data) } };
	uint8_t msg[512];
	struct writer w;
	memcpy(data + 14 + 18, key.name, 13);
	key.domain = with_signature; /* beside the sets that are read and written */
	if (with_signature) {
		const size_t len = bundle_write(msg, sizeof(msg), key.name, &item, 1);
		cache_put(j->cache, &key, now, &j->meta, msg, len);
		key.flags = CACHE_KEY_DO;
	}
	key.kind = CACHE_ANSWER;
	writer_begin(&w, msg, sizeof(msg), 0, 0x8180);
	writer_question(&w, key.name, 1, 1);
	writer_rrset(&w, SECTION_ANSWER, &item.rr, 0, with_signature);
	answer_put(j->cache, &key, now, &j->meta, msg, writer_end(&w));
}

static void fill(void)
{
	struct job *j = job_open(1);
	const struct now now = clock_read();
	for (unsigned i = 0; i < entries; i++) {
		const struct cache_key key = key_of(i, CACHE_RRSET);
		cache_put(j->cache, &key, &now, &j->meta, j->value, VALUE);
		if (i < 10000) {
			store_answer(j, i, false, &now);
			store_answer(j, i, true, &now);
		}
	}
	struct cache_stats stats;
	cache_stats(j->cache, &stats);
	printf("%u names of %d bytes: %.1f MB in logs, %.0f bytes an entry\n", entries,
		VALUE, (double)stats.bytes_used / 1e6,
		(double)stats.bytes_used / (double)stats.entries);
	if (huge) {
		siginfo_t info;
		cache_tick(j->cache, &now); /* a child reserves the blocks */
		waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
		cache_tick(j->cache, &now);
		cache_tick(j->cache, &now); /* and another asks for huge pages */
		waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
		cache_tick(j->cache, &now);
	}
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

/* What one process did of one kind in one round, shared. */
struct result {
	double per_s, good, cpu_ns;
};

static struct result *result_of(unsigned kind, unsigned round, unsigned process)
{
	return &results[(kind * ROUNDS + round) * PROCESSES_MAX + process];
}

static void run_kind(struct job *j, unsigned kind, double seconds, struct result *out)
{
	struct now now = clock_read();
	const int64_t start = now.mono_us;
	const clock_t cpu = clock();
	uint64_t count = 0, good = 0;
	do {
		now = clock_read();
		for (unsigned i = 0; i < TURNS; i++)
			good += kinds[kind].run(j, &now);
		count += TURNS;
	} while ((double)(now.mono_us - start) < seconds * 1e6);
	now = clock_read();
	const double operations = (double)count * kinds[kind].operations;
	*out = (struct result){
		.per_s = operations * 1e6 / (double)(now.mono_us - start),
		.good = (double)good * 100 / operations,
		.cpu_ns = (double)(clock() - cpu) * 1e9 / CLOCKS_PER_SEC / operations,
	};
}

/* Does what it is told: kind and round. */
static void child(unsigned number, int from, int to, double seconds)
{
	unsigned order[2];
	struct job *j = job_open(number * UINT64_C(7919) + 17);
	const struct now now = clock_read();
	/* touch all pages first: their faults are the mapping's cost, once */
	cache_walk(j->cache, &now, look, NULL);
	while (read(from, order, sizeof(order)) == sizeof(order)) {
		run_kind(j, order[0], seconds, result_of(order[0], order[1], number));
		if (write(to, "", 1) != 1)
			break;
	}
	_exit(0);
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static double median(double of[ROUNDS])
{
	double sorted[ROUNDS];
	memcpy(sorted, of, sizeof(sorted));
	qsort(sorted, ROUNDS, sizeof(*sorted), by_size);
	return sorted[ROUNDS / 2];
}

/* Medians of the rounds; `rival`: of what the same round gave there, since the machine's load
 * moves in between. */
static void print_kind(unsigned kind, unsigned processes)
{
	double rate[ROUNDS], cpu[ROUNDS], times[ROUNDS], times_cpu[ROUNDS], good = 0;
	const int rival = kinds[kind].rival;
	for (unsigned r = 0; r < ROUNDS; r++) {
		struct result mine = { 0 }, theirs = { 0 };
		for (unsigned p = 0; p < processes; p++) {
			const struct result *m = result_of(kind, r, p),
					    *t = result_of(
						    rival < 0 ? kind : (unsigned)rival,
						    r, p);
			mine.per_s += m->per_s;
			mine.cpu_ns += m->cpu_ns / processes;
			good += m->good / processes / ROUNDS;
			theirs.per_s += t->per_s;
			theirs.cpu_ns += t->cpu_ns / processes;
		}
		rate[r] = mine.per_s / 1e6;
		cpu[r] = mine.cpu_ns;
		times[r] = mine.per_s / theirs.per_s;
		times_cpu[r] = theirs.cpu_ns / mine.cpu_ns;
	}
	printf("%-20s %9u %10.2f %8.0f %7.1f", kinds[kind].name, processes,
		median(rate), median(cpu), good);
	if (rival >= 0)
		printf("   x%-6.2f x%-6.2f %s", median(times), median(times_cpu),
			kinds[rival].name);
	printf("\n");
	fflush(stdout);
}

static bool wanted(unsigned kind, const char *only)
{
	return !only || strstr(only, kinds[kind].name) ||
	       strncmp(kinds[kind].name, only, strlen(only)) == 0;
}

static void order_all(unsigned processes, int to[], int from, unsigned kind, unsigned r)
{
	const unsigned order[2] = { kind, r };
	char done[PROCESSES_MAX];
	for (unsigned p = 0; p < processes; p++)
		if (write(to[p], order, sizeof(order)) != sizeof(order))
			exit(1);
	for (unsigned p = 0; p < processes; p++)
		if (read(from, done, 1) != 1)
			exit(1);
}

/* The kinds of one group in turns, so that each meets the same machine. */
static void measure_group(
	unsigned group, unsigned processes, double seconds, const char *only)
{
	int to[PROCESSES_MAX], back[2];
	if (pipe(back) < 0)
		exit(1);
	for (unsigned p = 0; p < processes; p++) {
		int order[2];
		if (pipe(order) < 0)
			exit(1);
		to[p] = order[1];
		if (fork() == 0) {
			for (unsigned i = 0; i <= p; i++)
				close(to[i]);
			child(p, order[0], back[1], seconds / ROUNDS);
		}
		close(order[0]);
	}
	for (unsigned r = 0; r < ROUNDS; r++)
		for (unsigned k = 0; k < KINDS; k++)
			if (kinds[k].group == group && wanted(k, only))
				order_all(processes, to, back[0], k, r);
	for (unsigned p = 0; p < processes; p++)
		close(to[p]);
	close(back[0]);
	close(back[1]);
	while (wait(NULL) > 0)
		;
}

/* Reads come first, for a full log loses what is written over; each group has processes of
 * its own, since what one has read it saves from that. */
static void measure(unsigned processes, double seconds, const char *only)
{
	memset(results, 0, sizeof(struct result) * RESULTS);
	for (unsigned group = 0; group < 3; group++)
		measure_group(group, processes, seconds, only);
	for (unsigned k = 0; k < KINDS; k++)
		if (wanted(k, only))
			print_kind(k, processes);
}

/* --- snapshot ---------------------------------------------------- */

static double ms_since(int64_t start_us)
{
	return (double)(clock_read().mono_us - start_us) / 1000;
}

static void forget(void)
{
	char path[100];
	snprintf(path, sizeof(path), "%s/shm/cache-v%d", folder, CACHE_LAYOUT);
	unlink(path);
}

static double first_read(struct job **j)
{
	const int64_t start = clock_read().mono_us;
	*j = job_open(1);
	const struct now now = clock_read();
	const struct cache_key key = key_of(entries - 1, CACHE_RRSET);
	struct cache_meta meta;
	cache_get((*j)->cache, &key, &now, &meta, (*j)->value, sizeof((*j)->value));
	return ms_since(start);
}

static void restore(struct job *j, const struct now *now)
{
	struct snapshot *s = snapshot_open(j->cache, folder, now);
	const int64_t start = clock_read().mono_us;
	double longest = 0;
	unsigned steps = 0;
	for (bool more = true; more; steps++) {
		const int64_t step = clock_read().mono_us;
		more = snapshot_restore(s, now);
		longest = ms_since(step) > longest ? ms_since(step) : longest;
	}
	printf("restored %lu entries in %.0f ms, %u steps, the longest %.1f ms\n",
		(unsigned long)snapshot_numbers(s).restored, ms_since(start), steps,
		longest);
	snapshot_close(s);
}

static void measure_snapshot(void)
{
	struct job *j;
	fill();
	printf("warm segment of %zu MB: opened and first read %.1f ms\n", size >> 20,
		first_read(&j));
	const struct now now = clock_read();
	struct snapshot *s = snapshot_open(j->cache, folder, &now);
	uint64_t count = 0;
	int64_t start = clock_read().mono_us;
	const int err = snapshot_write(s, &now, &count);
	printf("snapshot of %lu entries: %.0f ms (%s)\n", (unsigned long)count,
		ms_since(start), strerror(-err));
	start = clock_read().mono_us;
	const pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	printf("what it costs the instance, a fork: %.2f ms\n", ms_since(start));
	wait(NULL);
	start = clock_read().mono_us;
	cache_resize(j->cache, size / 2);
	printf("half the size: %.0f ms\n", ms_since(start));
	snapshot_close(s);
	cache_close(j->cache);
	forget();
	printf("no segment: made and first (missed) read %.1f ms\n", first_read(&j));
	start = clock_read().mono_us;
	cache_tick(j->cache, &now); /* a child reserves the blocks */
	printf("the turn that begins the reserving: %.2f ms\n", ms_since(start));
	restore(j, &now);
	cache_close(j->cache);
}

static bool make_results(void)
{
	results = mmap(NULL, sizeof(struct result) * RESULTS, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return results != MAP_FAILED;
}

static int tidy(void)
{
	char command[80];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static int snapshot_main(size_t mb)
{
	size = mb << 20;
	entries = (unsigned)(size / 300);
	if (mb < 16 || !mkdtemp(folder) || !make_results())
		return 2;
	measure_snapshot();
	return tidy();
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "snapshot") == 0)
		return snapshot_main(argc > 2 ? (size_t)atoi(argv[2]) : 1024);
	const double seconds = argc > 2 ? atof(argv[2]) : 1;
	unsigned most = argc > 3 ? (unsigned)atoi(argv[3]) : 2;
	huge = argc < 6;
	if (argc > 1)
		entries = (unsigned)atoi(argv[1]);
	if (entries < 10000 || most < 1 || most > PROCESSES_MAX || !mkdtemp(folder)) {
		fprintf(stderr,
			"usage: %s [ENTRIES >= 10000 [SECONDS [PROCESSES [KIND "
			"[small]]]]]\n",
			argv[0]);
		return 2;
	}
	if (!make_results())
		return 1;
	if ((size_t)entries * 320 > size)
		size = (size_t)entries * 320;
#ifdef HAVE_LMDB
	lmdb_fill();
#endif
	printf("%-20s %9s %10s %8s %7s   %-7s %-7s\n", "", "processes", "million/s",
		"CPU ns", "% done", "rate", "CPU");
	fflush(stdout);
	for (unsigned p = 1; p <= most; p *= 2) {
		forget();
		fill();
		measure(p, seconds, argc > 4 && argv[4][0] ? argv[4] : NULL);
	}
	return tidy();
}
