/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void what_was_given_out_is_wiped(void **state)
{
	(void)state;
	struct random r;
	random_init(&r);
	for (int i = 0; i < 1000; i++) {
		uint8_t out[37];
		random_fill(&r, out, sizeof(out));
		for (size_t k = 0; k < sizeof(r.buf) - r.left; k++)
			assert_int_equal(r.buf[k], 0);
	}
}

static void large_and_small_requests_are_filled_whole(void **state)
{
	(void)state;
	struct random r;
	random_init(&r);
	static uint8_t out[5000], seen[5000];
	for (int i = 0; i < 64; i++) {
		random_fill(&r, out, sizeof(out));
		for (size_t k = 0; k < sizeof(out); k++)
			seen[k] |= out[k];
	}
	for (size_t k = 0; k < sizeof(seen); k++)
		assert_int_equal(seen[k], 0xff); /* a miss has a chance of 10^-15 */
	assert_true(random_u64(&r) != random_u64(&r));
}

static void below_reaches_all_and_nothing_else(void **state)
{
	(void)state;
	struct random r;
	random_init(&r);
	for (uint32_t bound = 1; bound < 40; bound++) {
		bool hit[40] = { false };
		for (int i = 0; i < 4000; i++) {
			const uint32_t n = random_below(&r, bound);
			assert_true(n < bound);
			hit[n] = true;
		}
		for (uint32_t i = 0; i < bound; i++)
			assert_true(hit[i]);
	}
	assert_true(random_below(&r, UINT32_MAX) < UINT32_MAX);
}

static void zeros(struct random *r, void *out, size_t len)
{
	(void)r;
	memset(out, 0, len);
}

/* A script that repeats itself must not hang a scenario. */
static void below_ends_with_a_scripted_generator(void **state)
{
	(void)state;
	struct random r = { .fill = zeros };
	assert_int_equal(random_below(&r, 3), 0);
	assert_int_equal(random_u16(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_given_out_is_wiped),
		cmocka_unit_test(large_and_small_requests_are_filled_whole),
		cmocka_unit_test(below_reaches_all_and_nothing_else),
		cmocka_unit_test(below_ends_with_a_scripted_generator),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
