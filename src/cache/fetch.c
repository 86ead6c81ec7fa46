/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/fetch.c - joins equal fetches of one process: a hash table of fetches, each
 * with its owner's lease, the line of those who wait, and for a second its result.
 *
 * With a host table behind it, an entry either holds the host's row (one of ours owns
 * the fetch), or is foreign: another instance asks, and all of ours wait in line. */
#include "cache/fetch.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cache/flight.h"

enum { KEEP_US = 1000000 }; /* results, for late comers */

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): it loses sight of nodes leaving lists */
struct link {
	struct link *next, *prev;
};

/* Wakes run other code, which may come back here: bytes live as long as someone uses
 * them. */
struct result {
	unsigned users;
	size_t len;
	uint8_t bytes[];
};

struct entry {
	struct link in_bucket;
	struct link in_age; /* of those with a result, oldest first */
	struct link waiting;
	struct link in_foreign; /* of those that another instance asks */
	struct link in_busy;    /* at least while it has an owner, or somebody waits */
	struct flight flight;
	struct fetch_key key;
	struct fetch *owner; /* NULL: nobody's at the moment */
	int64_t lease_end_us;
	struct result *result;
	int64_t result_end_us;
};

struct fetch {
	struct link in_line; /* while waiting */
	struct entry *entry; /* NULL: an owner whose lease another took over */
	void *waiter;
	struct fetch_key key; /* to find the entry again when it was taken over */
	int64_t lease_us;
};

struct fetch_table {
	fetch_wake_fn *wake;
	void *ctx;
	size_t max, entries, handles, result_bytes;
	size_t mask;
	struct link *buckets;
	struct link by_age;
	struct link foreign;
	struct link busy; /* a tick looks at these, not at a second's results */
	struct flight_table *host; /* NULL: not shared */
	uint64_t host_joined;
	struct result *last; /* what the last fetch_join lent */
};

#define owner_of_link(link, type, member)                                              \
	((type *)(void *)((char *)(link)-offsetof(type, member)))

static void link_init(struct link *l)
{
	l->next = l->prev = l;
}

static void link_push(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static void link_drop(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

static bool link_empty(const struct link *l)
{
	return l->next == l;
}

/* --- the table --------------------------------------------------- */

struct fetch_table *fetch_table_new(size_t max, fetch_wake_fn *wake, void *ctx)
{
	struct fetch_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	size_t buckets = 16;
	while (buckets < max)
		buckets *= 2;
	t->buckets = malloc(buckets * sizeof(*t->buckets));
	if (!t->buckets) {
		free(t);
		return NULL;
	}
	for (size_t i = 0; i < buckets; i++)
		link_init(&t->buckets[i]);
	link_init(&t->by_age);
	link_init(&t->foreign);
	link_init(&t->busy);
	t->mask = buckets - 1;
	t->max = max;
	t->wake = wake;
	t->ctx = ctx;
	return t;
}

static void result_release(struct result *r)
{
	if (r && --r->users == 0)
		free(r);
}

static void result_forget(struct fetch_table *t, struct entry *e)
{
	link_drop(&e->in_age);
	if (!e->result)
		return;
	t->result_bytes -= e->result->len;
	result_release(e->result);
	e->result = NULL;
}

static void entry_free(struct fetch_table *t, struct entry *e)
{
	result_forget(t, e);
	link_drop(&e->in_foreign);
	link_drop(&e->in_busy);
	if (e->flight.held)
		flight_release(t->host, &e->flight);
	link_drop(&e->in_bucket);
	t->entries--;
	free(e);
}

/* Nobody owns it, waits for it or could use its result. */
static void entry_tidy(struct fetch_table *t, struct entry *e)
{
	if (!e->owner && !e->result && link_empty(&e->waiting))
		entry_free(t, e);
}

static struct link *bucket_of(const struct fetch_table *t, const struct fetch_key *key)
{
	return &t->buckets[key->h[0] & t->mask];
}

static struct entry *entry_find(
	const struct fetch_table *t, const struct fetch_key *key)
{
	struct link *bucket = bucket_of(t, key);
	for (struct link *l = bucket->next; l != bucket; l = l->next) {
		struct entry *e = owner_of_link(l, struct entry, in_bucket);
		if (e->key.h[0] == key->h[0] && e->key.h[1] == key->h[1])
			return e;
	}
	return NULL;
}

static struct entry *entry_new(struct fetch_table *t, const struct fetch_key *key)
{
	/* glibc's calloc never gives what was freed last, which is warm */
	struct entry *e = malloc(sizeof(*e));
	if (!e)
		return NULL;
	*e = (struct entry){ .key = *key };
	link_init(&e->in_age);
	link_init(&e->in_foreign);
	link_init(&e->in_busy);
	link_init(&e->waiting);
	link_push(bucket_of(t, key), &e->in_bucket);
	t->entries++;
	return e;
}

static void make_busy(struct fetch_table *t, struct entry *e)
{
	link_drop(&e->in_busy);
	link_push(&t->busy, &e->in_busy);
}

static void handle_free(struct fetch_table *t, struct fetch *f)
{
	link_drop(&f->in_line);
	t->handles--;
	free(f);
}

static void drop_oldest_result(struct fetch_table *t)
{
	struct entry *e = owner_of_link(t->by_age.next, struct entry, in_age);
	result_forget(t, e);
	entry_tidy(t, e);
}

void fetch_table_free(struct fetch_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i <= t->mask; i++) {
		while (!link_empty(&t->buckets[i])) {
			struct entry *e = owner_of_link(
				t->buckets[i].next, struct entry, in_bucket);
			while (!link_empty(&e->waiting))
				handle_free(t, owner_of_link(e->waiting.next,
						       struct fetch, in_line));
			if (e->owner)
				handle_free(t, e->owner);
			entry_free(t, e);
		}
	}
	flight_close(t->host);
	result_release(t->last);
	free(t->buckets);
	free(t);
}

/* --- joining ----------------------------------------------------- */

static int64_t host_lease_us(int64_t lease_us)
{
	return lease_us < FLIGHT_LEASE_US ? lease_us : FLIGHT_LEASE_US;
}

static void own(
	struct fetch_table *t, struct entry *e, struct fetch *f, const struct now *now)
{
	if (e->owner)
		e->owner->entry = NULL; /* too late; it may still publish */
	e->owner = f;
	make_busy(t, e);
	e->lease_end_us = now->mono_us + f->lease_us;
	if (e->flight.held)
		flight_renew(t->host, &e->flight, now, host_lease_us(f->lease_us));
}

/* May one of ours own it? */
static enum flight_role host_join(struct fetch_table *t, struct entry *e,
	const struct now *now, int64_t lease_us, const uint8_t **pkt, size_t *len)
{
	if (!t->host)
		return FLIGHT_NONE;
	if (e->flight.held)
		return FLIGHT_OWNED;
	const enum flight_role role = flight_join(
		t->host, &e->key, now, host_lease_us(lease_us), &e->flight, pkt, len);
	link_drop(&e->in_foreign);
	if (role == FLIGHT_TAKEN)
		link_push(&t->foreign, &e->in_foreign);
	return role;
}

static bool make_room(struct fetch_table *t)
{
	while (t->entries >= t->max && !link_empty(&t->by_age))
		drop_oldest_result(t);
	return t->entries < t->max;
}

static void lend(
	struct fetch_table *t, struct result *r, const uint8_t **pkt, size_t *len)
{
	r->users++;
	result_release(t->last);
	t->last = r;
	*pkt = r->bytes;
	*len = r->len;
}

enum fetch_role fetch_join(struct fetch_table *t, const struct fetch_key *key,
	const struct now *now, int64_t lease_us, void *waiter, struct fetch **out,
	const uint8_t **pkt, size_t *len)
{
	*out = NULL;
	*pkt = NULL;
	*len = 0;
	struct entry *e = entry_find(t, key);
	if (e && e->result && now->mono_us < e->result_end_us) {
		lend(t, e->result, pkt, len);
		return FETCH_RESULT;
	}
	if (t->handles >= LIMIT_WAITERS || (!e && !make_room(t)))
		return FETCH_ALONE;
	struct fetch *f = calloc(1, sizeof(*f));
	if (!f)
		return FETCH_ALONE;
	if (!e)
		e = entry_new(t, key);
	if (!e) {
		free(f);
		return FETCH_ALONE;
	}
	t->handles++;
	link_init(&f->in_line);
	f->entry = e;
	f->key = *key;
	f->waiter = waiter;
	f->lease_us = lease_us;
	*out = f;
	/* those who wait already take over first, at the next tick */
	if ((e->owner && now->mono_us < e->lease_end_us) || !link_empty(&e->waiting)) {
		link_push(&e->waiting, &f->in_line);
		make_busy(t, e);
		return FETCH_WAITER;
	}
	switch (host_join(t, e, now, lease_us, pkt, len)) {
	case FLIGHT_TAKEN:
		t->host_joined++;
		link_push(&e->waiting, &f->in_line);
		make_busy(t, e);
		return FETCH_WAITER;
	case FLIGHT_RESULT:
		t->host_joined++;
		*out = NULL;
		handle_free(t, f);
		entry_tidy(t, e);
		return FETCH_RESULT;
	case FLIGHT_OWNED:
	case FLIGHT_NONE:
		break;
	}
	own(t, e, f, now);
	return FETCH_OWNER;
}

/* --- ending ------------------------------------------------------ */

static struct fetch *first_waiting(const struct entry *e)
{
	if (link_empty(&e->waiting))
		return NULL;
	return owner_of_link(e->waiting.next, struct fetch, in_line);
}

static struct result *result_new(const uint8_t *pkt, size_t len)
{
	struct result *r = malloc(sizeof(*r) + len);
	if (!r)
		return NULL;
	r->users = 1;
	r->len = len;
	if (len)
		memcpy(r->bytes, pkt, len);
	return r;
}

static void keep_result(
	struct fetch_table *t, struct entry *e, struct result *r, const struct now *now)
{
	result_forget(t, e);
	while (t->result_bytes + r->len > LIMIT_FETCH_RESULTS &&
		!link_empty(&t->by_age))
		drop_oldest_result(t);
	r->users++;
	e->result = r;
	e->result_end_us = now->mono_us + KEEP_US;
	t->result_bytes += r->len;
	link_push(&t->by_age, &e->in_age);
}

/* To all of ours who wait. A wake may join, leave or publish: `e` may be gone then. */
static void deliver(struct fetch_table *t, struct entry *e, struct result *r)
{
	struct link woken;
	link_init(&woken);
	while (!link_empty(&e->waiting)) {
		struct link *l = e->waiting.next;
		link_drop(l);
		link_push(&woken, l);
		owner_of_link(l, struct fetch, in_line)->entry = NULL;
	}
	entry_tidy(t, e);
	while (!link_empty(&woken)) {
		struct fetch *f = owner_of_link(woken.next, struct fetch, in_line);
		void *waiter = f->waiter;
		handle_free(t, f);
		t->wake(t->ctx, waiter, FETCH_WAKE_RESULT, r->bytes, r->len);
	}
}

/* Nobody of ours owns it: the longest waiting one becomes the owner, unless another
 * instance asks by now or has the result. */
static void hand_over(struct fetch_table *t, struct entry *e, const struct now *now)
{
	struct fetch *next = first_waiting(e);
	const uint8_t *pkt = NULL;
	size_t len = 0;
	if (!next) {
		entry_tidy(t, e);
		return;
	}
	switch (host_join(t, e, now, next->lease_us, &pkt, &len)) {
	case FLIGHT_TAKEN:
		return;
	case FLIGHT_RESULT: {
		struct result *r = result_new(pkt, len);
		if (!r)
			break; /* ask ourselves */
		deliver(t, e, r);
		result_release(r);
		return;
	}
	case FLIGHT_OWNED:
	case FLIGHT_NONE:
		break;
	}
	link_drop(&next->in_line);
	own(t, e, next, now);
	t->wake(t->ctx, next->waiter, FETCH_WAKE_TAKE_OVER, NULL, 0);
}

void fetch_publish(struct fetch_table *t, struct fetch *own, const struct now *now,
	const uint8_t *pkt, size_t len)
{
	const struct fetch_key key = own->key;
	if (own->entry && own->entry->owner == own)
		own->entry->owner = NULL;
	handle_free(t, own);
	struct entry *e = entry_find(t, &key);
	struct result *r = e ? result_new(pkt, len) : NULL;
	if (t->host) {
		struct flight none = { 0 };
		flight_publish(t->host, e ? &e->flight : &none, &key, now, pkt, len);
	}
	if (!r) { /* no memory: as if it had been given up */
		if (e && !e->owner)
			hand_over(t, e, now);
		return;
	}
	keep_result(t, e, r, now);
	link_drop(&e->in_foreign);
	deliver(t, e, r);
	result_release(r);
}

void fetch_abandon(struct fetch_table *t, struct fetch *own, const struct now *now)
{
	struct entry *e = own->entry;
	handle_free(t, own);
	if (!e) /* another took over long ago */
		return;
	e->owner = NULL;
	if (link_empty(&e->waiting) && e->flight.held)
		flight_release(t->host, &e->flight);
	hand_over(t, e, now);
}

bool fetch_owns(struct fetch_table *t, struct fetch *own, const struct now *now)
{
	struct entry *e = own->entry;
	if (!e || e->owner != own)
		return false;
	e->lease_end_us = now->mono_us + own->lease_us;
	return !t->host ||
	       flight_renew(t->host, &e->flight, now, host_lease_us(own->lease_us));
}

void fetch_leave(struct fetch_table *t, struct fetch *waiting)
{
	struct entry *e = waiting->entry;
	handle_free(t, waiting);
	if (e)
		entry_tidy(t, e);
}

/* --- time -------------------------------------------------------- */

static bool lapsed(const struct entry *e, const struct now *now)
{
	return !link_empty(&e->waiting) && link_empty(&e->in_foreign) &&
	       (!e->owner || now->mono_us >= e->lease_end_us);
}

/* A foreign entry is over when host_join says so. Each is looked at once: those that
 * stay go back to the list. */
static void look_at_foreign(struct fetch_table *t, const struct now *now)
{
	struct link looked;
	link_init(&looked);
	while (!link_empty(&t->foreign)) {
		struct link *l = t->foreign.next;
		link_drop(l);
		link_push(&looked, l);
	}
	while (!link_empty(&looked)) {
		struct entry *e = owner_of_link(looked.next, struct entry, in_foreign);
		link_drop(&e->in_foreign);
		if (!e->owner || now->mono_us >= e->lease_end_us)
			hand_over(t, e, now);
	}
}

/* As long as ours keeps its own lease. Lost: its answer is still as good. */
static void renew(struct fetch_table *t, struct entry *e, const struct now *now)
{
	const int64_t left = e->lease_end_us - now->mono_us;
	if (e->flight.held && e->owner && left > 0)
		flight_renew(t->host, &e->flight, now, host_lease_us(left));
}

/* Wakes run other code, which may free any entry and add others: each that stands here
 * now is looked at once, and goes back while there is something to look at. */
static void look_at_busy(struct fetch_table *t, const struct now *now)
{
	struct link looked;
	link_init(&looked);
	while (!link_empty(&t->busy)) {
		struct link *l = t->busy.next;
		link_drop(l);
		link_push(&looked, l);
	}
	while (!link_empty(&looked)) {
		struct entry *e = owner_of_link(looked.next, struct entry, in_busy);
		link_drop(&e->in_busy);
		if (!e->owner && link_empty(&e->waiting))
			continue;
		link_push(&t->busy, &e->in_busy);
		renew(t, e, now);
		if (lapsed(e, now))
			hand_over(t, e, now);
	}
}

void fetch_tick(struct fetch_table *t, const struct now *now)
{
	while (!link_empty(&t->by_age)) {
		struct entry *e = owner_of_link(t->by_age.next, struct entry, in_age);
		if (e->result_end_us > now->mono_us)
			break;
		drop_oldest_result(t);
	}
	look_at_busy(t, now);
	look_at_foreign(t, now);
}

/* --- with the other instances ------------------------------------ */

bool fetch_share(struct fetch_table *t, const char *run_folder, struct random *rnd)
{
	t->host = flight_open(run_folder, rnd);
	return t->host;
}

int fetch_fd(const struct fetch_table *t)
{
	return t->host ? flight_wake_fd(t->host) : -1;
}

void fetch_moved(struct fetch_table *t, const struct now *now)
{
	if (!t->host)
		return;
	flight_wake_drain(t->host);
	look_at_foreign(t, now);
}

void fetch_check(struct fetch_table *t)
{
	if (t->host)
		flight_check(t->host);
}

struct fetch_numbers fetch_numbers(const struct fetch_table *t)
{
	struct fetch_numbers n = { .host_joined = t->host_joined };
	if (t->host) {
		const struct flight_numbers host = flight_numbers(t->host);
		n.taken_over = host.taken_over;
		n.damaged = host.damaged;
		n.shared = host.shared;
	}
	return n;
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */
