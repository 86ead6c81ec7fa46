/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/poison.h"

static const uint8_t bad[] = "\3bad\4test", upper[] = "\3BAD\4test",
		     good[] = "\4good\4test";

static int64_t wall_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static int setup(void **state)
{
	char *folder = strdup("/tmp/shoal-poison-XXXXXX");
	assert_non_null(mkdtemp(folder));
	*state = folder;
	return 0;
}

static int teardown(void **state)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/shm/poison-v1", (char *)*state);
	unlink(path);
	snprintf(path, sizeof(path), "%s/shm", (char *)*state);
	rmdir(path);
	rmdir(*state);
	free(*state);
	return 0;
}

static struct poison *open_in(const char *folder)
{
	struct random r;
	random_init(&r);
	struct poison *p = poison_open(folder, &r);
	assert_non_null(p);
	return p;
}

static void a_question_is_refused_for_ten_minutes_in_any_case(void **state)
{
	struct poison *p = open_in(*state);
	assert_false(poison_has(p, bad, 1, 1, 1000));
	poison_add(p, bad, 1, 1, 1000);
	assert_true(poison_has(p, bad, 1, 1, 1001));
	assert_true(poison_has(p, upper, 1, 1, 1001));
	assert_false(poison_has(p, bad, 28, 1, 1001));
	assert_false(poison_has(p, good, 1, 1, 1001));
	assert_true(poison_has(p, bad, 1, 1, 1000 + POISON_MS - 1));
	assert_false(poison_has(p, bad, 1, 1, 1000 + POISON_MS));
	assert_false(poison_has(p, bad, 1, 1, 500)); /* the clock jumped back */
	poison_close(p);
}

/* What a child works on when it ends by this signal. */
static void die_by(const char *folder, int signo)
{
	const pid_t pid = fork();
	if (!pid) {
		const int null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		for (int s = 1; s < 32; s++)
			signal(s, SIG_DFL); /* cmocka's */
		poison_watch(open_in(folder));
		const struct poison_mark outer = poison_begin(good, 1, 1);
		const struct poison_mark before = poison_begin(bad, 1, 1);
		if (signo)
			raise(signo);
		poison_end(before);
		poison_end(outer);
		abort();
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), signo ? signo : SIGABRT);
}

static void the_question_under_work_at_a_crash_is_the_suspect(void **state)
{
	struct poison *p = open_in(*state);
	die_by(*state, SIGABRT);
	assert_true(poison_has(p, bad, 1, 1, wall_ms()));
	assert_false(poison_has(p, good, 1, 1, wall_ms()));
	poison_close(p);
}

static void a_kill_or_a_crash_between_questions_accuses_nobody(void **state)
{
	struct poison *p = open_in(*state);
	die_by(*state, SIGKILL);
	die_by(*state, 0);
	assert_false(poison_has(p, bad, 1, 1, wall_ms()));
	assert_false(poison_has(p, good, 1, 1, wall_ms()));
	poison_close(p);
}

static void a_full_table_forgets_what_ends_first(void **state)
{
	struct poison *p = open_in(*state);
	for (uint16_t type = 1; type <= 65; type++)
		poison_add(p, bad, type, 1, 1000 + type);
	assert_false(poison_has(p, bad, 1, 1, 2000));
	assert_true(poison_has(p, bad, 2, 1, 2000));
	assert_true(poison_has(p, bad, 65, 1, 2000));
	poison_close(p);
}

static void what_is_no_name_is_survived(void **state)
{
	struct poison *p = open_in(*state);
	static uint8_t noise[300];
	memset(noise, 'A', sizeof(noise));
	poison_add(p, noise, 1, 1, 1000);
	assert_true(poison_has(p, noise, 1, 1, 1000));
	poison_close(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_question_is_refused_for_ten_minutes_in_any_case),
		TEST(the_question_under_work_at_a_crash_is_the_suspect),
		TEST(a_kill_or_a_crash_between_questions_accuses_nobody),
		TEST(a_full_table_forgets_what_ends_first),
		TEST(what_is_no_name_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
