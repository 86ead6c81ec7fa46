/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void memory_is_zero_and_aligned_also_after_a_reset(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 20);
	for (int turn = 0; turn < 3; turn++) {
		for (size_t len = 1; len < 700; len += 13) {
			uint8_t *p = arena_alloc(a, len);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t i = 0; i < len; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xaa, len);
		}
		arena_reset(a);
		assert_int_equal(arena_used(a), 0);
	}
	arena_free(a);
}

static void nothing_overlaps(void **state)
{
	(void)state;
	enum { COUNT = 200 };
	struct arena *a = arena_new(1 << 24);
	uint8_t *p[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		p[i] = arena_alloc(a, i * 37);
		assert_non_null(p[i]);
		memset(p[i], (int)i, i * 37);
	}
	for (size_t i = 0; i < COUNT; i++)
		for (size_t k = 0; k < i * 37; k++)
			assert_int_equal(p[i][k], i);
	arena_free(a);
}

static void memory_of_a_freed_arena_is_zero_in_the_next(void **state)
{
	(void)state;
	for (int turn = 0; turn < 3; turn++) {
		struct arena *many[100];
		for (int i = 0; i < 100; i++) {
			many[i] = arena_new(1 << 20);
			for (size_t len = 100; len < 20000; len *= 3) {
				uint8_t *p = arena_alloc(many[i], len);
				assert_non_null(p);
				for (size_t k = 0; k < len; k++)
					assert_int_equal(p[k], 0);
				memset(p, 0xbb, len);
			}
		}
		for (int i = 0; i < 100; i++)
			arena_free(many[i]);
	}
}

static void over_the_limit_it_stays_overflowed_until_reset(void **state)
{
	(void)state;
	struct arena *a = arena_new(1000);
	assert_non_null(arena_alloc(a, 900));
	assert_null(arena_alloc(a, 200));
	assert_true(arena_overflowed(a));
	/* this one would fit, but a hole in an answer is worse than none */
	assert_null(arena_alloc(a, 1));
	assert_null(arena_dup(a, "x", 1));
	assert_null(arena_strdup(a, "x"));
	arena_reset(a);
	assert_false(arena_overflowed(a));
	assert_non_null(arena_alloc(a, 900));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_true(arena_overflowed(a));
	arena_free(a);
}

static void empty_allocations_have_an_address_of_their_own(void **state)
{
	(void)state;
	struct arena *a = arena_new(1000);
	void *one = arena_alloc(a, 0), *two = arena_alloc(a, 0);
	assert_non_null(one);
	assert_non_null(two);
	assert_ptr_not_equal(one, two);
	assert_non_null(arena_dup(a, NULL, 0));
	assert_string_equal(arena_strdup(a, "text"), "text");
	arena_free(a);
	arena_free(NULL);
}

static void a_block_larger_than_any_chunk_is_served(void **state)
{
	(void)state;
	struct arena *a = arena_new(4 << 20);
	uint8_t *big = arena_alloc(a, 3 << 20);
	assert_non_null(big);
	memset(big, 1, 3 << 20);
	assert_non_null(arena_alloc(a, 100));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zero_and_aligned_also_after_a_reset),
		cmocka_unit_test(nothing_overlaps),
		cmocka_unit_test(memory_of_a_freed_arena_is_zero_in_the_next),
		cmocka_unit_test(over_the_limit_it_stays_overflowed_until_reset),
		cmocka_unit_test(empty_allocations_have_an_address_of_their_own),
		cmocka_unit_test(a_block_larger_than_any_chunk_is_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
