/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as RRset, keys, DS and denial records: nothing is read beyond them, work stays
 * within its limits, the same bytes in another order say the same, and nothing that was
 * not signed is secure.
 *
 * Input: zone and owner as names, type, time; then items, each with 16 bits before it: its
 * kind (record, signature, key, DS) in the upper two, its length. */
#include <stdlib.h>
#include <string.h>

#include "dnssec/canon.h"
#include "dnssec/denial.h"
#include "dnssec/ds.h"
#include "dnssec/rrsig.h"
#include "dnssec/verify.h"
#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A macro, so that the trap has its own line in the report. */
#define must(ok)                                                                       \
	do {                                                                           \
		if (!(ok))                                                             \
			__builtin_trap();                                              \
	} while (0)

enum kind { RECORD, SIGNATURE, KEY, DIGEST, KINDS };

struct bag {
	uint8_t *data;
	size_t len;
	unsigned count;
};

static void bag_add(struct bag *b, const uint8_t *bytes, uint16_t len)
{
	uint8_t *grown = realloc(b->data, b->len + 2 + len);
	if (!grown)
		abort();
	b->data = grown;
	memcpy(b->data + b->len, &len, 2);
	memcpy(b->data + b->len + 2, bytes, len);
	b->len += 2u + len;
	b->count++;
}

/* From a copy of its own, so that a sanitizer sees any read past the end. */
static struct rrset rrset_of(const uint8_t *name, uint16_t type,
	const struct bag *records, const struct bag *signatures, uint8_t **memory)
{
	const size_t len = records->len + (signatures ? signatures->len : 0);
	*memory = malloc(len ? len : 1);
	if (!*memory)
		abort();
	if (records->len)
		memcpy(*memory, records->data, records->len);
	if (signatures && signatures->len)
		memcpy(*memory + records->len, signatures->data, signatures->len);
	return (struct rrset){
		.name = name,
		.type = type,
		.rclass = CLASS_IN,
		.ttl = 3600,
		.count = (uint16_t)records->count,
		.sig_count = (uint16_t)(signatures ? signatures->count : 0),
		.data_len = (uint32_t)len,
		.data = *memory,
	};
}

static void check_work(const struct dnssec_work *w)
{
	must(w->checks <= w->checks_max && w->failures <= w->failures_max);
	must(w->failures <= w->checks && w->sha1_blocks <= w->sha1_blocks_max);
}

/* The canonical form is ordered, has no doubles, and is its own canonical form. */
static void check_canon(const struct rrset *rr)
{
	struct canon a = { 0 }, b = { 0 };
	if (canon_prepare(&a, rr) == CANON_OK) {
		struct bag again = { 0 };
		must(a.count && a.count <= rr->count);
		for (size_t i = a.count; i--;)
			bag_add(&again, a.items[i].bytes, a.items[i].len);
		uint8_t *memory;
		const struct rrset back =
			rrset_of(rr->name, rr->type, &again, NULL, &memory);
		must(canon_prepare(&b, &back) == CANON_OK && b.count == a.count);
		for (size_t i = 0; i < a.count; i++)
			must(a.items[i].len == b.items[i].len &&
				(!a.items[i].len ||
					!memcmp(a.items[i].bytes, b.items[i].bytes,
						a.items[i].len)));
		free(memory);
		free(again.data);
	}
	canon_fini(&a);
	canon_fini(&b);
}

static void check_denial(
	const struct rrset *rr, const struct keyset *keys, uint16_t type)
{
	struct dnssec_work work = dnssec_work_full();
	struct denial d;
	/* as if it were signed */
	const struct verify v = { .rr = rr, .keys = keys, .ede = EDE_NONE };
	denial_begin(&d, keys->zone);
	denial_add(&d, rr, &v);
	must(d.nsec_count <= LIMIT_DENIAL_RECORDS &&
		d.nsec3_count <= LIMIT_DENIAL_RECORDS);
	uint8_t below[NAME_MAX_LEN] = { 1, 'x' };
	const uint8_t *names[] = { rr->name, keys->zone, NULL };
	if (name_len(rr->name) <= NAME_MAX_LEN - 2) {
		name_copy(below + 2, rr->name);
		names[2] = below;
	}
	for (unsigned i = 0; i < 3 && names[i]; i++) {
		const struct denial_result no = denial_nxdomain(&d, names[i], &work);
		const struct denial_result none =
			denial_nodata(&d, names[i], type, &work);
		/* a name is either there or not */
		if (!d.iterated && d.nsec_count == 1 && !d.nsec3_count)
			must(no.status != DNSSEC_SECURE ||
				none.status != DNSSEC_SECURE);
		denial_wildcard(&d, names[i], name_labels(keys->zone), &work);
		check_work(&work);
	}
	if (d.nsec_count) {
		const struct denial_result r =
			denial_nxdomain(&d, d.nsec[0].owner, &work);
		must(r.nxname == (r.status == DNSSEC_SECURE));
	}
}

static void check_signatures(const struct rrset *rr, const struct keyset *keys,
	const struct rrset *ds, uint32_t now)
{
	static struct verifier verifier;
	static const struct hash_key secret = { 1, 2 };
	if (!verifier.crypto && !verifier_init(&verifier, 8, CRYPTO_SHA1, &secret))
		abort();
	struct dnssec_work work = { .checks_max = 6, .failures_max = 4 };
	struct verify v;
	enum dnssec_status status;
	verify_begin(&v, rr, keys, now);
	do {
		const uint32_t before = work.checks;
		status = verify_run(&verifier, &v, &work, 1);
		must(work.checks <= before + 1);
		check_work(&work);
	} while (status == DNSSEC_MORE);
	must(status != DNSSEC_INSECURE);
	must(status != DNSSEC_SECURE || (v.ttl <= 3600 && v.key < keys->count &&
						name_within(rr->name, keys->zone)));
	must(status != DNSSEC_BOGUS || v.ede != EDE_NONE);
	int ede;
	const bool usable = ds_usable(&verifier, ds, &ede);
	const struct ds_match m = ds_match(&verifier, ds, keys);
	must((m.status == DNSSEC_SECURE) == (m.keys != 0));
	must(!(m.keys & ~keys->usable) && (usable || m.status == DNSSEC_INSECURE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_over(data, size);
	uint8_t zone[NAME_MAX_LEN], owner[NAME_MAX_LEN];
	if (!name_read(&c, data, zone) || !name_read(&c, data, owner))
		return 0;
	const uint16_t type = cursor_u16(&c);
	const uint32_t now = cursor_u32(&c);
	struct bag bags[KINDS] = { 0 };
	while (cursor_left(&c)) {
		const uint16_t head = cursor_u16(&c);
		const uint16_t len = head & 0x3fff;
		const uint8_t *bytes = cursor_take(&c, len);
		if (!bytes)
			break;
		bag_add(&bags[head >> 14], bytes, len);
	}
	uint8_t *memory[3];
	const struct rrset rr =
		rrset_of(owner, type, &bags[RECORD], &bags[SIGNATURE], &memory[0]);
	const struct rrset key_rr =
		rrset_of(zone, TYPE_DNSKEY, &bags[KEY], NULL, &memory[1]);
	const struct rrset ds_rr =
		rrset_of(zone, TYPE_DS, &bags[DIGEST], NULL, &memory[2]);
	struct keyset keys;
	keyset_read(&keys, &key_rr);
	must(keys.count <= LIMIT_ZONE_KEYS);
	check_canon(&rr);
	check_signatures(&rr, &keys, &ds_rr, now);
	check_denial(&rr, &keys, type);
	for (unsigned i = 0; i < KINDS; i++)
		free(bags[i].data);
	for (unsigned i = 0; i < 3; i++)
		free(memory[i]);
	return 0;
}
