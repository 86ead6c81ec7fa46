/* SPDX-License-Identifier: MIT */
/* shard/steer.c - a set of steering programs and maps: checked, mapped, passed on by SCM_RIGHTS. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shard/shard_internal.h"
#include "shard/steer_internal.h"

static_assert(sizeof(struct steer_key) == 24, "no padding: compared as bytes");
static_assert(sizeof(struct steer_flow) == 20, "no padding");
static_assert(sizeof(struct steer_group) == 128, "two cache lines");
static_assert(sizeof(struct steer_record) == 64, "a cache line");
static_assert(sizeof(struct steer_head) == 32, "no padding");
static_assert(STEER_SLOTS % 64 == 0, "whole words");

void steer_close_fds(int fds[static STEER_FDS])
{
	for (int i = 0; i < STEER_FDS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static void *map_memory(int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void unmap(void *p, size_t len)
{
	if (p)
		munmap(p, len);
}

/* Are these our maps and programs, of this version? */
static bool are_ours(const int fds[static STEER_FDS])
{
	const bool guarded = fds[STEER_LOOKUP] >= 0;
	for (int i = 0; i < STEER_MAP_COUNT; i++) {
		const struct bpf_map_plan plan =
			steer_map_plan((enum steer_map)i, guarded);
		if (!bpf_map_is(fds[i], &plan))
			return false;
	}
	return bpf_program_is(fds[STEER_PROGRAM], BPF_PROG_TYPE_SK_REUSEPORT,
		       STEER_PROGRAM_NAME) &&
	       (!guarded || bpf_program_is(fds[STEER_LOOKUP], BPF_PROG_TYPE_SK_LOOKUP,
				    STEER_LOOKUP_NAME));
}

struct shard_steer *steer_of(const int fds[static STEER_FDS])
{
	if (!are_ours(fds)) {
		errno = EPROTO;
		return NULL;
	}
	struct shard_steer *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	memcpy(s->fds, fds, sizeof(s->fds));
	s->states =
		map_memory(fds[STEER_MAP_states], STEER_GROUPS * sizeof(*s->states));
	s->records =
		map_memory(fds[STEER_MAP_records], STEER_MEMBERS * sizeof(*s->records));
	s->head = map_memory(fds[STEER_MAP_head], sizeof(*s->head));
	if (s->states && s->records && s->head && s->head->layout == STEER_LAYOUT)
		return s;
	const int error = s->head ? EPROTO : errno;
	for (int i = 0; i < STEER_FDS; i++)
		s->fds[i] = -1; /* the caller's */
	shard_steer_close(s);
	errno = error;
	return NULL;
}

void shard_steer_close(struct shard_steer *s)
{
	if (!s)
		return;
	while (s->members)
		shard_member_close(s->members);
	unmap(s->states, STEER_GROUPS * sizeof(*s->states));
	unmap(s->records, STEER_MEMBERS * sizeof(*s->records));
	unmap(s->head, sizeof(*s->head));
	for (int i = 0; i < STEER_GROUPS; i++)
		free(s->seen[i]);
	steer_close_fds(s->fds);
	free(s);
}

unsigned shard_steer_flags(const struct shard_steer *s)
{
	return (s->head->flags & STEER_GUARDED ? SHARD_STEER_GUARD : 0u) |
	       (s->head->flags & STEER_STRICT ? SHARD_STEER_STRICT : 0u) |
	       (s->head->flags & STEER_SPREAD ? SHARD_STEER_SPREAD : 0u);
}

void shard_steer_yield(struct shard_steer *s, int yields)
{
	s->yields = yields;
}

/* --- SCM_RIGHTS ---------------------------------------------------------------------- */

struct steer_letter {
	char magic[8];
	uint32_t layout;
	uint32_t has; /* one bit each of fds */
};

static const char magic[8] = "shardbpf";

union steer_envelope {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(STEER_FDS * sizeof(int))];
};

int shard_steer_send(const struct shard_steer *s, int sock)
{
	struct steer_letter letter = { .layout = STEER_LAYOUT };
	union steer_envelope envelope;
	struct iovec iov = { &letter, sizeof(letter) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = envelope.bytes
	};
	int fds[STEER_FDS];
	size_t count = 0;
	memcpy(letter.magic, magic, sizeof(magic));
	for (int i = 0; i < STEER_FDS; i++)
		if (s->fds[i] >= 0) {
			letter.has |= 1u << i;
			fds[count++] = s->fds[i];
		}
	memset(&envelope, 0, sizeof(envelope));
	m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	envelope.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(count * sizeof(int)) };
	memcpy(CMSG_DATA(&envelope.align), fds, count * sizeof(int));
	ssize_t n;
	do {
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == (ssize_t)sizeof(letter) ? 0 : -EIO;
}

/* The descriptors of a message, whatever came; how many. */
static size_t envelope_open(struct msghdr *m, int out[static STEER_FDS])
{
	size_t count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (count < STEER_FDS)
				out[count++] = fd;
			else
				close(fd);
		}
	}
	return count;
}

struct shard_steer *shard_steer_receive(int sock)
{
	struct steer_letter letter;
	union steer_envelope envelope;
	struct iovec iov = { &letter, sizeof(letter) };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = envelope.bytes,
		.msg_controllen = sizeof(envelope.bytes) };
	int got[STEER_FDS] = { 0 }, fds[STEER_FDS];
	ssize_t n;
	if (shard_disabled("bpf")) {
		errno = ECANCELED;
		return NULL;
	}
	do {
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return NULL;
	const size_t count = envelope_open(&m, got);
	bool fine = n == (ssize_t)sizeof(letter) &&
		    memcmp(letter.magic, magic, sizeof(magic)) == 0 &&
		    letter.layout == STEER_LAYOUT &&
		    (size_t)__builtin_popcount(letter.has & ((1u << STEER_FDS) - 1)) ==
			    count;
	size_t at = 0;
	for (int i = 0; i < STEER_FDS; i++)
		fds[i] = fine && letter.has >> i & 1 ? got[at++] : -1;
	if (!fine)
		errno = n ? EPROTO : ENOTCONN;
	struct shard_steer *s = fine ? steer_of(fds) : NULL;
	const int error = errno;
	for (size_t i = 0; !s && i < count; i++)
		close(got[i]);
	errno = error;
	return s;
}

/* --- vouching ------------------------------------------------------------------------ */

int shard_vouch(struct shard_steer *s, const struct sockaddr *client, socklen_t len,
	unsigned seconds)
{
	struct steer_flow flow = { 0 };
	union shard_name name = { 0 };
	struct timespec now;
	if (!client || len > sizeof(name) || len < sizeof(struct sockaddr_in))
		return -EINVAL;
	memcpy(&name, client, len);
	flow.family = name.sa.sa_family;
	if (name.sa.sa_family == AF_INET) {
		flow.port = name.v4.sin_port;
		memcpy(flow.ip, &name.v4.sin_addr, 4);
	} else if (name.sa.sa_family == AF_INET6 && len >= sizeof(name.v6)) {
		flow.port = name.v6.sin6_port;
		memcpy(flow.ip, &name.v6.sin6_addr, 16);
	} else {
		return -EAFNOSUPPORT;
	}
	if (!seconds) {
		const int e = bpf_map_delete(s->fds[STEER_MAP_vouched], &flow);
		return e == -ENOENT ? 0 : e;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	const uint64_t until =
		((uint64_t)now.tv_sec + seconds) * 1000000000u + (uint64_t)now.tv_nsec;
	const int e = bpf_map_set(s->fds[STEER_MAP_vouched], &flow, &until, 0);
	__u64 last = __atomic_load_n(&s->head->vouched_until, __ATOMIC_RELAXED);
	while (!e && last < until &&
		!__atomic_compare_exchange_n(&s->head->vouched_until, &last, until,
			false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return e;
}
