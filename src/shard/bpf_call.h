/* SPDX-License-Identifier: MIT */
/* shard/bpf_call.h - bpf(2), as far as the library needs it. Descriptors are close-on-exec; calls
 * return a descriptor, 0 or -errno. */
#ifndef SHARD_BPF_CALL_H
#define SHARD_BPF_CALL_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_map_plan {
	uint32_t type;
	const char *name; /* at most 15 characters */
	uint32_t key_len, value_len, entries, flags;
};
int bpf_map_make(const struct bpf_map_plan *plan);
int bpf_map_set(int map, const void *key, const void *value, uint64_t flags);
int bpf_map_get(int map, const void *key, void *value);
int bpf_map_delete(int map, const void *key);
/* The key after `key` (NULL: the first); -ENOENT: none. */
int bpf_map_next(int map, const void *key, void *next);
/* The kernel's number of it, 0: not a map. */
uint32_t bpf_map_id(int map);
/* Is it this map? */
bool bpf_map_is(int map, const struct bpf_map_plan *plan);

struct bpf_program_plan {
	uint32_t type, attach_type;
	const char *name;
	const struct bpf_insn *code;
	size_t count;
	char *log; /* what the verifier says, NULL: nothing */
	uint32_t log_len;
};
int bpf_program_load(const struct bpf_program_plan *plan);
/* Is it a program of this type and name? */
bool bpf_program_is(int program, uint32_t type, const char *name);

int bpf_pin(int fd, const char *path);
/* `flags`: BPF_F_RDONLY for programs, which need no right to write. */
int bpf_pin_open(const char *path, uint32_t flags);
/* A sk_lookup program in front of this network namespace; gone with the last descriptor and pin. */
int bpf_link_netns(int program, int netns);

#endif
