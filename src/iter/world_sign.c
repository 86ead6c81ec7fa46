/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/world_sign.c - for tests: zones of the small internet with real signatures, one
 * Ed25519 key each (or two), made from the zone's name; NSEC or NSEC3. */
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/sha2.h>
#include <openssl/evp.h>

#include "dnssec/canon.h"
#include "dnssec/ds.h"
#include "dnssec/sortkey.h"
#include "iter/world_zone.h"
#include "wire/codes.h"

enum { KEY_LEN = 32, SIG_LEN = 64, DAY = 86400, HASHES = 16, TYPES_LEN = 34 };

/* --- keys --------------------------------------------------------------------------- */

static EVP_PKEY *key_of(const uint8_t *origin, bool second)
{
	uint8_t seed[SHA256_DIGEST_SIZE];
	struct sha256_ctx sha;
	sha256_init(&sha);
	sha256_update(&sha, name_len(origin), origin);
	sha256_digest(&sha, sizeof(seed), seed);
	seed[0] ^= second;
	EVP_PKEY *key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, KEY_LEN);
	assert(key);
	return key;
}

static size_t dnskey_of(
	const uint8_t *origin, bool second, uint8_t out[static 4 + KEY_LEN])
{
	EVP_PKEY *key = key_of(origin, second);
	size_t len = KEY_LEN;
	memcpy(out, (const uint8_t[]){ 1, 1, 3, ALGORITHM_ED25519 }, 4);
	assert(EVP_PKEY_get_raw_public_key(key, out + 4, &len) == 1);
	EVP_PKEY_free(key);
	return 4 + len;
}

static size_t ds_of(struct world *w, const uint8_t *origin, uint8_t *out)
{
	uint8_t rdata[4 + KEY_LEN];
	struct dnskey key;
	const struct world_zone *z = world_zone_of(w, origin);
	assert(dnskey_read(&key, rdata, dnskey_of(origin, z && z->new_key, rdata)));
	return ds_make(&w->verifier, origin, &key, DIGEST_SHA256, out);
}

/* --- signatures --------------------------------------------------------------------- */

static void put16(uint8_t *at, unsigned n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

static void put32(uint8_t *at, uint32_t n)
{
	put16(at, n >> 16);
	put16(at + 2, n & 0xffff);
}

static void sign_set(struct world *w, struct world_zone *z, const uint8_t *name,
	uint16_t type, unsigned how)
{
	static struct canon canon;
	uint8_t data[16384], rdata[512], sig[SIG_LEN], own[4 + KEY_LEN];
	struct rrset rr = {
		.name = name, .type = type, .rclass = CLASS_IN, .data = data
	};
	for (unsigned i = 0; i < z->count; i++) {
		const struct record *r = &z->records[i];
		if (r->type != type || !name_equal(r->name, name))
			continue;
		memcpy(data + rr.data_len, &r->len, 2);
		memcpy(data + rr.data_len + 2, r->rdata, r->len);
		rr.data_len += 2u + r->len;
		rr.ttl = r->ttl;
		rr.count++;
	}
	const uint32_t now = (uint32_t)now_wall_s(&w->now);
	const bool second = how & (SIGN_SECOND_KEY | SIGN_NEW_KEY);
	const uint32_t begins = how & SIGN_EARLY ? now + DAY : now - DAY;
	const uint32_t ends = how & SIGN_EXPIRED ? now - 60 : now + 30 * DAY;
	put16(rdata, type);
	rdata[2] = ALGORITHM_ED25519;
	rdata[3] = (uint8_t)(name_labels(name) - name_is_wildcard(name));
	put32(rdata + 4, rr.ttl);
	put32(rdata + 8, ends);
	put32(rdata + 12, begins);
	put16(rdata + 16, dnskey_tag(own, dnskey_of(z->origin, second, own)));
	const size_t signer = name_copy_lower(rdata + 18, z->origin);
	assert(canon_prepare(&canon, &rr) == CANON_OK);
	size_t len, sig_len = sizeof(sig);
	const uint8_t *message =
		canon_message(&canon, &rr, name, rdata, rdata + 18, &len);
	EVP_PKEY *key = key_of(z->origin, second);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	assert(message && EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1);
	assert(EVP_DigestSign(md, sig, &sig_len, message, len) == 1);
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	if (how & SIGN_WRONG)
		sig[7] ^= 1;
	memcpy(rdata + 18 + signer, sig, sig_len);
	world_record(z, name, TYPE_RRSIG, rr.ttl, rdata, 18 + signer + sig_len);
}

/* --- the zone's names ---------------------------------------------------------------- */

static bool has(const struct world_zone *z, const uint8_t *name, uint16_t type)
{
	for (unsigned i = 0; i < z->count; i++)
		if (z->records[i].type == type && name_equal(z->records[i].name, name))
			return true;
	return false;
}

static bool is_cut(const struct world_zone *z, const uint8_t *name)
{
	return has(z, name, TYPE_NS) && !name_equal(name, z->origin);
}

/* Glue and the like is not the zone's. */
static bool is_below_cut(const struct world_zone *z, const uint8_t *name)
{
	for (const uint8_t *at = name; !name_equal(at, z->origin);) {
		at = name_parent(at);
		if (is_cut(z, at))
			return true;
	}
	return false;
}

static int by_order(const void *a, const void *b)
{
	return name_order(*(const uint8_t *const *)a, *(const uint8_t *const *)b);
}

static unsigned owners_of(const struct world_zone *z, const uint8_t **out)
{
	unsigned n = 0, kept = 0;
	for (unsigned i = 0; i < z->count; i++)
		if (!is_below_cut(z, z->records[i].name))
			out[n++] = z->records[i].name;
	qsort(out, n, sizeof(*out), by_order);
	for (unsigned i = 0; i < n; i++)
		if (!kept || !name_equal(out[kept - 1], out[i]))
			out[kept++] = out[i];
	return kept;
}

/* The bitmap of a name's types, `more` and RRSIG among them; nothing for an empty
 * non-terminal. */
static size_t put_types(const struct world_zone *z, const uint8_t *name, uint16_t more,
	uint8_t out[static TYPES_LEN])
{
	uint8_t bits[TYPES_LEN - 2] = { 0 };
	bool any = more;
	for (unsigned i = 0; i < z->count; i++) {
		const struct record *r = &z->records[i];
		if (r->type >= 256 || !name_equal(r->name, name))
			continue;
		bits[r->type / 8] |= (uint8_t)(0x80 >> r->type % 8);
		any = true;
	}
	if (!any)
		return 0;
	if (more || !is_cut(z, name) || has(z, name, TYPE_DS))
		bits[TYPE_RRSIG / 8] |= (uint8_t)(0x80 >> TYPE_RRSIG % 8);
	bits[more / 8] |= (uint8_t)(more ? 0x80 >> more % 8 : 0);
	size_t len = sizeof(bits);
	while (!bits[len - 1]) /* no zero bytes at the end */
		len--;
	out[0] = 0;
	out[1] = (uint8_t)len;
	memcpy(out + 2, bits, len);
	return 2 + len;
}

static void add_nsec(
	struct world_zone *z, const uint8_t *name, const uint8_t *next, uint32_t ttl)
{
	uint8_t rdata[512];
	size_t len = name_copy_lower(rdata, next);
	len += put_types(z, name, TYPE_NSEC, rdata + len);
	world_record(z, name, TYPE_NSEC, ttl, rdata, len);
}

struct hashed {
	uint8_t hash[NSEC3_HASH_LEN];
	const uint8_t *name;
};

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, NSEC3_HASH_LEN);
}

static unsigned add_hashed(struct hashed *all, unsigned n, const uint8_t *name,
	const struct nsec3_params *params)
{
	struct dnssec_work work = dnssec_work_full();
	for (unsigned i = 0; i < n; i++)
		if (name_equal(all[i].name, name))
			return n;
	assert(n < HASHES);
	all[n].name = name;
	nsec3_hash(params, name, &work, all[n].hash);
	return n + 1;
}

/* Those of empty non-terminals, too. */
static void add_nsec3s(
	struct world_zone *z, const uint8_t **owners, unsigned count, bool opt_out)
{
	static const struct nsec3_params params = { 2, 2, (const uint8_t *)"ab" };
	struct hashed all[HASHES];
	unsigned n = 0;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *at = owners[i];
		if (opt_out && is_cut(z, at) && !has(z, at, TYPE_DS))
			continue;
		for (; !name_equal(at, z->origin); at = name_parent(at))
			n = add_hashed(all, n, at, &params);
		n = add_hashed(all, n, at, &params);
	}
	qsort(all, n, sizeof(*all), by_hash);
	for (unsigned i = 0; i < n; i++) {
		uint8_t owner[NAME_MAX_LEN];
		uint8_t rdata[8 + NSEC3_HASH_LEN + TYPES_LEN] = { 1,
			opt_out ? NSEC3_OPT_OUT : 0, 0, 2, 2, 'a', 'b',
			NSEC3_HASH_LEN };
		memcpy(rdata + 8, all[(i + 1) % n].hash, NSEC3_HASH_LEN);
		const size_t len =
			put_types(z, all[i].name, 0, rdata + 8 + NSEC3_HASH_LEN);
		sortkey_hash_owner(owner, all[i].hash, z->origin);
		world_record(z, owner, TYPE_NSEC3, 60, rdata, 8 + NSEC3_HASH_LEN + len);
	}
}

static void add_delegated(struct world *w, struct world_zone *z)
{
	const unsigned all = z->count;
	for (unsigned i = 0; i < all; i++) {
		const uint8_t *name = z->records[i].name;
		uint8_t ds[4 + DIGEST_LEN_MAX];
		const struct world_zone *child = world_zone_of(w, name);
		if (z->records[i].type == TYPE_NS && is_cut(z, name) && child &&
			child->is_signed && !has(z, name, TYPE_DS))
			world_record(z, name, TYPE_DS, 3600, ds, ds_of(w, name, ds));
	}
}

static bool must_sign(
	const struct world_zone *z, const struct record *r, unsigned first)
{
	const bool cut = is_cut(z, r->name);
	for (unsigned i = 0; i < first; i++)
		if (z->records[i].type == r->type &&
			name_equal(z->records[i].name, r->name))
			return false; /* its set is done */
	return !is_below_cut(z, r->name) &&
	       (!cut || r->type == TYPE_DS || r->type == TYPE_NSEC);
}

void world_sign(struct world *w, const char *origin, unsigned how)
{
	uint8_t name[NAME_MAX_LEN], rdata[512];
	const uint8_t *owners[WORLD_RECORDS];
	name_from_text(name, origin);
	struct world_zone *z = world_zone_of(w, name);
	assert(z && !z->is_signed);
	z->is_signed = true;
	z->new_key = how & SIGN_NEW_KEY;
	add_delegated(w, z);
	if (!(how & SIGN_NO_KEY))
		world_record(z, z->origin, TYPE_DNSKEY, 3600, rdata,
			dnskey_of(z->origin, z->new_key, rdata));
	if (how & SIGN_SECOND_KEY)
		world_record(z, z->origin, TYPE_DNSKEY, 3600, rdata,
			dnskey_of(z->origin, true, rdata));
	const unsigned count = owners_of(z, owners);
	if (how & (SIGN_NSEC3 | SIGN_OPT_OUT))
		add_nsec3s(z, owners, count, how & SIGN_OPT_OUT);
	for (unsigned i = 0; i < count && !(how & (SIGN_NSEC3 | SIGN_OPT_OUT)); i++)
		add_nsec(z, owners[i], owners[(i + 1) % count], 60);
	const unsigned all = z->count;
	for (unsigned i = 0; i < all; i++) {
		const struct record *r = &z->records[i];
		const bool keys = r->type == TYPE_DNSKEY;
		if (must_sign(z, r, i) && !(how & SIGN_NOTHING && !keys))
			sign_set(w, z, r->name, r->type,
				keys ? how & SIGN_NEW_KEY : how);
	}
}

void world_unsign(struct world *w, const char *origin)
{
	uint8_t name[NAME_MAX_LEN];
	unsigned kept = 0;
	name_from_text(name, origin);
	struct world_zone *z = world_zone_of(w, name);
	for (unsigned i = 0; i < z->count; i++) {
		const uint16_t type = z->records[i].type;
		/* a delegation's DS comes anew */
		if (type != TYPE_RRSIG && type != TYPE_NSEC && type != TYPE_NSEC3 &&
			type != TYPE_DNSKEY && type != TYPE_DS)
			z->records[kept++] = z->records[i];
	}
	z->count = kept;
	z->is_signed = false;
}

void world_trust(struct world *w, const char *origin)
{
	uint8_t name[NAME_MAX_LEN], rdata[4 + DIGEST_LEN_MAX];
	name_from_text(name, origin);
	struct anchor_set *set = anchor_set_new();
	assert(set && anchor_set_add(set, name, TYPE_DS, rdata, ds_of(w, name, rdata)));
	if (w->insecure) {
		uint8_t negative[NAME_MAX_LEN];
		name_from_text(negative, w->insecure);
		anchor_set_negative(set, negative, NULL, ANCHOR_FOREVER);
	}
	assert(anchor_set_seal(set));
	anchor_set_drop(w->anchors);
	w->anchors = set;
}

/* --- proofs ------------------------------------------------------------------------- */

static const uint8_t *covering(const struct world_zone *z, const uint8_t *name)
{
	for (unsigned i = 0; i < z->count; i++) {
		const struct record *r = &z->records[i];
		if (r->type != TYPE_NSEC)
			continue;
		if (name_equal(r->name, name))
			return r->name;
		if (name_order(r->name, name) < 0 &&
			(name_order(name, r->rdata) < 0 ||
				name_equal(r->rdata, z->origin)))
			return r->name;
	}
	return NULL;
}

unsigned world_proofs(
	const struct world_zone *z, const uint8_t *name, const uint8_t **owners)
{
	uint8_t wildcard[NAME_MAX_LEN] = { 1, '*' };
	unsigned n = 0;
	if (!z->is_signed)
		return 0;
	const uint8_t *own = covering(z, name);
	if (!own)
		return 0;
	owners[n++] = own;
	if (name_equal(own, name))
		return n;
	/* the closest encloser's wildcard */
	const uint8_t *encloser = name_parent(name);
	for (;; encloser = name_parent(encloser)) {
		bool there = name_equal(encloser, z->origin);
		for (unsigned i = 0; i < z->count; i++)
			there |= name_within(z->records[i].name, encloser);
		if (there)
			break;
	}
	name_copy(wildcard + 2, encloser);
	const uint8_t *other = covering(z, wildcard);
	if (other && !name_equal(other, own))
		owners[n++] = other;
	return n;
}
