/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/watchmen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char run[] = "/tmp/shoal-watchmen-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	strcpy(run, "/tmp/shoal-watchmen-XXXXXX");
	return mkdtemp(run) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	char command[100];
	snprintf(command, sizeof(command), "rm -r %s", run);
	return system(command);
}

/* An instance that shows so many sockets. */
static void put_instance(const char *name, size_t sockets)
{
	struct shm shm;
	struct stats_block *b = stats_open(run, name, &shm);
	assert_non_null(b);
	for (size_t i = 0; i < sockets; i++)
		b->cookies[i] = i + 1;
	shm_close(&shm);
}

static void sockets_of_all_instances_are_known(void **state)
{
	(void)state;
	uint64_t *known = calloc(WATCHMEN_KNOWN_MAX, sizeof(*known));
	assert_int_equal(watchmen_known(run, known), 0);
	put_instance("1", 3);
	put_instance("2", 0);
	put_instance("3", STATS_COOKIES - 1);
	assert_int_equal(watchmen_known(run, known), 3 + STATS_COOKIES - 1);
	assert_int_equal(known[2], 3);
	assert_int_equal(known[3], 1);
	assert_int_equal(known[3 + STATS_COOKIES - 2], STATS_COOKIES - 1);
	free(known);
}

/* Who shows as many as there is room for may have more: whatever comes after it. */
static void instances_with_too_many_sockets_end_the_search(void **state)
{
	(void)state;
	/* in the middle of a block: what is written before it is seen */
	uint64_t *block = calloc(3 * WATCHMEN_KNOWN_MAX, sizeof(*block));
	uint64_t *known = block + WATCHMEN_KNOWN_MAX;
	put_instance("1", STATS_COOKIES);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(watchmen_known(run, known), -1);
		put_instance(i ? "3" : "2", i ? 1 : STATS_COOKIES);
	}
	for (size_t i = 0; i < WATCHMEN_KNOWN_MAX; i++) {
		assert_int_equal(block[i], 0);
		assert_int_equal(block[2 * WATCHMEN_KNOWN_MAX + i], 0);
	}
	free(block);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(sockets_of_all_instances_are_known),
		T(instances_with_too_many_sockets_end_the_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
