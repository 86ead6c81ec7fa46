/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define CHUNKS_ARE_KEPT 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHUNKS_ARE_KEPT 0
#endif
#endif
#ifndef CHUNKS_ARE_KEPT
#define CHUNKS_ARE_KEPT 1 /* else use after free would not be seen */
#endif

enum {
	ALIGN = 16,
	FIRST_CHUNK = 4096,
	MAX_CHUNK = 256 * 1024, /* growth stops doubling here */
	SPARE_SIZES = 3,        /* the first chunk's and the next doublings */
	SPARE_MAX = 64,         /* of each: 1.8 MB in all */
};

struct chunk {
	alignas(ALIGN) struct chunk *next; /* the one before */
	size_t size, used;
	alignas(ALIGN) uint8_t bytes[];
};

struct arena {
	struct chunk *now; /* newest first; the last one is kept over resets */
	size_t limit, used;
	bool overflowed;
};

/* Arenas come and go with each resolution: their usual chunks stay warm here, as malloc
 * has no short way for such sizes. */
static _Thread_local struct spare {
	struct chunk *first;
	unsigned count;
} spares[SPARE_SIZES];

/* NULL: chunks of this size are not kept. */
static struct spare *spare_for(size_t size)
{
	size_t usual = FIRST_CHUNK - sizeof(struct chunk);
	for (int i = 0; CHUNKS_ARE_KEPT && i < SPARE_SIZES; i++, usual *= 2)
		if (size == usual)
			return &spares[i];
	return NULL;
}

static struct chunk *spare_take(size_t size)
{
	struct spare *s = spare_for(size);
	struct chunk *c = s ? s->first : NULL;
	if (c) {
		s->first = c->next;
		s->count--;
	}
	return c;
}

static void chunk_free(struct chunk *c)
{
	struct spare *s = spare_for(c->size);
	if (!s || s->count >= SPARE_MAX) {
		free(c);
		return;
	}
	c->next = s->first;
	s->first = c;
	s->count++;
}

static struct chunk *chunk_new(size_t size, struct chunk *next)
{
	struct chunk *c = spare_take(size);
	if (!c)
		c = malloc(sizeof(*c) + size);
	if (!c)
		return NULL;
	c->next = next;
	c->size = size;
	c->used = 0;
	return c;
}

struct arena *arena_new(size_t limit)
{
	/* glibc's calloc never gives what was freed last, which is warm */
	struct arena *a = malloc(sizeof(*a));
	if (!a)
		return NULL;
	*a = (struct arena){ .limit = limit };
	a->now = chunk_new(FIRST_CHUNK - sizeof(struct chunk), NULL);
	if (!a->now) {
		free(a);
		return NULL;
	}
	return a;
}

void arena_reset(struct arena *a)
{
	while (a->now->next) {
		struct chunk *next = a->now->next;
		chunk_free(a->now);
		a->now = next;
	}
	a->now->used = 0;
	a->used = 0;
	a->overflowed = false;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	arena_reset(a);
	chunk_free(a->now);
	free(a);
}

static bool arena_grow(struct arena *a, size_t len)
{
	size_t size = a->now->size * 2;
	if (size > MAX_CHUNK)
		size = MAX_CHUNK;
	if (size < len)
		size = len;
	struct chunk *c = chunk_new(size, a->now);
	if (!c)
		return false;
	a->now = c;
	return true;
}

void *arena_alloc(struct arena *a, size_t len)
{
	if (a->overflowed || len > a->limit) {
		a->overflowed = true;
		return NULL;
	}
	/* 0 bytes take a place too: no two allocations are at one address */
	const size_t need = (len + !len + ALIGN - 1) / ALIGN * ALIGN;
	const bool within = need <= a->limit - a->used;
	if (!within || (need > a->now->size - a->now->used && !arena_grow(a, need))) {
		a->overflowed = true;
		return NULL;
	}
	uint8_t *at = a->now->bytes + a->now->used;
	a->now->used += need;
	a->used += need;
	return memset(at, 0, need);
}

void *arena_dup(struct arena *a, const void *data, size_t len)
{
	void *to = arena_alloc(a, len);
	if (to && len)
		memcpy(to, data, len);
	return to;
}

char *arena_strdup(struct arena *a, const char *text)
{
	return arena_dup(a, text, strlen(text) + 1);
}

bool arena_overflowed(const struct arena *a)
{
	return a->overflowed;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
