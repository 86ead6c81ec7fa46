/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/census.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/test_help.h"

static struct random rnd;
static char folder[64];

static int set_up(void **state)
{
	(void)state;
	random_init(&rnd);
	snprintf(folder, sizeof(folder), "/tmp/shoal-census-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void what_instances_have_adds_up(void **state)
{
	(void)state;
	struct census *a = census_open(folder, &rnd), *b = census_open(folder, &rnd);
	for (unsigned i = 0; i < 5; i++)
		census_count(a, 0, "ann", 3, 1);
	for (unsigned i = 0; i < 7; i++)
		census_count(b, 0, "ann", 3, 1);
	census_count(b, 1, "ann", 3, 1);
	census_count(b, 0, "bob", 3, 1);
	assert_int_equal(census_of(a, 0, "ann", 3), 12);
	assert_int_equal(census_of(b, 0, "ann", 3), 12);
	assert_int_equal(census_of(a, 1, "ann", 3), 1);
	assert_int_equal(census_all(a, 0), 13);
	census_count(a, 0, "ann", 3, -1);
	assert_int_equal(census_of(b, 0, "ann", 3), 11);
	census_tick(a); /* who lives keeps what it has */
	assert_int_equal(census_of(a, 0, "ann", 3), 11);
	census_close(b);
	assert_int_equal(census_of(a, 0, "ann", 3), 4);
	assert_int_equal(census_all(a, 0), 4);
	census_close(a);
}

static void what_the_killed_had_goes(void **state)
{
	(void)state;
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	struct census *a = census_open(folder, &rnd);
	const pid_t child = fork();
	if (child == 0) {
		struct census *b = census_open(folder, &rnd);
		for (unsigned i = 0; i < 9; i++)
			census_count(b, 2, "ann", 3, 1);
		(void)!write(ready[1], "", 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(census_of(a, 2, "ann", 3), 9);
	census_tick(a);
	assert_int_equal(census_of(a, 2, "ann", 3), 9);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	census_tick(a);
	assert_int_equal(census_of(a, 2, "ann", 3), 0);
	census_close(a);
	close(ready[0]);
	close(ready[1]);
}

/* Whoever comes first makes the new file. */
static void a_file_that_was_removed_is_left_for_the_new_one(void **state)
{
	(void)state;
	char path[128];
	struct census *a = census_open(folder, &rnd), *b = census_open(folder, &rnd);
	census_count(a, 0, "ann", 3, 1);
	census_count(b, 0, "ann", 3, 1);
	assert_false(census_tick(a));
	snprintf(path, sizeof(path), "%s/shm/clients-v%d", folder, CENSUS_LAYOUT);
	assert_int_equal(unlink(path), 0);
	struct census *fresh = census_open(folder, &rnd);
	assert_int_equal(census_of(fresh, 0, "ann", 3), 0);
	assert_true(census_tick(a));
	census_count(a, 0, "ann", 3, 1); /* as the caller does now */
	assert_true(census_tick(b));
	census_count(b, 0, "ann", 3, 1);
	assert_false(census_tick(a));
	assert_int_equal(census_of(fresh, 0, "ann", 3), 2);
	census_count(a, 0, "ann", 3, -1);
	assert_int_equal(census_of(b, 0, "ann", 3), 1);
	assert_int_equal(truncate(path, 0), 0);
	assert_true(census_tick(b));
	census_close(fresh);
	census_close(b);
	census_close(a);
}

static void many_clients_hardly_disturb_each_other(void **state)
{
	(void)state;
	struct census *a = census_open(folder, &rnd);
	unsigned sum = 0;
	for (unsigned i = 0; i < 900; i++)
		census_count(a, 0, &i, sizeof(i), 1);
	for (unsigned i = 10000; i < 11000; i++)
		sum += census_of(a, 0, &i, sizeof(i));
	assert_in_range(sum, 0, 1000); /* under one connection too many each */
	census_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_instances_have_adds_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_the_killed_had_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_was_removed_is_left_for_the_new_one, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			many_clients_hardly_disturb_each_other, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
