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
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "base/limits.h"
#include "dnssec/crypto.h"

enum { KEYS = 3, DATA_LEN = 40 };

static struct signer {
	EVP_PKEY *pkey;
	uint8_t key[P256_KEY_LEN];
} signers[KEYS];

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
		memcpy(signers[i].key, point + 1, P256_KEY_LEN);
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

static void sign(const struct signer *s, const uint8_t *data, uint8_t sig[P256_SIG_LEN])
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

static enum crypto_verdict check(struct crypto *c, const struct signer *s,
	const uint8_t *data, const uint8_t *sig)
{
	return crypto_check(c, ALGORITHM_P256, s->key, sizeof(s->key), sig,
		P256_SIG_LEN, data, DATA_LEN);
}

/* Check until it has tables; false: not within so many checks. */
static bool heat(struct crypto *c, const struct signer *s, unsigned checks)
{
	const unsigned before = crypto_stats(c).hot;
	const uint8_t data[DATA_LEN] = { 7 };
	uint8_t sig[P256_SIG_LEN];
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
	uint8_t data[DATA_LEN] = { 9 }, sig[P256_SIG_LEN];
	const uint64_t before = crypto_stats(c).hot_checks;
	for (int bit = 0; bit < P256_SIG_LEN * 8; bit += 37) {
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
	uint8_t sig[P256_SIG_LEN];
	sign(&signers[0], data, sig);
	for (unsigned i = 0; i < LIMIT_HOT_KEY_CHECKS; i++)
		assert_int_equal(check(c, &signers[0], data, sig), CRYPTO_GOOD);
	crypto_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_in_much_use_gets_tables),
		cmocka_unit_test(tables_are_bounded_and_not_asked_for_are_not_made),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
