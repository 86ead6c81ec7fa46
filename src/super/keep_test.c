/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "shard.h"
#include "super/keep.h"

static int udp_at(uint16_t port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct shard_opt opt = { .addr = (const struct sockaddr *)&at,
		.addr_len = sizeof(at),
		.type = SOCK_DGRAM };
	const int fd = shard_open(&opt, NULL);
	assert_true(fd >= 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static void keep_holds_one_of_each_and_gives_names_without_colons(void **state)
{
	(void)state;
	struct keep k = { 0 };
	int fd = udp_at(0), again = dup(fd);
	assert_true(keep_add(&k, "kept-udp-::1@53", fd));
	assert_true(keep_add(&k, "another", again));
	assert_int_equal(fcntl(again, F_GETFD), -1);
	assert_int_equal(k.count, 1);
	assert_string_equal(k.rows[0].name, "kept-udp-__1@53");
	keep_close(&k);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void keep_removes_by_name_and_keeps_the_rest(void **state)
{
	(void)state;
	struct keep k = { 0 };
	const int a = udp_at(0), b = udp_at(0), c = udp_at(0);
	keep_add(&k, "a", a);
	keep_add(&k, "b", b);
	keep_add(&k, "a", c);
	assert_int_equal(keep_remove(&k, "a"), 2);
	assert_int_equal(keep_remove(&k, "a"), 0);
	assert_int_equal(k.count, 1);
	assert_int_equal(k.rows[0].fd, b);
	keep_close(&k);
}

static void keep_closes_listeners_and_holds_what_is_to_be_emptied(void **state)
{
	(void)state;
	struct keep k = { 0 };
	const int udp = udp_at(0), idle = socket(AF_INET, SOCK_STREAM, 0),
		  listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(listen(listener, 1), 0);
	keep_add(&k, "udp", udp);
	keep_add(&k, "tcp", listener);
	keep_add(&k, "other", idle);
	keep_close_listeners(&k);
	assert_int_equal(k.count, 2);
	assert_int_equal(k.rows[0].fd, udp);
	assert_int_equal(k.rows[1].fd, idle);
	assert_int_equal(fcntl(listener, F_GETFD), -1);
	keep_close(&k);
}

static void keep_is_bounded(void **state)
{
	(void)state;
	struct keep k = { .count = KEEP_MAX,
		.rows = calloc(KEEP_MAX, sizeof(*k.rows)) };
	const int fd = udp_at(0);
	assert_false(keep_add(&k, "one more", fd));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	free(k.rows);
}

static void keep_parks_only_where_a_sibling_stays(void **state)
{
	(void)state;
	struct keep k = { 0 };
	const int fd = udp_at(0);
	keep_add(&k, "a", fd);
	assert_int_equal(keep_park(&k), 0);
	const int sibling = udp_at(port_of(fd));
	assert_int_equal(keep_park(&k), 1);
	assert_int_equal(keep_park(&k), 0);
	assert_true(shard_parked(fd));
	assert_false(shard_parked(sibling));
	close(sibling);
	keep_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keep_holds_one_of_each_and_gives_names_without_colons),
		cmocka_unit_test(keep_removes_by_name_and_keeps_the_rest),
		cmocka_unit_test(keep_parks_only_where_a_sibling_stays),
		cmocka_unit_test(keep_closes_listeners_and_holds_what_is_to_be_emptied),
		cmocka_unit_test(keep_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
