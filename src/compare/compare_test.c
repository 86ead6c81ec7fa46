/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "compare/compare.h"
#include "compare/heavy.h"
#include "compare/hist.h"
#include "compare/rounds.h"
#include "compare/shares.h"

static void quantiles_are_at_most_three_percent_off(void **state)
{
	static struct hist h;
	(void)state;
	for (uint64_t us = 1; us <= 100000; us++)
		hist_add(&h, us);
	assert_int_equal(h.count, 100000);
	static const double shares[] = { 0.0001, 0.01, 0.5, 0.9, 0.99, 0.999, 1 };
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		const double exact = shares[i] * 100000;
		const double got = (double)hist_quantile(&h, shares[i]);
		assert_true(got >= exact && got <= exact * 1.0321 + 1);
	}
}

static void an_empty_histogram_has_no_quantile_and_a_huge_value_has_a_bucket(
	void **state)
{
	static struct hist h;
	(void)state;
	assert_int_equal(hist_quantile(&h, 0.99), 0);
	hist_add(&h, UINT64_MAX);
	assert_true(hist_quantile(&h, 0.5) > 60u * 1000 * 1000);
}

static void even_shares_are_one_and_zero(void **state)
{
	static const double even[] = { 500, 500, 500, 500 };
	(void)state;
	const struct shares s = shares_of(even, 4);
	assert_true(s.max_mean == 1 && s.max_min == 1 && s.chi_square == 0);
}

static void uneven_shares_say_how_much(void **state)
{
	static const double uneven[] = { 300, 100, 100, 100 };
	(void)state;
	const struct shares s = shares_of(uneven, 4);
	assert_true(fabs(s.max_mean - 2) < 1e-9 && fabs(s.max_min - 3) < 1e-9);
	/* (150^2 + 3 * 50^2) / 150 */
	assert_true(fabs(s.chi_square - 200) < 1e-9);
}

static void an_idle_one_is_told_and_nothing_at_all_too(void **state)
{
	static const double idle[] = { 10, 0 }, none[] = { 0, 0 };
	(void)state;
	assert_true(isinf(shares_of(idle, 2).max_min));
	assert_true(shares_of(none, 2).max_mean == 0);
}

static void of_several_rounds_the_median_counts_and_losses_add_up(void **state)
{
	struct row rounds[4] = { { .rate = 100, .p99_us = 5, .lost = 1 },
		{ .rate = 10, .p99_us = 900, .lost = 2, .generator_limit = true },
		{ .rate = 104, .p99_us = 7, .max_min = HUGE_VAL },
		{ .rate = 102, .p99_us = 6, .max_min = HUGE_VAL } };
	struct row row;
	(void)state;
	rounds_median(&row, rounds, 3);
	assert_true(row.rate == 100 && row.p99_us == 7 && row.lost == 3);
	assert_false(row.generator_limit);
	rounds_median(&row, rounds, 4);
	assert_true(row.rate == 101 && row.p99_us == 6.5 && isinf(row.max_min));
	rounds[2].skipped = true;
	rounds_median(&row, rounds, 4);
	assert_true(row.skipped);
}

static void who_sends_much_is_told_once_in_a_window(void **state)
{
	static struct heavy h;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(1000) };
	unsigned told = 0;
	(void)state;
	for (int i = 0; i < 4 * HEAVY_LEAST; i++)
		told += heavy_count(&h, (struct sockaddr *)&a, sizeof(a), 1000);
	assert_int_equal(told, 1);
	a.sin_port = htons(1001);
	for (int i = 0; i < HEAVY_LEAST - 1; i++)
		told += heavy_count(&h, (struct sockaddr *)&a, sizeof(a), 1000);
	assert_int_equal(told, 1);
	/* another window: counted anew */
	for (int i = 0; i < HEAVY_LEAST - 1; i++)
		told += heavy_count(
			&h, (struct sockaddr *)&a, sizeof(a), 1000 + HEAVY_WINDOW_US);
	assert_int_equal(told, 1);
}

static void the_plot_is_well_formed_and_has_a_bar_for_each_way(void **state)
{
	static struct report r;
	struct options o = { .workers = 4 };
	char path[] = "/tmp/shardbench-plot-XXXXXX", text[8192];
	(void)state;
	r.options = &o;
	static const char *const ways[] = { "reuseport", "libshard steering" };
	for (size_t i = 0; i < 2; i++) {
		struct row *row = report_row(&r, "udp");
		row->way = ways[i];
		row->load = "few flows";
		row->max_mean = i ? 1.01 : HUGE_VAL;
	}
	const int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(report_plot(&r, path), 0);
	const ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	unlink(path);
	assert_true(n > 0);
	text[n] = 0;
	assert_non_null(strstr(text, "<svg"));
	assert_non_null(strstr(text, "one idle"));
	assert_non_null(strstr(text, "1.01"));
	assert_non_null(strstr(text, "#1b6ca8"));
	assert_string_equal(text + n - 7, "</svg>\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_at_most_three_percent_off),
		cmocka_unit_test(
			an_empty_histogram_has_no_quantile_and_a_huge_value_has_a_bucket),
		cmocka_unit_test(even_shares_are_one_and_zero),
		cmocka_unit_test(uneven_shares_say_how_much),
		cmocka_unit_test(an_idle_one_is_told_and_nothing_at_all_too),
		cmocka_unit_test(of_several_rounds_the_median_counts_and_losses_add_up),
		cmocka_unit_test(who_sends_much_is_told_once_in_a_window),
		cmocka_unit_test(the_plot_is_well_formed_and_has_a_bar_for_each_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
