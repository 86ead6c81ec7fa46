/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/verify.h"

#include <assert.h>
#include <string.h>

#include "dnssec/rrsig.h"
#include "wire/codes.h"
#include "wire/name.h"

/* How far the best of the signatures came: its error is the one to tell. */
enum rank {
	RANK_NO_SIGNATURE,
	RANK_STRANGE, /* malformed, or not for this RRset */
	RANK_NO_KEY,
	RANK_TIME,
	RANK_ZONE_BIT, /* the key is there, but is no zone key */
	RANK_WRONG,
};

bool verifier_init(struct verifier *v, unsigned keys, unsigned flags,
	const struct hash_key *secret)
{
	*v = (struct verifier){ .crypto = crypto_new(keys, flags, secret) };
	return v->crypto != NULL;
}

void verifier_fini(struct verifier *v)
{
	crypto_free(v->crypto);
	canon_fini(&v->canon);
	v->crypto = NULL;
}

void verify_begin(struct verify *v, const struct rrset *rr, const struct keyset *keys,
	uint32_t now)
{
	*v = (struct verify){
		.rr = rr,
		.keys = keys,
		.usable = keys->usable,
		.now = now,
		.ede = EDE_RRSIGS_MISSING,
	};
}

static void tell(struct verify *v, enum rank rank, int ede)
{
	if (rank < v->rank)
		return;
	v->rank = (uint8_t)rank;
	v->ede = ede;
}

/* The name that was signed. */
static const uint8_t *signed_owner(const struct verify *v, const struct rrsig *sig,
	uint8_t out[static NAME_MAX_LEN])
{
	if (!rrsig_expanded(sig, v->rr->name))
		return v->rr->name;
	name_make_wildcard(out, v->rr->name, sig->labels);
	return out;
}

/* One public-key operation. */
static enum dnssec_status check_one(struct verifier *verifier, struct verify *v,
	const struct rrsig *sig, struct dnssec_work *work)
{
	const struct dnskey *key = &v->keys->key[v->key_at];
	uint8_t wildcard[NAME_MAX_LEN];
	size_t len;
	const uint8_t *owner = signed_owner(v, sig, wildcard);
	const uint8_t *message = canon_message(
		&verifier->canon, v->rr, owner, sig->fixed, sig->signer, &len);
	if (!message)
		return DNSSEC_INDETERMINATE;
	if (!dnssec_work_check(work))
		return DNSSEC_LIMIT;
	const enum crypto_verdict verdict =
		crypto_check(verifier->crypto, key->algorithm, key->key, key->key_len,
			sig->signature, sig->signature_len, message, len);
	if (verdict != CRYPTO_GOOD) {
		/* malformed and oversized keys too: CVE-2025-8677 */
		work->failures++;
		tell(v, RANK_WRONG, EDE_BOGUS);
		return DNSSEC_BOGUS;
	}
	v->key = v->key_at;
	v->labels = sig->labels;
	v->expires = sig->expires;
	v->expanded = rrsig_expanded(sig, v->rr->name);
	v->ttl = rrsig_ttl(sig, v->rr->ttl, v->now);
	v->ede = EDE_NONE;
	return DNSSEC_SECURE;
}

/* From key_at on, the next key that may have made it; false at the end. */
static bool next_key(struct verify *v, const struct rrsig *sig)
{
	for (; v->key_at < v->keys->count; v->key_at++) {
		const struct dnskey *key = &v->keys->key[v->key_at];
		if (key->tag != sig->tag || key->algorithm != sig->algorithm)
			continue;
		if (v->usable & UINT64_C(1) << v->key_at)
			return true;
		if (!(key->flags & DNSKEY_ZONE))
			tell(v, RANK_ZONE_BIT, EDE_NO_ZONE_KEY_BIT);
	}
	return false;
}

/* All that costs nothing. */
static bool is_candidate(struct verifier *verifier, struct verify *v, struct rrsig *sig,
	struct rdata item)
{
	if (!rrsig_read(sig, item.bytes, item.len) ||
		!rrsig_fits(sig, v->rr, v->keys->zone)) {
		tell(v, RANK_STRANGE, EDE_BOGUS);
		return false;
	}
	if (!crypto_has_algorithm(verifier->crypto, sig->algorithm)) {
		tell(v, RANK_STRANGE, EDE_UNSUPPORTED_ALGORITHM);
		return false;
	}
	const int wrong_time = rrsig_time_error(sig, v->now);
	if (wrong_time != EDE_NONE) {
		tell(v, RANK_TIME, wrong_time);
		return false;
	}
	tell(v, RANK_NO_KEY, EDE_DNSKEY_MISSING);
	return true;
}

static enum dnssec_status check_signature(struct verifier *verifier, struct verify *v,
	const struct rrsig *sig, struct dnssec_work *work, unsigned *slice,
	bool *prepared)
{
	for (; next_key(v, sig); v->key_at++) {
		if (!*slice)
			return DNSSEC_MORE;
		if (!*prepared) {
			const enum canon_verdict c =
				canon_prepare(&verifier->canon, v->rr);
			if (c == CANON_NO_MEMORY)
				return DNSSEC_INDETERMINATE;
			if (c == CANON_TOO_LARGE)
				return DNSSEC_LIMIT;
			if (c == CANON_MALFORMED) {
				v->ede = EDE_BOGUS;
				v->rank = RANK_WRONG;
				return DNSSEC_BOGUS;
			}
			*prepared = true;
		}
		--*slice;
		const enum dnssec_status status = check_one(verifier, v, sig, work);
		if (status != DNSSEC_BOGUS)
			return status;
	}
	return DNSSEC_BOGUS;
}

enum dnssec_status verify_run(struct verifier *verifier, struct verify *v,
	struct dnssec_work *work, unsigned slice)
{
	bool prepared = false;
	struct rrset_walk w = rrset_begin(v->rr);
	struct rdata item;
	assert(slice);
	const unsigned all = (unsigned)v->rr->count + v->rr->sig_count;
	for (unsigned i = 0; i < all && rrset_next(&w, &item); i++) {
		struct rrsig sig;
		if (i < (unsigned)v->rr->count + v->sig_at)
			continue;
		if (is_candidate(verifier, v, &sig, item)) {
			const enum dnssec_status status = check_signature(
				verifier, v, &sig, work, &slice, &prepared);
			if (status != DNSSEC_BOGUS)
				return status;
		}
		v->sig_at++;
		v->key_at = 0;
	}
	return DNSSEC_BOGUS;
}
