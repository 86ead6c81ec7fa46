/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/denial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dnssec/test_help.h"
#include "wire/codes.h"

#include "dnssec/vectors.h"

enum { SETS = 24 };

static struct test_set sets[SETS];
static unsigned set_count;
static uint8_t zone[NAME_MAX_LEN];
static struct keyset keys = { .zone = zone };
static struct dnssec_work work;

static void begin(const char *zone_text)
{
	set_count = 0;
	name_from_text(zone, zone_text);
	work = dnssec_work_full();
}

static const uint8_t *name(const char *text)
{
	static uint8_t bufs[4][NAME_MAX_LEN];
	static unsigned turn;
	uint8_t *buf = bufs[turn++ % 4];
	assert_true(name_from_text(buf, text));
	return buf;
}

/* "NS SOA" -> a bitmap; types below 256 only, and one of window 1 for "CAA". */
static size_t bitmap(uint8_t *out, const char *types)
{
	uint8_t low[32] = { 0 };
	bool caa = false, any = false;
	while (*types) {
		char word[16] = { 0 };
		uint16_t type;
		const size_t len = strcspn(types, " ");
		memcpy(word, types, len);
		types += len + (types[len] == ' ');
		if (strcmp(word, "NXNAME") == 0)
			type = TYPE_NXNAME;
		else
			assert_true(type_from_text(&type, word));
		if (type == 257) {
			caa = true;
			continue;
		}
		low[type / 8] |= (uint8_t)(0x80 >> type % 8);
		any = true;
	}
	size_t len = 0;
	if (any) {
		out[len++] = 0;
		out[len++] = sizeof(low);
		memcpy(out + len, low, sizeof(low));
		len += sizeof(low);
	}
	if (caa) {
		memcpy(out + len, "\1\1\x40", 3);
		len += 3;
	}
	return len;
}

static void nsec(const char *owner, const char *next, const char *types)
{
	uint8_t rdata[512];
	size_t len = name_from_text(rdata, next);
	len += bitmap(rdata + len, types);
	set_begin(&sets[set_count], owner, TYPE_NSEC);
	set_add(&sets[set_count++], rdata, len, 0);
}

static const char *label32(const uint8_t hash[20])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	static char text[33];
	for (unsigned i = 0; i < 32; i++) {
		const unsigned bit = i * 5;
		unsigned word = (unsigned)hash[bit / 8] << 8;
		if (bit / 8 + 1 < 20)
			word |= hash[bit / 8 + 1];
		text[i] = digits[word >> (11 - bit % 8) & 31];
	}
	return text;
}

static void unlabel32(uint8_t out[20], const char *text)
{
	struct nsec3 n;
	uint8_t owner[NAME_MAX_LEN] = { 32 };
	static const uint8_t rdata[26] = { 1, 0, 0, 0, 0, 20 };
	memcpy(owner + 1, text, 32);
	name_copy(owner + 33, zone);
	assert_true(nsec3_read(&n, zone, owner, rdata, sizeof(rdata)));
	memcpy(out, n.hash, 20);
}

static const struct nsec3_params rfc = { 12, 4, (const uint8_t *)"\xaa\xbb\xcc\xdd" };

static void nsec3_raw(const uint8_t hash[20], const uint8_t next[20], unsigned flags,
	const struct nsec3_params *p, const char *types)
{
	char owner[NAME_TEXT_MAX + 40], zone_text[NAME_TEXT_MAX];
	uint8_t rdata[512] = { 1, (uint8_t)flags, (uint8_t)(p->iterations >> 8),
		(uint8_t)p->iterations, p->salt_len };
	size_t len = 5;
	if (p->salt_len)
		memcpy(rdata + len, p->salt, p->salt_len);
	len += p->salt_len;
	rdata[len++] = 20;
	memcpy(rdata + len, next, 20);
	len += 20;
	len += bitmap(rdata + len, types);
	strcpy(owner, label32(hash));
	strcat(owner, ".");
	strcat(owner, name_to_text(zone, zone_text));
	set_begin(&sets[set_count], owner, TYPE_NSEC3);
	set_add(&sets[set_count++], rdata, len, 0);
}

static void nsec3(const char *hash, const char *next, unsigned flags, const char *types)
{
	uint8_t h[20], n[20];
	unlabel32(h, hash);
	unlabel32(n, next);
	nsec3_raw(h, n, flags, &rfc, types);
}

/* As if the zone's keys had signed them, without the record numbered `skip`. */
static struct denial denial_without(unsigned skip)
{
	struct denial d;
	denial_begin(&d, zone);
	for (unsigned i = 0; i < set_count; i++) {
		const struct verify v = {
			.rr = &sets[i].rr, .keys = &keys, .ede = EDE_NONE
		};
		if (i != skip)
			denial_add(&d, &sets[i].rr, &v);
	}
	return d;
}

enum { ALL = SETS };

enum kind { NXDOMAIN, NODATA, WILDCARD };

static struct denial_result ask(
	const struct denial *d, enum kind kind, const char *text, unsigned arg)
{
	const uint8_t *n = name(text);
	switch (kind) {
	case NXDOMAIN:
		return denial_nxdomain(d, n, &work);
	case WILDCARD:
		return denial_wildcard(d, n, arg, &work);
	case NODATA:
	default:
		return denial_nodata(d, n, (uint16_t)arg, &work);
	}
}

struct row {
	enum kind kind;
	const char *name;
	unsigned arg; /* type, or labels */
	enum dnssec_status status;
	unsigned needed; /* records without which it is bogus */
	bool cut;
};

/* Each proof with all records; and without each of them. */
static void check_rows(const struct row *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		struct denial d = denial_without(ALL);
		work = dnssec_work_full();
		struct denial_result r = ask(&d, row->kind, row->name, row->arg);
		if (r.status != row->status || r.cut != row->cut)
			fail_msg("row %u: %s: status %d, cut %d", i, row->name,
				(int)r.status, r.cut);
		assert_int_equal(
			r.ede, r.status == DNSSEC_BOGUS ? EDE_NSEC_MISSING : EDE_NONE);
		unsigned needed = 0;
		for (unsigned skip = 0; skip < set_count; skip++) {
			d = denial_without(skip);
			r = ask(&d, row->kind, row->name, row->arg);
			if (r.status == DNSSEC_BOGUS)
				needed++;
			else if (row->status == DNSSEC_BOGUS)
				/* who hides a wildcard from an opt-out span gains nothing: all
				 * of the span may be unsigned */
				assert_true(r.status == DNSSEC_INSECURE && r.opt_out);
			else
				assert_int_equal(r.status, row->status);
		}
		if (row->status != DNSSEC_BOGUS && needed != row->needed)
			fail_msg("row %u: %s needs %u records", i, row->name, needed);
	}
}

#define check_table(rows) check_rows(rows, sizeof(rows) / sizeof(*(rows)))

/* Appendix A's zone, appendix B's proofs. */
static void rfc_4035_examples(void **state)
{
	(void)state;
	begin("example.");
	nsec("example.", "a.example.", "NS SOA MX RRSIG NSEC DNSKEY");
	nsec("a.example.", "ai.example.", "NS DS RRSIG NSEC");
	nsec("ai.example.", "b.example.", "A HINFO AAAA RRSIG NSEC");
	nsec("b.example.", "ns1.example.", "NS RRSIG NSEC");
	nsec("ns1.example.", "ns2.example.", "A RRSIG NSEC");
	nsec("ns2.example.", "*.w.example.", "A RRSIG NSEC");
	nsec("*.w.example.", "x.w.example.", "MX RRSIG NSEC");
	nsec("x.w.example.", "x.y.w.example.", "MX RRSIG NSEC");
	nsec("x.y.w.example.", "xx.example.", "MX RRSIG NSEC");
	nsec("xx.example.", "example.", "A HINFO AAAA RRSIG NSEC");
	static const struct row rows[] = {
		{ NXDOMAIN, "ml.example.", 0, DNSSEC_SECURE, 2, false },
		{ NXDOMAIN, "zz.example.", 0, DNSSEC_SECURE, 2, false },
		{ NXDOMAIN, "a.zz.example.", 0, DNSSEC_SECURE, 2, false },
		{ NXDOMAIN, "A.example.", 0, DNSSEC_BOGUS, 0, false },
		{ NXDOMAIN, "example.", 0, DNSSEC_BOGUS, 0, false },
		{ NXDOMAIN, "y.w.example.", 0, DNSSEC_BOGUS, 0, false }, /* empty */
		{ NXDOMAIN, "w.example.", 0, DNSSEC_BOGUS, 0, false },   /* empty */
		{ NXDOMAIN, "z.w.example.", 0, DNSSEC_BOGUS, 0, false }, /* wildcard */
		{ NXDOMAIN, "www.a.example.", 0, DNSSEC_BOGUS, 0,
			false }, /* below a cut */
		{ NXDOMAIN, "www.b.example.", 0, DNSSEC_BOGUS, 0, false },
		{ NXDOMAIN, "elsewhere.", 0, DNSSEC_BOGUS, 0, false },
		{ NXDOMAIN, "x.ai.example.", 0, DNSSEC_SECURE, 1, false },
		{ NODATA, "ns1.example.", TYPE_MX, DNSSEC_SECURE, 1, false },
		{ NODATA, "ns1.example.", TYPE_A, DNSSEC_BOGUS, 0, false },
		{ NODATA, "ns1.example.", TYPE_ANY, DNSSEC_BOGUS, 0, false },
		{ NODATA, "y.w.example.", TYPE_A, DNSSEC_SECURE, 1, false },
		{ NODATA, "y.w.example.", TYPE_ANY, DNSSEC_SECURE, 1, false },
		{ NODATA, "a.z.w.example.", TYPE_AAAA, DNSSEC_SECURE, 2, false },
		{ NODATA, "a.z.w.example.", TYPE_MX, DNSSEC_BOGUS, 0, false },
		{ NODATA, "b.example.", TYPE_A, DNSSEC_BOGUS, 0, false }, /* parent's */
		{ NODATA, "example.", TYPE_A, DNSSEC_SECURE, 1, false },
		{ WILDCARD, "a.z.w.example.", 2, DNSSEC_SECURE, 1, false },
		{ WILDCARD, "a.z.w.example.", 1, DNSSEC_BOGUS, 0, false },
		{ WILDCARD, "a.z.w.example.", 3, DNSSEC_BOGUS, 0, false },
		{ WILDCARD, "x.w.example.", 2, DNSSEC_BOGUS, 0, false },
		{ WILDCARD, "y.w.example.", 2, DNSSEC_BOGUS, 0, false },
		{ WILDCARD, "a.y.w.example.", 2, DNSSEC_BOGUS, 0,
			false }, /* y.w exists */
		{ NODATA, "b.example.", TYPE_DS, DNSSEC_SECURE, 1, true },
		{ NODATA, "a.example.", TYPE_DS, DNSSEC_BOGUS, 0, false },
		{ NODATA, "ns1.example.", TYPE_DS, DNSSEC_SECURE, 1, false },
		{ NODATA, "y.w.example.", TYPE_DS, DNSSEC_SECURE, 1, false },
		{ NODATA, "a.z.w.example.", TYPE_DS, DNSSEC_SECURE, 2, false },
		/* no such name */
		{ NODATA, "ml.example.", TYPE_DS, DNSSEC_BOGUS, 0, false },
		{ NODATA, "x.b.example.", TYPE_DS, DNSSEC_BOGUS, 0, false },
		{ NODATA, "example.", TYPE_DS, DNSSEC_BOGUS, 0, false }, /* child's */
	};
	check_table(rows);
}

/* RFC 4592 section 2.2.2: y.*.e is there, and so the wildcard, which has no types. */
static void an_empty_wildcard_has_no_data_and_is_there(void **state)
{
	(void)state;
	begin("e.");
	nsec("e.", "y.*.e.", "NS SOA RRSIG NSEC");
	nsec("y.*.e.", "d.e.", "A RRSIG NSEC");
	nsec("d.e.", "zz.e.", "A RRSIG NSEC");
	nsec("zz.e.", "e.", "A RRSIG NSEC");
	static const struct row rows[] = {
		{ NODATA, "m.e.", TYPE_A, DNSSEC_SECURE, 2, false },
		{ NODATA, "m.n.e.", TYPE_A, DNSSEC_SECURE, 2, false },
		{ NODATA, "*.e.", TYPE_A, DNSSEC_SECURE, 1, false },
		{ NXDOMAIN, "m.e.", 0, DNSSEC_BOGUS, 0, false },
		{ NXDOMAIN, "*.e.", 0, DNSSEC_BOGUS, 0, false },
		{ NXDOMAIN, "x.d.e.", 0, DNSSEC_SECURE, 1, false },
		{ NODATA, "x.d.e.", TYPE_A, DNSSEC_BOGUS, 0, false },
	};
	check_table(rows);
}

/* The same with NSEC3, where the wildcard has a record of its own. */
static void an_empty_wildcard_has_an_nsec3(void **state)
{
	(void)state;
	static const char *const names[] = { "e.", "*.e.", "y.*.e.", "d.e." };
	static const char *const types[] = { "NS SOA RRSIG", "", "A RRSIG", "A RRSIG" };
	enum { NAMES = 4 };
	uint8_t hash[NAMES][20];
	begin("e.");
	for (unsigned i = 0; i < NAMES; i++)
		assert_true(nsec3_hash(&rfc, name(names[i]), &work, hash[i]));
	for (unsigned i = 0; i < NAMES; i++) {
		const uint8_t *next = NULL, *first = hash[0];
		for (unsigned j = 0; j < NAMES; j++) {
			if (memcmp(hash[j], first, 20) < 0)
				first = hash[j];
			if (memcmp(hash[j], hash[i], 20) > 0 &&
				(!next || memcmp(hash[j], next, 20) < 0))
				next = hash[j];
		}
		nsec3_raw(hash[i], next ? next : first, 0, &rfc, types[i]);
	}
	const struct denial d = denial_without(ALL);
	assert_int_equal(ask(&d, NODATA, "m.e.", TYPE_A).status, DNSSEC_SECURE);
	assert_int_equal(ask(&d, NODATA, "m.n.e.", TYPE_A).status, DNSSEC_SECURE);
	assert_int_equal(ask(&d, NXDOMAIN, "m.e.", 0).status, DNSSEC_BOGUS);
}

static void rfc_5155_zone(unsigned flags)
{
	begin("example.");
	nsec3("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", "2t7b4g4vsa5smi47k61mv5bv1a22bojr",
		flags, "MX DNSKEY NS SOA NSEC3PARAM RRSIG");
	nsec3("2t7b4g4vsa5smi47k61mv5bv1a22bojr", "2vptu5timamqttgl4luu9kg21e0aor3s",
		flags, "A RRSIG");
	nsec3("2vptu5timamqttgl4luu9kg21e0aor3s", "35mthgpgcu1qg68fab165klnsnk3dpvl",
		flags, "MX RRSIG");
	nsec3("35mthgpgcu1qg68fab165klnsnk3dpvl", "b4um86eghhds6nea196smvmlo4ors995",
		flags, "NS DS RRSIG");
	nsec3("b4um86eghhds6nea196smvmlo4ors995", "gjeqe526plbf1g8mklp59enfd789njgi",
		flags, "MX RRSIG");
	nsec3("gjeqe526plbf1g8mklp59enfd789njgi", "ji6neoaepv8b5o6k4ev33abha8ht9fgc",
		flags, "A HINFO AAAA RRSIG");
	nsec3("ji6neoaepv8b5o6k4ev33abha8ht9fgc", "k8udemvp1j2f7eg6jebps17vp3n8i58h",
		flags, "");
	nsec3("k8udemvp1j2f7eg6jebps17vp3n8i58h", "kohar7mbb8dc2ce8a9qvl8hon4k53uhi",
		flags, "");
	nsec3("kohar7mbb8dc2ce8a9qvl8hon4k53uhi", "q04jkcevqvmu85r014c7dkba38o0ji5r",
		flags, "A RRSIG");
	nsec3("q04jkcevqvmu85r014c7dkba38o0ji5r", "r53bq7cc2uvmubfu5ocmm6pers9tk9en",
		flags, "A RRSIG");
	nsec3("r53bq7cc2uvmubfu5ocmm6pers9tk9en", "t644ebqk9bibcna874givr6joj62mlhv",
		flags, "MX RRSIG");
	nsec3("t644ebqk9bibcna874givr6joj62mlhv", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
		flags, "A HINFO AAAA RRSIG");
}

static void rfc_5155_hashes(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom" },
		{ "a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl" },
		{ "AI.Example.", "gjeqe526plbf1g8mklp59enfd789njgi" },
		{ "ns1.example.", "2t7b4g4vsa5smi47k61mv5bv1a22bojr" },
		{ "ns2.example.", "q04jkcevqvmu85r014c7dkba38o0ji5r" },
		{ "w.example.", "k8udemvp1j2f7eg6jebps17vp3n8i58h" },
		{ "*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en" },
		{ "x.w.example.", "b4um86eghhds6nea196smvmlo4ors995" },
		{ "y.w.example.", "ji6neoaepv8b5o6k4ev33abha8ht9fgc" },
		{ "x.y.w.example.", "2vptu5timamqttgl4luu9kg21e0aor3s" },
		{ "xx.example.", "t644ebqk9bibcna874givr6joj62mlhv" },
		{ "c.x.w.example.", "0va5bpr2ou0vk0lbqeeljri88laipsfh" },
		{ "*.x.w.example.", "92pqneegtaue7pjatc3l3qnk738c6v5m" },
	};
	begin("example.");
	uint8_t hash[20];
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_true(nsec3_hash(&rfc, name(rows[i][0]), &work, hash));
		assert_string_equal(label32(hash), rows[i][1]);
	}
	assert_int_equal(work.sha1_blocks, 13 * (sizeof(rows) / sizeof(*rows)));
}

static void rfc_5155_examples(void **state)
{
	(void)state;
	static const struct row opt_out[] = {
		{ NXDOMAIN, "a.c.x.w.example.", 0, DNSSEC_INSECURE, 3, false },
		{ NXDOMAIN, "ns1.example.", 0, DNSSEC_BOGUS, 0, false },
		{ NXDOMAIN, "y.w.example.", 0, DNSSEC_BOGUS, 0, false },
		{ NXDOMAIN, "a.z.w.example.", 0, DNSSEC_BOGUS, 0,
			false }, /* wildcard */
		{ NXDOMAIN, "www.a.example.", 0, DNSSEC_BOGUS, 0,
			false }, /* below a cut */
		{ NODATA, "ns1.example.", TYPE_MX, DNSSEC_SECURE, 1, false },
		{ NODATA, "ns1.example.", TYPE_A, DNSSEC_BOGUS, 0, false },
		{ NODATA, "y.w.example.", TYPE_A, DNSSEC_SECURE, 1, false },
		{ NODATA, "a.z.w.example.", TYPE_AAAA, DNSSEC_INSECURE, 2, false },
		{ NODATA, "a.z.w.example.", TYPE_MX, DNSSEC_BOGUS, 0, false },
		{ NODATA, "a.example.", TYPE_A, DNSSEC_BOGUS, 0, false }, /* parent's */
		{ NODATA, "example.", TYPE_DS, DNSSEC_BOGUS, 0, false },  /* child's */
		{ WILDCARD, "a.z.w.example.", 2, DNSSEC_INSECURE, 1, false },
		{ WILDCARD, "x.w.example.", 2, DNSSEC_BOGUS, 0, false },
		{ NODATA, "c.example.", TYPE_DS, DNSSEC_INSECURE, 2, true },
		{ NODATA, "a.z.w.example.", TYPE_DS, DNSSEC_INSECURE, 2, true },
		{ NODATA, "a.example.", TYPE_DS, DNSSEC_BOGUS, 0, false },
		{ NODATA, "ns1.example.", TYPE_DS, DNSSEC_SECURE, 1, false },
		{ NODATA, "x.a.example.", TYPE_DS, DNSSEC_BOGUS, 0, false },
	};
	static const struct row plain[] = {
		{ NXDOMAIN, "a.c.x.w.example.", 0, DNSSEC_SECURE, 3, false },
		{ NODATA, "a.z.w.example.", TYPE_AAAA, DNSSEC_SECURE, 3, false },
		{ WILDCARD, "a.z.w.example.", 2, DNSSEC_SECURE, 1, false },
		{ NODATA, "a.z.w.example.", TYPE_DS, DNSSEC_SECURE, 3, false },
		/* no such name */
		{ NODATA, "c.example.", TYPE_DS, DNSSEC_BOGUS, 0, false },
	};
	rfc_5155_zone(NSEC3_OPT_OUT);
	check_table(opt_out);
	rfc_5155_zone(0);
	check_table(plain);
}

static void load_zone(const char *kind)
{
	begin("example.");
	uint8_t rdata[512];
	for (unsigned i = 0; i < sizeof(denial_vectors) / sizeof(*denial_vectors);
		i++) {
		const struct denial_vector *v = &denial_vectors[i];
		if (strcmp(v->zone, kind) != 0)
			continue;
		const size_t len = unhex(rdata, v->rdata);
		set_begin(&sets[set_count], v->owner, v->type);
		set_add(&sets[set_count++], rdata, len, 0);
	}
	assert_true(set_count > 8);
}

/* The names of a zone that BIND signed, and what it has there. */
static void a_zone_of_bind_is_proven_and_never_denied(void **state)
{
	(void)state;
	static const char *const kinds[] = { "nsec", "nsec3", "salted", "optout" };
	static const struct {
		const char *name;
		uint16_t has; /* 0: empty non-terminal */
		bool parents; /* a delegation */
	} names[] = {
		{ "example.", TYPE_SOA, false },
		{ "ns1.example.", TYPE_A, false },
		{ "mail.example.", TYPE_AAAA, false },
		{ "alias.example.", TYPE_CNAME, false },
		{ "wild.example.", 0, false },
		{ "*.wild.example.", TYPE_TXT, false },
		{ "ent.example.", 0, false },
		{ "deep.ent.example.", 0, false },
		{ "host.deep.ent.example.", TYPE_A, false },
		{ "srv.example.", TYPE_SRV, false },
		{ "naptr.example.", TYPE_NAPTR, false },
		{ "secure.example.", TYPE_DS, true },
		{ "moved.example.", TYPE_DNAME, false },
	};
	for (unsigned k = 0; k < 4; k++) {
		const bool opt_out = k == 3;
		load_zone(kinds[k]);
		const struct denial d = denial_without(ALL);
		assert_int_equal(d.nsec_count + d.nsec3_count, set_count);
		for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
			const char *n = names[i].name;
			work = dnssec_work_full();
			assert_int_equal(ask(&d, NXDOMAIN, n, 0).status, DNSSEC_BOGUS);
			assert_int_equal(ask(&d, NODATA, n, names[i].has).status,
				names[i].has ? DNSSEC_BOGUS : DNSSEC_SECURE);
			const bool provable =
				!names[i].parents && names[i].has != TYPE_CNAME;
			assert_int_equal(ask(&d, NODATA, n, TYPE_PTR).status,
				provable ? DNSSEC_SECURE : DNSSEC_BOGUS);
			assert_int_equal(ask(&d, NODATA, n, TYPE_CNAME).status,
				provable ? DNSSEC_SECURE : DNSSEC_BOGUS);
			assert_int_equal(ask(&d, NODATA, n, TYPE_DS).status,
				i && provable ? DNSSEC_SECURE : DNSSEC_BOGUS);
		}
		const enum dnssec_status sure =
			opt_out ? DNSSEC_INSECURE : DNSSEC_SECURE;
		assert_int_equal(ask(&d, NXDOMAIN, "nothing.example.", 0).status, sure);
		assert_int_equal(
			ask(&d, NXDOMAIN, "x.deep.ent.example.", 0).status, sure);
		assert_int_equal(ask(&d, NXDOMAIN, "a.b.ns1.example.", 0).status, sure);
		assert_int_equal(
			ask(&d, NODATA, "x.wild.example.", TYPE_A).status, sure);
		assert_int_equal(ask(&d, WILDCARD, "x.wild.example.", 2).status, sure);
		assert_int_equal(
			ask(&d, NXDOMAIN, "x.wild.example.", 0).status, DNSSEC_BOGUS);
		assert_int_equal(ask(&d, NODATA, "x.wild.example.", TYPE_TXT).status,
			DNSSEC_BOGUS);
		/* below a delegation and below a DNAME nothing is denied */
		assert_int_equal(
			ask(&d, NXDOMAIN, "x.secure.example.", 0).status, DNSSEC_BOGUS);
		assert_int_equal(
			ask(&d, NXDOMAIN, "x.moved.example.", 0).status, DNSSEC_BOGUS);
		assert_int_equal(ask(&d, NODATA, "x.moved.example.", TYPE_A).status,
			DNSSEC_BOGUS);
		struct denial_result r = ask(&d, NODATA, "insecure.example.", TYPE_DS);
		assert_int_equal(r.status, opt_out ? DNSSEC_INSECURE : DNSSEC_SECURE);
		assert_true(r.cut);
		assert_int_equal(r.opt_out, opt_out);
	}
}

static void lying_nsec_records_are_not_taken(void **state)
{
	(void)state;
	begin("b.example.");
	nsec("a.b.example.", "c.example.", "A");   /* next outside the zone */
	nsec("a.example.", "c.b.example.", "A");   /* owner outside */
	nsec("m.b.example.", "c.b.example.", "A"); /* backwards */
	nsec("m.b.example.", "m.b.example.", "A"); /* to itself, not the apex */
	struct denial d = denial_without(ALL);
	assert_int_equal(d.nsec_count, 0);
	/* made from a wildcard, of another zone, or not verified */
	begin("example.");
	nsec("a.example.", "c.example.", "A");
	struct verify v = { .rr = &sets[0].rr, .keys = &keys, .ede = EDE_NONE };
	denial_begin(&d, zone);
	v.expanded = true;
	assert_false(denial_add(&d, &sets[0].rr, &v));
	v.expanded = false;
	v.ede = EDE_BOGUS;
	assert_false(denial_add(&d, &sets[0].rr, &v));
	v.ede = EDE_NONE;
	assert_true(denial_add(&d, &sets[0].rr, &v));
	denial_begin(&d, name("a.example."));
	assert_false(denial_add(&d, &sets[0].rr, &v));
	/* a zone of the apex alone */
	begin("example.");
	nsec("example.", "example.", "SOA NS DNSKEY RRSIG NSEC");
	d = denial_without(ALL);
	assert_int_equal(ask(&d, NXDOMAIN, "x.example.", 0).status, DNSSEC_SECURE);
	assert_int_equal(ask(&d, NODATA, "example.", TYPE_A).status, DNSSEC_SECURE);
	assert_int_equal(
		ask(&d, NODATA, "example.", 257 /* CAA */).status, DNSSEC_SECURE);
	/* the root's own DS */
	begin(".");
	nsec(".", "com.", "SOA NS DNSKEY RRSIG NSEC CAA");
	d = denial_without(ALL);
	assert_int_equal(ask(&d, NODATA, ".", TYPE_DS).status, DNSSEC_SECURE);
	assert_false(ask(&d, NODATA, ".", TYPE_DS).cut);
	assert_int_equal(ask(&d, NODATA, ".", 257).status, DNSSEC_BOGUS);
	assert_int_equal(ask(&d, NXDOMAIN, "arpa.", 0).status, DNSSEC_SECURE);
}

/* RFC 6840 section 4.1: ancestor's NSEC with NS or DNAME. */
static void what_is_below_a_cut_is_not_the_parents_to_deny(void **state)
{
	(void)state;
	static const struct {
		const char *types;
		bool denies;
	} rows[] = {
		{ "A RRSIG NSEC", true },
		{ "NS RRSIG NSEC", false },
		{ "NS DS RRSIG NSEC", false },
		{ "NS SOA RRSIG NSEC", true },
		{ "DNAME RRSIG NSEC", false },
		{ "DNAME NS SOA RRSIG NSEC", false },
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		begin("example.");
		nsec("sub.example.", "example.", rows[i].types);
		const struct denial d = denial_without(ALL);
		const enum dnssec_status want =
			rows[i].denies ? DNSSEC_SECURE : DNSSEC_BOGUS;
		assert_int_equal(ask(&d, NXDOMAIN, "x.sub.example.", 0).status, want);
		assert_int_equal(ask(&d, WILDCARD, "x.sub.example.", 2).status, want);
		/* an empty non-terminal, too */
		begin("example.");
		nsec("sub.example.", "a.x.sub.example.", rows[i].types);
		const struct denial ent = denial_without(ALL);
		assert_int_equal(
			ask(&ent, NODATA, "x.sub.example.", TYPE_A).status, want);
		assert_int_equal(
			ask(&ent, NODATA, "x.sub.example.", TYPE_DS).status, want);
	}
}

static void compact_denial_tells_names_that_do_not_exist(void **state)
{
	(void)state;
	begin("example.");
	nsec("www.example.", "\\000.www.example.", "RRSIG NSEC NXNAME");
	nsec("ent.example.", "\\000.ent.example.", "RRSIG NSEC");
	const struct denial d = denial_without(ALL);
	struct denial_result r = ask(&d, NODATA, "www.example.", TYPE_A);
	assert_int_equal(r.status, DNSSEC_SECURE);
	assert_true(r.nxname);
	r = ask(&d, NODATA, "www.example.", TYPE_ANY);
	assert_true(r.status == DNSSEC_SECURE && r.nxname);
	r = ask(&d, NODATA, "ent.example.", TYPE_A);
	assert_true(r.status == DNSSEC_SECURE && !r.nxname);
	/* with RCODE NXDOMAIN, too: RFC 9824 */
	r = ask(&d, NXDOMAIN, "www.example.", 0);
	assert_true(r.status == DNSSEC_SECURE && r.nxname);
	assert_int_equal(ask(&d, NXDOMAIN, "ent.example.", 0).status, DNSSEC_BOGUS);
	r = ask(&d, NODATA, "www.example.", TYPE_DS);
	assert_true(r.status == DNSSEC_SECURE && !r.cut);
	/* a name with records and NXNAME exists */
	begin("example.");
	nsec("www.example.", "\\000.www.example.", "A RRSIG NSEC NXNAME");
	const struct denial lie = denial_without(ALL);
	assert_int_equal(ask(&lie, NXDOMAIN, "www.example.", 0).status, DNSSEC_BOGUS);
	assert_false(ask(&lie, NODATA, "www.example.", TYPE_MX).nxname);
}

static void nsec3_of_strange_form_is_not_taken(void **state)
{
	(void)state;
	uint8_t hash[20] = { 1 }, next[20] = { 2 };
	begin("example.");
	nsec3_raw(hash, next, 0, &rfc, "A");
	struct test_set *s = &sets[0];
	uint8_t *rdata = s->data + 2;
	assert_int_equal(denial_without(ALL).nsec3_count, 1);
	rdata[0] = 2; /* hash algorithm */
	assert_int_equal(denial_without(ALL).nsec3_count, 0);
	rdata[0] = 1;
	rdata[1] = 2; /* flag */
	assert_int_equal(denial_without(ALL).nsec3_count, 0);
	rdata[1] = 1;
	s->name[1] = 'w'; /* no base32hex */
	assert_int_equal(denial_without(ALL).nsec3_count, 0);
	s->name[1] = '0';
	assert_int_equal(denial_without(ALL).nsec3_count, 1);
	/* two labels below the zone: of a child, or of nobody (CVE-2026-10723) */
	begin("");
	name_from_text(zone, ".");
	assert_int_equal(denial_without(ALL).nsec3_count, 0);
	/* other salt than the first one's */
	begin("example.");
	const struct nsec3_params other = { 12, 2, (const uint8_t *)"\xaa\xbb" };
	nsec3_raw(hash, next, 0, &rfc, "A");
	nsec3_raw(hash, next, 0, &other, "A");
	assert_int_equal(denial_without(ALL).nsec3_count, 1);
}

static void over_fifty_iterations_are_insecure(void **state)
{
	(void)state;
	static const struct {
		uint16_t iterations;
		enum dnssec_status status;
		int ede;
	} rows[] = {
		{ 50, DNSSEC_SECURE, EDE_NONE },
		{ 51, DNSSEC_INSECURE, EDE_NSEC3_ITERATIONS },
		{ 65535, DNSSEC_INSECURE, EDE_NSEC3_ITERATIONS },
	};
	for (unsigned i = 0; i < 3; i++) {
		begin("example.");
		const struct nsec3_params p = { rows[i].iterations, 0, NULL };
		struct dnssec_work much = { .sha1_blocks_max = 1000000 };
		uint8_t hash[20];
		assert_true(nsec3_hash(&p, zone, &much, hash));
		nsec3_raw(hash, hash, 0, &p, "SOA NS"); /* covers all but the apex */
		const struct denial d = denial_without(ALL);
		const struct denial_result r = ask(&d, NXDOMAIN, "www.example.", 0);
		assert_int_equal(r.status, rows[i].status);
		assert_int_equal(r.ede, rows[i].ede);
		/* not one block for those that are refused */
		assert_int_equal(work.sha1_blocks, i ? 0 : 3 * 51);
	}
}

/* CVE-2023-50868: a long name, many iterations, a long salt. */
static void hashing_ends_at_the_limit(void **state)
{
	(void)state;
	uint8_t salt[255] = { 0 }, hash[20] = { 1 }, next[20] = { 2 };
	char deep[NAME_MAX_LEN] = "";
	for (unsigned i = 0; i < 120; i++)
		strcat(deep, "a.");
	strcat(deep, "example.");
	begin("example.");
	const struct nsec3_params p = { 50, 255, salt };
	nsec3_raw(hash, next, 0, &p, "A");
	const struct denial d = denial_without(ALL);
	for (enum kind kind = NXDOMAIN; kind <= WILDCARD; kind++) {
		const struct denial_result r = ask(&d, kind, deep, 1);
		assert_int_equal(r.status, DNSSEC_LIMIT);
		assert_true(work.sha1_blocks <= LIMIT_SHA1_BLOCKS);
	}
	/* all or nothing: the price is known before */
	assert_int_equal(nsec3_price(&p, 9), 5 + 50 * 5);
	work = (struct dnssec_work){ .sha1_blocks_max = 254 };
	assert_false(nsec3_hash(&p, zone, &work, hash));
	assert_int_equal(work.sha1_blocks, 0);
	work.sha1_blocks_max = 255;
	assert_true(nsec3_hash(&p, zone, &work, hash));
}

static void too_many_records_are_shed(void **state)
{
	(void)state;
	begin("example.");
	char owner[32], next[32];
	for (char c = 'a'; c < 'a' + 20; c++) {
		snprintf(owner, sizeof(owner), "%c.example.", c);
		snprintf(next, sizeof(next), "%c.example.", c + 1);
		nsec(owner, next, "A");
	}
	const struct denial d = denial_without(ALL);
	assert_int_equal(d.nsec_count, LIMIT_DENIAL_RECORDS);
	assert_true(d.shed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_4035_examples),
		cmocka_unit_test(an_empty_wildcard_has_no_data_and_is_there),
		cmocka_unit_test(an_empty_wildcard_has_an_nsec3),
		cmocka_unit_test(rfc_5155_hashes),
		cmocka_unit_test(rfc_5155_examples),
		cmocka_unit_test(a_zone_of_bind_is_proven_and_never_denied),
		cmocka_unit_test(lying_nsec_records_are_not_taken),
		cmocka_unit_test(what_is_below_a_cut_is_not_the_parents_to_deny),
		cmocka_unit_test(compact_denial_tells_names_that_do_not_exist),
		cmocka_unit_test(nsec3_of_strange_form_is_not_taken),
		cmocka_unit_test(over_fifty_iterations_are_insecure),
		cmocka_unit_test(hashing_ends_at_the_limit),
		cmocka_unit_test(too_many_records_are_shed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
