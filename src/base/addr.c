/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_link_local6(const uint8_t *ip)
{
	return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

static bool number_from_text(unsigned *out, const char *text, unsigned max)
{
	unsigned n = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
		if (n > max)
			return false;
	}
	*out = n;
	return true;
}

/* An interface's name or number. */
static bool scope_from_text(uint32_t *out, const char *text)
{
	unsigned n;
	if (!number_from_text(&n, text, 0x7fffffff))
		n = if_nametoindex(text);
	*out = n;
	return n != 0;
}

static bool ip_from_text(struct addr *out, char *text)
{
	struct addr a = { 0 };
	char *scope = strchr(text, '%');
	if (scope)
		*scope++ = 0;
	if (strchr(text, ':')) {
		a.family = 6;
		if (inet_pton(AF_INET6, text, a.ip) != 1)
			return false;
		if (scope &&
			(!is_link_local6(a.ip) || !scope_from_text(&a.scope, scope)))
			return false;
	} else {
		a.family = 4;
		if (scope || inet_pton(AF_INET, text, a.ip) != 1)
			return false;
	}
	*out = a;
	return true;
}

/* A copy that may be cut up. */
static bool text_copy(char buf[static ADDR_TEXT_MAX], const char *text)
{
	const size_t len = strlen(text);
	if (len >= ADDR_TEXT_MAX)
		return false;
	memcpy(buf, text, len + 1);
	return true;
}

bool addr_from_text(struct addr *out, const char *text, uint16_t default_port)
{
	char buf[ADDR_TEXT_MAX];
	if (!text_copy(buf, text))
		return false;
	unsigned port = default_port;
	char *port_text = strpbrk(buf, "@#");
	if (port_text) {
		*port_text++ = 0;
		if (!number_from_text(&port, port_text, 65535) || !port)
			return false;
	}
	if (!ip_from_text(out, buf))
		return false;
	out->port = (uint16_t)port;
	return true;
}

char *addr_ip_text(const struct addr *a, char buf[static ADDR_TEXT_MAX])
{
	if (a->family == 0) {
		snprintf(buf, ADDR_TEXT_MAX, "(none)");
		return buf;
	}
	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, buf, ADDR_TEXT_MAX);
	if (a->scope) {
		char name[IF_NAMESIZE];
		const size_t len = strlen(buf);
		if (if_indextoname(a->scope, name))
			snprintf(buf + len, ADDR_TEXT_MAX - len, "%%%s", name);
		else
			snprintf(buf + len, ADDR_TEXT_MAX - len, "%%%u", a->scope);
	}
	return buf;
}

char *addr_to_text(const struct addr *a, char buf[static ADDR_TEXT_MAX])
{
	addr_ip_text(a, buf);
	const size_t len = strlen(buf);
	if (a->port)
		snprintf(buf + len, ADDR_TEXT_MAX - len, "@%u", a->port);
	return buf;
}

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

bool addr_from_sockaddr(struct addr *out, const struct sockaddr *sa)
{
	struct addr a = { 0 };
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof(in));
		a.family = 4;
		memcpy(a.ip, &in.sin_addr, 4);
		a.port = ntohs(in.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof(in6));
		a.port = ntohs(in6.sin6_port);
		memcpy(a.ip, &in6.sin6_addr, 16);
		a.family = 6;
		if (memcmp(a.ip, mapped_prefix, 12) == 0) {
			a.family = 4;
			memcpy(a.ip, a.ip + 12, 4);
			memset(a.ip + 4, 0, 12);
		} else if (is_link_local6(a.ip)) {
			a.scope = in6.sin6_scope_id;
		}
	} else {
		return false;
	}
	*out = a;
	return true;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out)
{
	assert(a->family == 4 || a->family == 6);
	memset(out, 0, sizeof(*out));
	if (a->family == 4) {
		struct sockaddr_in in = { .sin_family = AF_INET,
			.sin_port = htons(a->port) };
		memcpy(&in.sin_addr, a->ip, 4);
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	}
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(a->port),
		.sin6_scope_id = a->scope,
	};
	memcpy(&in6.sin6_addr, a->ip, 16);
	memcpy(out, &in6, sizeof(in6));
	return sizeof(in6);
}

bool addr_same_ip(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->scope == b->scope &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && addr_same_ip(a, b);
}

bool subnet_has(const struct subnet *net, const struct addr *a)
{
	if (net->base.family != a->family ||
		(net->base.scope && net->base.scope != a->scope))
		return false;
	const unsigned whole = net->bits / 8, rest = net->bits % 8;
	if (memcmp(net->base.ip, a->ip, whole) != 0)
		return false;
	return !rest || (net->base.ip[whole] ^ a->ip[whole]) >> (8 - rest) == 0;
}

bool subnet_from_text(struct subnet *out, const char *text)
{
	char buf[ADDR_TEXT_MAX];
	if (!text_copy(buf, text))
		return false;
	struct subnet net;
	char *bits_text = strchr(buf, '/');
	if (bits_text)
		*bits_text++ = 0;
	if (!ip_from_text(&net.base, buf))
		return false;
	const unsigned max = net.base.family == 4 ? 32 : 128;
	unsigned bits = max;
	if (bits_text && !number_from_text(&bits, bits_text, max))
		return false;
	net.bits = (uint8_t)bits;
	*out = net;
	return true;
}

static const struct subnet loopback[] = {
	{ { .family = 4, .ip = { 127 } }, 8 },
	{ { .family = 6, .ip = { [15] = 1 } }, 128 },
	{ { .family = 6, .ip = { [10] = 0xff, 0xff, 127 } }, 104 },
};

static const struct subnet unusable[] = {
	{ { .family = 4, .ip = { 0 } }, 8 },
	{ { .family = 4, .ip = { 224 } }, 4 },
	{ { .family = 4, .ip = { 240 } }, 4 }, /* reserved, and broadcast */
	{ { .family = 6, .ip = { 0 } }, 128 },
	{ { .family = 6, .ip = { 0xff } }, 8 },
	/* a socket would turn it into IPv4, around every check of the IPv4 address */
	{ { .family = 6, .ip = { [10] = 0xff, 0xff } }, 96 },
};

static const struct subnet local_nets[] = {
	{ { .family = 4, .ip = { 10 } }, 8 }, /* RFC 1918 */
	{ { .family = 4, .ip = { 172, 16 } }, 12 },
	{ { .family = 4, .ip = { 192, 168 } }, 16 },
	{ { .family = 4, .ip = { 100, 64 } }, 10 },    /* RFC 6598 */
	{ { .family = 4, .ip = { 169, 254 } }, 16 },   /* RFC 3927 */
	{ { .family = 6, .ip = { 0xfe, 0x80 } }, 10 }, /* RFC 4291 */
	{ { .family = 6, .ip = { 0xfc } }, 7 },        /* RFC 4193 */
};

#define IN_ANY(nets, a) in_any(nets, sizeof(nets) / sizeof((nets)[0]), a)

static bool in_any(const struct subnet *nets, size_t count, const struct addr *a)
{
	for (size_t i = 0; i < count; i++)
		if (subnet_has(&nets[i], a))
			return true;
	return false;
}

bool addr_is_loopback(const struct addr *a)
{
	return IN_ANY(loopback, a);
}

bool addr_is_unusable(const struct addr *a)
{
	return a->family == 0 || IN_ANY(unusable, a);
}

bool addr_is_local_net(const struct addr *a)
{
	return addr_is_loopback(a) || IN_ANY(local_nets, a);
}
