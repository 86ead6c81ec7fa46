/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a child does and leaves: its result, none of our descriptors, no place in the way. */
#include "base/chore.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static int give(void *ctx)
{
	return *(int *)ctx;
}

static void its_result_comes_back(void **state)
{
	(void)state;
	static int results[] = { 0, -ENOSPC, -ETIME, 7 };
	for (unsigned i = 0; i < 4; i++) {
		struct chore c = { 0 };
		int err = 1;
		assert_false(chore_ended(&c, &err));
		assert_int_equal(chore_begin(&c, give, &results[i], -1, 0), 0);
		assert_int_equal(chore_begin(&c, give, &results[i], -1, 0), -EBUSY);
		err = chore_wait(&c, 5000000);
		assert_int_equal(err, results[i] > 0 ? -EIO : results[i]);
		assert_int_equal(c.pid, 0);
	}
}

struct fds {
	int kept, others[2];
};

static int look_at_fds(void *ctx)
{
	const struct fds *f = ctx;
	if (fcntl(f->kept, F_GETFD) < 0)
		return -1;
	for (unsigned i = 0; i < 2; i++)
		if (fcntl(f->others[i], F_GETFD) >= 0)
			return -2;
	return fcntl(2, F_GETFD) < 0 ? -3 : 0;
}

static void only_one_descriptor_lives_on(void **state)
{
	(void)state;
	struct fds f = { 0 };
	f.others[0] = dup(2);
	f.kept = dup(2);
	f.others[1] = dup(2);
	for (unsigned i = 0; i < 2; i++) {
		struct chore c = { 0 };
		assert_int_equal(chore_begin(&c, look_at_fds, &f, f.kept, 0), 0);
		assert_int_equal(chore_wait(&c, 5000000), 0);
		/* the lowest one is a case of its own */
		const int other = f.others[0];
		f.others[0] = f.kept;
		f.kept = other;
	}
	close(f.others[0]);
	close(f.others[1]);
	close(f.kept);
}

static int sleep_long(void *ctx)
{
	(void)ctx;
	sleep(60);
	return 0;
}

static void who_takes_too_long_is_killed(void **state)
{
	(void)state;
	struct chore c = { 0 };
	assert_int_equal(chore_begin(&c, sleep_long, NULL, -1, 5), 0);
	assert_int_equal(chore_wait(&c, 20000), -ETIME);
	assert_int_equal(c.pid, 0);
	chore_kill(&c);
}

/* Whatever the parent does with SIGTERM: a service manager must be able to end it. */
static void sigterm_ends_it(void **state)
{
	(void)state;
	sigset_t block;
	struct chore c = { 0 };
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, NULL);
	assert_int_equal(chore_begin(&c, sleep_long, NULL, -1, 0), 0);
	kill(c.pid, SIGTERM);
	assert_int_equal(chore_wait(&c, 5000000), -ECHILD);
	sigprocmask(SIG_UNBLOCK, &block, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_result_comes_back),
		cmocka_unit_test(only_one_descriptor_lives_on),
		cmocka_unit_test(who_takes_too_long_is_killed),
		cmocka_unit_test(sigterm_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
