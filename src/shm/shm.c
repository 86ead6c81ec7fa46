/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "shm/shm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "shm/guard.h"

enum {
	SHM_TRIES = 4, /* others make and remove the same file meanwhile */
	LAZY_FIRST = 4 * 1024 * 1024,
	RESERVE_STEP = 32 * 1024 * 1024, /* what a full disk gives back at once */
	HUGE_PAGE = 2 * 1024 * 1024,
	HUGE_TRIES = 3, /* a page of it is in use at this very moment */
};

#ifndef MADV_COLLAPSE /* Linux 6.1, glibc 2.37 */
#define MADV_COLLAPSE 25
#endif

static_assert(sizeof(struct shm_head) == 32, "every layout begins with this");

static void say(char reason[static 256], const char *what, int err)
{
	if (err)
		snprintf(reason, 256, "%s: %s", what, strerror(err));
	else
		snprintf(reason, 256, "%s", what);
}

/* Where a huge page may begin: the kernel maps those of a file only so. */
static void *map_aligned(int fd, size_t size, int prot)
{
	uint8_t *room = mmap(NULL, size + HUGE_PAGE, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return MAP_FAILED;
	const size_t before = -(uintptr_t)room % HUGE_PAGE;
	void *base = mmap(room + before, size, prot, MAP_SHARED | MAP_FIXED, fd, 0);
	if (base == MAP_FAILED) {
		munmap(room, size + HUGE_PAGE);
		return MAP_FAILED;
	}
	const size_t page = (size_t)sysconf(_SC_PAGESIZE),
		     end = (before + size + page - 1) / page * page;
	if (before)
		munmap(room, before);
	if (end < size + HUGE_PAGE)
		munmap(room + end, size + HUGE_PAGE - end);
	return base;
}

static bool map(struct shm *out, int fd, size_t size, int prot)
{
	void *base = size < HUGE_PAGE ? mmap(NULL, size, prot, MAP_SHARED, fd, 0)
				      : map_aligned(fd, size, prot);
	if (base == MAP_FAILED)
		return false;
	struct stat st;
	if (fstat(fd, &st) < 0) {
		munmap(base, size);
		return false;
	}
	out->base = base;
	out->size = size;
	out->fd = fd;
	out->device = st.st_dev;
	out->inode = st.st_ino;
	guard_add(base, size);
	return true;
}

/* --- what is there already --------------------------------------- */

/* Why the file cannot be used, or NULL. */
static const char *refuse_file(const struct stat *st, mode_t mode)
{
	if (!S_ISREG(st->st_mode))
		return "it is not a plain file";
	if (st->st_uid != geteuid() && geteuid() != 0)
		return "it belongs to another user";
	if (st->st_mode & 0777 & ~mode)
		return "others may write or read it";
	return NULL;
}

static const char *refuse_head(const struct shm_head *head, const struct stat *st,
	uint64_t magic, uint32_t layout)
{
	if (head->magic != magic)
		return "it holds something else";
	if (head->layout != layout)
		return "it has another layout";
	if (head->replaced)
		return "it was replaced";
	if (head->size != (uint64_t)st->st_size || head->size < sizeof(*head))
		return "it was cut or has grown";
	return NULL;
}

/* Nobody else has it open: every user holds a shared lock, which ends with its process.
 */
static bool nobody_uses(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static const char *refuse(int fd, const struct stat *st, const struct shm_want *want)
{
	const char *why = refuse_file(st, want->mode);
	if (why)
		return why;
	struct shm_head head;
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head))
		return "it is too short";
	why = refuse_head(&head, st, want->magic, want->layout);
	if (why)
		return why;
	if (head.size != want->size &&
		(!want->any_size || (!want->any_size_alone && nobody_uses(fd))))
		return "it has another size";
	/* a file with holes would be SIGBUS on a full disk */
	if (!want->lazy && (uint64_t)st->st_blocks * 512 < head.size &&
		posix_fallocate(fd, 0, st->st_size))
		return "its blocks cannot be reserved";
	return NULL;
}

/* Tells those who have it mapped. What lies there may be anything, so only our own kind
 * of file is written to. False: it is so already, or none of ours. */
static bool mark_replaced(int fd, uint64_t magic, uint32_t mark)
{
	struct shm_head head;
	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
		head.magic != magic || head.replaced == mark)
		return false;
	const bool done = pwrite(fd, &mark, sizeof(mark),
				  offsetof(struct shm_head, replaced)) == sizeof(mark);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return done;
}

/* Takes its name away, unless another process was faster. */
static void move_away(const char *path, const struct stat *st)
{
	struct stat here;
	if (lstat(path, &here) < 0 || here.st_dev != st->st_dev ||
		here.st_ino != st->st_ino)
		return;
	char away[sizeof(((struct shm *)0)->path) + 32];
	snprintf(away, sizeof(away), "%s.old.%ld", path, (long)getpid());
	if (rename(path, away) == 0)
		unlink(away);
}

/* True: mapped. False: nothing usable is there (any more). */
static bool take_existing(
	struct shm *out, const struct shm_want *want, char reason[static 256])
{
	struct stat st = { 0 };
	int fd = open(want->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		const int err = errno;
		if (err != ENOENT)
			say(reason, "what is there cannot be opened", err);
		if (err != ENOENT && !want->existing && lstat(want->path, &st) == 0)
			move_away(want->path, &st);
		return false;
	}
	flock(fd, LOCK_SH | LOCK_NB);
	const char *why = "it cannot be looked at";
	if (fstat(fd, &st) == 0)
		why = refuse(fd, &st, want);
	if (why) {
		say(reason, why, 0);
		if (!want->existing && S_ISREG(st.st_mode))
			mark_replaced(fd, want->magic, 1);
		if (!want->existing)
			move_away(want->path, &st);
	} else if (map(out, fd, (size_t)st.st_size, PROT_READ | PROT_WRITE)) {
		flock(fd,
			LOCK_SH |
				LOCK_NB); /* nobody_uses() may have made it exclusive */
		return true;
	} else {
		say(reason, "it cannot be mapped", errno);
	}
	fd_close(&fd);
	return false;
}

/* --- a new one --------------------------------------------------- */

static void fill(void *base, const struct shm_want *want)
{
	struct shm_head *head = base;
	const struct now now = clock_read();
	*head = (struct shm_head){
		.magic = want->magic,
		.layout = want->layout,
		.size = want->size,
		.created_s = (uint64_t)now_wall_s(&now),
	};
	if (want->format)
		want->format(base, want->size, want->ctx);
}

/* A file without a name vanishes with us if we die here; not every file system has it.
 */
static int open_unnamed(const char *path, mode_t mode)
{
	char folder[256];
	snprintf(folder, sizeof(folder), "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = 0;
	return open(slash ? folder : ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
}

static void temporary_name(char out[static 300], const char *path)
{
	snprintf(out, 300, "%s.new.%ld", path, (long)getpid());
}

/* Gives the finished file its name. 0, or -EEXIST where another came first, or -errno.
 */
static int name_it(int fd, bool unnamed, const struct shm_want *want)
{
	char temporary[300];
	temporary_name(temporary, want->path);
	if (unnamed) {
		char link[64];
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		const char *to = want->fresh ? temporary : want->path;
		if (want->fresh)
			unlink(temporary);
		if (linkat(AT_FDCWD, link, AT_FDCWD, to, AT_SYMLINK_FOLLOW) < 0)
			return -errno;
		if (!want->fresh)
			return 0;
	}
	const unsigned how = want->fresh ? 0 : RENAME_NOREPLACE;
	int err = renameat2(AT_FDCWD, temporary, AT_FDCWD, want->path, how) < 0 ? -errno
										: 0;
	if (err == -EINVAL) /* a file system without RENAME_NOREPLACE */
		err = rename(temporary, want->path) < 0 ? -errno : 0;
	if (err)
		unlink(temporary);
	return err;
}

/* Is there room at all, if not all of it is taken at once? */
static int reserve_first(int fd, const struct shm_want *want)
{
	struct statvfs fs;
	if (!want->lazy || want->size <= LAZY_FIRST)
		return -posix_fallocate(fd, 0, (off_t)want->size);
	if (fstatvfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_blocks && want->size / fs.f_frsize >= fs.f_bavail)
		return -ENOSPC;
	if (ftruncate(fd, (off_t)want->size) < 0)
		return -errno;
	return -posix_fallocate(fd, 0, LAZY_FIRST);
}

static int make_new(struct shm *out, const struct shm_want *want, bool unnamed, int old)
{
	char temporary[300];
	temporary_name(temporary, want->path);
	if (!unnamed)
		unlink(temporary); /* of a process that had our number and died */
	int fd = unnamed ? open_unnamed(want->path, want->mode)
			 : open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
				   want->mode);
	if (fd < 0)
		return -errno;
	flock(fd, LOCK_SH | LOCK_NB);
	int err = fchmod(fd, want->mode) < 0 ? -errno : 0;
	if (!err)
		err = reserve_first(fd, want);
	if (!err && !map(out, fd, want->size, PROT_READ | PROT_WRITE))
		err = -errno;
	if (err) {
		if (!unnamed)
			unlink(temporary);
		fd_close(&fd);
		return err;
	}
	fill(out->base, want);
	/* those who have the old one mapped look at its head */
	const bool marked = mark_replaced(old, want->magic, 1);
	if (want->settle)
		want->settle(out->base, want->size, want->ctx);
	err = name_it(fd, unnamed, want);
	if (err && marked)
		mark_replaced(old, want->magic, 0);
	if (err)
		shm_close(out);
	return err;
}

static int create(struct shm *out, const struct shm_want *want)
{
	const int how = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int old = want->fresh ? open(want->path, how) : -1;
	int err = make_new(out, want, true, old);
	if (err && err != -EEXIST && err != -ENOSPC)
		err = make_new(out, want, false, old);
	fd_close(&old);
	return err;
}

enum shm_result shm_open_private(struct shm *out, const struct shm_want *want)
{
	void *base = mmap(NULL, want->size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return SHM_FAILED;
	*out = (struct shm){ .base = base, .size = want->size, .fd = -1 };
	fill(base, want);
	return SHM_ANONYMOUS;
}

enum shm_result shm_open_file(
	struct shm *out, const struct shm_want *want, char reason[static 256])
{
	assert(want->size >= sizeof(struct shm_head));
	*out = (struct shm){ .fd = -1 };
	reason[0] = 0;
	if (strlen(want->path) >= sizeof(out->path)) {
		say(reason, "the path is too long", 0);
		return shm_open_private(out, want);
	}
	int err = 0;
	for (unsigned tries = 0; tries < SHM_TRIES; tries++) {
		enum shm_result result = SHM_OPENED;
		err = 0;
		const bool taken = !want->fresh && take_existing(out, want, reason);
		if (!taken && want->existing)
			return SHM_FAILED;
		if (!taken) {
			err = create(out, want);
			result = SHM_CREATED;
		}
		if (!err) {
			snprintf(out->path, sizeof(out->path), "%s", want->path);
			return result;
		}
		if (err != -EEXIST)
			break;
	}
	say(reason, "no file can be made", -err);
	return shm_open_private(out, want);
}

int shm_open_readonly(
	struct shm *out, const char *path, uint64_t magic, uint32_t layout)
{
	*out = (struct shm){ .fd = -1 };
	if (strlen(path) >= sizeof(out->path))
		return -ENAMETOOLONG;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	struct stat st;
	struct shm_head head;
	int err = 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
		refuse_head(&head, &st, magic, layout))
		err = -EPROTO;
	else if (!map(out, fd, (size_t)st.st_size, PROT_READ))
		err = -errno;
	if (err)
		fd_close(&fd);
	else
		snprintf(out->path, sizeof(out->path), "%s", path);
	return err;
}

/* A file that was cut stays cut, for those who have it to see. */
static int reserve_step(int fd, size_t at, size_t len)
{
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) == 0)
		return 0;
	return errno == EOPNOTSUPP ? -posix_fallocate(fd, (off_t)at, (off_t)len)
				   : -errno;
}

int shm_reserve(const struct shm *s)
{
	for (size_t at = 0; at < s->size; at += RESERVE_STEP) {
		const size_t left = s->size - at;
		const int err = reserve_step(
			s->fd, at, left < RESERVE_STEP ? left : RESERVE_STEP);
		if (err)
			return err;
	}
	return 0;
}

/* Whatever the mount and the system's settings say of those that come by themselves. */
bool shm_make_huge(const struct shm *s)
{
	for (size_t at = 0; at + HUGE_PAGE <= s->size; at += HUGE_PAGE)
		for (unsigned i = 0; madvise((uint8_t *)s->base + at, HUGE_PAGE,
					     MADV_COLLAPSE) < 0 &&
				     i < HUGE_TRIES;
			i++)
			if (errno != EAGAIN && errno != EBUSY)
				return false;
	return true;
}

bool shm_reserved(const struct shm *s)
{
	struct stat st;
	return s->fd < 0 ||
	       (fstat(s->fd, &st) == 0 && (uint64_t)st.st_blocks * 512 >= s->size);
}

void shm_give_up(const struct shm *s)
{
	struct stat st;
	const struct shm_head *head = s->base;
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return;
	mark_replaced(s->fd, head->magic, 1);
	move_away(s->path, &st);
}

void shm_close(struct shm *s)
{
	if (s->base) {
		guard_remove(s->base);
		munmap(s->base, s->size);
	}
	fd_close(&s->fd); /* its lock goes too */
	*s = (struct shm){ .fd = -1 };
}

bool shm_move(struct shm *s, struct shm *to)
{
	bool fine = s->base && to->base && s->size == to->size;
	if (fine) {
		guard_remove(to->base);
		memcpy(to->base, s->base, s->size);
		fine = mremap(to->base, to->size, to->size,
			       MREMAP_MAYMOVE | MREMAP_FIXED, s->base) != MAP_FAILED;
	}
	if (!fine) {
		shm_close(to);
		return false;
	}
	fd_close(&s->fd);
	to->base = s->base;
	*s = *to;
	*to = (struct shm){ .fd = -1 };
	return true;
}

bool shm_current(const struct shm *s)
{
	if (!s->base || s->fd < 0)
		return s->base;
	struct stat st;
	return lstat(s->path, &st) == 0 && st.st_dev == s->device &&
	       st.st_ino == s->inode && st.st_size >= 0 &&
	       (uint64_t)st.st_size == s->size;
}

bool shm_alone(const struct shm *s)
{
	if (s->fd < 0)
		return true;
	const bool alone = flock(s->fd, LOCK_EX | LOCK_NB) == 0;
	flock(s->fd, LOCK_SH | LOCK_NB);
	return alone;
}

bool shm_replaced(const struct shm *s)
{
	const struct shm_head *head = s->base;
	return head && __atomic_load_n(&head->replaced, __ATOMIC_SEQ_CST);
}

bool shm_was_cut(const struct shm *s)
{
	return s->base && guard_was_cut(s->base);
}

bool shm_gone(const struct shm *s)
{
	return s->fd >= 0 && (shm_was_cut(s) || shm_replaced(s) || !shm_current(s));
}
