/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads in place of processes, for ThreadSanitizer (./dev tsan): each has its own handle
 * on the files, so the segments are all that they share. */
#include "cache/test_help.h"

#include <pthread.h>

#include "cache/flight.h"

enum { THREADS = 4, ROUNDS = 5000, KEYS = 100, MB = 1024 * 1024 };

struct thread {
	struct help help;
	pthread_t id;
	struct fetch_table *table;
	unsigned good, wrong;
	uint8_t value[CACHE_VALUE_MAX];
};

static void run(struct help *h, void *(*fn)(void *), unsigned *good)
{
	struct thread *t = calloc(THREADS, sizeof(*t));
	assert_non_null(t);
	for (unsigned i = 0; i < THREADS; i++) {
		t[i].help = *h;
		random_init(&t[i].help.rnd);
		t[i].help.cache = help_open(&t[i].help, MB);
		assert_int_equal(pthread_create(&t[i].id, NULL, fn, &t[i]), 0);
	}
	*good = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(t[i].id, NULL);
		cache_close(t[i].help.cache);
		assert_int_equal(t[i].wrong, 0);
		*good += t[i].good;
	}
	free(t);
}

/* --- the cache --------------------------------------------------- */

static void one_operation(struct thread *t)
{
	struct help *h = &t->help;
	const uint32_t k = random_below(&h->rnd, KEYS),
		       what = random_below(&h->rnd, 100);
	const uint8_t name[] = { 2, (uint8_t)('a' + k / 10), (uint8_t)('a' + k % 10),
		0 };
	const struct cache_key key = {
		.kind = CACHE_RRSET, .type = 1, .rclass = 1, .name = name
	};
	struct cache_meta meta = help_meta(h, DAY);
	if (what == 0) {
		cache_clear(h->cache, name, false, 0);
	} else if (what < 40) {
		const size_t len = 1 + random_below(&h->rnd, 2000);
		memset(t->value, (int)k, len);
		cache_put(h->cache, &key, &h->now, &meta, t->value, len);
	} else {
		const int len = cache_get(
			h->cache, &key, &h->now, &meta, t->value, sizeof(t->value));
		bool right = len > 0;
		for (int i = 0; i < len; i++)
			right = right && t->value[i] == k;
		t->good += right;
		t->wrong += len >= 0 && !right;
	}
}

static void *use_cache(void *arg)
{
	struct thread *t = arg;
	for (unsigned i = 0; i < ROUNDS; i++)
		one_operation(t);
	return NULL;
}

static void threads_read_write_and_clear(void **state)
{
	unsigned good;
	run(*state, use_cache, &good);
	assert_true(good > ROUNDS / 2);
}

/* --- fetches ----------------------------------------------------- */

static void woken(
	void *ctx, void *waiter, enum fetch_wake what, const uint8_t *pkt, size_t len)
{
	struct thread *t = ctx;
	const uint64_t wanted = (uint64_t)(uintptr_t)waiter;
	uint64_t got = 0;
	if (what != FETCH_WAKE_RESULT)
		return;
	if (len == sizeof(got))
		memcpy(&got, pkt, sizeof(got));
	t->good += got == wanted;
	t->wrong += got != wanted;
}

static void *use_fetches(void *arg)
{
	struct thread *t = arg;
	struct help *h = &t->help;
	t->table = fetch_table_new(1000, woken, t);
	if (!t->table || !fetch_share(t->table, h->folder, &h->rnd))
		return NULL;
	for (unsigned i = 0; i < ROUNDS; i++) {
		h->now = clock_read();
		const uint64_t k = i / 4 + 1;
		const struct fetch_key key = { { k * 7919, k << 48 | k } };
		struct fetch *f;
		const uint8_t *pkt;
		size_t len;
		const enum fetch_role role = fetch_join(t->table, &key, &h->now, 100000,
			(void *)(uintptr_t)k, &f, &pkt, &len);
		if (role == FETCH_OWNER && random_below(&h->rnd, 8) == 0)
			fetch_abandon(t->table, f, &h->now);
		else if (role == FETCH_OWNER)
			fetch_publish(
				t->table, f, &h->now, (const uint8_t *)&k, sizeof(k));
		else if (role == FETCH_RESULT)
			woken(t, (void *)(uintptr_t)k, FETCH_WAKE_RESULT, pkt, len);
		if (i % 16 == 0)
			fetch_tick(t->table, &h->now);
		else
			fetch_moved(t->table, &h->now);
	}
	fetch_table_free(t->table);
	return NULL;
}

static void threads_join_each_others_fetches(void **state)
{
	unsigned good;
	run(*state, use_fetches, &good);
	assert_true(good > 100);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, help_setup_none, help_teardown)
	const struct CMUnitTest tests[] = {
		T(threads_read_write_and_clear),
		T(threads_join_each_others_fetches),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
