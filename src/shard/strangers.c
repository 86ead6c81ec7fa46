/* SPDX-License-Identifier: MIT */
/* shard/strangers.c - sockets of others that get what comes to an address: sock_diag(7). */
#include <errno.h>
#include <netinet/tcp.h>

#include "shard.h"
#include "shard/shard_internal.h"

struct strangers {
	union shard_name local;
	int type;
	const uint64_t *known;
	int known_count, max, count;
	struct shard_socket *out;
};

static bool is_known(const struct strangers *s, uint64_t cookie)
{
	for (int i = 0; i < s->known_count; i++)
		if (s->known[i] == cookie)
			return true;
	return false;
}

static bool look(void *ctx, const struct diag_socket *d)
{
	struct strangers *s = ctx;
	union shard_name local = d->local;
	if (local.sa.sa_family == AF_INET6)
		local.v6.sin6_scope_id = s->local.v6.sin6_scope_id;
	const bool same = shard_name_same_ip(&local, &s->local);
	/* a client's socket that is bound to the port and connected takes only its own
	 * peer's */
	if ((!same && !shard_name_is_any(&s->local)) ||
		(s->type == SOCK_DGRAM && d->state != TCP_CLOSE) ||
		is_known(s, d->cookie))
		return true;
	if (s->count < s->max)
		s->out[s->count] = (struct shard_socket){
			.uid = d->uid,
			.inode = d->inode,
			.relation = same ? SHARD_SAME : SHARD_MORE_SPECIFIC,
			.cookie = d->cookie,
		};
	s->count++;
	return true;
}

int shard_strangers(int fd, const uint64_t *known, int known_count,
	struct shard_socket *out, int max)
{
	struct strangers s = {
		.known = known, .known_count = known_count, .max = max, .out = out
	};
	socklen_t len = sizeof(s.local), type_len = sizeof(s.type);
	if (getsockname(fd, &s.local.sa, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &s.type, &type_len) < 0)
		return -errno;
	if (s.local.sa.sa_family != AF_INET && s.local.sa.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	const uint16_t port = shard_name_port(&s.local);
	if (!port)
		return -EINVAL;
	const int e = shard_diag_each(s.local.sa.sa_family, s.type, port, look, &s);
	return e ? e : s.count;
}
