/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/heavy.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct flow {
	struct addr client;
	unsigned
		count; /* of late: twice the datagrams of half a second, at a steady rate */
	unsigned told; /* ticks until it may be told again */
	bool spread; /* told once: only a share of it is seen here, so less is enough */
};

struct heavy {
	struct hash_key key;
	struct flow flows[HEAVY_SLOTS];
};

struct heavy *heavy_new(struct random *r)
{
	struct heavy *h = calloc(1, sizeof(*h));
	if (h)
		random_fill(r, &h->key, sizeof(h->key));
	return h;
}

void heavy_free(struct heavy *h)
{
	free(h);
}

static struct flow *flow_of(struct heavy *h, const struct addr *client)
{
	uint8_t bytes[18];
	memcpy(bytes, client->ip, 16);
	memcpy(bytes + 16, &client->port, 2);
	return &h->flows[hash_sip13(&h->key, bytes, sizeof(bytes)) % HEAVY_SLOTS];
}

bool heavy_saw(struct heavy *h, const struct addr *client)
{
	struct flow *f = flow_of(h, client);
	if (!addr_equal(&f->client, client)) {
		if (f->count) {
			f->count--; /* it stays while it comes more often */
			return false;
		}
		*f = (struct flow){ .client = *client };
	}
	f->count++;
	if (f->told || f->count < (unsigned)(f->spread ? HEAVY_RATE / 16 : HEAVY_RATE))
		return false;
	f->told = HEAVY_AGAIN;
	f->spread = true;
	return true;
}

void heavy_tick(struct heavy *h)
{
	for (int i = 0; i < HEAVY_SLOTS; i++) {
		struct flow *f = &h->flows[i];
		f->count /= 2;
		f->told -= f->told > 0;
		if (!f->count && !f->told)
			f->spread = false;
	}
}
