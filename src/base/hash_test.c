/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct hash_key paper_key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

/* Inputs 00, 00 01, ... under key 00..0f, as published with the reference code. */
static const uint64_t sip24_published[] = {
	0x726fdb47dd0e0e31,
	0x74f839c593dc67fd,
	0x0d6c8009d9a94f5a,
	0x85676696d7fb7e2d,
	0xcf2794e0277187b7,
	0x18765564cd99a68d,
	0xcbc9466e58fee3ce,
	0xab0200f58b01d137,
	0x93f5f5799a932462,
};

static void sip24_gives_the_published_values(void **state)
{
	(void)state;
	uint8_t in[15];
	for (uint8_t i = 0; i < sizeof(in); i++)
		in[i] = i;
	for (size_t i = 0; i < sizeof(sip24_published) / sizeof(uint64_t); i++)
		assert_true(hash_sip24(&paper_key, in, i) == sip24_published[i]);
	/* the example of the paper's appendix */
	assert_true(hash_sip24(&paper_key, in, 15) == 0xa129ca6149be45e5);
}

static void sip13_agrees_with_other_programs(void **state)
{
	(void)state;
	assert_true(hash_sip13(&paper_key, "", 0) == 0xabac0158050fc4dc);
	/* Python 3.11's hash() of bytes with PYTHONHASHSEED=0 */
	const struct hash_key zero = { 0, 0 };
	assert_true(hash_sip13(&zero, "shoal", 5) == 0xd603293c03fb0d57);
	assert_true(hash_sip13(&zero, "12345678", 8) == 0x3489982430560a87);
	assert_true(hash_sip13(&zero, "a longer text of 3 words", 24) ==
		    0x2eacef2058d2a1bc);
}

static void streaming_gives_the_same_however_it_is_cut(void **state)
{
	(void)state;
	uint8_t in[40];
	for (uint8_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(in); len++)
		for (size_t a = 0; a <= len; a++)
			for (size_t b = a; b <= len; b++) {
				struct hash_state s;
				hash_begin(&s, &paper_key);
				hash_add(&s, in, a);
				hash_add(&s, in + a, b - a);
				hash_add(&s, in + b, len - b);
				assert_true(hash_end(&s) ==
					    hash_sip13(&paper_key, in, len));
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sip24_gives_the_published_values),
		cmocka_unit_test(sip13_agrees_with_other_programs),
		cmocka_unit_test(streaming_gives_the_same_however_it_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
