/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/dnssec.c - checks a second by algorithm, with the key kept and with a key not seen
 * before; NSEC3 hashes a second. Built by hand only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dnssec/ds.h"
#include "dnssec/nsec3.h"
#include "dnssec/p256.h"
#include "dnssec/rrsig.h"
#include "dnssec/test_help.h"
#include "dnssec/verify.h"
#include "wire/codes.h"

#include "dnssec/vectors.h"

enum { RUNS = 7 }; /* the best run counts */

static const struct hash_key secret = { 1, 2 };

static uint64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct test_set rr, key_rr, ds_rr;
static struct keyset keys;
static struct verifier verifier;

/* Nanoseconds of a check. Of a `cold` one the table forgets the key each time. */
static double check_ns(const struct vector *v, unsigned turns, bool cold)
{
	double best = 1e18;
	for (unsigned run = 0; run < RUNS; run++) {
		uint64_t spent = 0;
		for (unsigned i = 0; i < turns; i++) {
			struct dnssec_work work = dnssec_work_full();
			struct verify job;
			if (cold) {
				verifier_fini(&verifier);
				if (!verifier_init(&verifier, 64, CRYPTO_SHA1, &secret))
					abort();
			}
			const uint64_t start = cpu_ns();
			verify_begin(&job, &rr.rr, &keys, v->now);
			if (verify_run(&verifier, &job, &work, 1) != DNSSEC_SECURE)
				abort();
			spent += cpu_ns() - start;
		}
		if ((double)spent / turns < best)
			best = (double)spent / turns;
	}
	return best;
}

static void bench_algorithms(void)
{
	char last[64] = "";
	printf("%-24s %10s %10s %12s\n", "", "us/check", "checks/s", "us, new key");
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		const struct vector *v = &vectors[i];
		if (v->type != TYPE_A || strcmp(last, v->name) == 0 ||
			(strncmp(v->name, "bind", 4) != 0 &&
				strncmp(v->name, "RFC 5", 5) != 0))
			continue;
		snprintf(last, sizeof(last), "%s", v->name);
		set_vector(v, &rr, &key_rr, &ds_rr);
		keyset_read(&keys, &key_rr.rr);
		const double warm = check_ns(v, 300, false),
			     cold = check_ns(v, 40, true);
		const struct algorithm *row = algorithm_get(keys.key[0].algorithm);
		printf("%-24s %10.1f %10.0f %12.1f\n", row->name, warm / 1e3,
			1e9 / warm, cold / 1e3);
	}
}

/* A P-256 key in much use: what its tables cost, and what they give. */
static void bench_hot(void)
{
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		const struct vector *v = &vectors[i];
		set_vector(v, &rr, &key_rr, &ds_rr);
		keyset_read(&keys, &key_rr.rr);
		if (v->type != TYPE_A || strncmp(v->name, "bind", 4) != 0 ||
			keys.key[0].algorithm != ALGORITHM_P256)
			continue;
		const uint64_t start = cpu_ns();
		struct p256_key *h = p256_key_new_hot(keys.key[0].key);
		const double made = (double)(cpu_ns() - start);
		p256_key_free(h);
		verifier_fini(&verifier);
		if (!h || !verifier_init(&verifier, 64, CRYPTO_SHA1, &secret))
			abort();
		const double plain = check_ns(v, 300, false);
		verifier_fini(&verifier);
		if (!verifier_init(&verifier, 64, CRYPTO_SHA1 | CRYPTO_HOT, &secret))
			abort();
		while (!crypto_stats(verifier.crypto).hot)
			check_ns(v, 10, false);
		const double hot = check_ns(v, 300, false);
		printf("P-256 with tables: %.1f us, without %.1f us (%.2f times); made "
		       "in %.1f ms\n",
			hot / 1e3, plain / 1e3, plain / hot, made / 1e6);
		return;
	}
}

/* The slowest RSA key that is accepted: what one step of a hostile zone costs at most. */
static void bench_worst_rsa(void)
{
	static const uint8_t sig[LIMIT_RSA_BITS / 8] = { 0 };
	static uint8_t key[1 + LIMIT_RSA_EXPONENT_BITS / 8 + LIMIT_RSA_BITS / 8];
	memset(key, 0xff, sizeof(key));
	key[0] = LIMIT_RSA_EXPONENT_BITS / 8;
	uint8_t number[sizeof(sig)];
	memset(number, 0x5a, sizeof(number));
	double best = 1e18;
	for (unsigned run = 0; run < 100; run++) {
		const uint64_t start = cpu_ns();
		if (crypto_check(verifier.crypto, ALGORITHM_RSASHA256, key, sizeof(key),
			    number, sizeof(number), sig, sizeof(sig)) != CRYPTO_WRONG)
			abort();
		const double spent = (double)(cpu_ns() - start);
		best = spent < best ? spent : best;
	}
	printf("slowest RSA key (%d bits, exponent of %d): %.0f us\n", LIMIT_RSA_BITS,
		LIMIT_RSA_EXPONENT_BITS, best / 1e3);
}

static void bench_canon(void)
{
	static struct canon canon;
	static uint8_t data[1024 * 6];
	struct rrset big = { .name = (const uint8_t *)"\1a",
		.type = TYPE_A,
		.rclass = CLASS_IN,
		.count = 1024,
		.data_len = sizeof(data),
		.data = data };
	for (uint32_t i = 0; i < 1024; i++) {
		const uint16_t len = 4;
		const uint32_t address = i * 2654435761u;
		memcpy(data + i * 6, &len, 2);
		memcpy(data + i * 6 + 2, &address, 4);
	}
	double best = 1e18;
	for (unsigned run = 0; run < 200; run++) {
		const uint64_t start = cpu_ns();
		if (canon_prepare(&canon, &big) != CANON_OK)
			abort();
		const double spent = (double)(cpu_ns() - start);
		best = spent < best ? spent : best;
	}
	printf("1,024 records put into canonical order: %.0f us\n", best / 1e3);
	canon_fini(&canon);
}

/* One step at its worst: the longest text that is hashed, then the check. The best of
 * the runs. */
static void bench_longest(void)
{
	static uint8_t data[LIMIT_CANONICAL_BYTES];
	char last[64] = "";
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		const struct vector *v = &vectors[i];
		if (v->type != TYPE_A || strcmp(last, v->name) == 0 ||
			strncmp(v->name, "bind", 4) != 0)
			continue;
		snprintf(last, sizeof(last), "%s", v->name);
		set_vector(v, &rr, &key_rr, &ds_rr);
		keyset_read(&keys, &key_rr.rr);
		const struct rdata item = rrset_at(&rr.rr, rr.rr.count);
		struct rrsig sig;
		if (!rrsig_read(&sig, item.bytes, item.len))
			abort();
		const struct dnskey *key = &keys.key[0];
		double best = 1e18;
		for (unsigned run = 0; run < 40; run++) {
			const uint64_t start = cpu_ns();
			crypto_check(verifier.crypto, key->algorithm, key->key,
				key->key_len, sig.signature, sig.signature_len, data,
				sizeof(data));
			const double spent = (double)(cpu_ns() - start);
			best = spent < best ? spent : best;
		}
		printf("%-24s %zu bytes hashed and checked: %.0f us\n",
			algorithm_get(key->algorithm)->name, sizeof(data), best / 1e3);
	}
}

static void bench_nsec3(uint16_t iterations, uint8_t salt_len)
{
	static const uint8_t salt[UINT8_MAX];
	const struct nsec3_params p = { iterations, salt_len, salt };
	uint8_t hash[NSEC3_HASH_LEN], name[] = "\3www\7example\3com";
	double best = 1e18;
	enum { TURNS = 2000 };
	struct dnssec_work work;
	for (unsigned run = 0; run < RUNS; run++) {
		work = (struct dnssec_work){ .sha1_blocks_max = UINT32_MAX };
		const uint64_t start = cpu_ns();
		for (unsigned i = 0; i < TURNS; i++) {
			name[1] = (uint8_t)('a' + i % 26);
			nsec3_hash(&p, name, &work, hash);
		}
		const double spent = (double)(cpu_ns() - start);
		best = spent < best ? spent : best;
	}
	printf("NSEC3, %u iterations, salt of %u bytes: %.0f ns a hash, %.1f M "
	       "blocks/s\n",
		iterations, salt_len, best / TURNS, work.sha1_blocks / best * 1e3);
}

int main(void)
{
	if (!verifier_init(&verifier, 64, CRYPTO_SHA1, &secret))
		return 1;
	bench_algorithms();
	bench_hot();
	bench_worst_rsa();
	bench_canon();
	bench_longest();
	bench_nsec3(0, 4);
	bench_nsec3(50, 4);
	bench_nsec3(50, 255);
	verifier_fini(&verifier);
	return 0;
}
