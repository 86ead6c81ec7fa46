/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void backoff_starts_at_once_then_doubles_to_ten_seconds(void **state)
{
	(void)state;
	const int64_t want_ms[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000,
		10000 };
	struct backoff b = { 0 };
	for (size_t i = 0; i < sizeof(want_ms) / sizeof(want_ms[0]); i++)
		assert_int_equal(backoff_after(&b, 5000), want_ms[i] * 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(backoff_after(&b, 0), 10000000);
}

/* What waits in the queues of one that served is not to wait until it is stale. */
static void backoff_is_short_for_who_served(void **state)
{
	(void)state;
	struct backoff b = { 0 };
	for (int i = 0; i < 20; i++)
		assert_true(backoff_after(&b, 2000000) <= 500000);
	assert_int_equal(backoff_after(&b, 2000000), 500000);
	assert_int_equal(backoff_after(&b, 1999999), 10000000);
}

static void backoff_forgets_after_ten_seconds_of_life(void **state)
{
	(void)state;
	struct backoff b = { 0 };
	backoff_after(&b, 0);
	backoff_after(&b, 0);
	assert_int_equal(backoff_after(&b, 9999999), 200000);
	assert_int_equal(backoff_after(&b, 10000000), 0);
	assert_int_equal(backoff_after(&b, 0), 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backoff_starts_at_once_then_doubles_to_ten_seconds),
		cmocka_unit_test(backoff_is_short_for_who_served),
		cmocka_unit_test(backoff_forgets_after_ten_seconds_of_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
