/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/census.c - a place for each instance: a byte of the file that it has locked (F_OFD_SETLK), so
 * the kernel tells who is dead, and counts that it alone writes.
 *
 * Clients are counted by a sketch of DEPTH rows: a client's count is the least of its cells. Who
 * finds a place used and its lock free takes the lock, empties it and lets go; so whatever
 * instruction an instance dies at, its counts last a second longer than its connections. */
#include "cache/census.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "shm/shm.h"

#define CENSUS_MAGIC UINT64_C(0x736b636c69656e74) /* "skclient" */

enum {
	DEPTH = 3,
	WIDTH = 1024,
	MOST = 32768, /* connections of an instance: more is damage */
	LOCK_BASE = 1 << 30,
};

struct place {
	uint32_t used;
	uint32_t all[CENSUS_KINDS];
	uint16_t cells[CENSUS_KINDS][DEPTH][WIDTH];
};

struct segment {
	struct shm_head head;
	struct hash_key key; /* strangers choose the addresses */
	struct place places[CENSUS_PLACES];
};

struct census {
	char folder[200];
	struct random *rnd;
	struct shm shm;
	struct segment *seg;
	struct hash_key key;
	struct place *own;
	unsigned place; /* CENSUS_PLACES: none, and `own` is `alone` */
	struct place alone;
};

#define GET(at) __atomic_load_n(&(at), __ATOMIC_RELAXED)
#define SET(at, n) __atomic_store_n(&(at), (n), __ATOMIC_RELAXED)

static bool place_lock(const struct census *c, unsigned i, short type)
{
	struct flock lock = { .l_type = type,
		.l_whence = SEEK_SET,
		.l_start = LOCK_BASE + (off_t)i,
		.l_len = 1 };
	return c->shm.fd >= 0 && fcntl(c->shm.fd, F_OFD_SETLK, &lock) == 0;
}

static void place_take(struct census *c)
{
	c->own = &c->alone;
	memset(&c->alone, 0, sizeof(c->alone));
	for (c->place = 0; c->place < CENSUS_PLACES; c->place++) {
		if (!place_lock(c, c->place, F_WRLCK))
			continue;
		c->own = &c->seg->places[c->place];
		memset(c->own, 0, sizeof(*c->own));
		SET(c->own->used, 1);
		return;
	}
}

static void format(void *base, size_t size, void *ctx)
{
	(void)size;
	struct segment *seg = base;
	random_fill(ctx, &seg->key, sizeof(seg->key));
}

static enum shm_result open_segment(
	const struct census *c, struct shm *out, char reason[static 256])
{
	char folder[240], path[256];
	snprintf(folder, sizeof(folder), "%s/shm", c->folder);
	snprintf(path, sizeof(path), "%s/clients-v%d", folder, CENSUS_LAYOUT);
	(void)fd_make_folder(folder, 0700);
	const struct shm_want want = {
		.path = path,
		.magic = CENSUS_MAGIC,
		.layout = CENSUS_LAYOUT,
		.size = sizeof(struct segment),
		.mode = 0600,
		.format = format,
		.ctx = c->rnd,
	};
	return shm_open_file(out, &want, reason);
}

static void attach(struct census *c, const struct shm *shm)
{
	c->shm = *shm;
	c->seg = shm->base;
	c->key = c->seg->key;
	place_take(c);
}

struct census *census_open(const char *run_folder, struct random *rnd)
{
	char reason[256];
	struct shm shm;
	struct census *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	snprintf(c->folder, sizeof(c->folder), "%s", run_folder);
	c->rnd = rnd;
	shm_guard_install();
	const enum shm_result how = open_segment(c, &shm, reason);
	if (how == SHM_FAILED) {
		free(c);
		return NULL;
	}
	if (how == SHM_ANONYMOUS)
		log_warning(CACHE,
			"connections of clients: %s; this instance counts its own "
			"alone",
			reason);
	attach(c, &shm);
	return c;
}

void census_close(struct census *c)
{
	if (!c)
		return;
	memset(c->own, 0, sizeof(*c->own));
	shm_close(&c->shm); /* and the lock goes */
	free(c);
}

/* The counts stay behind: another file has another key. Where none can be made, siblings
 * still meet in the old one. */
static bool follow_file(struct census *c)
{
	char reason[256];
	struct shm next;
	if (!shm_gone(&c->shm))
		return false;
	const enum shm_result how = open_segment(c, &next, reason);
	if (how == SHM_ANONYMOUS)
		shm_close(&next);
	if (how == SHM_ANONYMOUS || how == SHM_FAILED)
		return false;
	shm_close(&c->shm);
	attach(c, &next);
	return true;
}

bool census_tick(struct census *c)
{
	for (unsigned i = 0; i < CENSUS_PLACES; i++) {
		struct place *p = &c->seg->places[i];
		if (i == c->place || !GET(p->used) || !place_lock(c, i, F_WRLCK))
			continue;
		memset(p, 0, sizeof(*p));
		place_lock(c, i, F_UNLCK);
	}
	return follow_file(c);
}

static uint64_t hash_of(
	const struct census *c, unsigned kind, const void *client, size_t len)
{
	struct hash_state h;
	hash_begin(&h, &c->key);
	hash_add(&h, &kind, sizeof(kind));
	hash_add(&h, client, len);
	return hash_end(&h);
}

static unsigned cell_of(uint64_t hash, unsigned row)
{
	return (unsigned)(hash >> (row * 16)) % WIDTH;
}

void census_count(
	struct census *c, unsigned kind, const void *client, size_t len, int change)
{
	assert(kind < CENSUS_KINDS);
	struct place *p = c->own;
	const uint64_t hash = hash_of(c, kind, client, len);
	SET(p->all[kind], p->all[kind] + (uint32_t)change);
	for (unsigned row = 0; row < DEPTH; row++) {
		uint16_t *cell = &p->cells[kind][row][cell_of(hash, row)];
		SET(*cell, (uint16_t)(*cell + change));
	}
}

/* How much of a place counts: damage does not. */
static unsigned sane(unsigned n)
{
	return n <= MOST ? n : 0;
}

unsigned census_of(
	const struct census *c, unsigned kind, const void *client, size_t len)
{
	const uint64_t hash = hash_of(c, kind, client, len);
	unsigned least = UINT32_MAX;
	for (unsigned row = 0; row < DEPTH; row++) {
		const unsigned cell = cell_of(hash, row);
		unsigned sum =
			c->own == &c->alone ? c->alone.cells[kind][row][cell] : 0;
		for (unsigned i = 0; i < CENSUS_PLACES; i++)
			if (GET(c->seg->places[i].used))
				sum += sane(
					GET(c->seg->places[i].cells[kind][row][cell]));
		least = sum < least ? sum : least;
	}
	return least;
}

unsigned census_all(const struct census *c, unsigned kind)
{
	unsigned sum = c->own == &c->alone ? c->alone.all[kind] : 0;
	for (unsigned i = 0; i < CENSUS_PLACES; i++)
		if (GET(c->seg->places[i].used))
			sum += sane(GET(c->seg->places[i].all[kind]));
	return sum;
}
