/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/bundle.h"

#include "cache/test_help.h"

static const uint8_t two_a[] = { 4, 0, 192, 0, 2, 1, 4, 0, 192, 0, 2, 2 };
static const uint8_t one_soa[] = { 3, 0, 'S', 'O', 'A' };

static size_t write_sample(uint8_t *buf, size_t cap, const uint8_t *key)
{
	const struct bundle_item items[2] = {
		{ SECTION_ANSWER, { .name = help_name("Www.test"),
					  .type = 1,
					  .rclass = 1,
					  .count = 1,
					  .sig_count = 1,
					  .ttl = 300,
					  .data = two_a,
					  .data_len = sizeof(two_a) } },
		{ SECTION_AUTHORITY, { .name = help_name("test"),
					     .type = 6,
					     .rclass = 1,
					     .count = 1,
					     .ttl = UINT32_MAX,
					     .data = one_soa,
					     .data_len = sizeof(one_soa) } },
	};
	return bundle_write(buf, cap, key, items, 2);
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	uint8_t buf[256];
	struct bundle_item items[BUNDLE_MAX];
	const size_t len = write_sample(buf, sizeof(buf), NULL);
	assert_true(len > 0);
	assert_int_equal(bundle_read(buf, len, NULL, items), 2);
	assert_int_equal(items[0].section, SECTION_ANSWER);
	assert_int_equal(items[0].rr.type, 1);
	assert_int_equal(items[0].rr.count, 1);
	assert_int_equal(items[0].rr.sig_count, 1);
	assert_int_equal(items[0].rr.ttl, 300);
	assert_true(name_equal_case(items[0].rr.name, help_name("Www.test")));
	assert_int_equal(items[0].rr.data_len, sizeof(two_a));
	assert_memory_equal(items[0].rr.data, two_a, sizeof(two_a));
	assert_int_equal(items[1].section, SECTION_AUTHORITY);
	assert_int_equal(items[1].rr.ttl, UINT32_MAX);
	assert_int_equal(bundle_read(buf, 0, NULL, items), 0);
}

static void an_owner_equal_to_the_key_is_not_repeated(void **state)
{
	(void)state;
	uint8_t buf[256];
	struct bundle_item items[BUNDLE_MAX];
	const uint8_t *key = help_name("Www.test");
	const size_t full = write_sample(buf, sizeof(buf), NULL);
	const size_t len = write_sample(buf, sizeof(buf), key);
	assert_int_equal(len, full - name_len(key) + 1);
	assert_int_equal(bundle_read(buf, len, key, items), 2);
	assert_ptr_equal(items[0].rr.name, key);
	assert_memory_equal(items[0].rr.data, two_a, sizeof(two_a));
	assert_true(name_equal_case(items[1].rr.name, help_name("test")));
	/* without the key it is no bundle; another case is another name */
	assert_int_equal(bundle_read(buf, len, NULL, items), -1);
	assert_int_equal(write_sample(buf, sizeof(buf), help_name("www.test")), full);
}

static void too_small_a_buffer_is_told(void **state)
{
	(void)state;
	uint8_t buf[256];
	const size_t len = write_sample(buf, sizeof(buf), NULL);
	for (size_t cap = 0; cap < len; cap++)
		assert_int_equal(write_sample(buf, cap, NULL), 0);
	assert_int_equal(write_sample(buf, len, NULL), len);
}

static void every_truncation_and_flip_is_safe(void **state)
{
	(void)state;
	uint8_t buf[256];
	struct bundle_item items[BUNDLE_MAX];
	const size_t len = write_sample(buf, sizeof(buf), NULL);
	for (size_t cut = 1; cut < len; cut++) {
		uint8_t *copy = malloc(cut);
		memcpy(copy, buf, cut);
		const int count = bundle_read(copy, cut, NULL, items);
		assert_true(count == -1 || count == 1);
		free(copy);
	}
	for (size_t bit = 0; bit < len * 8; bit++) {
		uint8_t *copy = malloc(len);
		memcpy(copy, buf, len);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		const int count = bundle_read(copy, len, NULL, items);
		for (int i = 0; i < count; i++)
			assert_true(rrset_valid(&items[i].rr));
		free(copy);
	}
}

static void more_items_than_allowed_are_refused(void **state)
{
	(void)state;
	uint8_t buf[32 * (BUNDLE_MAX + 1)];
	struct bundle_item items[BUNDLE_MAX + 1];
	for (unsigned i = 0; i <= BUNDLE_MAX; i++)
		items[i] = (struct bundle_item){ .rr = { .name = help_name(".") } };
	assert_int_equal(
		bundle_write(buf, sizeof(buf), NULL, items, BUNDLE_MAX + 1), 0);
	const size_t len = bundle_write(buf, sizeof(buf), NULL, items, BUNDLE_MAX);
	assert_int_equal(bundle_read(buf, len, NULL, items), BUNDLE_MAX);
	memcpy(buf + len, buf, len / BUNDLE_MAX);
	assert_int_equal(bundle_read(buf, len + len / BUNDLE_MAX, NULL, items), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(an_owner_equal_to_the_key_is_not_repeated),
		cmocka_unit_test(too_small_a_buffer_is_told),
		cmocka_unit_test(every_truncation_and_flip_is_safe),
		cmocka_unit_test(more_items_than_allowed_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
