/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list against an array searched from one end to the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache/keylist.h"

static uint64_t seed = 7;

static uint32_t draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

/* Few letters, so that keys share much and are often equal. */
static size_t draw_key(uint8_t *out)
{
	const size_t len = draw(9);
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(draw(8) ? 'a' + draw(3) : draw(256));
	return len;
}

static int order(const struct keylist_key *a, const uint8_t *b, size_t len)
{
	const int o = memcmp(a->bytes, b, a->len < len ? a->len : len);
	return o ? o : (a->len > len) - (a->len < len);
}

static void list_finds_what_a_walk_finds(void **state)
{
	(void)state;
	static struct keylist l, again;
	uint8_t list[KEYLIST_BYTES_MAX], key[16];
	for (unsigned round = 0; round < 3000; round++) {
		l.count = 0;
		for (unsigned i = draw(60); i; i--) {
			const size_t len = draw_key(key);
			assert_true(keylist_put(&l, key, len, i));
		}
		const size_t len = keylist_write(&l, 0, l.count, list, sizeof(list));
		assert_true(len != SIZE_MAX);
		assert_true(keylist_read(&again, list, len));
		assert_int_equal(again.count, l.count);
		for (unsigned i = 0; i < 20; i++) {
			const size_t key_len = draw_key(key);
			unsigned at = 0, below = 0;
			for (unsigned j = 0; j < l.count; j++) {
				at += order(&l.item[j], key, key_len) <= 0;
				below += order(&l.item[j], key, key_len) < 0;
			}
			struct keylist_key found;
			assert_int_equal(
				keylist_find(list, len, key, key_len, &found), at > 0);
			if (at) {
				assert_int_equal(
					order(&l.item[at - 1], found.bytes, found.len),
					0);
				assert_int_equal(found.end_s, l.item[at - 1].end_s);
			}
			assert_int_equal(keylist_below(list, len, key, key_len, &found),
				below > 0);
			if (below)
				assert_int_equal(order(&l.item[below - 1], found.bytes,
							 found.len),
					0);
		}
		struct keylist_key last;
		assert_int_equal(keylist_last(list, len, &last), l.count > 0);
		if (l.count)
			assert_int_equal(
				order(&l.item[l.count - 1], last.bytes, last.len), 0);
	}
}

static void list_takes_no_more_than_its_room(void **state)
{
	(void)state;
	static struct keylist l;
	uint8_t list[64], key[20];
	l.count = 0;
	for (unsigned i = 0; i < 3; i++) {
		memset(key, (int)i + 1, sizeof(key));
		keylist_put(&l, key, sizeof(key), 1);
	}
	assert_true(keylist_write(&l, 0, 3, list, sizeof(list)) == SIZE_MAX);
	assert_int_equal(keylist_write(&l, 0, 2, list, sizeof(list)), 52);
}

static void list_drops_what_has_ended(void **state)
{
	(void)state;
	static struct keylist l;
	l.count = 0;
	for (unsigned i = 0; i < 10; i++)
		keylist_put(&l, (const uint8_t *)"abcdefghij" + i, 1, i);
	assert_int_equal(keylist_drop_ended(&l, 4), 5);
	assert_int_equal(l.count, 5);
	assert_int_equal(l.item[0].bytes[0], 'f');
}

static void between_tells_where_the_second_begins(void **state)
{
	(void)state;
	uint8_t out[KEYLIST_KEY_MAX];
	const struct keylist_key a = { .len = 5, .bytes = "hosta" },
				 b = { .len = 6, .bytes = "hostxy" },
				 c = { .len = 3, .bytes = "hos" };
	assert_int_equal(keylist_between(&a, &b, out), 5);
	assert_memory_equal(out, "hostx", 5);
	assert_int_equal(keylist_between(&c, &a, out), 4);
	assert_memory_equal(out, "host", 4);
}

static void any_bytes_are_read_safely(void **state)
{
	(void)state;
	static struct keylist l;
	struct keylist_key found;
	for (unsigned round = 0; round < 20000; round++) {
		const size_t len = draw(100);
		uint8_t *list = malloc(len + 1); /* its end is watched by sanitizers */
		for (size_t i = 0; i < len; i++)
			list[i] = (uint8_t)(draw(3) ? draw(4) : draw(256));
		keylist_read(&l, list, len);
		keylist_find(list, len, (const uint8_t *)"ab", 2, &found);
		keylist_below(list, len, (const uint8_t *)"ab", 2, &found);
		keylist_last(list, len, &found);
		free(list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_finds_what_a_walk_finds),
		cmocka_unit_test(list_takes_no_more_than_its_room),
		cmocka_unit_test(list_drops_what_has_ended),
		cmocka_unit_test(between_tells_where_the_second_begins),
		cmocka_unit_test(any_bytes_are_read_safely),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
