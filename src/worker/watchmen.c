/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/watchmen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "shard.h"
#include "worker/steering.h"
#include "worker/worker.h"

enum {
	LOOK_S = 2,      /* one instance for all */
	LOOK_ALL_S = 10, /* each, for addresses that are its own */
	TIMES_TOLD = 3,  /* a new instance shows its own when it is ready */
	FOUND_MAX = 16,
};

static void show_cookie(struct worker *w, size_t *at, uint64_t cookie)
{
	for (size_t i = 0; i < *at; i++)
		if (w->stats->cookies[i] == cookie)
			return;
	if (*at < STATS_COOKIES)
		__atomic_store_n(&w->stats->cookies[(*at)++], cookie, __ATOMIC_RELAXED);
}

static void show(struct worker *w, size_t *at, int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0)
		show_cookie(w, at, cookie);
}

/* Ours, and those of a predecessor that serves beside us: our file hides its own. */
void watchmen_show(struct worker *w)
{
	size_t at = 0;
	if (w->before && !stats_alive(w->before)) {
		free(w->before);
		w->before = NULL;
	}
	for (size_t i = 0; i < w->listener_count; i++) {
		const struct listener *l = &w->listeners[i];
		show(w, &at, l->udp ? udp_server_fd(l->udp) : -1);
		show(w, &at, l->stream ? stream_server_fd(l->stream) : -1);
	}
	if (!w->too_many_told && at == STATS_COOKIES) {
		w->too_many_told = true;
		log_warning(NET,
			"with %d sockets or more an instance's own cannot be told from "
			"others': nobody looks for strangers on its addresses",
			STATS_COOKIES);
	}
	for (size_t i = 0; w->before && i < STATS_COOKIES && w->before->cookies[i]; i++)
		show_cookie(w, &at, w->before->cookies[i]);
	while (at < STATS_COOKIES)
		__atomic_store_n(&w->stats->cookies[at++], 0, __ATOMIC_RELAXED);
}

int watchmen_known(const char *run_folder, uint64_t known[static WATCHMEN_KNOWN_MAX])
{
	static char names[STATS_INSTANCES_MAX][64];
	struct stats_block *b = malloc(sizeof(*b));
	const size_t count = stats_names(run_folder, names, STATS_INSTANCES_MAX);
	int found = 0;
	bool more = !b; /* sockets than are shown */
	for (size_t i = 0; !more && i < count; i++) {
		if (!stats_read(run_folder, names[i], b))
			continue;
		more = stats_cookies_full(b);
		for (size_t k = 0; k < STATS_COOKIES && b->cookies[k]; k++)
			known[found++] = b->cookies[k];
	}
	free(b);
	return more ? -1 : found;
}

static void tell(
	const struct listener *l, const char *proto, const struct shard_socket *s)
{
	char text[ADDR_TEXT_MAX];
	log_error(NET,
		"%s %s: a socket of user id %u that is no instance's %s (inode "
		"%llu): `shoal doctor` as root tells more",
		proto, addr_to_text(&l->addr, text), s->uid,
		s->relation == SHARD_SAME
			? "is in the group"
			: "takes the queries of a more specific address",
		(unsigned long long)s->inode);
}

/* How many; those that are still there at the third look are told. */
static unsigned look(struct worker *w, const struct listener *l, bool udp,
	const uint64_t *known, int known_count)
{
	struct shard_socket found[FOUND_MAX];
	const int fd = udp ? udp_server_fd(l->udp) : stream_server_fd(l->stream);
	unsigned count = 0;
	bool inside = false;
	const int n = shard_strangers(fd, known, known_count, found, FOUND_MAX);
	for (int i = 0; i < n && i < FOUND_MAX; i++) {
		struct stranger *s = NULL, *room = NULL;
		inside |= found[i].relation == SHARD_SAME;
		for (size_t k = 0; k < STRANGERS_MAX; k++) {
			if (w->strangers[k].cookie == found[i].cookie)
				s = &w->strangers[k];
			else if (!w->strangers[k].seen)
				room = &w->strangers[k];
		}
		if (!s && room) {
			*room = (struct stranger){ .cookie = found[i].cookie };
			s = room;
		}
		if (!s)
			continue;
		s->seen = 2;
		if (s->times < TIMES_TOLD && ++s->times == TIMES_TOLD)
			tell(l, udp ? "udp" : "tcp", &found[i]);
		count += s->times == TIMES_TOLD;
	}
	if (inside)
		steering_against(w, l, udp);
	return count;
}

/* Is this the first one that turns? */
static bool is_first(const struct worker *w)
{
	static char names[STATS_INSTANCES_MAX][64];
	const int64_t now_us = loop_now(w->loop)->mono_us;
	struct stats_block *b = malloc(sizeof(*b));
	const size_t count = stats_names(w->run_folder, names, STATS_INSTANCES_MAX);
	bool other = false;
	for (size_t i = 0; b && !other && i < count; i++) {
		if (strcmp(names[i], w->name) == 0)
			break;
		other = stats_read(w->run_folder, names[i], b) &&
			b->state == STATE_READY && stats_alive(b) &&
			now_us - b->beat_mono_us < LOOK_S * 1000000;
	}
	free(b);
	return !other;
}

void watchmen_tick(struct worker *w)
{
	if (w->stopping || ++w->watch_seconds % LOOK_S)
		return;
	if (w->before && !stats_alive(w->before))
		watchmen_show(w);
	if (w->succeeded_s) {
		/* nobody's file shows our own sockets, and others watch now */
		counter_set(w->counters, strangers, 0);
		return;
	}
	if (!is_first(w) && w->watch_seconds % LOOK_ALL_S)
		return;
	uint64_t *known = calloc(WATCHMEN_KNOWN_MAX, sizeof(*known));
	const int count = known ? watchmen_known(w->run_folder, known) : -1;
	unsigned strangers = 0;
	for (size_t k = 0; k < STRANGERS_MAX; k++) {
		struct stranger *s = &w->strangers[k];
		if (s->seen && !--s->seen)
			*s = (struct stranger){ 0 };
	}
	for (size_t i = 0; count >= 0 && i < w->listener_count; i++) {
		const struct listener *l = &w->listeners[i];
		if (l->udp)
			strangers += look(w, l, true, known, count);
		if (l->stream)
			strangers += look(w, l, false, known, count);
	}
	counter_set(w->counters, strangers, strangers);
	free(known);
}
