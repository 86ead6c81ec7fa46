/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Derived by SipHash-2-4 as a pseudorandom function, 64 bits at a time: each word of the
 * result under its own 128-bit key out of the master. */
#include "cache/secrets.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "shm/shm.h"

#define SECRETS_MAGIC UINT64_C(0x7263657321216873) /* "sh!!secr" */

enum { WORDS = SECRET_LEN / 8, PATH_LEN = 256 };

struct master {
	struct hash_key key[WORDS];
};

struct segment {
	struct shm_head head;
	struct master master;
	uint64_t check;
};

struct secrets {
	struct master master; /* copied: nobody changes it under us */
	bool shared, in_memory;
	uint64_t device, inode; /* of the file that it was copied from */
	char folder[240];
};

/* What a new file gets: fresh, or what we have. */
struct filling {
	struct random *random;
	const struct master *master;
};

static uint64_t sum(const struct master *m)
{
	return hash_sip24(&m->key[0], m, sizeof(*m));
}

static void format(void *base, size_t size, void *ctx)
{
	(void)size;
	struct segment *seg = base;
	const struct filling *f = ctx;
	if (f->master)
		seg->master = *f->master;
	else
		random_fill(f->random, &seg->master, sizeof(seg->master));
	seg->check = sum(&seg->master);
}

static void path_of(const struct secrets *s, char path[static PATH_LEN])
{
	snprintf(path, PATH_LEN, "%s/secrets-v%d", s->folder, SECRETS_LAYOUT);
}

/* False: none that can be shared, and *s is as before. */
static bool take(struct secrets *s, struct filling *f, bool fresh)
{
	struct shm shm;
	char reason[256], path[PATH_LEN];
	path_of(s, path);
	const struct shm_want want = {
		.path = path,
		.magic = SECRETS_MAGIC,
		.layout = SECRETS_LAYOUT,
		.size = sizeof(struct segment),
		.fresh = fresh,
		.mode = 0600,
		.format = format,
		.ctx = f,
	};
	const enum shm_result how = shm_open_file(&shm, &want, reason);
	if (how != SHM_OPENED && how != SHM_CREATED) {
		shm_close(&shm);
		return false;
	}
	(void)madvise(shm.base, shm.size, MADV_DONTDUMP);
	const struct segment *seg = shm.base;
	struct master master = seg->master;
	const bool right = seg->check == sum(&master);
	if (right) {
		s->master = master;
		s->device = shm.device;
		s->inode = shm.inode;
		s->shared = true;
	}
	explicit_bzero(&master, sizeof(master));
	shm_close(&shm);
	return right;
}

/* Of several that put a file there the first wins; over one that is damaged the last does, and
 * the others find that out at their next look. */
static bool take_any(struct secrets *s, struct filling *f)
{
	(void)fd_make_folder(s->folder, 0700);
	return fd_in_memory(s->folder) && (take(s, f, false) || take(s, f, true));
}

struct secrets *secrets_open(const char *run_folder, struct random *rnd)
{
	struct secrets *s = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return NULL;
	static_assert(sizeof(*s) <= 4096, "a page");
	(void)mlock(s, 4096);
	(void)madvise(s, 4096, MADV_DONTDUMP);
	struct filling f = { .random = rnd };
	snprintf(s->folder, sizeof(s->folder), "%.200s/shm", run_folder);
	const bool taken = take_any(s, &f);
	s->in_memory = fd_in_memory(s->folder);
	if (!taken) {
		random_fill(rnd, &s->master, sizeof(s->master));
		log_warning(CACHE,
			"%s: %s; the secrets of this instance are its own: other "
			"instances take neither its cookies nor its TLS tickets",
			s->folder,
			s->in_memory ? "no file could be made"
				     : "not in memory (tmpfs), where secrets may lie");
	}
	return s;
}

bool secrets_tick(struct secrets *s)
{
	char path[PATH_LEN];
	struct stat st;
	if (!s->in_memory)
		return false;
	path_of(s, path);
	if (s->shared && lstat(path, &st) == 0 && st.st_dev == s->device &&
		st.st_ino == s->inode)
		return false;
	struct master before = s->master;
	struct filling f = { .master = &before };
	const bool taken = take_any(s, &f);
	const bool other = memcmp(&before, &s->master, sizeof(before)) != 0;
	explicit_bzero(&before, sizeof(before));
	if (other)
		log_notice(CACHE,
			"%s: another secret of the host is there: cookies and TLS "
			"tickets are by "
			"that one from now on",
			path);
	else if (taken)
		log_notice(CACHE, "%s: was gone, and is there again", path);
	return other;
}

void secrets_close(struct secrets *s)
{
	if (!s)
		return;
	explicit_bzero(s, sizeof(*s));
	munmap(s, 4096);
}

void secrets_get(const struct secrets *s, enum secret_use use, uint64_t epoch,
	uint8_t out[static SECRET_LEN])
{
	for (unsigned i = 0; i < WORDS; i++) {
		const uint64_t what[3] = { (uint64_t)use, epoch, i };
		const uint64_t word = hash_sip24(&s->master.key[i], what, sizeof(what));
		memcpy(out + 8 * i, &word, sizeof(word));
	}
}

bool secrets_shared(const struct secrets *s)
{
	return s->shared;
}
