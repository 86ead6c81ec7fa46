/* SPDX-License-Identifier: GPL-3.0-or-later */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_GROUP_precompute_mult has no successor */

#include "dnssec/hotkey.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gmp.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

enum {
	HALF = 32,
	NICE = 10, /* soon, but never before the loop */
};

struct hotkey {
	EC_GROUP *plain, *own; /* the curve; the same with the key as generator */
	EC_POINT *a, *b;
	BN_CTX *ctx;
	BIGNUM *u1, *u2, *x;
	mpz_t n, r, s, e, u;
};

/* --- one key ----------------------------------------------------------------------- */

static void number_read(mpz_t out, const uint8_t bytes[static HALF])
{
	mpz_import(out, HALF, 1, 1, 0, 0, bytes);
}

static bool number_to_bn(BIGNUM *out, const mpz_t in)
{
	uint8_t bytes[HALF] = { 0 };
	size_t len = 0;
	const size_t want = (mpz_sizeinbase(in, 2) + 7) / 8;
	if (want > HALF)
		return false;
	mpz_export(bytes + HALF - want, &len, 1, 1, 0, 0, in);
	return BN_bin2bn(bytes, HALF, out) != NULL;
}

static bool group_make(struct hotkey *h, const uint8_t key[static HOTKEY_LEN])
{
	uint8_t point[1 + HOTKEY_LEN] = { 4 }, order[HALF];
	memcpy(point + 1, key, HOTKEY_LEN);
	h->plain = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	h->own = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	h->ctx = BN_CTX_new();
	h->u1 = BN_new();
	h->u2 = BN_new();
	h->x = BN_new();
	if (!h->plain || !h->own || !h->ctx || !h->u1 || !h->u2 || !h->x)
		return false;
	const BIGNUM *n = EC_GROUP_get0_order(h->plain);
	h->a = EC_POINT_new(h->plain);
	h->b = EC_POINT_new(h->own);
	/* looks whether the point is on the curve; the cofactor is 1, so it is in the
	 * group */
	if (!h->a || !h->b || BN_bn2binpad(n, order, HALF) != HALF ||
		EC_POINT_oct2point(h->own, h->b, point, sizeof(point), h->ctx) != 1 ||
		EC_GROUP_set_generator(h->own, h->b, n, BN_value_one()) != 1 ||
		EC_GROUP_precompute_mult(h->own, h->ctx) != 1)
		return false;
	number_read(h->n, order);
	return true;
}

struct hotkey *hotkey_new(const uint8_t key[static HOTKEY_LEN])
{
	struct hotkey *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	mpz_inits(h->n, h->r, h->s, h->e, h->u, NULL);
	if (group_make(h, key))
		return h;
	ERR_clear_error();
	hotkey_free(h);
	return NULL;
}

void hotkey_free(struct hotkey *h)
{
	if (!h)
		return;
	mpz_clears(h->n, h->r, h->s, h->e, h->u, NULL);
	BN_free(h->x);
	BN_free(h->u2);
	BN_free(h->u1);
	BN_CTX_free(h->ctx);
	EC_POINT_free(h->b);
	EC_POINT_free(h->a);
	EC_GROUP_free(h->own);
	EC_GROUP_free(h->plain);
	free(h);
}

static bool in_range(const struct hotkey *h, const mpz_t v)
{
	return mpz_sgn(v) > 0 && mpz_cmp(v, h->n) < 0;
}

bool hotkey_check(struct hotkey *h, const uint8_t hash[static HOTKEY_HASH_LEN],
	const uint8_t sig[static HOTKEY_SIG_LEN])
{
	uint8_t x[HALF];
	number_read(h->r, sig);
	number_read(h->s, sig + HALF);
	number_read(h->e, hash);
	if (!in_range(h, h->r) || !in_range(h, h->s) || !mpz_invert(h->s, h->s, h->n))
		return false;
	mpz_mul(h->u, h->e, h->s);
	mpz_mod(h->u, h->u, h->n);
	if (!number_to_bn(h->u1, h->u))
		return false;
	mpz_mul(h->u, h->r, h->s);
	mpz_mod(h->u, h->u, h->n);
	if (!number_to_bn(h->u2, h->u))
		return false;
	/* the sum at infinity has no coordinates */
	const bool fine =
		EC_POINT_mul(h->plain, h->a, h->u1, NULL, NULL, h->ctx) == 1 &&
		EC_POINT_mul(h->own, h->b, h->u2, NULL, NULL, h->ctx) == 1 &&
		EC_POINT_add(h->plain, h->a, h->a, h->b, h->ctx) == 1 &&
		EC_POINT_get_affine_coordinates(h->plain, h->a, h->x, NULL, h->ctx) ==
			1 &&
		BN_bn2binpad(h->x, x, HALF) == HALF;
	if (!fine) {
		ERR_clear_error();
		return false;
	}
	number_read(h->u, x);
	mpz_mod(h->u, h->u, h->n);
	return mpz_cmp(h->u, h->r) == 0;
}

/* --- the thread ---------------------------------------------------------------------- */

struct hotkey_maker {
	pthread_t thread;
	bool started;
	atomic_bool ended; /* after it the thread touches nothing here */
	uint8_t key[HOTKEY_LEN];
	struct hotkey *made;
};

static void *make(void *ctx)
{
	struct hotkey_maker *m = ctx;
	(void)setpriority(
		PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread alone */
	m->made = hotkey_new(m->key);
	atomic_store_explicit(&m->ended, true, memory_order_release);
	return NULL;
}

struct hotkey_maker *hotkey_maker_new(void)
{
	return calloc(1, sizeof(struct hotkey_maker));
}

void hotkey_maker_free(struct hotkey_maker *m)
{
	if (!m)
		return;
	if (m->started)
		pthread_join(m->thread, NULL);
	hotkey_free(m->made);
	free(m);
}

bool hotkey_maker_start(struct hotkey_maker *m, const uint8_t key[static HOTKEY_LEN])
{
	sigset_t all, before;
	if (m->started)
		return false;
	memcpy(m->key, key, HOTKEY_LEN);
	m->made = NULL;
	atomic_store_explicit(&m->ended, false, memory_order_relaxed);
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	m->started = pthread_create(&m->thread, NULL, make, m) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return m->started;
}

bool hotkey_maker_take(
	struct hotkey_maker *m, struct hotkey **out, uint8_t key[static HOTKEY_LEN])
{
	if (!m->started || !atomic_load_explicit(&m->ended, memory_order_acquire))
		return false;
	pthread_join(m->thread, NULL);
	m->started = false;
	*out = m->made;
	m->made = NULL;
	memcpy(key, m->key, HOTKEY_LEN);
	return true;
}
