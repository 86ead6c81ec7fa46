/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/hotkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <nettle/sha2.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "base/limits.h"
#include "dnssec/crypto.h"

enum { KEYS = 3, DATA_LEN = 40 };

static struct signer {
	EVP_PKEY *pkey;
	uint8_t key[HOTKEY_LEN];
} signers[KEYS];

/* The order of the group. */
static const uint8_t order[32] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
	0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++) {
		uint8_t point[65];
		size_t len;
		signers[i].pkey = EVP_EC_gen("P-256");
		assert_non_null(signers[i].pkey);
		assert_int_equal(EVP_PKEY_get_octet_string_param(signers[i].pkey, "pub",
					 point, sizeof(point), &len),
			1);
		assert_int_equal(len, sizeof(point));
		memcpy(signers[i].key, point + 1, HOTKEY_LEN);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++)
		EVP_PKEY_free(signers[i].pkey);
	return 0;
}

static void sign(
	const struct signer *s, const uint8_t *data, uint8_t sig[HOTKEY_SIG_LEN])
{
	uint8_t der[80];
	size_t len = sizeof(der);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->pkey), 1);
	assert_int_equal(EVP_DigestSign(ctx, der, &len, data, DATA_LEN), 1);
	EVP_MD_CTX_free(ctx);
	const uint8_t *at = der;
	ECDSA_SIG *rs = d2i_ECDSA_SIG(NULL, &at, (long)len);
	assert_non_null(rs);
	BN_bn2binpad(ECDSA_SIG_get0_r(rs), sig, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(rs), sig + 32, 32);
	ECDSA_SIG_free(rs);
}

static void hash_of(const uint8_t *data, uint8_t out[HOTKEY_HASH_LEN])
{
	struct sha256_ctx sha;
	sha256_init(&sha);
	sha256_update(&sha, DATA_LEN, data);
	sha256_digest(&sha, HOTKEY_HASH_LEN, out);
}

/* Both ways must say the same about anything. */
static void every_flipped_bit_is_wrong(void **state)
{
	(void)state;
	struct hotkey *h = hotkey_new(signers[0].key);
	assert_non_null(h);
	for (uint8_t turn = 0; turn < 20; turn++) {
		uint8_t data[DATA_LEN] = { turn }, hash[HOTKEY_HASH_LEN],
			sig[HOTKEY_SIG_LEN];
		sign(&signers[0], data, sig);
		hash_of(data, hash);
		assert_true(hotkey_check(h, hash, sig));
		for (int bit = 0; turn == 0 && bit < HOTKEY_SIG_LEN * 8; bit++) {
			sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(hotkey_check(h, hash, sig));
			sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		hash[turn] ^= 1;
		assert_false(hotkey_check(h, hash, sig));
		sign(&signers[1], data, sig);
		hash_of(data, hash);
		assert_false(hotkey_check(h, hash, sig));
	}
	hotkey_free(h);
}

/* r and s are within 1..n-1: s = n or 0 has no inverse, and r + n means another r. */
static void numbers_out_of_range_are_wrong(void **state)
{
	(void)state;
	struct hotkey *h = hotkey_new(signers[0].key);
	uint8_t hash[HOTKEY_HASH_LEN] = { 0 }, sig[HOTKEY_SIG_LEN] = { 0 };
	assert_non_null(h);
	assert_false(hotkey_check(h, hash, sig));
	sig[31] = 1;
	assert_false(hotkey_check(h, hash, sig));
	memcpy(sig + 32, order, 32);
	assert_false(hotkey_check(h, hash, sig));
	memcpy(sig, order, 32);
	memset(sig + 32, 0, 32);
	sig[63] = 1;
	assert_false(hotkey_check(h, hash, sig));
	memset(sig, 0xff, sizeof(sig));
	assert_false(hotkey_check(h, hash, sig));
	/* e = 0 and r = s: u1 = 0, u2 = 1: the sum is the key itself, whose x counts */
	memset(sig, 0, sizeof(sig));
	memcpy(sig, signers[0].key, 32);
	memcpy(sig + 32, signers[0].key, 32);
	if (memcmp(sig, order, 32) < 0)
		assert_true(hotkey_check(h, hash, sig));
	hotkey_free(h);
}

static void a_point_off_the_curve_is_no_key(void **state)
{
	(void)state;
	uint8_t key[HOTKEY_LEN];
	memcpy(key, signers[0].key, sizeof(key));
	key[63] ^= 1;
	assert_null(hotkey_new(key));
	memset(key, 0, sizeof(key));
	assert_null(hotkey_new(key));
}

static enum crypto_verdict check(struct crypto *c, const struct signer *s,
	const uint8_t *data, const uint8_t *sig)
{
	return crypto_check(c, ALGORITHM_P256, s->key, sizeof(s->key), sig,
		HOTKEY_SIG_LEN, data, DATA_LEN);
}

/* Check until it has tables; false: not within so many checks. */
static bool heat(struct crypto *c, const struct signer *s, unsigned checks)
{
	const unsigned before = crypto_stats(c).hot;
	const uint8_t data[DATA_LEN] = { 7 };
	uint8_t sig[HOTKEY_SIG_LEN];
	sign(s, data, sig);
	for (unsigned i = 0; i < checks; i++) {
		assert_int_equal(check(c, s, data, sig), CRYPTO_GOOD);
		if (crypto_stats(c).hot > before)
			return true;
		if (i % (LIMIT_HOT_KEY_CHECKS / 2) == 0)
			usleep(20000); /* the thread is polite, the machine busy */
	}
	return false;
}

enum { LONG = 200 * LIMIT_HOT_KEY_CHECKS, SHORT = 3 * LIMIT_HOT_KEY_CHECKS };

static void a_key_in_much_use_gets_tables(void **state)
{
	(void)state;
	static const struct hash_key secret = { 3, 4 };
	struct crypto *c = crypto_new(256, CRYPTO_HOT, &secret);
	assert_non_null(c);
	assert_false(heat(c, &signers[0], LIMIT_HOT_KEY_CHECKS - 1));
	assert_true(heat(c, &signers[0], LONG));
	uint8_t data[DATA_LEN] = { 9 }, sig[HOTKEY_SIG_LEN];
	const uint64_t before = crypto_stats(c).hot_checks;
	for (int bit = 0; bit < HOTKEY_SIG_LEN * 8; bit += 37) {
		sign(&signers[0], data, sig);
		assert_int_equal(check(c, &signers[0], data, sig), CRYPTO_GOOD);
		sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(check(c, &signers[0], data, sig), CRYPTO_WRONG);
	}
	assert_int_equal(crypto_stats(c).hot_checks - before, 28);
	/* the others have none */
	sign(&signers[1], data, sig);
	assert_int_equal(check(c, &signers[1], data, sig), CRYPTO_GOOD);
	assert_int_equal(crypto_stats(c).hot_checks - before, 28);
	crypto_free(c);
}

static void tables_are_bounded_and_not_asked_for_are_not_made(void **state)
{
	(void)state;
	static const struct hash_key secret = { 3, 4 };
	/* of 8 kept keys, 2 */
	struct crypto *c = crypto_new(8, CRYPTO_HOT, &secret);
	for (int i = 0; i < 2; i++)
		assert_true(heat(c, &signers[i], LONG));
	assert_false(heat(c, &signers[KEYS - 1], SHORT));
	assert_int_equal(crypto_stats(c).hot, 2);
	crypto_free(c); /* perhaps with a thread at work */
	c = crypto_new(256, 0, &secret);
	assert_false(heat(c, &signers[0], SHORT));
	crypto_free(c);
	/* ended while the tables are being made */
	c = crypto_new(256, CRYPTO_HOT, &secret);
	const uint8_t data[DATA_LEN] = { 7 };
	uint8_t sig[HOTKEY_SIG_LEN];
	sign(&signers[0], data, sig);
	for (unsigned i = 0; i < LIMIT_HOT_KEY_CHECKS; i++)
		assert_int_equal(check(c, &signers[0], data, sig), CRYPTO_GOOD);
	crypto_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flipped_bit_is_wrong),
		cmocka_unit_test(numbers_out_of_range_are_wrong),
		cmocka_unit_test(a_point_off_the_curve_is_no_key),
		cmocka_unit_test(a_key_in_much_use_gets_tables),
		cmocka_unit_test(tables_are_bounded_and_not_asked_for_are_not_made),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
