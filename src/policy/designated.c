/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/designated.c - what the resolver says of itself: where it is to be had encrypted (RFC 9462,
 * with the parameters of RFC 9460 and 9461), what it does (RFC 9606).
 *
 * Asked as _dns.resolver.arpa and resolver.arpa by who knows only our address, below and at its
 * own name by who knows that. */
#include <stdio.h>
#include <string.h>

#include "policy/verdict.h"
#include "wire/codes.h"

enum {
	TTL_S = 7200, /* as the example of RFC 9462 section 4 */
	SVCB_MAX = 1024,
	RECORDS = 16,
	HINTS = 16,
	KEY_ALPN = 1,
	KEY_PORT = 3,
	KEY_IPV4HINT = 4,
	KEY_IPV6HINT = 6,
	KEY_DOHPATH = 7,
};

static const uint8_t resolver_arpa[] = "\010resolver\004arpa";
static const uint8_t label_dns[] = "\004_dns";

/* The ways to one name. */
struct ways {
	uint16_t tls, doh2;
	struct addr hints[HINTS];
	size_t hint_count;
};

static bool is_loopback_or_none(const struct addr *a)
{
	return a->family == 0 || addr_is_loopback(a);
}

static void hint_add(struct ways *w, const struct addr *a)
{
	for (size_t i = 0; i < w->hint_count; i++)
		if (addr_same_ip(&w->hints[i], a))
			return;
	if (w->hint_count < HINTS)
		w->hints[w->hint_count++] = *a;
}

/* An address listened on, as the client may reach it: for "all addresses" the one to which it
 * sent its query. */
static void hint_listened(
	struct ways *w, const struct conf_listen *l, const struct addr *asked)
{
	static const uint8_t zero[16];
	if (memcmp(l->addr.ip, zero, sizeof(zero)) == 0) {
		if (asked->family == l->addr.family)
			hint_add(w, asked);
		return;
	}
	if (!addr_is_loopback(&l->addr) || is_loopback_or_none(asked))
		hint_add(w, &l->addr);
}

static struct ways ways_of(const struct conf *conf, const struct conf_designated *d,
	const struct addr *asked)
{
	struct ways w = { .tls = d->tls, .doh2 = d->doh2 };
	for (size_t i = 0; d->as_listened && i < conf->listen_count; i++) {
		const struct conf_listen *l = &conf->listens[i];
		const bool tls = l->kind == KIND_TLS;
		if (!tls && (l->kind != KIND_DOH2 || l->plain))
			continue;
		uint16_t *port = tls ? &w.tls : &w.doh2;
		if (*port && *port != l->addr.port)
			continue; /* one port for each way */
		*port = l->addr.port;
		if (!d->hint_count)
			hint_listened(&w, l, asked);
	}
	for (size_t i = 0; i < d->hint_count; i++)
		hint_add(&w, &d->hints[i]);
	return w;
}

/* --- SVCB ------------------------------------------------------------------------- */

static size_t put16(uint8_t *to, size_t n)
{
	to[0] = (uint8_t)(n >> 8);
	to[1] = (uint8_t)n;
	return 2;
}

static size_t put_param(uint8_t *to, unsigned key, const void *value, size_t len)
{
	put16(to, key);
	put16(to + 2, len);
	memcpy(to + 4, value, len);
	return 4 + len;
}

static size_t put_hints(uint8_t *to, const struct ways *w, uint8_t family)
{
	uint8_t value[HINTS * 16];
	const size_t each = family == 4 ? 4 : 16;
	size_t len = 0;
	for (size_t i = 0; i < w->hint_count; i++)
		if (w->hints[i].family == family) {
			memcpy(value + len, w->hints[i].ip, each);
			len += each;
		}
	if (!len)
		return 0;
	return put_param(to, family == 4 ? KEY_IPV4HINT : KEY_IPV6HINT, value, len);
}

/* Keys in ascending order: RFC 9460 section 2.2. */
static size_t put_svcb(uint8_t *to, unsigned priority, const struct conf_designated *d,
	const struct ways *w, bool doh)
{
	uint8_t port[2];
	size_t len = put16(to, priority);
	len += name_copy(to + len, d->name);
	if (doh)
		len += put_param(to + len, KEY_ALPN, "\002h2", 3);
	else
		len += put_param(to + len, KEY_ALPN, "\003dot", 4);
	put16(port, doh ? w->doh2 : w->tls);
	len += put_param(to + len, KEY_PORT, port, 2);
	len += put_hints(to + len, w, 4);
	len += put_hints(to + len, w, 6);
	if (doh)
		len += put_param(to + len, KEY_DOHPATH, d->path, strlen(d->path));
	return len;
}

static void add_addresses(const struct conf_designated *d, const struct ways *w,
	struct arena *arena, struct policy_verdict *v, uint8_t family)
{
	uint8_t items[HINTS * 18];
	const uint16_t each = family == 4 ? 4 : 16;
	uint16_t count = 0;
	size_t len = 0;
	for (size_t i = 0; i < w->hint_count; i++) {
		if (w->hints[i].family != family)
			continue;
		memcpy(items + len, &each, 2);
		memcpy(items + len + 2, w->hints[i].ip, each);
		len += 2u + each;
		count++;
	}
	if (count)
		verdict_rrset(v, arena, SECTION_ADDITIONAL, d->name,
			family == 4 ? TYPE_A : TYPE_AAAA, CLASS_IN, TTL_S, count, items,
			(uint32_t)len);
}

/* All names, or `only` that one. False: there is no way to any. */
static bool answer_svcb(const struct conf *conf, const struct policy_query *q,
	const struct conf_designated *only, struct arena *arena,
	struct policy_verdict *v)
{
	uint8_t *items = arena_alloc(arena, RECORDS * (2 + SVCB_MAX));
	uint16_t count = 0;
	size_t len = 0;
	for (size_t i = 0; items && i < conf->designated_count; i++) {
		const struct conf_designated *d = &conf->designated[i];
		const struct ways w = ways_of(conf, d, &q->server);
		for (unsigned doh = 0; doh < 2; doh++) {
			if ((only && only != d) || !(doh ? w.doh2 : w.tls) ||
				count == RECORDS)
				continue;
			const uint16_t each = (uint16_t)put_svcb(
				items + len + 2, ++count, d, &w, doh);
			memcpy(items + len, &each, 2);
			len += 2u + each;
		}
	}
	if (!count)
		return false;
	verdict_answer(v, RCODE_NOERROR, EDE_NONE, NULL);
	v->aa = true;
	verdict_rrset(v, arena, SECTION_ANSWER, q->name, TYPE_SVCB, CLASS_IN, TTL_S,
		count, items, (uint32_t)len);
	/* RFC 9462 section 4: the addresses spare the client a question */
	for (size_t i = 0; i < conf->designated_count && i < 2; i++) {
		const struct conf_designated *d = &conf->designated[i];
		const struct ways w = ways_of(conf, d, &q->server);
		if (only && only != d)
			continue;
		add_addresses(d, &w, arena, v, 4);
		add_addresses(d, &w, arena, v, 6);
	}
	return true;
}

/* --- RESINFO ---------------------------------------------------------------------- */

static size_t put_text(uint8_t *to, const char *key, const char *value)
{
	char text[256];
	const int len = snprintf(text, sizeof(text), "%s%s", key, value);
	to[0] = (uint8_t)len;
	memcpy(to + 1, text, (size_t)len);
	return 1u + (size_t)len;
}

static void answer_resinfo(const struct conf *conf, const struct policy_query *q,
	struct arena *arena, struct policy_verdict *v)
{
	/* the extended errors of wire/codes.h that are sent, whatever rules say */
	static const char errors[] = "0-15,18-25,27,30,33";
	uint8_t rdata[3 * 256];
	size_t len = 0;
	if (!conf_flag_on(conf, CONF_NO_MINIMIZE))
		len += put_text(rdata + len, "qnamemin", "");
	if (conf_module_on(conf, MODULE_extended_error))
		len += put_text(rdata + len, "exterr=", errors);
	if (conf->infourl)
		len += put_text(rdata + len, "infourl=", conf->infourl);
	if (!len)
		rdata[len++] = 0; /* nothing to tell */
	verdict_answer(v, RCODE_NOERROR, EDE_NONE, NULL);
	v->aa = true;
	verdict_record(v, arena, SECTION_ANSWER, q->name, TYPE_RESINFO, CLASS_IN, TTL_S,
		rdata, (uint16_t)len);
}

/* --- which name ------------------------------------------------------------------- */

static const struct conf_designated *find(const struct conf *conf, const uint8_t *name)
{
	for (size_t i = 0; i < conf->designated_count; i++)
		if (name_equal(conf->designated[i].name, name))
			return &conf->designated[i];
	return NULL;
}

/* Below _dns, or NULL. */
static const uint8_t *asked_for(const uint8_t *name)
{
	return name[0] == label_dns[0] && memcmp(name, label_dns, 5) == 0
		       ? name_parent(name)
		       : NULL;
}

bool designated_covers(const struct conf *conf, const uint8_t *name, uint16_t type)
{
	if (!conf->designated_count || (type != TYPE_SVCB && type != TYPE_RESINFO))
		return false;
	const uint8_t *own = type == TYPE_SVCB ? asked_for(name) : name;
	return own && find(conf, own);
}

bool designated_answer(const struct conf *conf, const struct policy_query *q,
	const uint8_t *name, struct arena *arena, struct policy_verdict *v)
{
	if ((q->type != TYPE_SVCB && q->type != TYPE_RESINFO) ||
		!conf_module_on(conf, MODULE_policy))
		return false;
	const uint8_t *own = q->type == TYPE_SVCB ? asked_for(name) : name;
	if (!own)
		return false;
	const bool anonymous = name_equal_case(own, resolver_arpa);
	const struct conf_designated *d = anonymous ? NULL : find(conf, own);
	if (!anonymous && !d)
		return false;
	if (q->type == TYPE_SVCB)
		return answer_svcb(conf, q, d, arena, v);
	answer_resinfo(conf, q, arena, v);
	return true;
}
