/* SPDX-License-Identifier: MIT */
#include "shard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FLOWS = 2000, MEMBERS = 4, NOBODY = 65534, SHARERS = 61001 };

union name {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static uint16_t port = 5300; /* another one for each set */
static char bpffs[64];       /* mounted, or empty */

static socklen_t name_make(union name *n, const char *ip, uint16_t at)
{
	memset(n, 0, sizeof(*n));
	if (strchr(ip, ':')) {
		n->v6.sin6_family = AF_INET6;
		n->v6.sin6_port = htons(at);
		assert_int_equal(inet_pton(AF_INET6, ip, &n->v6.sin6_addr), 1);
		return sizeof(n->v6);
	}
	n->v4.sin_family = AF_INET;
	n->v4.sin_port = htons(at);
	assert_int_equal(inet_pton(AF_INET, ip, &n->v4.sin_addr), 1);
	return sizeof(n->v4);
}

static int try_open(const char *ip, int type)
{
	union name n;
	struct shard_opt opt = { .addr = &n.sa, .type = type };
	opt.addr_len = name_make(&n, ip, port);
	return shard_open(&opt, NULL);
}

static int open_at(const char *ip, int type)
{
	const int fd = try_open(ip, type);
	assert_true(fd >= 0);
	return fd;
}

/* What was sent over loopback has arrived: a busy kernel hands it on in its own time, but in order, for we stay
 * on one CPU. */
static void settle(void)
{
	static int self = -1;
	char byte;
	if (self < 0) {
		struct sockaddr_in name = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(name);
		self = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(self, (struct sockaddr *)&name, len), 0);
		assert_int_equal(getsockname(self, (struct sockaddr *)&name, &len), 0);
		assert_int_equal(connect(self, (struct sockaddr *)&name, len), 0);
	}
	assert_int_equal(send(self, "x", 1, 0), 1);
	assert_int_equal(recv(self, &byte, 1, 0), 1);
}

/* How many datagrams wait; they are gone then. */
static unsigned drain(int fd)
{
	char byte[8];
	unsigned count = 0;
	settle();
	while (recv(fd, byte, sizeof(byte), MSG_DONTWAIT) >= 0)
		count++;
	return count;
}

/* A client's socket with a port of its own. */
static int client_of(const char *ip)
{
	union name n;
	const socklen_t len = name_make(&n, ip, port);
	const int fd = socket(n.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &n.sa, len), 0);
	return fd;
}

static void send_one(int fd)
{
	if (send(fd, "x", 1, 0) < 0) /* the last one's ICMP error */
		assert_int_equal(send(fd, "x", 1, 0), 1);
}

static void send_flows(const char *ip, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const int fd = client_of(ip);
		send_one(fd);
		close(fd);
	}
}

/* A set, or the test is skipped with the reason. */
static struct shard_steer *steer_or_skip(unsigned flags)
{
	struct shard_steer *s = shard_steer_new(flags);
	port++;
	if (s)
		return s;
	if (errno == ENOSYS || errno == EPERM || errno == EINVAL) {
		print_message("skipped: steering: %s\n", strerror(errno));
		skip();
	}
	print_message("shard_steer_new: %s\n", strerror(errno));
	fail();
	return NULL;
}

struct rig {
	struct shard_steer *s;
	int fd[MEMBERS];
	struct shard_member *m[MEMBERS];
};

static void rig_join(struct rig *r, int i, const char *ip, int type)
{
	r->fd[i] = open_at(ip, type);
	r->m[i] = shard_steer_join(r->s, r->fd[i], -1);
	assert_non_null(r->m[i]);
}

static struct rig rig_make(const char *ip, int type, unsigned flags, int members)
{
	struct rig r = { .s = steer_or_skip(flags) };
	for (int i = 0; i < members; i++)
		rig_join(&r, i, ip, type);
	return r;
}

static void rig_free(struct rig *r)
{
	shard_steer_close(r->s);
	for (int i = 0; i < MEMBERS; i++)
		if (r->m[i])
			close(r->fd[i]);
}

/* --- shares --------------------------------------------------------------------------- */

static void open_clients(const char *to, int clients[static FLOWS])
{
	for (int i = 0; i < FLOWS; i++)
		clients[i] = client_of(to);
}

static void check_shares(
	const struct rig *r, const int clients[static FLOWS], int less, int cycle)
{
	unsigned sum = 0, count[MEMBERS] = { 0 };
	/* in parts: a queue holds some 250 */
	for (int done = 0; done < FLOWS; done += 200) {
		for (int i = done; i < done + 200; i++)
			send_one(clients[i]);
		for (int i = 0; i < MEMBERS; i++)
			if (i != less)
				count[i] += drain(r->fd[i]);
	}
	const unsigned members = less < 0 ? MEMBERS : MEMBERS - 1;
	for (int i = 0; i < MEMBERS; i++) {
		sum += count[i];
		if (i != less && (count[i] * members * 4 < FLOWS * 3 ||
					 count[i] * members * 4 > FLOWS * 5)) {
			print_message("cycle %d, member %d of %u: %u of %d\n", cycle, i,
				members, count[i], FLOWS);
			fail();
		}
	}
	assert_int_equal(sum, FLOWS);
}

/* Leaving and joining, again and again: nobody is passed by, nothing is lost. Each cycle's
 * shares are looked at with SHARD_TEST_ALL, else every tenth's. */
static void cycles(const char *bound, const char *to, unsigned flags)
{
	const int every = getenv("SHARD_TEST_ALL") ? 1 : 10;
	static int clients[FLOWS];
	struct rig r = rig_make(bound, SOCK_DGRAM, flags, MEMBERS);
	open_clients(to, clients);
	for (int cycle = 0; cycle < 300; cycle++) {
		const int i = cycle % MEMBERS;
		assert_int_equal(shard_member_leave(r.m[i]), 0);
		if (cycle % (every * 3) == 0)
			check_shares(&r, clients, i, cycle);
		assert_int_equal(drain(r.fd[i]), 0);
		shard_member_close(r.m[i]);
		close(r.fd[i]);
		rig_join(&r, i, bound, SOCK_DGRAM);
		if (cycle % every == 0)
			check_shares(&r, clients, -1, cycle);
	}
	for (int i = 0; i < FLOWS; i++)
		close(clients[i]);
	rig_free(&r);
}

static void shares_stay_even_over_300_cycles_ipv4(void **state)
{
	(void)state;
	cycles("127.0.0.1", "127.0.0.1", 0);
}

static void shares_stay_even_over_300_cycles_ipv6(void **state)
{
	(void)state;
	cycles("::1", "::1", 0);
}

static void shares_stay_even_over_300_cycles_any_ipv4(void **state)
{
	(void)state;
	cycles("0.0.0.0", "127.0.0.1", 0);
}

static void shares_stay_even_over_300_cycles_any_ipv6(void **state)
{
	(void)state;
	cycles("::", "::1", 0);
}

static void shares_stay_even_over_300_cycles_guarded(void **state)
{
	(void)state;
	cycles("0.0.0.0", "127.0.0.1", SHARD_STEER_GUARD);
}

static void a_flow_keeps_its_member_when_another_leaves(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, MEMBERS);
	int clients[100], before[100], moved = 0;
	for (int i = 0; i < 100; i++) {
		clients[i] = client_of("127.0.0.1");
		send_one(clients[i]);
		before[i] = -1;
		for (int k = 0; k < MEMBERS; k++)
			if (drain(r.fd[k]))
				before[i] = k;
	}
	assert_int_equal(shard_member_leave(r.m[2]), 0);
	for (int i = 0; i < 100; i++) {
		send_one(clients[i]);
		for (int k = 0; k < MEMBERS; k++)
			if (drain(r.fd[k])) {
				assert_int_not_equal(k, 2);
				moved += k != before[i] && before[i] != 2;
			}
		close(clients[i]);
	}
	assert_int_equal(moved, 0);
	rig_free(&r);
}

/* --- vouched flows -------------------------------------------------------------------- */

/* One port sends half of all. Each member answers up to four a turn, as many as there are
 * turns. Busiest over mean, in percent. */
static unsigned heavy_skew(const char *ip, unsigned flags, bool vouched)
{
	enum { TURNS = 1000, LIGHT = 500 };
	struct rig r = rig_make(ip, SOCK_DGRAM, flags, MEMBERS);
	unsigned taken[MEMBERS] = { 0 }, sum = 0, most = 0;
	static int light[LIGHT];
	union name n;
	socklen_t len = sizeof(n);
	struct shard_steer_news news;
	const int heavy = client_of(ip);
	assert_int_equal(getsockname(heavy, &n.sa, &len), 0);
	if (vouched)
		assert_int_equal(shard_vouch(r.s, &n.sa, len, 60), 0);
	for (int i = 0; i < LIGHT; i++)
		light[i] = client_of(ip);
	for (int turn = 0; turn < TURNS; turn++) {
		for (int i = 0; i < 4; i++) {
			send_one(heavy);
			send_one(light[(turn * 4 + i) % LIGHT]);
		}
		settle();
		for (int i = 0; i < MEMBERS; i++) {
			char byte[8];
			unsigned got = 0;
			shard_member_mark(r.m[i]);
			while (got < 4 &&
				recv(r.fd[i], byte, sizeof(byte), MSG_DONTWAIT) >= 0)
				got++;
			shard_member_took(r.m[i], got, got < 4);
			taken[i] += got;
		}
		if (turn % 100 == 0)
			shard_steer_tick(r.s, &news);
	}
	for (int i = 0; i < MEMBERS; i++) {
		sum += taken[i];
		most = taken[i] > most ? taken[i] : most;
	}
	struct shard_member_numbers numbers;
	shard_member_count(r.m[0], &numbers);
	assert_int_equal(numbers.spread, vouched ? TURNS * 4 : 0);
	for (int i = 0; i < LIGHT; i++)
		close(light[i]);
	close(heavy);
	rig_free(&r);
	return most * MEMBERS * 100 / sum;
}

static void a_vouched_flow_is_spread_evenly(void **state)
{
	(void)state;
	assert_in_range(heavy_skew("127.0.0.1", 0, true), 100, 105);
	assert_in_range(heavy_skew("::1", 0, true), 100, 105);
	assert_in_range(heavy_skew("127.0.0.1", SHARD_STEER_GUARD, true), 100, 105);
	assert_in_range(heavy_skew("::1", SHARD_STEER_GUARD, true), 100, 105);
}

/* One member's work costs three times as much: it gets a third of what the others get. */
static void who_works_longer_gets_less(void **state)
{
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, SHARD_STEER_SPREAD, MEMBERS);
	const int client = client_of("127.0.0.1");
	unsigned got[MEMBERS] = { 0 };
	(void)state;
	for (int k = 0; k < FLOWS; k++) {
		for (int i = 0; i < MEMBERS; i++)
			shard_member_mark(r.m[i]);
		send_one(client);
		for (int i = 0; i < MEMBERS; i++) {
			const unsigned count = drain(r.fd[i]);
			got[i] += count;
			shard_member_took(r.m[i], count, 1);
			if (count)
				shard_member_worked(r.m[i], i ? 99 : 299);
		}
	}
	assert_int_equal(got[0] + got[1] + got[2] + got[3], FLOWS);
	for (int i = 1; i < MEMBERS; i++)
		assert_in_range(got[i] * 10, got[0] * 25, got[0] * 35);
	close(client);
	rig_free(&r);
}

static void a_flow_that_nobody_vouches_for_stays_on_one_member(void **state)
{
	(void)state;
	assert_true(heavy_skew("127.0.0.1", 0, false) > 150);
	assert_true(heavy_skew("127.0.0.1", SHARD_STEER_GUARD, false) > 150);
}

static void vouching_ends(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	struct shard_member_numbers n;
	union name name;
	socklen_t len = sizeof(name);
	const int fd = client_of("127.0.0.1");
	getsockname(fd, &name.sa, &len);
	assert_int_equal(shard_vouch(r.s, &name.sa, len, 10), 0);
	send_one(fd);
	assert_int_equal(shard_vouch(r.s, &name.sa, len, 0), 0);
	assert_int_equal(shard_vouch(r.s, &name.sa, len, 0), 0);
	send_one(fd);
	shard_member_count(r.m[0], &n);
	assert_int_equal(n.spread, 1);
	assert_int_equal(shard_vouch(r.s, &name.sa, 3, 1), -EINVAL);
	close(fd);
	rig_free(&r);
}

/* --- slots ------------------------------------------------------------------------------ */

static void a_fresh_socket_takes_the_slot_of_one_that_leaves(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	const int slot = shard_member_slot(r.m[0]);
	assert_int_equal(slot, 0);
	const int fresh = open_at("127.0.0.1", SOCK_DGRAM);
	struct shard_member *m = shard_steer_join(r.s, fresh, slot);
	assert_non_null(m);
	assert_int_equal(shard_member_slot(m), slot);
	send_flows("127.0.0.1", 100);
	assert_int_equal(drain(r.fd[0]), 0); /* it only finishes */
	assert_int_equal(drain(fresh) + drain(r.fd[1]), 100);
	/* two generations, no third one */
	const int third = open_at("127.0.0.1", SOCK_DGRAM);
	assert_null(shard_steer_join(r.s, third, slot));
	assert_int_equal(errno, EBUSY);
	close(third);
	close(r.fd[0]);
	shard_member_close(r.m[0]);
	r.fd[0] = fresh;
	r.m[0] = m;
	assert_null(shard_steer_join(r.s, fresh, 128));
	assert_int_equal(errno, EINVAL);
	rig_free(&r);
}

static void who_takes_over_a_socket_has_its_slot(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	const int copy = dup(r.fd[1]);
	struct shard_member *m = shard_steer_join(r.s, copy, -1);
	assert_non_null(m);
	assert_int_equal(shard_member_slot(m), shard_member_slot(r.m[1]));
	send_flows("127.0.0.1", 100);
	assert_int_equal(drain(r.fd[0]) + drain(r.fd[1]), 100);
	close(copy);
	rig_free(&r);
}

static void the_last_member_does_not_leave(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 1);
	assert_int_equal(shard_member_leave(r.m[0]), -EBUSY);
	assert_int_equal(shard_steer_out(r.s, getpid()), 0);
	send_flows("127.0.0.1", 10);
	assert_int_equal(drain(r.fd[0]), 10);
	rig_free(&r);
}

static void the_last_of_a_set_that_yields_leaves_all_to_another(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	const int other = open_at("127.0.0.1", SOCK_DGRAM); /* of no set */
	assert_int_equal(shard_member_leave(r.m[0]), 0);
	assert_int_equal(shard_member_leave(r.m[1]), -EBUSY);
	shard_steer_yield(r.s, 1);
	assert_int_equal(shard_member_attach(r.m[1]), -EAGAIN);
	assert_int_equal(shard_member_leave(r.m[1]), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(shard_park(r.fd[i]), 0);
	send_flows("127.0.0.1", 100);
	assert_int_equal(drain(other), 100);
	close(other);
	rig_free(&r);
}

static void a_group_is_steered_when_all_its_sockets_are_members(void **state)
{
	(void)state;
	struct rig r = { .s = steer_or_skip(0) };
	struct shard_member_numbers n;
	struct shard_steer_news news;
	r.fd[1] = open_at("127.0.0.1", SOCK_DGRAM); /* of a version without steering */
	rig_join(&r, 0, "127.0.0.1", SOCK_DGRAM);
	shard_member_count(r.m[0], &n);
	assert_false(n.armed);
	send_flows("127.0.0.1", 100);
	assert_true(drain(r.fd[1]) > 0);
	assert_true(drain(r.fd[0]) > 0);
	r.m[1] = shard_steer_join(r.s, r.fd[1], -1);
	shard_member_count(r.m[0], &n);
	assert_true(n.armed);
	rig_free(&r);

	/* a stranger does not keep it from it for long */
	r = (struct rig){ .s = steer_or_skip(0) };
	r.fd[1] = open_at("127.0.0.1", SOCK_DGRAM);
	rig_join(&r, 0, "127.0.0.1", SOCK_DGRAM);
	unsigned armed = 0;
	for (int i = 0; i < 10; i++) {
		shard_steer_tick(r.s, &news);
		armed += news.armed;
	}
	assert_int_equal(armed, 1);
	send_flows("127.0.0.1", 100);
	assert_int_equal(drain(r.fd[1]), 0);
	assert_int_equal(drain(r.fd[0]), 100);
	close(r.fd[1]);
	rig_free(&r);
}

static void more_addresses_than_groups_come_and_go(void **state)
{
	(void)state;
	struct shard_steer *s = steer_or_skip(0);
	char ip[32];
	for (int i = 0; i < 300; i++) {
		snprintf(ip, sizeof(ip), "127.0.%d.%d", 1 + i / 200, 1 + i % 200);
		const int fd = open_at(ip, SOCK_DGRAM);
		struct shard_member *m = shard_steer_join(s, fd, -1);
		assert_non_null(m);
		send_flows(ip, 1);
		assert_int_equal(drain(fd), 1);
		shard_member_close(m);
		close(fd);
	}
	shard_steer_close(s);
}

/* --- TCP ------------------------------------------------------------------------------- */

static int tcp_client(void)
{
	union name n;
	const socklen_t len = name_make(&n, "127.0.0.1", port);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, &n.sa, len), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	return fd;
}

static unsigned accept_all(int fd)
{
	unsigned count = 0;
	char byte;
	settle();
	for (int c; (c = accept(fd, NULL, NULL)) >= 0; count++) {
		assert_int_equal(recv(c, &byte, 1, 0), 1);
		assert_int_equal(send(c, "y", 1, 0), 1);
		close(c);
	}
	return count;
}

/* What waits in the accept queue of a listener that closes is accepted by another. */
static void connections_move_to_another_listener(unsigned flags)
{
	enum { CLIENTS = 200 };
	struct rig r = rig_make("127.0.0.1", SOCK_STREAM, flags, MEMBERS);
	int clients[CLIENTS];
	char byte;
	struct shard_member_numbers n;
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = tcp_client();
	for (int i = 0; i < 2; i++) {
		shard_member_close(r.m[i]);
		close(r.fd[i]); /* as a SIGKILL does */
		r.m[i] = NULL;
	}
	assert_int_equal(accept_all(r.fd[2]) + accept_all(r.fd[3]), CLIENTS);
	for (int i = 0; i < CLIENTS; i++) {
		assert_int_equal(recv(clients[i], &byte, 1, 0), 1);
		close(clients[i]);
	}
	shard_member_count(r.m[2], &n);
	assert_true(n.migrated > 50);
	rig_free(&r);
}

static void connections_of_a_closed_listener_are_not_reset(void **state)
{
	(void)state;
	connections_move_to_another_listener(0);
	connections_move_to_another_listener(SHARD_STEER_GUARD);
}

/* --- strangers -------------------------------------------------------------------------- */

/* "return 0": everything to the first socket of the group. */
static void replace_program(int fd, unsigned which)
{
	struct sock_filter code[] = { { BPF_RET | BPF_K, 0, 0, which } };
	const struct sock_fprog program = { 1, code };
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
				 sizeof(program)),
		0);
}

static void a_stranger_in_the_group_gets_nothing(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	const int stranger = open_at("127.0.0.1", SOCK_DGRAM);
	send_flows("127.0.0.1", 300);
	assert_int_equal(drain(stranger), 0);
	assert_int_equal(drain(r.fd[0]) + drain(r.fd[1]), 300);
	close(stranger);
	rig_free(&r);
}

static void a_replaced_program_is_noticed_and_repaired(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	struct shard_steer_news news;
	const int stranger = open_at("127.0.0.1", SOCK_DGRAM);
	shard_steer_tick(r.s, &news);
	replace_program(stranger, 0);
	send_flows("127.0.0.1", 100);
	shard_member_mark(r.m[0]);
	const unsigned got = drain(r.fd[0]);
	assert_int_equal(got, 100); /* the first one got all, not by our program */
	shard_member_took(r.m[0], got, 1);
	shard_steer_tick(r.s, &news);
	assert_int_equal(news.bypassed, 1);
	send_flows("127.0.0.1", 100);
	assert_true(drain(r.fd[0]) < 80 && drain(r.fd[1]) > 20);
	assert_int_equal(drain(stranger), 0);
	for (int i = 0; i < 2; i++) {
		shard_member_mark(r.m[i]);
		shard_member_took(r.m[i], 100, 1);
	}
	shard_steer_tick(r.s, &news);
	assert_int_equal(news.bypassed, 0);
	close(stranger);
	rig_free(&r);
}

/* Ten datagrams a tick are too few for one tick; and both members see it, one tells it. */
static void a_replaced_program_is_told_once_however_slow_it_comes(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	struct shard_steer_news news;
	unsigned told = 0;
	shard_steer_tick(r.s, &news);
	for (int round = 0; round < 2; round++)
		for (unsigned i = 0; i < 2; i++) {
			replace_program(r.fd[0], i);
			send_flows("127.0.0.1", 10);
			shard_member_mark(r.m[i]);
			shard_member_took(r.m[i], drain(r.fd[i]), 1);
			if (round && i)
				shard_steer_tick(r.s, &news);
			told += news.bypassed;
		}
	assert_int_equal(told, 1);
	for (int i = 0; i < 4; i++) {
		shard_steer_tick(r.s, &news);
		assert_int_equal(news.bypassed, 0);
	}
	send_flows("127.0.0.1", 200);
	const unsigned first = drain(r.fd[0]);
	assert_true(first > 50 && first < 150);
	assert_int_equal(first + drain(r.fd[1]), 200);
	rig_free(&r);
}

static void who_sends_himself_everything_is_overruled(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	const int stranger = open_at("127.0.0.1", SOCK_DGRAM);
	replace_program(stranger, 2);
	send_flows("127.0.0.1", 100);
	assert_int_equal(drain(stranger), 100);
	assert_int_equal(shard_member_attach(r.m[0]), 0);
	send_flows("127.0.0.1", 100);
	assert_int_equal(drain(stranger), 0);
	assert_int_equal(drain(r.fd[0]) + drain(r.fd[1]), 100);
	close(stranger);
	rig_free(&r);
}

/* Its program stays on the group when all who had the set open are gone. */
static void sockets_of_a_set_that_nobody_has_come_into_another(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	shard_steer_close(r.s);
	r.s = shard_steer_new(0);
	assert_non_null(r.s);
	for (int i = 0; i < 2; i++) {
		r.m[i] = shard_steer_join(r.s, r.fd[i], -1);
		for (int ms = 0; !r.m[i] && ms < 20000; ms += 10) {
			assert_int_equal(errno, EBUSY);
			usleep(10000); /* the kernel frees a map in its own time */
			r.m[i] = shard_steer_join(r.s, r.fd[i], -1);
		}
		assert_non_null(r.m[i]);
	}
	struct shard_member_numbers n;
	shard_member_count(r.m[0], &n);
	assert_true(n.armed);
	send_flows("127.0.0.1", 200);
	const unsigned first = drain(r.fd[0]);
	assert_true(first > 50 && first < 150);
	assert_int_equal(first + drain(r.fd[1]), 200);
	rig_free(&r);
}

static void a_long_queue_is_no_replaced_program(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 2);
	struct shard_steer_news news;
	send_flows("127.0.0.1", 100);
	shard_steer_tick(r.s, &news);
	for (int i = 0; i < 2; i++) {
		shard_member_mark(r.m[i]);
		shard_member_took(r.m[i], drain(r.fd[i]), 1);
	}
	shard_steer_tick(r.s, &news);
	assert_int_equal(news.bypassed, 0);
	rig_free(&r);
}

static void the_guard_beats_all_strangers_of_the_same_user(int type)
{
	struct rig r = rig_make("0.0.0.0", type, SHARD_STEER_GUARD, 2);
	const int joined = open_at("0.0.0.0", type);
	const int specific = open_at("127.0.0.1", type);
	replace_program(joined, 2);
	if (type == SOCK_DGRAM) {
		send_flows("127.0.0.1", 200);
		assert_int_equal(drain(r.fd[0]) + drain(r.fd[1]), 200);
		assert_int_equal(drain(joined) + drain(specific), 0);
	} else {
		int clients[100];
		for (int i = 0; i < 100; i++)
			clients[i] = tcp_client();
		assert_int_equal(accept_all(r.fd[0]) + accept_all(r.fd[1]), 100);
		assert_int_equal(accept_all(joined) + accept_all(specific), 0);
		for (int i = 0; i < 100; i++)
			close(clients[i]);
	}
	close(joined);
	close(specific);
	rig_free(&r);
}

static void the_guard_beats_all_strangers(void **state)
{
	(void)state;
	the_guard_beats_all_strangers_of_the_same_user(SOCK_DGRAM);
	the_guard_beats_all_strangers_of_the_same_user(SOCK_STREAM);
}

static void strangers_are_found_without_any_right(void **state)
{
	(void)state;
	struct shard_socket found[4];
	uint64_t known;
	socklen_t len = sizeof(known);
	const int fd = open_at("0.0.0.0", SOCK_DGRAM);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &known, &len), 0);
	assert_int_equal(shard_strangers(fd, &known, 1, found, 4), 0);
	const int joined = open_at("0.0.0.0", SOCK_DGRAM);
	const int specific = open_at("127.0.0.7", SOCK_DGRAM);
	assert_int_equal(shard_strangers(fd, &known, 1, found, 4), 2);
	assert_true(
		(found[0].relation == SHARD_SAME) != (found[1].relation == SHARD_SAME));
	assert_int_equal(found[0].uid, getuid());
	/* a wider one gets nothing of ours */
	assert_int_equal(shard_strangers(specific, &known, 1, found, 4), 1);
	assert_int_equal(shard_strangers(specific, NULL, 0, NULL, 0), 1);
	close(joined);
	close(specific);
	close(fd);
}

static void strict_leaves_nothing_to_the_kernels_choice(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 2; flags++) {
		struct rig r = rig_make(
			"127.0.0.1", SOCK_DGRAM, flags ? SHARD_STEER_STRICT : 0, 1);
		struct shard_member_numbers n;
		const int stranger = open_at("127.0.0.1", SOCK_DGRAM);
		/* the group's program outlives its only member */
		shard_member_count(r.m[0], &n);
		close(r.fd[0]);
		send_flows("127.0.0.1", 50);
		shard_member_count(r.m[0], &n);
		assert_int_equal(drain(stranger), flags ? 0 : 50);
		assert_int_equal(flags ? n.dropped : n.passed, 50);
		r.m[0] = NULL;
		close(stranger);
		rig_free(&r);
	}
}

/* --- other processes -------------------------------------------------------------------- */

/* A child with a member of its own that beats until it is told to go on otherwise. */
static pid_t child_member(struct shard_steer *s, int fd, int ready)
{
	const pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct shard_member *m = shard_steer_join(s, fd, -1);
	struct shard_steer_news news;
	if (!m || write(ready, "r", 1) != 1)
		_exit(1);
	for (;;) {
		usleep(20000);
		shard_steer_tick(s, &news);
		if (news.back && write(ready, "b", 1) != 1)
			_exit(1);
	}
}

static char await(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c = 0;
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(read(fd, &c, 1), 1);
	return c;
}

static void a_dead_and_a_stopped_member_are_out_at_once(void **state)
{
	(void)state;
	struct rig r = rig_make("127.0.0.1", SOCK_DGRAM, 0, 1);
	struct shard_steer_news news;
	int ends[2], out = 0;
	pid_t found[2];
	assert_int_equal(pipe(ends), 0);
	const int kept = open_at("127.0.0.1", SOCK_DGRAM); /* we are its keeper */
	pid_t pid = child_member(r.s, kept, ends[1]);
	assert_int_equal(await(ends[0]), 'r');
	send_flows("127.0.0.1", 100);
	assert_true(drain(r.fd[0]) < 80 && drain(kept) > 20);
	assert_int_equal(shard_steer_siblings(r.s, found, 2), 1);
	assert_int_equal(found[0], pid);

	/* it stands still: seen after two ticks without a beat */
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	for (int i = 0; i < 3; i++) {
		shard_steer_tick(r.s, &news);
		out += (int)news.out;
	}
	assert_int_equal(out, 1);
	send_flows("127.0.0.1", 100);
	assert_int_equal(drain(r.fd[0]), 100);

	/* it goes on: back without anybody's help */
	kill(pid, SIGCONT);
	assert_int_equal(await(ends[0]), 'b');
	send_flows("127.0.0.1", 100);
	assert_true(drain(r.fd[0]) < 80 && drain(kept) > 20);

	/* dead: what waits in the kept socket stays, nothing new comes */
	send_flows("127.0.0.1", 100);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* on a busy machine it found us standing still before: back */
	shard_steer_tick(r.s, &news);
	assert_false(shard_steer_is_out(r.s, pid));
	assert_int_equal(shard_steer_out(r.s, pid), 1);
	assert_true(shard_steer_is_out(r.s, pid));
	const unsigned had = drain(r.fd[0]);
	assert_int_equal(drain(kept), 100 - had);
	send_flows("127.0.0.1", 100);
	assert_int_equal(drain(r.fd[0]), 100);
	assert_int_equal(drain(kept), 0);

	/* the successor takes the socket, and its slot */
	pid = child_member(r.s, kept, ends[1]);
	assert_int_equal(await(ends[0]), 'r');
	send_flows("127.0.0.1", 100);
	assert_true(drain(r.fd[0]) < 80 && drain(kept) > 20);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(kept);
	close(ends[0]);
	close(ends[1]);
	rig_free(&r);
}

/* As this user, with this group beside: its exit code. */
static int as_user(uid_t uid, gid_t gid, int (*fn)(void *ctx), void *ctx)
{
	int status;
	const pid_t pid = fork();
	if (!pid) {
		if (setgroups(1, &gid) || setgid(gid) || setuid(uid))
			_exit(100);
		_exit(fn(ctx));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* 0: could open what is pinned, join, be steered to, leave. */
static int use_it(struct shard_steer *s)
{
	const int a = try_open("127.0.0.1", SOCK_DGRAM),
		  b = try_open("127.0.0.1", SOCK_DGRAM);
	if (!s)
		return errno == EACCES ? 13 : 1;
	struct shard_member *x = shard_steer_join(s, a, -1);
	if (!x)
		return 2;
	struct shard_member *y = shard_steer_join(s, b, -1);
	if (!y)
		return 3;
	send_flows("127.0.0.1", 100);
	const unsigned first = drain(a), second = drain(b);
	if (first + second != 100 || first < 20 || second < 20)
		return 4;
	if (shard_member_leave(y))
		return 5;
	send_flows("127.0.0.1", 100);
	if (drain(a) != 100)
		return 6;
	struct shard_member_numbers n;
	shard_member_count(x, &n);
	union name name;
	const socklen_t len = name_make(&name, "127.0.0.1", 1000);
	return n.steered < 100 || shard_vouch(s, &name.sa, len, 1) ? 7 : 0;
}

static int open_and_use(void *folder)
{
	return use_it(shard_steer_open(folder));
}

static int receive_and_use(void *ctx)
{
	return use_it(shard_steer_receive(*(int *)ctx));
}

static void pins_serve_who_may_open_them(unsigned flags)
{
	char folder[256];
	struct stat st;
	shard_steer_close(steer_or_skip(flags));
	if (!*bpffs) {
		print_message("skipped: no bpffs can be mounted\n");
		skip();
	}
	assert_int_equal(shard_steer_path(folder, sizeof(folder), "/tmp"), 0);
	assert_int_equal(shard_steer_load(folder, SHARERS, flags), 0);
	assert_int_equal(shard_steer_load(folder, SHARERS, flags), 1);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	assert_int_equal(as_user(NOBODY, SHARERS, open_and_use, folder), 0);
	assert_int_equal(as_user(NOBODY, NOBODY, open_and_use, folder), 13);
	/* with other options: anew */
	assert_int_equal(
		shard_steer_load(folder, SHARERS, flags | SHARD_STEER_STRICT), 0);
	struct shard_steer *s = shard_steer_open(folder);
	assert_non_null(s);
	assert_int_equal(shard_steer_flags(s), flags | SHARD_STEER_STRICT);
	assert_int_equal(shard_steer_pinned(s, folder), 1);
	assert_int_equal(shard_steer_guards(s, folder), !!(flags & SHARD_STEER_GUARD));
	/* not while sockets are in it */
	const int fd = open_at("127.0.0.1", SOCK_DGRAM);
	assert_non_null(shard_steer_join(s, fd, -1));
	assert_int_equal(shard_steer_load(folder, SHARERS, flags), -EBUSY);
	assert_int_equal(
		shard_steer_load(folder, SHARERS, flags | SHARD_STEER_STRICT), 1);
	assert_int_equal(shard_steer_unload(folder, 0), -EBUSY);
	assert_int_equal(shard_steer_pinned(s, folder), 1);
	assert_int_equal(shard_steer_unload(folder, SHARD_STEER_FORCE), 0);
	assert_int_equal(shard_steer_pinned(s, folder), 0);
	assert_int_equal(shard_steer_guards(s, folder), 0);
	shard_steer_close(s);
	close(fd);
	assert_int_equal(shard_steer_load(folder, SHARERS, flags), 0);
	assert_int_equal(shard_steer_unload(folder, 0), 0);
	assert_null(shard_steer_open(folder));
	assert_int_equal(errno, ENOENT);
}

static void a_user_without_rights_uses_the_pins(void **state)
{
	(void)state;
	pins_serve_who_may_open_them(0);
	pins_serve_who_may_open_them(SHARD_STEER_GUARD);
}

/* 100 flows come to both members, which tick then: how often an ended guard was told. */
static unsigned told_unguarded(struct rig *r)
{
	struct shard_steer_news news;
	unsigned all = 0;
	send_flows("127.0.0.1", 100);
	for (int i = 0; i < 2; i++) {
		shard_member_mark(r->m[i]);
		const unsigned got = drain(r->fd[i]);
		shard_member_took(r->m[i], got, 1);
		all += got;
	}
	assert_int_equal(all, 100);
	shard_steer_tick(r->s, &news);
	assert_int_equal(news.bypassed, 0); /* nobody replaced anything */
	return news.unguarded;
}

static void a_guard_ends(bool by_unloading)
{
	char folder[256], path[300];
	struct rig r = { .s = NULL };
	shard_steer_close(steer_or_skip(SHARD_STEER_GUARD));
	if (!*bpffs) {
		print_message("skipped: no bpffs can be mounted\n");
		skip();
	}
	assert_int_equal(shard_steer_path(folder, sizeof(folder), "/tmp"), 0);
	assert_int_equal(shard_steer_load(folder, SHARERS, SHARD_STEER_GUARD), 0);
	r.s = shard_steer_open(folder);
	assert_non_null(r.s);
	for (int i = 0; i < 2; i++)
		rig_join(&r, i, "127.0.0.1", SOCK_DGRAM);
	for (int i = 0; i < 3; i++)
		assert_int_equal(told_unguarded(&r), 0);
	assert_int_equal(shard_steer_guards(r.s, folder), 1);
	snprintf(path, sizeof(path), "%s/link", folder);
	assert_int_equal(by_unloading ? shard_steer_unload(folder, SHARD_STEER_FORCE)
				      : unlink(path), /* as another tool may */
		0);
	unsigned told = 0; /* the kernel ends it in its own time */
	for (int ms = 0; !told && ms < 20000; ms += 10) {
		told = told_unguarded(&r);
		usleep(10000);
	}
	assert_int_equal(told, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(told_unguarded(&r), 0);
	assert_int_equal(shard_steer_guards(r.s, folder), 0);
	rig_free(&r);
	shard_steer_unload(folder, SHARD_STEER_FORCE);
}

static void a_guard_that_ends_is_told_once_and_is_no_replaced_program(void **state)
{
	(void)state;
	a_guard_ends(true);
	a_guard_ends(false);
}

static void a_set_is_passed_on_by_a_socket(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags <= SHARD_STEER_GUARD; flags++) {
		struct shard_steer *s = steer_or_skip(flags);
		int ends[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		assert_int_equal(shard_steer_send(s, ends[0]), 0);
		assert_int_equal(as_user(NOBODY, NOBODY, receive_and_use, &ends[1]), 0);
		/* anything else is refused */
		assert_int_equal(send(ends[0], "hello", 5, 0), 5);
		assert_null(shard_steer_receive(ends[1]));
		assert_int_equal(errno, EPROTO);
		close(ends[0]);
		assert_null(shard_steer_receive(ends[1]));
		assert_int_equal(errno, ENOTCONN);
		close(ends[1]);
		shard_steer_close(s);
	}
}

static void what_is_disabled_is_not_used(void **state)
{
	(void)state;
	setenv("SHARD_DISABLE", "membarrier,bpf", 1);
	assert_true(shard_disabled("bpf"));
	assert_true(shard_disabled("membarrier"));
	assert_false(shard_disabled("bp"));
	assert_false(shard_disabled("barrier"));
	assert_null(shard_steer_new(0));
	assert_true(errno == ECANCELED || errno == ENOSYS);
	assert_null(shard_steer_open("/nowhere"));
	assert_int_equal(errno, ECANCELED);
	assert_false(shard_features() & (SHARD_CAN_BPF | SHARD_CAN_MEMBARRIER));
	unsetenv("SHARD_DISABLE");
	assert_false(shard_disabled("bpf"));
}

/* --- a network and a bpffs of our own ----------------------------------------------------- */

static bool loopback_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const bool fine = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &r) == 0;
	close(fd);
	return fine;
}

static void mount_bpffs(void)
{
	static char folder[] = "/tmp/steer-test-XXXXXX";
	if (unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		!mkdtemp(folder))
		return;
	if (mount("bpf", folder, "bpf", 0, NULL) < 0 || chmod(folder, 0755) < 0) {
		rmdir(folder);
		return;
	}
	snprintf(bpffs, sizeof(bpffs), "%s", folder);
	setenv("SHARD_BPFFS", bpffs, 1);
}

int main(void)
{
	const struct rlimit files = { 8192, 8192 };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_stay_even_over_300_cycles_ipv4),
		cmocka_unit_test(shares_stay_even_over_300_cycles_ipv6),
		cmocka_unit_test(shares_stay_even_over_300_cycles_any_ipv4),
		cmocka_unit_test(shares_stay_even_over_300_cycles_any_ipv6),
		cmocka_unit_test(shares_stay_even_over_300_cycles_guarded),
		cmocka_unit_test(a_flow_keeps_its_member_when_another_leaves),
		cmocka_unit_test(a_vouched_flow_is_spread_evenly),
		cmocka_unit_test(who_works_longer_gets_less),
		cmocka_unit_test(a_flow_that_nobody_vouches_for_stays_on_one_member),
		cmocka_unit_test(vouching_ends),
		cmocka_unit_test(a_fresh_socket_takes_the_slot_of_one_that_leaves),
		cmocka_unit_test(who_takes_over_a_socket_has_its_slot),
		cmocka_unit_test(the_last_member_does_not_leave),
		cmocka_unit_test(the_last_of_a_set_that_yields_leaves_all_to_another),
		cmocka_unit_test(a_group_is_steered_when_all_its_sockets_are_members),
		cmocka_unit_test(more_addresses_than_groups_come_and_go),
		cmocka_unit_test(connections_of_a_closed_listener_are_not_reset),
		cmocka_unit_test(a_stranger_in_the_group_gets_nothing),
		cmocka_unit_test(a_replaced_program_is_noticed_and_repaired),
		cmocka_unit_test(a_replaced_program_is_told_once_however_slow_it_comes),
		cmocka_unit_test(who_sends_himself_everything_is_overruled),
		cmocka_unit_test(sockets_of_a_set_that_nobody_has_come_into_another),
		cmocka_unit_test(a_long_queue_is_no_replaced_program),
		cmocka_unit_test(the_guard_beats_all_strangers),
		cmocka_unit_test(strangers_are_found_without_any_right),
		cmocka_unit_test(strict_leaves_nothing_to_the_kernels_choice),
		cmocka_unit_test(a_dead_and_a_stopped_member_are_out_at_once),
		cmocka_unit_test(a_user_without_rights_uses_the_pins),
		cmocka_unit_test(
			a_guard_that_ends_is_told_once_and_is_no_replaced_program),
		cmocka_unit_test(a_set_is_passed_on_by_a_socket),
		cmocka_unit_test(what_is_disabled_is_not_used),
	};
	/* alone: other tests use ports too */
	if (unshare(CLONE_NEWNET) < 0 || !loopback_up()) {
		print_message("skipped: no network namespace of our own: %s\n",
			strerror(errno));
		return 77;
	}
	cpu_set_t here;
	CPU_ZERO(&here);
	CPU_SET((unsigned)sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
	setrlimit(RLIMIT_NOFILE, &files);
	mount_bpffs();
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (*bpffs) {
		umount(bpffs);
		rmdir(bpffs);
	}
	return failed;
}
