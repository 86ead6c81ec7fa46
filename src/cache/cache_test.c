/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key, expiry, ranks, clearing, sharing between openers. Damage and death:
 * torture_test.c. */
#include "cache/test_help.h"

#include <errno.h>

#include <sys/stat.h>
#include <sys/wait.h>

static void what_is_put_is_got_whatever_the_case(void **state)
{
	struct help *h = *state;
	assert_null(help_get(h, "www.example.com", 1));
	assert_true(help_put(h, "www.Example.com", 1, "first"));
	assert_string_equal(help_get(h, "WWW.example.COM", 1), "first");
	assert_null(help_get(h, "www.example.com", 28));
	assert_null(help_get(h, "ww.example.com", 1));
	assert_true(help_put(h, "www.example.com", 1, "second"));
	assert_string_equal(help_get(h, "www.example.com", 1), "second");
	assert_int_equal(h->counters.cache_hits, 2);
	assert_int_equal(h->counters.cache_writes, 2);
}

static void looking_ahead_changes_nothing(void **state)
{
	struct help *h = *state;
	const struct cache_key there = help_key("a.test", 1),
			       none = help_key("b.test", 1);
	assert_true(help_put(h, "a.test", 1, "first"));
	const struct counters before = h->counters;
	cache_ahead_entry(h->cache, cache_ahead(h->cache, &there));
	cache_ahead_entry(h->cache, cache_ahead(h->cache, &none));
	assert_memory_equal(&h->counters, &before, sizeof(before));
	assert_string_equal(help_get(h, "A.test", 1), "first");
	assert_null(help_get(h, "b.test", 1));
}

static void every_part_of_the_key_tells_apart(void **state)
{
	struct help *h = *state;
	const struct cache_key base = help_key("a.test", 1);
	struct cache_key keys[6] = { base, base, base, base, base, base };
	keys[1].kind = CACHE_NODATA;
	keys[2].flags = CACHE_KEY_DO;
	keys[3].rclass = 3;
	keys[4].domain = 77;
	keys[5].type = 2;
	const struct cache_meta meta = help_meta(h, DAY);
	uint8_t buf[64];
	struct cache_meta got;
	for (uint8_t i = 0; i < 6; i++)
		assert_true(cache_put(h->cache, &keys[i], &h->now, &meta, &i, 1));
	for (uint8_t i = 0; i < 6; i++) {
		assert_int_equal(
			cache_get(h->cache, &keys[i], &h->now, &got, buf, sizeof(buf)),
			1);
		assert_int_equal(buf[0], i);
	}
}

static void meta_and_deps_come_back(void **state)
{
	struct help *h = *state;
	const struct cache_key key = help_key("a.test", 1);
	const uint8_t deps[] = "\1x\1b\0\1y\1c";
	struct cache_meta meta = help_meta(h, 300), got;
	meta.status = CACHE_SECURE;
	meta.rcode = 3;
	meta.ede = 22;
	meta.user = 0xbeef;
	meta.deps = deps;
	meta.deps_len = sizeof(deps);
	uint8_t buf[64];
	assert_true(cache_put(h->cache, &key, &h->now, &meta, (const uint8_t *)"v", 1));
	assert_int_equal(cache_get(h->cache, &key, &h->now, &got, buf, sizeof(buf)), 1);
	assert_int_equal(got.stored_s, meta.stored_s);
	assert_int_equal(got.expire_s, meta.expire_s);
	assert_int_equal(got.generation, meta.generation);
	assert_int_equal(got.epoch, meta.epoch);
	assert_int_equal(got.status, CACHE_SECURE);
	assert_int_equal(got.rank, RANK_AUTH_ANSWER);
	assert_int_equal(got.rcode, 3);
	assert_int_equal(got.ede, 22);
	assert_int_equal(got.user, 0xbeef);
	assert_int_equal(got.deps_len, sizeof(deps));
	assert_memory_equal(got.deps, deps, sizeof(deps));
	assert_int_equal(cache_get(h->cache, &key, &h->now, &got, buf, 5), -1);
}

static void values_of_every_size_up_to_the_limit(void **state)
{
	struct help *h = *state;
	const struct cache_key key = help_key("big.test", 16);
	struct cache_meta meta = help_meta(h, DAY);
	uint8_t *value = malloc(CACHE_VALUE_MAX + 1), *got = malloc(CACHE_VALUE_MAX);
	random_fill(&h->rnd, value, CACHE_VALUE_MAX + 1);
	for (size_t len = 0; len <= CACHE_VALUE_MAX; len += len < 100 ? 1 : 997) {
		assert_true(cache_put(h->cache, &key, &h->now, &meta, value, len));
		assert_int_equal(
			cache_get(h->cache, &key, &h->now, &meta, got, CACHE_VALUE_MAX),
			len);
		assert_memory_equal(value, got, len);
	}
	assert_true(cache_put(h->cache, &key, &h->now, &meta, value, CACHE_VALUE_MAX));
	assert_false(
		cache_put(h->cache, &key, &h->now, &meta, value, CACHE_VALUE_MAX + 1));
	free(value);
	free(got);
}

static void entries_expire_and_the_future_is_a_miss(void **state)
{
	struct help *h = *state;
	const struct cache_key key = help_key("a.test", 1);
	struct cache_meta meta = help_meta(h, 10), got;
	uint8_t buf[16];
	assert_true(cache_put(h->cache, &key, &h->now, &meta, buf, 1));
	h->now.wall_ms += 9000;
	assert_int_equal(cache_get(h->cache, &key, &h->now, &got, buf, sizeof(buf)), 1);
	h->now.wall_ms += 1000;
	assert_int_equal(
		cache_get(h->cache, &key, &h->now, &got, buf, sizeof(buf)), -1);
	assert_int_equal(
		cache_peek(h->cache, &key, &h->now, &got, buf, sizeof(buf), false), -1);
	assert_int_equal(
		cache_peek(h->cache, &key, &h->now, &got, buf, sizeof(buf), true), 1);
	h->now.wall_ms -=
		3600 * 1000; /* the clock was set back: it lies in the future */
	assert_int_equal(
		cache_get(h->cache, &key, &h->now, &got, buf, sizeof(buf)), -1);
	assert_int_equal(
		cache_peek(h->cache, &key, &h->now, &got, buf, sizeof(buf), true), -1);
	meta.expire_s = meta.stored_s;
	assert_false(cache_put(h->cache, &key, &h->now, &meta, buf, 1));
}

static bool put_trust(struct help *h, uint8_t rank, uint8_t status, int64_t life_s)
{
	const struct cache_key key = help_key("rank.test", 1);
	struct cache_meta meta = help_meta(h, life_s);
	meta.rank = rank;
	meta.status = status;
	return cache_put(h->cache, &key, &h->now, &meta, &rank, 1);
}

static void lower_trust_never_replaces_what_lives(void **state)
{
	struct help *h = *state;
	assert_true(put_trust(h, RANK_REFERRAL, CACHE_UNCHECKED, 100));
	assert_false(put_trust(h, RANK_GLUE, CACHE_UNCHECKED, 100));
	assert_true(put_trust(h, RANK_REFERRAL, CACHE_UNCHECKED, 100));
	assert_true(put_trust(h, RANK_AUTH_ANSWER, CACHE_SECURE, 100));
	assert_false(put_trust(h, RANK_AUTH_ANSWER, CACHE_UNCHECKED, 100));
	assert_false(put_trust(h, RANK_ANSWER, CACHE_SECURE, 100));
	assert_true(put_trust(h, RANK_AUTH_ANSWER, CACHE_SECURE, 50));
	h->now.wall_ms += 50000;
	assert_true(put_trust(h, RANK_GLUE, CACHE_UNCHECKED, 100));
	assert_true(put_trust(h, RANK_AUTH_ANSWER, CACHE_SECURE, 100));
	cache_clear(h->cache, help_name("rank.test"), false, 0);
	assert_true(put_trust(h, RANK_GLUE, CACHE_UNCHECKED, 100));
}

static void clear_forgets_name_type_and_subtree(void **state)
{
	struct help *h = *state;
	static const char *const names[] = { "b.test", "x.b.test", "y.x.b.test",
		"ab.test" };
	for (unsigned i = 0; i < 4; i++)
		assert_true(help_put(h, names[i], 1, "a") &&
			    help_put(h, names[i], 28, "aaaa"));
	cache_clear(h->cache, help_name("X.b.test"), false, 28);
	assert_null(help_get(h, "x.b.test", 28));
	assert_non_null(help_get(h, "x.b.test", 1));
	cache_clear(h->cache, help_name("x.b.test"), false, 0);
	assert_null(help_get(h, "x.b.test", 1));
	assert_non_null(help_get(h, "y.x.b.test", 1));
	assert_non_null(help_get(h, "b.test", 1));
	cache_clear(h->cache, help_name("b.test"), true, 1);
	assert_null(help_get(h, "b.test", 1));
	assert_null(help_get(h, "y.x.b.test", 1));
	assert_non_null(help_get(h, "y.x.b.test", 28));
	assert_non_null(help_get(h, "ab.test", 1));
	assert_true(help_put(h, "b.test", 1, "new"));
	assert_string_equal(help_get(h, "b.test", 1), "new");
	cache_clear_all(h->cache);
	assert_null(help_get(h, "b.test", 1));
	assert_null(help_get(h, "ab.test", 28));
	assert_int_equal(h->counters.cache_cleared, 6);
}

static void clear_of_the_root_subtree_is_everything(void **state)
{
	struct help *h = *state;
	assert_true(help_put(h, "a.b.c.d.e.f", 1, "x") && help_put(h, ".", 2, "ns"));
	cache_clear(h->cache, help_name("."), false, 0);
	assert_null(help_get(h, ".", 2));
	assert_non_null(help_get(h, "a.b.c.d.e.f", 1));
	cache_clear(h->cache, help_name("."), true, 0);
	assert_null(help_get(h, "a.b.c.d.e.f", 1));
}

static void resolutions_begun_before_a_clear_store_nothing_after_it(void **state)
{
	struct help *h = *state;
	const struct cache_key key = help_key("x.b", 1), other = help_key("x.c", 1);
	const struct cache_meta early = help_meta(h, DAY);
	cache_clear(h->cache, help_name("x.b"), false, 0);
	assert_false(
		cache_put(h->cache, &key, &h->now, &early, (const uint8_t *)"o", 1));
	assert_true(
		cache_put(h->cache, &other, &h->now, &early, (const uint8_t *)"o", 1));
	const struct cache_meta late = help_meta(h, DAY);
	assert_true(cache_put(h->cache, &key, &h->now, &late, (const uint8_t *)"n", 1));
	assert_string_equal(help_get(h, "x.b", 1), "n");
}

static void answers_go_with_the_names_they_rest_on(void **state)
{
	struct help *h = *state;
	struct cache_key key = help_key("www.a", 1);
	key.kind = CACHE_ANSWER;
	struct cache_meta meta = help_meta(h, DAY), got;
	meta.deps = help_name("x.b"); /* its CNAME's target */
	meta.deps_len = 5;
	uint8_t buf[64];
	assert_true(cache_put(h->cache, &key, &h->now, &meta, buf, 7));
	cache_clear(h->cache, help_name("y.b"), false, 0);
	cache_clear(h->cache, help_name("x"), true, 0);
	assert_int_equal(cache_get(h->cache, &key, &h->now, &got, buf, sizeof(buf)), 7);
	cache_clear(h->cache, help_name("b"), true, 0);
	assert_int_equal(
		cache_get(h->cache, &key, &h->now, &got, buf, sizeof(buf)), -1);
	assert_false(cache_put(h->cache, &key, &h->now, &meta, buf, 7));
	meta.generation = cache_generation(h->cache);
	assert_true(cache_put(h->cache, &key, &h->now, &meta, buf, 7));
	/* the CNAME itself: a finished answer rests on more types than its own */
	cache_clear(h->cache, help_name("www.a"), false, 5);
	assert_int_equal(
		cache_get(h->cache, &key, &h->now, &got, buf, sizeof(buf)), -1);
}

static void denials_above_a_cleared_name_go_with_it(void **state)
{
	struct help *h = *state;
	struct cache_key b = help_key("b.test", 0), c = help_key("c.test", 0),
			 deep = help_key("e.d.c.b.a.test", 0);
	b.kind = c.kind = deep.kind = CACHE_NXDOMAIN;
	const struct cache_meta meta = help_meta(h, DAY);
	struct cache_meta got;
	uint8_t buf[16];
	assert_true(cache_put(h->cache, &b, &h->now, &meta, buf, 1));
	assert_true(cache_put(h->cache, &c, &h->now, &meta, buf, 1));
	assert_true(cache_put(h->cache, &deep, &h->now, &meta, buf, 1));
	cache_clear(h->cache, help_name("x.b.test"), false, 0);
	assert_int_equal(cache_get(h->cache, &b, &h->now, &got, buf, sizeof(buf)), -1);
	assert_int_equal(cache_get(h->cache, &c, &h->now, &got, buf, sizeof(buf)), 1);
	assert_int_equal(
		cache_get(h->cache, &deep, &h->now, &got, buf, sizeof(buf)), 1);
	cache_clear(h->cache, help_name("g.f.e.d.c.b.a.test"), false, 0);
	assert_int_equal(
		cache_get(h->cache, &deep, &h->now, &got, buf, sizeof(buf)), -1);
}

static void more_clears_than_lines_forget_only_what_is_older_than_all(void **state)
{
	struct help *h = *state;
	assert_true(help_put(h, "old.test", 1, "x"));
	cache_clear(h->cache, help_name("n.test"), false, 0);
	assert_true(help_put(h, "new.test", 1, "x"));
	for (unsigned i = 0; i < 1023; i++)
		cache_clear(h->cache, help_name("n.test"), false, 0);
	assert_non_null(help_get(h, "old.test", 1));
	cache_clear(h->cache, help_name("n.test"), false, 0);
	assert_null(help_get(h, "old.test", 1));
	assert_non_null(help_get(h, "new.test", 1));
}

static void another_epoch_is_a_miss(void **state)
{
	struct help *h = *state;
	const struct cache_meta early = help_meta(h, DAY);
	const struct cache_key key = help_key("a.test", 1);
	assert_true(help_put(h, "b.test", 1, "x"));
	cache_epoch_raise(h->cache);
	assert_null(help_get(h, "b.test", 1));
	assert_false(cache_put(h->cache, &key, &h->now, &early, NULL, 0));
	assert_true(help_put(h, "b.test", 1, "y"));
}

static void instances_share_entries_clears_and_epochs(void **state)
{
	struct help *h = *state;
	struct cache *other = help_open(h, 4 * 1024 * 1024);
	assert_true(help_put(h, "a.test", 1, "shared"));
	assert_string_equal(help_get_from(h, other, "a.test", 1), "shared");
	const pid_t pid = fork();
	if (pid == 0) {
		cache_clear(other, help_name("a.test"), false, 0);
		_exit(help_put(h, "c.test", 1, "child") ? 0 : 1);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_null(help_get(h, "a.test", 1));
	assert_string_equal(help_get_from(h, other, "c.test", 1), "child");
	cache_epoch_raise(other);
	assert_null(help_get(h, "c.test", 1));
	cache_close(other);
}

static void a_restart_keeps_entries_and_clears(void **state)
{
	struct help *h = *state;
	const uint64_t generation = cache_generation(h->cache);
	assert_true(
		help_put(h, "a.test", 1, "kept") && help_put(h, "b.test", 1, "gone"));
	cache_clear(h->cache, help_name("b.test"), false, 0);
	cache_close(h->cache);
	h->cache = help_open(h, 4 * 1024 * 1024);
	assert_int_equal(cache_generation(h->cache), generation + 1);
	assert_string_equal(help_get(h, "a.test", 1), "kept");
	assert_null(help_get(h, "b.test", 1));
}

static void the_first_size_wins_while_it_is_used(void **state)
{
	struct help *h = *state;
	assert_true(help_put(h, "a.test", 1, "x"));
	struct cache *other = help_open(h, 8 * 1024 * 1024);
	struct cache_stats stats;
	cache_stats(other, &stats);
	assert_int_equal(stats.size, 4 * 1024 * 1024);
	assert_false(stats.is_private);
	assert_non_null(help_get_from(h, other, "a.test", 1));
	cache_close(other);
	cache_close(h->cache);
	h->cache = help_open(h, 8 * 1024 * 1024);
	cache_stats(h->cache, &stats);
	assert_int_equal(stats.size, 8 * 1024 * 1024);
}

static bool count_entry(void *ctx, const struct cache_key *key,
	const struct cache_meta *meta, const uint8_t *value, size_t len)
{
	(void)value;
	assert_int_equal(key->type, 1);
	assert_int_equal(meta->rank, RANK_AUTH_ANSWER);
	assert_int_equal(len, 1);
	return ++*(int *)ctx < 10;
}

static void walk_and_stats_see_what_is_there(void **state)
{
	struct help *h = *state;
	char name[32];
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "%d.test", i);
		assert_true(help_put(h, name, 1, "x"));
	}
	int count = 0;
	cache_walk(h->cache, &h->now, count_entry, &count);
	assert_int_equal(count, 8);
	struct cache_stats stats;
	cache_stats(h->cache, &stats);
	assert_int_equal(stats.entries, 8);
	assert_int_equal(stats.inserts, 8);
	assert_in_range(stats.bytes_used, 8 * 64, 8 * 128);
	for (int i = 8; i < 20; i++) {
		snprintf(name, sizeof(name), "%d.test", i);
		assert_true(help_put(h, name, 1, "x"));
	}
	count = 0;
	cache_walk(h->cache, &h->now, count_entry, &count);
	assert_int_equal(count, 10);
}

static const char flood_value[] =
	"some seventy bytes, about what an address record takes with its head";

static void put_numbered(struct help *h, const char *form, unsigned i)
{
	char name[64];
	snprintf(name, sizeof(name), "%s%u.example.test", form, i);
	help_put(h, name, 1, flood_value);
}

/* 4 MB, 2,000 names in use, four times the cache's size of names asked once: hits in
 * percent. */
static unsigned under_flood(struct help *h)
{
	char name[64];
	unsigned asked = 0, hits = 0;
	for (unsigned i = 0; i < 100000; i++) {
		put_numbered(h, "flood", i);
		if (i % 5)
			continue;
		const unsigned hot = random_below(&h->rnd, 2000);
		snprintf(name, sizeof(name), "hot%u.example.test", hot);
		asked++;
		if (help_get(h, name, 1))
			hits++;
		else
			put_numbered(h, "hot", hot);
	}
	print_message("hits of names in use: %u of %u\n", hits, asked);
	return hits * 100 / asked;
}

static void names_in_use_survive_a_flood(void **state)
{
	struct help *h = *state;
	for (unsigned i = 0; i < 2000; i++)
		put_numbered(h, "hot", i);
	assert_in_range(under_flood(h), 95, 100);
}

/* Each of the 2,000 is a miss when first asked, and mostly when asked again (from then
 * on it is known): two tenths of all. */
static void new_names_get_their_place_among_junk(void **state)
{
	struct help *h = *state;
	for (unsigned i = 0; i < 100000; i++)
		put_numbered(h, "junk", i);
	assert_in_range(under_flood(h), 75, 100);
}

/* The first pass fills it, the second finds it: nothing is kept aside. */
static void a_full_cache_holds_what_fits(void **state)
{
	struct help *h = *state;
	char name[64];
	int hits = 0;
	enum { COUNT = 22000 }; /* of 160 bytes: nine tenths of the logs */
	char value[80];
	memset(value, 'v', sizeof(value));
	value[60] = 0;
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "name%06d.example.test", i);
		assert_true(help_put(h, name, 1, value));
	}
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "name%06d.example.test", i);
		hits += help_get(h, name, 1) != NULL;
	}
	print_message("second pass: %d of %d\n", hits, COUNT);
	assert_true(hits * 100 >= COUNT * 99);
}

/* --- another size ------------------------------------------------ */

static size_t size_of(struct cache *c)
{
	struct cache_stats stats;
	cache_stats(c, &stats);
	return stats.size;
}

static void fill_numbers(struct help *h, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.test", i);
		assert_true(help_put(h, name, 1, name));
	}
}

static unsigned count_numbers(struct help *h, struct cache *c, unsigned count)
{
	unsigned right = 0;
	for (unsigned i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.test", i);
		const char *got = help_get_from(h, c, name, 1);
		if (got)
			assert_string_equal(got, name);
		right += got != NULL;
	}
	return right;
}

static void another_size_keeps_the_entries_for_all(void **state)
{
	struct help *h = *state;
	const size_t mb = 1024 * 1024;
	struct cache *other = help_open(h, 4 * mb);
	fill_numbers(h, 3000);
	assert_true(cache_clear(h->cache, help_name("n5.test"), false, 0));
	assert_int_equal(cache_resize(other, 16 * mb), 0);
	assert_int_equal(size_of(other), 16 * mb);
	assert_int_equal(count_numbers(h, other, 3000), 2999);
	/* the others see it at their next look, without a tick */
	assert_int_equal(size_of(h->cache), 4 * mb);
	h->now.mono_us += 2000000;
	assert_int_equal(count_numbers(h, h->cache, 3000), 2999);
	assert_int_equal(size_of(h->cache), 16 * mb);
	assert_true(help_put(h, "new.test", 1, "new"));
	assert_string_equal(help_get_from(h, other, "new.test", 1), "new");
	/* smaller: what fits */
	assert_int_equal(cache_resize(h->cache, mb), 0);
	h->now.mono_us += 2000000;
	assert_true(count_numbers(h, other, 3000) > 2000);
	assert_int_equal(size_of(other), mb);
	assert_int_equal(cache_resize(other, 1000), -EINVAL);
	cache_close(other);
}

static void a_clear_while_the_size_changes_is_not_lost(void **state)
{
	struct help *h = *state;
	struct cache *other = help_open(h, 4 * 1024 * 1024);
	const struct cache_meta before = help_meta(h, DAY);
	fill_numbers(h, 100);
	assert_int_equal(cache_resize(other, 8 * 1024 * 1024), 0);
	/* this one has not looked yet: its line goes to the segment before */
	h->now.mono_us += 2000000;
	assert_true(cache_clear(h->cache, help_name("n7.test"), false, 0));
	assert_null(help_get_from(h, other, "n7.test", 1));
	assert_string_equal(help_get_from(h, other, "n8.test", 1), "n8.test");
	/* and a resolution that began before the change stores nothing old */
	const struct cache_key key = help_key("late.test", 1);
	assert_false(
		cache_put(h->cache, &key, &h->now, &before, (const uint8_t *)"x", 1));
	assert_true(help_put(h, "late.test", 1, "y"));
	cache_close(other);
}

static void a_lone_one_takes_its_size_and_the_entries(void **state)
{
	struct help *h = *state;
	fill_numbers(h, 1000);
	struct cache *other = help_open(h, 8 * 1024 * 1024);
	assert_int_equal(size_of(other), 4 * 1024 * 1024); /* first wins */
	cache_close(other);
	cache_close(h->cache);
	h->cache = help_open(h, 8 * 1024 * 1024);
	assert_int_equal(size_of(h->cache), 8 * 1024 * 1024);
	assert_int_equal(count_numbers(h, h->cache, 1000), 1000);
	const struct cache_conf conf = { .run_folder = h->folder, .existing = true };
	other = cache_open(&conf, &h->counters, &h->rnd);
	assert_non_null(other);
	assert_int_equal(size_of(other), 8 * 1024 * 1024);
	cache_close(other);
	cache_close(h->cache);
	h->cache = NULL;
	char path[200];
	help_path(h, path);
	assert_int_equal(unlink(path), 0);
	assert_null(cache_open(&conf, &h->counters, &h->rnd));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_put_is_got_whatever_the_case),
		T(looking_ahead_changes_nothing),
		T(every_part_of_the_key_tells_apart),
		T(meta_and_deps_come_back),
		T(values_of_every_size_up_to_the_limit),
		T(entries_expire_and_the_future_is_a_miss),
		T(lower_trust_never_replaces_what_lives),
		T(clear_forgets_name_type_and_subtree),
		T(clear_of_the_root_subtree_is_everything),
		T(resolutions_begun_before_a_clear_store_nothing_after_it),
		T(answers_go_with_the_names_they_rest_on),
		T(denials_above_a_cleared_name_go_with_it),
		T(more_clears_than_lines_forget_only_what_is_older_than_all),
		T(another_epoch_is_a_miss),
		T(instances_share_entries_clears_and_epochs),
		T(a_restart_keeps_entries_and_clears),
		T(the_first_size_wins_while_it_is_used),
		T(walk_and_stats_see_what_is_there),
		T(names_in_use_survive_a_flood),
		T(new_names_get_their_place_among_junk),
		T(a_full_cache_holds_what_fits),
		T(another_size_keeps_the_entries_for_all),
		T(a_clear_while_the_size_changes_is_not_lost),
		T(a_lone_one_takes_its_size_and_the_entries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
