/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/pages.c - a tree of pages for each zone, at most three levels: a page of level 0
 * holds keys; one above holds, as keys, where each page beneath begins. A page beneath has
 * no address: its id is the hash of {tree, level, where it begins}. The root's id is the
 * hash of {domain, zone}; small zones have no other page.
 *
 * A page that is full gives its upper half to a new one:   a death after this step leaves
 *  1 the new page is written                               a page that nobody looks for
 *  2 its beginning goes into the page above                keys that stand in both
 *  3 the lower half stays                                  done
 * A root that is full gives both halves away first and is then written as the page above
 * them. Two writers at once may lose each other's key: a miss. A page whose place another
 * took is found missing, and begins anew with the next key. */
#include "cache/pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cache/page.h"
#include "cache/quota.h"
#include "wire/name.h"

enum {
	LEVEL_MAX = 2,
	SIZE_SHARE = 16,   /* of the cache's */
	CHAIN_REST_S = 60, /* before another chain of the zone takes the root */
	ZONE_SHARE = 8,    /* of all pages, for one zone */
	HOST_KEY = 7,      /* cache_host_key */
	FRUIT = 8,         /* names asked in vain that a found one makes good */
};

struct pages {
	struct page_file *file;
	struct cache *cache;
	struct counters *counters;
	struct random *rnd;
	union page root; /* of the last pages_zone */
	union page leaf; /* the last one read for it */
	bool has_root, has_leaf;
	struct keylist list; /* being changed */
};

/* --- opening -------------------------------------------------------------------- */

static void host_key(const struct pages *p, struct hash_key *key)
{
	cache_host_key(p->cache, HOST_KEY, key);
}

/* An instance whose cache is its own has pages of its own. */
static size_t size_now(const struct pages *p, bool *is_private)
{
	return cache_size(p->cache, is_private) / SIZE_SHARE;
}

struct pages *pages_open(const char *run_folder, struct cache *cache,
	struct counters *counters, struct random *rnd)
{
	struct pages *p = calloc(1, sizeof(*p));
	struct hash_key key;
	bool is_private;
	if (!p)
		return NULL;
	p->cache = cache;
	p->counters = counters;
	p->rnd = rnd;
	host_key(p, &key);
	const size_t size = size_now(p, &is_private);
	p->file = page_open(is_private ? NULL : run_folder, size, &key, counters);
	if (p->file)
		return p;
	free(p);
	return NULL;
}

void pages_close(struct pages *p)
{
	if (!p)
		return;
	page_close(p->file);
	free(p);
}

void pages_tick(struct pages *p)
{
	struct hash_key key;
	bool is_private;
	host_key(p, &key);
	const size_t size = size_now(p, &is_private);
	p->has_root = false;
	page_tick(p->file, is_private ? 0 : size, &key);
}

/* --- ids ------------------------------------------------------------------------ */

static uint64_t root_id(const struct pages *p, uint64_t domain, const uint8_t *zone)
{
	uint8_t bytes[sizeof(domain) + NAME_MAX_LEN];
	memcpy(bytes, &domain, sizeof(domain));
	return page_hash(p->file, bytes,
		sizeof(domain) + name_copy_lower(bytes + sizeof(domain), zone));
}

static uint64_t child_id(const struct pages *p, uint64_t tree, unsigned level,
	const uint8_t *begin, size_t len)
{
	uint8_t bytes[sizeof(tree) + 1 + KEYLIST_KEY_MAX];
	memcpy(bytes, &tree, sizeof(tree));
	bytes[sizeof(tree)] = (uint8_t)level;
	memcpy(bytes + sizeof(tree) + 1, begin, len);
	return page_hash(p->file, bytes, sizeof(tree) + 1 + len);
}

/* --- reading -------------------------------------------------------------------- */

static bool sane(const union page *page)
{
	return page->head.level <= LEVEL_MAX && page->head.salt_len <= PAGES_SALT_MAX;
}

bool pages_zone(struct pages *p, uint64_t domain, const uint8_t *zone,
	const struct now *now, struct pages_chain *out)
{
	p->has_leaf = false;
	p->has_root = page_read(p->file, root_id(p, domain, zone), now, &p->root) &&
		      sane(&p->root);
	if (!p->has_root)
		return false;
	const struct page_head *h = &p->root.head;
	out->type = h->type;
	out->iterations = h->iterations;
	out->salt_len = h->salt_len;
	memcpy(out->salt, p->root.bytes + PAGE_HEAD, h->salt_len);
	return true;
}

/* The page of a level that begins at `begin`; only the last leaf is remembered. */
static const union page *get_page(struct pages *p, uint64_t id, const struct now *now)
{
	if (p->has_leaf && p->leaf.head.id == id)
		return &p->leaf;
	p->has_leaf = page_read(p->file, id, now, &p->leaf) && sane(&p->leaf);
	return p->has_leaf ? &p->leaf : NULL;
}

enum side { AT, BELOW, LAST };

static bool search(const union page *page, enum side side, const uint8_t *key,
	size_t len, struct keylist_key *out)
{
	const uint8_t *list = page_list(page);
	const size_t size = page_list_len(page);
	return side == LAST ? keylist_last(list, size, out)
	       : side == AT ? keylist_find(list, size, key, len, out)
			    : keylist_below(list, size, key, len, out);
}

/* From the root down. BELOW: in front of the page that begins at `key`, its last. */
static bool descend(struct pages *p, enum side side, const uint8_t *key, size_t len,
	const struct now *now, struct keylist_key *out, struct keylist_key *begin)
{
	const union page *page = &p->root;
	begin->len = 0;
	for (unsigned level = p->root.head.level; level; level--) {
		if (page->head.level != level || !search(page, side, key, len, begin))
			return false;
		page = get_page(p,
			child_id(p, p->root.head.tree, level - 1, begin->bytes,
				begin->len),
			now);
		if (!page)
			return false;
	}
	return page->head.level == 0 && search(page, side, key, len, out);
}

bool pages_find(struct pages *p, const uint8_t *key, size_t len, const struct now *now,
	struct keylist_key *out)
{
	struct keylist_key begin, other;
	if (!p->has_root)
		return false;
	if (descend(p, AT, key, len, now, out, &begin))
		return true;
	/* the page's first is above the key: the one in front of it has it, if it has
	 * not been lost */
	if (begin.len && descend(p, BELOW, begin.bytes, begin.len, now, out, &other))
		return true;
	return !begin.len && descend(p, LAST, NULL, 0, now, out, &other);
}

/* --- writing -------------------------------------------------------------------- */

static bool open_list(struct pages *p, const union page *page)
{
	return keylist_read(&p->list, page_list(page), page_list_len(page));
}

/* Items from..to-1 of the list become the page's. */
static bool fill(const struct pages *p, union page *page, unsigned from, unsigned to)
{
	uint8_t *list = page->bytes + PAGE_HEAD + page->head.salt_len;
	const size_t len = keylist_write(
		&p->list, from, to, list, PAGE_ROOM - (size_t)page->head.salt_len);
	if (len == SIZE_MAX)
		return false;
	page->head.used = (uint16_t)(page->head.salt_len + len);
	return true;
}

static bool write_half(struct pages *p, uint64_t tree, unsigned level,
	const struct keylist_key *begin, unsigned from, unsigned to,
	const struct now *now)
{
	struct page_write w;
	if (!page_begin(p->file, child_id(p, tree, level, begin->bytes, begin->len),
		    now, &w))
		return false;
	memset(&w.page.head.made_s, 0, PAGE_HEAD - offsetof(struct page_head, made_s));
	w.page.head.tree = tree;
	w.page.head.level = (uint8_t)level;
	if (!fill(p, &w.page, from, to)) {
		page_cancel(p->file, &w);
		return false;
	}
	page_commit(p->file, &w);
	return true;
}

static bool add_at(struct pages *p, unsigned level, const struct keylist_key *key,
	const struct now *now);

/* Where the upper half of the list begins: never 0. */
static unsigned middle(const struct pages *p, struct keylist_key *begin)
{
	const unsigned m = p->list.count / 2;
	begin->end_s = UINT32_MAX;
	begin->len = (uint8_t)keylist_between(
		&p->list.item[m - 1], &p->list.item[m], begin->bytes);
	return m;
}

/* The turn at the root is ours, and it is full. */
static bool grow(struct pages *p, struct page_write *root, const struct now *now)
{
	struct page_head *h = &root->page.head;
	struct keylist_key first = { .end_s = UINT32_MAX }, second;
	const unsigned m = middle(p, &second), count = p->list.count;
	if (h->level == LEVEL_MAX ||
		!write_half(p, h->tree, h->level, &first, 0, m, now) ||
		!write_half(p, h->tree, h->level, &second, m, count, now))
		return false;
	p->list.count = 0;
	h->level++;
	h->pages = (uint16_t)(h->pages + 2);
	return keylist_put(&p->list, NULL, 0, first.end_s) &&
	       keylist_put(&p->list, second.bytes, second.len, second.end_s) &&
	       fill(p, &root->page, 0, 2);
}

static bool may_split(const struct pages *p)
{
	const size_t share = page_count(p->file) / ZONE_SHARE;
	const size_t most = share < LIMIT_PAGES_PER_ZONE ? share : LIMIT_PAGES_PER_ZONE;
	return p->root.head.pages < most;
}

static void count_page(struct pages *p, const struct now *now)
{
	struct page_write w;
	if (!page_begin(p->file, p->root.head.id, now, &w))
		return;
	if (w.is_new || w.page.head.pages == UINT16_MAX) {
		page_cancel(p->file, &w);
		return;
	}
	w.page.head.pages++;
	p->root.head.pages = w.page.head.pages;
	page_commit(p->file, &w);
}

/* The turn at a page beneath the root is ours, and it is full. */
static bool split(struct pages *p, struct page_write *w, const struct now *now)
{
	struct keylist_key begin;
	const unsigned m = middle(p, &begin), count = p->list.count;
	const unsigned level = w->page.head.level;
	if (!write_half(p, p->root.head.tree, level, &begin, m, count, now) ||
		!fill(p, &w->page, 0, m))
		return false;
	if (!add_at(p, level + 1, &begin, now)) /* uses the list */
		return false;
	count_page(p, now);
	return true;
}

/* Makes room in the list that does not fit: what has ended, else half of it to another
 * page, else any one. */
static bool make_room(
	struct pages *p, struct page_write *w, bool is_root, const struct now *now)
{
	union page *page = &w->page;
	if (page->head.level == 0 &&
		keylist_drop_ended(&p->list, (uint32_t)now_wall_s(now)) &&
		fill(p, page, 0, p->list.count))
		return true;
	if (may_split(p))
		return is_root ? grow(p, w, now) : split(p, w, now);
	counter_up(p->counters, pages_full);
	if (page->head.level)
		return false;
	while (!fill(p, page, 0, p->list.count))
		keylist_drop(&p->list, random_below(p->rnd, p->list.count));
	return true;
}

/* Into the list, which is the page's. */
static bool put_in(struct pages *p, struct page_write *w, const struct keylist_key *key,
	bool is_root, const struct now *now)
{
	const bool fine =
		keylist_put(&p->list, key->bytes, key->len, key->end_s) &&
		(fill(p, &w->page, 0, p->list.count) || make_room(p, w, is_root, now));
	if (!fine) {
		page_cancel(p->file, w);
		return false;
	}
	page_commit(p->file, w);
	counter_up(p->counters, pages_written);
	return true;
}

/* What a page above the keys has at least: where its first one begins. */
static void start_list(struct pages *p, unsigned level, const struct keylist_key *begin)
{
	p->list.count = 0;
	if (level)
		keylist_put(&p->list, begin->bytes, begin->len, UINT32_MAX);
}

/* The page beneath that is responsible for the key; one that was lost begins anew. */
static const union page *step_down(struct pages *p, unsigned level,
	const struct keylist_key *begin, uint64_t id, const struct now *now)
{
	const union page *page = get_page(p, id, now);
	if (page)
		return page->head.level == level ? page : NULL;
	start_list(p, level, begin);
	return write_half(p, p->root.head.tree, level, begin, 0, p->list.count, now)
		       ? get_page(p, id, now)
		       : NULL;
}

/* Into the page of this level that is responsible for the key, by p->root. */
static bool add_at(struct pages *p, unsigned level, const struct keylist_key *key,
	const struct now *now)
{
	struct page_write w;
	struct keylist_key begin = { .len = 0 };
	const union page *page = &p->root;
	uint64_t id = p->root.head.id;
	for (unsigned at = p->root.head.level; at > level; at--) {
		if (!page || !search(page, AT, key->bytes, key->len, &begin))
			return false;
		id = child_id(p, p->root.head.tree, at - 1, begin.bytes, begin.len);
		if (at - 1 > level)
			page = step_down(p, at - 1, &begin, id, now);
	}
	p->has_leaf = false;
	if (!page_begin(p->file, id, now, &w))
		return false;
	const bool is_root = id == p->root.head.id;
	const bool usable = !w.is_new && w.page.head.level == level &&
			    w.page.head.tree == p->root.head.tree;
	if (is_root && !usable) { /* it has grown meanwhile, or was lost */
		page_cancel(p->file, &w);
		return false;
	}
	if (!usable) {
		memset(&w.page.head.tree, 0,
			PAGE_HEAD - offsetof(struct page_head, tree));
		w.page.head.tree = p->root.head.tree;
		w.page.head.level = (uint8_t)level;
	}
	if (!usable || !open_list(p, &w.page))
		start_list(p, level, &begin);
	return put_in(p, &w, key, is_root, now);
}

static bool same_chain(const struct pages *p, const struct pages_chain *chain)
{
	const struct page_head *h = &p->root.head;
	return h->type == chain->type && h->iterations == chain->iterations &&
	       h->salt_len == chain->salt_len &&
	       memcmp(p->root.bytes + PAGE_HEAD, chain->salt, h->salt_len) == 0;
}

/* A root without keys. One of another chain stays for a while: in a roll-over both come,
 * and neither is to be thrown away with each answer. */
static bool make_root(struct pages *p, uint64_t id, const struct pages_chain *chain,
	const struct now *now)
{
	struct page_write w;
	if (!page_begin(p->file, id, now, &w))
		return false;
	const int64_t now_s = now_wall_s(now);
	const int64_t age_s = now_s - w.page.head.made_s;
	if (!w.is_new && age_s >= 0 && age_s < CHAIN_REST_S) {
		page_cancel(p->file, &w);
		return false;
	}
	memset(&w.page.head.tree, 0, PAGE_HEAD - offsetof(struct page_head, tree));
	w.page.head.tree = random_u64(p->rnd);
	w.page.head.made_s = (uint32_t)now_s;
	w.page.head.type = chain->type;
	w.page.head.iterations = chain->iterations;
	w.page.head.pages = 1;
	w.page.head.used = w.page.head.salt_len = chain->salt_len;
	memcpy(w.page.bytes + PAGE_HEAD, chain->salt, chain->salt_len);
	page_commit(p->file, &w);
	p->root = w.page;
	return true;
}

/* What comes with every answer of a zone, the apex's own denial say, is not written each
 * time. */
static bool stands_there(
	struct pages *p, const struct keylist_key *item, const struct now *now)
{
	struct keylist_key found, begin;
	return descend(p, AT, item->bytes, item->len, now, &found, &begin) &&
	       found.len == item->len && found.end_s >= item->end_s &&
	       memcmp(found.bytes, item->bytes, item->len) == 0;
}

bool pages_add(struct pages *p, uint64_t domain, const uint8_t *zone,
	const struct pages_chain *chain, const uint8_t *key, size_t len, int64_t end_s,
	const struct now *now)
{
	const uint64_t id = root_id(p, domain, zone);
	struct keylist_key item = { .len = (uint8_t)len };
	if (len > PAGES_KEY_MAX || chain->salt_len > PAGES_SALT_MAX)
		return false;
	item.end_s = end_s > UINT32_MAX ? UINT32_MAX : (uint32_t)end_s;
	if (len)
		memcpy(item.bytes, key, len);
	const bool has_root = page_read(p->file, id, now, &p->root) && sane(&p->root);
	p->has_root = p->has_leaf = false;
	if ((!has_root || !same_chain(p, chain)) && !make_root(p, id, chain, now))
		return false;
	return stands_there(p, &item, now) || add_at(p, 0, &item, now);
}

/* --- zones whose denials prove nothing for other names --------------------------- */

static struct quota quota_of(const struct pages *p)
{
	return (struct quota){
		.words = page_buckets(p->file),
		.count = PAGE_BUCKETS,
		.leak_per_s = LIMIT_ZONE_NEW_NAMES,
		.full = LIMIT_ZONE_NEW_NAMES_BURST,
	};
}

static uint64_t ms_of(const struct now *now)
{
	return (uint64_t)now->mono_us / 1000;
}

bool pages_may_ask(
	struct pages *p, const uint8_t *zone, const struct now *now, bool *uncounted)
{
	const struct quota q = quota_of(p);
	const enum quota_verdict v = quota_take(&q, root_id(p, 0, zone), ms_of(now));
	*uncounted = v == QUOTA_FREE;
	return v != QUOTA_FULL;
}

void pages_vain(
	struct pages *p, const uint8_t *zone, const struct now *now, bool uncounted)
{
	const struct quota q = quota_of(p);
	if (uncounted)
		quota_add(&q, root_id(p, 0, zone), ms_of(now));
	else
		quota_start(&q, root_id(p, 0, zone), ms_of(now));
}

void pages_fruitful(struct pages *p, const uint8_t *zone, const struct now *now)
{
	const struct quota q = quota_of(p);
	quota_give(&q, root_id(p, 0, zone), 1 + FRUIT, ms_of(now));
}
