/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "iter/reply.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "wire/codes.h"
#include "wire/lower.h"
#include "wire/name.h"

/* Records are collected into groups (one per section, owner and type) as linked items,
 * and only the groups that the question calls for are made into RRsets. */
struct item {
	struct item *next;
	uint32_t digest; /* to find duplicates without comparing bytes */
	uint16_t len;
	uint8_t bytes[];
};

struct list {
	struct item *first;
	struct item **end;
	uint32_t bytes;
	uint16_t count;
};

struct group {
	enum msg_section section;
	uint16_t type;
	uint8_t name_len;
	bool keep;
	bool broken; /* too many records or bytes: unusable as a whole */
	const uint8_t *name;
	uint32_t ttl;
	struct list records, signatures;
};

struct sorting {
	const struct reply_question *q;
	struct reply *out;
	struct arena *arena;
	struct counters *counters;
	struct msg m;
	struct group *groups;
	unsigned count;
	uint32_t records; /* all that came, OPT apart */
	bool referral;    /* an NS record in the authority section, anybody's */
	uint32_t kept;    /* handed out, a CNAME made of a DNAME included */
	/* the answer's chain, in its order */
	struct group *chain[2 * LIMIT_CHAIN + 1];
	unsigned links;
	const uint8_t *end; /* the name at the chain's end */
	struct group *data; /* the asked type at the end, or NULL */
};

/* --- collecting --------------------------------------------------------------- */

static uint32_t digest_of(const uint8_t *bytes, size_t len)
{
	uint32_t d = 2166136261u;
	for (size_t i = 0; i < len; i++)
		d = (d ^ bytes[i]) * 16777619u;
	return d;
}

/* Once for each of thousands of records: two compressed names differ in their first
 * bytes, so this costs less than walking their labels. */
static struct group *group_find(struct sorting *s, enum msg_section section,
	uint16_t type, const uint8_t *name, size_t len)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct group *g = &s->groups[i];
		if (g->section == section && g->type == type && g->name_len == len &&
			lower_equal(g->name, name, len))
			return g;
	}
	return NULL;
}

static struct group *group_get(
	struct sorting *s, const struct msg_rr *rr, uint16_t type)
{
	struct group *g = group_find(s, rr->section, type, rr->name, rr->name_len);
	if (g || s->count == REPLY_RRSETS_MAX)
		return g;
	const uint8_t *name = arena_dup(s->arena, rr->name, rr->name_len);
	if (!name)
		return NULL;
	g = &s->groups[s->count++];
	*g = (struct group){ .section = rr->section,
		.type = type,
		.name_len = rr->name_len,
		.name = name,
		.ttl = UINT32_MAX };
	g->records.end = &g->records.first;
	g->signatures.end = &g->signatures.first;
	return g;
}

/* False: no memory. A record that is there already is left out (RFC 2181 section 5). */
static bool list_add(
	struct sorting *s, struct list *l, const uint8_t *bytes, size_t len)
{
	const uint32_t digest = digest_of(bytes, len);
	for (const struct item *i = l->first; i; i = i->next)
		if (i->digest == digest && i->len == len &&
			!memcmp(i->bytes, bytes, len))
			return true;
	struct item *i = arena_alloc(s->arena, sizeof(*i) + len);
	if (!i)
		return false;
	i->digest = digest;
	i->len = (uint16_t)len;
	memcpy(i->bytes, bytes, len);
	*l->end = i;
	l->end = &i->next;
	l->count++;
	l->bytes += (uint32_t)(sizeof(uint16_t) + len);
	return true;
}

static void group_add(struct sorting *s, const struct msg_rr *rr, const uint8_t *rdata,
	size_t len, bool signature, uint16_t type)
{
	struct group *g = group_get(s, rr, type);
	if (!g || g->broken)
		return;
	struct list *l = signature ? &g->signatures : &g->records;
	if (!list_add(s, l, rdata, len) ||
		g->records.count + g->signatures.count > LIMIT_RRSET_RECORDS ||
		g->records.bytes + g->signatures.bytes > LIMIT_RRSET_BYTES) {
		g->broken = true;
		counter_up(s->counters, rrset_too_large);
		return;
	}
	/* a TTL with its top bit set is large, not zero: RFC 8767 section 4 */
	const uint32_t ttl = rr->ttl > INT32_MAX ? INT32_MAX : rr->ttl;
	if (ttl < g->ttl)
		g->ttl = ttl;
}

static bool is_denial(uint16_t type)
{
	return type == TYPE_NSEC || type == TYPE_NSEC3;
}

/* A zone above the forwarded suffix denies: its NSEC3 owners lie beside the suffix. These
 * records count for nothing without a signature of that zone. */
static bool denies_from_above(
	const struct reply_question *q, const struct msg_rr *rr, uint16_t type)
{
	return q->denied_above && rr->section == SECTION_AUTHORITY &&
	       (is_denial(type) ||
		       (type == TYPE_SOA && name_within(q->name, rr->name)));
}

/* The zone's servers may speak of it; of their own addresses elsewhere if that is
 * allowed. */
static bool belongs(
	const struct reply_question *q, const struct msg_rr *rr, uint16_t type)
{
	const bool address = rr->type == TYPE_A || rr->type == TYPE_AAAA;
	return name_within(rr->name, q->zone) ||
	       (q->any_glue && address && rr->section == SECTION_ADDITIONAL) ||
	       denies_from_above(q, rr, type);
}

static bool collect(struct sorting *s)
{
	static uint8_t rdata[65536]; /* one resolution steps at a time */
	s->groups = arena_alloc(s->arena, REPLY_RRSETS_MAX * sizeof(struct group));
	if (!s->groups)
		return false;
	struct msg_walk w = msg_begin(&s->m);
	struct msg_rr rr;
	while (msg_next(&w, &rr)) {
		s->records++;
		s->referral |= rr.section == SECTION_AUTHORITY && rr.type == TYPE_NS;
		/* data only where signatures are what was asked for */
		const bool signature =
			rr.type == TYPE_RRSIG &&
			(s->q->type != TYPE_RRSIG || rr.section != SECTION_ANSWER);
		const uint16_t type =
			signature ? rdata_rrsig_covers(rr.rdata, rr.rdata_len)
				  : rr.type;
		if (rr.rclass != s->q->rclass || type_is_meta(rr.type) ||
			!belongs(s->q, &rr, type))
			continue;
		const int len = msg_rdata(&s->m, &rr, rdata, sizeof(rdata));
		if (len < 0)
			return false;
		group_add(s, &rr, rdata, (size_t)len, signature, type);
	}
	return !arena_overflowed(s->arena);
}

static struct group *usable(struct group *g)
{
	return g && g->records.count && !g->broken ? g : NULL;
}

static struct group *find(
	struct sorting *s, enum msg_section section, uint16_t type, const uint8_t *name)
{
	return usable(group_find(s, section, type, name, name_len(name)));
}

/* --- the answer's chain ------------------------------------------------------- */

static void chain_add(struct sorting *s, struct group *g)
{
	for (unsigned i = 0; i < s->links; i++)
		if (s->chain[i] == g)
			return;
	assert(s->links < sizeof(s->chain) / sizeof(s->chain[0]));
	s->chain[s->links++] = g;
	g->keep = true;
}

/* The deepest DNAME that covers `name` (RFC 6672 section 2.3: strictly below its
 * owner). */
static struct group *find_dname(struct sorting *s, const uint8_t *name)
{
	struct group *best = NULL;
	for (unsigned i = 0; i < s->count; i++) {
		struct group *g = &s->groups[i];
		if (g->section != SECTION_ANSWER || g->type != TYPE_DNAME || !usable(g))
			continue;
		if (!name_within(name, g->name) || name_equal(name, g->name))
			continue;
		if (!best || name_labels(g->name) > name_labels(best->name))
			best = g;
	}
	return best;
}

/* The CNAME that a DNAME makes, in place of whatever the server made of it. NULL: too
 * long or no room. */
static struct group *cname_of_dname(
	struct sorting *s, const struct group *dname, const uint8_t *name)
{
	uint8_t target[NAME_MAX_LEN];
	const size_t len = name_replace_suffix(
		target, name, dname->name, dname->records.first->bytes);
	if (!len)
		return NULL;
	struct group *g =
		group_find(s, SECTION_ANSWER, TYPE_CNAME, name, name_len(name));
	if (g) {
		g->records = (struct list){ 0 };
		g->signatures = (struct list){ 0 };
		g->records.end = &g->records.first;
		g->signatures.end = &g->signatures.first;
		g->broken = false;
	} else {
		struct msg_rr rr = { .section = SECTION_ANSWER };
		rr.name_len = (uint8_t)name_copy(rr.name, name);
		g = group_get(s, &rr, TYPE_CNAME);
		if (!g)
			return NULL;
	}
	g->ttl = dname->ttl;
	return list_add(s, &g->records, target, len) ? g : NULL;
}

enum link { LINK_NONE, LINK_ONE, LINK_TOO_LONG, LINK_BROKEN };

/* What is asked for came, but is more than is taken: that is no "no such data". */
static bool is_broken(struct sorting *s, uint16_t type, const uint8_t *name)
{
	const struct group *g =
		group_find(s, SECTION_ANSWER, type, name, name_len(name));
	return g && g->broken;
}

/* One step along the chain from s->end. */
static enum link chain_step(struct sorting *s)
{
	struct group *dname = find_dname(s, s->end);
	struct group *cname = NULL;
	if (dname) {
		chain_add(s, dname);
		cname = cname_of_dname(s, dname, s->end);
		if (!cname)
			return LINK_TOO_LONG;
		if (s->q->type == TYPE_CNAME) { /* it is what was asked for */
			chain_add(s, cname);
			s->data = cname;
			return LINK_NONE;
		}
	} else if (s->q->type != TYPE_CNAME) {
		cname = find(s, SECTION_ANSWER, TYPE_CNAME, s->end);
	}
	if (!cname)
		return LINK_NONE;
	if (cname->records.count > 1) { /* only one may be: RFC 2181 section 10.1 */
		cname->records.count = 1;
		cname->records.bytes =
			(uint32_t)sizeof(uint16_t) + cname->records.first->len;
		cname->records.first->next = NULL;
	}
	chain_add(s, cname);
	s->end = cname->records.first->bytes;
	return LINK_ONE;
}

static enum link chain_follow(struct sorting *s)
{
	s->end = s->q->name;
	for (unsigned steps = 0; steps < LIMIT_CHAIN; steps++) {
		if (steps && !name_within(s->end, s->q->zone))
			return LINK_ONE;
		/* the alias below a DNAME is not data: the DNAME vouches for it, RFC 6672
		 * section 5.3.1 */
		const bool made = s->q->type == TYPE_CNAME && find_dname(s, s->end);
		s->data = made ? NULL : find(s, SECTION_ANSWER, s->q->type, s->end);
		if (s->data) {
			chain_add(s, s->data);
			return LINK_ONE;
		}
		if (is_broken(s, s->q->type, s->end) ||
			is_broken(s, TYPE_CNAME, s->end))
			return LINK_BROKEN;
		const enum link link = chain_step(s);
		if (link == LINK_TOO_LONG)
			return link;
		if (link == LINK_NONE)
			break;
	}
	return s->links ? LINK_ONE : LINK_NONE;
}

/* --- what else is kept -------------------------------------------------------- */

static void keep_denials(struct sorting *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct group *g = &s->groups[i];
		if (g->section == SECTION_AUTHORITY && is_denial(g->type) && usable(g))
			g->keep = true;
	}
}

/* The SOA that a negative answer about `name` needs: its zone must hold the name. A zone
 * above the one asked speaks by its signature alone. */
static struct group *find_soa(struct sorting *s, const uint8_t *name)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct group *g = &s->groups[i];
		if (g->section == SECTION_AUTHORITY && g->type == TYPE_SOA &&
			usable(g) && name_within(name, g->name) &&
			(name_within(g->name, s->q->zone) || g->signatures.count))
			return g;
	}
	return NULL;
}

static struct group *find_ns(struct sorting *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct group *g = &s->groups[i];
		if (g->section == SECTION_AUTHORITY && g->type == TYPE_NS && usable(g))
			return g;
	}
	return NULL;
}

/* Addresses of the name servers in `ns`; others were not asked for. */
static void keep_glue(struct sorting *s, const struct group *ns)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct group *g = &s->groups[i];
		if (g->section != SECTION_ADDITIONAL ||
			(g->type != TYPE_A && g->type != TYPE_AAAA) || !usable(g))
			continue;
		unsigned seen = 0;
		for (const struct item *n = ns->records.first;
			n && seen < LIMIT_NS_PER_CUT; n = n->next, seen++)
			if (name_equal(n->bytes, g->name)) {
				g->keep = true;
				break;
			}
	}
}

static void keep_negative(struct sorting *s, struct group *soa)
{
	keep_denials(s);
	if (!soa)
		return;
	soa->keep = true;
	const struct item *i = soa->records.first;
	const uint32_t minimum = rdata_soa_minimum(i->bytes, i->len, 0);
	s->out->soa_zone = soa->name;
	s->out->negative_ttl = minimum < soa->ttl ? minimum : soa->ttl;
}

static void keep_referral(struct sorting *s, struct group *ns)
{
	ns->keep = true;
	s->out->cut = ns->name;
	struct group *ds = find(s, SECTION_AUTHORITY, TYPE_DS, ns->name);
	if (ds)
		ds->keep = true;
	keep_denials(s); /* no DS: proved */
	keep_glue(s, ns);
}

/* --- judging ------------------------------------------------------------------ */

static enum reply_kind judge_answer(struct sorting *s)
{
	struct reply *r = s->out;
	const bool lame =
		!r->aa && !s->q->recursive && !s->q->lame_fine && s->m.flags & FLAG_RA;
	if (lame) /* a recursive server that is not authoritative answered from its
		     cache */
		return REPLY_LAME;
	keep_denials(s); /* a wildcard's expansion is proved by them */
	if (s->data && name_equal(s->end, s->q->name)) {
		if (s->q->type == TYPE_NS)
			keep_glue(s, s->data);
		return REPLY_ANSWER;
	}
	r->target = s->end;
	r->has_answer = s->data != NULL;
	if (!s->data && name_within(s->end, s->q->zone)) {
		struct group *soa = find_soa(s, s->end);
		if (soa)
			keep_negative(s, soa);
	}
	return REPLY_ALIAS;
}

static enum reply_kind judge_empty(struct sorting *s)
{
	const struct reply_question *q = s->q;
	struct reply *r = s->out;
	struct group *soa = find_soa(s, q->name);
	if (r->rcode == RCODE_NXDOMAIN) {
		if (!r->aa && !soa && !q->recursive)
			return REPLY_LAME;
		keep_negative(s, soa);
		return REPLY_NXDOMAIN;
	}
	struct group *ns = q->recursive ? NULL : find_ns(s);
	const bool down =
		ns && !name_equal(ns->name, q->zone) && name_within(q->name, ns->name);
	if (down && !(soa && r->aa)) {
		keep_referral(s, ns);
		return REPLY_REFERRAL;
	}
	if (soa || r->aa || q->recursive) {
		keep_negative(s, soa);
		return REPLY_NODATA;
	}
	/* nothing that says where else to ask, or that a cache spoke: no data, if
	 * poorly said */
	if (!s->referral && !(s->m.flags & FLAG_RA)) {
		keep_negative(s, NULL);
		return REPLY_NODATA;
	}
	return REPLY_LAME; /* upward or sideways */
}

/* --- handing out -------------------------------------------------------------- */

static uint8_t *flatten(uint8_t *at, const struct list *l)
{
	for (const struct item *i = l->first; i; i = i->next) {
		memcpy(at, &i->len, sizeof(i->len));
		memcpy(at + sizeof(i->len), i->bytes, i->len);
		at += sizeof(i->len) + i->len;
	}
	return at;
}

static void emit(struct sorting *s, const struct group *g)
{
	const uint32_t len = g->records.bytes + g->signatures.bytes;
	uint8_t *data = arena_alloc(s->arena, len);
	if (!data)
		return;
	uint8_t *end = flatten(flatten(data, &g->records), &g->signatures);
	assert(end == data + len);
	s->out->rrsets[s->out->count++] = (struct reply_rrset){ .section = g->section,
		.authoritative = s->out->aa,
		.note = EDE_NONE,
		.rr = { .name = g->name,
			.type = g->type,
			.rclass = s->q->rclass,
			.count = g->records.count,
			.sig_count = g->signatures.count,
			.ttl = g->ttl,
			.data_len = len,
			.data = data } };
	s->kept += g->records.count + g->signatures.count;
}

static void emit_all(struct sorting *s)
{
	s->out->rrsets =
		arena_alloc(s->arena, REPLY_RRSETS_MAX * sizeof(*s->out->rrsets));
	if (!s->out->rrsets)
		return;
	for (unsigned i = 0; i < s->links; i++)
		emit(s, s->chain[i]);
	for (unsigned i = 0; i < s->count; i++)
		if (s->groups[i].keep && s->groups[i].section != SECTION_ANSWER)
			emit(s, &s->groups[i]);
}

/* --- the whole ---------------------------------------------------------------- */

/* Is it the answer to this very question? REPLY_ANSWER: yes. */
static enum reply_kind check_question(
	const struct reply_question *q, const struct msg *m)
{
	if (!(m->flags & FLAG_QR) || (m->flags & FLAG_OPCODE_MASK) != 0)
		return REPLY_MALFORMED;
	if (!q->shared && m->id != q->id)
		return REPLY_MISMATCH;
	if (m->qd_count == 0) /* some servers leave it out of an error */
		return m->rcode != RCODE_NOERROR && m->rcode != RCODE_NXDOMAIN
			       ? REPLY_ANSWER
			       : REPLY_MALFORMED;
	if (m->qd_count != 1)
		return REPLY_MALFORMED;
	if (m->qtype != q->type || m->qclass != q->rclass ||
		!name_equal(m->qname, q->name))
		return REPLY_MISMATCH;
	if (!q->shared && q->check_case && !name_equal_case(m->qname, q->name))
		return REPLY_CASE;
	return REPLY_ANSWER;
}

static enum reply_kind judge(struct sorting *s, const uint8_t *pkt, size_t len)
{
	if (!msg_read(&s->m, pkt, len))
		return REPLY_MALFORMED;
	struct reply *r = s->out;
	r->rcode = s->m.rcode;
	r->aa = s->m.flags & FLAG_AA;
	r->edns = s->m.edns;
	r->ede = s->m.ede;
	r->cookie = s->m.cookie;
	r->cookie_len = s->m.cookie_len;
	const enum reply_kind fits = check_question(s->q, &s->m);
	if (fits != REPLY_ANSWER)
		return fits;
	if (s->m.flags & FLAG_TC)
		return s->q->tcp ? REPLY_MALFORMED : REPLY_TRUNCATED;
	if (r->rcode != RCODE_NOERROR && r->rcode != RCODE_NXDOMAIN &&
		r->rcode != RCODE_YXDOMAIN)
		return REPLY_ERROR;
	if (!collect(s))
		return REPLY_MALFORMED;
	switch (chain_follow(s)) {
	case LINK_ONE:
		return judge_answer(s);
	case LINK_TOO_LONG: /* RFC 6672 section 2.2 */
		r->rcode = RCODE_YXDOMAIN;
		return REPLY_ERROR;
	case LINK_BROKEN:
		r->rcode = RCODE_SERVFAIL;
		return REPLY_ERROR;
	case LINK_NONE:
		break;
	}
	return r->rcode == RCODE_YXDOMAIN ? REPLY_ERROR : judge_empty(s);
}

void reply_read(struct reply *out, const struct reply_question *q, const uint8_t *pkt,
	size_t len, struct arena *arena, struct counters *counters)
{
	*out = (struct reply){ .ede = EDE_NONE, .note = EDE_NONE };
	struct sorting s = { .q = q, .out = out, .arena = arena, .counters = counters };
	out->kind = judge(&s, pkt, len);
	if (!s.groups)
		return;
	emit_all(&s);
	out->scrubbed = s.records > s.kept ? s.records - s.kept : 0;
	counter_add(counters, upstream_scrubbed, out->scrubbed);
	if (arena_overflowed(arena)) {
		out->kind = REPLY_MALFORMED;
		out->count = 0;
	}
}

const struct reply_rrset *reply_get(const struct reply *r, enum msg_section section,
	uint16_t type, const uint8_t *name)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct reply_rrset *set = &r->rrsets[i];
		if (set->section == section && set->rr.type == type &&
			(!name || name_equal(set->rr.name, name)))
			return set;
	}
	return NULL;
}

const struct rrset *reply_find(const struct reply *r, enum msg_section section,
	uint16_t type, const uint8_t *name)
{
	const struct reply_rrset *set = reply_get(r, section, type, name);
	return set ? &set->rr : NULL;
}
