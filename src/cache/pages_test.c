/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Denial pages: a model, several processes that die and stop at any step, flipped bytes,
 * files that are cut, removed and of another size. Whatever happens: what is found was
 * put there. */
#include "cache/test_help.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/limits.h"
#include "cache/page.h"
#include "cache/pages.h"
#include "wire/codes.h"

enum { MB = 1024 * 1024, DOMAIN = 5 };

static const struct pages_chain nsec = { .type = TYPE_NSEC };
static const char *point;
static int point_signal;

void page_test_point(const char *step);

void page_test_point(const char *step)
{
	if (!point || strcmp(step, point) != 0)
		return;
	point = NULL;
	raise(point_signal);
}

static struct pages *open_pages(struct help *h)
{
	struct pages *p = pages_open(h->folder, h->cache, &h->counters, &h->rnd);
	assert_non_null(p);
	return p;
}

static void tell_time(struct help *h, int64_t ms)
{
	h->now.mono_us += ms * 1000;
}

static size_t key_of(unsigned i, char out[static 24])
{
	return (size_t)snprintf(out, 24, "host%06u", i);
}

static bool add(struct help *h, struct pages *p, const char *zone, unsigned i)
{
	char key[24];
	const size_t len = key_of(i, key);
	return pages_add(p, DOMAIN, help_name(zone), &nsec, (const uint8_t *)key, len,
		now_wall_s(&h->now) + DAY, &h->now);
}

/* Exactly this one. */
static bool has(struct help *h, struct pages *p, const char *zone, unsigned i)
{
	char key[24];
	const size_t len = key_of(i, key);
	struct pages_chain chain;
	struct keylist_key found;
	return pages_zone(p, DOMAIN, help_name(zone), &h->now, &chain) &&
	       pages_find(p, (const uint8_t *)key, len, &h->now, &found) &&
	       found.len == len && memcmp(found.bytes, key, len) == 0;
}

static void zone_is_found_with_its_chain(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	const struct pages_chain nsec3 = {
		.type = TYPE_NSEC3, .iterations = 7, .salt_len = 3, .salt = { 1, 2, 3 }
	};
	struct pages_chain got;
	assert_false(pages_zone(p, DOMAIN, help_name("z"), &h->now, &got));
	assert_true(pages_add(p, DOMAIN, help_name("z"), &nsec3, (const uint8_t *)"k",
		1, now_wall_s(&h->now) + 9, &h->now));
	assert_true(pages_zone(p, DOMAIN, help_name("Z"), &h->now, &got));
	assert_int_equal(got.type, TYPE_NSEC3);
	assert_int_equal(got.iterations, 7);
	assert_int_equal(got.salt_len, 3);
	assert_memory_equal(got.salt, "\1\2\3", 3);
	/* other settings, another zone */
	assert_false(pages_zone(p, DOMAIN + 1, help_name("z"), &h->now, &got));
	assert_false(pages_zone(p, DOMAIN, help_name("y.z"), &h->now, &got));
	pages_close(p);
}

static void new_chain_waits_and_then_takes_over(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	const struct pages_chain nsec3 = { .type = TYPE_NSEC3 };
	struct pages_chain got;
	assert_true(add(h, p, "z", 1));
	assert_false(pages_add(p, DOMAIN, help_name("z"), &nsec3, (const uint8_t *)"k",
		1, now_wall_s(&h->now) + 9, &h->now));
	assert_true(has(h, p, "z", 1));
	h->now.wall_ms += INT64_C(61) * 1000;
	assert_true(pages_add(p, DOMAIN, help_name("z"), &nsec3, (const uint8_t *)"k",
		1, now_wall_s(&h->now) + 9, &h->now));
	assert_true(pages_zone(p, DOMAIN, help_name("z"), &h->now, &got));
	assert_int_equal(got.type, TYPE_NSEC3);
	assert_false(has(h, p, "z", 1));
	pages_close(p);
}

/* Keys in random order; then each key, and what lies behind it, leads to it. */
static void tree_holds_all_keys_in_order(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	enum { KEYS = 6000 };
	struct pages_chain chain;
	struct keylist_key found;
	char key[24];
	unsigned lost = 0;
	for (unsigned i = 0; i < KEYS; i++)
		assert_true(add(h, p, "big.test", i * 7919 % KEYS * 2));
	assert_true(pages_zone(p, DOMAIN, help_name("big.test"), &h->now, &chain));
	for (unsigned i = 1; i < 2 * KEYS; i++) {
		char want[24];
		const size_t len = key_of(i, key);
		key_of(i & ~1u, want);
		if (!pages_find(p, (const uint8_t *)key, len, &h->now, &found) ||
			memcmp(found.bytes, want, len) != 0)
			lost++;
	}
	assert_int_equal(lost, 0);
	/* in front of the first: round to the last */
	key_of(2 * KEYS - 2, key);
	assert_true(pages_find(p, (const uint8_t *)"a", 1, &h->now, &found));
	assert_memory_equal(found.bytes, key, found.len);
	assert_int_equal(h->counters.pages_damaged, 0);
	pages_close(p);
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % below;
}

/* Against a table: found is what was put last and has the greatest key not above. */
static void tree_agrees_with_a_model(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	enum { SPACE = 3000 };
	static uint32_t end[SPACE];
	uint64_t seed = 11;
	struct pages_chain chain;
	memset(end, 0, sizeof(end));
	for (unsigned round = 0; round < 20000; round++) {
		/* 20 octets, as of NSEC3, most of them at random from the number */
		const unsigned i = draw(&seed, SPACE);
		uint8_t key[20];
		memset(key, 0xee, sizeof(key));
		key[0] = (uint8_t)(i >> 8);
		key[1] = (uint8_t)i;
		if (draw(&seed, 3) == 0) {
			end[i] = (uint32_t)now_wall_s(&h->now) + DAY + round;
			assert_true(pages_add(p, DOMAIN, help_name("m"), &nsec, key, 20,
				end[i], &h->now));
			continue;
		}
		struct keylist_key found;
		if (!pages_zone(p, DOMAIN, help_name("m"), &h->now, &chain))
			continue;
		assert_true(pages_find(p, key, 20, &h->now, &found));
		unsigned want = i, steps = 0;
		while (!end[want] && steps++ < SPACE)
			want = (want + SPACE - 1) % SPACE;
		assert_int_equal(found.bytes[0] << 8 | found.bytes[1], want);
		assert_int_equal(found.end_s, end[want]);
	}
	pages_close(p);
}

static void zone_has_a_share_of_the_pages_only(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	assert_true(add(h, p, "small", 1));
	for (unsigned i = 0; i < 90000; i++) {
		add(h, p, "endless", i);
		if (i % 100 == 0)
			tell_time(h, 10);
	}
	assert_true(h->counters.pages_full > 0);
	assert_true(has(h, p, "small", 1));
	unsigned kept = 0;
	for (unsigned i = 0; i < 90000; i += 30)
		kept += has(h, p, "endless", i);
	print_message("kept of 3000: %u\n", kept);
	assert_in_range(kept, 1, 2900);
	pages_close(p);
}

static void pages_hold_enough(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	enum { KEYS = 4000 };
	uint64_t seed = 3;
	for (unsigned i = 0; i < KEYS; i++) {
		uint8_t key[20];
		for (unsigned j = 0; j < sizeof(key); j++)
			key[j] = (uint8_t)draw(&seed, 256);
		assert_true(pages_add(p, DOMAIN, help_name("n3"), &nsec, key, 20,
			now_wall_s(&h->now) + DAY, &h->now));
	}
	/* how many pages of the file are in use */
	char path[200];
	snprintf(path, sizeof(path), "%s/shm/pages-v1", h->folder);
	const int fd = open(path, O_RDONLY);
	static uint8_t file[5 * MB];
	const ssize_t len = read(fd, file, sizeof(file));
	close(fd);
	unsigned used = 0;
	const size_t sets =
		((size_t)len - 64 - PAGE_BUCKETS * 8) / (8 * (PAGE_BYTES + 12)) & ~1ul;
	for (size_t i = 0; i < sets * 8; i++) {
		uint64_t id;
		memcpy(&id, file + 64 + PAGE_BUCKETS * 8 + i * 8, 8);
		used += id != 0;
	}
	print_message("hashes: %.1f a page, %.1f bytes each\n", (double)KEYS / used,
		(double)used * (PAGE_BYTES + 12) / KEYS);
	assert_true(KEYS / used >= 24);
	pages_close(p);
}

static void another_cache_does_not_see_them(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	char path[200];
	assert_true(add(h, p, "z", 1));
	help_path(h, path);
	unlink(path);
	cache_tick(h->cache, &h->now);
	pages_tick(p);
	assert_false(has(h, p, "z", 1));
	assert_int_equal(h->counters.pages_damaged, 0);
	assert_true(add(h, p, "z", 2));
	assert_true(has(h, p, "z", 2));
	pages_close(p);
}

static void other_size_of_the_cache_is_followed(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h), *q = open_pages(h);
	struct stat before, after;
	char path[200];
	snprintf(path, sizeof(path), "%s/shm/pages-v1", h->folder);
	assert_true(add(h, p, "z", 1));
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(cache_resize(h->cache, 32 * MB), 0);
	pages_tick(p);
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_size > before.st_size);
	pages_tick(q);
	assert_true(add(h, p, "z", 2));
	assert_true(has(h, q, "z", 2));
	pages_close(p);
	pages_close(q);
}

static void what_stands_there_is_not_written_again(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	for (unsigned i = 0; i < 500; i++) /* with pages beneath the root */
		add(h, p, "z", i);
	const uint64_t written = h->counters.pages_written;
	for (unsigned i = 0; i < 500; i++)
		assert_true(add(h, p, "z", i));
	assert_int_equal(h->counters.pages_written, written);
	assert_true(add(h, p, "z", 500));
	assert_true(h->counters.pages_written > written);
	pages_close(p);
}

static void removed_or_cut_file_costs_misses(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	char path[200];
	snprintf(path, sizeof(path), "%s/shm/pages-v1", h->folder);
	for (unsigned i = 0; i < 500; i++)
		add(h, p, "z", i);
	assert_int_equal(truncate(path, 4096), 0);
	for (unsigned i = 0; i < 500; i++)
		(void)has(h, p, "z", i);
	(void)add(h, p, "z", 9);
	pages_tick(p);
	assert_true(add(h, p, "z", 1));
	assert_true(has(h, p, "z", 1));
	unlink(path);
	pages_tick(p);
	assert_false(has(h, p, "z", 1));
	assert_true(add(h, p, "z", 1));
	pages_close(p);
}

/* --- processes that die or stop --------------------------------------------------- */

/* Adds keys that no child before it had. */
static pid_t start_child(struct help *h, unsigned number, const char *where, int signo)
{
	enum { KEYS_EACH = 2000 };
	fflush(NULL);
	const pid_t pid = fork();
	if (pid)
		return pid;
	struct pages *p = open_pages(h);
	point = where;
	point_signal = signo;
	for (unsigned i = 0; i < KEYS_EACH; i++)
		add(h, p, "z", 10000 + number * KEYS_EACH + i);
	_exit(0);
}

static const char *const points[] = { "page claimed", "page turn", "page half written",
	"page written" };

static void writer_dies_at_each_step(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned k = 0; k < 300; k++)
			add(h, p, "z", k * 10);
		const pid_t pid = start_child(h, i, points[i], SIGKILL);
		int how = 0;
		assert_int_equal(waitpid(pid, &how, 0), pid);
		assert_true(WIFSIGNALED(how));
		tell_time(h, 100);
		/* what it spoilt is begun anew, and all can be put again */
		for (unsigned round = 0; round < 3; round++)
			for (unsigned k = 0; k < 300; k++)
				add(h, p, "z", k * 10);
		for (unsigned k = 0; k < 300; k++)
			assert_true(has(h, p, "z", k * 10));
	}
	pages_close(p);
}

static void writer_stops_at_each_step_and_goes_on(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	for (unsigned i = 0; i < 4; i++) {
		add(h, p, "z", 1);
		const pid_t pid = start_child(h, i, points[i], SIGSTOP);
		int how = 0;
		assert_int_equal(waitpid(pid, &how, WUNTRACED), pid);
		assert_true(WIFSTOPPED(how));
		tell_time(h, 100);
		for (unsigned round = 0; round < 3; round++)
			for (unsigned k = 0; k < 300; k++)
				add(h, p, "z", k);
		for (unsigned k = 0; k < 300; k++)
			assert_true(has(h, p, "z", k));
		kill(pid, SIGCONT);
		assert_int_equal(waitpid(pid, &how, 0), pid);
		tell_time(h, 100);
		for (unsigned k = 0; k < 300; k++)
			add(h, p, "z", k);
		for (unsigned k = 0; k < 300; k++)
			assert_true(has(h, p, "z", k));
	}
	pages_close(p);
}

/* A key tells when it ends, so that nothing else can pass for what was put. */
static void torture_child(struct help *h, unsigned number)
{
	struct pages *p = open_pages(h);
	uint64_t seed = number * 77 + 5;
	struct pages_chain chain;
	struct keylist_key found;
	for (;;) {
		h->now = clock_read();
		char zone[16];
		uint8_t key[20];
		snprintf(zone, sizeof(zone), "z%u.test", draw(&seed, 8));
		const uint32_t n = draw(&seed, 5000);
		uint64_t mix = n;
		for (unsigned i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)draw(&mix, 256);
		uint32_t end;
		memcpy(&end, key, 4);
		end |= UINT32_C(1) << 31;
		if (draw(&seed, 2)) {
			pages_add(p, DOMAIN, help_name(zone), &nsec, key, 20, end,
				&h->now);
			continue;
		}
		if (!pages_zone(p, DOMAIN, help_name(zone), &h->now, &chain))
			continue;
		if (chain.type != TYPE_NSEC || chain.salt_len)
			_exit(3);
		if (!pages_find(p, key, 20, &h->now, &found))
			continue;
		uint32_t want;
		memcpy(&want, found.bytes, 4);
		if (found.len != 20 || found.end_s != (want | UINT32_C(1) << 31))
			_exit(4);
	}
}

static void flip_bytes(const char *path, uint64_t *seed)
{
	const int fd = open(path, O_RDWR);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	for (unsigned i = 0; i < 20; i++) {
		const off_t at = 64 + (off_t)draw(seed, (uint32_t)st.st_size - 64);
		uint8_t byte = (uint8_t)draw(seed, 256);
		(void)!pwrite(fd, &byte, 1, at);
	}
	close(fd);
}

static void torture(void **state)
{
	struct help *h = *state;
	enum { CHILDREN = 4, KILLS = 150 };
	pid_t child[CHILDREN] = { 0 };
	uint64_t seed = 99;
	char path[200];
	snprintf(path, sizeof(path), "%s/shm/pages-v1", h->folder);
	struct pages *p = open_pages(h);
	fflush(NULL);
	for (unsigned k = 0; k < KILLS; k++) {
		const unsigned i = draw(&seed, CHILDREN);
		for (unsigned j = 0; j < CHILDREN; j++) {
			if (child[j])
				continue;
			child[j] = fork();
			if (!child[j])
				torture_child(h, k * CHILDREN + j);
		}
		const struct timespec pause = { 0, 1000 * (1000 + draw(&seed, 9000)) };
		nanosleep(&pause, NULL);
		if (k % 3 == 0)
			flip_bytes(path, &seed);
		int how = 0;
		kill(child[i], k % 7 ? SIGKILL : SIGSTOP);
		if (k % 7 == 0) {
			const struct timespec over = { 0, 60 * 1000 * 1000 };
			nanosleep(&over, NULL);
			kill(child[i], SIGCONT);
			nanosleep(&pause, NULL);
			kill(child[i], SIGKILL);
		}
		assert_int_equal(waitpid(child[i], &how, 0), child[i]);
		assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
		child[i] = 0;
	}
	for (unsigned j = 0; j < CHILDREN; j++)
		if (child[j]) {
			int how;
			kill(child[j], SIGKILL);
			waitpid(child[j], &how, 0);
		}
	pages_close(p);
}

/* The pages' places in the file: page.c's layout. */
static union page *map_pages(
	const struct help *h, uint8_t **file, size_t *size, size_t *count)
{
	enum { FIXED = 64 + PAGE_BUCKETS * 8, SET = 8 };
	char path[200];
	struct stat st;
	snprintf(path, sizeof(path), "%s/shm/pages-v1", h->folder);
	const int fd = open(path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	*file = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	assert_true(*file != MAP_FAILED);
	const size_t sets = (*size - FIXED) / (SET * (PAGE_BYTES + 12)) / 2 * 2;
	*count = sets * SET;
	return (union page *)(void *)(*file + FIXED + *count * 12);
}

/* Bytes that count: all but the turn, and what lies behind the last word in use. */
static size_t end_of(const union page *p)
{
	return PAGE_HEAD + (p->head.used + 7u) / 8 * 8;
}

static unsigned missing(struct help *h, struct pages *p, unsigned keys)
{
	unsigned lost = 0;
	for (unsigned i = 0; i < keys; i++)
		lost += !has(h, p, "z", i);
	return lost;
}

static void each_flipped_bit_of_a_page_is_a_miss_and_counted(void **state)
{
	enum { KEYS = 10 };
	struct help *h = *state;
	struct pages *p = open_pages(h);
	uint8_t *file;
	size_t size, count, at = 0;
	for (unsigned i = 0; i < KEYS; i++)
		add(h, p, "z", i);
	union page *pages = map_pages(h, &file, &size, &count);
	while (at < count && !pages[at].head.used)
		at++;
	assert_true(at < count);
	union page *page = &pages[at];
	const size_t end = end_of(page);
	assert_true(end > PAGE_HEAD + KEYS);
	for (size_t bit = sizeof(page->head.turn) * 8; bit < end * 8; bit++) {
		const uint64_t before = h->counters.pages_damaged;
		page->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(has(h, p, "z", (unsigned)bit % KEYS));
		assert_int_equal(h->counters.pages_damaged, before + 1);
		page->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(missing(h, p, KEYS), 0);
	munmap(file, size);
	pages_close(p);
}

/* Of a tree's pages those that stand below it are lost, the others not. */
static void a_flipped_bit_costs_what_its_page_leads_to(void **state)
{
	enum { KEYS = 300 };
	struct help *h = *state;
	struct pages *p = open_pages(h);
	uint8_t *file;
	size_t size, count;
	uint64_t seed = 5;
	unsigned used = 0, whole = 0;
	for (unsigned i = 0; i < KEYS; i++)
		add(h, p, "z", i);
	assert_int_equal(missing(h, p, KEYS), 0);
	union page *pages = map_pages(h, &file, &size, &count);
	for (size_t i = 0; i < count; i++) {
		if (!pages[i].head.used)
			continue;
		const size_t at = 8 + draw(&seed, (uint32_t)end_of(&pages[i]) - 8);
		const uint8_t bit = (uint8_t)(1u << draw(&seed, 8));
		const uint64_t before = h->counters.pages_damaged;
		pages[i].bytes[at] ^= bit;
		const unsigned lost = missing(h, p, KEYS);
		assert_true(lost > 0 && h->counters.pages_damaged >= before + lost);
		pages[i].bytes[at] ^= bit;
		used++;
		whole += lost == KEYS;
	}
	assert_true(used >= 4);
	assert_int_equal(whole, 1); /* the root */
	assert_int_equal(missing(h, p, KEYS), 0);
	munmap(file, size);
	pages_close(p);
}

/* --- the quota ------------------------------------------------------------------- */

static void quota_holds_only_zones_that_are_asked_in_vain(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h), *q = open_pages(h);
	unsigned taken = 0;
	bool uncounted = false;
	for (unsigned i = 0; i < 10000; i++)
		assert_true(pages_may_ask(p, help_name("free"), &h->now, &uncounted));
	assert_true(uncounted);
	pages_vain(p, help_name("vain"), &h->now, false);
	while (pages_may_ask(taken % 2 ? p : q, help_name("VAIN"), &h->now, &uncounted))
		taken++;
	assert_int_equal(taken, LIMIT_ZONE_NEW_NAMES_BURST - 1);
	/* of the host, and a second later so many again */
	assert_false(pages_may_ask(q, help_name("vain"), &h->now, &uncounted));
	for (unsigned ms = 0; ms < 10000; ms += 10) {
		tell_time(h, 10);
		while (pages_may_ask(
			ms % 20 ? p : q, help_name("vain"), &h->now, &uncounted))
			taken++;
	}
	assert_in_range(taken,
		LIMIT_ZONE_NEW_NAMES_BURST + 10 * LIMIT_ZONE_NEW_NAMES - 20,
		LIMIT_ZONE_NEW_NAMES_BURST + 10 * LIMIT_ZONE_NEW_NAMES + 1);
	/* names that are there make room */
	pages_fruitful(q, help_name("vain"), &h->now);
	assert_true(pages_may_ask(p, help_name("vain"), &h->now, &uncounted));
	assert_true(pages_may_ask(p, help_name("free"), &h->now, &uncounted));
	pages_close(p);
	pages_close(q);
}

/* A burst to a zone of which nothing is known yet: all of it passes, and counts. */
static void quota_counts_what_passed_before_it_began(void **state)
{
	struct help *h = *state;
	struct pages *p = open_pages(h);
	const unsigned burst = LIMIT_ZONE_NEW_NAMES_BURST + LIMIT_ZONE_NEW_NAMES;
	bool uncounted = false;
	for (unsigned i = 0; i < burst; i++)
		assert_true(pages_may_ask(p, help_name("vain"), &h->now, &uncounted));
	assert_true(uncounted);
	for (unsigned i = 0; i < burst; i++)
		pages_vain(p, help_name("vain"), &h->now, true);
	assert_false(pages_may_ask(p, help_name("vain"), &h->now, &uncounted));
	tell_time(h, 990);
	assert_false(pages_may_ask(p, help_name("vain"), &h->now, &uncounted));
	tell_time(h, 20);
	assert_true(pages_may_ask(p, help_name("vain"), &h->now, &uncounted));
	pages_close(p);
}

static int setup_large(void **state)
{
	return help_setup_size(state, 64 * MB);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)
#define TEST_LARGE(name)                                                               \
	cmocka_unit_test_setup_teardown(name, setup_large, help_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(zone_is_found_with_its_chain),
		TEST(new_chain_waits_and_then_takes_over),
		TEST_LARGE(tree_holds_all_keys_in_order),
		TEST_LARGE(tree_agrees_with_a_model),
		TEST_LARGE(zone_has_a_share_of_the_pages_only),
		TEST_LARGE(pages_hold_enough),
		TEST(another_cache_does_not_see_them),
		TEST(other_size_of_the_cache_is_followed),
		TEST(what_stands_there_is_not_written_again),
		TEST(removed_or_cut_file_costs_misses),
		TEST_LARGE(writer_dies_at_each_step),
		TEST_LARGE(writer_stops_at_each_step_and_goes_on),
		TEST(torture),
		TEST(each_flipped_bit_of_a_page_is_a_miss_and_counted),
		TEST(a_flipped_bit_costs_what_its_page_leads_to),
		TEST(quota_holds_only_zones_that_are_asked_in_vain),
		TEST(quota_counts_what_passed_before_it_began),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
