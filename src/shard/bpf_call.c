/* SPDX-License-Identifier: MIT */
/* shard/bpf_call.c - bpf(2), as far as the library needs it. */
#include "shard/bpf_call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char license[] = "Dual MIT/GPL";

static int bpf_do(int command, union bpf_attr *attr)
{
	long r;
	int tries = 5; /* EAGAIN: the verifier was interrupted by a signal */
	do {
		r = syscall(SYS_bpf, command, attr, sizeof(*attr));
	} while (r < 0 && (errno == EINTR || errno == EAGAIN) && tries--);
	return r < 0 ? -errno : (int)r;
}

static uint64_t pointer(const void *p)
{
	return (uintptr_t)p;
}

int bpf_map_make(const struct bpf_map_plan *plan)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = plan->type;
	attr.key_size = plan->key_len;
	attr.value_size = plan->value_len;
	attr.max_entries = plan->entries;
	attr.map_flags = plan->flags;
	snprintf(attr.map_name, sizeof(attr.map_name), "%s", plan->name);
	return bpf_do(BPF_MAP_CREATE, &attr);
}

int bpf_map_set(int map, const void *key, const void *value, uint64_t flags)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = pointer(key);
	attr.value = pointer(value);
	attr.flags = flags;
	return bpf_do(BPF_MAP_UPDATE_ELEM, &attr);
}

int bpf_map_get(int map, const void *key, void *value)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = pointer(key);
	attr.value = pointer(value);
	return bpf_do(BPF_MAP_LOOKUP_ELEM, &attr);
}

int bpf_map_delete(int map, const void *key)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = pointer(key);
	return bpf_do(BPF_MAP_DELETE_ELEM, &attr);
}

int bpf_map_next(int map, const void *key, void *next)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = pointer(key);
	attr.next_key = pointer(next);
	return bpf_do(BPF_MAP_GET_NEXT_KEY, &attr);
}

static bool info_of(int fd, void *info, uint32_t len)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	memset(info, 0, len);
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = len;
	attr.info.info = pointer(info);
	return bpf_do(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0;
}

uint32_t bpf_map_id(int map)
{
	struct bpf_map_info info;
	return info_of(map, &info, sizeof(info)) ? info.id : 0;
}

bool bpf_map_is(int map, const struct bpf_map_plan *plan)
{
	struct bpf_map_info info;
	return info_of(map, &info, sizeof(info)) && info.type == plan->type &&
	       info.key_size == plan->key_len && info.value_size == plan->value_len &&
	       info.max_entries == plan->entries && strcmp(info.name, plan->name) == 0;
}

int bpf_program_load(const struct bpf_program_plan *plan)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = plan->type;
	attr.expected_attach_type = plan->attach_type;
	attr.insns = pointer(plan->code);
	attr.insn_cnt = (uint32_t)plan->count;
	attr.license = pointer(license);
	snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", plan->name);
	if (plan->log) {
		attr.log_buf = pointer(plan->log);
		attr.log_size = plan->log_len;
		attr.log_level = 1;
	}
	return bpf_do(BPF_PROG_LOAD, &attr);
}

bool bpf_program_is(int program, uint32_t type, const char *name)
{
	struct bpf_prog_info info;
	return info_of(program, &info, sizeof(info)) && info.type == type &&
	       strcmp(info.name, name) == 0;
}

int bpf_pin(int fd, const char *path)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.bpf_fd = (uint32_t)fd;
	attr.pathname = pointer(path);
	return bpf_do(BPF_OBJ_PIN, &attr);
}

int bpf_pin_open(const char *path, uint32_t flags)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.pathname = pointer(path);
	attr.file_flags = flags;
	return bpf_do(BPF_OBJ_GET, &attr);
}

int bpf_link_netns(int program, int netns)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_fd = (uint32_t)netns;
	attr.link_create.attach_type = BPF_SK_LOOKUP;
	return bpf_do(BPF_LINK_CREATE, &attr);
}
