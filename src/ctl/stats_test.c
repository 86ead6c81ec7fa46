/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/stats.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char run[] = "/tmp/shoal-stats-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	strcpy(run, "/tmp/shoal-stats-XXXXXX");
	return mkdtemp(run) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	char command[100];
	snprintf(command, sizeof(command), "rm -r %s", run);
	return system(command);
}

static void path_of(char out[static 4096], const char *name)
{
	assert_true(stats_path(out, run, name));
}

static void put_file(const char *name, const void *data, size_t len)
{
	char path[4096];
	path_of(path, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static void stats_show_what_the_writer_counts(void **state)
{
	(void)state;
	struct shm shm;
	struct stats_block got, *b = stats_open(run, "dns1", &shm);
	assert_non_null(b);
	b->state = STATE_READY;
	counter_add(&b->counters, queries, 42);
	snprintf(b->sockets, sizeof(b->sockets), "udp 127.0.0.1@53");
	assert_true(stats_read(run, "dns1", &got));
	assert_string_equal(got.name, "dns1");
	assert_int_equal(got.pid, getpid());
	assert_int_equal(got.counters.queries, 42);
	assert_int_equal(got.restarts, 0);
	assert_true(stats_alive(&got));
	char path[4096];
	struct stat st;
	path_of(path, "dns1");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_false(stats_read(run, "dns2", &got));
	assert_false(stats_read(run, "../stats/dns1", &got));
	shm_close(&shm);
}

static void stats_restarts_go_on_and_counters_begin_anew(void **state)
{
	(void)state;
	struct shm old, new;
	struct stats_block got, *b = stats_open(run, "1", &old);
	b->counters.queries = 7;
	struct stats_block *c = stats_open(run, "1", &new);
	assert_int_equal(c->restarts, 1);
	assert_int_equal(c->counters.queries, 0);
	b->counters.queries = 8; /* still the predecessor's own memory */
	assert_true(stats_read(run, "1", &got));
	assert_int_equal(got.counters.queries, 0);
	shm_close(&old);
	c->state = STATE_STOPPED; /* a start after this one is nobody's failure */
	shm_close(&new);
	assert_int_equal(stats_open(run, "1", &new)->restarts, 1);
	shm_close(&new);
}

/* What the file tells of one whose start failed: it is no stop in order, and the sockets that
 * are kept for its name remain known. */
static void stats_tell_a_failed_start(void **state)
{
	(void)state;
	struct shm shm;
	struct stats_block got, *b = stats_open(run, "1", &shm);
	b->state = STATE_READY;
	b->cookies[0] = 77;
	shm_close(&shm); /* killed */
	for (unsigned i = 1; i <= 3; i++) {
		b = stats_open(run, "1", &shm);
		assert_int_equal(b->quick_deaths, i);
		stats_close(&shm, "no certificate");
		assert_true(stats_read(run, "1", &got));
		assert_int_equal(got.state, STATE_STARTING);
		assert_string_equal(got.notes, "ended: no certificate");
		assert_int_equal(got.cookies[0], 77);
	}
	b = stats_open(run, "1", &shm);
	assert_string_equal(b->notes, "");
	stats_close(&shm, NULL);
	assert_true(stats_read(run, "1", &got));
	assert_int_equal(got.state, STATE_STOPPED);
}

/* A predecessor that serves is seen until its successor is ready, or for good. */
static void stats_of_who_is_not_ready_hide_nobody(void **state)
{
	(void)state;
	struct shm old, new;
	struct stats_block got, *b = stats_open(run, "1", &old);
	b->state = STATE_READY;
	for (int i = 0; i < 3; i++) {
		const pid_t pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			struct stats_block *c = stats_open(run, "1", &new);
			const bool hidden =
				c && stats_read(run, "1", &got) && got.pid == getppid();
			if (i == 1 && c)
				stats_publish(run, &new);
			if (i == 2 && c)
				stats_close(&new, NULL);
			_exit(hidden ? 0 : 1); /* 0, 1: as if killed */
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_true(stats_read(run, "1", &got));
		assert_int_equal(got.pid, i == 1 ? pid : getpid());
		if (i != 1)
			continue;
		/* its file was published, and nobody lives who writes it: ours again */
		b->beat_mono_us = 77;
		stats_reclaim(run, &old);
		assert_ptr_equal(old.base, b);
		assert_true(stats_read(run, "1", &got));
		assert_int_equal(got.pid, getpid());
		assert_int_equal(got.beat_mono_us, 77);
		b->beat_mono_us = 78; /* and what is written is seen */
		stats_reclaim(run, &old);
		assert_true(stats_read(run, "1", &got));
		assert_int_equal(got.beat_mono_us, 78);
	}
	char folder[4096], names[4][64];
	path_of(folder, "");
	size_t files = 0;
	DIR *d = opendir(folder);
	for (struct dirent *e; (e = readdir(d));)
		files += e->d_name[0] == '.' && e->d_name[1] == '1';
	closedir(d);
	assert_int_equal(
		files, 0); /* the next one of the name cleared the killed one's */
	assert_int_equal(stats_names(run, names, 4), 1);
	shm_close(&old);
}

static void stats_count_quick_deaths_in_a_row(void **state)
{
	(void)state;
	struct shm shm;
	struct stats_block *b;
	for (uint32_t i = 0; i < 3; i++) {
		b = stats_open(run, "1", &shm);
		assert_int_equal(b->quick_deaths, i);
		b->state = STATE_READY;
		shm_close(&shm);
	}
	b = stats_open(run, "1", &shm);
	b->beat_mono_us += 20000000; /* this one lived */
	shm_close(&shm);
	b = stats_open(run, "1", &shm);
	assert_int_equal(b->quick_deaths, 0);
	b->state = STATE_STOPPED; /* and this one was asked to go */
	shm_close(&shm);
	b = stats_open(run, "1", &shm);
	assert_int_equal(b->quick_deaths, 0);
	shm_close(&shm);
}

static void stats_backoff_doubles_to_ten_seconds(void **state)
{
	(void)state;
	const int64_t want[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000,
		10000 };
	struct stats_block before = { .state = STATE_READY };
	for (; before.quick_deaths < 10; before.quick_deaths++)
		assert_int_equal(stats_backoff_ms(&before), want[before.quick_deaths]);
	before.quick_deaths = UINT32_MAX;
	assert_int_equal(stats_backoff_ms(&before), 10000);
	before.beat_mono_us = 20000000; /* many died young, but the last one lived */
	assert_int_equal(stats_backoff_ms(&before), 0);
	before.beat_mono_us = 0;
	before.state = STATE_STOPPED;
	assert_int_equal(stats_backoff_ms(&before), 0);
}

static void stats_read_refuses_every_damage(void **state)
{
	(void)state;
	struct shm shm;
	struct stats_block good, bad, got, *b = stats_open(run, "1", &shm);
	good = *b;
	shm_close(&shm);
	put_file("1", &good, sizeof(good));
	assert_true(stats_read(run, "1", &got));
	for (size_t len = 0; len < sizeof(good); len += 97) {
		put_file("1", &good, len);
		assert_false(stats_read(run, "1", &got));
	}
	bad = good;
	bad.head.magic ^= 1;
	put_file("1", &bad, sizeof(bad));
	assert_false(stats_read(run, "1", &got));
	bad = good;
	bad.head.layout++;
	put_file("1", &bad, sizeof(bad));
	assert_false(stats_read(run, "1", &got));
	bad = good;
	bad.counter_count++;
	put_file("1", &bad, sizeof(bad));
	assert_false(stats_read(run, "1", &got));
	bad = good;
	bad.state = 99;
	put_file("1", &bad, sizeof(bad));
	assert_false(stats_read(run, "1", &got));
	put_file("2", &good, sizeof(good)); /* another's name */
	assert_false(stats_read(run, "2", &got));
}

static void stats_texts_move_no_cursor(void **state)
{
	(void)state;
	struct shm shm;
	struct stats_block got, *b = stats_open(run, "1", &shm);
	memset(b->notes, 'x', sizeof(b->notes)); /* and no end */
	strcpy(b->sockets, "udp \033[2J\ntcp");
	assert_true(stats_read(run, "1", &got));
	assert_int_equal(strlen(got.notes), sizeof(got.notes) - 1);
	assert_string_equal(got.sockets, "udp ?[2J\ntcp");
	shm_close(&shm);
}

static void stats_alive_is_not_fooled_by_a_reused_pid(void **state)
{
	(void)state;
	struct shm shm;
	struct stats_block *b = stats_open(run, "1", &shm);
	assert_true(stats_alive(b));
	b->pid_start++;
	assert_false(stats_alive(b));
	shm_close(&shm);

	const pid_t child = fork();
	if (child == 0)
		_exit(0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	struct stats_block dead = { .pid = child };
	char letter;
	assert_true(stats_process_start(child, &letter, &dead.pid_start));
	assert_false(stats_alive(&dead)); /* a zombie */
	waitpid(child, NULL, 0);
	assert_false(stats_alive(&dead));
	dead.pid = 0;
	assert_false(stats_alive(&dead));
}

static void stats_names_sort_numbers_by_value(void **state)
{
	(void)state;
	const char *made[] = { "10", "web", "2", "1", "dns2", "dns1", ".hidden.9" };
	const char *want[] = { "1", "2", "10", "dns1", "dns2", "web" };
	char names[16][64], folder[64];
	assert_int_equal(stats_names(run, names, 16), 0);
	snprintf(folder, sizeof(folder), "%s/stats", run);
	mkdir(folder, 0755);
	for (size_t i = 0; i < 7; i++)
		put_file(made[i], "", 0);
	assert_int_equal(stats_names(run, names, 16), 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(names[i], want[i]);
	assert_int_equal(stats_names(run, names, 3), 3);
}

static void stats_name_valid_keeps_to_one_folder(void **state)
{
	(void)state;
	assert_true(stats_name_valid("1"));
	assert_true(stats_name_valid("dns-1.example@x:y"));
	assert_false(stats_name_valid(""));
	assert_false(stats_name_valid("."));
	assert_false(stats_name_valid(".."));
	assert_false(stats_name_valid("-n"));
	assert_false(stats_name_valid("a/b"));
	assert_false(stats_name_valid("a b"));
	assert_false(stats_name_valid("\xc3\xa9"));
	char longest[65];
	memset(longest, 'a', 64);
	longest[64] = 0;
	assert_false(stats_name_valid(longest));
	longest[63] = 0;
	assert_true(stats_name_valid(longest));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(stats_show_what_the_writer_counts),
		T(stats_restarts_go_on_and_counters_begin_anew),
		T(stats_tell_a_failed_start),
		T(stats_of_who_is_not_ready_hide_nobody),
		T(stats_count_quick_deaths_in_a_row),
		T(stats_backoff_doubles_to_ten_seconds),
		T(stats_read_refuses_every_damage),
		T(stats_texts_move_no_cursor),
		T(stats_alive_is_not_fooled_by_a_reused_pid),
		T(stats_names_sort_numbers_by_value),
		T(stats_name_valid_keeps_to_one_folder),
	};
#undef T
	return cmocka_run_group_tests(tests, NULL, NULL);
}
