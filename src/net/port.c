/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Invariant: a port is in the list and in a bucket exactly while fn is NULL and it was
 * kept; it is watched, at the same place, from ports_add() to its end, so that lending it
 * costs no system call. */
#include "net/port.h"

#include <assert.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/limits.h"

enum {
	BUCKETS = 512, /* power of two */
	LIFE_US = LIMIT_PORT_LIFE_MS * 1000,
};

struct ports {
	struct loop *loop;
	struct counters *counters;
	struct hash_key key;
	struct port *buckets[BUCKETS];
	struct port *oldest, *newest; /* by when they were kept */
	size_t count;
	struct timer timer;
};

static struct port **bucket_of(struct ports *ps, const struct addr *server)
{
	return &ps->buckets[hash_sip13(&ps->key, server->ip, sizeof(server->ip)) &
			    (BUCKETS - 1)];
}

/* Not kept any more. */
static void take_out(struct port *p)
{
	struct ports *ps = p->ports;
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	*(p->older ? &p->older->newer : &ps->oldest) = p->newer;
	*(p->newer ? &p->newer->older : &ps->newest) = p->older;
	ps->count--;
}

static void drop_kept(struct port *p)
{
	take_out(p);
	ports_close(p);
}

static void ready(void *ctx, unsigned events)
{
	struct port *p = ctx;
	(void)events;
	if (p->fn) {
		p->fn(p->ctx);
		return;
	}
	/* a repeat by the network, an ICMP error or a guess: whoever it was knows more
	 * of this port than is good */
	counter_up(p->ports->counters, upstream_ports_strays);
	drop_kept(p);
}

static bool is_old(const struct port *p)
{
	return loop_now(p->ports->loop)->mono_us - p->opened_us >= LIFE_US;
}

static void expire(void *ctx)
{
	struct ports *ps = ctx;
	struct port *newer;
	for (struct port *p = ps->oldest; p; p = newer) {
		newer = p->newer;
		if (is_old(p))
			drop_kept(p);
	}
	if (ps->count)
		loop_timer_set(ps->loop, &ps->timer,
			loop_now(ps->loop)->mono_us + LIFE_US / 2, expire, ps);
}

struct port *ports_take(struct ports *ps, const struct addr *server)
{
	struct port *next;
	for (struct port *p = *bucket_of(ps, server); p; p = next) {
		next = p->next;
		if (!addr_equal(&p->server, server))
			continue;
		if (is_old(p)) {
			drop_kept(p);
			continue;
		}
		take_out(p);
		p->questions++;
		counter_up(ps->counters, upstream_ports_reused);
		return p;
	}
	return NULL;
}

struct port *ports_add(struct ports *ps, int fd, const struct addr *server)
{
	struct port *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->fd = fd;
	p->server = *server;
	p->ports = ps;
	p->opened_us = loop_now(ps->loop)->mono_us;
	p->questions = 1;
	if (loop_watch(ps->loop, &p->watch, fd, LOOP_READ, ready, p) == 0)
		return p;
	free(p);
	return NULL;
}

void ports_keep(struct port *p)
{
	struct ports *ps = p->ports;
	if (p->questions >= LIMIT_PORT_QUESTIONS || is_old(p)) {
		ports_close(p);
		return;
	}
	if (ps->count >= LIMIT_PORTS_KEPT) {
		counter_up(ps->counters, upstream_ports_shed);
		drop_kept(ps->oldest);
	}
	p->fn = NULL;
	p->older = ps->newest;
	p->newer = NULL;
	*(ps->newest ? &ps->newest->newer : &ps->oldest) = p;
	ps->newest = p;
	p->link = bucket_of(ps, &p->server);
	p->next = *p->link;
	if (p->next)
		p->next->link = &p->next;
	*p->link = p;
	ps->count++;
	if (!loop_timer_is_set(&ps->timer))
		loop_timer_set(ps->loop, &ps->timer,
			loop_now(ps->loop)->mono_us + LIFE_US, expire, ps);
}

void ports_close(struct port *p)
{
	loop_unwatch_close(p->ports->loop, &p->watch, &p->fd);
	free(p);
}

int ports_release(struct port *p)
{
	const int fd = p->fd;
	loop_unwatch(p->ports->loop, &p->watch);
	free(p);
	return fd;
}

bool ports_shed(struct ports *ps)
{
	if (!ps->oldest)
		return false;
	counter_up(ps->counters, upstream_ports_shed);
	drop_kept(ps->oldest);
	return true;
}

void ports_forget(struct ports *ps)
{
	while (ps->oldest) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it left the list */
		drop_kept(ps->oldest);
	loop_timer_clear(ps->loop, &ps->timer);
}

size_t ports_kept(const struct ports *ps)
{
	return ps->count;
}

struct ports *ports_new(struct loop *l, struct random *rnd, struct counters *counters)
{
	struct ports *ps = calloc(1, sizeof(*ps));
	if (!ps)
		return NULL;
	ps->loop = l;
	ps->counters = counters;
	random_fill(rnd, &ps->key, sizeof(ps->key));
	return ps;
}

void ports_free(struct ports *ps)
{
	if (!ps)
		return;
	ports_forget(ps);
	free(ps);
}
