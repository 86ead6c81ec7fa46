/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf_dns64.c - the prefix of DNS64 and what is done with it: RFC 6147, 6052. */
#include "conf/conf.h"

#include <stdio.h>
#include <string.h>

enum { PREFIX_LEN = 12, V6_LEN = 16, REV_TTL = 60, REVERSE_LABELS = 34 };

bool conf_dns64_on(const struct conf *c, uint32_t flags)
{
	return conf_module_on(c, MODULE_dns64) &&
	       !(flags & (uint32_t)CONF_DNS64_DISABLE);
}

void conf_dns64_map(const struct conf *c, const uint8_t *v4, uint8_t v6[static 16])
{
	memcpy(v6, c->dns64.prefix, PREFIX_LEN);
	memcpy(v6 + PREFIX_LEN, v4, 4);
}

bool conf_dns64_excluded(const struct conf *c, const uint8_t *v6)
{
	struct addr a = { .family = 6 };
	memcpy(a.ip, v6, 16);
	for (size_t i = 0; i < c->dns64.excluded_count; i++)
		if (subnet_has(&c->dns64.excluded[i], &a))
			return true;
	return false;
}

static int nibble(const uint8_t *label)
{
	if (label[0] != 1)
		return -1;
	if (label[1] >= '0' && label[1] <= '9')
		return label[1] - '0';
	return label[1] >= 'a' && label[1] <= 'f' ? label[1] - 'a' + 10 : -1;
}

size_t conf_dns64_reverse(const struct conf *c, const uint8_t *name, uint8_t *target)
{
	char text[64];
	uint8_t ip[V6_LEN] = { 0 };
	if (name_labels(name) != REVERSE_LABELS)
		return 0;
	for (unsigned i = 0; i < 2 * V6_LEN; i++, name += *name + 1) {
		const int n = nibble(name);
		if (n < 0)
			return 0;
		ip[V6_LEN - 1 - i / 2] |= (uint8_t)(i % 2 ? n << 4 : n);
	}
	if (memcmp(ip, c->dns64.prefix, PREFIX_LEN) != 0 ||
		!name_equal(name, (const uint8_t *)"\003ip6\004arpa"))
		return 0;
	const uint8_t *v4 = ip + PREFIX_LEN;
	snprintf(text, sizeof(text), "%u.%u.%u.%u.in-addr.arpa.", v4[3], v4[2], v4[1],
		v4[0]);
	return name_from_text(target, text);
}

bool conf_dns64_default(struct conf *c)
{
	static const uint8_t known[] = { 0, 0x64, 0xff,
		0x9b }; /* RFC 6052 section 2.1 */
	memset(c->dns64.prefix, 0, sizeof(c->dns64.prefix));
	memcpy(c->dns64.prefix, known, sizeof(known));
	c->dns64.rev_ttl = REV_TTL;
	c->dns64.excluded = NULL;
	c->dns64.excluded_count = 0;
	struct subnet *mapped = conf_push(
		c, &c->dns64.excluded, &c->dns64.excluded_count, sizeof(*mapped));
	if (mapped) /* RFC 6147 section 5.1.4 */
		*mapped = (struct subnet){ { .family = 6, .ip = { [10] = 0xff, 0xff } },
			96 };
	return mapped;
}
