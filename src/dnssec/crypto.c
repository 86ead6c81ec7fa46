/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/crypto.c - a table of parsed keys in sets of four, the least recently used of
 * a set gives way. OpenSSL's contexts are made once: making them costs more than an RSA
 * check. */
#include "dnssec/crypto.h"

#include <stdlib.h>
#include <string.h>

#include <nettle/ecc-curve.h>
#include <nettle/ecdsa.h>
#include <nettle/eddsa.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "base/limits.h"
#include "dnssec/hotkey.h"
#include "dnssec/p256.h"
#include "wire/cursor.h"

enum {
	WAYS = 4,
	HASH_LEN_MAX = 64,
	HOT_IDLE_TURNS = 65536, /* not looked up for so long: its tables may go */
};

struct key {
	uint8_t *bytes; /* NULL: free */
	uint16_t len;
	uint8_t algorithm;
	bool has_point;
	uint64_t used; /* turn of the table's clock */
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *ctx;
	EVP_MD_CTX *ed448;           /* a context stays with its first key */
	struct ecc_point point;      /* P-384 */
	struct p256_key *p256, *hot; /* without and, NULL: not yet, with tables */
	uint32_t checks;             /* P-256, without tables */
};

struct crypto {
	unsigned flags, sets;
	struct hash_key secret;
	uint64_t turn;
	struct crypto_stats stats;
	EVP_MD *sha256, *sha384, *sha512;
	EVP_MD_CTX *md; /* for hashing */
	struct p256 *p256;
	struct hotkey_maker *maker; /* NULL: no tables */
	unsigned hot_max;
	struct key keys[];
};

static void key_clear(struct crypto *c, struct key *k)
{
	if (!k->bytes)
		return;
	EVP_MD_CTX_free(k->ed448);
	EVP_PKEY_CTX_free(k->ctx);
	EVP_PKEY_free(k->pkey);
	if (k->has_point)
		ecc_point_clear(&k->point);
	if (k->hot)
		c->stats.hot--;
	p256_key_free(k->hot);
	p256_key_free(k->p256);
	free(k->bytes);
	*k = (struct key){ 0 };
	c->stats.kept--;
}

static bool may_check_sha1(void);

struct crypto *crypto_new(unsigned keys, unsigned flags, const struct hash_key *secret)
{
	unsigned sets = 1;
	while (sets * WAYS < keys)
		sets *= 2;
	struct crypto *c =
		calloc(1, sizeof(*c) + (size_t)sets * WAYS * sizeof(struct key));
	if (!c)
		return NULL;
	c->flags = flags;
	if (!may_check_sha1())
		c->flags &= ~(unsigned)CRYPTO_SHA1;
	c->sets = sets;
	c->secret = *secret;
	c->sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	c->sha384 = EVP_MD_fetch(NULL, "SHA2-384", NULL);
	c->sha512 = EVP_MD_fetch(NULL, "SHA2-512", NULL);
	c->md = EVP_MD_CTX_new();
	c->p256 = p256_new();
	if (flags & CRYPTO_HOT)
		c->maker = hotkey_maker_new();
	c->hot_max = sets < LIMIT_HOT_KEYS ? sets : LIMIT_HOT_KEYS; /* a quarter */
	if (c->sha256 && c->sha384 && c->sha512 && c->md && c->p256)
		return c;
	crypto_free(c);
	return NULL;
}

void crypto_free(struct crypto *c)
{
	if (!c)
		return;
	hotkey_maker_free(c->maker);
	for (unsigned i = 0; i < c->sets * WAYS; i++)
		key_clear(c, &c->keys[i]);
	p256_free(c->p256);
	EVP_MD_CTX_free(c->md);
	EVP_MD_free(c->sha512);
	EVP_MD_free(c->sha384);
	EVP_MD_free(c->sha256);
	free(c);
}

struct crypto_stats crypto_stats(const struct crypto *c)
{
	return c->stats;
}

bool crypto_has_algorithm(const struct crypto *c, uint8_t algorithm)
{
	return algorithm_get(algorithm) &&
	       (c->flags & CRYPTO_SHA1 || !algorithm_is_sha1(algorithm));
}

bool crypto_has_digest(const struct crypto *c, uint8_t digest_type)
{
	return digest_len(digest_type) &&
	       (c->flags & CRYPTO_SHA1 || digest_type != DIGEST_SHA1);
}

/* --- keys --------------------------------------------------------------------- */

/* A number of the wire without its leading zeros. */
struct number {
	const uint8_t *at;
	size_t len;
};

static unsigned bits_of(struct number *n)
{
	while (n->len && !*n->at) {
		n->at++;
		n->len--;
	}
	unsigned bits = (unsigned)n->len * 8;
	for (unsigned top = n->len ? *n->at : 0x80; !(top & 0x80); top <<= 1)
		bits--;
	return bits;
}

/* RFC 3110 section 2. */
static enum crypto_verdict rsa_read(
	const uint8_t *key, size_t len, struct number *e, struct number *n)
{
	struct cursor c = cursor_over(key, len);
	e->len = cursor_u8(&c);
	if (!e->len)
		e->len = cursor_u16(&c);
	e->at = cursor_take(&c, e->len);
	n->len = cursor_left(&c);
	n->at = cursor_take(&c, n->len);
	if (cursor_bad(&c) || !e->at || !n->at)
		return CRYPTO_KEY_MALFORMED;
	const unsigned e_bits = bits_of(e), n_bits = bits_of(n);
	if (!e_bits || !n_bits || !(e->at[e->len - 1] & 1) || !(n->at[n->len - 1] & 1))
		return CRYPTO_KEY_MALFORMED;
	if (e_bits < 2)
		return CRYPTO_KEY_MALFORMED; /* exponent 1: anyone can sign */
	if (n_bits < LIMIT_RSA_BITS_MIN || n_bits > LIMIT_RSA_BITS ||
		e_bits > LIMIT_RSA_EXPONENT_BITS)
		return CRYPTO_KEY_SIZE;
	return CRYPTO_GOOD;
}

enum crypto_verdict crypto_key_form(uint8_t algorithm, const uint8_t *key, size_t len)
{
	const struct algorithm *row = algorithm_get(algorithm);
	struct number e, n;
	if (!row)
		return CRYPTO_UNKNOWN;
	if (row->kind == ALGORITHM_KIND_RSA)
		return rsa_read(key, len, &e, &n);
	return len == row->key_len ? CRYPTO_GOOD : CRYPTO_KEY_MALFORMED;
}

static EVP_PKEY *rsa_from(OSSL_PARAM *params)
{
	EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *ctx =
		params ? EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL) : NULL;
	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *rsa_make(const uint8_t *key, size_t len)
{
	struct number e, n;
	if (rsa_read(key, len, &e, &n) != CRYPTO_GOOD)
		return NULL;
	BIGNUM *be = BN_bin2bn(e.at, (int)e.len, NULL);
	BIGNUM *bn = BN_bin2bn(n.at, (int)n.len, NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	if (be && bn && build &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be))
		params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY *pkey = rsa_from(params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(bn);
	BN_free(be);
	return pkey;
}

static bool p384_make(struct key *k, const uint8_t *key, size_t len)
{
	enum { HALF = 48 };
	if (len != HALF + HALF)
		return false;
	mpz_t x, y;
	mpz_init(x);
	mpz_init(y);
	mpz_import(x, HALF, 1, 1, 0, 0, key);
	mpz_import(y, HALF, 1, 1, 0, 0, key + HALF);
	ecc_point_init(&k->point, nettle_get_secp_384r1());
	k->has_point = true;
	const bool good = ecc_point_set(&k->point, x, y) == 1;
	mpz_clear(y);
	mpz_clear(x);
	return good;
}

/* A context that checks hashes, for the key's lifetime. */
static EVP_PKEY_CTX *checker(EVP_PKEY *pkey, const struct algorithm *row)
{
	const char *hash = row->hash_bits == 160   ? "SHA1"
			   : row->hash_bits == 256 ? "SHA2-256"
						   : "SHA2-512";
	EVP_MD *md = EVP_MD_fetch(NULL, hash, NULL);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	bool good = md && ctx && EVP_PKEY_verify_init(ctx) == 1;
	if (good && row->kind == ALGORITHM_KIND_RSA)
		good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	good = good && EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;
	EVP_MD_free(md);
	if (good)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

/* A system's crypto policy may forbid libcrypto to check such signatures. Then zones that
 * have no others are unsigned, not bogus. */
static bool may_check_sha1(void)
{
	uint8_t key[2 + LIMIT_RSA_BITS_MIN / 8] = { 1, 3 };
	memset(key + 2, 0xff, sizeof(key) - 2);
	EVP_PKEY *pkey = rsa_make(key, sizeof(key));
	EVP_PKEY_CTX *ctx =
		pkey ? checker(pkey, algorithm_get(ALGORITHM_RSASHA1)) : NULL;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return ctx != NULL;
}

static bool key_make(struct crypto *c, struct key *k, const struct algorithm *row)
{
	switch (row->kind) {
	case ALGORITHM_KIND_RSA:
		k->pkey = rsa_make(k->bytes, k->len);
		break;
	case ALGORITHM_KIND_P256:
		k->p256 =
			k->len == P256_KEY_LEN ? p256_key_new(c->p256, k->bytes) : NULL;
		return k->p256 != NULL;
	case ALGORITHM_KIND_P384:
		return p384_make(k, k->bytes, k->len);
	case ALGORITHM_KIND_ED25519:
		return true; /* nettle wants the bytes */
	case ALGORITHM_KIND_ED448:
		k->pkey = EVP_PKEY_new_raw_public_key(
			EVP_PKEY_ED448, NULL, k->bytes, k->len);
		k->ed448 = k->pkey ? EVP_MD_CTX_new() : NULL;
		return k->ed448 != NULL;
	case ALGORITHM_NONE:
		break;
	}
	if (k->pkey)
		k->ctx = checker(k->pkey, row);
	return k->ctx != NULL;
}

/* Where it is, or where it would be put: *oldest. */
static struct key *key_find(struct crypto *c, uint8_t algorithm, const uint8_t *bytes,
	size_t len, struct key **oldest)
{
	const uint64_t hash = hash_sip13(&c->secret, bytes, len) ^ algorithm;
	struct key *set = &c->keys[(hash & (c->sets - 1)) * WAYS];
	*oldest = set;
	for (struct key *k = set; k < set + WAYS; k++) {
		if (k->bytes && k->algorithm == algorithm && k->len == len &&
			memcmp(k->bytes, bytes, len) == 0)
			return k;
		if (k->used < (*oldest)->used)
			*oldest = k;
	}
	return NULL;
}

/* NULL: malformed, or no memory. */
static struct key *key_get(struct crypto *c, uint8_t algorithm,
	const struct algorithm *row, const uint8_t *bytes, size_t len)
{
	struct key *oldest;
	struct key *k = key_find(c, algorithm, bytes, len, &oldest);
	c->turn++;
	if (k) {
		k->used = c->turn;
		c->stats.found++;
		return k;
	}
	/* only what is good takes a place */
	struct key fresh = { .bytes = malloc(len),
		.len = (uint16_t)len,
		.algorithm = algorithm,
		.used = c->turn };
	if (!fresh.bytes)
		return NULL;
	memcpy(fresh.bytes, bytes, len);
	c->stats.kept++;
	c->stats.parsed++;
	if (!key_make(c, &fresh, row)) {
		key_clear(c, &fresh);
		return NULL;
	}
	key_clear(c, oldest);
	*oldest = fresh;
	return oldest;
}

/* --- keys with tables ------------------------------------------------------------ */

/* A thread has ended: the tables go to their key, if it is still here. */
static void hot_take(struct crypto *c)
{
	struct p256_key *made;
	struct key *oldest;
	uint8_t bytes[P256_KEY_LEN];
	if (!hotkey_maker_take(c->maker, &made, bytes))
		return;
	struct key *k = key_find(c, ALGORITHM_P256, bytes, sizeof(bytes), &oldest);
	if (!k || k->hot || !made) {
		p256_key_free(made);
		return;
	}
	k->hot = made;
	c->stats.hot++;
}

/* The tables of a key that is not in use any more make room. */
static bool hot_has_room(struct crypto *c)
{
	struct key *idle = NULL;
	if (c->stats.hot < c->hot_max)
		return true;
	for (struct key *k = c->keys; k < c->keys + (size_t)c->sets * WAYS; k++)
		if (k->hot && k->used + HOT_IDLE_TURNS < c->turn &&
			(!idle || k->used < idle->used))
			idle = k;
	if (!idle)
		return false;
	p256_key_free(idle->hot);
	idle->hot = NULL;
	idle->checks = 0;
	c->stats.hot--;
	return true;
}

/* Has this P-256 key tables? If it is used that much, have them made. */
static bool key_is_hot(struct crypto *c, struct key *k)
{
	if (!c->maker)
		return false;
	if (!k->hot && ++k->checks >= LIMIT_HOT_KEY_CHECKS) {
		hot_take(c);
		/* what does not work now is tried again after as many checks */
		if (!k->hot) {
			k->checks = LIMIT_HOT_KEY_CHECKS / 2;
			if (hot_has_room(c))
				hotkey_maker_start(c->maker, k->bytes);
		}
	}
	return k->hot != NULL;
}

/* --- checks ------------------------------------------------------------------- */

static size_t hash_data(struct crypto *c, unsigned bits, const uint8_t *data,
	size_t len, uint8_t out[static HASH_LEN_MAX])
{
	if (bits == 160) {
		struct sha1_ctx sha1;
		sha1_init(&sha1);
		sha1_update(&sha1, len, data);
		sha1_digest(&sha1, SHA1_DIGEST_SIZE, out);
	} else if (EVP_DigestInit_ex2(c->md,
			   bits == 256   ? c->sha256
			   : bits == 384 ? c->sha384
					 : c->sha512,
			   NULL) != 1 ||
		   EVP_DigestUpdate(c->md, data, len) != 1 ||
		   EVP_DigestFinal_ex(c->md, out, NULL) != 1) {
		return 0;
	}
	return bits / 8;
}

static bool p384_check(
	const struct key *k, const uint8_t *hash, const uint8_t *sig, size_t half)
{
	struct dsa_signature rs;
	dsa_signature_init(&rs);
	mpz_import(rs.r, half, 1, 1, 0, 0, sig);
	mpz_import(rs.s, half, 1, 1, 0, 0, sig + half);
	const bool good = ecdsa_verify(&k->point, SHA384_DIGEST_SIZE, hash, &rs) == 1;
	dsa_signature_clear(&rs);
	return good;
}

static bool key_check(struct crypto *c, struct key *k, const struct algorithm *row,
	const uint8_t *sig, size_t sig_len, const uint8_t *data, size_t len)
{
	uint8_t hash[HASH_LEN_MAX];
	if (row->sig_len && sig_len != row->sig_len)
		return false;
	if (row->kind == ALGORITHM_KIND_ED25519)
		return ed25519_sha512_verify(k->bytes, len, data, sig) == 1;
	if (row->kind == ALGORITHM_KIND_ED448)
		return EVP_DigestVerifyInit(k->ed448, NULL, NULL, NULL, k->pkey) == 1 &&
		       EVP_DigestVerify(k->ed448, sig, sig_len, data, len) == 1;
	const size_t hash_len = hash_data(c, row->hash_bits, data, len, hash);
	if (!hash_len)
		return false;
	if (row->kind == ALGORITHM_KIND_P384)
		return p384_check(k, hash, sig, sig_len / 2);
	if (row->kind == ALGORITHM_KIND_P256) {
		const bool hot = key_is_hot(c, k);
		c->stats.hot_checks += hot;
		return p256_check(c->p256, hot ? k->hot : k->p256, hash, sig);
	}
	return EVP_PKEY_verify(k->ctx, sig, sig_len, hash, hash_len) == 1;
}

enum crypto_verdict crypto_check(struct crypto *c, uint8_t algorithm,
	const uint8_t *key, size_t key_len, const uint8_t *sig, size_t sig_len,
	const uint8_t *data, size_t len)
{
	const struct algorithm *row = algorithm_get(algorithm);
	if (!row || !crypto_has_algorithm(c, algorithm))
		return CRYPTO_UNKNOWN;
	const enum crypto_verdict form = crypto_key_form(algorithm, key, key_len);
	if (form != CRYPTO_GOOD)
		return form;
	struct key *k = key_get(c, algorithm, row, key, key_len);
	const bool good = k && key_check(c, k, row, sig, sig_len, data, len);
	if (!good)
		ERR_clear_error();
	return good ? CRYPTO_GOOD : k ? CRYPTO_WRONG : CRYPTO_KEY_MALFORMED;
}

size_t crypto_digest(const struct crypto *c, uint8_t digest_type, const uint8_t *a,
	size_t a_len, const uint8_t *b, size_t b_len,
	uint8_t out[static DIGEST_LEN_MAX])
{
	union {
		struct sha1_ctx sha1;
		struct sha256_ctx sha256;
		struct sha384_ctx sha384;
	} u;
	if (!crypto_has_digest(c, digest_type))
		return 0;
	if (digest_type == DIGEST_SHA1) {
		sha1_init(&u.sha1);
		sha1_update(&u.sha1, a_len, a);
		sha1_update(&u.sha1, b_len, b);
		sha1_digest(&u.sha1, SHA1_DIGEST_SIZE, out);
	} else if (digest_type == DIGEST_SHA256) {
		sha256_init(&u.sha256);
		sha256_update(&u.sha256, a_len, a);
		sha256_update(&u.sha256, b_len, b);
		sha256_digest(&u.sha256, SHA256_DIGEST_SIZE, out);
	} else {
		sha384_init(&u.sha384);
		sha384_update(&u.sha384, a_len, a);
		sha384_update(&u.sha384, b_len, b);
		sha384_digest(&u.sha384, SHA384_DIGEST_SIZE, out);
	}
	return digest_len(digest_type);
}
