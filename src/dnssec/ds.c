/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/ds.h"

#include <string.h>

#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/name.h"

bool ds_read(struct ds *d, const uint8_t *rdata, size_t len)
{
	struct cursor c = cursor_over(rdata, len);
	struct ds ds = { .tag = cursor_u16(&c) };
	ds.algorithm = cursor_u8(&c);
	ds.digest_type = cursor_u8(&c);
	const size_t left = cursor_left(&c);
	ds.digest = cursor_take(&c, left);
	const uint8_t want = digest_len(ds.digest_type);
	if (cursor_bad(&c) || !left || left > UINT8_MAX || (want && left != want))
		return false;
	ds.digest_len = (uint8_t)left;
	*d = ds;
	return true;
}

struct candidates {
	struct ds ds[LIMIT_ZONE_DS];
	unsigned count;
	int ede; /* when there are none */
};

/* Of a known algorithm and digest; SHA-1 only where there is nothing better (RFC 4509
 * section 3). A malformed record is not usable, but does not make a zone insecure. */
static void candidates_read(
	struct candidates *out, const struct verifier *v, const struct rrset *rr)
{
	struct rrset_walk w = rrset_begin(rr);
	struct rdata item;
	bool strong = false;
	out->count = 0;
	out->ede = EDE_NONE;
	for (unsigned i = 0; i < rr->count && rrset_next(&w, &item); i++) {
		struct ds ds;
		if (!ds_read(&ds, item.bytes, item.len)) {
			out->ede = EDE_BOGUS;
			continue;
		}
		if (!crypto_has_algorithm(v->crypto, ds.algorithm)) {
			if (out->ede == EDE_NONE)
				out->ede = EDE_UNSUPPORTED_ALGORITHM;
			continue;
		}
		if (!crypto_has_digest(v->crypto, ds.digest_type)) {
			if (out->ede == EDE_NONE)
				out->ede = EDE_UNSUPPORTED_DIGEST;
			continue;
		}
		if (ds.digest_type != DIGEST_SHA1 && !strong) {
			strong = true;
			out->count = 0;
		}
		if (ds.digest_type == DIGEST_SHA1 && strong)
			continue;
		if (out->count < LIMIT_ZONE_DS)
			out->ds[out->count++] = ds;
	}
}

bool ds_usable(const struct verifier *v, const struct rrset *ds, int *ede)
{
	struct candidates c;
	candidates_read(&c, v, ds);
	*ede = c.count ? EDE_NONE : c.ede;
	return c.count || c.ede == EDE_BOGUS;
}

size_t ds_make(const struct verifier *v, const uint8_t *zone, const struct dnskey *key,
	uint8_t digest_type, uint8_t out[static 4 + DIGEST_LEN_MAX])
{
	uint8_t owner[NAME_MAX_LEN];
	const size_t owner_len = name_copy_lower(owner, zone);
	const size_t len = crypto_digest(v->crypto, digest_type, owner, owner_len,
		key->rdata, key->rdata_len, out + 4);
	out[0] = (uint8_t)(key->tag >> 8);
	out[1] = (uint8_t)key->tag;
	out[2] = key->algorithm;
	out[3] = digest_type;
	return len ? len + 4 : 0;
}

/* A key's digests, made when they are first wanted. */
struct digests {
	uint8_t ds[DIGEST_SHA384 + 1][4 + DIGEST_LEN_MAX];
	size_t len[DIGEST_SHA384 + 1];
};

static bool is_of(const struct verifier *v, const struct keyset *keys,
	const struct dnskey *key, const struct ds *ds, struct digests *made)
{
	if (key->tag != ds->tag || key->algorithm != ds->algorithm)
		return false;
	const uint8_t type = ds->digest_type;
	if (!made->len[type])
		made->len[type] = ds_make(v, keys->zone, key, type, made->ds[type]);
	return made->len[type] == 4u + ds->digest_len &&
	       memcmp(made->ds[type] + 4, ds->digest, ds->digest_len) == 0;
}

struct ds_match ds_match(
	const struct verifier *v, const struct rrset *ds, const struct keyset *keys)
{
	struct candidates c;
	struct ds_match m = { .status = DNSSEC_BOGUS, .ede = EDE_DNSKEY_MISSING };
	uint64_t oversized =
		0; /* bits of DS records: theirs are keys that nobody checks */
	candidates_read(&c, v, ds);
	if (!c.count) {
		m.status = c.ede == EDE_BOGUS ? DNSSEC_BOGUS : DNSSEC_INSECURE;
		m.ede = c.ede;
		return m;
	}
	for (unsigned i = 0; i < keys->count; i++) {
		const struct dnskey *key = &keys->key[i];
		struct digests made = { .len = { 0 } };
		for (unsigned j = 0; j < c.count; j++) {
			if (!is_of(v, keys, key, &c.ds[j], &made))
				continue;
			if (!(keys->usable & UINT64_C(1) << i))
				m.ede = key->flags & DNSKEY_ZONE ? m.ede
								 : EDE_NO_ZONE_KEY_BIT;
			else if (crypto_key_form(key->algorithm, key->key,
					 key->key_len) == CRYPTO_KEY_SIZE)
				oversized |= UINT64_C(1) << j;
			else
				m.keys |= UINT64_C(1) << i;
		}
	}
	if (m.keys) {
		m.status = DNSSEC_SECURE;
		m.ede = EDE_NONE;
	} else if (oversized == (UINT64_C(1) << c.count) - 1) {
		/* all of them, so that nobody can hide a better key */
		m.status = DNSSEC_INSECURE;
		m.ede = EDE_UNSUPPORTED_ALGORITHM;
	}
	return m;
}
