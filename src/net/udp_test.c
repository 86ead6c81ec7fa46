/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The unit itself, so that the kernel's "no more now" can be played. */
#include <sys/socket.h>
static int send_some(int fd, struct mmsghdr *head, unsigned count, int flags);
#define sendmmsg send_some
#include "net/udp.c"
#undef sendmmsg

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "loop/until.h"

static unsigned send_left = ~0u; /* datagrams that the kernel still takes */

static int send_some(int fd, struct mmsghdr *head, unsigned count, int flags)
{
	if (!send_left) {
		errno = EAGAIN;
		return -1;
	}
	const int n = sendmmsg(fd, head, count < send_left ? count : send_left, flags);
	if (n > 0 && send_left != ~0u)
		send_left -= (unsigned)n;
	return n;
}

struct world {
	struct loop *loop;
	struct udp_server *server;
	uint16_t port;
	int queries;
	size_t last_len;
	bool last_cut;
	bool late;    /* answer by udp_server_reply() */
	bool free_it; /* the callback frees the server */
	bool slow;    /* each costs more than a turn may */
	size_t reply_len;
	struct udp_peer peer;
};

static int socket_at(const char *text, uint16_t *port)
{
	struct addr a;
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	assert_true(addr_from_text(&a, text, 0));
	const int fd = socket(a.family == 6 ? AF_INET6 : AF_INET,
		SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;
	if (a.family == 6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	else
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&name, addr_to_sockaddr(&a, &name)) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_true(addr_from_sockaddr(&a, (struct sockaddr *)&name));
	*port = a.port;
	return fd;
}

/* Echo, or as many bytes as the test wants. */
static void query_echo(void *ctx, struct udp_server *s, struct udp_datagram *d)
{
	struct world *w = ctx;
	w->queries++;
	w->last_len = d->len;
	w->last_cut = d->cut;
	w->peer = d->peer;
	while (w->slow && !loop_turn_is_spent(w->loop))
		;
	assert_true(d->reply_cap >= 4096);
	const size_t len = w->reply_len ? w->reply_len : d->len;
	if (w->late) {
		uint8_t reply[4096] = { 0 };
		memcpy(reply, d->data, d->len < len ? d->len : len);
		udp_server_reply(s, &d->peer, reply, len);
	} else {
		memcpy(d->reply, d->data, d->len < len ? d->len : len);
		d->reply_len = len;
	}
	if (w->free_it) {
		udp_server_free(s);
		w->server = NULL;
	}
}

static void world_make(struct world *w, const char *at)
{
	*w = (struct world){ .loop = loop_new() };
	const int fd = socket_at(at, &w->port);
	w->server = fd < 0 ? NULL : udp_server_new(w->loop, fd, query_echo, w);
}

static void world_end(struct world *w)
{
	udp_server_free(w->server);
	loop_free(w->loop);
}

/* A client that is connected to this address, so it hears nobody else. */
static int client_to(const char *ip, uint16_t port)
{
	struct addr a;
	struct sockaddr_storage name;
	assert_true(addr_from_text(&a, ip, port));
	const int fd = socket(a.family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	const struct timeval patience = { .tv_sec = 3 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(
		connect(fd, (struct sockaddr *)&name, addr_to_sockaddr(&a, &name)), 0);
	return fd;
}

/* So many octets wait to be read: a busy kernel hands on in its own time what was sent over loopback. */
static void wait_for_octets(int fd, ssize_t count)
{
	int from = 0, none = -1;
	uint8_t octet;
	const time_t end = until_end();
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from)), 0);
	while (count > 0 && until_left(end))
		count -= recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
	assert_int_equal(count, 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &none, sizeof(none)), 0);
}

static ssize_t receive(int fd)
{
	uint8_t buf[8192];
	return recv(fd, buf, sizeof(buf), 0);
}

static void an_answer_leaves_from_the_address_that_was_asked(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "0.0.0.0");
	for (int late = 0; late < 2; late++) {
		w.late = late;
		const int fd = client_to("127.0.0.2", w.port);
		assert_int_equal(send(fd, "hello", 5, 0), 5);
		loop_turn(w.loop, 1000);
		assert_int_equal(receive(fd), 5); /* connected: from 127.0.0.2 only */
		char text[ADDR_TEXT_MAX];
		assert_string_equal(addr_ip_text(&w.peer.to, text), "127.0.0.2");
		assert_int_equal(w.peer.to.port, w.port);
		assert_int_equal(w.peer.ifindex, 1);
		close(fd);
	}
	world_end(&w);
}

static void ipv6_wildcard_and_single_addresses_answer_too(void **state)
{
	(void)state;
	static const char *const at[] = { "::", "::1", "127.0.0.1" };
	for (int i = 0; i < 3; i++) {
		struct world w;
		world_make(&w, at[i]);
		if (w.server) { /* else no IPv6 here */
			const int fd = client_to(i < 2 ? "::1" : "127.0.0.1", w.port);
			assert_int_equal(send(fd, "hello", 5, 0), 5);
			loop_turn(w.loop, 1000);
			assert_int_equal(receive(fd), 5);
			assert_int_equal(w.peer.to.port, w.port);
			assert_true(addr_is_loopback(&w.peer.to));
			close(fd);
		}
		world_end(&w);
	}
}

static void a_flood_is_read_in_bounded_batches(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "127.0.0.1");
	const int fd = client_to("127.0.0.1", w.port);
	for (int i = 0; i < 200; i++)
		assert_int_equal(send(fd, &i, sizeof(i), 0), sizeof(i));
	loop_turn(w.loop, 1000);
	assert_in_range(w.queries, 1, 199);
	while (w.queries < 200)
		loop_turn(w.loop, 1000);
	for (int i = 0; i < 200; i++) {
		int got = -1;
		assert_int_equal(recv(fd, &got, sizeof(got), 0), sizeof(got));
		assert_int_equal(got, i);
	}
	assert_int_equal(udp_server_dropped(w.server), 0);
	close(fd);
	world_end(&w);
}

/* Costly ones that come at once: four, then the loop turns. */
static void what_costs_much_is_handled_over_several_turns(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "127.0.0.1");
	loop_limit_turn(w.loop, 200);
	w.slow = true;
	const int fd = client_to("127.0.0.1", w.port);
	for (int i = 0; i < 50; i++)
		assert_int_equal(send(fd, &i, sizeof(i), 0), sizeof(i));
	for (int turns = 1; w.queries < 50; turns++) {
		loop_turn(w.loop, 1000);
		assert_in_range(w.queries, turns, 4 * turns);
		if (turns == 9) /* the rest at once, and no socket is read any more */
			udp_server_drain(w.server);
	}
	for (int i = 0; i < 50; i++) {
		int got = -1;
		assert_int_equal(recv(fd, &got, sizeof(got), 0), sizeof(got));
		assert_int_equal(got, i);
	}
	loop_turn(w.loop, 0);
	assert_int_equal(recv(fd, &w.last_len, 1, MSG_DONTWAIT), -1); /* none twice */
	close(fd);
	world_end(&w);
}

static unsigned ahead_count, next_count, first_answered_at;

static uint64_t count_ahead(void *ctx, const uint8_t *data, size_t len)
{
	const struct world *w = ctx;
	assert_int_equal(w->queries, 0); /* before the first callback */
	assert_int_equal(len, 1);
	ahead_count++;
	return data[0]; /* 0 wants no more */
}

static void count_next(void *ctx, uint64_t ahead)
{
	const struct world *w = ctx;
	assert_int_equal(w->queries, 0);
	assert_int_equal(ahead_count, first_answered_at);
	next_count += (unsigned)ahead;
}

static void larger_batches_are_looked_at_first(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "127.0.0.1");
	udp_server_look_ahead(w.server, count_ahead, count_next);
	const int fd = client_to("127.0.0.1", w.port);
	for (unsigned count = 3; count <= 5; count++) {
		w.queries = 0;
		ahead_count = next_count = 0;
		first_answered_at = count;
		for (uint8_t i = 0; i < count; i++)
			assert_int_equal(send(fd, &i, 1, 0), 1);
		wait_for_octets(udp_server_fd(w.server), count);
		udp_server_drain(w.server);
		assert_int_equal(w.queries, count);
		assert_int_equal(ahead_count, count < 4 ? 0 : count);
		assert_int_equal(next_count, count < 4 ? 0 : count * (count - 1) / 2);
	}
	close(fd);
	world_end(&w);
}

static void a_datagram_over_the_limit_is_marked_as_cut(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "127.0.0.1");
	const int fd = client_to("127.0.0.1", w.port);
	static const uint8_t big[LIMIT_DATAGRAM + 1];
	w.reply_len = 1;
	assert_int_equal(send(fd, big, sizeof(big), 0), sizeof(big));
	loop_turn(w.loop, 1000);
	assert_true(w.last_cut);
	assert_int_equal(send(fd, big, LIMIT_DATAGRAM, 0), LIMIT_DATAGRAM);
	loop_turn(w.loop, 1000);
	assert_false(w.last_cut);
	assert_int_equal(w.last_len, LIMIT_DATAGRAM);
	assert_int_equal(send(fd, big, 0, 0), 0);
	loop_turn(w.loop, 1000);
	assert_int_equal(w.queries, 3);
	assert_int_equal(w.last_len, 0);
	close(fd);
	world_end(&w);
}

static void answers_that_can_not_leave_are_counted_and_the_rest_goes_on(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "127.0.0.1");
	const int fd = client_to("127.0.0.1", w.port);
	assert_int_equal(send(fd, "a", 1, 0), 1);
	loop_turn(w.loop, 1000);
	assert_int_equal(receive(fd), 1);
	struct udp_peer nowhere = w.peer;
	assert_true(addr_from_text(&nowhere.from, "0.0.0.0", 0)); /* EINVAL */
	udp_server_reply(w.server, &nowhere, (const uint8_t *)"x", 1);
	udp_server_reply(w.server, &w.peer, (const uint8_t *)"yy", 2);
	const struct udp_peer nobody = { 0 };
	udp_server_reply(w.server, &nobody, (const uint8_t *)"z", 1);
	loop_turn(w.loop, 0);
	assert_int_equal(receive(fd), 2);
	assert_int_equal(udp_server_dropped(w.server), 1);
	close(fd);
	world_end(&w);
}

/* Far more than the queue holds: the oldest stay, the rest is counted, the order holds.
 */
static void the_queue_of_answers_is_bounded_and_wraps(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "127.0.0.1");
	const int fd = client_to("127.0.0.1", w.port);
	const int room = 8 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	assert_int_equal(send(fd, "a", 1, 0), 1);
	loop_turn(w.loop, 1000);
	assert_int_equal(receive(fd), 1);
	enum { EACH = 3001, COUNT = LIMIT_UDP_OUT_BYTES / EACH + 100 };
	static uint8_t answer[EACH];
	for (int round = 0; round < 3; round++) {
		const uint64_t before = udp_server_dropped(w.server);
		for (int i = 0; i < COUNT; i++) {
			memcpy(answer, &i, sizeof(i));
			udp_server_reply(w.server, &w.peer, answer, sizeof(answer));
		}
		const uint64_t dropped = udp_server_dropped(w.server) - before;
		assert_in_range(dropped, 100, COUNT / 2);
		loop_turn(w.loop, 0);
		uint8_t got[EACH];
		int n = 0;
		while (recv(fd, got, sizeof(got), MSG_DONTWAIT) == EACH) {
			int number;
			memcpy(&number, got, sizeof(number));
			assert_int_equal(number, n);
			n++;
		}
		if (errno == EAGAIN && n > 300) /* the client's buffer was granted */
			assert_int_equal(n + (int)dropped, COUNT);
	}
	close(fd);
	world_end(&w);
}

/* The kernel takes a few at a time: lengths vary, the ring goes round many times. */
static void answers_wait_in_order_while_the_kernel_takes_no_more(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "0.0.0.0");
	const int fd = client_to("127.0.0.1", w.port);
	assert_int_equal(send(fd, "a", 1, 0), 1);
	loop_turn(w.loop, 1000);
	assert_int_equal(receive(fd), 1);
	unsigned seed = 7;
	int sent = 0, got = 0;
	while (got < 3000) {
		uint8_t answer[3000] = { 0 };
		while (sent < 3000) {
			memcpy(answer, &sent, sizeof(sent));
			const size_t len = 4 + (size_t)rand_r(&seed) % 2990;
			const uint64_t before = udp_server_dropped(w.server);
			udp_server_reply(w.server, &w.peer, answer, len);
			if (udp_server_dropped(w.server) != before)
				break; /* full: the same number again later */
			sent++;
		}
		send_left = (unsigned)rand_r(&seed) % 16;
		loop_turn(w.loop, 0);
		int number;
		while (recv(fd, &number, sizeof(number), MSG_DONTWAIT) > 0)
			assert_int_equal(number, got++);
	}
	send_left = ~0u;
	loop_turn(w.loop, 0);
	assert_int_equal(w.server->ring_used, 0);
	assert_int_equal(w.server->watch.events, LOOP_READ);
	close(fd);
	world_end(&w);
}

static void draining_reads_what_waits_and_pausing_reads_no_more(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "127.0.0.1");
	const int fd = client_to("127.0.0.1", w.port);
	for (int i = 0; i < 100; i++)
		assert_int_equal(send(fd, "x", 1, 0), 1);
	const time_t end = until_end();
	while (w.queries < 100 && until_left(end))
		udp_server_drain(w.server);
	assert_int_equal(w.queries, 100);
	udp_server_pause(w.server);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	loop_turn(w.loop, 5);
	assert_int_equal(w.queries, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(receive(fd), 1);
	udp_server_reply(w.server, &w.peer, (const uint8_t *)"late", 4);
	udp_server_free(w.server); /* sends what is pending */
	w.server = NULL;
	assert_int_equal(receive(fd), 4);
	close(fd);
	world_end(&w);
}

/* What shard_park() does: connected, so out of its group; who waits is answered all the
 * same. */
static void a_parked_socket_still_answers_its_queue(void **state)
{
	(void)state;
	static const char *const at[] = { "0.0.0.0", "127.0.0.2" };
	for (int i = 0; i < 2; i++) {
		struct world w;
		world_make(&w, at[i]);
		const int fd = client_to("127.0.0.2", w.port);
		struct addr dead;
		struct sockaddr_storage name;
		assert_true(addr_from_text(&dead, "127.0.0.1", 9));
		const socklen_t len = addr_to_sockaddr(&dead, &name);
		assert_int_equal(send(fd, "wait", 4, 0), 4);
		wait_for_octets(udp_server_fd(w.server), 4);
		assert_int_equal(
			connect(udp_server_fd(w.server), (struct sockaddr *)&name, len),
			0);
		/* an ICMP error comes back to the parked socket */
		assert_int_equal(send(udp_server_fd(w.server), "x", 1, 0), 1);
		struct pollfd error = { .fd = udp_server_fd(w.server) };
		assert_int_equal(poll(&error, 1, UNTIL_S * 1000), 1);
		udp_server_drain(w.server);
		assert_int_equal(w.queries, 1);
		assert_int_equal(receive(fd), 4);
		udp_server_pause(w.server);
		for (int turn = 0; turn < 5; turn++)
			loop_turn(w.loop, 1);
		udp_server_reply(w.server, &w.peer, (const uint8_t *)"later", 5);
		loop_turn(w.loop, 0);
		assert_int_equal(receive(fd), 5);
		close(fd);
		world_end(&w);
	}
}

static void a_server_may_be_freed_in_its_own_callback(void **state)
{
	(void)state;
	struct world w;
	world_make(&w, "127.0.0.1");
	const int fd = client_to("127.0.0.1", w.port);
	w.free_it = true;
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(send(fd, "y", 1, 0), 1);
	loop_turn(w.loop, 1000);
	assert_in_range(w.queries, 1, 2);
	assert_int_equal(receive(fd), 1);
	loop_turn(w.loop, 0);
	close(fd);
	world_end(&w);
}

/* --- with a ring -------------------------------------------------------------------- */

/* "s..." is slow: kept, answered later or never by the test; others at once. */
static void query_slow(void *ctx, struct udp_server *s, struct udp_datagram *d)
{
	struct world *w = ctx;
	w->queries++;
	if (d->data[0] == 's') {
		w->peer = d->peer;
		udp_server_keep(s, &w->peer);
		d->later = true;
		return;
	}
	memcpy(d->reply, d->data, d->len);
	d->reply_len = d->len;
}

struct ring_world {
	struct world w;
	int memfd, fd;
	struct shard_ring *ring;
};

static void ring_world_join(struct ring_world *r)
{
	r->w.loop = loop_new();
	r->w.server = udp_server_new(r->w.loop, dup(r->fd), query_slow, &r->w);
	r->ring = shard_ring_open(r->memfd);
	assert_non_null(r->ring);
	udp_server_use_ring(r->w.server, r->ring);
	udp_server_take_over(r->w.server);
}

static void ring_world_make(struct ring_world *r)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	*r = (struct ring_world){ 0 };
	r->fd = socket_at("127.0.0.1", &r->w.port);
	assert_int_equal(getsockname(r->fd, (struct sockaddr *)&name, &len), 0);
	r->memfd = shard_ring_create((struct sockaddr *)&name, len, 64);
	assert_true(r->memfd >= 0);
}

static void ring_world_end(struct ring_world *r)
{
	world_end(&r->w);
	shard_ring_close(r->ring);
	close(r->memfd);
	close(r->fd);
}

static uint64_t kept(const struct ring_world *r)
{
	struct shard_ring_numbers n;
	shard_ring_count(r->ring, &n);
	return n.kept;
}

static void a_kept_query_is_free_when_its_answer_has_left(void **state)
{
	(void)state;
	struct ring_world r;
	ring_world_make(&r);
	ring_world_join(&r);
	const int fd = client_to("127.0.0.1", r.w.port);
	assert_int_equal(send(fd, "quick", 5, 0), 5);
	assert_int_equal(send(fd, "slow", 4, 0), 4);
	loop_turn(r.w.loop, 1000);
	assert_int_equal(receive(fd), 5);
	assert_int_equal(kept(&r), 1);
	send_left = 0; /* the kernel takes no more */
	udp_server_reply(r.w.server, &r.w.peer, (const uint8_t *)"done", 4);
	loop_turn(r.w.loop, 0);
	assert_int_equal(kept(&r), 1);
	send_left = ~0u;
	loop_turn(r.w.loop, 100);
	assert_int_equal(receive(fd), 4);
	assert_int_equal(kept(&r), 0);
	assert_int_equal(send(fd, "slow", 4, 0), 4);
	loop_turn(r.w.loop, 1000);
	udp_server_forget(r.w.server, &r.w.peer);
	assert_int_equal(kept(&r), 0);
	close(fd);
	ring_world_end(&r);
}

static void an_answer_of_the_batch_that_can_not_leave_is_kept(void **state)
{
	(void)state;
	struct ring_world r;
	ring_world_make(&r);
	ring_world_join(&r);
	const int fd = client_to("127.0.0.1", r.w.port);
	send_left = 0;
	assert_int_equal(send(fd, "quick", 5, 0), 5);
	loop_turn(r.w.loop, 1000);
	assert_int_equal(kept(&r), 1);
	send_left = ~0u;
	loop_turn(r.w.loop, 100);
	assert_int_equal(receive(fd), 5);
	assert_int_equal(kept(&r), 0);
	close(fd);
	ring_world_end(&r);
}

/* A process that had begun with 40 queries of FD's is killed; we are its successor. */
static void succeed_a_killed_process(struct ring_world *r, int fd)
{
	for (int i = 0; i < 40; i++)
		assert_int_equal(send(fd, "slow", 4, 0), 4);
	const pid_t pid = fork();
	if (!pid) {
		ring_world_join(r);
		while (r->w.queries < 40)
			loop_turn(r->w.loop, 100);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	ring_world_join(r);
}

static void a_successor_answers_what_a_killed_process_had_begun(void **state)
{
	(void)state;
	struct ring_world r;
	ring_world_make(&r);
	const int fd = client_to("127.0.0.1", r.w.port);
	succeed_a_killed_process(&r, fd);
	const time_t end = until_end();
	while (r.w.queries < 40 && until_left(end)) {
		const int before = r.w.queries;
		loop_turn(r.w.loop, 10);
		assert_true(r.w.queries - before <= REPLAYS_A_TURN);
	}
	assert_int_equal(r.w.queries, 40);
	assert_int_equal(kept(&r), 40);
	udp_server_reply(r.w.server, &r.w.peer, (const uint8_t *)"done", 4);
	loop_turn(r.w.loop, 10);
	assert_int_equal(receive(fd), 4);
	assert_int_equal(kept(&r), 39);
	close(fd);
	ring_world_end(&r);
}

static void who_stops_reading_handles_what_a_killed_process_left_first(void **state)
{
	(void)state;
	struct ring_world r;
	ring_world_make(&r);
	const int fd = client_to("127.0.0.1", r.w.port);
	succeed_a_killed_process(&r, fd);
	udp_server_pause(r.w.server); /* before a turn of its loop */
	assert_int_equal(r.w.queries, 40);
	assert_int_equal(kept(&r), 40);
	close(fd);
	ring_world_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_leaves_from_the_address_that_was_asked),
		cmocka_unit_test(ipv6_wildcard_and_single_addresses_answer_too),
		cmocka_unit_test(a_flood_is_read_in_bounded_batches),
		cmocka_unit_test(what_costs_much_is_handled_over_several_turns),
		cmocka_unit_test(larger_batches_are_looked_at_first),
		cmocka_unit_test(a_datagram_over_the_limit_is_marked_as_cut),
		cmocka_unit_test(
			answers_that_can_not_leave_are_counted_and_the_rest_goes_on),
		cmocka_unit_test(the_queue_of_answers_is_bounded_and_wraps),
		cmocka_unit_test(answers_wait_in_order_while_the_kernel_takes_no_more),
		cmocka_unit_test(draining_reads_what_waits_and_pausing_reads_no_more),
		cmocka_unit_test(a_parked_socket_still_answers_its_queue),
		cmocka_unit_test(a_server_may_be_freed_in_its_own_callback),
		cmocka_unit_test(a_kept_query_is_free_when_its_answer_has_left),
		cmocka_unit_test(an_answer_of_the_batch_that_can_not_leave_is_kept),
		cmocka_unit_test(a_successor_answers_what_a_killed_process_had_begun),
		cmocka_unit_test(
			who_stops_reading_handles_what_a_killed_process_left_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
