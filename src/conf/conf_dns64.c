/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf_dns64.c - the prefixes of DNS64 and what is done with them: RFC 6147, 6052. */
#include "conf/conf.h"

#include <stdio.h>
#include <string.h>

enum {
	V4_LEN = 4,
	V6_LEN = 16,
	U_OCTET = 8, /* bits 64 to 71 hold nothing: RFC 6052 section 2.2 */
	USUAL_BITS = 96,
	REV_TTL = 60,
	NIBBLES = 2 * V6_LEN,
	REVERSE_LABELS = NIBBLES + 2,
};

bool conf_dns64_on(const struct conf *c, uint32_t flags)
{
	return conf_module_on(c, MODULE_dns64) && c->dns64.prefix_count &&
	       !(flags & (uint32_t)CONF_DNS64_DISABLE);
}

/* --- addresses -------------------------------------------------------------------- */

/* Where the i-th byte of the IPv4 address lies. */
static unsigned place(const struct subnet *prefix, unsigned i)
{
	const unsigned at = prefix->bits / 8u + i;
	return prefix->bits / 8u <= U_OCTET && at >= U_OCTET ? at + 1 : at;
}

static void embed(const struct subnet *prefix, const uint8_t *v4, uint8_t *v6)
{
	memcpy(v6, prefix->base.ip, V6_LEN);
	for (unsigned i = 0; i < V4_LEN; i++)
		v6[place(prefix, i)] = v4[i];
}

uint8_t *conf_dns64_make(const struct conf *c, const uint8_t *v4, uint8_t *to)
{
	const uint16_t len = V6_LEN;
	for (size_t i = 0; i < c->dns64.prefix_count; i++) {
		memcpy(to, &len, sizeof(len));
		embed(&c->dns64.prefixes[i], v4, to + sizeof(len));
		to += CONF_DNS64_ITEM;
	}
	return to;
}

bool conf_dns64_excluded(const struct conf *c, const uint8_t *v6)
{
	struct addr a = { .family = 6 };
	memcpy(a.ip, v6, V6_LEN);
	for (size_t i = 0; i < c->dns64.excluded_count; i++)
		if (subnet_has(&c->dns64.excluded[i], &a))
			return true;
	return false;
}

/* --- their names ------------------------------------------------------------------ */

static int nibble(const uint8_t *label)
{
	if (label[0] != 1)
		return -1;
	if (label[1] >= '0' && label[1] <= '9')
		return label[1] - '0';
	return label[1] >= 'a' && label[1] <= 'f' ? label[1] - 'a' + 10 : -1;
}

/* The first nibbles of an address, of a lower-case name below ip6.arpa. How many, -1: it is
 * no such name. */
static int first_nibbles(const uint8_t *name, uint8_t *ip)
{
	const unsigned labels = name_labels(name);
	if (labels < 2 || labels > REVERSE_LABELS)
		return -1;
	memset(ip, 0, V6_LEN);
	for (unsigned i = labels - 2; i-- > 0; name += *name + 1) {
		const int n = nibble(name);
		if (n < 0)
			return -1;
		ip[i / 2] |= (uint8_t)(i % 2 ? n : n << 4);
	}
	return name_equal_case(name, (const uint8_t *)"\003ip6\004arpa")
		       ? (int)labels - 2
		       : -1;
}

/* May addresses that are made with the prefix begin with these nibbles? */
static bool begins(const struct subnet *prefix, const uint8_t *ip, unsigned count)
{
	static const uint8_t ones[V4_LEN] = { 0xff, 0xff, 0xff, 0xff };
	uint8_t high[V6_LEN];
	embed(prefix, ones, high);
	for (unsigned i = 0; i < count; i++) {
		const unsigned shift = i % 2 ? 0 : 4;
		const uint8_t low = prefix->base.ip[i / 2];
		const uint8_t fixed = (uint8_t) ~(low ^ high[i / 2]);
		if ((ip[i / 2] ^ low) & fixed & (0xf << shift))
			return false;
	}
	return true;
}

/* The longest prefix with which it is made; NULL: none. */
static const struct subnet *prefix_of(
	const struct conf *c, const uint8_t *ip, unsigned count)
{
	const struct subnet *best = NULL;
	for (size_t i = 0; i < c->dns64.prefix_count; i++) {
		const struct subnet *p = &c->dns64.prefixes[i];
		if ((!best || p->bits > best->bits) && begins(p, ip, count))
			best = p;
	}
	return best;
}

size_t conf_dns64_reverse(const struct conf *c, const uint8_t *name, uint8_t *target)
{
	char text[64];
	uint8_t ip[V6_LEN];
	if (name_labels(name) != REVERSE_LABELS || first_nibbles(name, ip) != NIBBLES)
		return 0;
	const struct subnet *p = prefix_of(c, ip, NIBBLES);
	if (!p)
		return 0;
	snprintf(text, sizeof(text), "%u.%u.%u.%u.in-addr.arpa.", ip[place(p, 3)],
		ip[place(p, 2)], ip[place(p, 1)], ip[place(p, 0)]);
	return name_from_text(target, text);
}

bool conf_dns64_above(const struct conf *c, const uint8_t *name)
{
	uint8_t ip[V6_LEN];
	const int count = first_nibbles(name, ip);
	return count >= 0 && count < NIBBLES && prefix_of(c, ip, (unsigned)count);
}

/* --- what is said of it ----------------------------------------------------------- */

static bool length_is_known(unsigned bits)
{
	return bits == 32 || bits == 40 || bits == 48 || bits == 56 || bits == 64 ||
	       bits == 96;
}

/* What would have been right. */
static bool refuse_rest(const char *text, struct subnet net, char error[static 256])
{
	char ip[ADDR_TEXT_MAX];
	memset(net.base.ip + net.bits / 8, 0, V6_LEN - net.bits / 8u);
	snprintf(error, 256, "'%s' has bits set behind the prefix: write '%s/%u'", text,
		addr_ip_text(&net.base, ip), net.bits);
	return false;
}

bool conf_dns64_prefix(struct conf *c, const char *text, char error[static 256])
{
	static const uint8_t zeros[V6_LEN];
	struct subnet net;
	const bool is_net = subnet_from_text(&net, text);
	if (is_net && !strchr(text, '/'))
		net.bits = USUAL_BITS;
	if (!is_net || net.base.family != 6 || net.base.scope ||
		!length_is_known(net.bits)) {
		snprintf(error, 256,
			"'%s' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits",
			text);
		return false;
	}
	if (memcmp(net.base.ip + net.bits / 8, zeros, V6_LEN - net.bits / 8u) != 0)
		return refuse_rest(text, net, error);
	for (size_t i = 0; i < c->dns64.prefix_count; i++) {
		const struct subnet *p = &c->dns64.prefixes[i];
		if (p->bits == net.bits && addr_same_ip(&p->base, &net.base)) {
			snprintf(error, 256, "'%s' is said twice", text);
			return false;
		}
	}
	if (c->dns64.prefix_count == LIMIT_DNS64_PREFIXES) {
		snprintf(error, 256, "more than %d prefixes", LIMIT_DNS64_PREFIXES);
		return false;
	}
	struct subnet *to =
		conf_push(c, &c->dns64.prefixes, &c->dns64.prefix_count, sizeof(*to));
	if (to)
		*to = net;
	return true;
}

bool conf_dns64_odd(const struct conf *c)
{
	const size_t count = c->dns64.prefix_count;
	return count && c->dns64.prefixes[count - 1].base.ip[U_OCTET];
}

bool conf_dns64_default(struct conf *c)
{
	char error[256];
	c->dns64 = (struct conf_dns64){ .rev_ttl = REV_TTL };
	struct subnet *mapped = conf_push(
		c, &c->dns64.excluded, &c->dns64.excluded_count, sizeof(*mapped));
	if (mapped) /* RFC 6147 section 5.1.4 */
		*mapped = (struct subnet){ { .family = 6, .ip = { [10] = 0xff, 0xff } },
			96 };
	/* RFC 6052 section 2.1 */
	return mapped && conf_dns64_prefix(c, "64:ff9b::/96", error) &&
	       c->dns64.prefix_count;
}
