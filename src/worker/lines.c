/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/lines.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/tls_client.h"

static bool say(
	const struct conf_tls_peer *p, const char *what, char error[static 1024])
{
	char addr[ADDR_TEXT_MAX];
	snprintf(error, 1024, "%s:%d: TLS to %s: %s",
		p && p->where.file ? p->where.file : "configuration",
		p ? p->where.line : 0, p ? addr_to_text(&p->addr, addr) : "servers",
		what);
	return false;
}

/* NULL and `error`. */
static struct tls_peer *peer_new(struct tls_client *client,
	const struct conf_tls_peer *p, char error[static 1024])
{
	char what[TLS_ERROR_MAX];
	const struct tls_peer_conf conf = {
		.hostname = p->hostname,
		.ca_files = p->ca_files,
		.ca_count = p->ca_count,
		.pins = p->pins,
		.pin_count = p->pin_count,
		.insecure = p->insecure,
	};
	struct tls_peer *peer = tls_peer_new(client, &conf, what);
	if (!peer)
		say(p, what, error);
	return peer;
}

bool lines_open(struct worker *w, char error[static 1024])
{
	const struct conf *c = w->conf;
	if (!c->tls_peer_count)
		return true;
	w->tls_client = tls_client_new(w->counters);
	w->peers = calloc(c->tls_peer_count, sizeof(struct tls_peer *));
	w->lines = calloc(c->tls_peer_count, sizeof(struct upstream_line *));
	if (!w->tls_client || !w->peers || !w->lines)
		return say(NULL, "out of memory", error);
	for (size_t i = 0; i < c->tls_peer_count; i++) {
		const struct conf_tls_peer *p = c->tls_peers[i];
		w->peers[i] = peer_new(w->tls_client, p, error);
		if (!w->peers[i])
			return false;
		w->lines[i] = upstream_line_new(w->upstream, &p->addr, w->peers[i]);
		if (!w->lines[i])
			return say(p, "out of memory", error);
	}
	return true;
}

struct upstream_line *lines_get(struct worker *w, const struct conf_tls_peer *peer)
{
	return w->lines[peer->number];
}

void lines_tick(struct worker *w)
{
	if (w->tls_client)
		tls_client_tick(w->tls_client, now_wall_s(loop_now(w->loop)));
}

void lines_close(struct worker *w)
{
	for (size_t i = 0; w->peers && i < w->conf->tls_peer_count; i++)
		tls_peer_free(w->peers[i]);
	free(w->peers);
	free(w->lines);
	tls_client_free(w->tls_client);
	w->tls_client = NULL;
}

bool lines_check(const struct conf *conf, char error[static 1024])
{
	struct counters counters = { 0 };
	struct tls_client *client = tls_client_new(&counters);
	bool fine = client;
	if (!client)
		say(NULL, "out of memory", error);
	for (size_t i = 0; fine && i < conf->tls_peer_count; i++) {
		struct tls_peer *p = peer_new(client, conf->tls_peers[i], error);
		fine = p;
		tls_peer_free(p);
	}
	tls_client_free(client);
	return fine;
}
