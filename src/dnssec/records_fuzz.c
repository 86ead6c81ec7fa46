/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as RDATA of DNSKEY, RRSIG, DS, NSEC and NSEC3: what was read lies inside them, a name is at most
 * one of matched and covered, and a public key is parsed or refused. The first byte is an algorithm. */
#include <stdlib.h>
#include <string.h>

#include "dnssec/crypto.h"
#include "dnssec/dnskey.h"
#include "dnssec/ds.h"
#include "dnssec/nsec.h"
#include "dnssec/nsec3.h"
#include "dnssec/rrsig.h"
#include "wire/codes.h"
#include "wire/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(ok)                                                                       \
	do {                                                                           \
		if (!(ok))                                                             \
			__builtin_trap();                                              \
	} while (0)

static const uint8_t *first, *last;

static bool inside(const uint8_t *at, size_t len)
{
	return at >= first && at <= last && len <= (size_t)(last - at);
}

/* Bit by bit, as RFC 4034 section 4.1.2 says it. */
static bool bitmap_says(const struct type_bitmap *b, unsigned type)
{
	for (size_t at = 0; at + 2 <= b->len; at += 2u + b->bytes[at + 1]) {
		const unsigned bit = type % 256;
		if (b->bytes[at] == type / 256 && bit / 8 < b->bytes[at + 1])
			return b->bytes[at + 2 + bit / 8] >> (7 - bit % 8) & 1;
	}
	return false;
}

static void check_bitmap(const struct type_bitmap *b)
{
	must(inside(b->bytes, b->len));
	bool bare = true;
	for (unsigned type = 0; type < 65536; type += type < 300 ? 1 : 255) {
		const bool has = type_bitmap_has(b, (uint16_t)type);
		must(has == bitmap_says(b, type));
		if (has && type != TYPE_RRSIG && type != TYPE_NSEC &&
			type != TYPE_NXNAME)
			bare = false;
	}
	must(bare || !type_bitmap_is_bare(b));
}

static void check_nsec3(const uint8_t *data, size_t size)
{
	static const uint8_t zone[] = "\7example";
	uint8_t owner[33 + sizeof(zone)] = { 32 };
	memset(owner + 1, 'k', 32);
	memcpy(owner + 33, zone, sizeof(zone));
	struct nsec3 n;
	struct dnssec_work work = dnssec_work_full();
	uint8_t hash[NSEC3_HASH_LEN], again[NSEC3_HASH_LEN];
	if (!nsec3_read(&n, zone, owner, data, size))
		return;
	must(inside(n.next, NSEC3_HASH_LEN) &&
		inside(n.params.salt, n.params.salt_len));
	check_bitmap(&n.types);
	must(nsec3_matches(&n, n.hash) && !nsec3_covers(&n, n.hash));
	must(!nsec3_covers(&n, n.next));
	const uint32_t price = nsec3_price(&n.params, sizeof(zone));
	must(nsec3_hash(&n.params, zone, &work, hash) == (price <= LIMIT_SHA1_BLOCKS));
	if (work.sha1_blocks) {
		must(work.sha1_blocks == price);
		work.sha1_blocks = 0;
		must(nsec3_hash(&n.params, (const uint8_t *)"\7EXAMPLE", &work, again));
		must(memcmp(hash, again, sizeof(hash)) == 0);
		must(!nsec3_matches(&n, hash) || !nsec3_covers(&n, hash));
	}
}

static void check_key(
	struct crypto *crypto, uint8_t algorithm, const uint8_t *key, size_t len)
{
	static const uint8_t sig[114] = { 1 };
	const struct algorithm *row = algorithm_get(algorithm);
	const enum crypto_verdict form = crypto_key_form(algorithm, key, len);
	const size_t sig_len = row && row->sig_len ? row->sig_len : 64;
	const enum crypto_verdict verdict =
		crypto_check(crypto, algorithm, key, len, sig, sig_len, key, len);
	must(verdict != CRYPTO_GOOD && (form == CRYPTO_GOOD || verdict == form));
	must((form == CRYPTO_UNKNOWN) == !row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct crypto *crypto;
	static const struct hash_key secret = { 1, 2 };
	if (!crypto && !(crypto = crypto_new(8, CRYPTO_SHA1, &secret)))
		abort();
	if (!size || size > UINT16_MAX)
		return 0;
	check_key(crypto, data[0], data + 1, size - 1);
	data++;
	size--;
	first = data;
	last = data + size;
	struct dnskey key;
	if (dnskey_read(&key, data, size)) {
		must(inside(key.key, key.key_len) && key.rdata_len == size);
		check_key(crypto, key.algorithm, key.key, key.key_len);
	}
	struct rrsig sig;
	if (rrsig_read(&sig, data, size))
		must(sig.signature_len && inside(sig.signature, sig.signature_len) &&
			inside(sig.signer, name_len(sig.signer)) && sig.fixed == data);
	struct ds ds;
	if (ds_read(&ds, data, size))
		must(inside(ds.digest, ds.digest_len) && ds.digest_len);
	struct nsec nsec;
	static const uint8_t root[] = { 0 }, owner[] = "\1m";
	if (nsec_read(&nsec, root, owner, data, size)) {
		check_bitmap(&nsec.types);
		must(!nsec_covers(&nsec, root, owner) &&
			!nsec_covers(&nsec, root, nsec.next));
	}
	check_nsec3(data, size);
	return 0;
}
