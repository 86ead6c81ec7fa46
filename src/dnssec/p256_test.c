/* SPDX-License-Identifier: GPL-3.0-or-later */
#define OPENSSL_SUPPRESS_DEPRECATED /* signatures of chosen numbers */

#include "dnssec/p256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

enum { HALF = 32 };

/* What all stories have: the curve, as libcrypto has it, and what is tested. */
static struct {
	EC_GROUP *group;
	BN_CTX *ctx;
	const BIGNUM *n;
	struct p256 *p256;
} t;

static int setup(void **state)
{
	(void)state;
	t.group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	t.ctx = BN_CTX_new();
	t.p256 = p256_new();
	t.n = EC_GROUP_get0_order(t.group);
	return t.p256 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	p256_free(t.p256);
	BN_CTX_free(t.ctx);
	EC_GROUP_free(t.group);
	return 0;
}

static void key_of(const EC_POINT *q, uint8_t key[P256_KEY_LEN])
{
	uint8_t bytes[1 + P256_KEY_LEN];
	assert_int_equal(EC_POINT_point2oct(t.group, q, POINT_CONVERSION_UNCOMPRESSED,
				 bytes, sizeof(bytes), t.ctx),
		sizeof(bytes));
	memcpy(key, bytes + 1, P256_KEY_LEN);
}

/* Without tables and with them. */
struct both {
	struct p256_key *plain, *hot;
};

static struct both both_of(const EC_POINT *q)
{
	uint8_t key[P256_KEY_LEN];
	key_of(q, key);
	const struct both b = { p256_key_new(t.p256, key), p256_key_new_hot(key) };
	assert_non_null(b.plain);
	assert_non_null(b.hot);
	return b;
}

static void both_free(const struct both *b)
{
	p256_key_free(b->plain);
	p256_key_free(b->hot);
}

/* What both ways say, which is the same. */
static bool check(const struct both *b, const uint8_t *hash, const uint8_t *sig)
{
	const bool plain = p256_check(t.p256, b->plain, hash, sig);
	assert_int_equal(p256_check(t.p256, b->hot, hash, sig), plain);
	return plain;
}

static void sign(EC_KEY *key, const uint8_t hash[HALF], uint8_t sig[P256_SIG_LEN])
{
	ECDSA_SIG *rs = ECDSA_do_sign(hash, HALF, key);
	assert_non_null(rs);
	BN_bn2binpad(ECDSA_SIG_get0_r(rs), sig, HALF);
	BN_bn2binpad(ECDSA_SIG_get0_s(rs), sig + HALF, HALF);
	ECDSA_SIG_free(rs);
}

static EC_KEY *key_drawn(void)
{
	EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	assert_int_equal(EC_KEY_generate_key(key), 1);
	return key;
}

static void every_flipped_bit_is_wrong(void **state)
{
	(void)state;
	EC_KEY *key = key_drawn(), *other = key_drawn();
	const struct both b = both_of(EC_KEY_get0_public_key(key));
	for (uint8_t turn = 0; turn < 20; turn++) {
		uint8_t hash[HALF] = { turn, 1, 2, 3, [31] = 0xff }, sig[P256_SIG_LEN];
		sign(key, hash, sig);
		assert_true(check(&b, hash, sig));
		for (int bit = 0; turn == 0 && bit < P256_SIG_LEN * 8; bit++) {
			sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(check(&b, hash, sig));
			sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		hash[turn] ^= 1;
		assert_false(check(&b, hash, sig));
		sign(other, hash, sig);
		assert_false(check(&b, hash, sig));
	}
	both_free(&b);
	EC_KEY_free(other);
	EC_KEY_free(key);
}

/* r and s are within 1..n-1: s = n or 0 has no inverse, and r + n means another r. */
static void numbers_out_of_range_are_wrong(void **state)
{
	(void)state;
	EC_KEY *drawn = key_drawn();
	const struct both b = both_of(EC_KEY_get0_public_key(drawn));
	uint8_t hash[HALF] = { 0 }, sig[P256_SIG_LEN] = { 0 }, order[HALF];
	uint8_t key[P256_KEY_LEN];
	key_of(EC_KEY_get0_public_key(drawn), key);
	BN_bn2binpad(t.n, order, HALF);
	assert_false(check(&b, hash, sig));
	sig[31] = 1;
	assert_false(check(&b, hash, sig));
	memcpy(sig + HALF, order, HALF);
	assert_false(check(&b, hash, sig));
	memcpy(sig, order, HALF);
	memset(sig + HALF, 0, HALF);
	sig[63] = 1;
	assert_false(check(&b, hash, sig));
	memset(sig, 0xff, sizeof(sig));
	assert_false(check(&b, hash, sig));
	/* e = 0 and r = s: u1 = 0, u2 = 1: the sum is the key itself, whose x counts */
	memcpy(sig, key, HALF);
	memcpy(sig + HALF, key, HALF);
	if (memcmp(sig, order, HALF) < 0)
		assert_true(check(&b, hash, sig));
	both_free(&b);
	EC_KEY_free(drawn);
}

static void a_point_off_the_curve_is_no_key(void **state)
{
	(void)state;
	EC_KEY *drawn = key_drawn();
	uint8_t key[P256_KEY_LEN];
	key_of(EC_KEY_get0_public_key(drawn), key);
	key[63] ^= 1;
	assert_null(p256_key_new(t.p256, key));
	assert_null(p256_key_new_hot(key));
	memset(key, 0, sizeof(key));
	assert_null(p256_key_new(t.p256, key));
	assert_null(p256_key_new_hot(key));
	EC_KEY_free(drawn);
}

/* --- sums that hardly ever come about by chance ------------------------------------ */

/* The key of which r | s signs e with the sum R: Q = (s R - e G) / r. */
static EC_POINT *key_for(
	const EC_POINT *sum, const BIGNUM *e, const BIGNUM *r, const BIGNUM *s)
{
	EC_POINT *q = EC_POINT_new(t.group);
	BIGNUM *a = BN_new(), *b = BN_new(), *inverse = BN_new();
	BN_mod_inverse(inverse, r, t.n, t.ctx);
	BN_mod_mul(a, e, inverse, t.n, t.ctx);
	BN_sub(a, t.n, a);
	BN_mod_mul(b, s, inverse, t.n, t.ctx);
	assert_int_equal(EC_POINT_mul(t.group, q, a, sum, b, t.ctx), 1);
	BN_free(inverse);
	BN_free(b);
	BN_free(a);
	return q;
}

static void write_sig(uint8_t sig[P256_SIG_LEN], const BIGNUM *r, const BIGNUM *s)
{
	BN_bn2binpad(r, sig, HALF);
	BN_bn2binpad(s, sig + HALF, HALF);
}

/* A field has more elements than its curve has points: x of n and above counts as x - n. */
static void a_coordinate_above_the_order_counts_modulo_it(void **state)
{
	(void)state;
	EC_POINT *sum = EC_POINT_new(t.group);
	BIGNUM *x = BN_dup(t.n), *r = BN_new(), *s = BN_new(), *e = BN_new();
	uint8_t hash[HALF] = { 5 }, sig[P256_SIG_LEN];
	do
		BN_add_word(x, 1);
	while (EC_POINT_set_compressed_coordinates(t.group, sum, x, 0, t.ctx) != 1);
	BN_sub(r, x, t.n);
	BN_bin2bn(hash, HALF, e);
	BN_set_word(s, 12345);
	EC_POINT *q = key_for(sum, e, r, s);
	const struct both b = both_of(q);
	write_sig(sig, r, s);
	assert_true(check(&b, hash, sig));
	BN_add_word(r, 1);
	write_sig(sig, r, s);
	assert_false(check(&b, hash, sig));
	both_free(&b);
	EC_POINT_free(q);
	BN_free(e);
	BN_free(s);
	BN_free(r);
	BN_free(x);
	EC_POINT_free(sum);
}

/* Q = -G and r = e: u1 G + u2 Q = 0, whatever s is. */
static void a_sum_at_infinity_is_wrong(void **state)
{
	(void)state;
	EC_POINT *q = EC_POINT_dup(EC_GROUP_get0_generator(t.group), t.group);
	uint8_t hash[HALF] = { [31] = 9 }, sig[P256_SIG_LEN] = { [31] = 9, [63] = 7 };
	assert_int_equal(EC_POINT_invert(t.group, q, t.ctx), 1);
	const struct both b = both_of(q);
	assert_false(check(&b, hash, sig));
	both_free(&b);
	EC_POINT_free(q);
}

/* Q = G and e = r: both halves of the sum are the same point; with s = 2 r / k the sum is
 * k G, whose x is r. */
static void a_sum_of_equal_points_is_their_double(void **state)
{
	(void)state;
	const EC_POINT *g = EC_GROUP_get0_generator(t.group);
	EC_POINT *sum = EC_POINT_new(t.group);
	BIGNUM *k = BN_new(), *r = BN_new(), *s = BN_new();
	uint8_t hash[HALF], sig[P256_SIG_LEN];
	const struct both b = both_of(g);
	BN_set_word(k, 1234567);
	assert_int_equal(EC_POINT_mul(t.group, sum, k, NULL, NULL, t.ctx), 1);
	EC_POINT_get_affine_coordinates(t.group, sum, r, NULL, t.ctx);
	BN_nnmod(r, r, t.n, t.ctx);
	BN_mod_inverse(s, k, t.n, t.ctx);
	BN_mod_mul(s, s, r, t.n, t.ctx);
	BN_mod_lshift1(s, s, t.n, t.ctx);
	write_sig(sig, r, s);
	memcpy(hash, sig, HALF);
	assert_true(check(&b, hash, sig));
	hash[0] ^= 1;
	assert_false(check(&b, hash, sig));
	both_free(&b);
	BN_free(s);
	BN_free(r);
	BN_free(k);
	EC_POINT_free(sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flipped_bit_is_wrong),
		cmocka_unit_test(numbers_out_of_range_are_wrong),
		cmocka_unit_test(a_point_off_the_curve_is_no_key),
		cmocka_unit_test(a_coordinate_above_the_order_counts_modulo_it),
		cmocka_unit_test(a_sum_at_infinity_is_wrong),
		cmocka_unit_test(a_sum_of_equal_points_is_their_double),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
