/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table is <run>/shm/poison-v1: rows of (keyed hash, until), each word written by itself.
 * A torn row is another hash for ten minutes at most. Everything that the handler calls is
 * async-signal-safe: stores, clock_gettime(2), write(2), SipHash. */
#include "worker/poison.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "shm/shm.h"

#define POISON_MAGIC UINT64_C(0x6e6f7369706c6873)

enum {
	POISON_LAYOUT = 1,
	ROWS = 64, /* an attacker who has 64 such questions has won otherwise */
	NAME_BYTES = 255,
	STACK = 64 * 1024,
};

struct row {
	uint64_t hash;
	int64_t until_ms; /* wall clock; 0: free */
};

struct segment {
	struct shm_head head;
	struct hash_key key;
	int64_t latest_ms; /* no row is longer: past it there is nothing to look for */
	struct row rows[ROWS];
};

struct poison {
	struct shm shm;
	struct segment *seg;
};

static struct poison *watched;
static volatile struct poison_mark at_work;

/* --- the table -------------------------------------------------------------------- */

static void format(void *base, size_t size, void *ctx)
{
	struct segment *seg = base;
	(void)size;
	random_fill(ctx, &seg->key, sizeof(seg->key));
}

struct poison *poison_open(const char *run_folder, struct random *rnd)
{
	char folder[4096], path[4200], reason[256] = "";
	struct poison *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	snprintf(folder, sizeof(folder), "%.4000s/shm", run_folder);
	snprintf(path, sizeof(path), "%s/poison-v%d", folder, POISON_LAYOUT);
	(void)fd_make_folder(folder, 0700); /* the warning below tells */
	const struct shm_want want = {
		.path = path,
		.magic = POISON_MAGIC,
		.layout = POISON_LAYOUT,
		.size = sizeof(struct segment),
		.mode = 0600,
		.format = format,
		.ctx = rnd,
	};
	if (shm_open_file(&p->shm, &want, reason) == SHM_FAILED) {
		free(p);
		return NULL;
	}
	if (reason[0])
		log_warning(SYSTEM, "%s: %s", path, reason);
	p->seg = p->shm.base;
	return p;
}

void poison_close(struct poison *p)
{
	if (!p)
		return;
	if (watched == p)
		watched = NULL;
	shm_close(&p->shm);
	free(p);
}

/* Of the name in lower case, type and class; stops at what is no name. */
static uint64_t hash_of(
	const struct poison *p, const uint8_t *name, uint16_t type, uint16_t rclass)
{
	uint8_t key[NAME_BYTES + 4];
	size_t len = 0, label_end = 0;
	while (len < NAME_BYTES) {
		const uint8_t c = name[len];
		if (len == label_end)
			label_end = len + 1u + c;
		key[len++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
		if (!c && len == label_end)
			break;
	}
	const uint8_t tail[4] = { (uint8_t)(type >> 8), (uint8_t)type,
		(uint8_t)(rclass >> 8), (uint8_t)rclass };
	memcpy(key + len, tail, sizeof(tail));
	return hash_sip13(&p->seg->key, key, len + sizeof(tail));
}

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

/* Until when a row holds; a clock that jumped back, or damage, ends it too. */
static bool holds(int64_t until_ms, int64_t wall_ms)
{
	return until_ms > wall_ms && until_ms <= wall_ms + POISON_MS;
}

bool poison_has(const struct poison *p, const uint8_t *name, uint16_t type,
	uint16_t rclass, int64_t wall_ms)
{
	if (!p || !holds(LOAD(p->seg->latest_ms), wall_ms))
		return false;
	const uint64_t hash = hash_of(p, name, type, rclass);
	for (int i = 0; i < ROWS; i++)
		if (LOAD(p->seg->rows[i].hash) == hash &&
			holds(LOAD(p->seg->rows[i].until_ms), wall_ms))
			return true;
	return false;
}

void poison_add(struct poison *p, const uint8_t *name, uint16_t type, uint16_t rclass,
	int64_t wall_ms)
{
	const uint64_t hash = hash_of(p, name, type, rclass);
	struct row *into = &p->seg->rows[0];
	for (int i = 0; i < ROWS; i++) {
		struct row *row = &p->seg->rows[i];
		if (LOAD(row->hash) == hash) {
			into = row;
			break;
		}
		if (LOAD(row->until_ms) < LOAD(into->until_ms))
			into = row; /* the one that ends first */
	}
	STORE(into->hash, hash);
	STORE(into->until_ms, wall_ms + POISON_MS);
	STORE(p->seg->latest_ms, wall_ms + POISON_MS);
}

/* --- the process ------------------------------------------------------------------- */

struct poison_mark poison_begin(const uint8_t *name, uint16_t type, uint16_t rclass)
{
	const struct poison_mark before = { at_work.name, at_work.type,
		at_work.rclass };
	at_work.type = type;
	at_work.rclass = rclass;
	at_work.name = name;
	return before;
}

void poison_end(struct poison_mark before)
{
	at_work.name = NULL;
	at_work.type = before.type;
	at_work.rclass = before.rclass;
	at_work.name = before.name;
}

/* The last words; of the name only what prints. */
static void last_words(int signo, const uint8_t *name, unsigned type)
{
	static const char begin[] = "crashed by signal ",
			  middle[] = " while it worked on ",
			  end[] = ": refused for ten minutes\n";
	char text[512];
	size_t at = 0;
	memcpy(text, begin, sizeof(begin) - 1);
	at += sizeof(begin) - 1;
	text[at++] = (char)('0' + signo / 10 % 10);
	text[at++] = (char)('0' + signo % 10);
	memcpy(text + at, middle, sizeof(middle) - 1);
	at += sizeof(middle) - 1;
	for (size_t i = 0, label_end = 0; i < NAME_BYTES; i++) {
		const uint8_t c = name[i];
		if (i != label_end) {
			text[at++] = (char)(c > ' ' && c < 127 ? c : '?');
			continue;
		}
		if (i)
			text[at++] = '.';
		if (!c)
			break;
		label_end = i + 1u + c;
	}
	memcpy(text + at, " type ", 6);
	at += 6;
	for (unsigned digit = 10000; digit; digit /= 10)
		if (type >= digit || digit == 1)
			text[at++] = (char)('0' + type / digit % 10);
	memcpy(text + at, end, sizeof(end) - 1);
	at += sizeof(end) - 1;
	if (write(STDERR_FILENO, text, at) < 0)
		return; /* nobody listens */
}

static void on_crash(int signo)
{
	const uint8_t *name = at_work.name;
	struct timespec now;
	at_work.name = NULL; /* a second fault in here must end */
	if (watched && name && clock_gettime(CLOCK_REALTIME, &now) == 0) {
		poison_add(watched, name, at_work.type, at_work.rclass,
			now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000);
		last_words(signo, name, at_work.type);
	}
	/* SA_RESETHAND: now as by default, with core file and the true cause of death */
	raise(signo);
}

void poison_watch(struct poison *p)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	static uint8_t stack[STACK]; /* an overflow of the stack is a crash too */
	const stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction act = { .sa_handler = on_crash,
		.sa_flags = (int)(SA_RESETHAND | SA_ONSTACK) };
	watched = p;
	sigemptyset(&act.sa_mask);
	sigaltstack(&other, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		struct sigaction there;
		/* a sanitizer's own handlers tell more */
		if (sigaction(signals[i], NULL, &there) == 0 &&
			there.sa_handler == SIG_DFL)
			sigaction(signals[i], &act, NULL);
	}
}
