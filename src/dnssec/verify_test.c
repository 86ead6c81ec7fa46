/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dnssec/ds.h"
#include "dnssec/rrsig.h"
#include "dnssec/test_help.h"
#include "wire/codes.h"

#include "dnssec/vectors.h"

/* The last one is of a revoked key, and has a test of its own. */
enum { VECTORS = sizeof(vectors) / sizeof(*vectors) - 1 };

static const struct hash_key secret = { 1, 2 };
static struct verifier verifier;
static struct test_set rr, key_rr, ds_rr;
static struct keyset keys;

static int setup(void **state)
{
	(void)state;
	return verifier_init(&verifier, 64, CRYPTO_SHA1, &secret) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	verifier_fini(&verifier);
	return 0;
}

static const struct vector *vector_named(const char *name, uint16_t type)
{
	for (unsigned i = 0; i < VECTORS; i++)
		if (strcmp(vectors[i].name, name) == 0 && vectors[i].type == type)
			return &vectors[i];
	fail_msg("no vector %s", name);
	return NULL;
}

static void load(const struct vector *v)
{
	set_vector(v, &rr, &key_rr, &ds_rr);
	keyset_read(&keys, &key_rr.rr);
}

static enum dnssec_status check(struct verify *v, uint32_t now)
{
	struct dnssec_work work = dnssec_work_full();
	verify_begin(v, &rr.rr, &keys, now);
	return verify_run(&verifier, v, &work, UINT32_MAX);
}

static void what_two_signers_and_the_rfcs_signed_is_secure(void **state)
{
	(void)state;
	unsigned expanded = 0;
	for (unsigned i = 0; i < VECTORS; i++) {
		struct verify v;
		load(&vectors[i]);
		if (check(&v, vectors[i].now) != DNSSEC_SECURE)
			fail_msg("%s %s type %u: extended error %d", vectors[i].name,
				vectors[i].owner, vectors[i].type, v.ede);
		assert_true(v.ttl <= vectors[i].ttl);
		expanded += v.expanded;
	}
	/* one of each algorithm, and RFC 4035 B.6 */
	assert_int_equal(expanded, 8 + 1);
}

static void a_digest_of_the_parent_leads_to_the_key(void **state)
{
	(void)state;
	unsigned seen = 0;
	for (unsigned i = 0; i < VECTORS; i++) {
		load(&vectors[i]);
		for (unsigned j = 0; j < ds_rr.rr.count; j++, seen++) {
			struct test_set one;
			const struct rdata item = rrset_at(&ds_rr.rr, j);
			set_begin(&one, vectors[i].zone, TYPE_DS);
			set_add(&one, item.bytes, item.len, 0);
			struct ds_match m = ds_match(&verifier, &one.rr, &keys);
			assert_int_equal(m.status, DNSSEC_SECURE);
			assert_int_equal(m.keys & (m.keys - 1), 0);
			/* the matching key alone verifies the DNSKEY RRset */
			if (vectors[i].type == TYPE_DNSKEY) {
				struct verify v;
				struct dnssec_work work = dnssec_work_full();
				verify_begin(&v, &rr.rr, &keys, vectors[i].now);
				v.usable = m.keys;
				assert_int_equal(verify_run(&verifier, &v, &work, 9),
					DNSSEC_SECURE);
			}
			/* any other digest does not */
			for (unsigned bit = 0; bit < (item.len - 4u) * 8; bit++) {
				uint8_t *digest = one.data + 2 + 4;
				digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
				m = ds_match(&verifier, &one.rr, &keys);
				assert_int_equal(m.status, DNSSEC_BOGUS);
				assert_int_equal(m.ede, EDE_DNSKEY_MISSING);
				digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
		}
	}
	assert_true(seen >= 2 * 8 * 3);
}

/* Letters whose case was flipped: canonical form ignores it in names. */
static bool same_without_case(uint8_t before, uint8_t after)
{
	return (before ^ after) == 0x20 &&
	       ((before | 0x20) >= 'a' && (before | 0x20) <= 'z');
}

/* Where in RDATA is a name that is lower-cased? Said here once more, by hand. */
static size_t name_in(uint16_t type)
{
	switch (type) {
	case TYPE_MX:
		return 2;
	case TYPE_SRV:
		return 6;
	case TYPE_NAPTR:
		return 4 + 2 + 4 + 9; /* "u" "sip" "!^.*$!x!" */
	case TYPE_DNAME:
		return 0;
	default:
		return SIZE_MAX;
	}
}

/* Is this byte of the data part of a name whose case is ignored? */
static bool case_ignored(size_t at)
{
	struct rrset_walk w = rrset_begin(&rr.rr);
	struct rdata item;
	for (unsigned i = 0; rrset_next(&w, &item); i++) {
		const size_t skip = i >= rr.rr.count ? 18 : name_in(rr.rr.type);
		const size_t begin = (size_t)(item.bytes - rr.data) + skip;
		if (skip < item.len && at >= begin &&
			at < begin + name_len(item.bytes + skip))
			return true;
	}
	return false;
}

/* Of an RRset of one record or more with one signature: data, then the owner. */
static void flip_all(const struct vector *vector)
{
	struct verify v;
	load(vector);
	assert_int_equal(check(&v, vector->now), DNSSEC_SECURE);
	for (size_t bit = 0; bit < rr.rr.data_len * 8u; bit++) {
		const uint8_t before = rr.data[bit / 8];
		rr.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		const bool whole = rrset_valid(&rr.rr);
		const bool ignored = case_ignored(bit / 8) &&
				     same_without_case(before, rr.data[bit / 8]);
		const enum dnssec_status status = check(&v, vector->now);
		if (status != (ignored ? DNSSEC_SECURE : DNSSEC_BOGUS) && whole)
			fail_msg("%s type %u: bit %zu flipped: status %d", vector->name,
				vector->type, bit, (int)status);
		if (!whole)
			assert_int_not_equal(status, DNSSEC_SECURE);
		rr.data[bit / 8] = before;
	}
	for (size_t bit = 0; bit < name_len(rr.name) * 8; bit++) {
		const uint8_t before = rr.name[bit / 8];
		rr.name[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (name_check(rr.name, sizeof(rr.name)) == 0) {
			rr.name[bit / 8] = before;
			continue;
		}
		const bool ignored = same_without_case(before, rr.name[bit / 8]);
		assert_int_equal(
			check(&v, vector->now), ignored ? DNSSEC_SECURE : DNSSEC_BOGUS);
		rr.name[bit / 8] = before;
	}
	assert_int_equal(check(&v, vector->now), DNSSEC_SECURE);
}

static void every_flipped_bit_is_bogus(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VECTORS; i++) {
		const uint16_t type = vectors[i].type;
		const char *name = vectors[i].name;
		/* every algorithm; types with names by RSA, which is quick. RFC 4035's
		 * MX is from a wildcard: parts of its owner are not signed. */
		const bool quick = strstr(name, " 8") && !strstr(name, "RFC");
		if (type == TYPE_A ||
			(quick && type != TYPE_TXT && type != TYPE_DNSKEY))
			flip_all(&vectors[i]);
	}
}

static void order_case_and_doubles_make_no_difference(void **state)
{
	(void)state;
	struct verify v;
	const struct vector *vector = vector_named("bind 13", TYPE_A);
	load(vector);
	struct test_set other;
	set_begin(&other, "MAIL.Example.", TYPE_A);
	for (unsigned i = 3; i--;) {
		const struct rdata item = rrset_at(&rr.rr, i % 2);
		set_add(&other, item.bytes, item.len, 0);
	}
	const struct rdata sig = rrset_at(&rr.rr, 2);
	set_add(&other, sig.bytes, sig.len, 1);
	rr = other;
	rr.rr.name = rr.name;
	rr.rr.data = rr.data;
	rr.rr.ttl = 99999; /* the signature has its own */
	assert_int_equal(check(&v, vector->now), DNSSEC_SECURE);
	assert_int_equal(v.ttl, 3600);
	/* one record less is another RRset */
	const struct rdata first = rrset_at(&other.rr, 1), its = rrset_at(&other.rr, 3);
	assert_int_equal(its.len, sig.len);
	set_begin(&rr, vector->owner, TYPE_A);
	set_add(&rr, first.bytes, first.len, 0);
	set_add(&rr, its.bytes, its.len, 1);
	assert_int_equal(check(&v, vector->now), DNSSEC_BOGUS);
	assert_int_equal(v.ede, EDE_BOGUS);
}

static void a_signature_has_its_time_also_over_the_end_of_32_bits(void **state)
{
	(void)state;
	struct verify v;
	load(vector_named("dnspython 13", TYPE_MX));
	assert_int_equal(check(&v, 1767225600), DNSSEC_SECURE);
	assert_int_equal(check(&v, 1767225599), DNSSEC_BOGUS);
	assert_int_equal(v.ede, EDE_SIGNATURE_NOT_YET_VALID);
	assert_int_equal(check(&v, 2082758400), DNSSEC_SECURE);
	assert_int_equal(v.ttl, 0);
	assert_int_equal(check(&v, 2082758400 - 5), DNSSEC_SECURE);
	assert_int_equal(v.ttl, 5);
	assert_int_equal(check(&v, 2082758401), DNSSEC_BOGUS);
	assert_int_equal(v.ede, EDE_SIGNATURE_EXPIRED);

	struct rrsig sig = { .begins = 0xfffffff0, .expires = 0x10 };
	assert_int_equal(rrsig_time_error(&sig, 0xfffffff0), EDE_NONE);
	assert_int_equal(rrsig_time_error(&sig, 0), EDE_NONE);
	assert_int_equal(rrsig_ttl(&sig, 3600, 0xfffffff0), 0);
	sig.original_ttl = 3600;
	assert_int_equal(rrsig_ttl(&sig, 3600, 0xfffffff0), 32);
	assert_int_equal(rrsig_time_error(&sig, 0x11), EDE_SIGNATURE_EXPIRED);
	assert_int_equal(
		rrsig_time_error(&sig, 0xffffffef), EDE_SIGNATURE_NOT_YET_VALID);
	sig = (struct rrsig){ .begins = 20, .expires = 10 };
	assert_int_equal(
		rrsig_time_error(&sig, 15), EDE_SIGNATURE_EXPIRED_BEFORE_VALID);
}

static void labels_stay_between_signer_and_owner(void **state)
{
	(void)state;
	uint8_t zone[NAME_MAX_LEN], owner[NAME_MAX_LEN];
	name_from_text(zone, "b.example.");
	struct rrset set = { .name = owner, .type = TYPE_A };
	struct rrsig sig = { .covers = TYPE_A, .signer = zone };
	static const struct {
		const char *owner;
		uint8_t labels;
		bool fits, expanded;
	} rows[] = {
		{ "x.b.example.", 1, false, true }, /* *.example.: above the zone */
		{ "x.b.example.", 2, true, true },
		{ "x.b.example.", 3, true, false },
		{ "x.b.example.", 4, false, false },
		{ "*.b.example.", 2, true, false },
		{ "*.b.example.", 3, false, false },
		{ "b.example.", 2, true, false },
		{ "b.example.", 1, false, true },
		{ "x.y.b.example.", 3, true, true },
		{ "example.", 1, false, false },
		{ "xb.example.", 2, false, false },
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		name_from_text(owner, rows[i].owner);
		sig.labels = rows[i].labels;
		assert_int_equal(rrsig_fits(&sig, &set, zone), rows[i].fits);
		assert_int_equal(rrsig_expanded(&sig, owner), rows[i].expanded);
	}
	name_from_text(owner, "x.b.example.");
	sig.labels = 3;
	assert_true(rrsig_fits(&sig, &set, zone));
	sig.covers = TYPE_AAAA;
	assert_false(rrsig_fits(&sig, &set, zone));
	/* a zone does not sign its own DS */
	sig.covers = set.type = TYPE_DS;
	assert_true(rrsig_fits(&sig, &set, zone));
	name_from_text(owner, "B.example.");
	sig.labels = 2;
	assert_false(rrsig_fits(&sig, &set, zone));
}

static void what_is_missing_is_said(void **state)
{
	(void)state;
	struct verify v;
	const struct vector *vector = vector_named("bind 15", TYPE_A);
	load(vector);
	rr.rr.sig_count = 0;
	rr.rr.data_len = 12;
	assert_int_equal(check(&v, vector->now), DNSSEC_BOGUS);
	assert_int_equal(v.ede, EDE_RRSIGS_MISSING);

	load(vector);
	keys.count = 0;
	assert_int_equal(check(&v, vector->now), DNSSEC_BOGUS);
	assert_int_equal(v.ede, EDE_DNSKEY_MISSING);
	/* a key that is no zone key, or revoked, or of a strange protocol */
	static const struct {
		uint16_t flags;
		uint8_t protocol;
		int ede;
	} rows[] = {
		{ 0, 3, EDE_NO_ZONE_KEY_BIT },
		{ DNSKEY_ZONE | DNSKEY_REVOKED, 3, EDE_DNSKEY_MISSING },
		{ DNSKEY_ZONE, 2, EDE_DNSKEY_MISSING },
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		load(vector);
		keys.usable = 0;
		for (unsigned k = 0; k < keys.count; k++) {
			keys.key[k].flags = rows[i].flags;
			keys.key[k].protocol = rows[i].protocol;
			assert_false(dnskey_is_usable(&keys.key[k]));
		}
		assert_int_equal(check(&v, vector->now), DNSSEC_BOGUS);
		assert_int_equal(v.ede, rows[i].ede);
	}
}

/* RFC 5011: only such a signature says that the key is revoked; nothing else that it signs counts. */
static void a_revoked_key_vouches_for_its_revocation_only(void **state)
{
	(void)state;
	const struct vector *vector = &vectors[VECTORS];
	struct verify v;
	struct dnssec_work work = dnssec_work_full();
	load(vector);
	assert_int_equal(keys.usable, 0);
	assert_true(keys.key[0].flags & DNSKEY_REVOKED);
	assert_int_equal(check(&v, vector->now), DNSSEC_BOGUS);
	assert_int_equal(v.ede, EDE_DNSKEY_MISSING);
	assert_int_equal(ds_match(&verifier, &ds_rr.rr, &keys).status, DNSSEC_BOGUS);
	verify_begin(&v, &rr.rr, &keys, vector->now);
	v.usable = 1;
	assert_int_equal(verify_run(&verifier, &v, &work, 1), DNSSEC_SECURE);
}

static void many_digests_are_bounded(void **state)
{
	(void)state;
	load(vector_named("bind 15", TYPE_DNSKEY));
	struct test_set many;
	const struct rdata good = rrset_at(&ds_rr.rr, 1);
	for (unsigned before = LIMIT_ZONE_DS - 1; before <= LIMIT_ZONE_DS; before++) {
		uint8_t wrong[64];
		set_begin(&many, "example.", TYPE_DS);
		memcpy(wrong, good.bytes, good.len);
		for (unsigned i = 0; i < before; i++) {
			wrong[10] = (uint8_t)i;
			wrong[11] = 0x55;
			set_add(&many, wrong, good.len, 0);
		}
		set_add(&many, good.bytes, good.len, 0);
		assert_int_equal(ds_match(&verifier, &many.rr, &keys).status,
			before < LIMIT_ZONE_DS ? DNSSEC_SECURE : DNSSEC_BOGUS);
	}
}

static void malformed_records_cost_no_check(void **state)
{
	(void)state;
	const struct vector *vector = vector_named("bind 13", TYPE_A);
	struct verify v;
	struct dnssec_work work = dnssec_work_full();
	load(vector);
	struct test_set odd;
	set_begin(&odd, vector->owner, TYPE_A);
	set_add(&odd, (const uint8_t *)"12345", 5, 0);
	const struct rdata sig = rrset_at(&rr.rr, 2);
	set_add(&odd, sig.bytes, sig.len, 1);
	verify_begin(&v, &odd.rr, &keys, vector->now);
	assert_int_equal(verify_run(&verifier, &v, &work, 1), DNSSEC_BOGUS);
	/* a signature that is cut off, or empty */
	set_begin(&odd, vector->owner, TYPE_A);
	set_add(&odd, (const uint8_t *)"1234", 4, 0);
	for (size_t len = 0; len <= 18 + 9 + 1; len++)
		set_add(&odd, sig.bytes, len, 1);
	verify_begin(&v, &odd.rr, &keys, vector->now);
	work.checks_max = 0;
	assert_int_equal(verify_run(&verifier, &v, &work, 1), DNSSEC_LIMIT);
	odd.rr.sig_count--; /* the last one had a byte of signature */
	odd.rr.data_len -= 2 + 18 + 9 + 1;
	verify_begin(&v, &odd.rr, &keys, vector->now);
	assert_int_equal(verify_run(&verifier, &v, &work, 1), DNSSEC_BOGUS);
	assert_int_equal(work.checks, 0);
}

/* KeyTrap: many keys with one tag, many signatures. */
static void colliding_keys_end_at_the_limit(void **state)
{
	(void)state;
	const struct vector *vector = vector_named("dnspython 13", TYPE_A);
	load(vector);
	const struct dnskey good = keys.key[0];
	static uint8_t wrong[LIMIT_ZONE_KEYS][64];
	for (unsigned i = 0; i < LIMIT_ZONE_KEYS; i++) {
		const struct vector *other =
			vector_named(i % 2 ? "bind 13" : "RFC 6605 6.1", TYPE_A);
		uint8_t bytes[256];
		unhex(bytes, other->keys[0]);
		memcpy(wrong[i], bytes + 4, 64);
		keys.key[i] = good;
		keys.key[i].key = wrong[i];
	}
	keys.count = LIMIT_ZONE_KEYS;
	keys.usable = UINT64_MAX;
	struct dnssec_work work = dnssec_work_full();
	struct verify v;
	verify_begin(&v, &rr.rr, &keys, vector->now);
	assert_int_equal(verify_run(&verifier, &v, &work, UINT32_MAX), DNSSEC_LIMIT);
	assert_int_equal(work.checks, LIMIT_SIGNATURE_FAILURES);
	assert_int_equal(work.failures, LIMIT_SIGNATURE_FAILURES);
	/* nothing resets it */
	verify_begin(&v, &rr.rr, &keys, vector->now);
	keys.key[0] = good;
	assert_int_equal(verify_run(&verifier, &v, &work, UINT32_MAX), DNSSEC_LIMIT);
	assert_int_equal(work.checks, LIMIT_SIGNATURE_FAILURES);

	/* malformed keys count too: CVE-2025-8677 */
	for (unsigned i = 0; i < keys.count; i++) {
		memset(wrong[i], (int)i + 1, sizeof(wrong[i]));
		keys.key[i].key = wrong[i];
	}
	work = dnssec_work_full();
	verify_begin(&v, &rr.rr, &keys, vector->now);
	assert_int_equal(verify_run(&verifier, &v, &work, UINT32_MAX), DNSSEC_LIMIT);
	assert_int_equal(work.failures, LIMIT_SIGNATURE_FAILURES);

	/* and honest ones have the larger limit */
	keys.key[0] = good;
	work = dnssec_work_full();
	for (unsigned i = 0; i < LIMIT_SIGNATURE_CHECKS; i++) {
		verify_begin(&v, &rr.rr, &keys, vector->now);
		assert_int_equal(verify_run(&verifier, &v, &work, 1), DNSSEC_SECURE);
	}
	verify_begin(&v, &rr.rr, &keys, vector->now);
	assert_int_equal(verify_run(&verifier, &v, &work, 1), DNSSEC_LIMIT);
	assert_int_equal(work.failures, 0);
}

static void a_slice_ends_and_the_next_goes_on(void **state)
{
	(void)state;
	const struct vector *vector = vector_named("dnspython 13", TYPE_A);
	load(vector);
	const struct dnskey good = keys.key[0];
	uint8_t wrong[256];
	unhex(wrong, vector_named("bind 13", TYPE_A)->keys[0]);
	for (unsigned i = 0; i < 10; i++) {
		keys.key[i] = good;
		keys.key[i].key = wrong + 4;
	}
	keys.key[10] = good;
	keys.count = 11;
	keys.usable = 0x7ff;
	struct dnssec_work work = dnssec_work_full();
	struct verify v;
	unsigned turns = 0;
	enum dnssec_status status;
	verify_begin(&v, &rr.rr, &keys, vector->now);
	do {
		const uint32_t before = work.checks;
		status = verify_run(&verifier, &v, &work, 3);
		assert_true(work.checks - before <= 3);
		turns++;
	} while (status == DNSSEC_MORE);
	assert_int_equal(status, DNSSEC_SECURE);
	assert_int_equal(turns, 4);
	assert_int_equal(v.key, 10);
	assert_int_equal(work.failures, 10);
}

static void without_sha1_its_algorithms_are_unknown(void **state)
{
	(void)state;
	struct verifier strict;
	int ede;
	assert_true(verifier_init(&strict, 1, 0, &secret));
	load(vector_named("bind 5", TYPE_DNSKEY));
	assert_false(ds_usable(&strict, &ds_rr.rr, &ede));
	assert_int_equal(ede, EDE_UNSUPPORTED_ALGORITHM);
	struct ds_match m = ds_match(&strict, &ds_rr.rr, &keys);
	assert_int_equal(m.status, DNSSEC_INSECURE);
	/* a good algorithm with digest 1 only */
	load(vector_named("bind 8", TYPE_DNSKEY));
	assert_true(ds_usable(&strict, &ds_rr.rr, &ede));
	ds_rr.rr.count = 1;
	assert_false(ds_usable(&strict, &ds_rr.rr, &ede));
	assert_int_equal(ede, EDE_UNSUPPORTED_DIGEST);
	assert_true(ds_usable(&verifier, &ds_rr.rr, &ede));
	verifier_fini(&strict);
}

/* RFC 4509 section 3: who can make SHA-1 collisions gains nothing. */
static void a_sha1_digest_beside_a_better_one_is_ignored(void **state)
{
	(void)state;
	load(vector_named("bind 13", TYPE_DNSKEY));
	ds_rr.rr.count = 2;
	assert_int_equal(ds_match(&verifier, &ds_rr.rr, &keys).status, DNSSEC_SECURE);
	const struct rdata sha256 = rrset_at(&ds_rr.rr, 1);
	ds_rr.data[(size_t)(sha256.bytes - ds_rr.data) + 20] ^= 1;
	const struct ds_match m = ds_match(&verifier, &ds_rr.rr, &keys);
	assert_int_equal(m.status, DNSSEC_BOGUS);
	/* of an algorithm that nobody knows it is no better one */
	ds_rr.data[(size_t)(sha256.bytes - ds_rr.data) + 2] = 200;
	assert_int_equal(ds_match(&verifier, &ds_rr.rr, &keys).status, DNSSEC_SECURE);
}

static void rsa_keys_have_bounds(void **state)
{
	(void)state;
	uint8_t key[1024];
	static const struct {
		unsigned exponent, modulus; /* bits */
		enum crypto_verdict verdict;
	} rows[] = {
		{ 17, 512, CRYPTO_GOOD },
		{ 2, 4096, CRYPTO_GOOD },
		{ 64, 2048, CRYPTO_GOOD },
		{ 65, 2048, CRYPTO_KEY_SIZE },
		{ 2048, 2048, CRYPTO_KEY_SIZE },
		{ 17, 511, CRYPTO_KEY_SIZE },
		{ 17, 4097, CRYPTO_KEY_SIZE },
		{ 1, 2048, CRYPTO_KEY_MALFORMED },
		{ 17, 0, CRYPTO_KEY_MALFORMED },
		{ 0, 2048, CRYPTO_KEY_MALFORMED },
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const size_t e = (rows[i].exponent + 7) / 8,
			     n = (rows[i].modulus + 7) / 8;
		memset(key, 0xff, sizeof(key));
		key[0] = 0;
		key[1] = (uint8_t)(e >> 8);
		key[2] = (uint8_t)e;
		if (rows[i].exponent % 8)
			key[3] = (uint8_t)((1u << rows[i].exponent % 8) - 1);
		if (rows[i].modulus % 8)
			key[3 + e] = (uint8_t)((1u << rows[i].modulus % 8) - 1);
		assert_int_equal(crypto_key_form(8, key, 3 + e + n), rows[i].verdict);
	}
	assert_int_equal(crypto_key_form(13, key, 63), CRYPTO_KEY_MALFORMED);
	assert_int_equal(crypto_key_form(12, key, 64), CRYPTO_UNKNOWN);
	assert_int_equal(crypto_key_form(8, key, 0), CRYPTO_KEY_MALFORMED);
	/* even modulus */
	memset(key, 0xfe, sizeof(key));
	key[0] = 1;
	key[1] = 3;
	assert_int_equal(crypto_key_form(8, key, 2 + 256), CRYPTO_KEY_MALFORMED);
}

/* A zone whose only keys are of less than 512 bits is as one with an unknown algorithm; one where
 * a better key is hidden is bogus. */
static void oversized_keys_make_a_zone_insecure_only_if_all_are(void **state)
{
	(void)state;
	uint8_t small[4 + 67] = { 1, 1, 3, 8, 3, 1, 0, 1 };
	memset(small + 8, 0xff, sizeof(small) - 8);
	struct dnskey key;
	uint8_t ds[4 + DIGEST_LEN_MAX];
	load(vector_named("bind 8", TYPE_DNSKEY));
	struct test_set zone_ds, zone_keys;
	set_begin(&zone_keys, "example.", TYPE_DNSKEY);
	set_add(&zone_keys, small, sizeof(small), 0);
	keyset_read(&keys, &zone_keys.rr);
	assert_true(dnskey_read(&key, small, sizeof(small)));
	set_begin(&zone_ds, "example.", TYPE_DS);
	set_add(&zone_ds, ds, ds_make(&verifier, keys.zone, &key, DIGEST_SHA256, ds),
		0);
	assert_int_equal(
		ds_match(&verifier, &zone_ds.rr, &keys).status, DNSSEC_INSECURE);
	const struct rdata other = rrset_at(&ds_rr.rr, 1);
	set_add(&zone_ds, other.bytes, other.len, 0);
	assert_int_equal(ds_match(&verifier, &zone_ds.rr, &keys).status, DNSSEC_BOGUS);
}

static void keys_are_parsed_once_and_bounded(void **state)
{
	(void)state;
	struct verifier small;
	struct verify v;
	struct dnssec_work work;
	assert_true(verifier_init(&small, 4, CRYPTO_SHA1, &secret));
	for (int run = 0; run < 3; run++)
		for (unsigned i = 0; i < VECTORS; i++) {
			load(&vectors[i]);
			work = dnssec_work_full();
			verify_begin(&v, &rr.rr, &keys, vectors[i].now);
			assert_int_equal(
				verify_run(&small, &v, &work, 9), DNSSEC_SECURE);
			assert_true(crypto_stats(small.crypto).kept <= 4);
		}
	const struct crypto_stats stats = crypto_stats(small.crypto);
	assert_true(stats.found > stats.parsed);
	verifier_fini(&small);
}

static void key_tags_are_those_of_the_rfcs(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint16_t tag;
	} rows[] = {
		{ "RFC 5702 6.2", 3740 },
		{ "RFC 6605 6.1", 55648 },
		{ "RFC 6605 6.2", 10771 },
		{ "RFC 8080 6.1", 3613 },
		{ "RFC 8080 6.1, second", 35217 },
		{ "RFC 8080 6.2", 9713 },
		{ "RFC 8080 6.2, second", 38353 },
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		load(vector_named(rows[i].name, i < 3 ? TYPE_A : TYPE_MX));
		assert_int_equal(keys.key[0].tag, rows[i].tag);
	}
	const uint8_t md5[] = { 1, 0, 3, 1, 9, 9, 0x12, 0x34, 0x56 };
	assert_int_equal(dnskey_tag(md5, sizeof(md5)), 0x1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_two_signers_and_the_rfcs_signed_is_secure),
		cmocka_unit_test(a_digest_of_the_parent_leads_to_the_key),
		cmocka_unit_test(every_flipped_bit_is_bogus),
		cmocka_unit_test(order_case_and_doubles_make_no_difference),
		cmocka_unit_test(a_signature_has_its_time_also_over_the_end_of_32_bits),
		cmocka_unit_test(labels_stay_between_signer_and_owner),
		cmocka_unit_test(what_is_missing_is_said),
		cmocka_unit_test(a_revoked_key_vouches_for_its_revocation_only),
		cmocka_unit_test(many_digests_are_bounded),
		cmocka_unit_test(malformed_records_cost_no_check),
		cmocka_unit_test(colliding_keys_end_at_the_limit),
		cmocka_unit_test(a_slice_ends_and_the_next_goes_on),
		cmocka_unit_test(without_sha1_its_algorithms_are_unknown),
		cmocka_unit_test(a_sha1_digest_beside_a_better_one_is_ignored),
		cmocka_unit_test(rsa_keys_have_bounds),
		cmocka_unit_test(oversized_keys_make_a_zone_insecure_only_if_all_are),
		cmocka_unit_test(keys_are_parsed_once_and_bounded),
		cmocka_unit_test(key_tags_are_those_of_the_rfcs),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
