/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/control.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "ctl/sockpath.h"
#include "loop/until.h"

/* The clock stands but for what a test lets pass. */
static int64_t clock_us;
static int64_t reading_us; /* with each look at it */

struct now clock_read(void)
{
	clock_us += reading_us;
	return (struct now){ .mono_us = clock_us, .wall_ms = clock_us / 1000 };
}

static char run[256];
static char folder[300]; /* of the sockets */
static struct loop *loop;
static struct counters counters;

/* "fail" fails, "big" is long, all else comes back with a mark. */
static bool eval(void *ctx, const char *line, char **out)
{
	(void)ctx;
	if (strcmp(line, "big") == 0) {
		*out = malloc(3000001);
		memset(*out, 'b', 3000000);
		(*out)[3000000] = 0;
		return true;
	}
	*out = malloc(strlen(line) + 3);
	sprintf(*out, "[%s]", line);
	return strcmp(line, "fail") != 0;
}

static int set_up(void **state)
{
	(void)state;
	memset(&counters, 0, sizeof(counters));
	clock_us = INT64_C(1000) * 1000 * 1000;
	reading_us = 0;
	strcpy(run, "/tmp/shoal-control-XXXXXX");
	loop = loop_new();
	if (!loop || !mkdtemp(run))
		return -1;
	snprintf(folder, sizeof(folder), "%s/control", run);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char path[400];
	loop_free(loop);
	snprintf(path, sizeof(path), "%s/1", folder);
	unlink(path);
	return rmdir(folder) | rmdir(run);
}

static int connect_to(const char *name)
{
	const int fd = sockpath_connect(folder, name, 1000);
	assert_true(fd >= 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Turns of the loop until `want` has arrived. */
static void expect_bytes(int fd, const char *want, size_t len)
{
	char got[512];
	size_t have = 0;
	assert_true(len <= sizeof(got));
	const time_t end = until_end();
	while (have < len && until_left(end)) {
		loop_turn(loop, 10);
		const ssize_t n = recv(fd, got + have, len - have, MSG_DONTWAIT);
		have += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(have, len);
	assert_memory_equal(got, want, len);
}

static void expect(int fd, const char *want)
{
	expect_bytes(fd, want, strlen(want));
}

static bool is_closed(int fd)
{
	char byte[4096];
	const time_t end = until_end();
	while (until_left(end)) {
		loop_turn(loop, 10);
		const ssize_t n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
	}
	return false;
}

static struct control *open_control(void)
{
	struct control *c = control_open(loop, run, "1", eval, NULL, &counters);
	assert_non_null(c);
	return c;
}

static void control_prompts_and_answers_line_by_line(void **state)
{
	(void)state;
	struct control *c = open_control();
	const int fd = connect_to("1");
	expect(fd, "> ");
	say(fd, "one\r\ntwo\nthr");
	expect(fd, "[one]\n> [two]\n> ");
	say(fd, "ee\n");
	expect(fd, "[three]\n> ");
	assert_int_equal(counters.control_commands, 3);
	close(fd);
	control_close(c);
}

static void control_answers_in_binary_without_prompt(void **state)
{
	(void)state;
	struct control *c = open_control();
	const int fd = connect_to("1");
	say(fd, "__binary\nab\nfail\n");
	expect_bytes(fd, "> \0\0\0\4[ab]\0\0\0\6[fail]", 20);
	close(fd);
	control_close(c);
}

static void control_runs_a_last_line_without_newline(void **state)
{
	(void)state;
	struct control *c = open_control();
	const int fd = connect_to("1");
	say(fd, "one\ntwo");
	shutdown(fd, SHUT_WR);
	expect(fd, "> [one]\n> [two]\n> ");
	assert_true(is_closed(fd));
	close(fd);
	control_close(c);
}

static void control_ends_a_line_that_is_too_long(void **state)
{
	(void)state;
	struct control *c = open_control();
	const int fd = connect_to("1");
	char *line = malloc(LIMIT_CONTROL_LINE + 1);
	memset(line, 'a', LIMIT_CONTROL_LINE + 1);
	size_t sent = 0;
	while (sent < LIMIT_CONTROL_LINE + 1) {
		const ssize_t n = send(fd, line + sent, LIMIT_CONTROL_LINE + 1 - sent,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		loop_turn(loop, 0);
	}
	expect(fd, "> error: the line is too long\n> ");
	assert_true(is_closed(fd));
	assert_int_equal(counters.control_commands, 0);
	close(fd);

	/* one byte less is a line */
	const int other = connect_to("1");
	say(other, "__binary\n");
	expect(other, "> ");
	for (sent = 0; sent < LIMIT_CONTROL_LINE;) {
		const ssize_t n = send(other, line + sent, LIMIT_CONTROL_LINE - sent,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		loop_turn(loop, 0);
	}
	say(other, "\n");
	expect_bytes(other, "\0\1\0\2[aaaaaaaaaaaa", 16);
	assert_int_equal(counters.control_commands, 1);
	free(line);
	close(other);
	control_close(c);
}

static void control_waits_for_a_slow_reader_without_more_work(void **state)
{
	(void)state;
	struct control *c = open_control();
	const int fd = connect_to("1");
	say(fd, "big\nbig\n");
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 5);
	assert_int_equal(counters.control_commands, 1);
	char sink[65536];
	size_t got = 0;
	const time_t end = until_end();
	while (got < 2 * 3000003 + 2 && until_left(end)) {
		loop_turn(loop, 1);
		for (ssize_t n; (n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT)) > 0;)
			got += (size_t)n;
	}
	assert_int_equal(got, 2 * 3000003 + 2);
	close(fd);
	control_close(c);
}

static void control_sheds_the_client_longest_idle(void **state)
{
	(void)state;
	struct control *c = open_control();
	int fds[LIMIT_CONTROL_CLIENTS + 1];
	for (int i = 0; i <= LIMIT_CONTROL_CLIENTS; i++) {
		fds[i] = connect_to("1");
		expect(fds[i], "> ");
		clock_us += 1000;
		if (i == LIMIT_CONTROL_CLIENTS - 1) {
			say(fds[0], "awake\n");
			expect(fds[0], "[awake]\n> ");
		}
	}
	assert_true(is_closed(fds[1]));
	say(fds[0], "still\n");
	expect(fds[0], "[still]\n> ");
	for (int i = 0; i <= LIMIT_CONTROL_CLIENTS; i++)
		close(fds[i]);
	control_close(c);
}

static void control_rests_while_no_descriptor_is_left(void **state)
{
	(void)state;
	struct control *c = open_control();
	const int fd = connect_to("1"), next = dup(fd);
	struct rlimit normal, none;
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
	none = normal;
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 20; i++)
		loop_turn(loop, 1);
	assert_int_equal(counters.fd_exhausted, 1);
	clock_us += 100 * 1000;
	for (int i = 0; i < 20; i++)
		loop_turn(loop, 1);
	assert_int_equal(counters.fd_exhausted, 2);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
	clock_us += 100 * 1000;
	expect(fd, "> ");
	close(fd);
	control_close(c);
}

static void control_socket_passes_to_the_successor(void **state)
{
	(void)state;
	struct control *old = open_control();
	struct control *new = open_control();
	control_close(old);
	const int fd = connect_to("1");
	expect(fd, "> ");
	close(fd);
	control_close(new);
	assert_int_equal(sockpath_connect(folder, "1", 100), -ENOENT);
}

static void control_folder_is_for_its_owner(void **state)
{
	(void)state;
	mkdir(folder, 0755);
	struct control *c = open_control();
	struct stat st;
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(run, &st), 0);
	control_close(c);
}

/* In a child, while the loop turns here. The child's exit code: 0 as expected. */
static int ask_in_child(
	const char *line, int timeout_ms, int want_err, bool want_ok, const char *want)
{
	const pid_t child = fork();
	if (child == 0) {
		char *text = NULL;
		bool ok = false;
		const int err = control_ask(run, "1", line, timeout_ms, &text, &ok);
		if (err != want_err)
			_exit(1);
		_exit(!err && (ok != want_ok || strcmp(text, want) != 0));
	}
	int status;
	while (waitpid(child, &status, WNOHANG) == 0)
		loop_turn(loop, 5);
	return status;
}

static void control_ask_brings_text_and_verdict(void **state)
{
	(void)state;
	struct control *c = open_control();
	assert_int_equal(ask_in_child("hello", 2000, 0, true, "[hello]"), 0);
	assert_int_equal(ask_in_child("fail", 2000, 0, false, "[fail]"), 0);
	assert_int_equal(ask_in_child("", 2000, 0, true, ""), 0);
	assert_int_equal(ask_in_child("two\nlines", 2000, -EINVAL, false, ""), 0);
	control_close(c);
	assert_int_equal(ask_in_child("hello", 2000, -ENOENT, false, ""), 0);
}

static void control_ask_gives_up_in_time(void **state)
{
	(void)state;
	struct control *c = open_control();
	char *text;
	bool ok;
	reading_us = 10 * 1000;
	/* nobody turns the loop */
	assert_int_equal(control_ask(run, "1", "x", 50, &text, &ok), -ETIMEDOUT);
	control_close(c);
}

static void control_works_below_a_long_path(void **state)
{
	(void)state;
	char first[256], deep[256];
	snprintf(first, sizeof(first), "%s", run);
	memset(deep, 'd', sizeof(deep));
	snprintf(deep + snprintf(deep, sizeof(deep), "%s/", run), 150, "%0140d", 0);
	strcpy(run, deep);
	struct control *c = open_control();
	assert_int_equal(ask_in_child("hello", 2000, 0, true, "[hello]"), 0);
	control_close(c);
	char path[400];
	snprintf(path, sizeof(path), "%s/control", run);
	rmdir(path);
	rmdir(run);
	strcpy(run, first);
	mkdir(folder, 0700);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(control_prompts_and_answers_line_by_line),
		T(control_answers_in_binary_without_prompt),
		T(control_runs_a_last_line_without_newline),
		T(control_ends_a_line_that_is_too_long),
		T(control_waits_for_a_slow_reader_without_more_work),
		T(control_sheds_the_client_longest_idle),
		T(control_rests_while_no_descriptor_is_left),
		T(control_socket_passes_to_the_successor),
		T(control_folder_is_for_its_owner),
		T(control_ask_brings_text_and_verdict),
		T(control_ask_gives_up_in_time),
		T(control_works_below_a_long_path),
	};
#undef T
	return cmocka_run_group_tests(tests, NULL, NULL);
}
