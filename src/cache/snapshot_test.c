/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes back from the disk: what was there, never what was cleared. */
#include "cache/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "cache/test_help.h"

enum { NAMES = 2000 };

static void storage(const struct help *h, char out[static 256], const char *file)
{
	snprintf(out, 256, "%s/disk%s%s", h->folder, file ? "/" : "", file ? file : "");
}

static struct snapshot *open_it(struct help *h)
{
	char folder[256];
	storage(h, folder, NULL);
	struct snapshot *s = snapshot_open(h->cache, folder, &h->now);
	assert_non_null(s);
	return s;
}

static void fill(struct help *h)
{
	for (unsigned i = 0; i < NAMES; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.test", i);
		assert_true(help_put(h, name, 1, name));
	}
}

static unsigned count(struct help *h)
{
	unsigned right = 0;
	for (unsigned i = 0; i < NAMES; i++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.test", i);
		const char *got = help_get(h, name, 1);
		if (got)
			assert_string_equal(got, name);
		right += got != NULL;
	}
	return right;
}

static void write_now(struct help *h, struct snapshot *s)
{
	uint64_t entries = 0;
	assert_int_equal(snapshot_write(s, &h->now, &entries), 0);
	assert_true(entries > 0);
}

/* As after a reboot: nothing in the run folder. */
static struct snapshot *reboot(struct help *h, struct snapshot *s)
{
	char command[300];
	snapshot_close(s);
	cache_close(h->cache);
	snprintf(command, sizeof(command), "rm -rf '%s/shm'", h->folder);
	assert_int_equal(system(command), 0);
	h->now.wall_ms += 60000;
	h->cache = help_open(h, 4 * 1024 * 1024);
	s = open_it(h);
	while (snapshot_restore(s, &h->now))
		;
	return s;
}

static void entries_come_back_after_a_reboot(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	fill(h);
	write_now(h, s);
	s = reboot(h, s);
	assert_int_equal(count(h), NAMES);
	assert_int_equal(snapshot_numbers(s).restored, NAMES);
	/* with their age: they expire when they would have */
	h->now.wall_ms += INT64_C(1000) * (DAY - 61);
	assert_int_equal(count(h), NAMES);
	h->now.wall_ms += 2000;
	assert_int_equal(count(h), 0);
	/* a segment that is there is not filled again */
	assert_false(snapshot_restore(s, &h->now));
	snapshot_close(s);
}

static void newer_entries_stay(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	fill(h);
	write_now(h, s);
	char command[300];
	snapshot_close(s);
	cache_close(h->cache);
	snprintf(command, sizeof(command), "rm -rf '%s/shm'", h->folder);
	assert_int_equal(system(command), 0);
	h->cache = help_open(h, 4 * 1024 * 1024);
	assert_true(help_put(h, "n7.test", 1, "newer"));
	s = open_it(h);
	while (snapshot_restore(s, &h->now))
		;
	assert_string_equal(help_get(h, "n7.test", 1), "newer");
	assert_string_equal(help_get(h, "n8.test", 1), "n8.test");
	snapshot_close(s);
}

static void what_was_cleared_never_comes_back(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	fill(h);
	assert_true(cache_clear(h->cache, help_name("n1.test"), false, 0));
	write_now(h, s);
	s = reboot(h, s);
	assert_null(help_get(h, "n1.test", 1));
	assert_int_equal(count(h), NAMES - 1);
	/* a clear after the snapshot, even by one who knows no folder */
	struct cache *other = help_open(h, 4 * 1024 * 1024);
	write_now(h, s);
	assert_true(cache_clear(other, help_name("n2.test"), false, 0));
	cache_close(other);
	s = reboot(h, s);
	assert_null(help_get(h, "n2.test", 1));
	assert_int_equal(count(h), NAMES - 2);
	/* and one while it is being filled */
	fill(h);
	write_now(h, s);
	char command[300];
	snapshot_close(s);
	cache_close(h->cache);
	snprintf(command, sizeof(command), "rm -rf '%s/shm'", h->folder);
	assert_int_equal(system(command), 0);
	h->now.wall_ms += 60000;
	h->cache = help_open(h, 4 * 1024 * 1024);
	s = open_it(h);
	snapshot_restore(s, &h->now);
	assert_true(cache_clear(h->cache, help_name("test"), true, 0));
	while (snapshot_restore(s, &h->now))
		;
	assert_int_equal(count(h), 0);
	cache_epoch_raise(h->cache);
	snapshot_close(s);
}

static void an_epoch_raised_since_refuses_it(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	fill(h);
	write_now(h, s);
	cache_epoch_raise(h->cache);
	s = reboot(h, s);
	assert_int_equal(count(h), 0);
	snapshot_close(s);
}

static void damage_costs_entries_and_no_more(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	char path[256];
	storage(h, path, "cache-v1.snapshot");
	unsigned least = NAMES;
	for (unsigned round = 0; round < 20; round++) {
		cache_clear_all(h->cache);
		fill(h);
		write_now(h, s);
		struct stat st;
		assert_int_equal(stat(path, &st), 0);
		int fd = open(path, O_RDWR);
		for (unsigned i = 0; i < 30; i++) {
			uint8_t byte = 0;
			const off_t at =
				72 + random_below(&h->rnd, (uint32_t)st.st_size - 72);
			assert_int_equal(pread(fd, &byte, 1, at), 1);
			byte ^= (uint8_t)(1u << random_below(&h->rnd, 8));
			assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		}
		if (round % 4 == 1)
			assert_int_equal(ftruncate(fd, st.st_size / 2), 0);
		fd_close(&fd);
		s = reboot(h, s);
		const unsigned left = count(h);
		assert_true(left >= (round % 4 == 1 ? NAMES / 2 - 40 : NAMES - 31));
		least = left < least ? left : least;
	}
	assert_true(least < NAMES);
	/* others' files and other kinds are not read */
	write_now(h, s);
	assert_int_equal(chmod(path, 0644), 0);
	s = reboot(h, s);
	assert_int_equal(count(h), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	s = reboot(h, s);
	snapshot_close(s);
}

static void clears_of_every_kind_stay_cleared(void **state)
{
	struct help *h = *state;
	static const uint8_t target[] = "\1t\5other\4test";
	struct snapshot *s = open_it(h);
	fill(h);
	const struct cache_key alias = help_key("alias.test", 1);
	struct cache_meta meta = help_meta(h, DAY);
	meta.deps = target;
	meta.deps_len = sizeof(target);
	assert_true(
		cache_put(h->cache, &alias, &h->now, &meta, (const uint8_t *)"a", 1));
	assert_true(help_put(h, "a.sub.test", 1, "a"));
	assert_true(help_put(h, "a.sub.test", 28, "aaaa"));
	assert_true(help_put(h, "b.sub.test", 28, "aaaa"));
	write_now(h, s);
	assert_true(cache_clear(h->cache, help_name("other.test"), true, 0));
	assert_true(cache_clear(h->cache, help_name("a.sub.test"), false, 28));
	s = reboot(h, s);
	assert_null(help_get(h, "alias.test", 1));
	assert_null(help_get(h, "a.sub.test", 28));
	assert_string_equal(help_get(h, "a.sub.test", 1), "a");
	assert_string_equal(help_get(h, "b.sub.test", 28), "aaaa");
	assert_int_equal(count(h), NAMES);
	/* what was stored after a clear is not concerned, in whatever order they went to
	 * the disk; nor are clears of the time before the last snapshot */
	assert_true(help_put(h, "a.sub.test", 28, "new"));
	write_now(h, s);
	s = reboot(h, s);
	assert_string_equal(help_get(h, "a.sub.test", 28), "new");
	assert_true(cache_clear_all(h->cache));
	assert_true(help_put(h, "a.sub.test", 28, "newer"));
	s = reboot(h, s);
	assert_null(help_get(h, "a.sub.test", 28));
	assert_int_equal(count(h), 0);
	snapshot_close(s);
}

static off_t list_size(const struct help *h)
{
	char path[256];
	struct stat st;
	storage(h, path, "cache-v1.cleared");
	return stat(path, &st) == 0 ? st.st_size : 0;
}

static void the_list_of_clears_is_bounded(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	fill(h);
	write_now(h, s);
	off_t most = 0;
	for (unsigned i = 0; i < 5000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "x%u.example", i);
		assert_true(cache_clear(h->cache, help_name(name), false, 0));
		most = list_size(h) > most ? list_size(h) : most;
	}
	assert_true(most >= 1024 * 288 && most <= 1024 * 288);
	s = reboot(h, s);
	assert_int_equal(count(h), 0); /* too many to tell */
	fill(h);
	write_now(h, s);
	assert_int_equal(list_size(h), 0);
	assert_true(cache_clear(h->cache, help_name("n1.test"), false, 0));
	s = reboot(h, s);
	assert_int_equal(count(h), NAMES - 1);
	snapshot_close(s);
}

/* While a snapshot is written others clear: nothing of it comes back, nothing is voided. */
static void clears_during_a_snapshot_hold(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	for (unsigned round = 0; round < 10; round++) {
		fill(h);
		fflush(NULL);
		const pid_t pid = fork();
		if (pid == 0) {
			for (unsigned i = 0; i < 200; i++) {
				char name[32];
				snprintf(name, sizeof(name), "n%u.test", i * 10);
				cache_clear(h->cache, help_name(name), false, 0);
			}
			_exit(0);
		}
		for (unsigned i = 0; i < 5; i++)
			write_now(h, s);
		int status = -1;
		waitpid(pid, &status, 0);
		assert_int_equal(status, 0);
		s = reboot(h, s);
		for (unsigned i = 0; i < 200; i++) {
			char name[32];
			snprintf(name, sizeof(name), "n%u.test", i * 10);
			assert_null(help_get(h, name, 1));
		}
		assert_int_equal(count(h), NAMES - 200);
	}
	snapshot_close(s);
}

static void the_last_to_leave_writes_one(void **state)
{
	struct help *h = *state;
	char path[256];
	storage(h, path, "cache-v1.snapshot");
	struct snapshot *s = open_it(h);
	struct cache *other = help_open(h, 4 * 1024 * 1024);
	fill(h);
	snapshot_last(s, 5000000, &h->now);
	struct stat st;
	assert_int_equal(stat(path, &st), -1); /* another goes on */
	snapshot_close(s);
	cache_close(h->cache);
	h->cache = other;
	s = open_it(h);
	snapshot_last(s, 5000000, &h->now);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(snapshot_numbers(s).error, 0);
	s = reboot(h, s);
	assert_int_equal(count(h), NAMES);
	snapshot_close(s);
}

static void who_will_leave_alone_writes_it_first(void **state)
{
	struct help *h = *state;
	char path[256];
	storage(h, path, "cache-v1.snapshot");
	struct stat st;
	struct snapshot *s = open_it(h);
	struct cache *other = help_open(h, 4 * 1024 * 1024);
	fill(h);
	snapshot_stopping(s, &h->now);
	assert_true(
		snapshot_is_written(s, &h->now)); /* another goes on: nothing begun */
	assert_int_equal(stat(path, &st), -1);
	cache_close(other);
	snapshot_stopping(s, &h->now);
	assert_true(help_put(h, "meanwhile.test", 1, "served"));
	assert_string_equal(help_get(h, "meanwhile.test", 1), "served");
	for (unsigned i = 0; i < 1000 && !snapshot_is_written(s, &h->now); i++)
		usleep(20000);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	snapshot_last(s, 5000000, &h->now); /* was done */
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(snapshot_numbers(s).error, 0);
	snapshot_close(s);
}

/* Only the page cache has it until then. */
static void a_clear_is_on_disk_before_it_is_acknowledged(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	assert_true(cache_settle_clears(h->cache)); /* nothing to wait for */
	for (unsigned i = 0; i < 3; i++) {
		assert_true(cache_clear(h->cache, help_name("x"), false, 0));
		/* a disk may be slow: then it goes on behind our back */
		for (unsigned n = 0; n < 600 && !cache_settle_clears(h->cache); n++)
			;
		assert_true(cache_settle_clears(h->cache));
	}
	snapshot_close(s);
}

static void too_many_clears_void_it_and_are_counted(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	fill(h);
	write_now(h, s);
	for (unsigned i = 0; i < 1024; i++)
		cache_clear(h->cache, help_name("x"), false, 0);
	assert_int_equal(h->counters.snapshots_voided, 0);
	cache_clear(h->cache, help_name("x"), false, 0);
	assert_int_equal(h->counters.snapshots_voided, 1);
	s = reboot(h, s);
	assert_int_equal(count(h), 0);
	snapshot_close(s);
}

static void a_child_fills_a_new_segment(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	char command[300];
	fill(h);
	write_now(h, s);
	snapshot_close(s);
	cache_close(h->cache);
	snprintf(command, sizeof(command), "rm -rf '%s/shm'", h->folder);
	assert_int_equal(system(command), 0);
	h->cache = help_open(h, 4 * 1024 * 1024);
	s = open_it(h);
	snapshot_tick(s, &h->now);
	for (unsigned i = 0; i < 3000 && count(h) < NAMES; i++)
		usleep(20000);
	assert_int_equal(count(h), NAMES);
	snapshot_tick(s, &h->now);
	snapshot_close(s);
}

static void a_damaged_list_of_clears_refuses_it(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	char path[256];
	fill(h);
	write_now(h, s);
	cache_clear(h->cache, help_name("x"), false, 0);
	storage(h, path, "cache-v1.cleared");
	cache_clear(h->cache, help_name("y"), false, 0);
	assert_int_equal(truncate(path, 150), 0);
	s = reboot(h, s);
	assert_int_equal(count(h), 0);
	/* the next snapshot is as good as any */
	fill(h);
	write_now(h, s);
	s = reboot(h, s);
	assert_int_equal(count(h), NAMES);
	snapshot_close(s);
}

static void wait_for_child(struct help *h, struct snapshot *s)
{
	snapshot_tick(s, &h->now);
	for (unsigned i = 0; i < 3000 && !snapshot_numbers(s).written_s; i++) {
		usleep(20000);
		snapshot_tick(s, &h->now);
	}
}

static void a_clock_set_back_does_not_put_it_off(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	struct stat st;
	char path[256];
	storage(h, path, "cache-v1.snapshot");
	h->now.mono_us += INT64_C(61000000);
	h->now.wall_ms -= INT64_C(86400000);
	wait_for_child(h, s);
	assert_int_equal(stat(path, &st), 0);
	snapshot_close(s);
}

static void a_child_writes_it_when_it_is_time(void **state)
{
	struct help *h = *state;
	struct snapshot *s = open_it(h);
	struct stat st;
	char path[256];
	storage(h, path, "cache-v1.snapshot");
	fill(h);
	snapshot_tick(s, &h->now);
	usleep(100000);
	assert_int_equal(stat(path, &st), -1);
	h->now.mono_us += INT64_C(61000000);
	h->now.wall_ms += 61000;
	wait_for_child(h, s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(snapshot_numbers(s).error, 0);
	s = reboot(h, s);
	assert_int_equal(count(h), NAMES);
	snapshot_close(s);
}

static int on_a_full_disk(struct help *h)
{
	char folder[256];
	storage(h, folder, NULL);
	mkdir(folder, 0700);
	if (unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", folder, "tmpfs", 0, "size=512k") < 0)
		return 77;
	struct snapshot *s = open_it(h);
	uint64_t entries = 0;
	fill(h);
	write_now(h, s);
	/* more than half of the disk: it does not fit beside the first */
	for (unsigned i = 0; i < 300; i++) {
		char name[32], text[1000];
		snprintf(name, sizeof(name), "big%u.test", i);
		memset(text, 'x', sizeof(text));
		text[999] = 0;
		assert_true(help_put(h, name, 1, text));
	}
	assert_int_equal(snapshot_write(s, &h->now, &entries), -ENOSPC);
	s = reboot(h, s);
	assert_int_equal(count(h), NAMES);
	snapshot_close(s);
	return 0;
}

static void a_full_disk_leaves_the_one_before(void **state)
{
	struct help *h = *state;
	fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0)
		_exit(on_a_full_disk(h));
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void a_folder_that_cannot_be_is_no_snapshot(void **state)
{
	struct help *h = *state;
	struct snapshot *s = snapshot_open(h->cache, "/proc/no/such", &h->now);
	assert_non_null(s);
	assert_false(snapshot_restore(s, &h->now));
	h->now.wall_ms += 1000000;
	snapshot_tick(s, &h->now);
	snapshot_close(s);
	assert_true(cache_clear_all(h->cache));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)
	const struct CMUnitTest tests[] = {
		T(entries_come_back_after_a_reboot),
		T(newer_entries_stay),
		T(what_was_cleared_never_comes_back),
		T(an_epoch_raised_since_refuses_it),
		T(damage_costs_entries_and_no_more),
		T(clears_of_every_kind_stay_cleared),
		T(the_list_of_clears_is_bounded),
		T(clears_during_a_snapshot_hold),
		T(the_last_to_leave_writes_one),
		T(who_will_leave_alone_writes_it_first),
		T(a_clear_is_on_disk_before_it_is_acknowledged),
		T(too_many_clears_void_it_and_are_counted),
		T(a_child_fills_a_new_segment),
		T(a_damaged_list_of_clears_refuses_it),
		T(a_child_writes_it_when_it_is_time),
		T(a_clock_set_back_does_not_put_it_off),
		T(a_full_disk_leaves_the_one_before),
		T(a_folder_that_cannot_be_is_no_snapshot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
