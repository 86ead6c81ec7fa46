/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dnssec/sortkey.h"
#include "wire/name.h"

static uint64_t seed = 3;

static uint32_t draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

static const uint8_t zone[] = "\4Zone\4test";

/* Octets that are near each other, 0 and 1 among them. */
static void draw_name(uint8_t *out)
{
	size_t at = 0;
	for (unsigned labels = draw(5); labels; labels--) {
		const unsigned len = 1 + draw(3);
		out[at++] = (uint8_t)len;
		for (unsigned i = 0; i < len; i++)
			out[at++] = (uint8_t)(draw(2) ? draw(4) : 'A' + draw(40));
	}
	memcpy(out + at, zone, sizeof(zone));
}

static void keys_are_in_the_order_of_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50000; i++) {
		uint8_t a[NAME_MAX_LEN], b[NAME_MAX_LEN], ka[255], kb[255], back[255];
		draw_name(a);
		draw_name(b);
		const size_t la = sortkey_of_name(ka, sizeof(ka), a, zone);
		const size_t lb = sortkey_of_name(kb, sizeof(kb), b, zone);
		assert_true(la != SIZE_MAX && lb != SIZE_MAX);
		int o = memcmp(ka, kb, la < lb ? la : lb);
		o = o ? o : (la > lb) - (la < lb);
		const int want = name_order(a, b);
		assert_int_equal((o > 0) - (o < 0), (want > 0) - (want < 0));
		assert_int_equal(sortkey_to_name(back, ka, la, zone), name_len(a));
		assert_true(name_equal(back, a));
	}
}

static void key_of_the_zone_is_empty_and_of_others_none(void **state)
{
	(void)state;
	uint8_t key[255];
	assert_int_equal(sortkey_of_name(key, sizeof(key), zone, zone), 0);
	assert_true(sortkey_of_name(key, sizeof(key), (const uint8_t *)"\4test",
			    zone) == SIZE_MAX);
	assert_true(sortkey_of_name(key, 3, (const uint8_t *)"\3abc\4zone\4test",
			    zone) == SIZE_MAX);
}

static void bytes_that_are_no_key_are_refused(void **state)
{
	(void)state;
	uint8_t out[255], key[255];
	for (unsigned i = 0; i < 50000; i++) {
		const size_t len = draw(i % 2 ? 12 : 255);
		for (size_t j = 0; j < len; j++)
			key[j] = (uint8_t)(draw(2) ? draw(4) : draw(256));
		const size_t n = sortkey_to_name(out, key, len, zone);
		assert_true(n == 0 || name_check(out, n) == n);
	}
	assert_int_equal(sortkey_to_name(out, (const uint8_t *)"\0", 1, zone), 0);
	assert_int_equal(sortkey_to_name(out, (const uint8_t *)"a", 1, zone), 0);
	assert_int_equal(sortkey_to_name(out, (const uint8_t *)"\1\3\0", 3, zone), 0);
}

/* RFC 5155 appendix A. */
static void hash_becomes_its_owner(void **state)
{
	(void)state;
	uint8_t out[255], want[NAME_MAX_LEN], name[NAME_MAX_LEN], hash[NSEC3_HASH_LEN];
	const uint8_t salt[] = { 0xaa, 0xbb, 0xcc, 0xdd };
	const struct nsec3_params p = { 12, 4, salt };
	struct dnssec_work work = dnssec_work_full();
	name_from_text(name, "example");
	assert_true(nsec3_hash(&p, name, &work, hash));
	name_from_text(want, "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example");
	assert_int_equal(sortkey_hash_owner(out, hash, name), name_len(want));
	assert_true(name_equal(out, want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_in_the_order_of_names),
		cmocka_unit_test(key_of_the_zone_is_empty_and_of_others_none),
		cmocka_unit_test(bytes_that_are_no_key_are_refused),
		cmocka_unit_test(hash_becomes_its_owner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
