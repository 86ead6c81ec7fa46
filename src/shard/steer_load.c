/* SPDX-License-Identifier: MIT */
/* shard/steer_load.c - make the maps, load the programs, pin them: what needs rights. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shard/shard_internal.h"
#include "shard/steer_internal.h"

enum { BPFFS_MAGIC = 0xcafe4a11, PATH_CAP = 512 };

struct bpf_map_plan steer_map_plan(enum steer_map which, bool guarded)
{
	static const struct bpf_map_plan plans[STEER_MAP_COUNT] = {
		[STEER_MAP_members] = { BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
			"shard_members_1", 4, 8, STEER_MEMBERS, 0 },
		[STEER_MAP_groups] = { BPF_MAP_TYPE_HASH, "shard_groups_1",
			sizeof(struct steer_key), 4, STEER_GROUPS, BPF_F_NO_PREALLOC },
		[STEER_MAP_states] = { BPF_MAP_TYPE_ARRAY, "shard_states_1", 4,
			sizeof(struct steer_group), STEER_GROUPS, BPF_F_MMAPABLE },
		[STEER_MAP_records] = { BPF_MAP_TYPE_ARRAY, "shard_records_1", 4,
			sizeof(struct steer_record), STEER_MEMBERS, BPF_F_MMAPABLE },
		[STEER_MAP_vouched] = { BPF_MAP_TYPE_LRU_HASH, "shard_vouched_1",
			sizeof(struct steer_flow), 8, STEER_VOUCHED, 0 },
		[STEER_MAP_head] = { BPF_MAP_TYPE_ARRAY, "shard_head_1", 4,
			sizeof(struct steer_head), 1, BPF_F_MMAPABLE },
	};
	struct bpf_map_plan plan = plans[which];
	if (which == STEER_MAP_members && guarded)
		plan.type = BPF_MAP_TYPE_SOCKMAP;
	return plan;
}

/* --- programs ----------------------------------------------------------------------- */

#ifdef SHARD_PROGRAMS

/* Where the descriptor of a map belongs. */
struct steer_place {
	uint32_t at;
	enum steer_map map;
};

#include "steer_programs.h"

struct program {
	uint32_t type, attach_type;
	const char *name;
	const struct bpf_insn *code;
	size_t count;
	const struct steer_place *places;
	size_t place_count;
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PROGRAM(type, attach_type, name, code, places)                                 \
	{                                                                              \
		type, attach_type, name, code, COUNT(code), places, COUNT(places)      \
	}

static const struct program plain =
	PROGRAM(BPF_PROG_TYPE_SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT_OR_MIGRATE,
		STEER_PROGRAM_NAME, steer_sk_reuseport_code, steer_sk_reuseport_places);
static const struct program guarded =
	PROGRAM(BPF_PROG_TYPE_SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT_OR_MIGRATE,
		STEER_PROGRAM_NAME, guard_sk_reuseport_code, guard_sk_reuseport_places);
static const struct program lookup = PROGRAM(BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP,
	STEER_LOOKUP_NAME, guard_sk_lookup_code, guard_sk_lookup_places);

static int load(const struct program *p, const int maps[static STEER_MAP_COUNT])
{
	enum { LOG_LEN = 16 * 1024 * 1024 };
	struct bpf_insn *code = malloc(p->count * sizeof(*code));
	const bool wants_log = getenv("SHARD_DEBUG");
	char *log = wants_log ? calloc(1, LOG_LEN) : NULL;
	if (!code) {
		free(log);
		return -ENOMEM;
	}
	memcpy(code, p->code, p->count * sizeof(*code));
	for (size_t i = 0; i < p->place_count; i++) {
		struct bpf_insn *at = &code[p->places[i].at];
		at->src_reg = BPF_PSEUDO_MAP_FD;
		at->imm = maps[p->places[i].map];
	}
	const struct bpf_program_plan plan = { .type = p->type,
		.attach_type = p->attach_type,
		.name = p->name,
		.code = code,
		.count = p->count,
		.log = log,
		.log_len = log ? LOG_LEN : 0 };
	const int fd = bpf_program_load(&plan);
	if (log)
		fputs(log, stderr);
	free(log);
	free(code);
	return fd;
}

static int load_programs(int fds[static STEER_FDS], unsigned flags)
{
	const bool guard = flags & SHARD_STEER_GUARD;
	fds[STEER_PROGRAM] = load(guard ? &guarded : &plain, fds);
	if (fds[STEER_PROGRAM] < 0 || !guard)
		return fds[STEER_PROGRAM] < 0 ? fds[STEER_PROGRAM] : 0;
	fds[STEER_LOOKUP] = load(&lookup, fds);
	if (fds[STEER_LOOKUP] < 0)
		return fds[STEER_LOOKUP];
	const int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return -errno;
	fds[STEER_LINK] = bpf_link_netns(fds[STEER_LOOKUP], netns);
	close(netns);
	return fds[STEER_LINK] < 0 ? fds[STEER_LINK] : 0;
}

#else

static int load_programs(int fds[static STEER_FDS], unsigned flags)
{
	(void)fds, (void)flags;
	return -ENOSYS;
}

#endif

static int fill_head(int map, unsigned flags)
{
	const uint32_t zero = 0;
	struct steer_head head = { .layout = STEER_LAYOUT };
	if (flags & SHARD_STEER_GUARD)
		head.flags |= STEER_GUARDED;
	if (flags & SHARD_STEER_SPREAD)
		head.flags |= STEER_SPREAD;
	if (flags & SHARD_STEER_STRICT)
		head.flags |= STEER_STRICT;
	if (getrandom(&head.seed, sizeof(head.seed), 0) != (ssize_t)sizeof(head.seed))
		return -EIO;
	return bpf_map_set(map, &zero, &head, 0);
}

int steer_make(int fds[static STEER_FDS], unsigned flags)
{
	int e = 0;
	for (int i = 0; i < STEER_FDS; i++)
		fds[i] = -1;
#ifndef SHARD_PROGRAMS
	return -ENOSYS; /* the reason, before that of rights */
#endif
	if (shard_disabled("bpf"))
		return -ECANCELED;
	for (int i = 0; !e && i < STEER_MAP_COUNT; i++) {
		const struct bpf_map_plan plan =
			steer_map_plan((enum steer_map)i, flags & SHARD_STEER_GUARD);
		fds[i] = bpf_map_make(&plan);
		e = fds[i] < 0 ? fds[i] : 0;
	}
	if (!e)
		e = fill_head(fds[STEER_MAP_head], flags);
	if (!e)
		e = load_programs(fds, flags);
	if (e)
		steer_close_fds(fds);
	return e;
}

/* --- pins --------------------------------------------------------------------------- */

static const char *const names[STEER_FDS] = {
#define X(name) #name,
	STEER_MAPS(X)
#undef X
		[STEER_PROGRAM] = "program",
	[STEER_LOOKUP] = "lookup",
	[STEER_LINK] = "link",
};

static bool path_of(char out[static PATH_CAP], const char *folder, int which)
{
	const int n = snprintf(out, PATH_CAP, "%s/%s", folder, names[which]);
	return n > 0 && n < PATH_CAP;
}

static int unpin(const char *folder)
{
	char path[PATH_CAP];
	for (int i = 0; i < STEER_FDS; i++)
		if (!path_of(path, folder, i) || (unlink(path) < 0 && errno != ENOENT))
			return -errno;
	return rmdir(folder) < 0 ? -errno : 0;
}

static int pin_one(const char *folder, int which, int fd, gid_t gid)
{
	/* the link is root's alone: who holds it open could detach the guard */
	const mode_t mode = which < STEER_MAP_COUNT ? 0660
			    : which == STEER_LINK   ? 0600
						    : 0640;
	char path[PATH_CAP];
	if (!path_of(path, folder, which))
		return -ENAMETOOLONG;
	const int e = bpf_pin(fd, path);
	if (e < 0)
		return e;
	return chmod(path, mode) < 0 || lchown(path, (uid_t)-1, gid) < 0 ? -errno : 0;
}

/* In a folder of another name first (no dot in it: bpffs forbids that): who finds the folder
 * finds all. */
static int pin_all(const char *folder, const int fds[static STEER_FDS], gid_t gid)
{
	char temp[PATH_CAP];
	const int n = snprintf(temp, sizeof(temp), "%s-%d", folder, (int)getpid());
	if (n < 0 || n >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	unpin(temp);
	int e = mkdir(temp, 0700) < 0 ? -errno : 0;
	for (int i = 0; !e && i < STEER_FDS; i++)
		if (fds[i] >= 0)
			e = pin_one(temp, i, fds[i], gid);
	if (!e && (chown(temp, (uid_t)-1, gid) < 0 || chmod(temp, 0750) < 0 ||
			  rename(temp, folder) < 0))
		e = -errno;
	if (e)
		unpin(temp);
	return e;
}

/* Others may pass through, not look: systemd mounts bpffs with mode 0700, and an umask may be strict. What is
 * pinned there by others is theirs alone, as bpf(2) makes it. */
static void let_through(const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0 && (st.st_mode & 0011) != 0011)
		chmod(path, (st.st_mode & 07777) | 0011);
}

/* The folder above it, open to all: bpffs' own top often is not writable for us alone. */
static int make_parent(const char *folder)
{
	char parent[PATH_CAP];
	struct statfs fs;
	snprintf(parent, sizeof(parent), "%s", folder);
	char *slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return -EINVAL;
	*slash = '\0';
	if (mkdir(parent, 0755) < 0 && errno != EEXIST)
		return errno == EPERM ? -ENOENT : -errno; /* /sys/fs/bpf is sysfs */
	if (statfs(parent, &fs) < 0)
		return -errno;
	if ((uint32_t)fs.f_type == BPFFS_MAGIC) {
		let_through(parent);
		slash = strrchr(parent, '/');
		if (slash && slash != parent) {
			*slash = '\0';
			let_through(parent);
		}
		return 0;
	}
	rmdir(parent);
	return -ENOENT;
}

int shard_steer_load(const char *folder, gid_t gid, unsigned flags)
{
	int fds[STEER_FDS];
	const bool force = flags & SHARD_STEER_FORCE;
	flags &= ~(unsigned)SHARD_STEER_FORCE;
	struct shard_steer *there = shard_steer_open(folder);
	const bool good = there && shard_steer_flags(there) == flags;
	const bool used = there && steer_is_used(there);
	shard_steer_close(there);
	if (good)
		return 1;
	if (used && !force)
		return -EBUSY;
	int e = make_parent(folder);
	if (!e)
		e = steer_make(fds, flags);
	if (e)
		return e;
	unpin(folder); /* of another version, or with other options */
	e = pin_all(folder, fds, gid);
	steer_close_fds(fds);
	return e;
}

int shard_steer_unload(const char *folder, unsigned flags)
{
	struct shard_steer *there = shard_steer_open(folder);
	const bool used = there && steer_is_used(there);
	shard_steer_close(there);
	return used && !(flags & SHARD_STEER_FORCE) ? -EBUSY : unpin(folder);
}

int shard_steer_pinned(const struct shard_steer *s, const char *folder)
{
	char path[PATH_CAP];
	if (!path_of(path, folder, STEER_MAP_head))
		return 0;
	const int head = bpf_pin_open(path, 0);
	if (head < 0)
		return 0;
	const uint32_t id = bpf_map_id(head);
	close(head);
	return id && id == bpf_map_id(s->fds[STEER_MAP_head]);
}

/* Has it seen none of what came since it was found out? */
static bool is_passed_by(const struct shard_steer *s)
{
	for (int i = 0; i < STEER_GROUPS; i++) {
		const struct steer_group *g = &s->states[i];
		if (g->flags & STEER_USED &&
			__atomic_load_n(&g->past, __ATOMIC_RELAXED) ==
				__atomic_load_n(&g->seen, __ATOMIC_RELAXED) + 1)
			return true;
	}
	return false;
}

int shard_steer_guards(const struct shard_steer *s, const char *folder)
{
	char path[PATH_CAP];
	return s->head->flags & STEER_GUARDED && !is_passed_by(s) &&
	       (s->fds[STEER_LINK] >= 0 || (shard_steer_pinned(s, folder) &&
						   path_of(path, folder, STEER_LINK) &&
						   access(path, F_OK) == 0));
}

/* FNV-1a: only tells run folders apart. */
static uint64_t hash_of(const char *text)
{
	uint64_t h = 14695981039346656037u;
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 1099511628211u;
	return h;
}

int shard_steer_path(char *out, size_t cap, const char *run_folder)
{
	const char *root = getenv("SHARD_BPFFS");
	struct stat st;
	if (stat("/proc/self/ns/net", &st) < 0)
		return -errno;
	char *real = realpath(run_folder, NULL);
	const uint64_t hash = hash_of(real ? real : run_folder);
	free(real);
	const int n = snprintf(out, cap, "%s/shard/%llu-%016llx",
		root && *root ? root : "/sys/fs/bpf", (unsigned long long)st.st_ino,
		(unsigned long long)hash);
	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

struct shard_steer *shard_steer_open(const char *folder)
{
	int fds[STEER_FDS];
	char path[PATH_CAP];
	int error = shard_disabled("bpf") ? ECANCELED : 0;
	for (int i = 0; i < STEER_FDS; i++) {
		fds[i] = -1;
		if (error || i == STEER_LINK)
			continue; /* the pin holds it */
		if (path_of(path, folder, i))
			fds[i] = bpf_pin_open(
				path, i < STEER_MAP_COUNT ? 0 : BPF_F_RDONLY);
		if (fds[i] < 0 && i != STEER_LOOKUP)
			error = -fds[i];
	}
	struct shard_steer *s = error ? NULL : steer_of(fds);
	if (s)
		return s;
	error = error ? error : errno;
	steer_close_fds(fds);
	errno = error;
	return NULL;
}

struct shard_steer *shard_steer_new(unsigned flags)
{
	int fds[STEER_FDS];
	const int e = steer_make(fds, flags);
	if (e) {
		errno = -e;
		return NULL;
	}
	struct shard_steer *s = steer_of(fds);
	if (!s) {
		const int error = errno;
		steer_close_fds(fds);
		errno = error;
	}
	return s;
}
