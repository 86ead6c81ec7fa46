/* SPDX-License-Identifier: MIT */
/* shard/steer_internal.h - a set of steering programs and maps, as a process has it open. */
#ifndef SHARD_STEER_INTERNAL_H
#define SHARD_STEER_INTERNAL_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shard.h"
#include "shard/bpf/layout.h"
#include "shard/bpf_call.h"

/* X(name): the maps, in the order of SCM_RIGHTS. */
#define STEER_MAPS(X) X(members) X(groups) X(states) X(records) X(vouched) X(head)

enum steer_map {
#define X(name) STEER_MAP_##name,
	STEER_MAPS(X)
#undef X
		STEER_MAP_COUNT,
};

/* Then these. */
enum {
	STEER_PROGRAM = STEER_MAP_COUNT,
	STEER_LOOKUP, /* guarded: the sk_lookup program */
	STEER_LINK,   /* guarded, without pins: what keeps it attached */
	STEER_FDS,
};

#define STEER_PROGRAM_NAME "shard_steer_1"
#define STEER_LOOKUP_NAME "shard_guard_1"
static_assert(STEER_LAYOUT == 1, "part of the names");

struct steer_seen { /* of another's member, at the last tick */
	uint64_t heart;
	unsigned still; /* ticks */
};

struct shard_steer {
	int fds[STEER_FDS]; /* -1: not there */
	struct steer_group *states;
	struct steer_record *records;
	struct steer_head *head;
	struct shard_member *members;
	struct steer_seen *seen[STEER_GROUPS]; /* STEER_GROUP_MEMBERS each */
	uint64_t self;                         /* this process, as in `owner` */
	bool yields;                           /* another set takes its groups over */
};

struct shard_member {
	struct shard_steer *s;
	struct shard_member *next;
	int fd, type;
	uint32_t group, slot, generation;
	struct steer_record *record;
	bool leaving;
	unsigned waits;    /* ticks that the group was not armed */
	uint64_t mark;     /* `steered` before the receiving call */
	uint64_t received; /* since the start, by whatever way */
	/* when the program last sent something here, or was attached */
	uint64_t received_before, steered_before, waiting_before, repairs_before;
};

/* What a map must look like. */
struct bpf_map_plan steer_map_plan(enum steer_map which, bool guarded);

/* All descriptors, which become the set's; NULL with errno, they stay the caller's. */
struct shard_steer *steer_of(const int fds[static STEER_FDS]);
void steer_close_fds(int fds[static STEER_FDS]);
/* Makes maps, loads programs. 0 or -errno. */
int steer_make(int fds[static STEER_FDS], unsigned flags);

static inline pid_t steer_owner_pid(uint64_t owner)
{
	return (pid_t)(uint32_t)owner;
}

/* One writer of slots at a time. */
void steer_lock(struct shard_steer *s);
void steer_unlock(struct shard_steer *s);

uint64_t *steer_takes_word(struct shard_steer *s, uint32_t group, uint32_t generation,
	uint32_t slot, uint64_t *bit);
bool steer_takes(const struct shard_steer *s, uint32_t group, uint32_t generation,
	uint32_t slot);
/* Are sockets in it? */
bool steer_is_used(const struct shard_steer *s);
/* How many of a group take new flows. */
unsigned steer_count_taking(const struct shard_steer *s, uint32_t group);
/* Attach the program to the group of this socket and let it choose. 0 or -errno. */
int steer_arm(struct shard_member *m);
/* Are all sockets of the group members? */
bool steer_group_whole(const struct shard_member *m);

#endif
