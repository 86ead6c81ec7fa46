/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static const char *path(const char *name)
{
	static char buf[PATH_MAX];
	snprintf(buf, sizeof(buf), "%s/%s", folder, name);
	return buf;
}

static int folder_make(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/shoal-fd-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	(void)state;
	unlink(path("file"));
	unlink(path("pipe"));
	rmdir(path("a/b"));
	rmdir(path("a"));
	return rmdir(folder);
}

static void close_forgets_the_number(void **state)
{
	(void)state;
	int fd = open("/dev/null", O_RDONLY), copy = fd;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	fd_close(&fd);
}

static void a_file_is_read_whole_with_a_nul_behind(void **state)
{
	(void)state;
	static char data[100000];
	memset(data, 'x', sizeof(data));
	int fd = open(path("file"), O_CREAT | O_WRONLY, 0600);
	assert_int_equal(fd_write_all(fd, data, sizeof(data)), 0);
	fd_close(&fd);

	char *out;
	size_t len;
	assert_int_equal(fd_read_file(path("file"), sizeof(data), &out, &len), 0);
	assert_int_equal(len, sizeof(data));
	assert_memory_equal(out, data, len);
	assert_int_equal(out[len], 0);
	free(out);
	assert_int_equal(
		fd_read_file(path("file"), sizeof(data) - 1, &out, &len), -EFBIG);
}

static void files_without_a_size_are_read_too(void **state)
{
	(void)state;
	char *out;
	size_t len;
	assert_int_equal(fd_read_file("/proc/self/status", 1 << 20, &out, &len), 0);
	assert_true(len > 100);
	assert_non_null(strstr(out, "VmRSS"));
	free(out);
	assert_int_equal(fd_read_file("/dev/zero", 10000, &out, &len), -EFBIG);
	assert_int_equal(fd_read_file("/dev/null", 0, &out, &len), 0);
	assert_int_equal(len, 0);
	free(out);
}

/* Whoever reads may be serving clients. */
static void nobody_waits_at_a_pipe(void **state)
{
	(void)state;
	char *out;
	size_t len;
	assert_int_equal(mkfifo(path("pipe"), 0600), 0);
	assert_int_equal(fd_read_file(path("pipe"), 10, &out, &len), -ENOTSUP);
	assert_string_equal(fd_read_error(-ENOTSUP), "is a pipe, not a file");
	assert_string_equal(fd_read_error(-ENOENT), strerror(ENOENT));
	/* a configuration may come through one: somebody writes */
	int fd = open(path("pipe"), O_RDWR | O_CLOEXEC);
	assert_int_equal(fd_write_all(fd, "0123456789A", 11), 0);
	assert_int_equal(fd_read_pipe(path("pipe"), 10, &out, &len), -EFBIG);
	fd_close(&fd);
}

static void what_cannot_be_read_says_why(void **state)
{
	(void)state;
	char *out;
	size_t len;
	assert_int_equal(fd_read_file(path("none"), 10, &out, &len), -ENOENT);
	assert_int_equal(fd_read_file(folder, 10, &out, &len), -EISDIR);
	assert_int_equal(fd_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(fd_set_nonblock(-1), -EBADF);
}

static void two_levels_of_folders_are_made(void **state)
{
	(void)state;
	char deep[PATH_MAX];
	snprintf(deep, sizeof(deep), "%s/a/b", folder);
	assert_int_equal(fd_make_folder(deep, 0700), 0);
	assert_int_equal(fd_make_folder(deep, 0700), 0);
	struct stat st;
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(deep, sizeof(deep), "%s/x/y/z", folder);
	assert_int_equal(fd_make_folder(deep, 0700), -ENOENT);
	int fd = open(path("file"), O_CREAT | O_WRONLY, 0600);
	fd_close(&fd);
	assert_int_equal(fd_make_folder(path("file"), 0700), -ENOTDIR);
}

static void the_run_folder_is_the_one_that_was_named(void **state)
{
	(void)state;
	setenv("SHOAL_RUN", "/somewhere/else", 1);
	assert_string_equal(fd_run_folder(), "/somewhere/else");
	unsetenv("SHOAL_RUN");
	assert_non_null(fd_run_folder());
	assert_true(fd_raise_limit() > 0);
}

static void nonblocking_means_eagain(void **state)
{
	(void)state;
	int p[2];
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fd_set_nonblock(p[1]), 0);
	static char data[1 << 20];
	assert_int_equal(fd_write_all(p[1], data, sizeof(data)), -EAGAIN);
	fd_close(&p[0]);
	fd_close(&p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)
		cmocka_unit_test(close_forgets_the_number),
		IN_FOLDER(a_file_is_read_whole_with_a_nul_behind),
		cmocka_unit_test(files_without_a_size_are_read_too),
		IN_FOLDER(nobody_waits_at_a_pipe),
		IN_FOLDER(what_cannot_be_read_says_why),
		IN_FOLDER(two_levels_of_folders_are_made),
		cmocka_unit_test(the_run_folder_is_the_one_that_was_named),
		cmocka_unit_test(nonblocking_means_eagain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
