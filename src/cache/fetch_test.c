/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/fetch.h"

#include "base/limits.h"
#include "cache/test_help.h"

enum { LEASE = 800000 };

struct note {
	void *waiter;
	enum fetch_wake what;
	char text[16];
};

static struct note notes[64];
static unsigned note_count;
static struct fetch_table *table;
static struct now now;
static const struct fetch_key key = { { 1, 2 } };
static const uint8_t *pkt;
static size_t len;

static void wake(
	void *ctx, void *waiter, enum fetch_wake what, const uint8_t *bytes, size_t n)
{
	assert_ptr_equal(ctx, notes);
	assert_true(note_count < 64);
	struct note *note = &notes[note_count++];
	*note = (struct note){ .waiter = waiter, .what = what };
	if (what == FETCH_WAKE_RESULT && n)
		memcpy(note->text, bytes, n < 15 ? n : 15);
}

static int setup(void **state)
{
	(void)state;
	note_count = 0;
	now = clock_read();
	table = fetch_table_new(100, wake, notes);
	return table ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fetch_table_free(table);
	return 0;
}

static enum fetch_role join(const struct fetch_key *k, void *waiter, struct fetch **out)
{
	return fetch_join(table, k, &now, LEASE, waiter, out, &pkt, &len);
}

static void waiters_get_what_the_owner_publishes(void **state)
{
	(void)state;
	int a, b, c, d;
	struct fetch *own, *f;
	assert_int_equal(join(&key, &a, &own), FETCH_OWNER);
	assert_int_equal(join(&key, &b, &f), FETCH_WAITER);
	assert_int_equal(join(&key, &c, &f), FETCH_WAITER);
	const struct fetch_key other = { { 1, 3 } };
	assert_int_equal(join(&other, &d, &f), FETCH_OWNER);
	fetch_publish(table, own, &now, (const uint8_t *)"bytes", 6);
	assert_int_equal(note_count, 2);
	assert_ptr_equal(notes[0].waiter, &b);
	assert_ptr_equal(notes[1].waiter, &c);
	assert_string_equal(notes[1].text, "bytes");
	/* late comers, for a second */
	assert_int_equal(join(&key, &d, &f), FETCH_RESULT);
	assert_string_equal((const char *)pkt, "bytes");
	assert_int_equal(len, 6);
	now.mono_us += 999999;
	assert_int_equal(join(&key, &d, &f), FETCH_RESULT);
	now.mono_us += 1;
	assert_int_equal(join(&key, &d, &f), FETCH_OWNER);
	fetch_tick(table, &now);
	fetch_abandon(table, f, &now);
	assert_int_equal(note_count, 2);
}

static void who_waits_longest_takes_over(void **state)
{
	(void)state;
	int a, b, c;
	struct fetch *own, *first, *second;
	join(&key, &a, &own);
	join(&key, &b, &first);
	join(&key, &c, &second);
	fetch_abandon(table, own, &now);
	assert_int_equal(note_count, 1);
	assert_ptr_equal(notes[0].waiter, &b);
	assert_int_equal(notes[0].what, FETCH_WAKE_TAKE_OVER);
	fetch_publish(table, first, &now, NULL, 0);
	assert_ptr_equal(notes[1].waiter, &c);
	assert_int_equal(notes[1].what, FETCH_WAKE_RESULT);
}

static void a_lease_runs_out(void **state)
{
	(void)state;
	int a, b, c;
	struct fetch *own, *first, *second;
	join(&key, &a, &own);
	join(&key, &b, &first);
	now.mono_us += LEASE - 1;
	fetch_tick(table, &now);
	assert_int_equal(note_count, 0);
	now.mono_us += 1;
	assert_int_equal(join(&key, &c, &second), FETCH_WAITER);
	fetch_tick(table, &now);
	fetch_tick(table, &now);
	assert_int_equal(note_count, 1);
	assert_ptr_equal(notes[0].waiter, &b);
	/* the late owner's answer is as good */
	fetch_publish(table, own, &now, (const uint8_t *)"late", 5);
	assert_int_equal(note_count, 2);
	assert_ptr_equal(notes[1].waiter, &c);
	fetch_publish(table, first, &now, (const uint8_t *)"own", 4);
	assert_int_equal(join(&key, &a, &own), FETCH_RESULT);
	assert_string_equal((const char *)pkt, "own");
}

static void nobody_waits_so_the_next_one_owns(void **state)
{
	(void)state;
	int a, b;
	struct fetch *own, *next;
	join(&key, &a, &own);
	now.mono_us += LEASE;
	assert_int_equal(join(&key, &b, &next), FETCH_OWNER);
	fetch_abandon(table, own, &now); /* it no longer owns anything */
	assert_int_equal(join(&key, &a, &own), FETCH_WAITER);
	fetch_leave(table, own);
	fetch_abandon(table, next, &now);
	assert_int_equal(note_count, 0);
	assert_int_equal(join(&key, &a, &own), FETCH_OWNER);
	fetch_abandon(table, own, &now);
}

static void a_full_table_lets_go_alone(void **state)
{
	(void)state;
	struct fetch *f[101];
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(join(&(struct fetch_key){ { i, i } }, NULL, &f[i]),
			FETCH_OWNER);
	assert_int_equal(
		join(&(struct fetch_key){ { 100, 0 } }, NULL, &f[100]), FETCH_ALONE);
	assert_null(f[100]);
	/* results make room before their time */
	fetch_publish(table, f[0], &now, NULL, 0);
	assert_int_equal(
		join(&(struct fetch_key){ { 100, 0 } }, NULL, &f[0]), FETCH_OWNER);
	for (unsigned i = 0; i < 100; i++)
		fetch_abandon(table, f[i], &now);
}

static void results_are_bounded_in_bytes(void **state)
{
	(void)state;
	static uint8_t big[65535];
	unsigned kept = 0;
	struct fetch *f;
	fetch_table_free(table);
	table = fetch_table_new(1000, wake, notes);
	for (uint64_t i = 0; i < 300; i++) {
		assert_int_equal(
			join(&(struct fetch_key){ { i, i } }, NULL, &f), FETCH_OWNER);
		fetch_publish(table, f, &now, big, sizeof(big));
	}
	for (uint64_t i = 0; i < 300; i++) {
		if (join(&(struct fetch_key){ { i, i } }, NULL, &f) == FETCH_RESULT)
			kept++;
		else
			fetch_abandon(table, f, &now);
	}
	assert_int_equal(kept, LIMIT_FETCH_RESULTS / sizeof(big));
}

static unsigned rejoined;

/* Woken, it asks again, and leaves where others wait. */
static void wake_rejoins(
	void *ctx, void *waiter, enum fetch_wake what, const uint8_t *bytes, size_t n)
{
	(void)ctx;
	(void)bytes;
	(void)n;
	struct fetch **other = waiter, *f;
	if (what == FETCH_WAKE_RESULT && other && *other) {
		fetch_leave(table, *other);
		*other = NULL;
	}
	assert_int_equal(join(&key, NULL, &f), FETCH_RESULT);
	rejoined++;
}

static void a_wake_may_come_back_to_the_table(void **state)
{
	(void)state;
	fetch_table_free(table);
	table = fetch_table_new(100, wake_rejoins, notes);
	struct fetch *own, *a, *b, *c;
	join(&key, NULL, &own);
	assert_int_equal(join(&key, &c, &a), FETCH_WAITER);
	assert_int_equal(join(&key, NULL, &b), FETCH_WAITER);
	assert_int_equal(join(&key, NULL, &c), FETCH_WAITER);
	fetch_publish(table, own, &now, (const uint8_t *)"x", 1);
	assert_int_equal(rejoined, 2);
	assert_null(c);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(waiters_get_what_the_owner_publishes),
		T(who_waits_longest_takes_over),
		T(a_lease_runs_out),
		T(nobody_waits_so_the_next_one_owns),
		T(a_full_table_lets_go_alone),
		T(results_are_bounded_in_bytes),
		T(a_wake_may_come_back_to_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
