/* SPDX-License-Identifier: MIT */
/* shard/open.c - open a socket of a group with the right options, or say why not. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shard.h"
#include "shard/shard_internal.h"

enum { BACKLOG = 4096 }; /* net.core.somaxconn bounds it */

const char *shard_version(void)
{
	return SHARD_VERSION;
}

uint16_t shard_name_port(const union shard_name *name)
{
	return ntohs(name->sa.sa_family == AF_INET6 ? name->v6.sin6_port
						    : name->v4.sin_port);
}

bool shard_name_is_any(const union shard_name *name)
{
	return name->sa.sa_family == AF_INET6
		       ? IN6_IS_ADDR_UNSPECIFIED(&name->v6.sin6_addr)
		       : name->v4.sin_addr.s_addr == INADDR_ANY;
}

bool shard_name_same_ip(const union shard_name *a, const union shard_name *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	if (memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) != 0)
		return false;
	return !IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr) ||
	       a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

/* One setsockopt(2) of an int. */
struct option {
	const char *name;
	int level, option, value;
};

static int options_apply(
	int fd, const struct option *o, size_t count, const char **what)
{
	for (size_t i = 0; i < count; i++)
		if (setsockopt(fd, o[i].level, o[i].option, &o[i].value,
			    sizeof(o[i].value)) < 0) {
			*what = o[i].name;
			return -errno;
		}
	return 0;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Answers must not trust a path MTU that forged ICMP messages may have lowered, so
 * they leave without DF and ignore it: OMIT. RFC 9715 section 3.2. */
static const struct option udp4[] = {
	{ "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, 1 },
	{ "IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT },
};
static const struct option udp6[] = {
	{ "IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO, 1 },
	{ "IPV6_MTU_DISCOVER", IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT },
};
/* Accepted sockets inherit it. */
static const struct option tcp[] = {
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1 },
};

int shard_socket_set_options(int fd, int family, int type, const char **what)
{
	if (type == SOCK_STREAM)
		return options_apply(fd, tcp, COUNT(tcp), what);
	if (family == AF_INET6)
		return options_apply(fd, udp6, COUNT(udp6), what);
	return options_apply(fd, udp4, COUNT(udp4), what);
}

/* Those that bind(2) looks at. */
static int socket_set_bind_options(
	int fd, int family, const struct shard_opt *opt, const char **what)
{
	struct option set[4];
	size_t count = 0;
	if (!(opt->flags & SHARD_EXCLUSIVE))
		set[count++] =
			(struct option){ "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 1 };
	/* TCP only: connections in TIME_WAIT keep nobody out. On UDP it lets strangers
	 * in. */
	if (opt->type == SOCK_STREAM)
		set[count++] =
			(struct option){ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1 };
	if (family == AF_INET6)
		set[count++] =
			(struct option){ "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, 1 };
	if (opt->flags & SHARD_FREEBIND) {
		if (family == AF_INET6)
			set[count++] = (struct option){ "IPV6_FREEBIND", IPPROTO_IPV6,
				IPV6_FREEBIND, 1 };
		else
			set[count++] = (struct option){ "IP_FREEBIND", IPPROTO_IP,
				IP_FREEBIND, 1 };
	}
	return options_apply(fd, set, count, what);
}

/* A wish: what the kernel grants less is no failure. */
static void socket_set_rcvbuf(int fd, int bytes)
{
	if (bytes <= 0)
		return;
	if (shard_disabled("rcvbufforce") ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

/* A parked socket of ours (park.c) lets only those in beside it that have SO_REUSEADDR
 * at this moment; a stranger is let in by nobody. */
static int bind_beside_parked(
	int fd, const union shard_name *name, const struct shard_opt *opt)
{
	const int yes = 1, no = 0;
	if (opt->type != SOCK_DGRAM || opt->flags & SHARD_EXCLUSIVE ||
		!shard_diag_only_ours(name, geteuid()))
		return -EADDRINUSE;
	int e = 0;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
		bind(fd, &name->sa, opt->addr_len) < 0)
		e = -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &no, sizeof(no)) < 0 && !e)
		e = -errno;
	return e;
}

static int socket_bind(
	int fd, const union shard_name *name, const struct shard_opt *opt)
{
	if (bind(fd, &name->sa, opt->addr_len) == 0)
		return 0;
	return errno == EADDRINUSE ? bind_beside_parked(fd, name, opt) : -errno;
}

static int socket_make_ready(int fd, const union shard_name *name,
	const struct shard_opt *opt, const char **what)
{
	int e = socket_set_bind_options(fd, name->sa.sa_family, opt, what);
	if (!e)
		e = shard_socket_set_options(fd, name->sa.sa_family, opt->type, what);
	if (e)
		return e;
	socket_set_rcvbuf(fd, opt->rcvbuf);
	*what = "bind";
	e = socket_bind(fd, name, opt);
	if (e)
		return e;
	*what = "listen";
	if (opt->type == SOCK_STREAM &&
		listen(fd, opt->backlog ? opt->backlog : BACKLOG) < 0)
		return -errno;
	return 0;
}

static int problem_report(struct shard_problem *p, int error, const char *what,
	const union shard_name *name, int type)
{
	if (!p)
		return error;
	*p = (struct shard_problem){ .error = -error, .owner_uid = (unsigned)-1 };
	snprintf(p->what, sizeof(p->what), "%s", what);
	if (error == -EADDRINUSE)
		shard_diag_find_owner(name, type, p);
	return error;
}

static bool opt_is_valid(const struct shard_opt *opt)
{
	if (!opt->addr || opt->addr_len > sizeof(union shard_name))
		return false;
	if (opt->flags & ~(unsigned)(SHARD_EXCLUSIVE | SHARD_FREEBIND | SHARD_V6ONLY) ||
		opt->rcvbuf < 0 || opt->backlog < 0)
		return false;
	if (opt->type != SOCK_DGRAM && opt->type != SOCK_STREAM)
		return false;
	return (opt->addr->sa_family == AF_INET &&
		       opt->addr_len >= sizeof(struct sockaddr_in)) ||
	       (opt->addr->sa_family == AF_INET6 &&
		       opt->addr_len >= sizeof(struct sockaddr_in6));
}

int shard_open(const struct shard_opt *opt, struct shard_problem *p)
{
	union shard_name name = { 0 };
	if (!opt_is_valid(opt))
		return problem_report(p, -EINVAL, "options", &name, 0);
	memcpy(&name, opt->addr, opt->addr_len);
	const int fd =
		socket(name.sa.sa_family, opt->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return problem_report(p, -errno, "socket", &name, opt->type);
	const char *what = "";
	const int e = socket_make_ready(fd, &name, opt, &what);
	if (!e)
		return fd;
	close(fd);
	return problem_report(p, e, what, &name, opt->type);
}
