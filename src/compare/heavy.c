/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/heavy.h"

#include <netinet/in.h>
#include <string.h>

/* Of the port and the address's last word: the generator's clients differ in these. */
static unsigned place_of(const struct sockaddr *client, socklen_t len)
{
	uint32_t ip = 0;
	uint16_t port = 0;
	if (client->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in a;
		memcpy(&a, client, sizeof(a));
		ip = a.sin_addr.s_addr;
		port = a.sin_port;
	}
	return ((ip ^ (uint32_t)port << 16 ^ port) * 0x9e3779b1u) >> 20;
}

bool heavy_count(
	struct heavy *h, const struct sockaddr *client, socklen_t len, int64_t now_us)
{
	if (now_us >= h->until_us) {
		memset(h->counts, 0, sizeof(h->counts));
		h->until_us = now_us + HEAVY_WINDOW_US;
	}
	uint16_t *count = &h->counts[place_of(client, len)];
	if (*count < UINT16_MAX)
		++*count;
	return *count == HEAVY_LEAST;
}
