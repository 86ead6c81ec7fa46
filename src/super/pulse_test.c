/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/pulse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void tick_for(struct pulse *all, size_t count, size_t beating, int64_t ms)
{
	for (; ms > 0; ms -= PULSE_TICK_MS) {
		pulse_tick(all, count, PULSE_TICK_MS);
		for (size_t i = 0; i < beating; i++)
			pulse_beat(&all[i]);
	}
}

static void pulse_silent_while_siblings_beat_is_told_then_stuck(void **state)
{
	(void)state;
	struct pulse all[3] = { { .beats = true }, { .beats = true },
		{ .beats = true } };
	tick_for(all, 3, 2, 1500);
	assert_int_equal(pulse_judge(all, 3, 2), PULSE_FINE);
	tick_for(all, 3, 2, 500);
	assert_int_equal(pulse_judge(all, 3, 2), PULSE_SILENT);
	assert_int_equal(pulse_judge(all, 3, 0), PULSE_FINE);
	tick_for(all, 3, 2, 7500);
	assert_int_equal(pulse_judge(all, 3, 2), PULSE_SILENT);
	tick_for(all, 3, 2, 500);
	assert_int_equal(pulse_judge(all, 3, 2), PULSE_STUCK);
	pulse_beat(&all[2]);
	assert_int_equal(pulse_judge(all, 3, 2), PULSE_FINE);
}

static void pulse_all_silent_at_once_is_a_paused_machine(void **state)
{
	(void)state;
	struct pulse all[2] = { { .beats = true }, { .beats = true } };
	tick_for(all, 2, 0, 29500);
	assert_int_equal(pulse_judge(all, 2, 0), PULSE_FINE);
	assert_int_equal(pulse_judge(all, 2, 1), PULSE_FINE);
	/* much later it is believed, one at a time */
	tick_for(all, 2, 0, 500);
	assert_int_equal(pulse_judge(all, 2, 0), PULSE_STUCK);
	assert_int_equal(pulse_judge(all, 2, 1), PULSE_FINE);
}

static void pulse_counts_no_time_in_which_the_supervisor_stood_still(void **state)
{
	(void)state;
	struct pulse all[2] = { { .beats = true }, { .beats = true } };
	pulse_tick(all, 2, 3600 * 1000);
	pulse_beat(&all[0]); /* the first to wake up */
	assert_int_equal(pulse_judge(all, 2, 1), PULSE_FINE);
}

static void pulse_of_a_single_instance_is_judged_by_the_supervisor(void **state)
{
	(void)state;
	struct pulse one = { .beats = true };
	tick_for(&one, 1, 0, 9500);
	assert_int_equal(pulse_judge(&one, 1, 0), PULSE_SILENT);
	tick_for(&one, 1, 0, 500);
	assert_int_equal(pulse_judge(&one, 1, 0), PULSE_STUCK);
}

static void pulse_waits_for_the_first_beat_and_for_readiness(void **state)
{
	(void)state;
	struct pulse all[3] = { { .beats = true }, { 0 }, { .starting = true } };
	tick_for(all, 3, 1, 59500);
	assert_int_equal(pulse_judge(all, 3, 1), PULSE_FINE);
	assert_int_equal(pulse_judge(all, 3, 2), PULSE_FINE);
	tick_for(all, 3, 1, 500);
	assert_int_equal(pulse_judge(all, 3, 2), PULSE_STUCK);
	all[2].dead = true;
	assert_int_equal(pulse_judge(all, 3, 2), PULSE_FINE);
}

static void pulse_leads_clients_elsewhere_after_a_second_if_there_is_elsewhere(
	void **state)
{
	(void)state;
	struct pulse p[2] = { { .beats = true }, { .beats = true } };
	for (int i = 0; i < PULSE_ASIDE_MS / PULSE_TICK_MS; i++) {
		assert_false(pulse_aside(p, 2, 0));
		pulse_tick(p, 2, PULSE_TICK_MS);
		pulse_beat(&p[1]);
	}
	assert_true(pulse_aside(p, 2, 0));
	assert_false(pulse_aside(p, 2, 1));
	assert_false(pulse_aside(p, 1, 0)); /* nobody else */
	p[1].silent_ms = PULSE_ASIDE_MS;    /* the machine stood still */
	assert_false(pulse_aside(p, 2, 0));
	p[1].silent_ms = 0;
	p[0].starting = true;
	assert_false(pulse_aside(p, 2, 0));
}

static void pulse_of_one_that_beats_rarely_is_awaited_for_longer(void **state)
{
	(void)state;
	struct pulse p[2] = { { .beats = true, .rare = true }, { .beats = true } };
	tick_for(p, 2, 0, PULSE_STUCK_MS - PULSE_TICK_MS);
	pulse_beat(&p[1]);
	assert_false(pulse_aside(p, 2, 0));
	assert_int_equal(pulse_judge(p, 2, 0), PULSE_FINE);
	tick_for(p, 2, 0, PULSE_TICK_MS);
	assert_int_equal(pulse_judge(p, 2, 0), PULSE_STUCK);
	assert_false(pulse_aside(p, 2, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			pulse_leads_clients_elsewhere_after_a_second_if_there_is_elsewhere),
		cmocka_unit_test(pulse_silent_while_siblings_beat_is_told_then_stuck),
		cmocka_unit_test(pulse_all_silent_at_once_is_a_paused_machine),
		cmocka_unit_test(
			pulse_counts_no_time_in_which_the_supervisor_stood_still),
		cmocka_unit_test(
			pulse_of_a_single_instance_is_judged_by_the_supervisor),
		cmocka_unit_test(pulse_waits_for_the_first_beat_and_for_readiness),
		cmocka_unit_test(pulse_of_one_that_beats_rarely_is_awaited_for_longer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
