/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "shm/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096, MAGIC = 77 };

static char folder[128], path[160], reason[256];

static int setup(void **state)
{
	(void)state;
	const char *tmp = getenv("TMPDIR");
	snprintf(folder, sizeof(folder), "%s/shoal-test-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
	shm_guard_install();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder); /* fails if anything else was left there */
}

static struct shm_want want(size_t size)
{
	return (struct shm_want){
		.path = path, .magic = MAGIC, .layout = 1, .size = size, .mode = 0600
	};
}

static void format(void *base, size_t size, void *ctx)
{
	memset((char *)base + sizeof(struct shm_head), *(int *)ctx,
		size - sizeof(struct shm_head));
}

static void made_once_then_opened(void **state)
{
	(void)state;
	int fill = 'x';
	struct shm_want w = want(PAGE);
	w.format = format;
	w.ctx = &fill;
	struct shm a, b;
	assert_int_equal(shm_open_file(&a, &w, reason), SHM_CREATED);
	assert_string_equal(reason, "");
	fill = 'y';
	assert_int_equal(shm_open_file(&b, &w, reason), SHM_OPENED);
	assert_int_equal(((char *)b.base)[PAGE - 1], 'x');
	((char *)a.base)[PAGE - 1] = 'z';
	assert_int_equal(((char *)b.base)[PAGE - 1], 'z');
	const struct shm_head *head = b.base;
	assert_int_equal(head->size, PAGE);
	assert_true(head->created_s > 0);
	assert_true(shm_current(&a) && !shm_was_cut(&a) && !shm_replaced(&a));
	shm_close(&a);
	shm_close(&b);
	assert_null(b.base);
}

static void other_sizes_and_layouts_are_replaced_unless_in_use(void **state)
{
	(void)state;
	struct shm a, b, c;
	struct shm_want w = want(PAGE);
	assert_int_equal(shm_open_file(&a, &w, reason), SHM_CREATED);
	w.size = 2 * PAGE;
	w.any_size = true;
	assert_int_equal(shm_open_file(&b, &w, reason), SHM_OPENED);
	assert_int_equal(b.size, PAGE);
	shm_close(&a);
	shm_close(&b);
	assert_int_equal(shm_open_file(&a, &w, reason), SHM_CREATED);
	assert_int_equal(a.size, 2 * PAGE);
	assert_string_equal(reason, "it has another size");
	w.layout = 2;
	assert_int_equal(shm_open_file(&b, &w, reason), SHM_CREATED);
	assert_string_equal(reason, "it has another layout");
	assert_true(shm_replaced(&a));
	assert_false(shm_current(&a));
	w.fresh = true;
	assert_int_equal(shm_open_file(&c, &w, reason), SHM_CREATED);
	assert_true(shm_replaced(&b) && shm_current(&c) && !shm_current(&b));
	shm_close(&a);
	shm_close(&b);
	shm_close(&c);
}

static void readonly_looks_and_never_makes(void **state)
{
	(void)state;
	struct shm a, b;
	assert_int_equal(shm_open_readonly(&b, path, MAGIC, 1), -ENOENT);
	const struct shm_want w = want(PAGE);
	assert_int_equal(shm_open_file(&a, &w, reason), SHM_CREATED);
	assert_int_equal(shm_open_readonly(&b, path, MAGIC, 1), 0);
	assert_int_equal(b.size, PAGE);
	shm_close(&b);
	assert_int_equal(shm_open_readonly(&b, path, MAGIC, 2), -EPROTO);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(shm_open_readonly(&b, path, MAGIC, 1), -EPROTO);
	shm_close(&a);
}

static void a_cut_file_reads_as_zeros(void **state)
{
	(void)state;
	shm_guard_install(); /* the test frame put its own handler there */
	struct shm a;
	const struct shm_want w = want(4 * PAGE);
	assert_int_equal(shm_open_file(&a, &w, reason), SHM_CREATED);
	volatile char *bytes = a.base;
	bytes[3 * PAGE] = 'x';
	assert_int_equal(truncate(path, PAGE), 0);
	assert_int_equal(bytes[3 * PAGE], 0);
	bytes[2 * PAGE] = 'y';
	assert_true(shm_was_cut(&a));
	assert_false(shm_current(&a));
	shm_close(&a);
}

static void another_sigbus_still_kills(void **state)
{
	(void)state;
	fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0) {
		signal(SIGBUS, SIG_DFL);
		shm_guard_install();
		const int fd = open(path, O_RDWR | O_CREAT, 0600);
		if (fd < 0 || ftruncate(fd, PAGE) < 0)
			_exit(1);
		volatile char *bytes =
			mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (ftruncate(fd, 0) < 0)
			_exit(1);
		_exit(bytes[0]);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static void no_folder_means_private_memory(void **state)
{
	(void)state;
	struct shm a;
	struct shm_want w = want(PAGE);
	w.path = "/nonexistent/shm/file";
	assert_int_equal(shm_open_file(&a, &w, reason), SHM_ANONYMOUS);
	assert_string_equal(reason, "no file can be made: No such file or directory");
	((char *)a.base)[PAGE - 1] = 1;
	assert_true(shm_current(&a));
	shm_close(&a);
}

/* Many make the same file at once: in the end all have the same one. */
static void racing_makers_agree(void **state)
{
	(void)state;
	enum { MAKERS = 8 };
	struct shm mine;
	const struct shm_want w = want(PAGE);
	for (unsigned round = 0; round < 20; round++) {
		unlink(path);
		fflush(NULL);
		for (unsigned i = 0; i < MAKERS; i++) {
			if (fork() == 0) {
				const enum shm_result r =
					shm_open_file(&mine, &w, reason);
				_exit((r == SHM_OPENED || r == SHM_CREATED) &&
							shm_current(&mine)
						? 0
						: 1);
			}
		}
		for (unsigned i = 0; i < MAKERS; i++) {
			int status = -1;
			wait(&status);
			assert_int_equal(status, 0);
		}
	}
}

static void reserving_does_not_hide_a_cut(void **state)
{
	(void)state;
	struct shm a;
	const struct shm_want w = want(4 * PAGE);
	assert_int_equal(shm_open_file(&a, &w, reason), SHM_CREATED);
	assert_true(shm_current(&a));
	assert_int_equal(truncate(path, 3 * PAGE), 0);
	assert_int_equal(shm_reserve(&a), 0);
	assert_false(shm_current(&a));
	shm_close(&a);
}

/* Huge pages take the place of small ones under those who read and write them: here in two
 * mappings, where memory is a file (elsewhere only the blocks are reserved). */
static void what_is_being_written_stays_while_its_pages_grow(void **state)
{
	(void)state;
	enum { SIZE = 6 << 20, WORDS = 64, STEP = SIZE / WORDS, TIMES = 2000 };
	char in_memory[] = "/dev/shm/shoal-test-XXXXXX";
	const int fd = mkstemp(in_memory);
	struct shm a, b;
	struct shm_want w = want(SIZE);
	w.lazy = true;
	if (fd >= 0) {
		close(fd);
		unlink(in_memory);
		w.path = in_memory;
	}
	assert_int_equal(shm_open_file(&a, &w, reason), SHM_CREATED);
	assert_int_equal(shm_open_file(&b, &w, reason), SHM_OPENED);
	assert_int_equal((uintptr_t)a.base % (2 << 20), 0);
	uint8_t *mine = a.base, *theirs = b.base;
	const pid_t writer = fork();
	if (writer == 0) {
		for (unsigned n = 0; n < TIMES; n++)
			for (unsigned i = 1; i < WORDS; i++)
				__atomic_fetch_add(
					(uint64_t *)(void *)(theirs + i * STEP), 1,
					__ATOMIC_RELAXED);
		_exit(0);
	}
	assert_int_equal(shm_reserve(&a), 0);
	(void)shm_make_huge(&a); /* false: nothing of it here */
	(void)shm_make_huge(&b); /* again does no harm */
	assert_true(shm_reserved(&a));
	assert_int_equal(waitpid(writer, NULL, 0), writer);
	for (unsigned i = 1; i < WORDS; i++) {
		assert_int_equal(*(uint64_t *)(void *)(mine + i * STEP), TIMES);
		assert_int_equal(*(uint64_t *)(void *)(theirs + i * STEP), TIMES);
		assert_int_equal(mine[i * STEP + 8], 0);
	}
	shm_close(&a);
	shm_close(&b);
	unlink(w.path);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(made_once_then_opened),
		T(other_sizes_and_layouts_are_replaced_unless_in_use),
		T(readonly_looks_and_never_makes),
		T(a_cut_file_reads_as_zeros),
		T(another_sigbus_still_kills),
		T(no_folder_means_private_memory),
		T(racing_makers_agree),
		T(reserving_does_not_hide_a_cut),
		T(what_is_being_written_stays_while_its_pages_grow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
