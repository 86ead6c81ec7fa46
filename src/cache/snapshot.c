/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/snapshot.c - the file: a head, then records at multiples of 16 bytes, each with
 * its own mark and check, so that damage costs the entries that it hits. Entries keep the
 * generation that they had, so a clear in the list beside it concerns those that are
 * older, also when both went on while the snapshot was written. */
#include "cache/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/chore.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "cache/answer.h"
#include "cache/cleared.h"
#include "cache/state.h"

#define SNAPSHOT_MAGIC UINT64_C(0x70616e7363216873) /* "sh!csnap" */

enum {
	VERSION = 2,
	RECORD_MARK = 0x52746e65, /* "entR" */
	UNIT = 16,
	OUT_BUFFER = 256 * 1024,
	RETRY_S = 60, /* after a failure */
	NICE = 19,
};

struct file_head {
	uint64_t magic;
	uint32_t version, layout;
	uint64_t lineage;
	int64_t written_s;
	uint64_t unused;
	struct hash_key key; /* of the checks, random for each file */
	uint64_t check;
};

struct record_head {
	uint32_t mark, len; /* of the entry's bytes */
	uint64_t check;
};

static_assert(sizeof(struct file_head) % UNIT == 0, "records follow");
static_assert(sizeof(struct record_head) == UNIT, "entries follow");

struct snapshot {
	struct cache *cache;
	char folder[200], path[256], temporary[300], lock[256];
	bool usable, last; /* `last`: begun, as we stop */
	int64_t next_us; /* monotonic: a clock set back must not put it off for years */
	struct chore writer, restorer;
	struct snapshot_numbers numbers;
	/* while restoring */
	int fd;
	off_t at;
	struct hash_key key;
	uint64_t generation, lineage;
	uint32_t epoch;
	struct clear_index *cleared; /* since it was written */
	uint8_t *buf;
	size_t cap;
};

/* --- clears ------------------------------------------------------ */

static void link_path(char out[static 256], const char *run_folder)
{
	snprintf(out, 256, "%.200s/shm/storage", run_folder);
}

static void snapshot_path(char out[static 256], const char *folder)
{
	snprintf(out, 256, "%.200s/cache-v%d.snapshot", folder, CACHE_LAYOUT);
}

/* Where it cannot be noted, the snapshot goes instead. */
int snapshot_note_clear(const char *run_folder, const struct cleared *what,
	char folder[static SNAPSHOT_FOLDER])
{
	char path[256];
	link_path(path, run_folder);
	const ssize_t len = readlink(path, folder, SNAPSHOT_FOLDER - 1);
	folder[len < 0 ? 0 : len] = 0;
	if (len < 0)
		return errno == ENOENT ? 0 : -errno;
	int err = cleared_append(folder, what);
	if (err < 0) {
		snapshot_path(path, folder);
		if (unlink(path) == 0 || errno == ENOENT)
			err = 1;
	}
	return err;
}

/* --- writing ----------------------------------------------------- */

struct out {
	int fd, err;
	struct hash_key key;
	uint64_t count;
	size_t used;
	uint8_t buf[OUT_BUFFER];
};

static void out_flush(struct out *o)
{
	if (!o->err && o->used)
		o->err = fd_write_all(o->fd, o->buf, o->used);
	o->used = 0;
}

static bool out_entry(void *ctx, const union entry *e)
{
	struct out *o = ctx;
	if (e->head.kind == CACHE_ANSWER && e->head.user & ANSWER_HAS_PARTS)
		return true;
	const size_t len = entry_size(&e->head);
	if (o->used + sizeof(struct record_head) + len > sizeof(o->buf))
		out_flush(o);
	struct record_head h = { .mark = RECORD_MARK, .len = (uint32_t)len };
	uint8_t *to = o->buf + o->used;
	memcpy(to + sizeof(h), e->bytes, len);
	memset(to + sizeof(h) + entry_used(&e->head), 0, len - entry_used(&e->head));
	h.check = hash_sip13(&o->key, to + sizeof(h), len);
	memcpy(to, &h, sizeof(h));
	o->used += sizeof(h) + len;
	o->count++;
	return !o->err;
}

static uint64_t head_check(const struct file_head *h)
{
	return hash_sip13(&h->key, h, offsetof(struct file_head, check));
}

static int write_file(struct snapshot *s, struct out *o, const struct file_head *head,
	const struct now *now)
{
	unlink(s->temporary); /* of one who died; we have the lock */
	o->fd = open(s->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		0600);
	if (o->fd < 0)
		return -errno;
	o->err = fd_write_all(o->fd, head, sizeof(*head));
	if (!o->err)
		cache_walk_entries(s->cache, now, out_entry, o);
	out_flush(o);
	if (!o->err && fsync(o->fd) < 0)
		o->err = -errno;
	fd_close(&o->fd);
	if (!o->err && rename(s->temporary, s->path) < 0)
		o->err = -errno;
	if (o->err)
		unlink(s->temporary);
	return o->err;
}

static void sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)!fsync(fd);
	fd_close(&fd);
}

static int write_locked(struct snapshot *s, const struct now *now, uint64_t *entries)
{
	struct out *o = malloc(sizeof(*o));
	if (!o)
		return -ENOMEM;
	struct random rnd;
	random_init(&rnd);
	struct file_head head = {
		.magic = SNAPSHOT_MAGIC,
		.version = VERSION,
		.layout = CACHE_LAYOUT,
		.lineage = shared_lineage(&s->cache->shared),
		.written_s = now_wall_s(now),
	};
	random_fill(&rnd, &head.key, sizeof(head.key));
	head.check = head_check(&head);
	o->key = head.key;
	o->count = 0;
	o->used = 0;
	/* what stands in the list by now is true of all that is found from here on */
	struct cleared_mark mark;
	int err = cleared_mark(s->folder, &mark);
	if (!err)
		err = write_file(s, o, &head, now);
	if (!err)
		sync_folder(s->folder);
	if (!err)
		err = cleared_drop(s->folder, &mark);
	*entries = o->count;
	free(o);
	return err;
}

/* One writer at a time; its death frees the lock. */
int snapshot_write(struct snapshot *s, const struct now *now, uint64_t *entries)
{
	*entries = 0;
	int fd = open(s->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int err = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -EAGAIN : 0;
	if (!err)
		err = write_locked(s, now, entries);
	fd_close(&fd);
	return err;
}

/* --- restoring --------------------------------------------------- */

/* Generations of another segment than the snapshot's tell nothing: later than it. */
static bool note_cleared(void *ctx, const struct cleared *what)
{
	struct snapshot *s = ctx;
	const uint64_t generation =
		what->lineage == s->lineage ? what->generation : UINT64_MAX;
	clear_add(s->cleared, &s->cache->shared, what->all ? NULL : what->name,
		what->subtree, what->type, generation);
	return true;
}

static const char *refuse(struct snapshot *s, struct file_head *head)
{
	struct stat st;
	if (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "it is not a plain file";
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return "others may write or read it";
	if (pread(s->fd, head, sizeof(*head), 0) != sizeof(*head) ||
		head->magic != SNAPSHOT_MAGIC || head->version != VERSION ||
		head->layout != CACHE_LAYOUT || head->check != head_check(head))
		return "it is no snapshot of this version";
	s->lineage = head->lineage;
	if (cleared_read(s->folder, note_cleared, s) < 0)
		return "the list of clears beside it cannot be read";
	return NULL;
}

static void restore_end(struct snapshot *s)
{
	fd_close(&s->fd);
	free(s->buf);
	free(s->cleared);
	s->buf = NULL;
	s->cleared = NULL;
}

/* The generation of now is read before the list of clears: one that comes later leaves a
 * line above it. */
static bool restore_begin(struct snapshot *s)
{
	struct file_head head;
	s->cache->is_new = false;
	s->generation = cache_generation(s->cache);
	s->epoch = cache_epoch(s->cache);
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->fd < 0)
		return false;
	s->cap = SNAPSHOT_STEP + sizeof(struct record_head) + ENTRY_MAX;
	s->buf = malloc(s->cap);
	s->cleared = malloc(sizeof(*s->cleared));
	if (s->cleared)
		clear_begin(s->cleared);
	const char *why = s->buf && s->cleared ? refuse(s, &head) : "no memory";
	if (why) {
		log_info(CACHE, "%s is not used: %s", s->path, why);
		restore_end(s);
		return false;
	}
	s->key = head.key;
	s->at = sizeof(head);
	return true;
}

/* The bytes of an entry that may come from anywhere. */
static bool restore_entry(
	struct snapshot *s, const uint8_t *bytes, size_t len, const struct now *now)
{
	struct entry_head h;
	if (len < sizeof(h))
		return false;
	memcpy(&h, bytes, sizeof(h));
	if (entry_size(&h) != len || h.value_len > CACHE_VALUE_MAX ||
		h.kind < CACHE_RRSET || h.kind > CACHE_DENIAL || h.kind == CACHE_MARK ||
		!h.name_len || name_check(bytes + sizeof(h), h.name_len) != h.name_len)
		return false;
	static union entry e;
	memcpy(e.bytes, bytes, entry_used(&h));
	if ((h.deps_len && !judge_deps(entry_deps(&e), h.deps_len)) ||
		clear_hits(s->cleared, &s->cache->shared, &e))
		return false;
	return cache_restore(s->cache, &e, s->generation, s->epoch, now);
}

/* How far the record at `at` reaches; 0: what lies there is none. */
static size_t read_record(
	struct snapshot *s, const uint8_t *at, size_t left, const struct now *now)
{
	struct record_head h;
	if (left < sizeof(h))
		return 0;
	memcpy(&h, at, sizeof(h));
	if (h.mark != RECORD_MARK || h.len > ENTRY_MAX || h.len % UNIT ||
		h.len > left - sizeof(h) ||
		h.check != hash_sip13(&s->key, at + sizeof(h), h.len))
		return 0;
	if (restore_entry(s, at + sizeof(h), h.len, now))
		s->numbers.restored++;
	else
		s->numbers.refused++;
	return sizeof(h) + h.len;
}

bool snapshot_restore(struct snapshot *s, const struct now *now)
{
	if (!s->usable)
		return false;
	if (s->fd < 0 && (!s->cache->is_new || !restore_begin(s)))
		return false;
	const ssize_t got = pread(s->fd, s->buf, s->cap, s->at);
	const size_t len = got > 0 ? (size_t)got : 0;
	size_t at = 0;
	while (at < len && at < SNAPSHOT_STEP) {
		const size_t step = read_record(s, s->buf + at, len - at, now);
		at += step ? step : UNIT; /* damage: the next mark will be found */
	}
	s->at += (off_t)at;
	if (len && at < len)
		return true;
	if (len == s->cap)
		return true;
	log_info(CACHE, "%s: %lu entries restored, %lu not (old or unfit)", s->path,
		(unsigned long)s->numbers.restored, (unsigned long)s->numbers.refused);
	restore_end(s);
	return false;
}

/* --- in a child -------------------------------------------------- */

static int64_t after(const struct now *now, int64_t s)
{
	return now->mono_us + s * 1000000;
}

static int write_child(void *ctx)
{
	struct snapshot *s = ctx;
	const struct now now = clock_read();
	uint64_t entries = 0;
	return snapshot_write(s, &now, &entries);
}

static int restore_child(void *ctx)
{
	struct snapshot *s = ctx;
	struct now now = clock_read();
	static struct counters own; /* the instance's are its own to write */
	s->cache->counters = &own;
	while (snapshot_restore(s, &now))
		now = clock_read();
	return 0;
}

static void write_begin(struct snapshot *s, const struct now *now)
{
	struct stat st;
	const int64_t now_s = now_wall_s(now);
	s->next_us = after(now, SNAPSHOT_EVERY_S);
	if (stat(s->path, &st) == 0 && st.st_mtime <= now_s &&
		now_s - st.st_mtime < SNAPSHOT_EVERY_S - 5) { /* another's */
		s->next_us = after(now, st.st_mtime + SNAPSHOT_EVERY_S - now_s);
		return;
	}
	if (chore_begin(&s->writer, write_child, s, -1, NICE) < 0)
		s->next_us = after(now, RETRY_S);
}

static void write_ended(struct snapshot *s, int err, const struct now *now)
{
	if (err == 0) {
		s->numbers.written_s = now_wall_s(now);
	} else {
		s->next_us = after(now, RETRY_S);
		if (err != -EAGAIN && -err != s->numbers.error)
			log_warning(CACHE,
				"%s: %s; the snapshot before it, if any, stays",
				s->path,
				err == -ECHILD  ? "its writer died"
				: err == -ETIME ? "it took too long"
						: strerror(-err));
	}
	if (err != -EAGAIN)
		s->numbers.error = -err;
}

void snapshot_tick(struct snapshot *s, const struct now *now)
{
	int err = 0;
	if (!s->usable || s->last)
		return;
	if (chore_ended(&s->restorer, &err) && err)
		log_warning(CACHE, "%s: filling the cache from it ended: %s", s->path,
			strerror(-err));
	if (chore_ended(&s->writer, &err))
		write_ended(s, err, now);
	if (s->restorer.pid || s->writer.pid)
		return;
	if (s->cache->is_new) {
		err = chore_begin(
			&s->restorer, restore_child, s, s->cache->shm.fd, NICE);
		if (!err)
			s->cache->is_new = false;
	} else if (now->mono_us >= s->next_us) {
		write_begin(s, now);
	}
}

static bool may_be_last(struct snapshot *s)
{
	int err = 0;
	(void)chore_ended(&s->restorer, &err);
	return s->usable && !s->restorer.pid && !s->last;
}

static int last_begin(struct snapshot *s)
{
	s->last = true;
	chore_kill(&s->writer);
	return chore_begin(&s->writer, write_child, s, -1, 0);
}

void snapshot_stopping(struct snapshot *s, const struct now *now)
{
	if (!may_be_last(s) || !cache_alone(s->cache))
		return;
	const int err = last_begin(s);
	if (err)
		write_ended(s, err, now);
}

bool snapshot_is_written(struct snapshot *s, const struct now *now)
{
	int err = 0;
	if (chore_ended(&s->writer, &err))
		write_ended(s, err, now);
	return !s->writer.pid;
}

/* Who stops at the same time lets go of the cache first, one after the other, so one of
 * them is the last. */
void snapshot_last(struct snapshot *s, int64_t timeout_us, const struct now *now)
{
	if (s->last && s->writer.pid) { /* has had its time */
		chore_kill(&s->writer);
		write_ended(s, -ETIME, now);
	}
	if (!may_be_last(s) || !cache_leave(s->cache))
		return;
	int err = last_begin(s);
	if (!err)
		err = chore_wait(&s->writer, timeout_us);
	write_ended(s, err, now);
}

/* --- opening ----------------------------------------------------- */

/* So that a clear by whoever finds the snapshot: `shoal cache clear`, an instance whose
 * configuration names no folder. */
static void leave_link(const struct snapshot *s)
{
	char path[256], temporary[300];
	link_path(path, s->cache->folder);
	snprintf(temporary, sizeof(temporary), "%s.new.%ld", path, (long)getpid());
	unlink(temporary);
	if (symlink(s->folder, temporary) < 0 || rename(temporary, path) < 0)
		log_warning(CACHE, "%s: %s", path, strerror(errno));
}

struct snapshot *snapshot_open(
	struct cache *c, const char *folder, const struct now *now)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->cache = c;
	s->fd = -1;
	s->next_us = after(now, SNAPSHOT_FIRST_S);
	char real[4096];
	const int err = fd_make_folder(folder, 0700);
	if (err || !realpath(folder, real) || strlen(real) >= sizeof(s->folder)) {
		log_warning(CACHE, "cache.storage %s: %s; no snapshot is kept", folder,
			strerror(err     ? -err
				 : errno ? errno
					 : ENAMETOOLONG));
		return s;
	}
	snprintf(s->folder, sizeof(s->folder), "%.199s", real);
	snapshot_path(s->path, s->folder);
	snprintf(s->temporary, sizeof(s->temporary), "%s.new", s->path);
	snprintf(
		s->lock, sizeof(s->lock), "%s/cache-v%d.lock", s->folder, CACHE_LAYOUT);
	s->usable = true;
	leave_link(s);
	return s;
}

void snapshot_close(struct snapshot *s)
{
	if (!s)
		return;
	chore_kill(&s->writer);
	restore_end(s);
	free(s);
}

struct snapshot_numbers snapshot_numbers(const struct snapshot *s)
{
	return s->numbers;
}
