/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/late.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/limits.h"

enum {
	HEADER = 12,
	QR = 0x80,
	KEEP_US = 3000 * 1000,
	LOOK_BACK = 8, /* a repeat follows its time-out: it is among the newest */
	MESSAGE_MAX = 4096,
	READS = 4, /* forged answers must not hold the loop */
};

struct late_socket {
	struct late *late;
	struct addr server;
	struct late_mark mark;
	int64_t sent_us, expire_us;
	int fd;
	struct watch watch;
	struct late_socket *older, *newer;
};

struct late {
	struct loop *loop;
	struct counters *counters;
	late_fn *fn;
	void *ctx;
	struct hash_key key;
	struct late_socket *oldest, *newest;
	size_t count;
	struct timer timer;
};

static uint64_t hash_of(
	const struct late *l, const uint8_t *id, const uint8_t *question, size_t len)
{
	struct hash_state h;
	hash_begin(&h, &l->key);
	hash_add(&h, id, 2);
	hash_add(&h, question, len);
	return hash_end(&h);
}

void late_mark(
	const struct late *l, const uint8_t *msg, size_t len, struct late_mark *out)
{
	*out = (struct late_mark){ 0 };
	size_t at = HEADER;
	/* our own message: one question, no pointers */
	while (at < len && msg[at] && msg[at] < 64)
		at += msg[at] + 1u;
	at += 5;
	if (at > len || msg[4] || msg[5] != 1)
		return;
	out->len = (uint16_t)(at - HEADER);
	out->hash = hash_of(l, msg, msg + HEADER, out->len);
}

bool late_fits(const struct late *l, const struct late_mark *mark, const uint8_t *msg,
	size_t len)
{
	return mark->len && len >= HEADER + (size_t)mark->len && msg[2] & QR &&
	       hash_of(l, msg, msg + HEADER, mark->len) == mark->hash;
}

/* Out of the list; the descriptor is the caller's. */
static int release(struct late_socket *s)
{
	struct late *l = s->late;
	const int fd = s->fd;
	*(s->older ? &s->older->newer : &l->oldest) = s->newer;
	*(s->newer ? &s->newer->older : &l->newest) = s->older;
	l->count--;
	loop_unwatch(l->loop, &s->watch);
	free(s);
	return fd;
}

static void drop(struct late_socket *s)
{
	int fd = release(s);
	fd_close(&fd);
}

static void ready(void *ctx, unsigned events)
{
	struct late_socket *s = ctx;
	uint8_t msg[MESSAGE_MAX];
	(void)events;
	for (int i = 0; i < READS; i++) {
		const ssize_t n = recv(s->fd, msg, sizeof(msg), MSG_DONTWAIT);
		if (n < 0 || !late_fits(s->late, &s->mark, msg, (size_t)n))
			continue;
		struct late *l = s->late;
		const struct addr server = s->server;
		const int64_t rtt_us = loop_now(l->loop)->mono_us - s->sent_us;
		drop(s);
		counter_up(l->counters, upstream_late);
		l->fn(l->ctx, &server, rtt_us);
		return;
	}
}

static void expire(void *ctx)
{
	struct late *l = ctx;
	const int64_t now_us = loop_now(l->loop)->mono_us;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who is dropped left the list */
	while (l->oldest && l->oldest->expire_us <= now_us)
		drop(l->oldest);
	if (l->oldest)
		loop_timer_set(l->loop, &l->timer, l->oldest->expire_us, expire, l);
}

void late_keep(struct late *l, int fd, const struct addr *server,
	const struct late_mark *mark, int64_t sent_us)
{
	struct late_socket *s = mark->len ? calloc(1, sizeof(*s)) : NULL;
	if (!s) {
		fd_close(&fd);
		return;
	}
	if (l->count >= LIMIT_ASKS_LATE)
		late_shed(l);
	*s = (struct late_socket){ .late = l,
		.server = *server,
		.mark = *mark,
		.sent_us = sent_us,
		.expire_us = loop_now(l->loop)->mono_us + KEEP_US,
		.fd = fd,
		.older = l->newest };
	*(l->newest ? &l->newest->newer : &l->oldest) = s;
	l->newest = s;
	l->count++;
	if (loop_watch(l->loop, &s->watch, fd, LOOP_READ, ready, s))
		drop(s);
	else if (!loop_timer_is_set(&l->timer))
		loop_timer_set(l->loop, &l->timer, s->expire_us, expire, l);
}

int late_take(struct late *l, const struct addr *server, const struct late_mark *mark)
{
	struct late_socket *s = l->newest;
	for (int i = 0; mark->len && s && i < LOOK_BACK; i++, s = s->older)
		if (s->mark.len == mark->len && s->mark.hash == mark->hash &&
			addr_equal(&s->server, server))
			return release(s);
	return -1;
}

bool late_shed(struct late *l)
{
	if (!l->oldest)
		return false;
	counter_up(l->counters, upstream_late_shed);
	drop(l->oldest);
	return true;
}

size_t late_count(const struct late *l)
{
	return l->count;
}

struct late *late_new(struct loop *loop, struct random *rnd, struct counters *counters,
	late_fn *fn, void *ctx)
{
	struct late *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->loop = loop;
	l->counters = counters;
	l->fn = fn;
	l->ctx = ctx;
	random_fill(rnd, &l->key, sizeof(l->key));
	return l;
}

void late_free(struct late *l)
{
	if (!l)
		return;
	while (l->oldest) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it left the list */
		drop(l->oldest);
	loop_timer_clear(l->loop, &l->timer);
	free(l);
}
