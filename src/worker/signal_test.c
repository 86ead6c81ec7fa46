/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names by which root keys are asked for and told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/codes.h"
#include "worker/sentinel.h"
#include "worker/ta_signal.h"

static bool sentinel(const char *text, bool *is_ta, uint16_t *tag)
{
	uint8_t name[NAME_MAX_LEN];
	assert_true(name_from_text(name, text));
	return sentinel_name(name, is_ta, tag);
}

static void sentinel_names_are_five_digits_behind_their_words(void **state)
{
	(void)state;
	bool is_ta;
	uint16_t tag;
	assert_true(sentinel("root-key-sentinel-is-ta-20326.example", &is_ta, &tag));
	assert_true(is_ta);
	assert_int_equal(tag, 20326);
	assert_true(sentinel("ROOT-key-sentinel-NOT-ta-00007", &is_ta, &tag));
	assert_false(is_ta);
	assert_int_equal(tag, 7);
	static const char *const others[] = { ".",
		"root-key-sentinel-is-ta-2032.example",
		"root-key-sentinel-is-ta-203261.example",
		"root-key-sentinel-is-ta-2032a.example",
		"root-key-sentinel-is-ta-65536.example",
		"a.root-key-sentinel-is-ta-20326.example",
		"root-key-sentinel-no--ta-20326.example",
		"root-key-sentinel-xxx-ta-20326.example" };
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(sentinel(others[i], &is_ta, &tag));
}

static void assert_signal(
	const struct anchor_set *set, const char *owner, const char *want)
{
	uint8_t zone[NAME_MAX_LEN], name[NAME_MAX_LEN];
	char text[NAME_TEXT_MAX];
	assert_true(name_from_text(zone, owner));
	assert_true(ta_signal_name(anchor_find(set, zone, 0), name));
	assert_string_equal(name_to_text(name, text), want);
}

static void key_tags_are_told_in_order_and_once(void **state)
{
	(void)state;
	struct anchor_set *set = anchor_set_new();
	uint8_t zone[NAME_MAX_LEN], ds[4 + 48] = { 0, 1, 8, 2 };
	anchor_set_builtin(set);
	assert_true(name_from_text(zone, "example"));
	for (int i = 40; i > 0; i--) {
		ds[1] = (uint8_t)i;
		assert_true(anchor_set_add(set, zone, TYPE_DS, ds, 4 + 32));
	}
	assert_true(name_from_text(zone, "two.example"));
	ds[0] = 0xab;
	assert_true(anchor_set_add(set, zone, TYPE_DS, ds, 4 + 32));
	ds[3] = 4;
	assert_true(anchor_set_add(set, zone, TYPE_DS, ds, 4 + 48));
	assert_true(anchor_set_seal(set));
	assert_signal(set, ".", "_ta-4f66-9728.");
	assert_signal(set, "two.example", "_ta-ab01.two.example.");
	/* one label is all there is */
	assert_signal(set, "example",
		"_ta-0001-0002-0003-0004-0005-0006-0007-0008-0009-000a-000b-000c."
		"example.");
	anchor_set_drop(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentinel_names_are_five_digits_behind_their_words),
		cmocka_unit_test(key_tags_are_told_in_order_and_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
