/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/steer.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compare/compare.h"
#include "compare/crew.h"
#include "compare/heavy.h"
#include "compare/policy.h"
#include "shard.h"

enum {
	TELL_EVERY =
		4, /* answers; each time is a cache line that the kernel reads too */
	VOUCH_S = 10,
};

struct steer {
	enum steer_policy policy;
	struct policy *program;  /* ours: STEER_ROUND, STEER_LEAST */
	struct shard_steer *set; /* libshard's */
	struct shard_member *members[WORKERS_MAX];
	/* each worker has a copy of its own */
	unsigned untold; /* answers */
	struct heavy heavy;
};

bool steer_possible(char *why, size_t cap)
{
	static bool tried;
	static int error;
	if (!tried) {
		struct shard_steer *set = shard_steer_new(0);
		error = set ? 0 : errno;
		tried = true;
		if (set)
			shard_steer_close(set);
	}
	if (error)
		snprintf(why, cap, "no BPF programs here: %s", strerror(error));
	return !error;
}

/* Member number (CPU modulo count): the order of binding is the order of numbers. */
static bool attach_cpu(int fd, unsigned count)
{
	struct sock_filter code[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_CPU) },
		{ BPF_ALU | BPF_MOD | BPF_K, 0, 0, count },
		{ BPF_RET | BPF_A, 0, 0, 0 },
	};
	const struct sock_fprog program = { .len = 3, .filter = code };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
		       sizeof(program)) == 0;
}

/* Without `fds`: the workers join by themselves. */
static bool join_all(struct steer *s, unsigned flags, const int *fds, unsigned count)
{
	s->set = shard_steer_new(flags);
	for (unsigned i = 0; s->set && fds && i < count; i++)
		if (steer_join(s, i, fds[i]))
			return false;
	return s->set;
}

static bool attach(struct steer *s, const int *fds, unsigned count)
{
	switch (s->policy) {
	case STEER_NONE:
		return true;
	case STEER_CPU:
		return attach_cpu(fds[0], count);
	case STEER_ROUND:
	case STEER_LEAST:
		s->program = policy_new(s->policy, fds, count);
		return s->program;
	case STEER_SPREAD:
		return join_all(s, SHARD_STEER_SPREAD, fds, count);
	case STEER_HEAVY:
		return join_all(s, 0, fds, count);
	case STEER_STRICT:
		return join_all(s, SHARD_STEER_STRICT, fds, count);
	case STEER_GUARD:
		return join_all(s, SHARD_STEER_STRICT | SHARD_STEER_GUARD, fds, count);
	}
	errno = EINVAL;
	return false;
}

struct steer *steer_new(enum steer_policy policy, const int *fds, unsigned count)
{
	struct steer *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->policy = policy;
	if (attach(s, fds, count))
		return s;
	const int e = errno;
	steer_free(s);
	errno = e;
	return NULL;
}

void steer_free(struct steer *s)
{
	if (!s)
		return;
	policy_free(s->program);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		shard_member_close(s->members[i]);
	if (s->set)
		shard_steer_close(s->set);
	free(s);
}

static void tell(struct steer *s, unsigned index)
{
	shard_member_took(s->members[index], s->untold, 0);
	s->untold = 0;
}

void steer_begin(struct steer *s, unsigned index)
{
	if (!s || !s->members[index])
		return;
	if (s->untold)
		tell(s, index);
	shard_member_mark(s->members[index]);
}

void steer_heard(struct steer *s, const struct sockaddr *client, socklen_t len)
{
	if (s && s->policy == STEER_HEAVY &&
		heavy_count(&s->heavy, client, len, now_us()))
		shard_vouch(s->set, client, len, VOUCH_S);
}

void steer_done(struct steer *s, unsigned index)
{
	if (s && s->program)
		policy_done(s->program, index);
	else if (s && s->members[index] && ++s->untold >= TELL_EVERY)
		tell(s, index);
}

void steer_worked(struct steer *s, unsigned index, uint64_t cpu_ns)
{
	if (s && s->members[index])
		shard_member_worked(s->members[index], (unsigned)(cpu_ns / 1000));
}

int steer_join(struct steer *s, unsigned index, int fd)
{
	s->members[index] = shard_steer_join(s->set, fd, (int)index);
	return s->members[index] ? 0 : -errno;
}

void steer_leave(struct steer *s, unsigned index)
{
	shard_member_leave(s->members[index]);
}
