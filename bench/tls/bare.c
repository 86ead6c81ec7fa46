/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The least that a server over TCP can do: send back what came. It waits for the client to
 * close, as every DNS server must, or closes with the first answer: its last packets are
 * then the client's work. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { EVENTS = 64, BUFFER = 65536 };

static int listen_at(uint16_t port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int on = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
		listen(fd, 1024) < 0)
		return -1;
	return fd;
}

static void accept_all(int ep, int listener)
{
	for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
			close(fd);
	}
}

static void answer(int fd, bool close_first)
{
	static char buffer[BUFFER];
	const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
	if (n > 0 && send(fd, buffer, (size_t)n, MSG_NOSIGNAL) == n && !close_first)
		return;
	close(fd);
}

int bare_run(uint16_t port, bool close_first)
{
	const int ep = epoll_create1(0), listener = listen_at(port);
	struct epoll_event e = { .events = EPOLLIN, .data.fd = listener };
	if (listener < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e) < 0) {
		perror("bare server");
		return 1;
	}
	for (;;) {
		struct epoll_event events[EVENTS];
		const int n = epoll_wait(ep, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				accept_all(ep, listener);
			else
				answer(events[i].data.fd, close_first);
		}
	}
}
