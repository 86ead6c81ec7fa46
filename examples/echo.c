/* SPDX-License-Identifier: MIT */
/* echo.c - an echo server on sharded sockets: UDP datagrams, and lines over TCP.
 *
 *	cc echo.c -o echo $(pkg-config --cflags --libs libshard)
 *	./echo 7777 & ./echo 7777 &               two processes, one port
 *	shard exec -n 4 --tcp 7777 --udp 7777 -- ./echo
 *
 * The second way nothing is lost when one of them dies or is restarted: the sockets are
 * held outside. On SIGTERM what waits is answered, then the process goes. */
#include <arpa/inet.h>
#include <poll.h>
#include <shard.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t leaving;

static void on_term(int signo)
{
	(void)signo;
	leaving = 1;
}

static int open_socket(int port, int type)
{
	const struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	const struct shard_opt opt = { .addr = (const struct sockaddr *)&any,
		.addr_len = sizeof(any),
		.type = type };
	struct shard_problem why;
	const int fd = shard_open(&opt, &why);
	if (fd < 0)
		fprintf(stderr, "echo: %s: %s\n", why.what, strerror(why.error));
	return fd;
}

/* Each call takes one datagram or connection; 0: nothing waits. */
static int echo_datagram(int fd)
{
	char data[2048];
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	const ssize_t n = recvfrom(
		fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	if (n >= 0)
		sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len);
	return n >= 0;
}

static int echo_connection(int fd)
{
	char data[2048];
	const int c = accept(fd, NULL, NULL); /* the listener does not block */
	ssize_t n;
	if (c < 0)
		return 0;
	/* one at a time: a real server would not wait for a silent client */
	const struct timeval patience = { .tv_sec = 1 };
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while ((n = read(c, data, sizeof(data))) > 0)
		if (write(c, data, (size_t)n) != n || data[n - 1] == '\n')
			break;
	close(c);
	return 1;
}

int main(int argc, char **argv)
{
	struct shard_inherited given[2];
	struct pollfd fds[2];
	int count = shard_inherited(given, 2);
	const int port = argc > 1 ? atoi(argv[1]) : 7777;
	if (count < 1) { /* nobody holds them for us: our own */
		given[0].fd = open_socket(port, SOCK_DGRAM);
		given[1].fd = open_socket(port, SOCK_STREAM);
		count = 2;
	}
	for (int i = 0; i < count; i++) {
		if (given[i].fd < 0 || shard_adopt(given[i].fd) < 0)
			return 1;
		fds[i] = (struct pollfd){ .fd = given[i].fd, .events = POLLIN };
	}
	signal(SIGTERM, on_term);
	signal(SIGPIPE, SIG_IGN);
	for (int busy = 1; !leaving || busy;) {
		busy = 0;
		if (!leaving)
			poll(fds, (nfds_t)count, 100);
		for (int i = 0; i < count; i++)
			busy += echo_datagram(fds[i].fd) || echo_connection(fds[i].fd);
	}
	return 0;
}
