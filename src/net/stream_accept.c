/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_accept.c - the listening socket. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/limits.h"
#include "net/stream_internal.h"

enum {
	ACCEPTS_A_WAKEUP = 32,
	ACCEPT_PAUSE_MS = 100,
};

union stream_name {
	struct sockaddr sa;
	struct sockaddr_storage any;
};

static void server_ready(void *ctx, unsigned events);
static void accept_pause(struct stream_server *s);

static void accept_again(void *ctx)
{
	struct stream_server *s = ctx;
	if (loop_watch(s->loop, &s->watch, s->fd, LOOP_READ, server_ready, s))
		accept_pause(s);
}

static void accept_pause(struct stream_server *s)
{
	loop_timer_set(s->loop, &s->accept_pause,
		loop_now(s->loop)->mono_us + ACCEPT_PAUSE_MS * 1000, accept_again, s);
}

static void out_of_descriptors(struct stream_server *s)
{
	counter_up(s->counters, fd_exhausted);
	server_evict(s, NULL);
	loop_unwatch(s->loop, &s->watch);
	accept_pause(s);
}

/* After accept4() failed: is there another to take? accept(2) also tells errors of the
 * connection itself. */
static bool accept_failed(struct stream_server *s, int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		out_of_descriptors(s);
		return false;
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EPERM:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

/* Which of our addresses a client came to. */
static struct addr accepted_to(const struct stream_server *s, int fd)
{
	struct addr to = s->bound;
	union stream_name name;
	socklen_t len = sizeof(name);
	if (s->wildcard && getsockname(fd, &name.sa, &len) == 0)
		addr_from_sockaddr(&to, &name.sa);
	return to;
}

bool server_accept(struct stream_server *s)
{
	union stream_name name;
	socklen_t len = sizeof(name);
	int fd = accept4(s->fd, &name.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return accept_failed(s, errno);
	struct addr from;
	const struct addr to = accepted_to(s, fd);
	s->accepted++;
	if (addr_from_sockaddr(&from, &name.sa))
		stream_server_adopt(s, fd, &from, &to);
	else
		fd_close(&fd);
	return true;
}

bool stream_server_adopt(
	struct stream_server *s, int fd, const struct addr *from, const struct addr *to)
{
	if (conn_open(s, fd, from, to))
		return true;
	fd_close(&fd);
	return false;
}

static void server_ready(void *ctx, unsigned events)
{
	(void)events;
	struct stream_server *s = ctx;
	for (int i = 0; i < ACCEPTS_A_WAKEUP && server_accept(s); i++)
		;
}

int server_listen(struct stream_server *s, int fd)
{
	static const uint8_t zero[16];
	union stream_name name;
	socklen_t len = sizeof(name);
	const int on = 1;
	if (getsockname(fd, &name.sa, &len) < 0 ||
		!addr_from_sockaddr(&s->bound, &name.sa))
		return -ENOTSOCK;
	s->wildcard = memcmp(s->bound.ip, zero, sizeof(zero)) == 0;
	/* inherited by what is accepted; a socket where it can't be set works too */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* who reads nothing would have megabytes of answers wait in the kernel */
	const int unsent = LIMIT_TCP_KERNEL_BYTES;
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	s->fd = fd;
	return loop_watch(s->loop, &s->watch, fd, LOOP_READ, server_ready, s);
}

void server_stop_listening(struct stream_server *s)
{
	loop_timer_clear(s->loop, &s->accept_pause);
	loop_unwatch(s->loop, &s->watch);
	fd_close(&s->fd);
}
