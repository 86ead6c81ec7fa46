/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/infra.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cache/test_help.h"

static struct addr server(unsigned i)
{
	struct addr a = { .family = 4, .port = 53 };
	memcpy(a.ip, &i, sizeof(i));
	return a;
}

static struct addr server6(unsigned i)
{
	struct addr a = server(i);
	a.family = 6;
	return a;
}

static struct infra_server look(struct infra *i, const struct help *h, struct addr a)
{
	struct infra_server s;
	infra_get(i, &a, &h->now, &s);
	return s;
}

static void pass(struct help *h, double seconds)
{
	h->now.mono_us += (int64_t)(seconds * 1e6);
}

static void round_trips_are_smoothed(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(NULL, &h->rnd);
	const struct addr a = server(1);
	struct infra_server s = look(i, h, a);
	assert_false(s.known);
	assert_in_range(s.srtt_us, 200000, 400000);
	assert_true(infra_timeout_us(&s) >= 400000);
	infra_answered(i, &a, 20000, &h->now);
	s = look(i, h, a);
	assert_true(s.known);
	assert_int_equal(s.srtt_us, 20000);
	assert_int_equal(s.rttvar_us, 10000);
	assert_int_equal(infra_timeout_us(&s), 60000);
	for (unsigned k = 0; k < 100; k++)
		infra_answered(i, &a, 100000, &h->now);
	s = look(i, h, a);
	assert_in_range(s.srtt_us, 99000, 100100);
	infra_answered(i, &a, 0, &h->now);
	assert_true(look(i, h, a).known);
	struct addr other_port = a;
	other_port.port = 5353;
	assert_false(look(i, h, other_port).known);
	infra_close(i);
}

static void a_silent_server_is_probed_again_within_a_minute(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(NULL, &h->rnd);
	const struct addr a = server(1);
	infra_timed_out(i, &a, &h->now);
	infra_timed_out(i, &a, &h->now);
	assert_int_equal(look(i, h, a).timeouts, 2);
	assert_false(look(i, h, a).down);
	static const double waits[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	for (unsigned k = 0; k < 9; k++) {
		for (unsigned many = 0; many < 50; many++)
			infra_timed_out(i, &a, &h->now); /* sent together: once */
		assert_true(look(i, h, a).down);
		pass(h, waits[k] - 0.2);
		assert_true(look(i, h, a).down);
		pass(h, 0.3);
		assert_false(look(i, h, a).down);
	}
	/* an answer ends it, and so does time */
	infra_timed_out(i, &a, &h->now);
	infra_answered(i, &a, 1000, &h->now);
	assert_int_equal(look(i, h, a).timeouts, 0);
	for (unsigned k = 0; k < 3; k++)
		infra_timed_out(i, &a, &h->now);
	pass(h, 700);
	assert_int_equal(look(i, h, a).timeouts, 0);
	infra_close(i);
}

static void oddities_run_out(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(NULL, &h->rnd);
	const struct addr a = server(1);
	static const enum infra_flag flags[] = { INFRA_NO_EDNS, INFRA_NO_0X20,
		INFRA_WANTS_TCP, INFRA_NO_TCP, INFRA_NO_MINIMIZE };
	uint16_t all = 0;
	for (uint32_t k = 0; k < 5; k++) {
		infra_set_flag(i, &a, flags[k], &h->now, 10 * (k + 1));
		all |= (uint16_t)flags[k];
		assert_int_equal(look(i, h, a).flags, all);
	}
	for (unsigned k = 0; k < 5; k++) {
		pass(h, 10);
		all &= (uint16_t)~flags[k];
		assert_int_equal(look(i, h, a).flags, all);
	}
	infra_close(i);
}

static void lameness_is_per_zone(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(NULL, &h->rnd);
	const struct addr a = server(1), b = server(2);
	infra_set_lame(i, &a, help_name("Zone.test"), &h->now, 60);
	assert_true(infra_is_lame(i, &a, help_name("zone.TEST"), &h->now));
	assert_false(infra_is_lame(i, &b, help_name("zone.test"), &h->now));
	assert_false(infra_is_lame(i, &a, help_name("test"), &h->now));
	pass(h, 61);
	assert_false(infra_is_lame(i, &a, help_name("zone.test"), &h->now));
	infra_close(i);
}

static void a_broken_family_is_noticed_and_tried_again(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(NULL, &h->rnd);
	for (unsigned k = 0; k < 20; k++) {
		const struct addr one = server6(1);
		infra_timed_out(i, &one, &h->now);
	}
	assert_false(infra_family_broken(i, 6, &h->now)); /* it is that server */
	for (unsigned k = 0; k < 8; k++) {
		const struct addr a = server6(k + 1);
		infra_timed_out(i, &a, &h->now);
	}
	assert_true(infra_family_broken(i, 6, &h->now));
	assert_false(infra_family_broken(i, 4, &h->now));
	pass(h, 61);
	assert_false(infra_family_broken(i, 6, &h->now));
	const struct addr a = server6(99);
	infra_timed_out(i, &a, &h->now);
	assert_true(infra_family_broken(i, 6, &h->now));
	infra_answered(i, &a, 1000, &h->now);
	assert_false(infra_family_broken(i, 6, &h->now));
	infra_close(i);
}

static void a_cut_off_resolver_forgives_all_at_once(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(NULL, &h->rnd);
	for (unsigned k = 0; k < 40; k++) {
		const struct addr a = server(k);
		infra_answered(i, &a, 1000, &h->now);
	}
	for (unsigned round = 0; round < 12; round++, pass(h, 61))
		for (unsigned k = 0; k < 40; k++) {
			const struct addr a = server(k);
			infra_timed_out(i, &a, &h->now);
		}
	pass(h, -60);
	assert_true(look(i, h, server(7)).down);
	const struct addr first = server(3);
	infra_answered(i, &first, 1000, &h->now);
	for (unsigned k = 0; k < 40; k++) {
		assert_false(look(i, h, server(k)).down);
		assert_true(look(i, h, server(k)).known);
	}
	/* the same when the system tells */
	for (unsigned k = 0; k < 5; k++)
		infra_timed_out(i, &first, &h->now);
	assert_true(look(i, h, first).down);
	infra_network_changed(i);
	assert_int_equal(look(i, h, first).timeouts, 0);
	infra_close(i);
}

static void instances_share_and_damage_is_ignorance(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(h->folder, &h->rnd),
		     *other = infra_open(h->folder, &h->rnd);
	const struct addr a = server(1);
	infra_answered(i, &a, 5000, &h->now);
	assert_int_equal(look(other, h, a).srtt_us, 5000);
	char path[200];
	snprintf(path, sizeof(path), "%s/shm/servers-v1", h->folder);
	const int fd = open(path, O_RDWR);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	const size_t size = (size_t)st.st_size;
	uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	for (unsigned round = 0; round < 20; round++) {
		random_fill(&h->rnd, bytes + 64, size - 64);
		for (unsigned k = 0; k < 500; k++) {
			const struct addr one = server(k);
			const struct infra_server s = look(i, h, one);
			assert_true(s.srtt_us <= 60000000 &&
				    infra_timeout_us(&s) <= 2000000);
			infra_timed_out(i, &one, &h->now);
			infra_answered(i, &one, 5000, &h->now);
			assert_true(look(i, h, one).srtt_us <= 60000000);
		}
	}
	munmap(bytes, size);
	/* removed: both find the new one */
	unlink(path);
	pass(h, 6);
	infra_answered(i, &a, 7000, &h->now);
	infra_answered(other, &a, 7000, &h->now);
	assert_true(look(other, h, a).known);
	infra_close(i);
	infra_close(other);
}

static void cookies_are_kept_for_one_client_cookie(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(NULL, &h->rnd);
	const struct addr a = server(1), b = server(2);
	const uint8_t ours[8] = "client1", changed[8] = "client2";
	uint8_t cookie[32], got[32];
	for (unsigned k = 0; k < sizeof(cookie); k++)
		cookie[k] = (uint8_t)(k + 200);
	assert_int_equal(infra_cookie_get(i, &a, ours, got), 0);
	infra_cookie_set(i, &a, ours, NULL, 0, &h->now);
	for (size_t len = 8; len <= sizeof(cookie); len++) {
		infra_cookie_set(i, &a, ours, cookie, len, &h->now);
		assert_int_equal(infra_cookie_get(i, &a, ours, got), len);
		assert_memory_equal(got, cookie, len);
	}
	/* another day, another server, another thing that is known of this one */
	assert_int_equal(infra_cookie_get(i, &a, changed, got), 0);
	assert_int_equal(infra_cookie_get(i, &b, ours, got), 0);
	assert_false(look(i, h, a).known);
	infra_answered(i, &a, 20000, &h->now);
	infra_set_flag(i, &a, INFRA_NO_COOKIE, &h->now, 60);
	assert_int_equal(look(i, h, a).flags, INFRA_NO_COOKIE);
	assert_int_equal(infra_cookie_get(i, &a, ours, got), 32);
	infra_cookie_set(i, &a, changed, cookie, 16, &h->now);
	assert_int_equal(infra_cookie_get(i, &a, ours, got), 0);
	assert_int_equal(infra_cookie_get(i, &a, changed, got), 16);
	infra_cookie_set(i, &a, changed, NULL, 0, &h->now);
	assert_int_equal(infra_cookie_get(i, &a, changed, got), 0);
	const uint32_t network = infra_network(i);
	infra_network_changed(i);
	assert_int_not_equal(infra_network(i), network);
	infra_close(i);
}

static void many_servers_push_out_the_unused(void **state)
{
	struct help *h = *state;
	struct infra *i = infra_open(NULL, &h->rnd);
	const struct addr good = server(1);
	for (unsigned k = 0; k < 300000; k++) {
		if (k % 1000 == 0) {
			infra_answered(i, &good, 5000, &h->now);
			pass(h, 1);
		}
		const struct addr a = server(k + 100);
		infra_timed_out(i, &a, &h->now);
	}
	assert_true(look(i, h, good).known);
	infra_close(i);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, help_setup_none, help_teardown)
	const struct CMUnitTest tests[] = {
		T(round_trips_are_smoothed),
		T(a_silent_server_is_probed_again_within_a_minute),
		T(oddities_run_out),
		T(lameness_is_per_zone),
		T(a_broken_family_is_noticed_and_tried_again),
		T(a_cut_off_resolver_forgives_all_at_once),
		T(instances_share_and_damage_is_ignorance),
		T(cookies_are_kept_for_one_client_cookie),
		T(many_servers_push_out_the_unused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
