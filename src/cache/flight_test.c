/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fetches joined by several instances: some in one process, each with its own table,
 * some in processes that stop and die. */
#include "cache/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "cache/test_help.h"

enum { LEASE = 800000, WOKEN_MAX = 4096 };

static const struct fetch_key key = { { 1, 2 } };

/* One instance and what its waiters were told. */
struct instance {
	struct fetch_table *table;
	unsigned results, take_overs;
	char text[32];
	size_t len;
};

static void woken(
	void *ctx, void *waiter, enum fetch_wake what, const uint8_t *bytes, size_t n)
{
	struct instance *in = ctx;
	(void)waiter;
	if (what == FETCH_WAKE_TAKE_OVER) {
		in->take_overs++;
		return;
	}
	in->results++;
	in->len = n;
	memset(in->text, 0, sizeof(in->text));
	if (n)
		memcpy(in->text, bytes, n < 31 ? n : 31);
}

static void start(struct help *h, struct instance *in)
{
	*in = (struct instance){ 0 };
	in->table = fetch_table_new(4096, woken, in);
	assert_non_null(in->table);
	assert_true(fetch_share(in->table, h->folder, &h->rnd));
	assert_true(fetch_numbers(in->table).shared);
}

static const uint8_t *pkt;
static size_t len;

static enum fetch_role join(struct help *h, struct instance *in,
	const struct fetch_key *k, struct fetch **out)
{
	return fetch_join(in->table, k, &h->now, LEASE, in, out, &pkt, &len);
}

static void publish(
	struct help *h, struct instance *in, struct fetch *own, const char *text)
{
	fetch_publish(in->table, own, &h->now, (const uint8_t *)text, strlen(text) + 1);
}

static bool was_woken(struct instance *in)
{
	struct pollfd p = { .fd = fetch_fd(in->table), .events = POLLIN };
	assert_true(p.fd >= 0);
	return poll(&p, 1, 0) == 1;
}

static void waiters_of_all_instances_get_what_one_publishes(void **state)
{
	struct help *h = *state;
	struct instance in[4];
	struct fetch *own, *f;
	for (unsigned i = 0; i < 4; i++)
		start(h, &in[i]);
	assert_int_equal(join(h, &in[0], &key, &own), FETCH_OWNER);
	assert_int_equal(join(h, &in[0], &key, &f), FETCH_WAITER);
	for (unsigned i = 1; i < 4; i++)
		for (unsigned k = 0; k < 10; k++)
			assert_int_equal(join(h, &in[i], &key, &f), FETCH_WAITER);
	fetch_moved(in[1].table, &h->now);
	assert_int_equal(in[1].results + in[1].take_overs, 0);
	assert_false(was_woken(&in[1]));
	publish(h, &in[0], own, "bytes");
	assert_int_equal(in[0].results, 1);
	for (unsigned i = 1; i < 4; i++) {
		assert_true(was_woken(&in[i]));
		fetch_moved(in[i].table, &h->now);
		assert_false(was_woken(&in[i]));
		assert_int_equal(in[i].results, 10);
		assert_string_equal(in[i].text, "bytes");
		assert_int_equal(in[i].take_overs, 0);
	}
	/* late comers, for a second */
	assert_int_equal(join(h, &in[3], &key, &f), FETCH_RESULT);
	assert_string_equal((const char *)pkt, "bytes");
	h->now.mono_us += 1001000;
	for (unsigned i = 0; i < 4; i++)
		fetch_tick(in[i].table, &h->now);
	assert_int_equal(join(h, &in[2], &key, &own), FETCH_OWNER);
	assert_int_equal(join(h, &in[0], &key, &f), FETCH_WAITER);
	for (unsigned i = 0; i < 4; i++)
		fetch_table_free(in[i].table);
}

static void what_one_gives_up_another_takes_over(void **state)
{
	struct help *h = *state;
	struct instance a, b, c;
	struct fetch *own, *f, *g;
	start(h, &a);
	start(h, &b);
	start(h, &c);
	assert_int_equal(join(h, &a, &key, &own), FETCH_OWNER);
	assert_int_equal(join(h, &b, &key, &f), FETCH_WAITER);
	assert_int_equal(join(h, &c, &key, &g), FETCH_WAITER);
	fetch_abandon(a.table, own, &h->now);
	assert_true(was_woken(&b) && was_woken(&c));
	fetch_moved(b.table, &h->now);
	fetch_moved(c.table, &h->now);
	assert_int_equal(b.take_overs, 1);
	assert_int_equal(c.take_overs, 0);
	publish(h, &b, f, "b");
	fetch_moved(c.table, &h->now);
	assert_string_equal(c.text, "b");
	/* whose waiters all left, and whose table went, is not waited for */
	const struct fetch_key other = { { 3, 4 } };
	assert_int_equal(join(h, &a, &other, &own), FETCH_OWNER);
	assert_int_equal(join(h, &b, &other, &f), FETCH_WAITER);
	fetch_leave(b.table, f);
	assert_int_equal(join(h, &c, &other, &g), FETCH_WAITER);
	fetch_table_free(a.table);
	fetch_tick(c.table, &h->now);
	assert_int_equal(c.take_overs, 1);
	fetch_table_free(b.table);
	fetch_table_free(c.table);
}

/* A loop that does not turn: its lease ends in 300 ms; its late answer still counts. */
static void a_stalled_owner_loses_the_lease_and_one_that_works_keeps_it(void **state)
{
	struct help *h = *state;
	struct instance a, b, c;
	struct fetch *own, *f, *g;
	start(h, &a);
	start(h, &b);
	start(h, &c);
	assert_int_equal(join(h, &a, &key, &own), FETCH_OWNER);
	assert_int_equal(join(h, &b, &key, &f), FETCH_WAITER);
	assert_int_equal(join(h, &c, &key, &g), FETCH_WAITER);
	for (unsigned i = 0; i < 15; i++) { /* 750 ms with ticks */
		h->now.mono_us += 50000;
		fetch_tick(a.table, &h->now);
		fetch_tick(b.table, &h->now);
		assert_int_equal(b.take_overs, 0);
	}
	/* its whole lease of 800 ms would last 50 ms more, whatever it does */
	h->now.mono_us += 51000;
	fetch_tick(b.table, &h->now);
	fetch_tick(c.table, &h->now);
	assert_int_equal(b.take_overs, 1);
	assert_int_equal(c.take_overs, 0);
	assert_int_equal(fetch_numbers(b.table).taken_over, 1);
	assert_false(fetch_owns(a.table, own, &h->now));
	assert_true(fetch_owns(b.table, f, &h->now));
	publish(h, &a, own, "late");
	fetch_moved(c.table, &h->now);
	assert_string_equal(c.text, "late");
	publish(h, &b, f, "second");
	for (unsigned i = 0; i < 3; i++)
		fetch_tick(c.table, &h->now);
	assert_int_equal(c.results, 1);
	fetch_table_free(a.table);
	fetch_table_free(b.table);
	fetch_table_free(c.table);
}

static pid_t owner_process(struct help *h, int ready)
{
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	struct instance in;
	struct fetch *own;
	start(h, &in);
	join(h, &in, &key, &own);
	(void)!write(ready, "", 1);
	for (;;) { /* renews for ever */
		usleep(20000);
		h->now = clock_read();
		fetch_tick(in.table, &h->now);
	}
}

/* How long until it is ours, in ms. `lease`: it may end; else our clock hardly moves, so that
 * only the owner's death tells. */
static int64_t take_over_time(struct help *h, struct instance *in, bool lease)
{
	const int64_t start_us = clock_read().mono_us;
	const unsigned before = in->take_overs, tries = lease ? 6000 : 40;
	for (unsigned i = 0; in->take_overs == before && i < tries; i++) {
		usleep(5000);
		if (lease)
			h->now = clock_read();
		else
			h->now.mono_us += 5000;
		fetch_tick(in->table, &h->now);
	}
	return (clock_read().mono_us - start_us) / 1000;
}

static void killed_and_stopped_owners_are_noticed(void **state)
{
	struct help *h = *state;
	int pipes[2];
	char byte;
	assert_int_equal(pipe(pipes), 0);
	for (unsigned round = 0; round < 2; round++) {
		/* our clock stands: a busy machine may keep the owner from renewing */
		h->now = clock_read();
		fflush(NULL);
		const pid_t pid = owner_process(h, pipes[1]);
		assert_int_equal(read(pipes[0], &byte, 1), 1);
		struct instance in;
		struct fetch *f;
		start(h, &in);
		assert_int_equal(join(h, &in, &key, &f), FETCH_WAITER);
		usleep(100000);
		fetch_tick(in.table, &h->now);
		assert_int_equal(in.take_overs, 0);
		kill(pid, round ? SIGSTOP : SIGKILL);
		if (!round)
			waitpid(pid, NULL, 0);
		const int64_t ms = take_over_time(h, &in, round == 1);
		print_message("%s owner: taken over after %ld ms\n",
			round ? "stopped" : "killed", (long)ms);
		assert_int_equal(in.take_overs, 1);
		publish(h, &in, f, "mine");
		fetch_table_free(in.table);
		kill(pid, SIGKILL);
		if (round)
			waitpid(pid, NULL, 0);
		h->now.mono_us += 2000000;
		usleep(1100000);
	}
	close(pipes[0]);
	close(pipes[1]);
}

/* Bits flip under two instances: each result belongs to its key, whatever happens. */
static void damage_never_gives_a_wrong_result(void **state)
{
	struct help *h = *state;
	struct instance a, b;
	start(h, &a);
	start(h, &b);
	char path[200];
	snprintf(path, sizeof(path), "%s/shm/fetches-v%d", h->folder, FLIGHT_LAYOUT);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	const int fd = open(path, O_RDWR);
	const size_t size = (size_t)st.st_size;
	uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(bytes != MAP_FAILED);
	close(fd);
	unsigned shared = 0, wrong = 0;
	for (uint32_t round = 0; round < 3000; round++) {
		const struct fetch_key k = { { round % 64,
			(uint64_t)round << 48 | 7 } };
		struct fetch *own, *f;
		char text[32];
		snprintf(text, sizeof(text), "result %u", round);
		h->now.mono_us += 3000;
		if (join(h, &a, &k, &own) != FETCH_OWNER)
			continue;
		publish(h, &a, own, text);
		for (unsigned i = 0; i < 400;
			i++) { /* rows of the buckets in use, log */
			const size_t at = i % 2 ? random_below(&h->rnd, 64 * 512 + 128)
						: size - LIMIT_FETCH_RESULTS +
							  random_below(&h->rnd, 200000);
			bytes[at] ^= (uint8_t)(1u << random_below(&h->rnd, 8));
		}
		const enum fetch_role role = join(h, &b, &k, &f);
		if (role == FETCH_RESULT) {
			shared++;
			wrong += strcmp((const char *)pkt, text) != 0;
		} else if (role == FETCH_OWNER) {
			fetch_abandon(b.table, f, &h->now);
		} else if (role == FETCH_WAITER) {
			fetch_leave(b.table, f);
		}
	}
	print_message("%u results, %u wrong, %lu seen damaged\n", shared, wrong,
		(unsigned long)fetch_numbers(b.table).damaged);
	assert_int_equal(wrong, 0);
	assert_true(shared > 100);
	/* and the file is as usable as before, if need be a new one */
	munmap(bytes, size);
	fetch_table_free(a.table);
	fetch_table_free(b.table);
	start(h, &a);
	start(h, &b);
	h->now.mono_us += 20000000;
	struct fetch *own, *f;
	assert_int_equal(
		join(h, &a, &(struct fetch_key){ { 9, 9 } }, &own), FETCH_OWNER);
	assert_int_equal(
		join(h, &b, &(struct fetch_key){ { 9, 9 } }, &f), FETCH_WAITER);
	fetch_table_free(a.table);
	fetch_table_free(b.table);
}

static void a_cut_or_removed_file_is_found_again(void **state)
{
	struct help *h = *state;
	struct instance a, b;
	struct fetch *own, *f;
	char path[200];
	snprintf(path, sizeof(path), "%s/shm/fetches-v%d", h->folder, FLIGHT_LAYOUT);
	start(h, &a);
	start(h, &b);
	for (unsigned round = 0; round < 2; round++) {
		const struct fetch_key k = { { round, 5 } };
		assert_int_equal(round ? truncate(path, 0) : unlink(path), 0);
		assert_int_equal(join(h, &a, &k, &own), FETCH_OWNER);
		fetch_check(a.table);
		fetch_check(b.table);
		publish(h, &a, own, "x");
		const struct fetch_key l = { { round, 6 } };
		assert_int_equal(join(h, &a, &l, &own), FETCH_OWNER);
		assert_int_equal(join(h, &b, &l, &f), FETCH_WAITER);
		publish(h, &a, own, "y");
		fetch_tick(b.table, &h->now);
		assert_string_equal(b.text, "y");
	}
	fetch_table_free(a.table);
	fetch_table_free(b.table);
}

static void a_full_table_still_joins_at_home(void **state)
{
	struct help *h = *state;
	struct instance a;
	struct fetch *f[9], *g;
	start(h, &a);
	for (uint64_t i = 0; i < 9; i++)
		assert_int_equal(
			join(h, &a, &(struct fetch_key){ { 77, i << 48 } }, &f[i]),
			FETCH_OWNER);
	assert_int_equal(
		join(h, &a, &(struct fetch_key){ { 77, UINT64_C(8) << 48 } }, &g),
		FETCH_WAITER);
	publish(h, &a, f[8], "ninth");
	assert_string_equal(a.text, "ninth");
	fetch_table_free(a.table);
}

/* The largest message, and the log's end. */
static void results_of_all_sizes(void **state)
{
	struct help *h = *state;
	struct instance a, b;
	static uint8_t big[65535];
	struct fetch *own;
	start(h, &a);
	start(h, &b);
	random_fill(&h->rnd, big, sizeof(big));
	unsigned got = 0;
	for (uint64_t i = 0; i < 600; i++) {
		const struct fetch_key k = { { i, i << 48 } };
		const size_t n = i % 3 ? sizeof(big) - i * 7 : i;
		assert_int_equal(join(h, &a, &k, &own), FETCH_OWNER);
		fetch_publish(a.table, own, &h->now, big, n);
		if (join(h, &b, &k, &own) == FETCH_RESULT) {
			assert_int_equal(len, n);
			assert_memory_equal(pkt, big, n);
			got++;
		}
	}
	assert_true(got > 590);
	fetch_table_free(a.table);
	fetch_table_free(b.table);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, help_setup_none, help_teardown)
	const struct CMUnitTest tests[] = {
		T(waiters_of_all_instances_get_what_one_publishes),
		T(what_one_gives_up_another_takes_over),
		T(a_stalled_owner_loses_the_lease_and_one_that_works_keeps_it),
		T(killed_and_stopped_owners_are_noticed),
		T(damage_never_gives_a_wrong_result),
		T(a_cut_or_removed_file_is_found_again),
		T(a_full_table_still_joins_at_home),
		T(results_of_all_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
