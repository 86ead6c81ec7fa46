/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/child.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "super/keep.h"

enum { KEPT = 6, FIRST = 3 };

/* Which of the kept ones a child has at 3, 4... where so many numbers may be in use; its exit code. */
static int start(rlim_t limit, char *out, size_t cap)
{
	static const char *const argv[] = { "/bin/sh", "-c",
		"for n in 3 4 5 6 7 8; do readlink /proc/self/fd/$n; done; exit 5",
		NULL };
	static const char *const files[KEPT] = { "/", "/dev", "/etc", "/proc", "/tmp",
		"/usr" };
	struct kept_fd rows[KEPT] = { 0 };
	const struct keep keep = { rows, KEPT };
	const struct child_plan plan = {
		.program = argv[0], .argv = argv, .name = "1", .keep = &keep
	};
	struct rlimit before, now;
	int end, status;
	close_range(FIRST, ~0U, 0);
	/* the last one where the first must go */
	for (int i = KEPT - 1; i >= 0; i--)
		rows[i].fd = open(files[i], O_RDONLY | O_CLOEXEC);
	assert_int_equal(rows[0].fd, FIRST + KEPT - 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	const pid_t pid = child_start(&plan, &end);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	const ssize_t n = read(end, out, cap - 1);
	out[n > 0 ? n : 0] = 0;
	close_range(FIRST, ~0U, 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_child_gets_all_that_is_kept_or_says_why_not(void **state)
{
	(void)state;
	char out[1000];
	for (rlim_t limit = FIRST + 2 * KEPT; limit <= 64; limit++) {
		assert_int_equal(start(limit, out, sizeof(out)), 5);
		assert_string_equal(out, "/\n/dev\n/etc\n/proc\n/tmp\n/usr\n");
	}
	/* with two for the pipe */
	for (rlim_t limit = FIRST + KEPT + 2; limit < FIRST + 2 * KEPT; limit++) {
		assert_int_equal(start(limit, out, sizeof(out)), 127);
		assert_non_null(strstr(out, "its 6 descriptors cannot be handed on"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_gets_all_that_is_kept_or_says_why_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
