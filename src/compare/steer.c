/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/steer.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compare/policy.h"
#include "shard.h"

struct steer {
	enum steer_policy policy;
	struct policy *program; /* ours: STEER_ROUND, STEER_LEAST */
};

bool steer_possible(char *why, size_t cap)
{
	if (shard_features() & SHARD_CAN_BPF)
		return true;
	snprintf(why, cap, "BPF programs may not be loaded here");
	return false;
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
	case STEER_LIBSHARD:
	case STEER_STRICT:
	case STEER_GUARD:
		break;
	}
	errno = ENOSYS;
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
	if (s)
		policy_free(s->program);
	free(s);
}

void steer_done(struct steer *s, unsigned index)
{
	if (s && s->program)
		policy_done(s->program, index);
}

int steer_join(struct steer *s, unsigned index, int fd)
{
	(void)s, (void)index, (void)fd;
	return -ENOSYS;
}

void steer_leave(struct steer *s, unsigned index)
{
	(void)s, (void)index;
}
