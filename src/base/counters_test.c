/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/counters.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void rows_follow_the_struct(void **state)
{
	(void)state;
	struct counters c = { 0 };
	counter_up(&c, queries);
	counter_add(&c, queries, 2);
	counter_set(&c, cpu_system_us, 99);
	assert_string_equal(counter_rows[0].name, "queries");
	assert_int_equal(counter_get(&c, 0), 3);
	assert_string_equal(counter_rows[COUNTER_COUNT - 1].name, "cpu_system_us");
	assert_int_equal(counter_get(&c, COUNTER_COUNT - 1), 99);
	assert_int_equal(counter_rows[COUNTER_COUNT - 1].kind, COUNTER_KIND_GAUGE);
}

/* Prometheus refuses a page with one name twice. */
static void names_are_fit_for_prometheus(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		for (const char *p = counter_rows[i].name; *p; p++)
			assert_true(
				islower((unsigned char)*p) || *p == '_' || isdigit(*p));
		assert_null(strpbrk(counter_rows[i].help, "\n\\"));
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(
				counter_rows[i].name, counter_rows[k].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_follow_the_struct),
		cmocka_unit_test(names_are_fit_for_prometheus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
