/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/kept.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "ctl/notify.h"

enum { MANY = 600 }; /* more than any socket's queue holds: net.unix.max_dgram_qlen */

static struct addr address(unsigned n)
{
	return (struct addr){
		.family = 4, .ip = { 127, 0, (uint8_t)(n >> 8), (uint8_t)n }, .port = 53
	};
}

/* A keeper that reads nothing yet. */
static int keeper_open(char path[static 64])
{
	snprintf(path, 64, "@shoal-kept-test-%d", (int)getpid());
	const int fd = notify_listen(path);
	assert_true(fd >= 0);
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

/* The n-th message is the n-th that was sent, with its descriptor. */
static unsigned keeper_take(int keeper, unsigned n)
{
	struct notify_message m;
	for (; notify_receive(keeper, &m) == 1; n++) {
		char name[96], wanted[96];
		const struct addr a = address(n);
		assert_int_equal(m.fd_count, 1);
		fd_close(&m.fds[0]);
		assert_true(notify_value(m.text, "FDNAME", name, sizeof(name)));
		snprintf(wanted, sizeof(wanted), "kept-udp-127.0.%u.%u@53", a.ip[2],
			a.ip[3]);
		assert_string_equal(name, wanted);
	}
	return n;
}

static void a_keeper_that_is_behind_gets_all_in_order_later(void **state)
{
	(void)state;
	char path[64];
	const int keeper = keeper_open(path);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned n = 0; n < MANY; n++) { /* returns, though nobody reads */
		const struct addr a = address(n);
		kept_store("udp", &a, fd);
	}
	fd_close(&fd);
	assert_true(kept_flush() > 0);
	unsigned got = 0;
	for (unsigned turn = 0; turn <= MANY && got < MANY; turn++) {
		got = keeper_take(keeper, got);
		kept_flush();
	}
	assert_int_equal(keeper_take(keeper, got), MANY);
	assert_int_equal(kept_flush(), 0);
	close(keeper);
}

static void what_waits_is_bounded(void **state)
{
	(void)state;
	char path[64];
	const int keeper = keeper_open(path);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int before = dup(fd);
	for (unsigned n = 0; n < 2 * KEPT_LETTERS_MAX + MANY; n++) {
		const struct addr a = address(n);
		kept_store("udp", &a, fd);
	}
	assert_int_equal(kept_flush(), KEPT_LETTERS_MAX);
	/* the keeper is gone: they are given up, no descriptor is left open */
	close(keeper);
	assert_int_equal(kept_flush(), 0);
	const int after = dup(fd);
	assert_int_equal(after, keeper < before ? keeper : before + 1);
	close(before);
	close(after);
	fd_close(&fd);
}

static void without_a_keeper_nothing_is_kept(void **state)
{
	(void)state;
	const struct addr a = address(1);
	unsetenv("NOTIFY_SOCKET");
	assert_false(kept_is_possible());
	kept_store("udp", &a, STDERR_FILENO);
	kept_remove("udp", &a);
	assert_int_equal(kept_flush(), 0);
}

static void what_was_handed_on_is_open(void **state)
{
	(void)state;
	char text[16];
	const int next = fcntl(STDERR_FILENO, F_DUPFD, 3);
	close_range((unsigned)next + 1, ~0U, 0);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", "1", 1);
	assert_int_equal(kept_missing(), -1);
	snprintf(text, sizeof(text), "%d", next - 3 + 2);
	setenv("LISTEN_FDS", text, 1);
	assert_int_equal(kept_missing(), next + 1);
	setenv("LISTEN_PID", "1", 1); /* it is for another process */
	assert_int_equal(kept_missing(), -1);
	unsetenv("LISTEN_PID");
	assert_int_equal(kept_missing(), -1);
	unsetenv("LISTEN_FDS");
	close(next);
}

int main(void)
{
	fd_raise_limit();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_keeper_that_is_behind_gets_all_in_order_later),
		cmocka_unit_test(what_waits_is_bounded),
		cmocka_unit_test(without_a_keeper_nothing_is_kept),
		cmocka_unit_test(what_was_handed_on_is_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
