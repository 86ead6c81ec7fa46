/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/addr.h - an IP address with a port, and subnets. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	ADDR_TEXT_MAX = 80, /* "[2001:...%scope]" with '@' and port, and its NUL */
};

struct addr {
	uint8_t family; /* 0 none, 4, 6 */
	uint8_t ip[16]; /* network order; 4 bytes used for family 4, the rest zero */
	uint16_t port;  /* host order */
	uint32_t scope; /* interface index of a link-local IPv6 address, else 0 */
};

struct subnet {
	struct addr base; /* port 0 */
	uint8_t bits;
};

/* "IP", "IP@PORT" or "IP#PORT" (IPv6 may carry %interface). False when malformed. */
bool addr_from_text(struct addr *out, const char *text, uint16_t default_port);
/* "IP@PORT", or "IP" when the port is 0. Returns `buf`. */
char *addr_to_text(const struct addr *a, char buf[static ADDR_TEXT_MAX]);
/* "IP" alone. Returns `buf`. */
char *addr_ip_text(const struct addr *a, char buf[static ADDR_TEXT_MAX]);
/* An IPv4-mapped IPv6 address becomes IPv4. False for another family. */
bool addr_from_sockaddr(struct addr *out, const struct sockaddr *sa);
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out);

bool addr_equal(const struct addr *a, const struct addr *b);   /* with port */
bool addr_same_ip(const struct addr *a, const struct addr *b); /* without */
bool addr_is_loopback(const struct addr *a);
/* Any address that no server on the internet can have: unspecified, multicast,
 * broadcast, 0/8 ; loopback is asked for separately. */
bool addr_is_unusable(const struct addr *a);
/* Clients that are served by default: loopback, RFC 1918, RFC 6598, link-local, unique local. */
bool addr_is_local_net(const struct addr *a);

/* "10.0.0.0/8", "::1", "2001:db8::/32"; no length means one address. */
bool subnet_from_text(struct subnet *out, const char *text);
bool subnet_has(const struct subnet *net, const struct addr *a);
