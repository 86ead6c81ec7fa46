/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/segment.c - which file is the cache of this run folder: opening, following,
 * another size.
 *
 * A file that can be used is just opened. Whoever puts another in its place (another size;
 * what lies there is damaged or has its day behind it) holds the folder's lock, and
 *                                               if it dies after this step
 *  1 makes the new file, without a name          nothing happened
 *  2 marks the old one `replaced`                who comes next makes one anew
 *  3 carries over what was cleared meanwhile     the same
 *  4 gives the new file the name                 done
 * From 2 on nobody uses the old one, and until 4 there is none: all is a miss. So what is
 * read is never in one segment while a clear goes to another. A clear looks at the mark
 * after its line stands: no mark, and 3 carries it; a mark, and it is done again in the
 * successor before it returns. How many successors came while a process slept does not
 * matter: it sees the mark and opens the last. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cache/answer.h"
#include "cache/cleared.h"
#include "cache/state.h"

enum {
	PRIVATE_RETRY_S = 30, /* a private segment looks for a file again */
	START_TRIES = 600,
	START_PAUSE_US = 5000,
	REMAP_RETRY_US = 1000,
	LEAVE_TRIES = 40,
	SYNC_WAIT_US = 1000 * 1000,
	SYNC_NOW_US =
		100 * 1000, /* as long as the loop may stand still for an operator */
	SYNC_POLL_US = 200,
	NICE = 19,
};

#define CACHE_MAGIC UINT64_C(0x6568636163216873) /* "sh!cache" */

struct path {
	char text[256];
};

static struct path path_of(const struct cache *c)
{
	struct path p;
	snprintf(p.text, sizeof(p.text), "%s/shm/cache-v%d", c->folder, CACHE_LAYOUT);
	return p;
}

/* --- the lock ---------------------------------------------------- */

/* Its death frees it. One that is stopped with it must not keep others waiting for long;
 * they go without a new file. -EWOULDBLOCK, or another error. */
static int lock_take(struct cache *c, unsigned tries)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/shm/cache.lock", c->folder);
	c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err = c->lock < 0 ? -errno : -EWOULDBLOCK;
	for (unsigned i = 0; c->lock >= 0; i++) {
		if (flock(c->lock, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (i == tries)
			fd_close(&c->lock);
		else
			usleep(START_PAUSE_US);
	}
	return err;
}

static void lock_drop(struct cache *c)
{
	fd_close(&c->lock);
}

/* --- opening ----------------------------------------------------- */

static void format(void *base, size_t size, void *ctx)
{
	struct shared_secrets secrets;
	random_fill(ctx, &secrets, sizeof(secrets));
	shared_format(base, size, &secrets);
}

static struct shm_want want_of(const struct cache *c, const struct path *path)
{
	return (struct shm_want){
		.path = path->text,
		.magic = CACHE_MAGIC,
		.layout = CACHE_LAYOUT,
		.size = c->want_size,
		.any_size = true,
		.any_size_alone = true,
		.lazy = true,
		.mode = 0600,
		.format = format,
		.ctx = c->rnd,
	};
}

/* The segment behind `next` becomes ours; false: its head is damaged. */
static bool attach(struct cache *c, struct shm *next)
{
	struct shared shared;
	if (!shared_attach(&shared, next->base, next->size))
		return false;
	shm_close(&c->shm);
	c->shm = *next;
	c->shared = shared;
	c->clear.generation = 0;
	stay_start(c);
	c->is_private = c->shm.fd < 0;
	c->reserved = c->is_private;
	c->wants_huge = false;
	return true;
}

/* What is there, if it can be used. */
static bool take(struct cache *c)
{
	struct shm next;
	char reason[256];
	const struct path path = path_of(c);
	struct shm_want want = want_of(c, &path);
	want.existing = true;
	if (shm_open_file(&next, &want, reason) != SHM_OPENED)
		return false;
	if (attach(c, &next))
		return true;
	shm_close(&next);
	return false;
}

/* With the lock, or without a file. `quiet`: a retry, of which only success is news. */
static bool make(struct cache *c, bool fresh, bool quiet)
{
	struct shm next;
	char reason[256] = "the lock beside it is held";
	const struct path path = path_of(c);
	struct shm_want want = want_of(c, &path);
	want.fresh = fresh;
	const enum shm_result how = c->lock >= 0 ? shm_open_file(&next, &want, reason)
						 : shm_open_private(&next, &want);
	if (how == SHM_FAILED)
		return false;
	if (how == SHM_ANONYMOUS && quiet && !shm_replaced(&c->shm)) {
		shm_close(&next); /* still none: keep what is cached */
		return true;
	}
	if (how == SHM_ANONYMOUS && !quiet)
		log_warning(CACHE, "%s: %s; this instance has a private cache",
			path.text, reason);
	else if (how == SHM_CREATED && reason[0])
		log_warning(CACHE, "%s: %s; made anew", path.text, reason);
	c->is_new = c->is_new || how == SHM_CREATED;
	if (attach(c, &next))
		return true;
	log_warning(CACHE, "%s: its head is damaged; made anew", path.text);
	shm_close(&next);
	return !fresh && make(c, true, quiet);
}

/* Another one, without waiting. False: somebody is about to put one there. */
static bool reopen(struct cache *c, bool quiet)
{
	if (take(c))
		return true;
	if (c->existing)
		return false;
	const int err = lock_take(c, 0);
	if (err == -EWOULDBLOCK)
		return false;
	const bool fine = make(c, false, quiet);
	lock_drop(c);
	return fine;
}

bool segment_follow(struct cache *c, const struct now *now)
{
	if (now->mono_us < c->remap_us)
		return false;
	if (reopen(c, true))
		counter_up(c->counters, cache_reopened);
	else
		c->remap_us = now->mono_us + REMAP_RETRY_US;
	return !shm_replaced(&c->shm);
}

/* --- in the background ------------------------------------------- */

static int reserve_child(void *ctx)
{
	struct cache *c = ctx;
	return shm_reserve(&c->shm);
}

/* A large file's blocks take a second: an answer does not wait for them. Until they are
 * there a full disk would be SIGBUS, which costs the mapping (shm/guard.c). */
static void reserve_blocks(struct cache *c)
{
	int err = 0;
	const bool ended = chore_ended(&c->reserver, &err);
	c->wants_huge = c->wants_huge || (ended && !err);
	if (ended && err == -ENOSPC && lock_take(c, 0) == 0) {
		log_warning(CACHE, "%s: no room for all of its %zu bytes", c->shm.path,
			c->shm.size);
		shm_give_up(
			&c->shm); /* those who come find out that there is no room */
		lock_drop(c);
	}
	if (c->reserved || c->reserver.pid || err)
		return;
	c->reserved = shm_reserved(&c->shm);
	if (!c->reserved)
		chore_begin(&c->reserver, reserve_child, c, c->shm.fd, NICE);
}

static int huge_child(void *ctx)
{
	struct cache *c = ctx;
	return shm_make_huge(&c->shm) ? 0 : -EOPNOTSUPP;
}

/* A tick after the blocks are there. Small pages serve as well, so a failure is no news. */
static void grow_pages(struct cache *c)
{
	int err = 0;
	(void)chore_ended(&c->grower, &err);
	if (!c->wants_huge || c->grower.pid)
		return;
	c->wants_huge = false;
	chore_begin(&c->grower, huge_child, c, c->shm.fd, 0);
}

static int sync_child(void *ctx)
{
	struct cache *c = ctx;
	return cleared_sync(c->unsynced);
}

/* False: the last one is still at it. */
static bool sync_ended(struct cache *c)
{
	int err = 0;
	if (chore_ended(&c->syncer, &err) && err)
		log_warning(CACHE,
			"the list of clears beside the snapshot: %s; one may not "
			"survive"
			" a power failure",
			strerror(-err));
	return !c->syncer.pid;
}

static void sync_begin(struct cache *c)
{
	if (c->unsynced[0] && chore_begin(&c->syncer, sync_child, c, -1, 0) == 0)
		c->unsynced[0] = 0;
}

static bool sync_wait(struct cache *c, int64_t end_us)
{
	while (!sync_ended(c)) {
		if (clock_read().mono_us >= end_us)
			return false;
		usleep(SYNC_POLL_US);
	}
	return true;
}

bool cache_settle_clears(struct cache *c)
{
	const int64_t end_us = clock_read().mono_us + SYNC_NOW_US;
	if (!c->unsynced[0])
		return true;
	if (!sync_wait(c, end_us))
		return false;
	sync_begin(c);
	return sync_wait(c, end_us);
}

static void sync_clears(struct cache *c)
{
	if (sync_ended(c))
		sync_begin(c);
}

void cache_tick(struct cache *c, const struct now *now)
{
	grow_pages(c);
	reserve_blocks(c);
	sync_clears(c);
	const bool cut = shm_was_cut(&c->shm);
	bool again = cut || shm_replaced(&c->shm) || !shm_current(&c->shm);
	bool quiet = false;
	if (!again && c->is_private && now->mono_us >= c->retry_mono_us) {
		c->retry_mono_us = now->mono_us + PRIVATE_RETRY_S * INT64_C(1000000);
		again = quiet = true;
	}
	if (!again)
		return;
	if (cut)
		log_warning(CACHE,
			"%s was truncated while in use, or there is no room for a page "
			"of it",
			c->shm.path);
	const void *before = c->shm.base;
	if (reopen(c, quiet) && c->shm.base != before)
		counter_up(c->counters, cache_reopened);
}

/* --- another size ------------------------------------------------ */

struct move {
	struct cache *c;
	struct shared to;
	uint64_t generation; /* there */
	uint64_t from;       /* and here, read before the first entry */
	uint64_t moved;
};

static bool move_entry(void *ctx, const union entry *e)
{
	struct move *m = ctx;
	if (e->head.kind == CACHE_ANSWER && e->head.user & ANSWER_HAS_PARTS)
		return true;
	union entry *own = &m->c->victim;
	const struct cache_key key = judge_key(e);
	struct lookup l;
	lookup_init(&l, m->c, &key);
	memcpy(own->bytes, e->bytes, entry_used(&e->head));
	own->head.generation = m->generation;
	const enum shared_region region =
		shared_main_full(&m->to) ? REGION_YOUNG : REGION_MAIN;
	const uint64_t ref = shared_append(&m->to, region, own, l.hash, false);
	if (ref && shared_insert(&m->to, l.hash, ref).slot)
		m->moved++;
	return true;
}

/* Step 1. Each entry is judged after the generation was read. */
static void format_moved(void *base, size_t size, void *ctx)
{
	struct move *m = ctx;
	struct cache *c = m->c;
	const struct now now = clock_read();
	m->from = clear_follow(&c->clear, &c->shared);
	shared_format_after(base, size, &c->shared, m->from, judge_epoch(c));
	shared_attach(&m->to, base, size);
	m->generation = shared_generation(&m->to);
	cache_walk_entries(c, &now, move_entry, m);
}

/* Step 3. */
static void settle_moved(void *base, size_t size, void *ctx)
{
	(void)base, (void)size;
	struct move *m = ctx;
	shared_carry(&m->to, &m->c->shared, m->from);
}

static int resize(struct cache *c, size_t size)
{
	struct move m = { .c = c };
	struct shm next;
	char reason[256];
	const struct path path = path_of(c);
	struct shm_want want = want_of(c, &path);
	want.size = size - size % 4096;
	want.fresh = true;
	want.format = format_moved;
	want.settle = settle_moved;
	want.ctx = &m;
	const size_t before = c->shm.size;
	if (shm_open_file(&next, &want, reason) != SHM_CREATED) {
		log_warning(CACHE, "%s: no other size: %s", path.text, reason);
		shm_close(&next);
		return -ENOSPC;
	}
	if (!attach(c, &next)) {
		shm_close(&next);
		return -EPROTO;
	}
	log_info(CACHE, "%s: from %zu to %zu bytes, %lu entries went with it",
		path.text, before, c->shm.size, (unsigned long)m.moved);
	return 0;
}

int cache_resize(struct cache *c, size_t size)
{
	if (c->is_private)
		return -ENODEV;
	if (size < CACHE_SIZE_MIN)
		return -EINVAL;
	if (lock_take(c, START_TRIES) < 0)
		return -EAGAIN;
	/* what we have may have been replaced while we waited */
	int err = shm_replaced(&c->shm) && !take(c) ? -EAGAIN : 0;
	if (!err)
		err = c->shm.size == size - size % 4096 ? 0 : resize(c, size);
	lock_drop(c);
	return err;
}

/* First wins, as long as anyone has it. */
static void settle_size(struct cache *c)
{
	if (c->is_private || c->shm.size == c->want_size)
		return;
	if (!shm_alone(&c->shm))
		log_warning(CACHE,
			"%s has %zu bytes and is in use; the %zu asked for here"
			" do not count: see `shoal cache resize`",
			c->shm.path, c->shm.size, c->want_size);
	else
		resize(c, c->want_size);
}

/* --- opening and closing a handle -------------------------------- */

struct cache *cache_open(
	const struct cache_conf *conf, struct counters *counters, struct random *rnd)
{
	char shm_folder[240];
	struct cache *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->shm.fd = c->lock = -1;
	c->counters = counters;
	c->rnd = rnd;
	c->existing = conf->existing;
	c->want_size = conf->size < CACHE_SIZE_MIN ? CACHE_SIZE_MIN : conf->size;
	c->want_size -= c->want_size % 4096;
	snprintf(c->folder, sizeof(c->folder), "%s", conf->run_folder);
	snprintf(shm_folder, sizeof(shm_folder), "%s/shm", c->folder);
	shm_guard_install();
	if (!conf->existing)
		(void)fd_make_folder(shm_folder, 0700);
	/* who starts has its turn before others count as users */
	(void)lock_take(c, START_TRIES);
	const bool fine = take(c) || (!conf->existing && make(c, false, false));
	if (fine && !conf->existing && c->lock >= 0)
		settle_size(c);
	lock_drop(c);
	if (fine)
		return c;
	cache_close(c);
	return NULL;
}

bool cache_alone(struct cache *c)
{
	if (c->is_private || lock_take(c, LEAVE_TRIES) < 0)
		return false;
	const bool alone = shm_alone(&c->shm);
	lock_drop(c);
	return alone;
}

bool cache_leave(struct cache *c)
{
	if (c->is_private || lock_take(c, LEAVE_TRIES) < 0)
		return false;
	const bool alone = shm_alone(&c->shm);
	if (!alone)
		shm_close(&c->shm);
	lock_drop(c);
	return alone;
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	chore_kill(&c->reserver);
	chore_kill(&c->grower);
	if (c->unsynced[0])
		(void)cleared_sync(c->unsynced);
	chore_wait(&c->syncer, SYNC_WAIT_US);
	shm_close(&c->shm);
	stay_free(c);
	free(c);
}
