/* SPDX-License-Identifier: MIT */
/* http.c - static files over HTTP/1.1 by N processes that can be restarted under load.
 *
 *	cc http.c -o http $(pkg-config --cflags --libs libshard libmicrohttpd)
 *	shard exec -n 4 --tcp 8080 --notify -- ./http /srv/www
 *	shard restart
 *
 * HTTP is libmicrohttpd's part; this file does what a process must do so that its restart
 * costs no request: it takes the listener that is held outside; says READY=1 when it serves;
 * on SIGTERM accepts no more (its successor does, on the same socket), answers what it has,
 * each time with "Connection: close", and goes when the last connection is gone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <microhttpd.h>
#include <shard.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	IDLE_S = 30,     /* a silent connection, while we serve */
	LEAVE_MS = 4000, /* the same, while we leave */
	TICK_MS = 10,
};

static atomic_bool leaving;

/* sd_notify(3) in eight lines. */
static void notify(const char *text)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	if (!path || strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path));
	if (path[0] == '@')
		to.sun_path[0] = 0;
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const size_t len = offsetof(struct sockaddr_un, sun_path) + strlen(path);
	if (fd >= 0) {
		sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to,
			(socklen_t)len);
		close(fd);
	}
}

static const char *type_of(const char *path)
{
	static const char *const types[][2] = { { ".html", "text/html; charset=utf-8" },
		{ ".css", "text/css" }, { ".js", "text/javascript" },
		{ ".svg", "image/svg+xml" }, { ".png", "image/png" },
		{ ".txt", "text/plain; charset=utf-8" } };
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(dot, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

/* A file beneath the folder, no links out of it, or -1. */
static int open_file(int root, const char *url, struct stat *st)
{
	char path[PATH_MAX], real[PATH_MAX], base[PATH_MAX], link[64];
	const size_t len = strlen(url);
	if (url[0] != '/' || len + 16 > sizeof(path))
		return -1;
	snprintf(path, sizeof(path), ".%s%s", url,
		url[len - 1] == '/' ? "index.html" : "");
	const int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	const bool known = realpath(link, real);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", root);
	const bool inside = known && realpath(link, base) &&
			    strncmp(real, base, strlen(base)) == 0 &&
			    (real[strlen(base)] == '/' || !base[1]);
	if (inside && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close(fd);
	return -1;
}

static enum MHD_Result answer(
	struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
	if (atomic_load(&leaving))
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	const enum MHD_Result done = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result answer_text(
	struct MHD_Connection *c, unsigned status, const char *text)
{
	union {
		const char *in;
		void *out;
	} body = { text };
	return answer(c, status,
		MHD_create_response_from_buffer(
			strlen(text), body.out, MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *data, size_t *len,
	void **state)
{
	struct stat st;
	(void)version, (void)data;
	if (!*state) { /* the headers; the body, which nobody wants, comes next */
		*state = ctx;
		return MHD_YES;
	}
	if (*len) {
		*len = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
	const int fd = open_file(*(int *)ctx, url, &st);
	if (fd < 0)
		return answer_text(c, MHD_HTTP_NOT_FOUND, "no such file\n");
	struct MHD_Response *r = MHD_create_response_from_fd((size_t)st.st_size, fd);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type_of(url));
	return answer(c, MHD_HTTP_OK, r);
}

static unsigned connections(struct MHD_Daemon *d)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(d, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
	return info ? info->num_connections : 0;
}

int main(int argc, char **argv)
{
	struct shard_inherited given;
	sigset_t signals;
	int signo;
	if (argc != 2 || shard_inherited(&given, 1) != 1) {
		fputs("usage: shard exec --tcp PORT --notify -- http FOLDER\n", stderr);
		return 2;
	}
	int root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || shard_adopt(given.fd) < 0) {
		fprintf(stderr, "http: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	struct MHD_Daemon *d = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request,
		&root, MHD_OPTION_LISTEN_SOCKET, given.fd,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_END);
	if (!d) {
		fputs("http: cannot start\n", stderr);
		return 1;
	}
	notify("READY=1");
	sigwait(&signals, &signo);
	notify("STOPPING=1");
	atomic_store(&leaving, true);
	MHD_quiesce_daemon(d); /* accepts no more; the listener stays open */
	for (int ms = 0; ms < LEAVE_MS && connections(d); ms += TICK_MS)
		nanosleep(&(struct timespec){ .tv_nsec = TICK_MS * 1000000L }, NULL);
	MHD_stop_daemon(d);
	return 0;
}
