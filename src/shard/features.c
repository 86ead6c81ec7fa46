/* SPDX-License-Identifier: MIT */
/* shard/features.c - what this kernel and these rights allow, found by trying. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shard.h"
#include "shard/shard_internal.h"

static bool can_set(int option, int value)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	const int e = setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value));
	close(fd);
	return e == 0;
}

static bool can_reuseport(void)
{
	return can_set(SO_REUSEPORT, 1);
}

static bool can_rcvbufforce(void)
{
	return can_set(SO_RCVBUFFORCE, 65536);
}

/* The smallest sk_reuseport program: return SK_PASS. */
static bool can_bpf(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
			.dst_reg = BPF_REG_0,
			.imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	static const char license[] = "GPL";
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SK_REUSEPORT;
	attr.expected_attach_type = BPF_SK_REUSEPORT_SELECT;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uintptr_t)license;
	const long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return false;
	close((int)fd);
	return true;
}

static bool can_migrate_req(void)
{
	const int fd = open("/proc/sys/net/ipv4/tcp_migrate_req", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	char value = '0';
	const bool set = read(fd, &value, 1) == 1 && value != '0';
	close(fd);
	return set;
}

static bool can_io_uring(void)
{
	struct io_uring_params params;
	memset(&params, 0, sizeof(params));
	const long fd = syscall(SYS_io_uring_setup, 1, &params);
	if (fd < 0)
		return false;
	close((int)fd);
	return true;
}

static bool can_membarrier(void)
{
	const long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	return commands > 0 && commands & MEMBARRIER_CMD_GLOBAL;
}

static bool can_memfd(void)
{
	const int fd = memfd_create("shard-try", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool can_pidfd(void)
{
	const long fd = syscall(SYS_pidfd_open, getpid(), 0);
	if (fd < 0)
		return false;
	close((int)fd);
	return true;
}

static bool pass_over(void *ctx, const struct diag_socket *d)
{
	(void)ctx, (void)d;
	return true;
}

static bool can_sock_diag(void)
{
	return shard_diag_each(AF_INET, SOCK_DGRAM, 1, pass_over, NULL) >= 0;
}

static bool is_word(const char *at, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(at, word, len) == 0;
}

int shard_disabled(const char *feature)
{
	const char *at = getenv("SHARD_DISABLE");
	const bool uring = strcmp(feature, "io_uring") == 0; /* goes by "uring" too */
	while (at && *at) {
		const size_t word = strcspn(at, ",");
		if (is_word(at, word, feature) || (uring && is_word(at, word, "uring")))
			return 1;
		at += word + (at[word] == ',');
	}
	return 0;
}

unsigned shard_features(void)
{
	static const struct {
		unsigned bit;
		const char *name;
		bool (*can)(void);
	} features[] = {
		{ SHARD_CAN_REUSEPORT, "reuseport", can_reuseport },
		{ SHARD_CAN_BPF, "bpf", can_bpf },
		{ SHARD_CAN_MIGRATE_REQ, "migrate_req", can_migrate_req },
		{ SHARD_CAN_RCVBUFFORCE, "rcvbufforce", can_rcvbufforce },
		{ SHARD_CAN_IO_URING, "io_uring", can_io_uring },
		{ SHARD_CAN_MEMBARRIER, "membarrier", can_membarrier },
		{ SHARD_CAN_MEMFD, "memfd", can_memfd },
		{ SHARD_CAN_PIDFD, "pidfd", can_pidfd },
		{ SHARD_CAN_SOCK_DIAG, "sock_diag", can_sock_diag },
	};
	unsigned found = 0;
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (!shard_disabled(features[i].name) && features[i].can())
			found |= features[i].bit;
	return found;
}
