/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/forward.c - a forward or stub rule's targets in the place of a zone's servers.
 */
#include "iter/state.h"

/* Ourselves: what we would ask would come back to us. */
static bool is_own(const struct iter *it, const struct addr *a)
{
	const struct conf *c = it->env.conf;
	for (size_t i = 0; i < c->listen_count; i++)
		if (addr_equal(&c->listens[i].addr, a))
			return true;
	return false;
}

/* There is no way but this one. */
static void over_tls(struct server *s, const struct conf_tls_peer *peer)
{
	s->tls = peer;
	s->tcp = s->truncated = true;
}

struct cut *forward_cut(struct iter *it, const struct route *route)
{
	struct cut *cut = cut_new(it, route->zone, 1);
	if (!cut)
		return NULL;
	cut->forward = true;
	for (size_t i = 0; i < route->target_count; i++) {
		if (is_own(it, &route->targets[i])) {
			iter_trouble(it, &route->targets[i], "is this resolver");
			continue;
		}
		const unsigned before = cut->server_count;
		cut_add_server(it, cut, 0, &route->targets[i], true);
		if (route->tls && cut->server_count > before)
			over_tls(&cut->servers[before], route->tls[i]);
	}
	return cut;
}
