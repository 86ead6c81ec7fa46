/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/local.c - what is answered without asking anyone: hints, special names, CHAOS,
 * ANY. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "policy/special.h"
#include "policy/verdict.h"
#include "wire/codes.h"

enum {
	LOCALHOST_TTL = 900,
	IPV4ONLY_TTL = 86400,
	HINFO_TTL = 3600, /* RFC 8482 leaves it open */
	EDE_INVALID_QUERY_TYPE = 30,
};

/* The query, its name in lower case beside, and where the verdict goes. */
struct local {
	const struct conf *conf;
	const struct policy_query *q;
	const uint8_t *name;
	struct arena *arena;
	struct policy_verdict *v;
};

static void add(const struct local *l, enum msg_section section, const uint8_t *owner,
	uint16_t type, uint32_t ttl, const void *rdata, size_t len)
{
	verdict_record(l->v, l->arena, section, owner, type, l->q->rclass, ttl, rdata,
		(uint16_t)len);
}

static void answer_yes(const struct local *l)
{
	verdict_answer(l->v, RCODE_NOERROR, EDE_NONE, NULL);
	l->v->aa = true;
}

/* NODATA or NXDOMAIN with a SOA that lets it be kept. */
static void answer_no(const struct local *l, uint16_t rcode, const uint8_t *zone,
	uint32_t ttl, const char *why)
{
	verdict_answer(l->v, rcode, why ? EDE_NOT_SUPPORTED : EDE_NONE, why);
	l->v->aa = true;
	verdict_soa(l->v, l->arena, SECTION_AUTHORITY, zone, l->q->rclass, ttl);
}

/* --- classes and types that are no question to the DNS ----------------------- */

bool local_is_ordinary(uint16_t type, uint16_t rclass)
{
	return rclass == CLASS_IN && (type == TYPE_ANY || !type_is_meta(type));
}

static void refuse(struct policy_verdict *v, int ede, const char *text)
{
	v->outcome = OUTCOME_REFUSE;
	v->rcode = RCODE_REFUSED;
	v->ede = ede;
	v->ede_text = text;
}

static void chaos_text(const struct local *l, const char *text)
{
	uint8_t rdata[256];
	const size_t len = strnlen(text, 255);
	rdata[0] = (uint8_t)len;
	for (size_t i = 0; i < len; i++)
		rdata[1 + i] = (uint8_t)text[i];
	answer_yes(l);
	if (l->q->type == TYPE_TXT || l->q->type == TYPE_ANY)
		add(l, SECTION_ANSWER, l->q->name, TYPE_TXT, 0, rdata, len + 1);
}

/* RFC 4892: who are you. Silence about what was not configured to be told. */
static void chaos(const struct local *l)
{
	static const struct {
		const char *name;
		bool version;
	} names[] = { { "\010hostname\004bind", false }, { "\002id\006server", false },
		{ "\007version\004bind", true }, { "\007version\006server", true } };
	const char *host = l->conf->chaos_hostname;
	if (!host && conf_module_on(l->conf, MODULE_nsid))
		host = l->conf->nsid;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *text = names[i].version ? l->conf->chaos_version : host;
		if (text && name_equal(l->name, (const uint8_t *)names[i].name)) {
			chaos_text(l, text);
			return;
		}
	}
	refuse(l->v, EDE_NOT_AUTHORITATIVE, NULL);
}

static void extraordinary(const struct local *l)
{
	const uint16_t type = l->q->type;
	if (l->q->rclass == CLASS_CH && (type == TYPE_ANY || !type_is_meta(type)))
		chaos(l);
	else if (l->q->rclass != CLASS_IN)
		refuse(l->v, EDE_NOT_SUPPORTED, "class IN only");
	else if (type == TYPE_AXFR || type == TYPE_IXFR)
		refuse(l->v, EDE_NOT_AUTHORITATIVE, "no zone transfers");
	else if (type == TYPE_NXNAME)
		verdict_answer(l->v, RCODE_FORMERR, EDE_INVALID_QUERY_TYPE, NULL);
	else
		verdict_answer(
			l->v, RCODE_NOTIMP, EDE_NOT_SUPPORTED, "no such question");
}

/* --- hints --------------------------------------------------------------------- */

static int nibble(const uint8_t *label)
{
	if (label[0] != 1)
		return -1;
	if (label[1] >= '0' && label[1] <= '9')
		return label[1] - '0';
	return label[1] >= 'a' && label[1] <= 'f' ? label[1] - 'a' + 10 : -1;
}

static bool octet(const uint8_t *label, uint8_t *out)
{
	unsigned n = 0;
	if (label[0] < 1 || label[0] > 3)
		return false;
	for (unsigned i = 1; i <= label[0]; i++) {
		if (label[i] < '0' || label[i] > '9')
			return false;
		n = n * 10 + label[i] - '0';
	}
	*out = (uint8_t)n;
	return n <= 255;
}

/* "1.0.0.127.in-addr.arpa" or 32 nibbles below ip6.arpa, lower case. */
static bool addr_from_reverse(struct addr *out, const uint8_t *name)
{
	struct addr a = { 0 };
	const unsigned labels = name_labels(name);
	if (labels == 6) {
		a.family = 4;
		for (unsigned i = 0; i < 4; i++, name += *name + 1)
			if (!octet(name, &a.ip[3 - i]))
				return false;
		*out = a;
		return name_equal_case(name, (const uint8_t *)"\007in-addr\004arpa");
	}
	if (labels != 34)
		return false;
	a.family = 6;
	for (unsigned i = 0; i < 32; i++, name += *name + 1) {
		const int n = nibble(name);
		if (n < 0)
			return false;
		a.ip[15 - i / 2] |= (uint8_t)(i % 2 ? n << 4 : n);
	}
	*out = a;
	return name_equal_case(name, (const uint8_t *)"\003ip6\004arpa");
}

/* Are AAAA made of the A of names that are known here? */
static bool makes_aaaa(const struct local *l)
{
	return l->q->type == TYPE_AAAA && !l->q->as_is &&
	       conf_dns64_on(l->conf, l->v->route.flags);
}

static bool hint_has_family(const struct conf_hint *hints, size_t count, uint16_t type)
{
	for (size_t i = 0; i < count; i++)
		if ((type == TYPE_A && hints[i].addr.family == 4) ||
			(type == TYPE_AAAA && hints[i].addr.family == 6))
			return true;
	return false;
}

/* Records of `type` with these addresses, or AAAA that are made of them. */
static void address_answer(const struct local *l, uint16_t type, uint32_t ttl,
	const uint8_t *const *ips, size_t count, bool made)
{
	const uint16_t len = type == TYPE_A ? 4 : 16;
	const size_t each = made ? l->conf->dns64.prefix_count : 1, step = 2u + len;
	if (count * each > LIMIT_RRSET_RECORDS)
		count = LIMIT_RRSET_RECORDS / each;
	uint8_t *data = arena_alloc(l->arena, count * each * step), *at = data;
	for (size_t i = 0; data && i < count; i++) {
		if (made) {
			at = conf_dns64_make(l->conf, ips[i], at);
			continue;
		}
		memcpy(at, &len, 2);
		memcpy(at + 2, ips[i], len);
		at += step;
	}
	answer_yes(l);
	verdict_rrset(l->v, l->arena, SECTION_ANSWER, l->q->name, type, CLASS_IN, ttl,
		(uint16_t)((size_t)(at - data) / step), data, (uint32_t)(at - data));
}

static void hint_answer(
	const struct local *l, const struct conf_hint *hints, size_t count)
{
	const uint8_t *ips[LIMIT_RRSET_RECORDS];
	const bool made = !hint_has_family(hints, count, l->q->type);
	const uint8_t family = l->q->type == TYPE_A || made ? 4 : 6;
	size_t matched = 0;
	for (size_t i = 0; i < count && matched < LIMIT_RRSET_RECORDS; i++)
		if (hints[i].addr.family == family)
			ips[matched++] = hints[i].addr.ip;
	address_answer(l, l->q->type, l->conf->hints_ttl, ips, matched, made);
}

static bool hinted(const struct local *l)
{
	size_t count;
	struct addr addr;
	const struct conf *conf = l->conf;
	if (!conf->hint_count || !conf_module_on(conf, MODULE_hints))
		return false;
	const struct conf_hint *hints = conf_hint_find(conf, l->name, &count);
	if (hints &&
		(hint_has_family(hints, count, l->q->type) ||
			(makes_aaaa(l) && hint_has_family(hints, count, TYPE_A)))) {
		hint_answer(l, hints, count);
		return true;
	}
	if (hints && conf->hints_use_nodata && l->q->type != TYPE_ANY) {
		answer_no(l, RCODE_NOERROR, l->q->name, conf->hints_ttl, NULL);
		return true;
	}
	if (l->q->type != TYPE_PTR || !addr_from_reverse(&addr, l->name))
		return false;
	const uint8_t *ptr = conf_hint_ptr(conf, &addr);
	if (!ptr)
		return false;
	answer_yes(l);
	add(l, SECTION_ANSWER, l->q->name, TYPE_PTR, conf->hints_ttl, ptr,
		name_len(ptr));
	return true;
}

/* --- special names ------------------------------------------------------------- */

static bool special_address(const struct local *l)
{
	static const uint8_t v4[] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };
	if (l->q->type != TYPE_A && l->q->type != TYPE_AAAA)
		return false;
	answer_yes(l);
	if (l->q->type == TYPE_A)
		add(l, SECTION_ANSWER, l->q->name, TYPE_A, LOCALHOST_TTL, v4,
			sizeof(v4));
	else
		add(l, SECTION_ANSWER, l->q->name, TYPE_AAAA, LOCALHOST_TTL, v6,
			sizeof(v6));
	return true;
}

static bool special_ptr(
	const struct local *l, const char *owner, const char *target, uint32_t ttl)
{
	const uint8_t *to = (const uint8_t *)target;
	if (l->q->type != TYPE_PTR ||
		(owner && !name_equal_case(l->name, (const uint8_t *)owner)))
		return false;
	answer_yes(l);
	add(l, SECTION_ANSWER, l->q->name, TYPE_PTR, ttl, to, name_len(to));
	return true;
}

static bool special_ipv4only(const struct local *l, bool at_apex)
{
	static const uint8_t first[] = { 192, 0, 0, 170 },
			     second[] = { 192, 0, 0, 171 };
	static const uint8_t *const ips[] = { first, second };
	const bool made = makes_aaaa(l);
	if (!at_apex || (l->q->type != TYPE_A && !made))
		return false;
	address_answer(l, l->q->type, IPV4ONLY_TTL, ips, 2, made);
	return true;
}

static bool special_data(const struct local *l, const struct special *s, bool at_apex)
{
	static const char localhost[] = "\011localhost";
	switch (s->kind) {
	case SPECIAL_LOCALHOST:
		return special_address(l);
	case SPECIAL_LOOPBACK4:
		return special_ptr(l, "\0011\0010\0010\003127\007in-addr\004arpa",
			localhost, LOCALHOST_TTL);
	case SPECIAL_LOOPBACK6:
		return at_apex && special_ptr(l, NULL, localhost, LOCALHOST_TTL);
	case SPECIAL_IPV4ONLY:
		return special_ipv4only(l, at_apex);
	case SPECIAL_IPV4ONLY_PTR:
		return at_apex &&
		       special_ptr(l, NULL, "\010ipv4only\004arpa", IPV4ONLY_TTL);
	case SPECIAL_EMPTY:
	case SPECIAL_NXDOMAIN:
	case SPECIAL_RESOLVER:
		break;
	}
	return false;
}

/* Does the name exist in its little zone? */
static bool special_exists(const struct local *l, const struct special *s, bool at_apex)
{
	if (s->kind == SPECIAL_NXDOMAIN)
		return false;
	if (at_apex || s->kind == SPECIAL_LOCALHOST)
		return true;
	if (s->kind == SPECIAL_LOOPBACK4) /* 1.0.0.127 and the empty names above it */
		return name_within(
			(const uint8_t *)"\0011\0010\0010\003127\007in-addr\004arpa",
			l->name);
	if (s->kind == SPECIAL_RESOLVER)
		return name_equal_case(
			l->name, (const uint8_t *)"\004_dns\010resolver\004arpa");
	return false;
}

/* A prefix may lie within what is special otherwise: fd00::/8. */
static bool is_made_address(const struct local *l)
{
	uint8_t target[NAME_MAX_LEN];
	return !l->q->as_is && conf_dns64_on(l->conf, l->v->route.flags) &&
	       conf_dns64_reverse(l->conf, l->name, target);
}

static bool is_above_made_addresses(const struct local *l)
{
	return !l->q->as_is && conf_dns64_on(l->conf, l->v->route.flags) &&
	       conf_dns64_above(l->conf, l->name);
}

static bool special(const struct local *l, enum lifted lifted)
{
	const uint8_t *apex;
	const struct special *s = special_find(l->name, &apex);
	if (!s || is_made_address(l) || lifted == LIFTED_ALL ||
		(lifted == LIFTED_USUAL && !s->always))
		return false;
	/* DS is the parent's: "arpa" tells that the delegation is insecure (RFC 8375
	 * section 4) */
	if (l->q->type == TYPE_DS && apex == l->name && name_labels(apex) > 1)
		return false;
	/* as the client spelt it */
	const uint8_t *zone = l->q->name + (apex - l->name);
	const bool at_apex = apex == l->name;
	if (special_data(l, s, at_apex))
		return true;
	if (at_apex && s->kind != SPECIAL_NXDOMAIN &&
		(l->q->type == TYPE_SOA || l->q->type == TYPE_NS)) {
		answer_yes(l);
		if (l->q->type == TYPE_SOA)
			verdict_soa(l->v, l->arena, SECTION_ANSWER, zone, CLASS_IN,
				NEGATIVE_TTL);
		else
			add(l, SECTION_ANSWER, zone, TYPE_NS, NEGATIVE_TTL, zone,
				name_len(zone));
		return true;
	}
	const bool exists = special_exists(l, s, at_apex) || is_above_made_addresses(l);
	answer_no(
		l, exists ? RCODE_NOERROR : RCODE_NXDOMAIN, zone, NEGATIVE_TTL, s->why);
	return true;
}

/* RFC 8482 section 4.2 */
static void any(const struct local *l)
{
	static const uint8_t rdata[] = { 7, 'R', 'F', 'C', '8', '4', '8', '2', 0 };
	verdict_answer(l->v, RCODE_NOERROR, EDE_NONE, NULL);
	add(l, SECTION_ANSWER, l->q->name, TYPE_HINFO, HINFO_TTL, rdata, sizeof(rdata));
}

bool local_answer(const struct conf *conf, const struct policy_query *q,
	enum lifted lifted, struct arena *arena, struct policy_verdict *v)
{
	uint8_t name[NAME_MAX_LEN];
	name_copy_lower(name, q->name);
	const struct local l = { conf, q, name, arena, v };
	if (!local_is_ordinary(q->type, q->rclass)) {
		extraordinary(&l);
		return true;
	}
	if (lifted != LIFTED_ALL && designated_answer(conf, q, name, arena, v))
		return true;
	if (hinted(&l))
		return true;
	if (conf_module_on(conf, MODULE_policy) && q->type != TYPE_ANY &&
		special(&l, lifted))
		return true;
	if (q->type == TYPE_ANY) {
		any(&l);
		return true;
	}
	return false;
}
