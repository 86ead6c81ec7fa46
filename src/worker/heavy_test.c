/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/heavy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct addr client(uint16_t port)
{
	return (struct addr){ .family = 4, .ip = { 127, 0, 0, 1 }, .port = port };
}

/* Half a second of a flow; how often it was told. */
static unsigned half_second(struct heavy *h, uint16_t port, unsigned datagrams)
{
	const struct addr c = client(port);
	unsigned told = 0;
	for (unsigned i = 0; i < datagrams; i++)
		told += heavy_saw(h, &c);
	return told;
}

static void a_heavy_flow_is_told_and_told_again(void **state)
{
	(void)state;
	struct random r;
	random_init(&r);
	struct heavy *h = heavy_new(&r);
	unsigned told = 0;
	for (int i = 0; i < 6; i++) { /* 1,000 a second */
		told += half_second(h, 1000, 500);
		heavy_tick(h);
	}
	assert_int_equal(told, 1);
	/* spread over eight instances it is seen less often here, and still told */
	for (int i = 0; i < 12; i++) {
		told += half_second(h, 1000, 62);
		heavy_tick(h);
	}
	assert_int_equal(told, 2);
	for (int i = 0; i < 40; i++)
		heavy_tick(h);
	assert_int_equal(half_second(h, 1000, 62), 0); /* forgotten */
	heavy_free(h);
}

static void many_light_flows_are_not_heavy_and_hide_no_heavy_one(void **state)
{
	(void)state;
	struct random r;
	random_init(&r);
	struct heavy *h = heavy_new(&r);
	unsigned light = 0, heavy = 0;
	for (int tick = 0; tick < 10; tick++) {
		for (uint16_t i = 0; i < 2000; i++) {
			light += half_second(h, (uint16_t)(2000 + i), 1);
			heavy += half_second(h, 1, 1);
		}
		heavy_tick(h);
	}
	assert_int_equal(light, 0);
	assert_int_equal(heavy, 1);
	heavy_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_heavy_flow_is_told_and_told_again),
		cmocka_unit_test(many_light_flows_are_not_heavy_and_hide_no_heavy_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
