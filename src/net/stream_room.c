/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_room.c - who may come, and who must go for them.
 *
 * The longest idle one makes room. Busy ones are never closed for another; young ones are
 * when they are more than their share, so that half-open ones drive nobody out. */
#include "base/limits.h"
#include "net/stream_internal.h"

enum {
	YOUNG_SHARE = 4, /* a quarter of the places is left to handshakes */
	LEAST_SHARE =
		64, /* of the host's places one in so many is ours, if all are taken */
};

/* --- the lists ------------------------------------------------------------- */

static void list_remove(struct conn *c)
{
	struct conn_list *l = c->list;
	*(c->prev ? &c->prev->next : &l->first) = c->next;
	*(c->next ? &c->next->prev : &l->last) = c->prev;
	l->count--;
	c->prev = c->next = NULL;
	c->list = NULL;
}

static void list_append(struct conn_list *l, struct conn *c)
{
	c->list = l;
	c->prev = l->last;
	c->next = NULL;
	*(l->last ? &l->last->next : &l->first) = c;
	l->last = c;
	l->count++;
}

static void list_prepend(struct conn_list *l, struct conn *c)
{
	c->list = l;
	c->prev = NULL;
	c->next = l->first;
	*(l->first ? &l->first->prev : &l->last) = c;
	l->first = c;
	l->count++;
}

void conn_touch(struct conn *c)
{
	struct stream_server *s = c->server;
	c->active_us = loop_now(s->loop)->mono_us;
	c->slighted = false;
	list_remove(c);
	list_append(c->pending ? &s->busy : &s->idle, c);
}

void conn_make_busy(struct conn *c)
{
	list_remove(c);
	list_append(&c->server->busy, c);
}

void conn_slight(struct conn *c)
{
	if (c->pending)
		return;
	c->slighted = true;
	list_remove(c);
	list_prepend(&c->server->idle, c);
}

/* --- by address ------------------------------------------------------------ */

static struct conn **bucket_of(struct stream_server *s, const struct addr *a)
{
	return &s->buckets[hash_sip13(&s->key, a->ip, sizeof(a->ip)) % STREAM_BUCKETS];
}

static void census_change(const struct conn *c, int change)
{
	const struct stream_server *s = c->server;
	const struct stream_census *census = s->conf.census;
	if (census)
		census->count(census->ctx, s->conf.kind, &c->from, change);
}

void stream_server_count_again(const struct stream_server *s)
{
	for (unsigned i = 0; i < s->conf.max_clients; i++)
		if (s->conns[i].open)
			census_change(&s->conns[i], 1);
}

static void bucket_remove(struct conn *c)
{
	census_change(c, -1);
	struct conn **link = bucket_of(c->server, &c->from);
	while (*link != c)
		link = &(*link)->next_same_hash;
	*link = c->next_same_hash;
}

static void bucket_add(struct conn *c)
{
	census_change(c, 1);
	struct conn **bucket = bucket_of(c->server, &c->from);
	c->next_same_hash = *bucket;
	*bucket = c;
}

void room_enter(struct conn *c)
{
	struct stream_server *s = c->server;
	bucket_add(c);
	list_append(c->handshaking ? &s->young : &s->idle, c);
	s->count++;
	tally_add(s, TALLY_CLIENTS, 1);
}

void room_leave(struct conn *c)
{
	struct stream_server *s = c->server;
	list_remove(c);
	bucket_remove(c);
	s->count--;
	tally_add(s, TALLY_CLIENTS, -1);
}

void room_rename(struct conn *c, const struct addr *from)
{
	bucket_remove(c);
	c->from = *from;
	bucket_add(c);
}

/* --- making room ----------------------------------------------------------- */

/* As in the lists. */
static bool goes_before(const struct conn *a, const struct conn *b)
{
	return a->slighted != b->slighted ? a->slighted : a->active_us < b->active_us;
}

/* The longest idle of this address; one in its handshake, which may wait for us, only where there
 * is no idle one, or too many shake hands. */
static struct conn *oldest_from(struct stream_server *s, const struct addr *from)
{
	struct conn *young = NULL, *idle = NULL;
	unsigned young_count = 0;
	for (struct conn *c = *bucket_of(s, from); c; c = c->next_same_hash) {
		if (c->list == &s->busy || !addr_same_ip(&c->from, from))
			continue;
		struct conn **oldest = c->list == &s->young ? &young : &idle;
		young_count += c->list == &s->young;
		if (!*oldest || goes_before(c, *oldest))
			*oldest = c;
	}
	const bool crowded =
		young_count > s->conf.max_clients_per_address / YOUNG_SHARE;
	return crowded || !idle ? young : idle;
}

static struct conn *oldest_of_all(struct stream_server *s)
{
	const bool crowded = s->young.count > s->conf.max_clients / YOUNG_SHARE;
	if (crowded || !s->idle.first)
		return s->young.first;
	return s->idle.first;
}

bool server_evict(struct stream_server *s, const struct addr *from)
{
	struct conn *oldest = from ? oldest_from(s, from) : oldest_of_all(s);
	if (!oldest || oldest->delivering)
		return false;
	tally_add(s, TALLY_SHED, 1);
	conn_close(oldest);
	return true;
}

static unsigned count_from(struct stream_server *s, const struct addr *from)
{
	const struct stream_census *census = s->conf.census;
	unsigned same = 0;
	if (census)
		return census->of(census->ctx, s->conf.kind, from);
	for (struct conn *c = *bucket_of(s, from); c; c = c->next_same_hash)
		same += addr_same_ip(&c->from, from);
	return same;
}

bool client_make_room(struct stream_server *s, const struct addr *from)
{
	return count_from(s, from) < s->conf.max_clients_per_address ||
	       server_evict(s, from);
}

/* Others of the host have all places: then a few are ours nevertheless, for who holds
 * theirs would else keep everybody out here, where nobody is to make room. */
static bool host_is_full(const struct stream_server *s)
{
	const struct stream_census *census = s->conf.census;
	return census && s->count >= s->conf.max_clients / LEAST_SHARE &&
	       census->all(census->ctx, s->conf.kind) >= s->conf.max_clients;
}

/* A proxy's connections are counted for its clients, once it has named them. Where others
 * of the host have too many, one of ours goes all the same: each bears its part. */
bool server_make_room(
	struct stream_server *s, const struct addr *from, enum stream_trust trust)
{
	if (trust != STREAM_BELIEVE && !client_make_room(s, from))
		return false;
	const bool full = s->count >= s->conf.max_clients || host_is_full(s);
	return !full || server_evict(s, NULL);
}
