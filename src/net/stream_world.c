/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/stream_world.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

uint8_t answer[65535];

static int64_t clock_us = INT64_C(1000) * 1000 * 1000;

struct now clock_read(void)
{
	return (struct now){ .mono_us = clock_us, .wall_ms = clock_us / 1000 };
}

static void query_handle(void *ctx, struct stream_server *s, struct stream_id id,
	const struct addr *from, const struct addr *to, const uint8_t *data, size_t len)
{
	struct world *w = ctx;
	w->queries++;
	w->last_len = len;
	memcpy(w->last, data, len);
	w->last_from = *from;
	w->last_to = *to;
	if (w->mode == ANSWER_HOLD && w->held_count < HELD_MAX) {
		w->held[w->held_count] = id;
		w->held_first[w->held_count++] = len ? data[0] : 0;
	} else if (w->mode == ANSWER_SKIP) {
		stream_skip(s, id);
	} else if (w->mode == ANSWER_CLOSE) {
		stream_close(s, id);
		assert_false(stream_reply(s, id, data, len));
	} else if (w->mode == ANSWER_NOW) {
		if (w->answer_len)
			stream_reply(s, id, answer, w->answer_len);
		else
			stream_reply(s, id, data, len);
	}
	/* still readable, whatever became of the connection: ASan watches */
	for (size_t i = 0; i < len; i++)
		assert_int_equal(w->last[i], data[i]);
}

static void connection_closed(void *ctx, struct stream_id id)
{
	struct world *w = ctx;
	assert_true(id.conn != 0);
	w->closed++;
}

void world_drained(void *ctx)
{
	struct world *w = ctx;
	w->drained++;
}

struct stream_hooks world_hooks(struct world *w)
{
	return (struct stream_hooks){
		.query = query_handle, .closed = connection_closed, .ctx = w
	};
}

void server_start(struct world *w)
{
	const struct stream_hooks hooks = world_hooks(w);
	struct sockaddr_in name = { .sin_family = AF_INET };
	socklen_t len = sizeof(name);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 1024), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_true(addr_from_sockaddr(&w->at, (struct sockaddr *)&name));
	w->server = stream_server_new(w->loop, fd, &w->conf, &hooks, &w->counters);
	assert_non_null(w->server);
}

int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	w->loop = loop_new();
	w->conf = (struct stream_conf){ .max_clients = 64,
		.max_clients_per_address = 32,
		.pipeline = 100,
		.idle_ms = 60000 };
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;
	stream_server_free(w->server);
	assert_int_equal(w->counters.tcp_clients, 0);
	loop_free(w->loop);
	free(w);
	return 0;
}

void turns(struct world *w, int count)
{
	while (count--)
		loop_turn(w->loop, 1);
}

void pass(struct world *w, int ms)
{
	clock_us += ms * INT64_C(1000);
	loop_turn(w->loop, 0);
}

int client_from(struct world *w, uint8_t host)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f000000u | host) };
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(w->at.port),
		.sin_addr.s_addr = htonl(0x7f000001u) };
	pass(w, 1); /* nobody comes at the same time as another */
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const uint64_t before = w->counters.tcp_accepted + w->counters.tcp_clients_shed;
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(fd_set_nonblock(fd), 0);
	UNTIL(w, w->counters.tcp_accepted + w->counters.tcp_clients_shed > before);
	return fd;
}

void client_ask(int fd, uint8_t first, uint16_t len)
{
	uint8_t msg[2 + 65535] = { (uint8_t)(len >> 8), (uint8_t)len, first };
	assert_int_equal(send(fd, msg, 2u + len, MSG_NOSIGNAL), 2 + len);
}

int client_hear(int fd, uint8_t *msg)
{
	uint8_t head[2];
	const ssize_t n = recv(fd, head, 2, MSG_PEEK);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return -3;
	if (n < 2)
		return -1;
	const ssize_t len = head[0] << 8 | head[1];
	static uint8_t whole[2 + 65535];
	if (recv(fd, whole, (size_t)len + 2, MSG_PEEK) < len + 2)
		return -1;
	assert_int_equal(recv(fd, whole, (size_t)len + 2, 0), len + 2);
	if (msg)
		memcpy(msg, whole + 2, (size_t)len);
	return len ? (int)len : -2;
}

int client_wait(struct world *w, int fd, uint8_t *msg)
{
	int got = -1;
	const time_t end = until_end();
	while (got == -1 && until_left(end)) {
		loop_turn(w->loop, 1);
		got = client_hear(fd, msg);
	}
	return got;
}
