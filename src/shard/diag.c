/* SPDX-License-Identifier: MIT */
/* shard/diag.c - which sockets are on a port, and whose they are: sock_diag(7), /proc.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard.h"
#include "shard/shard_internal.h"

static int diag_request(int fd, int family, int type, uint16_t port)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} message = {
		.head =
			{
				.nlmsg_len = sizeof(message),
				.nlmsg_type = SOCK_DIAG_BY_FAMILY,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			},
		.req =
			{
				.sdiag_family = (uint8_t)family,
				.sdiag_protocol =
					type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
				.idiag_states =
					type == SOCK_STREAM ? 1u << TCP_LISTEN : ~0u,
				.id.idiag_sport = htons(port),
			},
	};
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t sent;
	do {
		sent = sendto(fd, &message, sizeof(message), 0,
			(const struct sockaddr *)&kernel, sizeof(kernel));
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static struct diag_socket diag_socket_of(const struct inet_diag_msg *m)
{
	struct diag_socket s = {
		.state = m->idiag_state,
		.uid = m->idiag_uid,
		.inode = m->idiag_inode,
		.ifindex = m->id.idiag_if,
		.cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
	};
	s.local.sa.sa_family = m->idiag_family;
	if (m->idiag_family == AF_INET) {
		s.local.v4.sin_port = m->id.idiag_sport;
		memcpy(&s.local.v4.sin_addr, m->id.idiag_src, 4);
	} else {
		s.local.v6.sin6_port = m->id.idiag_sport;
		memcpy(&s.local.v6.sin6_addr, m->id.idiag_src, 16);
		s.local.v6.sin6_scope_id = m->id.idiag_if;
	}
	return s;
}

/* One datagram of the dump: 1 go on, 0 the end, -errno. */
static int diag_take(struct nlmsghdr *h, unsigned len, diag_fn *fn, void *ctx)
{
	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);
			return h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) ? -EPROTO
								       : e->error;
		}
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
			h->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			continue;
		const struct diag_socket s = diag_socket_of(NLMSG_DATA(h));
		if (!fn(ctx, &s))
			return 0;
	}
	return 1;
}

int shard_diag_each(int family, int type, uint16_t port, diag_fn *fn, void *ctx)
{
	union {
		struct nlmsghdr head;
		char bytes[32768];
	} buf;
	if (shard_disabled("sock_diag"))
		return -EPROTONOSUPPORT;
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	int e = diag_request(fd, family, type, port);
	while (!e) {
		const ssize_t len = recv(fd, &buf, sizeof(buf), 0);
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0) {
			e = len < 0 ? -errno : -EPROTO;
			break;
		}
		const int more = diag_take(&buf.head, (unsigned)len, fn, ctx);
		if (more <= 0) {
			e = more;
			break;
		}
	}
	close(fd);
	return e;
}

/* --- how many share a group ------------------------------------------------ */

struct group {
	union shard_name local;
	uint32_t ifindex;
	uint32_t uid;
	uint32_t inode;
	int type;
	int count;
	bool found; /* inode: so uid and ifindex are known */
};

/* A connected UDP socket is in no group: the kernel skips it. */
static bool group_may_hold(const struct group *g, const struct diag_socket *s)
{
	const uint8_t state = g->type == SOCK_STREAM ? TCP_LISTEN : TCP_CLOSE;
	union shard_name local = s->local;
	if (local.sa.sa_family == AF_INET6) /* there it was the interface bound to */
		local.v6.sin6_scope_id = g->local.v6.sin6_scope_id;
	return s->state == state && shard_name_same_ip(&local, &g->local);
}

static bool group_find_self(void *ctx, const struct diag_socket *s)
{
	struct group *g = ctx;
	if (s->inode != g->inode)
		return true;
	g->found = true;
	g->uid = s->uid;
	g->ifindex = s->ifindex;
	return false;
}

static bool group_count(void *ctx, const struct diag_socket *s)
{
	struct group *g = ctx;
	g->count +=
		s->uid == g->uid && s->ifindex == g->ifindex && group_may_hold(g, s);
	return true;
}

int shard_group_size(int fd)
{
	struct group g = { 0 };
	struct stat st;
	socklen_t len = sizeof(g.local), type_len = sizeof(g.type);
	if (getsockname(fd, &g.local.sa, &len) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &g.type, &type_len) < 0 ||
		fstat(fd, &st) < 0)
		return -errno;
	if (g.local.sa.sa_family != AF_INET && g.local.sa.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	g.inode = (uint32_t)st.st_ino;
	const uint16_t port = shard_name_port(&g.local);
	if (!port)
		return -EINVAL; /* not bound */
	int e = shard_diag_each(
		g.local.sa.sa_family, g.type, port, group_find_self, &g);
	if (!e && !g.found)
		e = -ENOENT; /* of another network namespace */
	if (!e)
		e = shard_diag_each(
			g.local.sa.sa_family, g.type, port, group_count, &g);
	return e ? e : g.count;
}

/* --- all on an address ------------------------------------------------------ */

struct list {
	union shard_name wanted;
	int type, count, max;
	struct shard_socket *out;
};

static bool list_add(void *ctx, const struct diag_socket *s)
{
	struct list *l = ctx;
	union shard_name local = s->local;
	if (local.sa.sa_family == AF_INET6)
		local.v6.sin6_scope_id = l->wanted.v6.sin6_scope_id;
	enum shard_relation relation = SHARD_SAME;
	if (!shard_name_same_ip(&local, &l->wanted)) {
		if (shard_name_is_any(&l->wanted))
			relation = SHARD_MORE_SPECIFIC;
		else if (shard_name_is_any(&local))
			relation = SHARD_WIDER;
		else
			return true;
	}
	if (l->count < l->max)
		l->out[l->count] = (struct shard_socket){
			.uid = s->uid,
			.inode = s->inode,
			.relation = relation,
			.parked = l->type == SOCK_DGRAM && s->state != TCP_CLOSE,
			.cookie = s->cookie,
		};
	l->count++;
	return true;
}

int shard_list(const struct sockaddr *addr, socklen_t len, int type,
	struct shard_socket *out, int max)
{
	struct list l = { .type = type, .out = out, .max = max };
	if (!addr || len > sizeof(l.wanted) || len < sizeof(struct sockaddr_in) ||
		(type != SOCK_DGRAM && type != SOCK_STREAM))
		return -EINVAL;
	if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (addr->sa_family == AF_INET6 && len < sizeof(struct sockaddr_in6))
		return -EINVAL;
	memcpy(&l.wanted, addr, len);
	const uint16_t port = shard_name_port(&l.wanted);
	if (!port)
		return -EINVAL;
	const int e = shard_diag_each(addr->sa_family, type, port, list_add, &l);
	return e ? e : l.count;
}

/* --- beside parked ones ------------------------------------------------------ */

struct beside {
	const union shard_name *wanted;
	uint32_t uid;
	bool parked, strangers;
};

static bool overlaps(const union shard_name *wanted, const struct diag_socket *s)
{
	union shard_name local = s->local;
	if (shard_name_is_any(&local) || shard_name_is_any(wanted))
		return true;
	if (local.sa.sa_family == AF_INET6)
		local.v6.sin6_scope_id = wanted->v6.sin6_scope_id;
	return shard_name_same_ip(&local, wanted);
}

static bool beside_look(void *ctx, const struct diag_socket *s)
{
	struct beside *b = ctx;
	if (!overlaps(b->wanted, s))
		return true;
	b->strangers |= s->uid != b->uid;
	b->parked |= s->state != TCP_CLOSE;
	return true;
}

bool shard_diag_only_ours(const union shard_name *wanted, uint32_t uid)
{
	struct beside b = { .wanted = wanted, .uid = uid };
	const uint16_t port = shard_name_port(wanted);
	return port &&
	       shard_diag_each(
		       wanted->sa.sa_family, SOCK_DGRAM, port, beside_look, &b) == 0 &&
	       b.parked && !b.strangers;
}

/* --- who has the port ------------------------------------------------------ */

enum { OWNERS_MAX = 64 };

struct owners {
	const union shard_name *wanted;
	uint32_t inode[OWNERS_MAX];
	uint32_t uid[OWNERS_MAX];
	int count;
};

/* Would this one keep us out? The same address, or a wildcard on either side. */
static bool owners_collect(void *ctx, const struct diag_socket *s)
{
	struct owners *o = ctx;
	if (!overlaps(o->wanted, s))
		return true;
	o->inode[o->count] = s->inode;
	o->uid[o->count] = s->uid;
	return ++o->count < OWNERS_MAX;
}

/* Index of the owner whose socket this link names, or -1. */
static int owners_match(const struct owners *o, const char *link)
{
	unsigned inode;
	if (sscanf(link, "socket:[%u]", &inode) != 1)
		return -1;
	for (int i = 0; i < o->count; i++)
		if (o->inode[i] == inode)
			return i;
	return -1;
}

static int owners_search_process(const struct owners *o, const char *pid)
{
	char path[320];
	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	DIR *fds = opendir(path);
	if (!fds)
		return -1; /* of another user, or gone */
	int found = -1;
	for (struct dirent *e; found < 0 && (e = readdir(fds));) {
		char link[64];
		snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid, e->d_name);
		const ssize_t len = readlink(path, link, sizeof(link) - 1);
		if (len <= 0)
			continue;
		link[len] = '\0';
		found = owners_match(o, link);
	}
	closedir(fds);
	return found;
}

static void process_name(const char *pid, char *out, size_t cap)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return;
	const size_t len = fread(out, 1, cap - 1, f);
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

static void owners_find_process(const struct owners *o, struct shard_problem *p)
{
	DIR *processes = opendir("/proc");
	if (!processes)
		return;
	for (struct dirent *e; !p->owner_pid && (e = readdir(processes));) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		const int i = owners_search_process(o, e->d_name);
		if (i < 0)
			continue;
		p->owner_pid = (int)strtol(e->d_name, NULL, 10);
		p->owner_uid = o->uid[i];
		process_name(e->d_name, p->owner, sizeof(p->owner));
	}
	closedir(processes);
}

void shard_diag_find_owner(
	const union shard_name *wanted, int type, struct shard_problem *p)
{
	struct owners o = { .wanted = wanted };
	const uint16_t port = shard_name_port(wanted);
	if (!port)
		return;
	shard_diag_each(wanted->sa.sa_family, type, port, owners_collect, &o);
	if (!o.count && wanted->sa.sa_family == AF_INET) {
		/* an IPv6 wildcard socket that takes IPv4 too */
		shard_diag_each(AF_INET6, type, port, owners_collect, &o);
	}
	if (!o.count)
		return;
	p->owner_uid = o.uid[0];
	owners_find_process(&o, p);
}
