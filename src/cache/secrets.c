/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Derived by SipHash-2-4 as a pseudorandom function, 64 bits at a time: each word of the
 * result under its own 128-bit key out of the master. */
#include "cache/secrets.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "shm/shm.h"

#define SECRETS_MAGIC UINT64_C(0x7263657321216873) /* "sh!!secr" */

enum { WORDS = SECRET_LEN / 8 };

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
	bool shared;
};

static uint64_t sum(const struct master *m)
{
	return hash_sip24(&m->key[0], m, sizeof(*m));
}

static void format(void *base, size_t size, void *ctx)
{
	(void)size;
	struct segment *seg = base;
	random_fill(ctx, &seg->master, sizeof(seg->master));
	seg->check = sum(&seg->master);
}

/* False: none that can be shared. */
static bool take(struct secrets *s, const char *path, struct random *rnd, bool fresh)
{
	struct shm shm;
	char reason[256];
	const struct shm_want want = {
		.path = path,
		.magic = SECRETS_MAGIC,
		.layout = SECRETS_LAYOUT,
		.size = sizeof(struct segment),
		.fresh = fresh,
		.mode = 0600,
		.format = format,
		.ctx = rnd,
	};
	const enum shm_result how = shm_open_file(&shm, &want, reason);
	if (how != SHM_OPENED && how != SHM_CREATED) {
		shm_close(&shm);
		return false;
	}
	(void)madvise(shm.base, shm.size, MADV_DONTDUMP);
	const struct segment *seg = shm.base;
	s->master = seg->master;
	const bool right = seg->check == sum(&s->master);
	shm_close(&shm);
	return right;
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
	char folder[240], path[256];
	snprintf(folder, sizeof(folder), "%.200s/shm", run_folder);
	snprintf(path, sizeof(path), "%s/secrets-v%d", folder, SECRETS_LAYOUT);
	(void)fd_make_folder(folder, 0700);
	const bool memory = fd_in_memory(folder);
	s->shared = memory && (take(s, path, rnd, false) || take(s, path, rnd, true));
	if (!s->shared) {
		random_fill(rnd, &s->master, sizeof(s->master));
		log_warning(CACHE,
			"%s: %s; the secrets of this instance are its own: other "
			"instances take neither its cookies nor its TLS tickets",
			folder,
			memory ? "no file could be made"
			       : "not in memory (tmpfs), where secrets may lie");
	}
	return s;
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
