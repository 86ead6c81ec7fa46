/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/cleared.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "cache/cache.h"
#include "wire/name.h"

enum {
	FLAG_SUBTREE = 1,
	FLAG_ALL = 2,
	LOCK_TRIES = 500, /* it is held for less than a millisecond of CPU */
	LOCK_PAUSE_US = 1000,
	PATH = 300,
};

struct record {
	uint64_t lineage, generation;
	uint16_t type;
	uint8_t flags, name_len;
	uint32_t unused;
	uint8_t name[256];
	uint64_t check; /* against damage, not against people */
};

static_assert(sizeof(struct record) == 288, "records follow one another");

static uint64_t check_of(const struct record *r)
{
	static const struct hash_key key = { 0x63, 0x6c };
	return hash_sip13(&key, r, offsetof(struct record, check));
}

static struct record record_of(const struct cleared *what)
{
	struct record r = {
		.lineage = what->lineage,
		.generation = what->generation,
		.type = what->type,
		.flags = (uint8_t)((what->subtree ? FLAG_SUBTREE : 0) |
				   (what->all ? FLAG_ALL : 0)),
	};
	if (!what->all)
		r.name_len = (uint8_t)name_copy_lower(r.name, what->name);
	r.check = check_of(&r);
	return r;
}

static bool valid(const struct record *r)
{
	return r->check == check_of(r) &&
	       ((r->flags & FLAG_ALL) ||
		       (r->name_len &&
			       name_check(r->name, r->name_len) == r->name_len));
}

/* --- the file ---------------------------------------------------- */

static void path_of(char out[static PATH], const char *folder, const char *end)
{
	snprintf(out, PATH, "%.200s/cache-v%d.cleared%s", folder, CACHE_LAYOUT, end);
}

static bool is_current(int fd, const char *path)
{
	struct stat mine, there;
	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 &&
	       mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

/* Locked, and still what has the name. A descriptor or -errno. */
static int open_locked(const char *folder)
{
	char path[PATH];
	path_of(path, folder, "");
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		int fd = open(path,
			O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			usleep(LOCK_PAUSE_US);
		else if (is_current(fd, path))
			return fd;
		fd_close(&fd);
	}
	return -EBUSY;
}

/* With the lock: another content, at once. */
static int replace(const char *folder, const void *data, size_t len)
{
	char path[PATH], temporary[PATH];
	path_of(path, folder, "");
	path_of(temporary, folder, ".new");
	unlink(temporary); /* of one who died */
	int fd = open(
		temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int err = fd_write_all(fd, data, len);
	fd_close(&fd);
	if (!err && rename(temporary, path) < 0)
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

/* A longer list than that is none of ours. */
static int read_all(const char *folder, struct record **out, size_t *count)
{
	char path[PATH], *data = NULL;
	size_t len = 0;
	*out = NULL;
	*count = 0;
	path_of(path, folder, "");
	const int err = fd_read_file(
		path, (CLEARED_MAX + 1) * sizeof(struct record), &data, &len);
	if (err)
		return err == -ENOENT ? 0 : err;
	*out = (struct record *)(void *)data;
	*count = len / sizeof(struct record);
	bool fine = len % sizeof(struct record) == 0;
	for (size_t i = 0; fine && i < *count; i++)
		fine = valid(&(*out)[i]);
	if (fine)
		return 0;
	free(data);
	*out = NULL;
	return -EPROTO;
}

/* --- clearing ---------------------------------------------------- */

int cleared_append(const char *folder, const struct cleared *what)
{
	struct stat st;
	struct record r = record_of(what);
	int fd = open_locked(folder);
	if (fd < 0)
		return fd;
	int err = fstat(fd, &st) < 0 ? -errno : 0;
	const bool whole = !err && st.st_size % (off_t)sizeof(r) == 0;
	if (!err && whole && st.st_size / (off_t)sizeof(r) < CLEARED_MAX) {
		err = fd_write_all(fd, &r, sizeof(r));
	} else if (!err) { /* full, or its end is torn */
		const struct cleared all = { .all = true };
		r = record_of(&all);
		err = replace(folder, &r, sizeof(r));
		if (!err)
			err = 1;
	}
	fd_close(&fd);
	return err;
}

int cleared_sync(const char *folder)
{
	char path[PATH];
	path_of(path, folder, "");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int err = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	fd_close(&fd);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!err && (fd < 0 || fsync(fd) < 0))
		err = -errno;
	fd_close(&fd);
	return err == -ENOENT ? 0 : err;
}

/* --- reading ----------------------------------------------------- */

int cleared_read(const char *folder, bool (*fn)(void *ctx, const struct cleared *what),
	void *ctx)
{
	struct record *r;
	size_t count;
	const int err = read_all(folder, &r, &count);
	if (err)
		return err;
	bool more = true;
	for (size_t i = 0; more && i < count; i++) {
		const struct cleared what = {
			.lineage = r[i].lineage,
			.generation = r[i].generation,
			.type = r[i].type,
			.subtree = r[i].flags & FLAG_SUBTREE,
			.all = r[i].flags & FLAG_ALL,
			.name = r[i].name,
		};
		more = fn(ctx, &what);
	}
	free(r);
	return 0;
}

/* --- compacting -------------------------------------------------- */

/* Nobody knows what a damaged list said: everything. */
static int void_all(const char *folder)
{
	const struct cleared all = { .all = true };
	const struct record r = record_of(&all);
	int fd = open_locked(folder);
	const int err = fd < 0 ? fd : replace(folder, &r, sizeof(r));
	fd_close(&fd);
	return err;
}

int cleared_mark(const char *folder, struct cleared_mark *mark)
{
	struct record *r = NULL;
	size_t count = 0;
	*mark = (struct cleared_mark){ 0 };
	int err = read_all(folder, &r, &count);
	if (err == -EPROTO || err == -EFBIG) {
		err = void_all(folder);
		if (!err)
			err = read_all(folder, &r, &count);
	}
	if (!err && count) {
		mark->count = count;
		mark->last = r[count - 1].check;
	}
	free(r);
	return err;
}

int cleared_drop(const char *folder, const struct cleared_mark *mark)
{
	struct record *r;
	size_t count;
	if (!mark->count)
		return 0;
	int fd = open_locked(folder);
	if (fd < 0)
		return fd;
	int err = read_all(folder, &r, &count);
	/* it may have become another list meanwhile: then all of it is newer */
	if (!err && count >= mark->count && r[mark->count - 1].check == mark->last)
		err = replace(
			folder, r + mark->count, (count - mark->count) * sizeof(*r));
	free(r);
	fd_close(&fd);
	return err;
}
