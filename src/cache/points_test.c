/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A writer dies, or is stopped for long, at each named step of the protocol; and a model:
 * random operations of several processes against what must and may come of them. */
#include "cache/test_help.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cache/shared.h"

enum { MB = 1024 * 1024 };

static const char *point; /* where this process stops; NULL: nowhere */
static int point_signal;
static unsigned point_hits;

void shared_test_point(const char *step);

void shared_test_point(const char *step)
{
	if (!point || strcmp(step, point) != 0)
		return;
	point = NULL;
	point_hits++;
	raise(point_signal);
}

static const char *const put_points[] = { "reserved", "half copied", "copied",
	"before swap", "after swap" };
static const char *const clear_points[] = { "clear reserved", "clear half written",
	"clear written" };

static bool put_at(struct help *h, const char *name, const char *text, int64_t age_s)
{
	const struct cache_key key = help_key(name, 1);
	struct cache_meta meta = help_meta(h, DAY);
	meta.stored_s -= age_s;
	return cache_put(
		h->cache, &key, &h->now, &meta, (const uint8_t *)text, strlen(text));
}

static void fill(struct help *h, unsigned count, const char *version)
{
	for (unsigned i = 0; i < count; i++) {
		char name[32], text[400];
		snprintf(name, sizeof(name), "n%u.test", i);
		snprintf(text, sizeof(text), "%s %s %300s", name, version, "");
		put_at(h, name, text, 0);
	}
}

/* Every value names its key. */
static unsigned check(struct help *h, unsigned count)
{
	unsigned found = 0;
	for (unsigned i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.test", i);
		const char *got = help_get(h, name, 1);
		if (!got)
			continue;
		found++;
		assert_int_equal(strncmp(got, name, strlen(name)), 0);
		assert_int_equal(got[strlen(name)], ' ');
	}
	return found;
}

/* A child that comes to the point and gets the signal there. */
static pid_t start_child(struct help *h, const char *where, int signo, bool clears)
{
	fflush(NULL);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	h->cache = help_open(h, MB);
	point = where;
	point_signal = signo;
	if (clears)
		cache_clear(h->cache, help_name("key.test"), false, 0);
	else
		put_at(h, "key.test", "key.test child", 10);
	_exit(point_hits ? 0 : 77);
}

static void a_writer_dies_at_each_step(void **state)
{
	struct help *h = *state;
	fill(h, 500, "first");
	for (unsigned known = 0; known < 2; known++) {
		for (unsigned i = 0; i < 5; i++) {
			cache_clear(h->cache, help_name("key.test"), false, 0);
			if (known)
				assert_true(put_at(h, "key.test", "key.test old", 20));
			const pid_t pid = start_child(h, put_points[i], SIGKILL, false);
			int status = 0;
			waitpid(pid, &status, 0);
			assert_true(WIFSIGNALED(status));
			const char *got = help_get(h, "key.test", 1);
			const char *wanted = i == 4  ? "key.test child"
					     : known ? "key.test old"
						     : NULL;
			if (wanted)
				assert_string_equal(got, wanted);
			else
				assert_null(got);
			assert_int_equal(check(h, 500), 500);
			assert_true(put_at(h, "key.test", "key.test new", 0));
			assert_string_equal(help_get(h, "key.test", 1), "key.test new");
		}
	}
}

/* Meanwhile the logs go round several times, and the key gets a newer value. */
static void a_stopped_writer_never_brings_back_what_is_old(void **state)
{
	struct help *h = *state;
	for (unsigned rounds = 0; rounds < 2; rounds++) {
		for (unsigned i = 0; i < 5; i++) {
			cache_clear(h->cache, help_name("key.test"), false, 0);
			const pid_t pid = start_child(h, put_points[i], SIGSTOP, false);
			int status = 0;
			waitpid(pid, &status, WUNTRACED);
			assert_true(WIFSTOPPED(status));
			if (rounds)
				for (unsigned k = 0; k < 3; k++)
					fill(h, 4000, "round");
			assert_true(put_at(h, "key.test", "key.test parent", 0));
			kill(pid, SIGCONT);
			waitpid(pid, &status, 0);
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
			const char *got = help_get(h, "key.test", 1);
			if (!rounds || got)
				assert_string_equal(got, "key.test parent");
			check(h, 4000);
		}
	}
}

static void a_clear_that_dies_or_stops_costs_entries_never_a_clear(void **state)
{
	struct help *h = *state;
	for (unsigned i = 0; i < 6; i++) {
		const int signo = i < 3 ? SIGKILL : SIGSTOP;
		fill(h, 100, "before");
		assert_true(put_at(h, "key.test", "key.test old", 0));
		const struct cache_meta begun = help_meta(h, DAY);
		const pid_t pid = start_child(h, clear_points[i % 3], signo, true);
		int status = 0;
		waitpid(pid, &status, WUNTRACED);
		/* another's clear is not held up, and holds */
		assert_true(cache_clear(h->cache, help_name("n1.test"), false, 0));
		assert_null(help_get(h, "n1.test", 1));
		const struct cache_key key = help_key("n1.test", 1);
		assert_false(cache_put(
			h->cache, &key, &h->now, &begun, (const uint8_t *)"x", 1));
		if (signo == SIGSTOP) {
			kill(pid, SIGCONT);
			waitpid(pid, &status, 0);
			assert_null(help_get(h, "key.test", 1));
		}
		assert_null(help_get(h, "n1.test", 1));
		check(h, 100);
		assert_true(put_at(h, "key.test", "key.test new", 0));
		assert_string_equal(help_get(h, "key.test", 1), "key.test new");
	}
}

static pid_t start_resize(struct help *h, int signo)
{
	fflush(NULL);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	struct cache *c = help_open(h, MB);
	point = "carry";
	point_signal = signo;
	cache_resize(c, 2 * MB);
	_exit(point_hits ? 0 : 77);
}

/* After the old segment was marked and before the new one has the name. */
static void a_change_of_size_that_dies_or_stops_loses_no_clear(void **state)
{
	struct help *h = *state;
	struct cache *other = help_open(h, MB);
	int status = 0;
	for (unsigned i = 0; i < 2; i++) {
		fill(h, 100, "before");
		const pid_t pid = start_resize(h, i ? SIGSTOP : SIGKILL);
		waitpid(pid, &status, WUNTRACED);
		h->now = clock_read();
		/* stopped: nothing is read, written or cleared meanwhile */
		assert_int_equal(check(h, 100), 0);
		assert_int_equal(put_at(h, "key.test", "key.test x", 0), !i);
		assert_int_equal(
			cache_clear(h->cache, help_name("n1.test"), false, 0), !i);
		if (i) {
			kill(pid, SIGCONT);
			waitpid(pid, &status, 0);
			assert_int_equal(status, 0);
			h->now.mono_us = clock_read().mono_us + 10000;
			assert_int_equal(check(h, 100), 100);
			assert_true(
				cache_clear(h->cache, help_name("n1.test"), false, 0));
			assert_int_equal(check(h, 100), 99);
		}
		assert_null(help_get_from(h, other, "n1.test", 1));
		assert_true(put_at(h, "key.test", "key.test new", 0));
		assert_string_equal(
			help_get_from(h, other, "key.test", 1), "key.test new");
	}
	cache_close(other);
}

/* --- the model --------------------------------------------------- */

enum { KEYS = 64, PROCESSES = 3, OPERATIONS = 6000, RESIZE_EVERY = 200 };

/* Of each key: the version last begun, the last one that was there for certain, and the
 * version below which everything was cleared. Raised before and after the operation. */
struct model {
	uint64_t begun[KEYS], cleared[KEYS], wrong, hits;
};

static uint64_t raise_to(uint64_t *word, uint64_t value)
{
	uint64_t was = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	while (was < value && !__atomic_compare_exchange_n(word, &was, value, false,
				      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	return was;
}

static void model_step(struct help *h, struct model *m)
{
	const unsigned k = random_below(&h->rnd, KEYS),
		       what = random_below(&h->rnd, 10);
	char name[32], text[64];
	snprintf(name, sizeof(name), "m%u.test", k);
	if (what < 4) {
		const struct cache_key key = help_key(name, 1);
		const struct cache_meta meta = help_meta(h, DAY);
		/* the generation first: a version below `cleared` is older than a clear */
		const uint64_t version =
			__atomic_add_fetch(&m->begun[k], 1, __ATOMIC_SEQ_CST);
		snprintf(text, sizeof(text), "%u %lu", k, (unsigned long)version);
		cache_put(h->cache, &key, &h->now, &meta, (const uint8_t *)text,
			strlen(text));
	} else if (what == 4) {
		/* the versions begun by now may bear an older generation, or the one
		 * before: only those before our look are gone for certain */
		const uint64_t old = __atomic_load_n(&m->begun[k], __ATOMIC_SEQ_CST);
		cache_clear(h->cache, help_name(name), false, 0);
		raise_to(&m->cleared[k], old);
	} else {
		const uint64_t floor =
			__atomic_load_n(&m->cleared[k], __ATOMIC_SEQ_CST);
		const char *got = help_get(h, name, 1);
		if (!got)
			return;
		unsigned in = KEYS;
		unsigned long version = 0;
		const bool fine =
			sscanf(got, "%u %lu", &in, &version) == 2 && in == k &&
			version > floor &&
			version <= __atomic_load_n(&m->begun[k], __ATOMIC_SEQ_CST);
		__atomic_add_fetch(fine ? &m->hits : &m->wrong, 1, __ATOMIC_RELAXED);
	}
}

static void processes_agree_with_the_model(void **state)
{
	struct help *h = *state;
	struct model *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(m != MAP_FAILED);
	pid_t pids[PROCESSES];
	fflush(NULL);
	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		h->cache = help_open(h, MB);
		random_init(&h->rnd);
		for (unsigned n = 0; n < OPERATIONS; n++) {
			model_step(h, m);
			if (n % RESIZE_EVERY == 60 * i)
				cache_resize(h->cache,
					(1 + (n / RESIZE_EVERY + i) % 3) * MB);
			h->now = clock_read();
		}
		_exit(0);
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status = -1;
		waitpid(pids[i], &status, 0);
		assert_int_equal(status, 0);
	}
	print_message("model: %lu hits, %lu wrong\n", (unsigned long)m->hits,
		(unsigned long)m->wrong);
	assert_int_equal(m->wrong, 0);
	assert_true(m->hits > 1000);
	munmap(m, sizeof(*m));
}

static int setup_mb(void **state)
{
	return help_setup_size(state, MB);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup_mb, help_teardown)
	const struct CMUnitTest tests[] = {
		T(a_writer_dies_at_each_step),
		T(a_stopped_writer_never_brings_back_what_is_old),
		T(a_clear_that_dies_or_stops_costs_entries_never_a_clear),
		T(a_change_of_size_that_dies_or_stops_loses_no_clear),
		T(processes_agree_with_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
