/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/shoal-notify-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/notify", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void notify_tells_who_said_what(void **state)
{
	(void)state;
	const char *places[] = { path, "@shoal-notify-test" };
	for (size_t i = 0; i < 2; i++) {
		struct notify_message m;
		const int fd = notify_listen(places[i]);
		assert_true(fd >= 0);
		setenv("NOTIFY_SOCKET", places[i], 1);
		assert_int_equal(notify_receive(fd, &m), 0);
		const pid_t child = fork();
		if (child == 0)
			_exit(notify_send("READY=1\nSTATUS=two words", NULL, 0));
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		assert_int_equal(notify_receive(fd, &m), 1);
		assert_int_equal(m.pid, child);
		assert_string_equal(m.text, "READY=1\nSTATUS=two words");
		assert_int_equal(m.fd_count, 0);
		close(fd);
	}
}

static void notify_carries_descriptors(void **state)
{
	(void)state;
	struct notify_message m;
	const int fd = notify_listen(path);
	int sent[16];
	for (int i = 0; i < 16; i++)
		sent[i] = dup(STDERR_FILENO);
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_send("FDSTORE=1", sent, 16), 0);
	assert_int_equal(notify_receive(fd, &m), 1);
	assert_int_equal(m.fd_count, 16);
	struct stat a, b;
	assert_int_equal(fstat(STDERR_FILENO, &a), 0);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(fstat(m.fds[i], &b), 0);
		assert_true(a.st_ino == b.st_ino);
		assert_true(fcntl(m.fds[i], F_GETFD) & FD_CLOEXEC);
		close(m.fds[i]);
		close(sent[i]);
	}
	close(fd);
}

static void notify_tells_of_descriptors_that_found_no_room(void **state)
{
	(void)state;
	struct notify_message m;
	struct rlimit before, now;
	const int fd = notify_listen(path);
	const int sent[2] = { STDERR_FILENO, STDERR_FILENO };
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int room = 0; room <= 2; room++) {
		const int next = dup(fd); /* the lowest that is free */
		close(next);
		close_range((unsigned)next, ~0U, 0);
		assert_int_equal(notify_send("FDSTORE=1", sent, 2), 0);
		now = before;
		now.rlim_cur = (rlim_t)(next + room);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
		assert_int_equal(notify_receive(fd, &m), 1);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(m.fd_count, room);
		assert_int_equal(m.lost, room < 2);
		for (size_t i = 0; i < m.fd_count; i++)
			close(m.fds[i]);
	}
	close(fd);
}

static void notify_send_without_receiver_harms_nobody(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1", NULL, 0), 1);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_send("READY=1", NULL, 0), -EINVAL);
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	assert_int_equal(notify_send("READY=1", NULL, 0), -ENOENT);
	close(notify_listen(path)); /* its file stays */
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_send("READY=1", NULL, 0), -ECONNREFUSED);
}

static void notify_send_never_waits_for_a_stopped_receiver(void **state)
{
	(void)state;
	const int fd = notify_listen(path);
	setenv("NOTIFY_SOCKET", path, 1);
	int sent = 0, err;
	while ((err = notify_send("WATCHDOG=1", NULL, 0)) == 0 && sent < 100000)
		sent++;
	assert_int_equal(err, -EAGAIN);
	close(fd);
}

static void notify_send_surely_waits_for_a_receiver_that_is_behind(void **state)
{
	(void)state;
	const int fd = notify_listen(path);
	setenv("NOTIFY_SOCKET", path, 1);
	while (notify_send("WATCHDOG=1", NULL, 0) == 0)
		;
	const pid_t child = fork();
	if (child == 0)
		_exit(notify_send_surely("READY=1", NULL, 0));
	struct notify_message m;
	do {
		while (notify_receive(fd, &m) != 1)
			usleep(1000);
	} while (strcmp(m.text, "READY=1") != 0);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(fd);
}

static void notify_listen_tells_of_a_path_too_long(void **state)
{
	(void)state;
	char longer[200];
	memset(longer, 'a', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = 0;
	assert_int_equal(notify_listen(longer), -ENAMETOOLONG);
}

static void notify_watchdog_is_for_the_process_named(void **state)
{
	(void)state;
	char pid[16];
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	assert_int_equal(notify_watchdog_us(), 0);
	setenv("WATCHDOG_USEC", "10000000", 1);
	assert_int_equal(notify_watchdog_us(), 10000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_us(), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_us(), 10000000);
	setenv("WATCHDOG_USEC", "10x", 1);
	assert_int_equal(notify_watchdog_us(), 0);
	setenv("WATCHDOG_USEC", "-1", 1);
	assert_int_equal(notify_watchdog_us(), 0);
}

static void notify_value_reads_whole_keys_only(void **state)
{
	(void)state;
	char value[8];
	const char *text = "XREADY=2\nREADY=1\nSTATUS=a long one\nEMPTY=\nREADYX";
	assert_true(notify_value(text, "READY", value, sizeof(value)));
	assert_string_equal(value, "1");
	assert_true(notify_value(text, "STATUS", value, sizeof(value)));
	assert_string_equal(value, "a long ");
	assert_true(notify_value(text, "EMPTY", value, sizeof(value)));
	assert_string_equal(value, "");
	assert_false(notify_value(text, "READYX", value, sizeof(value)));
	assert_false(notify_value("", "READY", value, sizeof(value)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notify_tells_who_said_what),
		cmocka_unit_test(notify_carries_descriptors),
		cmocka_unit_test(notify_tells_of_descriptors_that_found_no_room),
		cmocka_unit_test(notify_send_without_receiver_harms_nobody),
		cmocka_unit_test(notify_send_never_waits_for_a_stopped_receiver),
		cmocka_unit_test(
			notify_send_surely_waits_for_a_receiver_that_is_behind),
		cmocka_unit_test(notify_listen_tells_of_a_path_too_long),
		cmocka_unit_test(notify_watchdog_is_for_the_process_named),
		cmocka_unit_test(notify_value_reads_whole_keys_only),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
