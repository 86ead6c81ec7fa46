/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream.c - the server of connections: its life, answers, what is counted. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/random.h"
#include "net/stream_internal.h"

/* --- what is counted ------------------------------------------------------- */

#define ROW(kind)                                                                      \
	{                                                                              \
		offsetof(struct counters, kind##_accepted),                            \
			offsetof(struct counters, kind##_clients),                     \
			offsetof(struct counters, kind##_clients_shed),                \
			offsetof(struct counters, kind##_timeouts),                    \
			offsetof(struct counters, kind##_slow_readers)                 \
	}
static const size_t tallies[][TALLY_COUNT] = {
	[STREAM_TCP] = ROW(tcp),
	[STREAM_TLS] = ROW(tls),
	[STREAM_HTTPS] = ROW(doh),
};
#undef ROW

void tally_add(struct stream_server *s, enum tally what, int n)
{
	uint64_t *at =
		(uint64_t *)(void *)((char *)s->counters + tallies[s->conf.kind][what]);
	__atomic_store_n(at, *at + (uint64_t)(int64_t)n, __ATOMIC_RELAXED);
}

/* --- answers --------------------------------------------------------------- */

bool stream_reply(
	struct stream_server *s, struct stream_id id, const uint8_t *data, size_t len)
{
	assert(len <= UINT16_MAX);
	struct conn *c = conn_find(s, id);
	return c && conn_answer(c, id.request, data, len);
}

void stream_skip(struct stream_server *s, struct stream_id id)
{
	struct conn *c = conn_find(s, id);
	if (c)
		conn_skip(c, id.request);
}

bool stream_is_proxied(struct stream_server *s, struct stream_id id)
{
	const struct conn *c = conn_find(s, id);
	return c && c->proxied;
}

const char *stream_fields(struct stream_server *s, struct stream_id id, size_t *len)
{
	const struct conn *c = conn_find(s, id);
	*len = 0;
	return c && c->codec ? c->codec->ops->fields(c->codec, len) : NULL;
}

void stream_close(struct stream_server *s, struct stream_id id)
{
	struct conn *c = conn_find(s, id);
	if (c)
		conn_close(c);
}

/* --- the server's life ----------------------------------------------------- */

static void server_drained(void *ctx)
{
	struct stream_server *s = ctx;
	if (s->drained_fn)
		s->drained_fn(s->drained_ctx);
}

struct stream_server *stream_server_new(struct loop *l, int fd,
	const struct stream_conf *conf, const struct stream_hooks *hooks,
	struct counters *counters)
{
	assert(conf->max_clients && conf->pipeline && conf->idle_ms > 0 &&
		hooks->query);
	struct stream_server *s = calloc(1, sizeof(*s));
	struct conn *conns = calloc(conf->max_clients, sizeof(*conns));
	if (!s || !conns) {
		free(s);
		free(conns);
		errno = ENOMEM;
		return NULL;
	}
	s->loop = l;
	s->conf = *conf;
	if (!s->conf.layer_new)
		s->conf.layer_new = layer_plain_new;
	if (!s->conf.handshake_ms)
		s->conf.handshake_ms = conf->idle_ms;
	if (!s->conf.handshakes)
		s->conf.handshakes = &s->handshakes;
	s->hooks = *hooks;
	s->counters = counters;
	s->fd = -1;
	s->watch.fd = -1;
	s->conns = conns;
	for (unsigned i = conf->max_clients; i--;) {
		conns[i].generation = 1; /* no id is 0 */
		conns[i].fd = -1;
		conns[i].next_free = s->free;
		s->free = &conns[i];
	}
	s->flush = (struct defer){ .fn = server_flush, .ctx = s };
	s->drained = (struct defer){ .fn = server_drained, .ctx = s };
	struct random r;
	random_init(&r);
	random_fill(&r, &s->key, sizeof(s->key));
	const int e = fd < 0 ? 0 : server_listen(s, fd);
	if (e) {
		free(conns);
		free(s);
		errno = -e;
		return NULL;
	}
	return s;
}

void stream_server_free(struct stream_server *s)
{
	if (!s)
		return;
	server_stop_listening(s);
	for (unsigned i = 0; i < s->conf.max_clients; i++) {
		struct conn *c = &s->conns[i];
		assert(!c->delivering);
		if (c->open && (!outbox_len(&c->out) || conn_write(c)))
			conn_close(c);
	}
	loop_undefer(s->loop, &s->flush);
	loop_timer_clear(s->loop, &s->flush_again);
	loop_undefer(s->loop, &s->drained);
	free(s->conns);
	free(s);
}

int stream_server_fd(const struct stream_server *s)
{
	return s->fd;
}

uint64_t stream_server_accepted(const struct stream_server *s)
{
	return s->accepted;
}

unsigned stream_server_clients(const struct stream_server *s)
{
	return s->count;
}
