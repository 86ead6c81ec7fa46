/* SPDX-License-Identifier: GPL-3.0-or-later */
#define OPENSSL_SUPPRESS_DEPRECATED /* tables and projective coordinates have no successor */

#include "dnssec/p256.h"

#include <stdlib.h>
#include <string.h>

#include <gmp.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

enum { HALF = 32 };

struct p256 {
	EC_GROUP *curve;
	EC_POINT *sum, *part;
	BN_CTX *ctx;
	BIGNUM *u1, *u2, *x, *z;
	mpz_t n, p; /* of points, and of the field */
	mpz_t r, s, e, u, v;
};

struct p256_key {
	EC_POINT *point;
	EC_GROUP *
		own; /* the curve with the key as generator, and tables; NULL: without */
};

/* --- numbers ---------------------------------------------------------------------- */

static void number_read(mpz_t out, const uint8_t bytes[static HALF])
{
	mpz_import(out, HALF, 1, 1, 0, 0, bytes);
}

static bool number_from_bn(mpz_t out, const BIGNUM *in)
{
	uint8_t bytes[HALF];
	if (BN_bn2binpad(in, bytes, HALF) != HALF)
		return false;
	number_read(out, bytes);
	return true;
}

/* `in` is below 2^256. */
static bool number_to_bn(BIGNUM *out, const mpz_t in)
{
	uint8_t bytes[HALF] = { 0 };
	size_t len = 0;
	const size_t want = (mpz_sizeinbase(in, 2) + 7) / 8;
	mpz_export(bytes + HALF - want, &len, 1, 1, 0, 0, in);
	return BN_bin2bn(bytes, HALF, out) != NULL;
}

/* --- the curve -------------------------------------------------------------------- */

static bool curve_make(struct p256 *p)
{
	p->curve = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	p->ctx = BN_CTX_new();
	p->u1 = BN_new();
	p->u2 = BN_new();
	p->x = BN_new();
	p->z = BN_new();
	if (!p->curve || !p->ctx || !p->u1 || !p->u2 || !p->x || !p->z)
		return false;
	p->sum = EC_POINT_new(p->curve);
	p->part = EC_POINT_new(p->curve);
	return p->sum && p->part &&
	       EC_GROUP_get_curve(p->curve, p->x, NULL, NULL, p->ctx) == 1 &&
	       number_from_bn(p->p, p->x) &&
	       number_from_bn(p->n, EC_GROUP_get0_order(p->curve));
}

struct p256 *p256_new(void)
{
	struct p256 *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	mpz_inits(p->n, p->p, p->r, p->s, p->e, p->u, p->v, NULL);
	if (curve_make(p))
		return p;
	ERR_clear_error();
	p256_free(p);
	return NULL;
}

void p256_free(struct p256 *p)
{
	if (!p)
		return;
	mpz_clears(p->n, p->p, p->r, p->s, p->e, p->u, p->v, NULL);
	BN_free(p->z);
	BN_free(p->x);
	BN_free(p->u2);
	BN_free(p->u1);
	BN_CTX_free(p->ctx);
	EC_POINT_free(p->part);
	EC_POINT_free(p->sum);
	EC_GROUP_free(p->curve);
	free(p);
}

/* --- keys ------------------------------------------------------------------------- */

static bool point_make(struct p256_key *k, const EC_GROUP *group,
	const uint8_t key[static P256_KEY_LEN])
{
	uint8_t point[1 + P256_KEY_LEN] = { 4 };
	memcpy(point + 1, key, P256_KEY_LEN);
	k->point = EC_POINT_new(group);
	/* looks whether the point is on the curve; the cofactor is 1, so it is in the
	 * group */
	return k->point &&
	       EC_POINT_oct2point(group, k->point, point, sizeof(point), NULL) == 1;
}

static struct p256_key *made(struct p256_key *k, bool fine)
{
	if (fine)
		return k;
	ERR_clear_error();
	p256_key_free(k);
	return NULL;
}

struct p256_key *p256_key_new(
	const struct p256 *p, const uint8_t key[static P256_KEY_LEN])
{
	struct p256_key *k = calloc(1, sizeof(*k));
	return made(k, k && point_make(k, p->curve, key));
}

static bool tables_make(struct p256_key *k, const uint8_t key[static P256_KEY_LEN])
{
	k->own = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	return k->own && point_make(k, k->own, key) &&
	       EC_GROUP_set_generator(k->own, k->point, EC_GROUP_get0_order(k->own),
		       BN_value_one()) == 1 &&
	       EC_GROUP_precompute_mult(k->own, NULL) == 1;
}

struct p256_key *p256_key_new_hot(const uint8_t key[static P256_KEY_LEN])
{
	struct p256_key *k = calloc(1, sizeof(*k));
	return made(k, k && tables_make(k, key));
}

void p256_key_free(struct p256_key *k)
{
	if (!k)
		return;
	EC_POINT_free(k->point);
	EC_GROUP_free(k->own);
	free(k);
}

/* --- checks ----------------------------------------------------------------------- */

static bool in_range(const struct p256 *p, const mpz_t v)
{
	return mpz_sgn(v) > 0 && mpz_cmp(v, p->n) < 0;
}

/* out = factor / s modulo n, where s is its own inverse by now. */
static bool weight(struct p256 *p, BIGNUM *out, const mpz_t factor)
{
	mpz_mul(p->u, factor, p->s);
	mpz_mod(p->u, p->u, p->n);
	return number_to_bn(out, p->u);
}

/* sum = u1 G + u2 Q */
static bool add_up(struct p256 *p, const struct p256_key *k)
{
	if (!k->own)
		return EC_POINT_mul(p->curve, p->sum, p->u1, k->point, p->u2, p->ctx) ==
		       1;
	return EC_POINT_mul(p->curve, p->sum, p->u1, NULL, NULL, p->ctx) == 1 &&
	       EC_POINT_mul(k->own, p->part, p->u2, NULL, NULL, p->ctx) == 1 &&
	       EC_POINT_add(p->curve, p->sum, p->sum, p->part, p->ctx) == 1;
}

/* Is x / z^2 this number? v holds z^2, e holds x. */
static bool x_is(struct p256 *p, const mpz_t number)
{
	mpz_mul(p->u, number, p->v);
	mpz_mod(p->u, p->u, p->p);
	return mpz_cmp(p->u, p->e) == 0;
}

/* Is the sum's first coordinate, modulo n, r? The field has a few more elements than there
 * are points. */
static bool sum_gives_r(struct p256 *p)
{
	if (EC_POINT_is_at_infinity(p->curve, p->sum) ||
		EC_POINT_get_Jprojective_coordinates_GFp(
			p->curve, p->sum, p->x, NULL, p->z, p->ctx) != 1 ||
		!number_from_bn(p->e, p->x) || !number_from_bn(p->v, p->z))
		return false;
	mpz_mul(p->v, p->v, p->v);
	mpz_mod(p->v, p->v, p->p);
	if (x_is(p, p->r))
		return true;
	mpz_add(p->r, p->r, p->n);
	return mpz_cmp(p->r, p->p) < 0 && x_is(p, p->r);
}

bool p256_check(struct p256 *p, const struct p256_key *k,
	const uint8_t hash[static P256_HASH_LEN],
	const uint8_t sig[static P256_SIG_LEN])
{
	number_read(p->r, sig);
	number_read(p->s, sig + HALF);
	number_read(p->e, hash);
	if (!in_range(p, p->r) || !in_range(p, p->s) || !mpz_invert(p->s, p->s, p->n))
		return false;
	const bool good = weight(p, p->u1, p->e) && weight(p, p->u2, p->r) &&
			  add_up(p, k) && sum_gives_r(p);
	if (!good)
		ERR_clear_error();
	return good;
}
