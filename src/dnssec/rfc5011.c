/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/rfc5011.h"

#include <string.h>

#include "dnssec/ds.h"
#include "dnssec/rrsig.h"
#include "wire/codes.h"

enum {
	HOUR_S = 3600,
	DAY_S = 24 * HOUR_S,
	QUERY_MAX_S = 15 * DAY_S,
};

static const char *const state_names[KEY_STATE_COUNT] = { /* as in the dialect's files
							   */
	[KEY_ADD_PEND] = "AddPend",
	[KEY_VALID] = "Valid",
	[KEY_MISSING] = "Missing",
	[KEY_REVOKED] = "Revoked",
	[KEY_REMOVED] = "Removed"
};

const char *key_state_name(enum key_state state)
{
	return state < KEY_STATE_COUNT ? state_names[state] : "none";
}

enum key_state key_state_find(const char *name, size_t len)
{
	for (int i = 0; i < KEY_STATE_COUNT; i++)
		if (strlen(state_names[i]) == len &&
			memcmp(state_names[i], name, len) == 0)
			return (enum key_state)i;
	return KEY_NONE;
}

bool trust_point_add(struct trust_point *tp, uint16_t type, const uint8_t *rdata,
	size_t len, enum key_state state, int64_t due_s)
{
	struct dnskey key;
	struct ds ds;
	uint16_t tag;
	if (tp->count == LIMIT_TRACKED_KEYS || len > LIMIT_TRACKED_KEY_BYTES)
		return false;
	if (type == TYPE_DS) {
		if (!ds_read(&ds, rdata, len))
			return false;
		tag = ds.tag;
	} else {
		if (type != TYPE_DNSKEY || !dnskey_read(&key, rdata, len) ||
			!(key.flags & DNSKEY_ZONE) || key.protocol != DNSKEY_PROTOCOL)
			return false;
		if (key.flags & DNSKEY_REVOKED && key_state_trusted(state))
			return false;
		tag = key.tag;
	}
	struct tracked_key *k = &tp->key[tp->count++];
	memset(k, 0, sizeof(*k));
	k->type = type;
	k->tag = tag;
	k->state = state;
	k->due_s = due_s;
	k->len = (uint16_t)len;
	memcpy(k->rdata, rdata, len);
	return true;
}

unsigned trust_point_revoke(struct trust_point *tp, const uint8_t *ds, size_t len)
{
	struct ds read;
	unsigned lost = 0;
	if (len > sizeof(tp->revoked->ds) || !ds_read(&read, ds, len))
		return 0;
	for (unsigned i = 0; i < tp->revoked_count; i++)
		if (tp->revoked[i].len == len &&
			memcmp(tp->revoked[i].ds, ds, len) == 0)
			return 0;
	if (tp->revoked_count == LIMIT_REVOKED_KEYS) {
		tp->revoked_count--;
		memmove(&tp->revoked[0], &tp->revoked[1],
			tp->revoked_count * sizeof(*tp->revoked));
		lost = 1;
	}
	struct revoked_key *k = &tp->revoked[tp->revoked_count++];
	memset(k, 0, sizeof(*k));
	k->len = (uint16_t)len;
	memcpy(k->ds, ds, len);
	return lost;
}

unsigned trust_point_trusted(const struct trust_point *tp)
{
	unsigned count = 0;
	for (unsigned i = 0; i < tp->count; i++)
		count += key_state_trusted(tp->key[i].state);
	return count;
}

bool trust_point_trusts(const struct trust_point *tp, uint16_t tag)
{
	for (unsigned i = 0; i < tp->count; i++)
		if (tp->key[i].tag == tag && key_state_trusted(tp->key[i].state))
			return true;
	return false;
}

/* --- which of the zone's keys is it? --------------------------------------------- */

struct update {
	struct trust_point *tp;
	struct verifier *verifier;
	const struct rfc5011_conf *conf;
	struct rfc5011_result *out;
	struct dnssec_work work;
	struct keyset keys;
	int64_t now_s;
	bool gone[LIMIT_TRACKED_KEYS]; /* leaves the table */
};

/* The key as it is when not revoked: REVOKE changes the tag and the digest. */
static bool plain_key(const struct dnskey *key, uint8_t out[LIMIT_TRACKED_KEY_BYTES],
	struct dnskey *plain)
{
	if (key->rdata_len > LIMIT_TRACKED_KEY_BYTES)
		return false;
	memcpy(out, key->rdata, key->rdata_len);
	out[1] &= (uint8_t)~DNSKEY_REVOKED;
	return dnskey_read(plain, out, key->rdata_len);
}

/* `bytes`: RDATA of a DS. */
static bool is_digest(const struct update *u, const uint8_t *bytes, size_t len,
	const struct dnskey *plain)
{
	uint8_t made[4 + DIGEST_LEN_MAX];
	struct ds ds;
	if (!ds_read(&ds, bytes, len) || ds.tag != plain->tag)
		return false;
	return ds_make(u->verifier, u->tp->owner, plain, ds.digest_type, made) == len &&
	       memcmp(made, bytes, len) == 0;
}

static bool is_key(
	const struct update *u, const struct tracked_key *k, const struct dnskey *key)
{
	uint8_t rdata[LIMIT_TRACKED_KEY_BYTES];
	struct dnskey plain;
	if (!plain_key(key, rdata, &plain))
		return false;
	if (k->type == TYPE_DNSKEY) {
		if (k->len != plain.rdata_len)
			return false;
		/* a file may hold a revoked key with its bit */
		return k->rdata[0] == rdata[0] &&
		       (k->rdata[1] & (uint8_t)~DNSKEY_REVOKED) == rdata[1] &&
		       memcmp(k->rdata + 2, rdata + 2, k->len - 2u) == 0;
	}
	return is_digest(u, k->rdata, k->len, &plain);
}

/* Its index among the zone's keys, of those with (or without) REVOKE; -1: not there. */
static int find_key(const struct update *u, const struct tracked_key *k, bool revoked)
{
	for (unsigned i = 0; i < u->keys.count; i++) {
		const struct dnskey *key = &u->keys.key[i];
		if (((key->flags & DNSKEY_REVOKED) != 0) == revoked &&
			is_key(u, k, key))
			return (int)i;
	}
	return -1;
}

/* Did one of these keys sign the set? */
static bool signed_by(
	struct update *u, const struct rrset *rr, uint64_t usable, struct verify *v)
{
	enum dnssec_status status = DNSSEC_BOGUS;
	verify_begin(v, rr, &u->keys, (uint32_t)u->now_s);
	v->usable = usable;
	if (!usable) {
		v->ede = EDE_DNSKEY_MISSING;
		return false;
	}
	do {
		status = verify_run(u->verifier, v, &u->work, LIMIT_SIGNATURE_CHECKS);
	} while (status == DNSSEC_MORE);
	return status == DNSSEC_SECURE;
}

static void tell(struct update *u, uint16_t tag, enum key_state from, enum key_state to)
{
	struct rfc5011_result *out = u->out;
	out->changed = true;
	if (out->event_count < sizeof(out->events) / sizeof(*out->events))
		out->events[out->event_count++] = (struct key_event){ tag, from, to };
}

static void become(
	struct update *u, struct tracked_key *k, enum key_state state, int64_t due_s)
{
	tell(u, k->tag, k->state, state);
	k->state = state;
	k->due_s = due_s;
}

/* --- the transitions of section 4.1 ---------------------------------------------- */

/* RevBit: immediate, permanent, and a signature of the key itself is enough (section
 * 2.1): whoever has the key can do no worse than to end it. */
static void see_revocations(struct update *u, const struct rrset *rr)
{
	for (unsigned i = 0; i < u->tp->count; i++) {
		struct tracked_key *k = &u->tp->key[i];
		struct verify v;
		if (!key_state_trusted(k->state))
			continue;
		const int at = find_key(u, k, true);
		if (at < 0 || !signed_by(u, rr, UINT64_C(1) << at, &v))
			continue;
		become(u, k, KEY_REVOKED, u->now_s + u->conf->hold_down_s);
	}
}

/* A DS becomes the key that it stands for, so that its file says all that is known. */
static void replace_ds(struct update *u, struct tracked_key *k, int at)
{
	const struct dnskey *key = &u->keys.key[at];
	if (k->type != TYPE_DS || key->rdata_len > sizeof(k->rdata))
		return;
	k->type = TYPE_DNSKEY;
	k->len = key->rdata_len;
	memset(k->rdata, 0, sizeof(k->rdata));
	memcpy(k->rdata, key->rdata, key->rdata_len);
	u->out->changed = true;
	for (unsigned i = 0; i < u->tp->count; i++) {
		const struct tracked_key *other = &u->tp->key[i];
		if (other != k && !u->gone[i] && other->type == TYPE_DNSKEY &&
			other->len == k->len && other->state == k->state &&
			memcmp(other->rdata, k->rdata, k->len) == 0)
			u->gone[k - u->tp->key] = true; /* another digest of it */
	}
}

static void see_key(struct update *u, unsigned i)
{
	struct tracked_key *k = &u->tp->key[i];
	const int at = find_key(u, k, false);
	const bool present = at >= 0;
	switch (k->state) {
	case KEY_ADD_PEND:
		if (!present) { /* KeyRem */
			tell(u, k->tag, k->state, KEY_NONE);
			u->gone[i] = true;
		} else if (u->now_s >= k->due_s) { /* AddTime */
			become(u, k, KEY_VALID, 0);
		}
		break;
	case KEY_VALID:
		if (!present) /* KeyRem */
			become(u, k, KEY_MISSING, 0);
		break;
	case KEY_MISSING:
		if (present) /* KeyPres */
			become(u, k, KEY_VALID, 0);
		break;
	case KEY_REVOKED:
	case KEY_REMOVED:
	case KEY_STATE_COUNT:
		break;
	}
	if (present && key_state_trusted(k->state))
		replace_ds(u, k, at);
}

static bool is_known(const struct update *u, const struct dnskey *key)
{
	for (unsigned i = 0; i < u->tp->count; i++)
		if (!u->gone[i] && is_key(u, &u->tp->key[i], key))
			return true;
	return false;
}

/* Section 2.1: a revocation is permanent. */
static bool was_revoked(const struct update *u, const struct dnskey *key)
{
	uint8_t rdata[LIMIT_TRACKED_KEY_BYTES];
	struct dnskey plain;
	if (!plain_key(key, rdata, &plain))
		return false;
	for (unsigned i = 0; i < u->tp->revoked_count; i++)
		if (is_digest(u, u->tp->revoked[i].ds, u->tp->revoked[i].len, &plain))
			return true;
	return false;
}

/* NewKey. Section 2.4.1: the hold-down is at least the TTL of the set that first had it.
 */
static void see_new_keys(struct update *u, uint32_t original_ttl)
{
	int64_t hold_s = u->conf->hold_down_s;
	if (hold_s < original_ttl)
		hold_s = original_ttl;
	for (unsigned i = 0; i < u->keys.count; i++) {
		const struct dnskey *key = &u->keys.key[i];
		if (!(key->flags & DNSKEY_SEP) || !dnskey_is_usable(key) ||
			is_known(u, key) || was_revoked(u, key))
			continue;
		/* one that cannot be checked here would make the zone insecure */
		if (crypto_key_form(key->algorithm, key->key, key->key_len) !=
				CRYPTO_GOOD ||
			!crypto_has_algorithm(u->verifier->crypto, key->algorithm) ||
			!trust_point_add(u->tp, TYPE_DNSKEY, key->rdata, key->rdata_len,
				KEY_ADD_PEND, u->now_s + hold_s))
			u->out->refused++;
		else
			tell(u, key->tag, KEY_NONE, KEY_ADD_PEND);
	}
}

/* What remains of a key that leaves the table. False: it has to stay. */
static bool remember(struct update *u, const struct tracked_key *k)
{
	uint8_t rdata[LIMIT_TRACKED_KEY_BYTES], made[4 + DIGEST_LEN_MAX];
	struct dnskey key, plain;
	if (k->type == TYPE_DS) {
		u->out->forgotten += trust_point_revoke(u->tp, k->rdata, k->len);
		return true;
	}
	if (!dnskey_read(&key, k->rdata, k->len) || !plain_key(&key, rdata, &plain))
		return false;
	const size_t len =
		ds_make(u->verifier, u->tp->owner, &plain, DIGEST_SHA256, made);
	if (len)
		u->out->forgotten += trust_point_revoke(u->tp, made, len);
	return len > 0;
}

/* RemTime, and what was removed goes in the end. */
static void see_time(struct update *u)
{
	unsigned removed = 0;
	for (unsigned i = u->tp->count; i-- > 0;) { /* the newest are kept */
		struct tracked_key *k = &u->tp->key[i];
		if (k->state == KEY_REVOKED && u->now_s >= k->due_s)
			become(u, k, KEY_REMOVED, 0);
		if (k->state == KEY_REMOVED && ++removed > u->conf->keep_removed &&
			remember(u, k)) {
			u->gone[i] = true;
			u->out->changed = true;
		}
	}
}

static void sweep(struct update *u)
{
	struct trust_point *tp = u->tp;
	unsigned kept = 0;
	for (unsigned i = 0; i < tp->count; i++) {
		if (u->gone[i])
			continue;
		if (kept != i)
			tp->key[kept] = tp->key[i];
		kept++;
	}
	memset(&tp->key[kept], 0, (tp->count - kept) * sizeof(*tp->key));
	tp->count = kept;
}

/* --- when to ask again: section 2.3 ---------------------------------------------- */

static int64_t between(int64_t low, int64_t a, int64_t high)
{
	const int64_t least = a < high ? a : high;
	return least > low ? least : low;
}

static void plan(struct update *u, const struct verify *v, uint32_t original_ttl)
{
	if (u->conf->refresh_s > 0) {
		u->tp->next_s = u->now_s + u->conf->refresh_s;
		return;
	}
	int64_t half_s = (int32_t)(v->expires - (uint32_t)u->now_s) / 2;
	if (half_s > original_ttl / 2)
		half_s = original_ttl / 2;
	int64_t next_s = u->now_s + between(HOUR_S, half_s, QUERY_MAX_S);
	/* a hold-down that ends earlier is not waited for in vain */
	for (unsigned i = 0; i < u->tp->count; i++) {
		const struct tracked_key *k = &u->tp->key[i];
		if (k->state == KEY_ADD_PEND && k->due_s < next_s)
			next_s = k->due_s > u->now_s + HOUR_S ? k->due_s
							      : u->now_s + HOUR_S;
	}
	u->tp->next_s = next_s;
}

void rfc5011_failed(
	struct trust_point *tp, const struct rfc5011_conf *conf, int64_t now_s)
{
	int64_t retry_s = HOUR_S; /* the shortest that section 2.3 allows */
	if (conf->refresh_s > 0 && conf->refresh_s < retry_s)
		retry_s = conf->refresh_s;
	tp->next_s = now_s + retry_s;
}

static uint32_t original_ttl_of(const struct rrset *rr)
{
	uint32_t ttl = rr->ttl;
	struct rrsig_walk w = rrsig_begin(rr);
	for (struct rrsig sig; rrsig_next(&w, &sig);)
		if (sig.original_ttl > ttl)
			ttl = sig.original_ttl;
	return ttl;
}

struct rfc5011_result rfc5011_update(struct trust_point *tp, struct verifier *verifier,
	const struct rrset *rr, const struct rfc5011_conf *conf, int64_t now_s)
{
	struct rfc5011_result out = { .ede = EDE_DNSKEY_MISSING };
	struct update u = { .tp = tp,
		.verifier = verifier,
		.conf = conf,
		.out = &out,
		.work = dnssec_work_full(),
		.now_s = now_s };
	struct verify v;
	uint64_t usable = 0;
	rfc5011_failed(tp, conf, now_s);
	if (rr->type != TYPE_DNSKEY || !name_equal(rr->name, tp->owner))
		return out;
	keyset_read(&u.keys, rr);
	see_revocations(&u, rr);
	for (unsigned i = 0; i < tp->count; i++) {
		const int at = key_state_trusted(tp->key[i].state)
				       ? find_key(&u, &tp->key[i], false)
				       : -1;
		if (at >= 0)
			usable |= u.keys.usable & UINT64_C(1) << at;
	}
	out.trusted = signed_by(&u, rr, usable, &v);
	out.ede = out.trusted ? EDE_NONE : v.ede;
	if (out.trusted) {
		const uint32_t ttl = original_ttl_of(rr);
		const unsigned before = tp->count;
		for (unsigned i = 0; i < before; i++)
			see_key(&u, i);
		see_new_keys(&u, ttl);
		plan(&u, &v, ttl);
	}
	see_time(&u);
	sweep(&u);
	return out;
}
