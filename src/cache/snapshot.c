/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/snapshot.c - the file: a head, then records at multiples of 16 bytes, each with
 * its own mark and check, so that damage costs the entries that it hits.
 *
 * Clears: the head bears the generation that was read before the first entry. A clear
 * publishes its line and then appends its generation to the list of clears, on disk
 * before it returns. So a snapshot without it is older than the list, whatever the order
 * of renames, and is refused; in the files nothing is ever waited for. */
#include "cache/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "cache/entry.h"
#include "cache/internal.h"
#include "wire/name.h"

#define SNAPSHOT_MAGIC UINT64_C(0x70616e7363216873) /* "sh!csnap" */

enum {
	VERSION = 1,
	RECORD_MARK = 0x52746e65, /* "entR" */
	UNIT = 16,
	OUT_BUFFER = 256 * 1024,
	RETRY_S = 60, /* after a failure */
	CLEARS_MAX = 64 * 1024 * 1024,
};

struct file_head {
	uint64_t magic;
	uint32_t version, layout;
	uint64_t generation;
	uint32_t epoch, unused;
	int64_t written_s;
	struct hash_key key; /* of the checks, random for each file */
	uint64_t check;
};

struct record_head {
	uint32_t mark, len; /* of the entry's bytes */
	uint64_t check;
};

struct clear_record {
	uint64_t generation;
	uint32_t epoch;
	uint32_t check;
};

static_assert(sizeof(struct file_head) % UNIT == 0, "records follow");
static_assert(sizeof(struct record_head) == UNIT, "entries follow");

struct snapshot {
	struct cache *cache;
	char folder[200], path[256], temporary[300], lock[256];
	bool usable;
	int64_t next_us; /* monotonic: a clock set back must not put it off for years */
	pid_t child;
	struct snapshot_numbers numbers;
	/* while restoring */
	int fd;
	bool asked;
	off_t at;
	struct hash_key key;
	uint64_t generation;
	uint32_t epoch;
	uint8_t *buf;
	size_t cap;
};

/* --- the list of clears ------------------------------------------ */

static void clears_path(char out[static 256], const char *folder)
{
	snprintf(out, 256, "%.200s/cache-v%d.cleared", folder, CACHE_LAYOUT);
}

static uint32_t clear_check(const struct clear_record *r)
{
	static const struct hash_key key = { SNAPSHOT_MAGIC, VERSION };
	return (uint32_t)hash_sip13(&key, r, offsetof(struct clear_record, check));
}

static int append_clear(const char *folder, uint64_t generation, uint32_t epoch)
{
	char path[256];
	clears_path(path, folder);
	int fd = open(
		path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	struct clear_record r = { .generation = generation, .epoch = epoch };
	r.check = clear_check(&r);
	int err = write(fd, &r, sizeof(r)) == sizeof(r) ? 0 : -EIO;
	if (!err && fdatasync(fd) < 0)
		err = -errno;
	fd_close(&fd);
	return err;
}

/* Without a readable list a snapshot might bring back what was cleared. */
static int read_clears(const char *folder, struct clear_record *most)
{
	char path[256], *data = NULL;
	size_t len = 0;
	*most = (struct clear_record){ 0 };
	clears_path(path, folder);
	const int err = fd_read_file(path, CLEARS_MAX, &data, &len);
	if (err)
		return err == -ENOENT ? 0 : err;
	int result = len % sizeof(struct clear_record) ? -EPROTO : 0;
	for (size_t at = 0; !result && at < len; at += sizeof(struct clear_record)) {
		struct clear_record r;
		memcpy(&r, data + at, sizeof(r));
		if (r.check != clear_check(&r))
			result = -EPROTO;
		if (r.generation > most->generation)
			most->generation = r.generation;
		if (r.epoch > most->epoch)
			most->epoch = r.epoch;
	}
	free(data);
	return result;
}

static void link_path(char out[static 256], const char *run_folder)
{
	snprintf(out, 256, "%.200s/shm/storage", run_folder);
}

int snapshot_note_clear(const char *run_folder, uint64_t generation, uint32_t epoch)
{
	char path[256], folder[256];
	link_path(path, run_folder);
	const ssize_t len = readlink(path, folder, sizeof(folder) - 1);
	if (len < 0)
		return errno == ENOENT ? 0 : -errno;
	folder[len] = 0;
	return append_clear(folder, generation, epoch);
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
	if (!o->err && cache_generation(s->cache) != head->generation)
		o->err = -EAGAIN; /* it would be refused */
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
		.generation = cache_generation(s->cache),
		.epoch = cache_epoch(s->cache),
		.written_s = now_wall_s(now),
	};
	random_fill(&rnd, &head.key, sizeof(head.key));
	head.check = head_check(&head);
	o->key = head.key;
	o->count = 0;
	o->used = 0;
	const int err = write_file(s, o, &head, now);
	if (!err)
		sync_folder(s->folder);
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

/* --- in a child -------------------------------------------------- */

static int64_t after(const struct now *now, int64_t s)
{
	return now->mono_us + s * 1000000;
}

/* Its own descriptors only: our sockets must not live on in it. */
static void child_run(struct snapshot *s, const struct now *now)
{
	uint64_t entries = 0;
	if (close_range(3, ~0u, 0) < 0)
		_exit(EPROTO);
	setpriority(PRIO_PROCESS, 0, 19);
	const int err = snapshot_write(s, now, &entries);
	_exit(err ? -err & 127 : 0);
}

static void child_begin(struct snapshot *s, const struct now *now)
{
	struct stat st;
	const int64_t now_s = now_wall_s(now);
	s->next_us = after(now, SNAPSHOT_EVERY_S);
	if (stat(s->path, &st) == 0 && st.st_mtime <= now_s &&
		now_s - st.st_mtime < SNAPSHOT_EVERY_S - 5) { /* another's */
		s->next_us = after(now, st.st_mtime + SNAPSHOT_EVERY_S - now_s);
		return;
	}
	s->child = fork();
	if (s->child == 0)
		child_run(s, now);
	if (s->child < 0) {
		s->child = 0;
		s->next_us = after(now, RETRY_S);
	}
}

static void child_ended(struct snapshot *s, int status, const struct now *now)
{
	const int err = WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
	s->child = 0;
	if (err == 0) {
		s->numbers.written_s = now_wall_s(now);
	} else {
		s->next_us = after(now, RETRY_S);
		if (err != EAGAIN && err != s->numbers.error)
			log_warning(CACHE,
				"%s: %s; the snapshot before it, if any, stays",
				s->path,
				err == ECHILD ? "its writer died" : strerror(err));
	}
	if (err != EAGAIN)
		s->numbers.error = err;
}

void snapshot_tick(struct snapshot *s, const struct now *now)
{
	if (!s->usable)
		return;
	if (s->child) {
		int status = 0;
		const pid_t pid = waitpid(s->child, &status, WNOHANG);
		if (pid == s->child)
			child_ended(s, status, now);
		else if (pid < 0)
			s->child = 0;
	} else if (s->fd < 0 && now->mono_us >= s->next_us) {
		child_begin(s, now);
	}
}

/* --- restoring --------------------------------------------------- */

static const char *refuse(const struct snapshot *s, struct file_head *head)
{
	struct stat st;
	struct clear_record most;
	if (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "it is not a plain file";
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return "others may write or read it";
	if (pread(s->fd, head, sizeof(*head), 0) != sizeof(*head) ||
		head->magic != SNAPSHOT_MAGIC || head->version != VERSION ||
		head->layout != CACHE_LAYOUT || head->check != head_check(head))
		return "it is no snapshot of this version";
	if (read_clears(s->folder, &most) < 0)
		return "the list of clears beside it cannot be read";
	if (head->generation < most.generation || head->epoch < most.epoch)
		return "something was cleared since";
	return NULL;
}

static void restore_end(struct snapshot *s)
{
	fd_close(&s->fd);
	free(s->buf);
	s->buf = NULL;
}

/* The generation of now is read before the list of clears: one that comes later leaves a
 * line above it. */
static bool restore_begin(struct snapshot *s)
{
	struct file_head head;
	s->generation = cache_generation(s->cache);
	s->epoch = cache_epoch(s->cache);
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->fd < 0)
		return false;
	const char *why = refuse(s, &head);
	s->cap = SNAPSHOT_STEP + sizeof(struct record_head) + ENTRY_MAX;
	s->buf = why ? NULL : malloc(s->cap);
	if (!s->buf) {
		log_info(CACHE, "%s is not used: %s", s->path, why ? why : "no memory");
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
		h.kind < CACHE_RRSET || h.kind > CACHE_CUT || !h.name_len ||
		name_check(bytes + sizeof(h), h.name_len) != h.name_len)
		return false;
	return cache_restore(s->cache, bytes, s->generation, s->epoch, now);
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
	if (s->fd < 0 && (!cache_take_new(s->cache) || !restore_begin(s)))
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

/* --- opening ----------------------------------------------------- */

/* So that a clear by whoever finds the snapshot: `shoal cache clear`, an instance whose
 * configuration names no folder. */
static void leave_link(const struct snapshot *s)
{
	char path[256], temporary[300];
	link_path(path, cache_folder(s->cache));
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
	snprintf(s->path, sizeof(s->path), "%s/cache-v%d.snapshot", s->folder,
		CACHE_LAYOUT);
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
	if (s->child) {
		kill(s->child, SIGKILL);
		waitpid(s->child, NULL, 0);
	}
	restore_end(s);
	free(s);
}

struct snapshot_numbers snapshot_numbers(const struct snapshot *s)
{
	return s->numbers;
}
