/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/page.h - pages of one kilobyte in shared memory, each changed in place as a whole:
 * shm/pages-v<layout>. What they mean is pages.c's.
 *
 * All atomics of the pages are in page.c, with the protocol written above them. A page may
 * be lost at any time; what is read is whole, and is what was asked for. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/hash.h"

enum { PAGE_BYTES = 1024, PAGE_HEAD = 64, PAGE_ROOM = PAGE_BYTES - PAGE_HEAD };

struct page_head {
	uint64_t turn;  /* whose turn it is to write: page.c */
	uint64_t check; /* over all that follows, as far as it is used */
	uint64_t id;
	uint64_t tree; /* a root's: its other pages are found by it */
	uint32_t made_s;
	uint16_t type;       /* a root's: of the records */
	uint16_t iterations; /* a root's, of NSEC3 */
	uint16_t used;       /* bytes after the head, salt included */
	uint16_t pages;      /* a root's: how many its tree has, roughly */
	uint8_t level;       /* 0: keys; above: where the pages beneath begin */
	uint8_t salt_len;
	uint8_t unused[2];
	uint64_t reserve[2];
};

static_assert(sizeof(struct page_head) == PAGE_HEAD, "layout of a page");

union page {
	struct page_head head;
	uint64_t words[PAGE_BYTES / 8];
	uint8_t bytes[PAGE_BYTES];
};

static inline const uint8_t *page_list(const union page *p)
{
	return p->bytes + PAGE_HEAD + p->head.salt_len;
}

static inline size_t page_list_len(const union page *p)
{
	return (size_t)p->head.used - p->head.salt_len;
}

struct page_file;

/* Only a test defines it: called at each step of the protocol. */
void page_test_point(const char *step) __attribute__((weak));

/* `key`: of the host. NULL only for lack of memory. */
struct page_file *page_open(const char *run_folder, size_t size,
	const struct hash_key *key, struct counters *counters);
void page_close(struct page_file *f);
/* Once a second: a file that was cut, removed or replaced is left for the one that is
 * there now; another size, if it is not 0, replaces it. */
void page_tick(struct page_file *f, size_t size, const struct hash_key *key);
size_t page_count(const struct page_file *f);
uint64_t page_hash(const struct page_file *f, const void *data, size_t len);

/* A verified copy. False: none, or being written, or damaged. */
bool page_read(
	struct page_file *f, uint64_t id, const struct now *now, union page *out);
/* A turn to write, with a copy of what is there, or of nothing. It must be ended soon. */
struct page_write {
	union page page;
	uint64_t turn;
	size_t at;
	bool is_new;
};
/* False: another one writes there just now. */
bool page_begin(
	struct page_file *f, uint64_t id, const struct now *now, struct page_write *w);
void page_commit(struct page_file *f, struct page_write *w);
void page_cancel(struct page_file *f, struct page_write *w);

/* How much is asked in vain, a leaky bucket for each id: 32768 words beside the pages. */
enum { PAGE_BUCKETS = 32768 };
uint64_t *page_buckets(struct page_file *f);
