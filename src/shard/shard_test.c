/* SPDX-License-Identifier: MIT */
#include "shard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

union name {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t name_make(union name *n, const char *ip, uint16_t port)
{
	memset(n, 0, sizeof(*n));
	if (strchr(ip, ':')) {
		n->v6.sin6_family = AF_INET6;
		n->v6.sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, ip, &n->v6.sin6_addr), 1);
		return sizeof(n->v6);
	}
	n->v4.sin_family = AF_INET;
	n->v4.sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, ip, &n->v4.sin_addr), 1);
	return sizeof(n->v4);
}

static int open_at(const char *ip, uint16_t port, int type, unsigned flags,
	struct shard_problem *p)
{
	union name n;
	struct shard_opt opt = { .addr = &n.sa, .type = type, .flags = flags };
	opt.addr_len = name_make(&n, ip, port);
	return shard_open(&opt, p);
}

static uint16_t port_of(int fd)
{
	union name n;
	socklen_t len = sizeof(n);
	assert_int_equal(getsockname(fd, &n.sa, &len), 0);
	return ntohs(n.sa.sa_family == AF_INET6 ? n.v6.sin6_port : n.v4.sin_port);
}

static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);
	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static bool have_ipv6(void)
{
	const int fd = open_at("::1", 0, SOCK_DGRAM, 0, NULL);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void the_options_of_a_socket_are_right(void **state)
{
	(void)state;
	int fd = open_at("127.0.0.1", 0, SOCK_DGRAM, 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEADDR), 0);
	assert_int_equal(option_of(fd, IPPROTO_IP, IP_PKTINFO), 1);
	assert_int_equal(option_of(fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_OMIT);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	fd = open_at("127.0.0.1", 0, SOCK_STREAM, SHARD_EXCLUSIVE, NULL);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_int_not_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	close(fd);
	if (!have_ipv6())
		return;
	fd = open_at("::", 0, SOCK_DGRAM, 0, NULL);
	assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
	/* so IPv4 on the same port is free */
	const int fd4 = open_at("0.0.0.0", port_of(fd), SOCK_DGRAM, 0, NULL);
	assert_true(fd4 >= 0);
	close(fd4);
	close(fd);
}

static void an_occupied_port_names_its_owner(int type, unsigned first, unsigned second)
{
	const int fd = open_at("127.0.0.1", 0, type, first, NULL);
	assert_true(fd >= 0);
	static const char *const asked[] = { "127.0.0.1", "0.0.0.0" };
	for (int i = 0; i < 2; i++) {
		struct shard_problem p;
		assert_int_equal(
			open_at(asked[i], port_of(fd), type, second, &p), -EADDRINUSE);
		assert_int_equal(p.error, EADDRINUSE);
		assert_true(!strcmp(p.what, "bind") || !strcmp(p.what, "listen"));
		assert_int_equal(p.owner_pid, getpid());
		assert_int_equal(p.owner_uid, getuid());
		assert_string_not_equal(p.owner, "");
	}
	close(fd);
}

static void a_port_in_use_is_told_with_pid_name_and_uid(void **state)
{
	(void)state;
	an_occupied_port_names_its_owner(SOCK_DGRAM, SHARD_EXCLUSIVE, 0);
	an_occupied_port_names_its_owner(SOCK_DGRAM, 0, SHARD_EXCLUSIVE);
	an_occupied_port_names_its_owner(SOCK_STREAM, SHARD_EXCLUSIVE, 0);
	an_occupied_port_names_its_owner(SOCK_STREAM, 0, SHARD_EXCLUSIVE);
}

/* Run in a child as nobody; its exit code tells. */
static int as_nobody(int (*fn)(uint16_t port), uint16_t port)
{
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close_range(3, ~0u, 0); /* else the child itself is an owner */
		if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(99);
		_exit(fn(port));
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static int stranger_opens(uint16_t port)
{
	struct shard_problem p;
	const int e = open_at("127.0.0.1", port, SOCK_DGRAM, 0, &p);
	if (e != -EADDRINUSE)
		return 1;
	if (p.owner_uid != 0)
		return 2;
	return p.owner_pid == 0 && !p.owner[0] ? 0 : 3; /* not visible to nobody */
}

static int stranger_opens_port_53(uint16_t port)
{
	struct shard_problem p;
	if (open_at("127.0.0.1", port, SOCK_DGRAM, 0, &p) != -EACCES)
		return 1;
	return p.error == EACCES && !strcmp(p.what, "bind") ? 0 : 2;
}

static void a_stranger_can_not_join_and_learns_the_uid_only(void **state)
{
	(void)state;
	if (getuid())
		skip();
	const int fd = open_at("127.0.0.1", 0, SOCK_DGRAM, 0, NULL);
	assert_int_equal(as_nobody(stranger_opens, port_of(fd)), 0);
	close(fd);
}

static void a_low_port_without_permission_is_told(void **state)
{
	(void)state;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
	int start = 1024;
	if (f) {
		if (fscanf(f, "%d", &start) != 1)
			start = 1024;
		fclose(f);
	}
	if (getuid() || start <= 53)
		skip();
	assert_int_equal(as_nobody(stranger_opens_port_53, 53), 0);
}

static void an_address_that_is_not_there_needs_freebind(void **state)
{
	(void)state;
	struct shard_problem p;
	assert_int_equal(open_at("192.0.2.77", 0, SOCK_DGRAM, 0, &p), -EADDRNOTAVAIL);
	assert_int_equal(p.error, EADDRNOTAVAIL);
	assert_string_equal(p.what, "bind");
	assert_int_equal(p.owner_uid, (unsigned)-1);
	int fd = open_at("192.0.2.77", 0, SOCK_DGRAM, SHARD_FREEBIND, &p);
	assert_true(fd >= 0);
	close(fd);
	if (!have_ipv6())
		return;
	assert_int_equal(
		open_at("2001:db8::77", 0, SOCK_STREAM, 0, &p), -EADDRNOTAVAIL);
	fd = open_at("2001:db8::77", 0, SOCK_STREAM, SHARD_FREEBIND, &p);
	assert_true(fd >= 0);
	close(fd);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct shard_problem p;
	const struct sockaddr_in v4 = { .sin_family = AF_INET };
	const struct sockaddr unix_name = { .sa_family = AF_UNIX };
	struct shard_opt opt = { .addr = (const struct sockaddr *)&v4,
		.addr_len = sizeof(v4),
		.type = SOCK_RAW };
	assert_int_equal(shard_open(&opt, &p), -EINVAL);
	opt.type = SOCK_DGRAM;
	opt.addr_len = 3;
	assert_int_equal(shard_open(&opt, NULL), -EINVAL);
	opt.addr = &unix_name;
	opt.addr_len = sizeof(unix_name);
	assert_int_equal(shard_open(&opt, &p), -EINVAL);
	struct shard_socket found;
	assert_int_equal(
		shard_list(&unix_name, sizeof(unix_name), SOCK_DGRAM, &found, 1),
		-EAFNOSUPPORT);
	assert_int_equal(
		shard_ring_create(&unix_name, sizeof(unix_name), 0), -EAFNOSUPPORT);
	assert_int_equal(
		shard_ring_create((const struct sockaddr *)&v4, 3, 0), -EINVAL);
	const struct shard_opt good = { .addr = (const struct sockaddr *)&v4,
		.addr_len = sizeof(v4),
		.type = SOCK_STREAM,
		.flags = SHARD_FREEBIND | SHARD_V6ONLY | SHARD_EXCLUSIVE };
	const int fd = shard_open(&good, NULL);
	assert_true(fd >= 0);
	close(fd);
	for (int i = 0; i < 3; i++) {
		opt = good;
		opt.flags |= i == 0 ? 64 : 0;
		opt.rcvbuf = i == 1 ? -5 : 0;
		opt.backlog = i == 2 ? -5 : 0;
		assert_int_equal(shard_open(&opt, &p), -EINVAL);
	}
	assert_int_equal(shard_group_size(-1), -EBADF);
	assert_int_equal(shard_adopt(-1), -EBADF);
	assert_true(shard_adopt(0) < 0 || shard_park(0) < 0);
	assert_string_not_equal(shard_version(), "");
}

static void group_grows_and_shrinks(const char *ip, int type)
{
	int fd[3];
	fd[0] = open_at(ip, 0, type, 0, NULL);
	assert_true(fd[0] >= 0);
	assert_int_equal(shard_group_size(fd[0]), 1);
	for (int i = 1; i < 3; i++) {
		fd[i] = open_at(ip, port_of(fd[0]), type, 0, NULL);
		assert_true(fd[i] >= 0);
		assert_int_equal(shard_group_size(fd[0]), i + 1);
	}
	close(fd[1]);
	assert_int_equal(shard_group_size(fd[2]), 2);
	close(fd[0]);
	close(fd[2]);
}

static void the_group_is_counted(void **state)
{
	(void)state;
	group_grows_and_shrinks("127.0.0.1", SOCK_DGRAM);
	group_grows_and_shrinks("127.0.0.1", SOCK_STREAM);
	group_grows_and_shrinks("0.0.0.0", SOCK_DGRAM);
	if (!have_ipv6())
		return;
	group_grows_and_shrinks("::1", SOCK_DGRAM);
	group_grows_and_shrinks("::", SOCK_STREAM);
}

/* `count` datagrams from as many source ports. */
static void send_many(const char *ip, uint16_t port, int count)
{
	union name to;
	const socklen_t len = name_make(&to, ip, port);
	for (int i = 0; i < count; i++) {
		const int fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(sendto(fd, "x", 1, 0, &to.sa, len), 1);
		close(fd);
	}
}

static int receive_all(int fd)
{
	char buf[16];
	int count = 0;
	for (int tries = 0; tries < 200; tries++) {
		const ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		count += n > 0; /* an ICMP error is read away */
	}
	return count;
}

static void parking_loses_nothing(const char *bind_ip, const char *ip)
{
	int fd[2];
	fd[0] = open_at(bind_ip, 0, SOCK_DGRAM, 0, NULL);
	assert_true(fd[0] >= 0);
	const uint16_t port = port_of(fd[0]);
	fd[1] = open_at(bind_ip, port, SOCK_DGRAM, 0, NULL);
	assert_true(fd[1] >= 0);
	enum { COUNT = 60 };
	send_many(ip, port, COUNT);
	assert_int_equal(shard_park(fd[0]), 0);
	assert_int_equal(shard_group_size(fd[1]), 1);
	const int queued = receive_all(fd[0]), others = receive_all(fd[1]);
	assert_true(queued > 0 && others > 0);
	assert_int_equal(queued + others, COUNT);
	send_many(ip, port, COUNT);
	assert_int_equal(receive_all(fd[0]), 0);
	assert_int_equal(receive_all(fd[1]), COUNT);
	close(fd[0]);
	close(fd[1]);
}

static void a_parked_socket_keeps_its_queue_and_gets_nothing_new(void **state)
{
	(void)state;
	parking_loses_nothing("127.0.0.1", "127.0.0.1");
	parking_loses_nothing("0.0.0.0", "127.0.0.3");
	if (have_ipv6()) {
		parking_loses_nothing("::1", "::1");
		parking_loses_nothing("::", "::1");
	}
	const int tcp = open_at("127.0.0.1", 0, SOCK_STREAM, 0, NULL);
	assert_int_equal(shard_park(tcp), -EOPNOTSUPP);
	close(tcp);
}

/* What a service manager leaves behind: descriptors from 3 on and the environment. */
static int inherit_in_child(const int *fds, int count, bool for_us, const char *names)
{
	char text[24];
	int moved[8];
	for (int i = 0; i < count; i++) /* out of the way first */
		moved[i] = fcntl(fds[i], F_DUPFD, 50);
	for (int i = 0; i < count; i++)
		dup2(moved[i], 3 + i);
	snprintf(text, sizeof(text), "%d", for_us ? (int)getpid() : (int)getppid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%d", count);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	struct shard_inherited got[8];
	const int n = shard_inherited(got, 8);
	if (getenv("LISTEN_FDS") || getenv("LISTEN_PID") || getenv("LISTEN_FDNAMES"))
		return 10;
	if (!for_us)
		return n;
	union name v4;
	const socklen_t len = name_make(&v4, "127.0.0.1", port_of(3));
	if (n != 2 || strcmp(got[0].name, "udp") != 0 ||
		strcmp(got[1].name, "tcp.b") != 0)
		return 11;
	if (!(fcntl(3, F_GETFD) & FD_CLOEXEC))
		return 12;
	if (!shard_matches(3, &v4.sa, len, SOCK_DGRAM) ||
		shard_matches(3, &v4.sa, len, SOCK_STREAM) ||
		shard_matches(4, &v4.sa, len, SOCK_STREAM))
		return 13;
	if (shard_adopt(3) || shard_adopt(4) || !(fcntl(3, F_GETFL) & O_NONBLOCK))
		return 14;
	if (option_of(3, IPPROTO_IP, IP_PKTINFO) != 1 ||
		option_of(4, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return 15;
	return shard_inherited(got, 8) == 0 ? 20 : 16;
}

static int inherit_forked(bool for_us)
{
	union name any;
	const socklen_t len = name_make(&any, "127.0.0.1", 0);
	const int fds[2] = { socket(AF_INET, SOCK_DGRAM, 0),
		socket(AF_INET, SOCK_STREAM, 0) };
	const int yes = 1;
	for (int i = 0; i < 2; i++) {
		setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
		assert_int_equal(bind(fds[i], &any.sa, len), 0);
	}
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(inherit_in_child(fds, 2, for_us, "udp:tcp.b"));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fds[0]);
	close(fds[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void inherited_sockets_are_found_matched_and_made_ready(void **state)
{
	(void)state;
	assert_int_equal(inherit_forked(true), 20);
}

static void a_socket_that_nobody_can_join_is_no_group(void **state)
{
	(void)state;
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	for (int i = 0; i < 2; i++) {
		union name any;
		const socklen_t len = name_make(&any, "127.0.0.1", 0);
		const int fd = socket(AF_INET, types[i], 0), yes = 1;
		assert_int_equal(bind(fd, &any.sa, len), 0);
		assert_int_equal(shard_adopt(fd), -EADDRINUSE);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK); /* ready all the same */
		assert_int_equal(
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)), 0);
		assert_int_equal(shard_adopt(fd), 0);
		close(fd);
	}
	/* parking takes the option away, and that one has siblings */
	const int fd = open_at("127.0.0.1", 0, SOCK_DGRAM, 0, NULL);
	assert_int_equal(shard_park(fd), 0);
	assert_int_equal(shard_adopt(fd), 0);
	close(fd);
}

static void sockets_meant_for_another_process_are_not_taken(void **state)
{
	(void)state;
	assert_int_equal(inherit_forked(false), 0);
}

static void a_lying_environment_is_survived(void **state)
{
	(void)state;
	static const char *const lies[] = { "-1", "", "abc", "999999999999999999999",
		"1x", "65537", "0" };
	struct shard_inherited got[2];
	char pid[24];
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", lies[i], 1);
		assert_int_equal(shard_inherited(got, 2), 0);
	}
}

static void the_receive_buffer_is_granted(void **state)
{
	(void)state;
	if (!(shard_features() & SHARD_CAN_RCVBUFFORCE))
		skip();
	union name n;
	struct shard_opt opt = { .addr = &n.sa, .type = SOCK_DGRAM, .rcvbuf = 4 << 20 };
	opt.addr_len = name_make(&n, "127.0.0.1", 0);
	const int fd = shard_open(&opt, NULL);
	assert_true(option_of(fd, SOL_SOCKET, SO_RCVBUF) >= 4 << 20);
	close(fd);
}

static void all_on_an_address_are_listed_with_what_they_take(void **state)
{
	(void)state;
	struct shard_socket got[8];
	union name n;
	struct stat st;
	const int one = open_at("127.0.0.1", 0, SOCK_DGRAM, 0, NULL);
	const uint16_t port = port_of(one);
	const int two = open_at("127.0.0.1", port, SOCK_DGRAM, 0, NULL);
	const int wide = open_at("0.0.0.0", port, SOCK_DGRAM, 0, NULL);
	assert_int_equal(shard_park(two), 0);
	socklen_t len = name_make(&n, "127.0.0.1", port);
	assert_int_equal(shard_list(&n.sa, len, SOCK_DGRAM, got, 8), 3);
	int seen = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fstat(one, &st), 0);
		if (got[i].inode == st.st_ino)
			seen += got[i].relation == SHARD_SAME && !got[i].parked;
		assert_int_equal(fstat(two, &st), 0);
		if (got[i].inode == st.st_ino)
			seen += got[i].relation == SHARD_SAME && got[i].parked;
		assert_int_equal(fstat(wide, &st), 0);
		if (got[i].inode == st.st_ino)
			seen += got[i].relation == SHARD_WIDER;
	}
	assert_int_equal(seen, 3);
	len = name_make(&n, "0.0.0.0", port);
	assert_int_equal(shard_list(&n.sa, len, SOCK_DGRAM, got, 1), 3);
	close(one);
	close(two);
	close(wide);
}

enum { MEMBERS = 4, FLOWS = 2000, CYCLES = 300 };

static int all_received(const int *members, int *got)
{
	char byte;
	int sum = 0;
	for (int m = 0; m < MEMBERS; m++) {
		while (recv(members[m], &byte, 1, 0) == 1)
			got[m]++;
		sum += got[m];
	}
	return sum;
}

/* One datagram from each of so many source ports; how many each member got. */
static void flows_count(const int *members, const char *ip, uint16_t port, int *got)
{
	union name n;
	const socklen_t len = name_make(&n, ip, port);
	char byte = 'x';
	memset(got, 0, MEMBERS * sizeof(*got));
	for (int i = 0; i < FLOWS; i++) {
		const int fd = socket(n.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(sendto(fd, &byte, 1, 0, &n.sa, len), 1);
		close(fd);
		if (i % 100 == 0)
			all_received(members, got); /* a queue holds some 250 */
	}
	for (int ms = 0; all_received(members, got) < FLOWS && ms < 60000; ms++)
		usleep(1000);
}

/* An answer by the parked socket comes from the address that was asked. */
static void assert_answers_leave(int parked, const char *ip)
{
	union name n;
	socklen_t len = name_make(&n, ip, 0);
	const int client = socket(n.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(client, &n.sa, len), 0);
	len = sizeof(n);
	assert_int_equal(getsockname(client, &n.sa, &len), 0);
	assert_int_equal(sendto(parked, "y", 1, 0, &n.sa, len), 1);
	char byte = 0;
	const struct timeval patience = { .tv_sec = 60 };
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(client, &byte, 1, 0), 1);
	assert_int_equal(byte, 'y');
	close(client);
}

static void assert_shares_even(const int *members, const char *ip, uint16_t port)
{
	int got[MEMBERS], sum = 0;
	flows_count(members, ip, port, got);
	for (int m = 0; m < MEMBERS; m++) {
		sum += got[m];
		assert_in_range(
			got[m], FLOWS / MEMBERS * 3 / 4, FLOWS / MEMBERS * 5 / 4);
	}
	assert_int_equal(sum, FLOWS);
}

/* A member leaves by parking, a fresh socket joins while the parked one still answers;
 * again and again. */
static void shares_stay_even_over_cycles(const char *bound, const char *ip)
{
	const int every = getenv("SHARD_TEST_ALL") ? 1 : 30;
	int members[MEMBERS], before = -1;
	char byte;
	members[0] = open_at(bound, 0, SOCK_DGRAM, 0, NULL);
	const uint16_t port = port_of(members[0]);
	for (int m = 1; m < MEMBERS; m++)
		members[m] = open_at(bound, port, SOCK_DGRAM, 0, NULL);
	for (int i = 0; i < CYCLES; i++) {
		const int old = members[i * 7 % MEMBERS];
		assert_int_equal(shard_park(old), 0);
		const int fresh = open_at(bound, port, SOCK_DGRAM, 0, NULL);
		assert_true(fresh >= 0);
		assert_int_equal(option_of(fresh, SOL_SOCKET, SO_REUSEADDR), 0);
		members[i * 7 % MEMBERS] = fresh;
		while (recv(old, &byte, 1, 0) == 1)
			;
		assert_answers_leave(old, ip);
		/* some are still there when the next one leaves */
		if (before >= 0)
			close(before);
		before = old;
		if ((i + 1) % every == 0)
			assert_shares_even(members, ip, port);
	}
	close(before);
	for (int m = 0; m < MEMBERS; m++)
		close(members[m]);
}

static void shares_stay_even_over_cycles_of_leave_and_join(void **state)
{
	(void)state;
	shares_stay_even_over_cycles("127.0.0.1", "127.0.0.1");
	shares_stay_even_over_cycles("0.0.0.0", "127.0.0.1");
	if (have_ipv6())
		shares_stay_even_over_cycles("::1", "::1");
	if (have_ipv6())
		shares_stay_even_over_cycles("::", "::1");
}

/* A stranger's SO_REUSEADDR opens nothing while a member lives, and a parked socket is
 * no way into a group of another user. */
static void a_parked_socket_lets_no_stranger_in(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* needs a second user */
	const int living = open_at("127.0.0.1", 0, SOCK_DGRAM, 0, NULL);
	const uint16_t port = port_of(living);
	const int parked = open_at("127.0.0.1", port, SOCK_DGRAM, 0, NULL);
	assert_int_equal(shard_park(parked), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		union name n;
		const socklen_t len = name_make(&n, "127.0.0.1", port);
		const int yes = 1;
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		struct shard_problem p;
		if (open_at("127.0.0.1", port, SOCK_DGRAM, 0, &p) != -EADDRINUSE)
			_exit(2);
		const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
		_exit(bind(fd, &n.sa, len) < 0 && errno == EADDRINUSE ? 0 : 3);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(living);
	close(parked);
}

static void the_kernel_can_reuseport(void **state)
{
	(void)state;
	assert_true(shard_features() & SHARD_CAN_REUSEPORT);
}

static void what_is_switched_off_is_not_there(void **state)
{
	union name at;
	socklen_t len = sizeof(at);
	const int fd = open_at("127.0.0.1", 0, SOCK_DGRAM, 0, NULL);
	struct shard_socket found[4];
	(void)state;
	assert_int_equal(getsockname(fd, &at.sa, &len), 0);
	const unsigned can = shard_features();
	setenv("SHARD_DISABLE", "memfd,sock_diag,rcvbufforce,uring", 1);
	assert_int_equal(shard_ring_create(&at.sa, len, 16), -ENOSYS);
	assert_int_equal(shard_group_size(fd), -EPROTONOSUPPORT);
	assert_int_equal(
		shard_list(&at.sa, len, SOCK_DGRAM, found, 4), -EPROTONOSUPPORT);
	assert_true(shard_disabled("io_uring"));
	assert_int_equal(shard_features(),
		can & ~(unsigned)(SHARD_CAN_RCVBUFFORCE | SHARD_CAN_IO_URING |
				  SHARD_CAN_MEMFD | SHARD_CAN_SOCK_DIAG));
	unsetenv("SHARD_DISABLE");
	assert_int_equal(shard_group_size(fd), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_options_of_a_socket_are_right),
		cmocka_unit_test(a_port_in_use_is_told_with_pid_name_and_uid),
		cmocka_unit_test(a_stranger_can_not_join_and_learns_the_uid_only),
		cmocka_unit_test(a_low_port_without_permission_is_told),
		cmocka_unit_test(an_address_that_is_not_there_needs_freebind),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(the_group_is_counted),
		cmocka_unit_test(a_parked_socket_keeps_its_queue_and_gets_nothing_new),
		cmocka_unit_test(inherited_sockets_are_found_matched_and_made_ready),
		cmocka_unit_test(a_socket_that_nobody_can_join_is_no_group),
		cmocka_unit_test(what_is_switched_off_is_not_there),
		cmocka_unit_test(sockets_meant_for_another_process_are_not_taken),
		cmocka_unit_test(a_lying_environment_is_survived),
		cmocka_unit_test(the_receive_buffer_is_granted),
		cmocka_unit_test(all_on_an_address_are_listed_with_what_they_take),
		cmocka_unit_test(shares_stay_even_over_cycles_of_leave_and_join),
		cmocka_unit_test(a_parked_socket_lets_no_stranger_in),
		cmocka_unit_test(the_kernel_can_reuseport),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
