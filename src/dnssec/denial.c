/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/denial.c - every question is tried with the NSEC records first, then with NSEC3. */
#include "dnssec/denial.h"

#include <string.h>

#include "wire/codes.h"
#include "wire/name.h"

static const struct denial_result unproven = {
	.status = DNSSEC_BOGUS,
	.ede = EDE_NSEC_MISSING,
};

static const struct denial_result proven = {
	.status = DNSSEC_SECURE,
	.ede = EDE_NONE,
};

void denial_begin(struct denial *d, const uint8_t *zone)
{
	d->zone = zone;
	d->nsec_count = d->nsec3_count = 0;
	d->iterated = d->shed = false;
}

static bool add_nsec(struct denial *d, const struct rrset *rr, const struct rdata *item)
{
	struct nsec n;
	if (!nsec_read(&n, d->zone, rr->name, item->bytes, item->len))
		return false;
	if (d->nsec_count == LIMIT_DENIAL_RECORDS) {
		d->shed = true;
		return false;
	}
	d->nsec[d->nsec_count++] = n;
	return true;
}

static bool add_nsec3(
	struct denial *d, const struct rrset *rr, const struct rdata *item)
{
	struct nsec3 n;
	if (!nsec3_read(&n, d->zone, rr->name, item->bytes, item->len))
		return false;
	if (n.params.iterations > LIMIT_NSEC3_ITERATIONS) {
		d->iterated = true;
		return true;
	}
	if (d->nsec3_count && !nsec3_same_params(&n.params, &d->nsec3[0].params))
		return false;
	if (d->nsec3_count == LIMIT_DENIAL_RECORDS) {
		d->shed = true;
		return false;
	}
	d->nsec3[d->nsec3_count++] = n;
	return true;
}

bool denial_add(struct denial *d, const struct rrset *rr, const struct verify *v)
{
	struct rrset_walk w = rrset_begin(rr);
	struct rdata item;
	bool taken = false;
	/* what a wildcard gave says nothing of the name that it stands at */
	if (v->rr != rr || v->ede != EDE_NONE || v->expanded ||
		!name_equal(v->keys->zone, d->zone))
		return false;
	for (unsigned i = 0; i < rr->count && rrset_next(&w, &item); i++) {
		if (rr->type == TYPE_NSEC)
			taken |= add_nsec(d, rr, &item);
		else if (rr->type == TYPE_NSEC3)
			taken |= add_nsec3(d, rr, &item);
	}
	return taken;
}

/* --- NSEC ---------------------------------------------------------------------- */

static const struct nsec *nsec_match(const struct denial *d, const uint8_t *name)
{
	for (unsigned i = 0; i < d->nsec_count; i++)
		if (name_equal(d->nsec[i].owner, name))
			return &d->nsec[i];
	return NULL;
}

static const struct nsec *nsec_cover(const struct denial *d, const uint8_t *name)
{
	for (unsigned i = 0; i < d->nsec_count; i++)
		if (nsec_covers(&d->nsec[i], d->zone, name))
			return &d->nsec[i];
	return NULL;
}

/* RFC 9824: a signed record at a name that does not exist. */
static bool is_nxname(const struct type_bitmap *types)
{
	return type_bitmap_has(types, TYPE_NXNAME) && type_bitmap_is_bare(types);
}

static struct denial_result name_match_denied(const struct type_bitmap *types)
{
	struct denial_result r = is_nxname(types) ? proven : unproven;
	r.nxname = r.status == DNSSEC_SECURE;
	return r;
}

static struct denial_result nsec_nxdomain(const struct denial *d, const uint8_t *name)
{
	const struct nsec *n = nsec_match(d, name);
	uint8_t wildcard[NAME_MAX_LEN];
	if (n)
		return name_match_denied(&n->types);
	n = nsec_cover(d, name);
	if (!n || nsec_is_empty(n, name))
		return unproven;
	struct denial_result r = proven;
	r.encloser = (uint8_t)nsec_encloser(n, name);
	name_make_wildcard(wildcard, name, r.encloser);
	n = nsec_cover(d, wildcard);
	if (!n || nsec_is_empty(n, wildcard) || nsec_match(d, wildcard))
		return unproven;
	return r;
}

/* Asked for DS, the matching record of the parent's side denies it: is there a delegation? */
static bool is_unsigned_cut(
	const struct type_bitmap *types, const uint8_t *name, uint16_t type)
{
	return type == TYPE_DS && type_bitmap_has(types, TYPE_NS) &&
	       !name_is_root(name);
}

static struct denial_result nsec_nodata(
	const struct denial *d, const uint8_t *name, uint16_t type)
{
	struct denial_result r = proven;
	uint8_t wildcard[NAME_MAX_LEN];
	const struct nsec *n = nsec_match(d, name);
	if (n) {
		r.nxname = is_nxname(&n->types);
		r.cut = is_unsigned_cut(&n->types, name, type);
		return type_bitmap_denies(&n->types, name, type) ? r : unproven;
	}
	n = nsec_cover(d, name);
	if (!n)
		return unproven;
	if (nsec_is_empty(n, name))
		return r;
	r.encloser = (uint8_t)nsec_encloser(n, name);
	r.wildcard = true;
	name_make_wildcard(wildcard, name, r.encloser);
	n = nsec_match(d, wildcard);
	if (n)
		return type_bitmap_denies(&n->types, wildcard, type) ? r : unproven;
	/* an empty non-terminal stands for names as any wildcard does: RFC 4592 section 2.2.2 */
	n = nsec_cover(d, wildcard);
	return n && nsec_is_empty(n, wildcard) ? r : unproven;
}

static struct denial_result nsec_wildcard(
	const struct denial *d, const uint8_t *name, unsigned labels)
{
	struct denial_result r = proven;
	const struct nsec *n = nsec_cover(d, name);
	if (!n || nsec_is_empty(n, name) || nsec_encloser(n, name) != labels)
		return unproven;
	r.encloser = (uint8_t)labels;
	return r;
}

/* --- NSEC3 --------------------------------------------------------------------- */

static const struct nsec3 *nsec3_match(const struct denial *d, const uint8_t *hash)
{
	for (unsigned i = 0; i < d->nsec3_count; i++)
		if (nsec3_matches(&d->nsec3[i], hash))
			return &d->nsec3[i];
	return NULL;
}

static const struct nsec3 *nsec3_cover(const struct denial *d, const uint8_t *hash)
{
	for (unsigned i = 0; i < d->nsec3_count; i++)
		if (nsec3_covers(&d->nsec3[i], hash))
			return &d->nsec3[i];
	return NULL;
}

/* RFC 5155 section 8.3. */
struct closest {
	enum dnssec_status status; /* SECURE, BOGUS, LIMIT */
	const struct nsec3 *match; /* the name's own, or its closest encloser's */
	const struct nsec3
		*covers; /* the next closer name; NULL if `match` is the name's own */
	unsigned labels; /* of the closest encloser */
};

static struct closest closest_find(
	const struct denial *d, const uint8_t *name, struct dnssec_work *work)
{
	struct closest c = { .status = DNSSEC_BOGUS };
	uint8_t hash[NSEC3_HASH_LEN], closer[NSEC3_HASH_LEN];
	const unsigned labels = name_labels(name), least = name_labels(d->zone);
	for (c.labels = labels;; c.labels--) {
		const uint8_t *ancestor = name_strip(name, labels - c.labels);
		if (!nsec3_hash(&d->nsec3[0].params, ancestor, work, hash)) {
			c.status = DNSSEC_LIMIT;
			return c;
		}
		c.match = nsec3_match(d, hash);
		if (c.match || c.labels == least)
			break;
		memcpy(closer, hash, sizeof(closer));
	}
	if (!c.match)
		return c;
	if (c.labels < labels) {
		/* what is below a delegation or a DNAME is not this zone's to deny */
		if (type_bitmap_is_cut(&c.match->types) ||
			type_bitmap_has(&c.match->types, TYPE_DNAME))
			return c;
		c.covers = nsec3_cover(d, closer);
		if (!c.covers)
			return c;
	}
	c.status = DNSSEC_SECURE;
	return c;
}

static struct denial_result failed(enum dnssec_status status)
{
	struct denial_result r = unproven;
	r.status = status;
	if (status == DNSSEC_LIMIT)
		r.ede = EDE_OTHER;
	return r;
}

/* SECURE, or INSECURE where the next closer name may be an unsigned delegation. */
static struct denial_result by_closest(const struct closest *c)
{
	struct denial_result r = proven;
	r.encloser = (uint8_t)c->labels;
	if (c->covers && c->covers->opt_out) {
		r.opt_out = true;
		r.status = DNSSEC_INSECURE;
	}
	return r;
}

static struct denial_result nsec3_nxdomain(
	const struct denial *d, const uint8_t *name, struct dnssec_work *work)
{
	uint8_t wildcard[NAME_MAX_LEN], hash[NSEC3_HASH_LEN];
	const struct closest c = closest_find(d, name, work);
	if (c.status != DNSSEC_SECURE)
		return failed(c.status);
	if (!c.covers)
		return name_match_denied(&c.match->types);
	name_make_wildcard(wildcard, name, c.labels);
	if (!nsec3_hash(&d->nsec3[0].params, wildcard, work, hash))
		return failed(DNSSEC_LIMIT);
	return nsec3_cover(d, hash) && !nsec3_match(d, hash) ? by_closest(&c)
							     : unproven;
}

static struct denial_result nsec3_nodata(const struct denial *d, const uint8_t *name,
	uint16_t type, struct dnssec_work *work)
{
	uint8_t wildcard[NAME_MAX_LEN], hash[NSEC3_HASH_LEN];
	const struct closest c = closest_find(d, name, work);
	if (c.status != DNSSEC_SECURE)
		return failed(c.status);
	struct denial_result r = by_closest(&c);
	if (!c.covers) {
		r.nxname = is_nxname(&c.match->types);
		r.cut = is_unsigned_cut(&c.match->types, name, type);
		return type_bitmap_denies(&c.match->types, name, type) ? r : unproven;
	}
	/* RFC 5155 section 8.6: it may be a delegation, whatever the wildcard has */
	r.cut = r.opt_out && type == TYPE_DS;
	if (r.cut)
		return r;
	name_make_wildcard(wildcard, name, c.labels);
	if (!nsec3_hash(&d->nsec3[0].params, wildcard, work, hash))
		return failed(DNSSEC_LIMIT);
	const struct nsec3 *n = nsec3_match(d, hash);
	if (n) {
		r.wildcard = true;
		return type_bitmap_denies(&n->types, wildcard, type) ? r : unproven;
	}
	/* an unsigned delegation, or an empty non-terminal that leads to such only
	 * (RFC 5155 erratum 3441): it has no NSEC3 of its own */
	return r.opt_out ? r : unproven;
}

static struct denial_result nsec3_wildcard(const struct denial *d, const uint8_t *name,
	unsigned labels, struct dnssec_work *work)
{
	uint8_t hash[NSEC3_HASH_LEN];
	const uint8_t *closer = name_strip(name, name_labels(name) - labels - 1);
	/* the encloser needs no proof: it is there if the zone signed a wildcard below it */
	if (!nsec3_hash(&d->nsec3[0].params, closer, work, hash))
		return failed(DNSSEC_LIMIT);
	const struct closest c = { .covers = nsec3_cover(d, hash), .labels = labels };
	return c.covers && !nsec3_match(d, hash) ? by_closest(&c) : unproven;
}

/* --- both ---------------------------------------------------------------------- */

/* Nothing was proven: because of the iterations? RFC 9276 section 3.2. */
static struct denial_result excuse(const struct denial *d, struct denial_result r)
{
	if (r.status != DNSSEC_BOGUS || !d->iterated)
		return r;
	return (struct denial_result){
		.status = DNSSEC_INSECURE, .ede = EDE_NSEC3_ITERATIONS, .cut = true
	};
}

struct denial_result denial_nxdomain(
	const struct denial *d, const uint8_t *name, struct dnssec_work *work)
{
	struct denial_result r = unproven;
	if (!name_within(name, d->zone))
		return r;
	if (d->nsec_count)
		r = nsec_nxdomain(d, name);
	if (r.status == DNSSEC_BOGUS && d->nsec3_count)
		r = nsec3_nxdomain(d, name, work);
	return excuse(d, r);
}

struct denial_result denial_nodata(const struct denial *d, const uint8_t *name,
	uint16_t type, struct dnssec_work *work)
{
	struct denial_result r = unproven;
	if (!name_within(name, d->zone))
		return r;
	if (d->nsec_count)
		r = nsec_nodata(d, name, type);
	if (r.status == DNSSEC_BOGUS && d->nsec3_count)
		r = nsec3_nodata(d, name, type, work);
	return excuse(d, r);
}

struct denial_result denial_wildcard(const struct denial *d, const uint8_t *name,
	unsigned labels, struct dnssec_work *work)
{
	struct denial_result r = unproven;
	if (!name_within(name, d->zone) || labels >= name_labels(name) ||
		labels < name_labels(d->zone))
		return r;
	if (d->nsec_count)
		r = nsec_wildcard(d, name, labels);
	if (r.status == DNSSEC_BOGUS && d->nsec3_count)
		r = nsec3_wildcard(d, name, labels, work);
	return excuse(d, r);
}
