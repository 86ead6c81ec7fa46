/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/tokens.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cache/secrets.h"
#include "cache/test_help.h"

/* How many of `tries` a second, spread over the instances, are let through in `seconds`. */
static unsigned pressed(struct help *h, unsigned instances, unsigned tries,
	unsigned seconds, const struct tokens_limit *limit, const void *client)
{
	struct tokens *t[16];
	unsigned passed = 0;
	for (unsigned i = 0; i < instances; i++)
		t[i] = tokens_open(h->folder, &h->rnd);
	for (unsigned i = 0; i < tries * seconds; i++) {
		passed += tokens_take(t[random_below(&h->rnd, instances)], 1, client, 4,
			limit, &h->now);
		h->now.mono_us += 1000000 / tries;
	}
	for (unsigned i = 0; i < instances; i++)
		tokens_close(t[i]);
	return passed;
}

static void one_instance_or_sixteen_give_the_same_ceiling(void **state)
{
	struct help *h = *state;
	static const struct tokens_limit limit = { .per_s = 1000, .burst = 1000 };
	uint32_t client = 1;
	for (unsigned instances = 1; instances <= 16; instances *= 4, client++) {
		const unsigned passed =
			pressed(h, instances, 10000, 10, &limit, &client);
		print_message("%u instances: %u of 11000\n", instances, passed);
		assert_in_range(passed, 9900, 11100);
	}
}

static void a_host_that_is_up_for_long_limits_too(void **state)
{
	struct help *h = *state;
	static const struct tokens_limit limit = { .per_s = 100, .burst = 100 };
	const uint32_t client = 9;
	h->now.mono_us = (INT64_C(1) << 44) - 500000; /* 203 days, and on */
	assert_in_range(pressed(h, 1, 1000, 10, &limit, &client), 1000, 1200);
	assert_in_range(pressed(h, 1, 1000, 10, &limit, &client), 900, 1200);
}

static void clients_and_groups_do_not_share(void **state)
{
	struct help *h = *state;
	static const struct tokens_limit limit = { .per_s = 1, .burst = 3 };
	struct tokens *t = tokens_open(h->folder, &h->rnd);
	for (uint32_t client = 0; client < 100; client++) {
		for (unsigned i = 0; i < 3; i++)
			assert_true(tokens_take(t, 1, &client, 4, &limit, &h->now));
		assert_false(tokens_take(t, 1, &client, 4, &limit, &h->now));
		assert_true(tokens_take(t, 2, &client, 4, &limit, &h->now));
	}
	h->now.mono_us += 1000001;
	const uint32_t client = 7;
	assert_true(tokens_take(t, 1, &client, 4, &limit, &h->now));
	assert_false(tokens_take(t, 1, &client, 4, &limit, &h->now));
	tokens_close(t);
}

static void damage_gives_a_burst_and_never_locks_out(void **state)
{
	struct help *h = *state;
	static const struct tokens_limit limit = { .per_s = 10, .burst = 10 };
	struct tokens *t = tokens_open(h->folder, &h->rnd);
	char path[200];
	struct stat st;
	snprintf(path, sizeof(path), "%s/shm/tokens-v%d", h->folder, TOKENS_LAYOUT);
	assert_int_equal(stat(path, &st), 0);
	const int fd = open(path, O_RDWR);
	uint8_t *bytes = mmap(
		NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	for (off_t i = 64; i < st.st_size; i++)
		bytes[i] = (uint8_t)random_u16(&h->rnd);
	munmap(bytes, (size_t)st.st_size);
	for (uint32_t client = 0; client < 200; client++)
		assert_true(tokens_take(t, 1, &client, 4, &limit, &h->now));
	tokens_close(t);
}

/* --- secrets ----------------------------------------------------- */

static void a_file_that_was_removed_is_left_for_the_new_one(void **state)
{
	struct help *h = *state;
	static const struct tokens_limit limit = { .per_s = 1, .burst = 10 };
	const uint32_t client = 7;
	char path[300];
	struct tokens *t[2] = { tokens_open(h->folder, &h->rnd),
		tokens_open(h->folder, &h->rnd) };
	snprintf(path, sizeof(path), "%s/shm/tokens-v%d", h->folder, TOKENS_LAYOUT);
	unsigned passed = 0;
	for (unsigned i = 0; i < 40; i++) {
		if (i == 20) {
			assert_int_equal(unlink(path), 0);
			tokens_tick(t[0]);
			tokens_tick(t[1]);
		}
		passed += tokens_take(t[i % 2], 1, &client, 4, &limit, &h->now);
	}
	assert_int_equal(passed, 20); /* a burst more, and one only */
	tokens_close(t[0]);
	tokens_close(t[1]);
}

static void all_instances_have_one_secret_for_each_use_and_epoch(void **state)
{
	struct help *h = *state;
	uint8_t a[SECRET_LEN], b[SECRET_LEN];
	if (mount("none", h->folder, "tmpfs", 0, "size=1m") < 0)
		skip();
	struct secrets *one = secrets_open(h->folder, &h->rnd);
	struct secrets *two = secrets_open(h->folder, &h->rnd);
	const bool shared = secrets_shared(one) && secrets_shared(two);
	secrets_get(one, SECRET_COOKIES, 5, a);
	secrets_get(two, SECRET_COOKIES, 5, b);
	const bool equal = memcmp(a, b, sizeof(a)) == 0;
	secrets_get(two, SECRET_TICKETS, 5, b);
	const bool use = memcmp(a, b, sizeof(a)) != 0;
	secrets_get(two, SECRET_COOKIES, 6, b);
	const bool epoch = memcmp(a, b, sizeof(a)) != 0;
	secrets_close(one);
	secrets_close(two);
	umount(h->folder);
	assert_true(shared && equal && use && epoch);
}

static bool equal_secrets(const struct secrets *one, const struct secrets *two)
{
	uint8_t a[SECRET_LEN], b[SECRET_LEN];
	secrets_get(one, SECRET_TICKETS, 5, a);
	secrets_get(two, SECRET_TICKETS, 5, b);
	return memcmp(a, b, sizeof(a)) == 0;
}

static void a_secret_whose_file_was_removed_comes_back(void **state)
{
	struct help *h = *state;
	char path[300];
	uint8_t was[SECRET_LEN], is[SECRET_LEN];
	if (mount("none", h->folder, "tmpfs", 0, "size=1m") < 0)
		skip();
	snprintf(path, sizeof(path), "%s/shm/secrets-v%d", h->folder, SECRETS_LAYOUT);
	struct secrets *one = secrets_open(h->folder, &h->rnd);
	struct secrets *two = secrets_open(h->folder, &h->rnd);
	secrets_get(one, SECRET_COOKIES, 5, was);
	bool removed = unlink(path) == 0;
	bool kept = !secrets_tick(one) && !secrets_tick(two);
	struct secrets *third = secrets_open(h->folder, &h->rnd);
	secrets_get(third, SECRET_COOKIES, 5, is);
	const bool same = memcmp(was, is, sizeof(was)) == 0;
	/* one that starts before the others look makes another, which they take */
	removed = removed && unlink(path) == 0;
	struct secrets *early = secrets_open(h->folder, &h->rnd);
	const bool differ = !equal_secrets(one, early);
	const bool told = secrets_tick(one) && secrets_tick(two) &&
			  secrets_tick(third) && !secrets_tick(early) &&
			  !secrets_tick(one);
	const bool agree = equal_secrets(one, early) && equal_secrets(two, early) &&
			   equal_secrets(third, early);
	/* damaged, or readable by others: it is made anew, and all agree again */
	FILE *f = fopen(path, "w");
	const bool damaged = f && fputs("something else", f) > 0 && fclose(f) == 0 &&
			     !secrets_tick(one); /* the same file: nobody looks in */
	removed = removed && unlink(path) == 0;
	f = fopen(path, "w");
	const bool foreign = f && fputs("something else", f) > 0 && fclose(f) == 0 &&
			     chmod(path, 0644) == 0;
	kept = kept && !secrets_tick(one) && !secrets_tick(two);
	const bool mended = !secrets_tick(early) && equal_secrets(two, early);
	struct secrets *last = secrets_open(h->folder, &h->rnd);
	const bool followed = equal_secrets(last, one);
	struct secrets *all[] = { one, two, third, early, last };
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		secrets_close(all[i]);
	umount(h->folder);
	assert_true(removed && kept && same);
	assert_true(differ && told && agree);
	assert_true(damaged && foreign && mended && followed);
}

static void on_a_disk_each_has_its_own_and_nothing_is_written(void **state)
{
	struct help *h = *state;
	uint8_t a[SECRET_LEN], b[SECRET_LEN];
	char path[200];
	struct stat st;
	struct secrets *one = secrets_open(h->folder, &h->rnd);
	struct secrets *two = secrets_open(h->folder, &h->rnd);
	if (secrets_shared(one)) { /* the tests' folder is in memory */
		secrets_close(one);
		secrets_close(two);
		skip();
	}
	secrets_get(one, SECRET_COOKIES, 5, a);
	secrets_get(two, SECRET_COOKIES, 5, b);
	assert_memory_not_equal(a, b, sizeof(a));
	snprintf(path, sizeof(path), "%s/shm/secrets-v%d", h->folder, SECRETS_LAYOUT);
	assert_int_equal(stat(path, &st), -1);
	secrets_close(one);
	secrets_close(two);
}

/* Mounts of its own, gone with it. */
static int setup_alone(void **state)
{
	(void)!unshare(CLONE_NEWNS);
	(void)!mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return help_setup_none(state);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, help_setup_none, help_teardown)
	const struct CMUnitTest tests[] = {
		T(one_instance_or_sixteen_give_the_same_ceiling),
		T(a_host_that_is_up_for_long_limits_too),
		T(clients_and_groups_do_not_share),
		T(damage_gives_a_burst_and_never_locks_out),
		T(a_file_that_was_removed_is_left_for_the_new_one),
		T(on_a_disk_each_has_its_own_and_nothing_is_written),
		cmocka_unit_test_setup_teardown(
			all_instances_have_one_secret_for_each_use_and_epoch,
			setup_alone, help_teardown),
		cmocka_unit_test_setup_teardown(
			a_secret_whose_file_was_removed_comes_back, setup_alone,
			help_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
