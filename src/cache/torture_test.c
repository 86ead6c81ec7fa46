/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writers die and stop at any moment, bytes flip, files are cut and removed: never a
 * wrong answer. The oracle: a value follows from its key and the version that it begins
 * with. */
#include "cache/test_help.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "cache/shared.h"
#include "shm/shm.h"

enum { KEYS = 3000, VALUE_MOST = 3000, MB = 1024 * 1024 };

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

static size_t oracle_value(
	uint32_t key, uint32_t version, uint8_t out[static VALUE_MOST])
{
	uint64_t seed = (uint64_t)key << 32 | version;
	const size_t len = 8 + next(&seed) % (next(&seed) % 16 ? 300 : VALUE_MOST - 8);
	for (size_t i = 8; i < len; i++)
		out[i] = (uint8_t)next(&seed);
	memcpy(out, &key, 4);
	memcpy(out + 4, &version, 4);
	return len;
}

static struct cache_key oracle_key(uint32_t key, uint8_t name[static 16])
{
	char text[16];
	snprintf(text, sizeof(text), "k%u.test", key);
	memset(name, 0, 16);
	const size_t first = strlen(text) - 5;
	name[0] = (uint8_t)first;
	memcpy(name + 1, text, first);
	memcpy(name + 1 + first, "\4test", 6);
	return (struct cache_key){
		.kind = CACHE_RRSET, .type = 1, .rclass = 1, .name = name
	};
}

static void put_version(struct help *h, uint32_t key, uint32_t version)
{
	static _Thread_local uint8_t value[VALUE_MOST];
	uint8_t name[16];
	const struct cache_key k = oracle_key(key, name);
	struct cache_meta meta = help_meta(h, DAY);
	cache_put(
		h->cache, &k, &h->now, &meta, value, oracle_value(key, version, value));
}

struct score {
	unsigned hits, misses, wrong;
};

static void check_key(struct help *h, uint32_t key, struct score *score)
{
	static _Thread_local uint8_t got[CACHE_VALUE_MAX];
	uint8_t name[16], expected[VALUE_MOST];
	struct cache_meta meta;
	const struct cache_key k = oracle_key(key, name);
	const int len = cache_get(h->cache, &k, &h->now, &meta, got, sizeof(got));
	if (len < 0) {
		score->misses++;
		return;
	}
	uint32_t version = 0;
	if (len >= 8)
		memcpy(&version, got + 4, 4);
	const size_t right = oracle_value(key, version, expected);
	if ((size_t)len != right || memcmp(got, expected, right) != 0)
		score->wrong++;
	else
		score->hits++;
}

static pid_t start_writer(struct help *h, uint64_t seed)
{
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	h->cache = help_open(h, MB);
	for (;;) {
		const uint32_t key = (uint32_t)(next(&seed) % KEYS);
		put_version(h, key, (uint32_t)next(&seed));
	}
}

static int64_t since_ms(int64_t start_us)
{
	return (clock_read().mono_us - start_us) / 1000;
}

static void killed_and_stopped_writers_leave_nothing_wrong(void **state)
{
	struct help *h = *state;
	enum { WRITERS = 3 };
	pid_t writer[WRITERS];
	uint64_t seed = random_u64(&h->rnd);
	for (unsigned i = 0; i < WRITERS; i++)
		writer[i] = start_writer(h, next(&seed));
	struct score score = { 0 };
	unsigned kills = 0, stops = 0;
	const int64_t start = clock_read().mono_us;
	/* as much as a busy machine does in a minute, if less than wanted */
	while (since_ms(start) < 60000 &&
		(since_ms(start) < 3000 || kills <= 10 || score.hits <= 1000)) {
		for (unsigned i = 0; i < 200; i++)
			check_key(h, (uint32_t)(next(&seed) % KEYS), &score);
		const unsigned one = (unsigned)(next(&seed) % WRITERS);
		if (next(&seed) %
			4) { /* stopped for long: the log goes round without it */
			kill(writer[one], SIGSTOP);
			usleep((useconds_t)(next(&seed) % 5000));
			kill(writer[one], SIGCONT);
			stops++;
			continue;
		}
		kill(writer[one], SIGKILL);
		waitpid(writer[one], NULL, 0);
		writer[one] = start_writer(h, next(&seed));
		kills++;
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		kill(writer[i], SIGKILL);
		waitpid(writer[i], NULL, 0);
	}
	struct cache_stats stats;
	cache_stats(h->cache, &stats);
	print_message("%u kills, %u stops, %lu writes: %u hits, %u misses, %u wrong, "
		      "%lu torn\n",
		kills, stops, (unsigned long)stats.inserts, score.hits, score.misses,
		score.wrong, (unsigned long)h->counters.cache_damaged);
	assert_int_equal(score.wrong, 0);
	assert_true(score.hits > 1000 && kills > 10);
	/* and the segment is as good as before */
	put_version(h, 1, 1);
	struct score after = { 0 };
	check_key(h, 1, &after);
	assert_int_equal(after.hits, 1);
}

/* The same protocol among threads, for ThreadSanitizer: each has its own handle on the
 * file. */
struct worker {
	struct help help;
	pthread_t thread;
	uint64_t seed;
	struct score score;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	for (unsigned i = 0; i < 20000; i++) {
		const uint32_t key = (uint32_t)(next(&w->seed) % 200);
		if (next(&w->seed) % 3 == 0)
			put_version(&w->help, key, (uint32_t)next(&w->seed));
		else if (next(&w->seed) % 500 == 0)
			cache_clear(w->help.cache, (const uint8_t *)"\4test", true, 0);
		else
			check_key(&w->help, key, &w->score);
	}
	return NULL;
}

static void threads_agree_with_the_oracle(void **state)
{
	struct help *h = *state;
	enum { WORKERS = 4 };
	struct worker *workers = calloc(WORKERS, sizeof(*workers));
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i].help = *h;
		workers[i].seed = random_u64(&h->rnd);
		workers[i].help.cache = help_open(&workers[i].help, MB);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(
			pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	unsigned hits = 0;
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		cache_close(workers[i].help.cache);
		assert_int_equal(workers[i].score.wrong, 0);
		hits += workers[i].score.hits;
	}
	assert_true(hits > 1000);
	free(workers);
}

static void flipped_bits_are_misses(void **state)
{
	struct help *h = *state;
	char path[200];
	help_path(h, path);
	const int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	uint8_t *bytes = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(bytes != MAP_FAILED);
	close(fd);
	struct score score = { 0 };
	uint64_t seed = random_u64(&h->rnd);
	for (uint32_t round = 0; round < 300; round++) {
		for (unsigned i = 0; i < 100; i++)
			put_version(h, (uint32_t)(next(&seed) % 500), round);
		for (unsigned i = 0; i < 50; i++)
			bytes[next(&seed) % MB] ^= (uint8_t)(1u << next(&seed) % 8);
		/* the head, the tails, the generation, the clear lines */
		if (round % 10 == 0)
			bytes[next(&seed) % 4096] ^= (uint8_t)next(&seed);
		for (unsigned i = 0; i < 500; i++)
			check_key(h, i, &score);
		cache_tick(h->cache, &h->now);
	}
	munmap(bytes, MB);
	print_message("%u hits, %u misses, %u wrong, %lu damaged\n", score.hits,
		score.misses, score.wrong, (unsigned long)h->counters.cache_damaged);
	assert_int_equal(score.wrong, 0);
	assert_true(score.hits > 1000);
	assert_true(h->counters.cache_damaged > 10);
}

/* Every slot names the last units of a log, behind which the mapping may end. */
static void slots_that_lead_to_the_end_are_misses(void **state)
{
	struct help *h = *state;
	char path[200];
	struct shared shared;
	help_path(h, path);
	const int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	uint8_t *bytes = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(bytes != MAP_FAILED);
	close(fd);
	assert_true(shared_attach(&shared, bytes, MB));
	for (unsigned region = 0; region < REGION_COUNT; region++) {
		for (uint32_t k = 0; k < 500; k++)
			put_version(h, k, 1);
		const uint64_t size = shared.log[region].size;
		for (unsigned back = 1; back <= 5; back++) {
			for (uint64_t i = 0; i < shared_slots(&shared); i++)
				if (shared.index[i])
					shared.index[i] = shared.index[i] >> 48 << 48 |
							  (uint64_t)region << 47 |
							  (size / 16 - back);
			struct score score = { 0 };
			for (uint32_t k = 0; k < 500; k++)
				check_key(h, k, &score);
			assert_int_equal(score.hits + score.wrong, 0);
			put_version(h, 1, 2);
		}
	}
	munmap(bytes, MB);
}

static void assert_works(struct help *h)
{
	assert_true(help_put(h, "works.test", 1, "yes"));
	assert_string_equal(help_get(h, "works.test", 1), "yes");
}

static void assert_shared(struct help *h, bool shared)
{
	struct cache_stats stats;
	cache_stats(h->cache, &stats);
	assert_int_equal(stats.is_private, !shared);
}

static void a_file_cut_while_mapped_is_made_anew(void **state)
{
	struct help *h = *state;
	char path[200];
	help_path(h, path);
	shm_guard_install(); /* the test frame put its own handler there */
	static const off_t sizes[] = { 0, 4096, 100000, MB - 4096 };
	for (unsigned i = 0; i < 4; i++) {
		for (uint32_t k = 0; k < 2000; k++)
			put_version(h, k, 1);
		assert_int_equal(truncate(path, sizes[i]), 0);
		struct score score = { 0 };
		for (uint32_t k = 0; k < 2000; k++)
			check_key(h, k, &score);
		assert_int_equal(score.wrong, 0);
		for (uint32_t k = 0; k < 2000; k++)
			put_version(h, k, 2);
		cache_tick(h->cache, &h->now);
		assert_int_equal(h->counters.cache_reopened, i + 1);
		assert_shared(h, true);
		assert_works(h);
	}
}

static void a_removed_file_is_made_anew_and_found_by_all(void **state)
{
	struct help *h = *state;
	char path[200];
	help_path(h, path);
	struct cache *other = help_open(h, MB);
	assert_works(h);
	const uint64_t generation = cache_generation(h->cache);
	assert_int_equal(unlink(path), 0);
	assert_string_equal(help_get(h, "works.test", 1), "yes");
	cache_tick(h->cache, &h->now);
	cache_tick(other, &h->now);
	assert_int_equal(h->counters.cache_reopened, 2);
	assert_true(cache_generation(h->cache) >= generation);
	assert_works(h);
	assert_string_equal(help_get_from(h, other, "works.test", 1), "yes");
	cache_close(other);
}

static void write_file(const char *path, const void *data, size_t len)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
	fd_close(&fd);
}

static void whatever_lies_there_is_replaced(void **state)
{
	struct help *h = *state;
	char path[200];
	help_path(h, path);
	cache_close(h->cache);
	char *good = NULL;
	size_t len = 0;
	assert_int_equal(fd_read_file(path, 2 * MB, &good, &len), 0);
	uint8_t *junk = malloc(MB);
	for (unsigned kind = 0; kind < 6; kind++) {
		memcpy(junk, good, MB);
		size_t left = MB;
		if (kind == 0)
			random_fill(&h->rnd, junk, MB);
		else if (kind == 1)
			junk[8]++; /* another layout */
		else if (kind == 2)
			left = 20;
		else if (kind == 3)
			left = 0;
		else if (kind == 4)
			junk[40] ^= 1; /* the secrets */
		else
			left = MB - 1;
		write_file(path, junk, left);
		h->cache = help_open(h, MB);
		assert_shared(h, true);
		assert_works(h);
		cache_close(h->cache);
	}
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	h->cache = help_open(h, MB);
	assert_shared(h, true);
	cache_close(h->cache);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	h->cache = help_open(h, MB);
	assert_shared(h, true);
	assert_works(h);
	free(junk);
	free(good);
}

static void others_can_neither_read_nor_write_it(void **state)
{
	struct help *h = *state;
	char path[200];
	struct stat st;
	help_path(h, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	*strrchr(path, '/') = 0;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* one that others could have written is not believed */
	help_path(h, path);
	assert_works(h);
	cache_close(h->cache);
	assert_int_equal(chmod(path, 0666), 0);
	h->cache = help_open(h, MB);
	assert_null(help_get(h, "works.test", 1));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* In a child: it takes a mount namespace of its own. Its exit status is the verdict. */
static int on_a_tiny_disk(struct help *h)
{
	if (unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", h->folder, "tmpfs", 0, "size=512k") < 0)
		return 77;
	h->cache = help_open(h, MB);
	assert_shared(h, false);
	assert_works(h);
	if (mount("tmpfs", h->folder, "tmpfs", MS_REMOUNT, "size=4m") < 0)
		return 77;
	/* room again: found by itself */
	cache_tick(h->cache, &h->now);
	assert_shared(h, true);
	assert_works(h);
	return 0;
}

static void make_junk(const char *path, size_t len)
{
	const int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	for (size_t at = 0; at < len; at += MB)
		if (posix_fallocate(fd, (off_t)at, MB) != 0)
			break;
	close(fd);
}

/* A new file's blocks are reserved in the background; others may be faster. */
static int on_a_disk_that_fills_up(struct help *h)
{
	char junk[200];
	snprintf(junk, sizeof(junk), "%s/junk", h->folder);
	if (unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", h->folder, "tmpfs", 0, "size=24m") < 0)
		return 77;
	shm_guard_install();
	h->cache = help_open(h, 16 * MB);
	assert_shared(h, true);
	make_junk(junk, 30 * MB);
	struct cache_stats stats;
	for (unsigned i = 0; i < 2000; i++) {
		for (uint32_t k = 0; k < 1000; k++)
			put_version(h, k, i);
		struct score score = { 0 };
		for (uint32_t k = 0; k < 1000; k++)
			check_key(h, k, &score);
		assert_int_equal(score.wrong, 0);
		cache_tick(h->cache, &h->now);
		cache_stats(h->cache, &stats);
		if (stats.is_private)
			break;
		usleep(10000);
	}
	assert_true(stats.is_private);
	assert_works(h);
	unlink(junk);
	h->now.mono_us += INT64_C(60) * 1000000;
	cache_tick(h->cache, &h->now);
	assert_shared(h, true);
	assert_works(h);
	/* and with room all of it is taken before long */
	char path[200];
	struct stat st;
	help_path(h, path);
	for (unsigned i = 0; i < 3000; i++) {
		cache_tick(h->cache, &h->now);
		assert_int_equal(stat(path, &st), 0);
		if (st.st_blocks * 512 >= 16 * MB)
			return 0;
		usleep(10000);
	}
	return 1;
}

static void in_a_namespace(struct help *h, int (*fn)(struct help *h))
{
	fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0)
		_exit(fn(h));
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("no mount namespace here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_full_disk_means_a_private_cache(void **state)
{
	in_a_namespace(*state, on_a_tiny_disk);
}

static void a_disk_that_fills_up_means_a_private_cache(void **state)
{
	in_a_namespace(*state, on_a_disk_that_fills_up);
}

static void a_folder_that_cannot_be_made_means_a_private_cache(void **state)
{
	struct help *h = *state;
	char path[200];
	snprintf(path, sizeof(path), "%s/shm", h->folder);
	write_file(path, "x", 1);
	h->cache = help_open(h, MB);
	assert_shared(h, false);
	assert_works(h);
	assert_int_equal(cache_generation(h->cache) != 0, 1);
}

static int setup_mb(void **state)
{
	return help_setup_size(state, MB);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup_mb, help_teardown)
#define T_NONE(name)                                                                   \
	cmocka_unit_test_setup_teardown(name, help_setup_none, help_teardown)
	const struct CMUnitTest tests[] = {
		T(killed_and_stopped_writers_leave_nothing_wrong),
		T(threads_agree_with_the_oracle),
		T(flipped_bits_are_misses),
		T(slots_that_lead_to_the_end_are_misses),
		T(a_file_cut_while_mapped_is_made_anew),
		T(a_removed_file_is_made_anew_and_found_by_all),
		T(whatever_lies_there_is_replaced),
		T(others_can_neither_read_nor_write_it),
		T_NONE(a_full_disk_means_a_private_cache),
		T_NONE(a_disk_that_fills_up_means_a_private_cache),
		T_NONE(a_folder_that_cannot_be_made_means_a_private_cache),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
