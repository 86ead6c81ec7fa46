/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/page.c - the protocol on the pages: all atomics of them.
 *
 * The segment: head | buckets (quota.c) | ids | stamps | pages. Eight ids are a cache line,
 * a set, and the places that a page may have. A page's first word is {version 31 | busy 1 |
 * milliseconds 32}: whoever writes has set `busy`.
 *
 * A writer                                       if it dies or stops after this step
 *  1 finds the id, or puts it in place of the     a place whose page is another's:
 *    least lately used of the set, by CAS          readers see its id, a miss
 *  2 turn: CAS from free to busy with the time    the old page stays whole and is read;
 *    (a busy one of over 50 ms is taken over)      50 ms later the next writer takes over
 *  3 copies the page and verifies it; what does   the same
 *    not fit counts as empty
 *  4 changes its copy
 *  5 writes words, then id and check              a check that is wrong: a miss, until
 *  6 turn: CAS from its own busy word to free       the next writer begins it anew
 *
 * A writer that was stopped in 5 and goes on after another took over spoils that one's
 * bytes: the check is wrong, a miss.
 *
 * A reader writes nothing but, every few seconds, the stamp of what it used: it finds the
 * id, copies as much as the copied head says, verifies check and id on the copy. When they
 * are wrong and the turn stands still and free, it was damage, and is counted.
 *
 * The check is keyed by the cache's secrets, ids are hashes under them: pages of another
 * cache are not found, and nobody who chooses names can aim at a set. */
#include "cache/page.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "shm/shm.h"

#define PAGES_MAGIC UINT64_C(0x7365676170216873) /* "sh!pages" */
#define TURN_BUSY (UINT64_C(1) << 32)
#define VERSION_MASK ((UINT64_C(1) << 31) - 1)

enum {
	PAGES_LAYOUT = 1,
	WAYS = 8,
	HEAD_WORDS = PAGE_HEAD / 8,
	FIRST_CHECKED = 2, /* words before: turn and check */
	TAKE_OVER_MS = 50,
	STAMP_S = 8,
	FIXED = 64 + PAGE_BUCKETS * 8, /* head and buckets */
	SIZE_MIN = FIXED + 64 * (PAGE_BYTES + 12),
};

struct page_file {
	struct shm shm;
	struct hash_key key;
	struct counters *counters;
	char folder[200];
	uint64_t *buckets;
	uint64_t *ids;
	uint32_t *stamps; /* seconds of CLOCK_MONOTONIC */
	union page *pages;
	size_t sets;
};

#define load(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)

static bool swap(uint64_t *word, uint64_t was, uint64_t is)
{
	return __atomic_compare_exchange_n(
		word, &was, is, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

#define POINT(step)                                                                    \
	do {                                                                           \
		if (page_test_point)                                                   \
			page_test_point(step);                                         \
	} while (0)

/* --- the file ------------------------------------------------------------------- */

static size_t fit(size_t size)
{
	if (size < SIZE_MIN)
		size = SIZE_MIN;
	return (size + 4095) / 4096 * 4096;
}

static void lay_out(struct page_file *f)
{
	uint8_t *base = f->shm.base;
	const size_t room = f->shm.size < FIXED ? 0 : f->shm.size - FIXED;
	/* a set: a line of ids, half a line of stamps, eight pages */
	f->sets = room / (WAYS * (PAGE_BYTES + 12));
	f->sets -= f->sets % 2; /* pages begin at a line */
	f->buckets = (uint64_t *)(void *)(base + 64);
	f->ids = (uint64_t *)(void *)(base + FIXED);
	f->stamps = (uint32_t *)(void *)(base + FIXED + f->sets * WAYS * 8);
	f->pages = (union page *)(void *)(base + FIXED + f->sets * WAYS * 12);
}

static bool open_file(struct page_file *f, size_t size, bool fresh, struct shm *out)
{
	char folder[240] = "", path[256] = "", reason[256];
	if (f->folder[0]) {
		snprintf(folder, sizeof(folder), "%s/shm", f->folder);
		snprintf(path, sizeof(path), "%s/pages-v%d", folder, PAGES_LAYOUT);
		(void)fd_make_folder(folder, 0700); /* the warning below tells */
	}
	const struct shm_want want = {
		.path = path,
		.magic = PAGES_MAGIC,
		.layout = PAGES_LAYOUT,
		.size = fit(size),
		.any_size = true,
		.fresh = fresh,
		.mode = 0600,
	};
	const enum shm_result how = f->folder[0] ? shm_open_file(out, &want, reason)
						 : shm_open_private(out, &want);
	if (f->folder[0] && how != SHM_FAILED && reason[0])
		log_warning(CACHE, "%s: %s; %s", path, reason,
			how == SHM_CREATED ? "made anew"
					   : "kept by this instance alone");
	if (how != SHM_FAILED && out->size >= SIZE_MIN)
		return true;
	shm_close(out);
	return false;
}

static void attach(struct page_file *f, const struct shm *shm)
{
	shm_close(&f->shm);
	f->shm = *shm;
	lay_out(f);
}

struct page_file *page_open(const char *run_folder, size_t size,
	const struct hash_key *key, struct counters *counters)
{
	struct page_file *f = calloc(1, sizeof(*f));
	struct shm shm;
	if (!f)
		return NULL;
	f->shm.fd = -1;
	f->key = *key;
	f->counters = counters;
	if (run_folder)
		snprintf(f->folder, sizeof(f->folder), "%s", run_folder);
	shm_guard_install();
	if (!open_file(f, size, false, &shm)) {
		free(f);
		return NULL;
	}
	attach(f, &shm);
	return f;
}

void page_close(struct page_file *f)
{
	if (!f)
		return;
	shm_close(&f->shm);
	free(f);
}

void page_tick(struct page_file *f, size_t size, const struct hash_key *key)
{
	struct shm next;
	f->key = *key;
	if (f->shm.fd < 0)
		return;
	const bool gone = shm_gone(&f->shm);
	const bool other = !gone && size && fit(size) != f->shm.size;
	if ((gone || other) && open_file(f, size ? size : f->shm.size, other, &next))
		attach(f, &next);
}

size_t page_count(const struct page_file *f)
{
	return f->sets * WAYS;
}

uint64_t page_hash(const struct page_file *f, const void *data, size_t len)
{
	const uint64_t hash = hash_sip13(&f->key, data, len);
	return hash ? hash : 1; /* 0: a free place */
}

uint64_t *page_buckets(struct page_file *f)
{
	return f->buckets;
}

/* --- checks --------------------------------------------------------------------- */

static uint64_t fold(uint64_t a, uint64_t b)
{
	const unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static size_t words_of(const union page *p)
{
	return HEAD_WORDS + (p->head.used + 7u) / 8;
}

static bool fits(const union page *p)
{
	return p->head.used <= PAGE_ROOM && p->head.salt_len <= p->head.used;
}

static uint64_t check_of(const struct page_file *f, const union page *p)
{
	const size_t words = words_of(p);
	uint64_t a = f->key.k0, b = f->key.k1;
	size_t i = FIRST_CHECKED;
	for (; i + 2 <= words; i += 2) {
		a = fold(p->words[i] ^ f->key.k1, p->words[i + 1] ^ a);
		b += a;
	}
	if (i < words)
		a = fold(p->words[i] ^ f->key.k1, a);
	return fold(a ^ words, b | 1);
}

/* --- finding a place ------------------------------------------------------------ */

static size_t set_of(const struct page_file *f, uint64_t id)
{
	return (size_t)((id & UINT32_MAX) * f->sets >> 32) * WAYS;
}

static bool find(const struct page_file *f, uint64_t id, size_t *at)
{
	if (!f->sets)
		return false;
	const size_t set = set_of(f, id);
	for (size_t i = set; i < set + WAYS; i++)
		if (load_acquire(&f->ids[i]) == id) {
			*at = i;
			return true;
		}
	return false;
}

/* Seconds since its last use; times from before a boot are in the future. */
static uint32_t idle(const struct page_file *f, size_t at, uint32_t now_s)
{
	const uint32_t stamp = load(&f->stamps[at]);
	return stamp > now_s ? UINT32_MAX : now_s - stamp;
}

static uint32_t second_of(const struct now *now)
{
	return (uint32_t)(now->mono_us / 1000000);
}

static bool claim(
	const struct page_file *f, uint64_t id, const struct now *now, size_t *at)
{
	if (find(f, id, at))
		return true;
	if (!f->sets)
		return false;
	const size_t set = set_of(f, id);
	const uint32_t now_s = second_of(now);
	size_t worst = set;
	for (size_t i = set; i < set + WAYS; i++) {
		if (!load(&f->ids[i])) {
			worst = i;
			break;
		}
		if (idle(f, i, now_s) > idle(f, worst, now_s))
			worst = i;
	}
	*at = worst;
	return swap(&f->ids[worst], load(&f->ids[worst]), id);
}

static void stamp(struct page_file *f, size_t at, const struct now *now)
{
	const uint32_t now_s = second_of(now);
	if (idle(f, at, now_s) >= STAMP_S)
		store(&f->stamps[at], now_s);
}

/* --- copying -------------------------------------------------------------------- */

/* As far as it is used. False: it makes no sense. */
static bool copy_out(const union page *from, union page *out)
{
	for (size_t i = 0; i < HEAD_WORDS; i++)
		out->words[i] = load_acquire(&from->words[i]);
	if (!fits(out))
		return false;
	for (size_t i = HEAD_WORDS; i < words_of(out); i++)
		out->words[i] = load(&from->words[i]);
	return true;
}

bool page_read(struct page_file *f, uint64_t id, const struct now *now, union page *out)
{
	size_t at;
	if (!find(f, id, &at))
		return false;
	const union page *from = &f->pages[at];
	const bool whole = copy_out(from, out) && out->head.check == check_of(f, out);
	if (whole && out->head.id == id) {
		stamp(f, at, now);
		return true;
	}
	/* new here: the place is claimed and not yet written */
	const uint64_t turn = load_acquire(&from->head.turn);
	if (!whole && out->head.check && !(turn & TURN_BUSY) && turn == out->head.turn)
		counter_up(f->counters, pages_damaged);
	return false;
}

/* --- writing -------------------------------------------------------------------- */

bool page_begin(
	struct page_file *f, uint64_t id, const struct now *now, struct page_write *w)
{
	if (!claim(f, id, now, &w->at))
		return false;
	POINT("page claimed");
	union page *page = &f->pages[w->at];
	const uint64_t was = load_acquire(&page->head.turn);
	const uint32_t ms = (uint32_t)(now->mono_us / 1000);
	const uint32_t since = ms - (uint32_t)was;
	/* a time far in the future is from before a boot */
	if (was & TURN_BUSY && since < TAKE_OVER_MS)
		return false;
	const uint64_t version = (was >> 33) + 1;
	w->turn = (version & VERSION_MASK) << 33 | TURN_BUSY | ms;
	if (!swap(&page->head.turn, was, w->turn))
		return false;
	POINT("page turn");
	w->is_new = !copy_out(page, &w->page) ||
		    w->page.head.check != check_of(f, &w->page) ||
		    w->page.head.id != id;
	if (w->is_new) {
		memset(&w->page, 0, sizeof(w->page));
		w->page.head.id = id;
	}
	stamp(f, w->at, now);
	return true;
}

void page_cancel(struct page_file *f, struct page_write *w)
{
	(void)swap(&f->pages[w->at].head.turn, w->turn, w->turn & ~TURN_BUSY);
}

void page_commit(struct page_file *f, struct page_write *w)
{
	union page *to = &f->pages[w->at];
	union page *p = &w->page;
	/* the last word is checked whole */
	const size_t end = PAGE_HEAD + (size_t)p->head.used;
	memset(p->bytes + end, 0, words_of(p) * 8 - end);
	p->head.check = check_of(f, p);
	const size_t words = words_of(p);
	for (size_t i = HEAD_WORDS; i < words; i++) {
		store(&to->words[i], p->words[i]);
		if (i == words / 2)
			POINT("page half written");
	}
	for (size_t i = FIRST_CHECKED; i < HEAD_WORDS; i++)
		store(&to->words[i], p->words[i]);
	store(&to->head.check, p->head.check);
	POINT("page written");
	page_cancel(f, w);
}
