/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/policy.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compare/compare.h"

enum { CODE_MAX = 64 + 16 * WORKERS_MAX };

/* What the program counts and what the workers answer; the last one is the round's. */
struct load {
	_Atomic uint64_t in, out;
};

struct policy {
	int sockets, loads, program;
	struct load
		*load; /* WORKERS_MAX + 1, shared with the program and our children */
	size_t bytes;
};

/* --- instructions: linux/bpf.h, Documentation/bpf/standardization ------------------- */

struct code {
	struct bpf_insn at[CODE_MAX];
	unsigned len;
};

static void put(struct code *c, uint8_t op, unsigned dst, unsigned src, int16_t offset,
	int32_t imm)
{
	if (c->len < CODE_MAX)
		c->at[c->len++] = (struct bpf_insn){ .code = op,
			.dst_reg = dst & 15,
			.src_reg = src & 15,
			.off = offset,
			.imm = imm };
}

static void put_move(struct code *c, unsigned dst, unsigned src)
{
	put(c, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void put_number(struct code *c, unsigned dst, int32_t value)
{
	put(c, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

static void put_map(struct code *c, unsigned dst, int fd)
{
	put(c, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd);
	put(c, 0, 0, 0, 0, 0);
}

static void put_call(struct code *c, int function)
{
	put(c, BPF_JMP | BPF_CALL, 0, 0, 0, function);
}

/* A key on the stack at r10 - 4; its address in `dst`. */
static void put_key(struct code *c, unsigned dst, int32_t key)
{
	put(c, BPF_ST | BPF_W | BPF_MEM, BPF_REG_10, 0, -4, key);
	put_move(c, dst, BPF_REG_10);
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, -4);
}

/* r0 = the row of `loads`, or the program ends: the kernel's hash chooses. */
static void put_row(struct code *c, int loads, int32_t row)
{
	put_map(c, BPF_REG_1, loads);
	put_key(c, BPF_REG_2, row);
	put_call(c, BPF_FUNC_map_lookup_elem);
	put(c, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0);
	put_number(c, BPF_REG_0, SK_PASS);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The context in r6, the number of the chosen one in r8. */
static void put_choice(struct code *c, const struct policy *p)
{
	put(c, BPF_STX | BPF_W | BPF_MEM, BPF_REG_10, BPF_REG_8, -8, 0);
	put_move(c, BPF_REG_1, BPF_REG_6);
	put_map(c, BPF_REG_2, p->sockets);
	put_move(c, BPF_REG_3, BPF_REG_10);
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, -8);
	put_number(c, BPF_REG_4, 0);
	put_call(c, BPF_FUNC_sk_select_reuseport);
	put_map(c, BPF_REG_1, p->loads);
	put_move(c, BPF_REG_2, BPF_REG_10);
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -8);
	put_call(c, BPF_FUNC_map_lookup_elem);
	put(c, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 0);
	put_number(c, BPF_REG_1, 1);
	put(c, BPF_STX | BPF_DW | BPF_ATOMIC, BPF_REG_0, BPF_REG_1, 0, BPF_ADD);
	put_number(c, BPF_REG_0, SK_PASS);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void write_round(struct code *c, const struct policy *p, unsigned count)
{
	put_move(c, BPF_REG_6, BPF_REG_1);
	put_row(c, p->loads, WORKERS_MAX);
	put_number(c, BPF_REG_8, 1);
	put(c, BPF_STX | BPF_DW | BPF_ATOMIC, BPF_REG_0, BPF_REG_8, 0,
		BPF_ADD | BPF_FETCH);
	put(c, BPF_ALU64 | BPF_MOD | BPF_K, BPF_REG_8, 0, 0, (int32_t)count);
	put_choice(c, p);
}

/* r7 the least so far, r8 whose; with eight random bits below, so that equals take turns. */
static void write_least(struct code *c, const struct policy *p, unsigned count)
{
	put_move(c, BPF_REG_6, BPF_REG_1);
	put_number(c, BPF_REG_7, -1);
	put_number(c, BPF_REG_8, 0);
	for (unsigned i = 0; i < count; i++) {
		put_row(c, p->loads, (int32_t)i);
		put(c, BPF_LDX | BPF_DW | BPF_MEM, BPF_REG_9, BPF_REG_0,
			offsetof(struct load, in), 0);
		put(c, BPF_LDX | BPF_DW | BPF_MEM, BPF_REG_1, BPF_REG_0,
			offsetof(struct load, out), 0);
		put(c, BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_9, BPF_REG_1, 0, 0);
		put(c, BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_9, 0, 0, 8);
		put_call(c, BPF_FUNC_get_prandom_u32);
		put(c, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, 255);
		put(c, BPF_ALU64 | BPF_OR | BPF_X, BPF_REG_9, BPF_REG_0, 0, 0);
		put(c, BPF_JMP | BPF_JGE | BPF_X, BPF_REG_9, BPF_REG_7, 2, 0);
		put_move(c, BPF_REG_7, BPF_REG_9);
		put_number(c, BPF_REG_8, (int32_t)i);
	}
	put_choice(c, p);
}

/* --- maps and program: bpf(2) -------------------------------------------------------- */

static int call(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int map_new(unsigned type, unsigned value, unsigned entries, unsigned flags)
{
	union bpf_attr a = { 0 };
	a.map_type = type;
	a.key_size = 4;
	a.value_size = value;
	a.max_entries = entries;
	a.map_flags = flags;
	return call(BPF_MAP_CREATE, &a);
}

static int program_load(const struct code *c)
{
	static const char licence[] = "GPL";
	union bpf_attr a = { 0 };
	a.prog_type = BPF_PROG_TYPE_SK_REUSEPORT;
	a.expected_attach_type = BPF_SK_REUSEPORT_SELECT;
	a.insns = (uint64_t)(uintptr_t)c->at;
	a.insn_cnt = c->len;
	a.license = (uint64_t)(uintptr_t)licence;
	return call(BPF_PROG_LOAD, &a);
}

static bool sockets_put(const struct policy *p, const int *fds, unsigned count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t fd = (uint64_t)fds[i];
		union bpf_attr a = { 0 };
		a.map_fd = (uint32_t)p->sockets;
		a.key = (uint64_t)(uintptr_t)&i;
		a.value = (uint64_t)(uintptr_t)&fd;
		if (call(BPF_MAP_UPDATE_ELEM, &a) < 0)
			return false;
	}
	return true;
}

static bool policy_open(
	struct policy *p, enum steer_policy policy, const int *fds, unsigned count)
{
	static struct code code;
	p->sockets = map_new(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 8, WORKERS_MAX, 0);
	p->loads = map_new(BPF_MAP_TYPE_ARRAY, sizeof(struct load), WORKERS_MAX + 1,
		BPF_F_MMAPABLE);
	if (p->sockets < 0 || p->loads < 0)
		return false;
	p->bytes = sizeof(struct load) * (WORKERS_MAX + 1);
	p->load = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->loads, 0);
	if (p->load == MAP_FAILED)
		return false;
	code.len = 0;
	if (policy == STEER_ROUND)
		write_round(&code, p, count);
	else
		write_least(&code, p, count);
	p->program = program_load(&code);
	return p->program >= 0 && sockets_put(p, fds, count) &&
	       setsockopt(fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &p->program,
		       sizeof(p->program)) == 0;
}

struct policy *policy_new(enum steer_policy policy, const int *fds, unsigned count)
{
	struct policy *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->sockets = p->loads = p->program = -1;
	p->load = MAP_FAILED;
	if (policy_open(p, policy, fds, count))
		return p;
	const int e = errno;
	policy_free(p);
	errno = e;
	return NULL;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	if (p->load != MAP_FAILED)
		munmap(p->load, p->bytes);
	if (p->program >= 0)
		close(p->program);
	if (p->loads >= 0)
		close(p->loads);
	if (p->sockets >= 0)
		close(p->sockets);
	free(p);
}

void policy_done(struct policy *p, unsigned index)
{
	atomic_fetch_add_explicit(&p->load[index].out, 1, memory_order_relaxed);
}
