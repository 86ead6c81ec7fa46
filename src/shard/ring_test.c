/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shard/ring_internal.h"

static const struct sockaddr_in home = { .sin_family = AF_INET, .sin_port = 0x3500 };
#define HOME (const struct sockaddr *)&home, sizeof(home)

struct world {
	int memfd, server, client;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	w->memfd = shard_ring_create(HOME, 64);
	w->server = socket(AF_INET, SOCK_DGRAM, 0);
	w->client = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(w->memfd >= 0);
	assert_int_equal(bind(w->server, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(w->server, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(w->client, (struct sockaddr *)&at, len), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	close(w->memfd);
	close(w->server);
	close(w->client);
	free(w);
	return 0;
}

static void say(struct world *w, const char *text)
{
	assert_int_equal(send(w->client, text, strlen(text), 0), strlen(text));
}

static bool says(const struct shard_datagram *d, const char *text)
{
	return d->len == strlen(text) && memcmp(d->data, text, d->len) == 0;
}

/* fn in a process that is then killed (or exits by itself when `orderly`). */
static void in_a_process(struct world *w, void (*fn)(struct world *w), bool orderly)
{
	const pid_t pid = fork();
	if (!pid) {
		fn(w);
		if (!orderly)
			raise(SIGKILL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* fn in a process that stops itself; it dies with us, should a check fail. */
static pid_t until_it_stands_still(struct world *w, void (*fn)(struct world *w))
{
	int status;
	const pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn(w);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	return pid;
}

static void die_with_two(struct world *w)
{
	struct shard_ring *r = shard_ring_open(w->memfd);
	shard_ring_receive(r, w->server, 1000);
	shard_ring_work(r, 1);
}

static void ring_gives_the_successor_what_the_dead_one_held(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	say(w, "one");
	say(w, "two");
	in_a_process(w, die_with_two, false);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_non_null(r);
	assert_int_equal(shard_ring_take_over(r), 2);
	assert_int_equal(shard_ring_replay(r, 0, &d), 1);
	const bool first = says(&d, "one");
	assert_true(first || says(&d, "two"));
	assert_int_equal(d.tries, first ? 0 : 1);
	assert_int_equal(d.received_us, 1000);
	assert_int_equal(((struct sockaddr_in *)d.head.msg_name)->sin_family, AF_INET);
	shard_ring_release(r, d.slot);
	assert_int_equal(shard_ring_replay(r, 0, &d), 1);
	assert_int_equal(d.tries, first ? 1 : 0);
	shard_ring_release(r, d.slot);
	assert_int_equal(shard_ring_replay(r, 0, &d), 0);
	assert_int_equal(shard_ring_take_over(r), 0);
	struct shard_ring_numbers n;
	shard_ring_count(r, &n);
	assert_int_equal(n.kept, 0);
	assert_int_equal(n.replayed, 2);
	shard_ring_close(r);
}

static void die_between_two(struct world *w)
{
	struct shard_ring *r = shard_ring_open(w->memfd);
	shard_ring_receive(r, w->server, 1000);
	shard_ring_work(r, 0);
	shard_ring_done(r, 1);
}

/* The first was answered; the second is no suspect, for its turn had not come. */
static void ring_gives_of_a_batch_what_its_turn_had_not_come_for(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	say(w, "one");
	say(w, "two");
	in_a_process(w, die_between_two, false);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_int_equal(shard_ring_take_over(r), 1);
	assert_int_equal(shard_ring_replay(r, 0, &d), 1);
	assert_true(says(&d, "two"));
	assert_int_equal(d.tries, 0);
	shard_ring_release(r, d.slot);
	shard_ring_close(r);
}

static void die_with_one_kept_and_one_answered(struct world *w)
{
	struct shard_ring *r = shard_ring_open(w->memfd);
	shard_ring_receive(r, w->server, 1000);
	shard_ring_keep(r, 0);
	shard_ring_batch_done(r);
}

static void ring_replays_what_was_pending_and_not_what_was_answered(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	say(w, "slow");
	say(w, "quick");
	in_a_process(w, die_with_one_kept_and_one_answered, false);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_int_equal(shard_ring_take_over(r), 1);
	assert_int_equal(shard_ring_replay(r, 0, &d), 1);
	assert_true(says(&d, "slow"));
	shard_ring_close(r);
}

static void die_in_a_batch_with_its_first_and_last_kept(struct world *w)
{
	struct shard_ring *r = shard_ring_open(w->memfd);
	shard_ring_receive(r, w->server, 1000);
	shard_ring_keep(r, 0);
	shard_ring_work(r, 3);
	shard_ring_keep(r, 3);
}

static void ring_replays_once_what_was_kept_and_still_in_the_batch(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	unsigned twice = 0, work = 0;
	say(w, "twice"); /* its client sent it again: two queries */
	say(w, "quick");
	say(w, "twice");
	say(w, "work");
	in_a_process(w, die_in_a_batch_with_its_first_and_last_kept, false);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_int_equal(shard_ring_take_over(r), 4);
	while (shard_ring_replay(r, 0, &d)) {
		twice += says(&d, "twice");
		work += says(&d, "work");
		assert_int_equal(d.tries, says(&d, "work"));
		shard_ring_release(r, d.slot);
	}
	assert_int_equal(twice, 2);
	assert_int_equal(work, 1);
	shard_ring_close(r);
}

static void take_over_and_die_before_the_batch_is_cleared(struct world *w)
{
	struct shard_ring *r = shard_ring_open(w->memfd);
	struct ring_owner *dead = ring_owner_at(r, 0);
	struct ring_owner before;
	memcpy(&before, dead, sizeof(before));
	shard_ring_take_over(r);
	memcpy(dead, &before, sizeof(before));
	RING_STORE(dead->reaper, r->me + 1);
}

static void ring_replays_once_what_was_taken_over_by_one_that_died(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	unsigned tries = 0;
	say(w, "one");
	say(w, "two");
	in_a_process(w, die_with_two, false);
	struct shard_ring *r = shard_ring_open(w->memfd); /* it is owner 1 */
	in_a_process(w, take_over_and_die_before_the_batch_is_cleared, false);
	assert_int_equal(shard_ring_take_over(r), 2);
	while (shard_ring_replay(r, 0, &d)) {
		tries += d.tries;
		shard_ring_release(r, d.slot);
	}
	assert_int_equal(tries, 1);
	shard_ring_close(r);
}

static void hold_four_and_stand_still(struct world *w)
{
	struct shard_ring *r = shard_ring_open(w->memfd);
	shard_ring_receive(r, w->server, 1000);
	shard_ring_keep(r, 0);
	shard_ring_keep(r, 1);
	shard_ring_batch_done(r);
	say(w, "neighbour");
	say(w, "work");
	shard_ring_receive(r, w->server, 2000);
	shard_ring_work(r, 1);
	raise(SIGSTOP);
}

static void ring_copies_what_one_who_stands_still_holds_less_its_work(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	int status;
	say(w, "kept 1");
	say(w, "kept 2");
	const pid_t pid = until_it_stands_still(w, hold_four_and_stand_still);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_int_equal(shard_ring_take_over(r), 0); /* it lives */
	assert_int_equal(shard_ring_stand_in(r), 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(shard_ring_replay(r, 0, &d), 1);
		assert_false(says(&d, "work"));
		assert_int_equal(d.received_us, i < 2 ? 1000 : 2000);
		if (i == 2)
			assert_true(says(&d, "neighbour"));
		shard_ring_release(r, d.slot);
	}
	assert_int_equal(shard_ring_replay(r, 0, &d), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(shard_ring_take_over(r), 4); /* its own are still there */
	assert_int_equal(shard_ring_replay(r, 3000, &d), 0); /* and too old by then */
	shard_ring_close(r);
}

static void keep_its_work_and_stand_still(struct world *w)
{
	struct shard_ring *r = shard_ring_open(w->memfd);
	shard_ring_receive(r, w->server, 1000);
	shard_ring_keep(r, 0);
	shard_ring_work(r, 1);
	shard_ring_keep(r, 1);
	raise(SIGSTOP);
}

static void ring_copies_no_work_that_was_kept_and_nothing_twice(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	int status;
	say(w, "neighbour");
	say(w, "work");
	const pid_t pid = until_it_stands_still(w, keep_its_work_and_stand_still);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_int_equal(shard_ring_stand_in(r), 1);
	assert_int_equal(shard_ring_replay(r, 0, &d), 1);
	assert_true(says(&d, "neighbour"));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	shard_ring_close(r);
}

static void ring_forgets_what_is_too_old(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	say(w, "one");
	in_a_process(w, die_with_two, false);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_int_equal(shard_ring_take_over(r), 1);
	assert_int_equal(shard_ring_replay(r, 1001, &d), 0);
	struct shard_ring_numbers n;
	shard_ring_count(r, &n);
	assert_int_equal(n.stale, 1);
	assert_int_equal(n.kept, 0);
	shard_ring_close(r);
}

static void leave_with_one_kept(struct world *w)
{
	struct shard_ring *r = shard_ring_open(w->memfd);
	shard_ring_receive(r, w->server, 1000);
	shard_ring_keep(r, 0);
	shard_ring_close(r);
}

static void ring_left_in_order_holds_nothing(void **state)
{
	struct world *w = *state;
	say(w, "one");
	in_a_process(w, leave_with_one_kept, true);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_int_equal(shard_ring_take_over(r), 0);
	for (unsigned i = 0; i < ring_slot_count(r); i++)
		assert_int_equal(*ring_state_at(r, i), 0);
	shard_ring_close(r);
}

static void die_while_replaying(struct world *w)
{
	struct shard_datagram d;
	struct shard_ring *r = shard_ring_open(w->memfd);
	shard_ring_take_over(r);
	shard_ring_replay(r, 0, &d);
}

static void ring_counts_the_deaths_that_one_datagram_saw(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	say(w, "one");
	say(w, "bad");
	in_a_process(w, die_with_two, false);
	in_a_process(w, die_while_replaying, false);
	in_a_process(w, die_while_replaying, false);
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_int_equal(shard_ring_take_over(r), 2);
	unsigned tries = 0;
	while (shard_ring_replay(r, 0, &d))
		tries += d.tries;
	assert_int_equal(tries, 3);
	shard_ring_close(r);
}

static void ring_shared_by_two_generations_takes_nothing_from_the_living(void **state)
{
	struct world *w = *state;
	struct shard_ring *old = shard_ring_open(w->memfd);
	struct shard_ring *new = shard_ring_open(w->memfd);
	assert_non_null(new);
	say(w, "one");
	assert_int_equal(shard_ring_receive(old, w->server, 1), 1);
	assert_int_not_equal(shard_ring_keep(old, 0), 0);
	assert_int_equal(shard_ring_take_over(new), 0);
	assert_int_equal(shard_ring_others(old), 1);
	shard_ring_leaving(old);
	assert_int_equal(shard_ring_others(new), 0);
	/* a slot of the other one is not ours to free */
	const uint32_t slot = shard_ring_keep(old, 0);
	shard_ring_release(new, slot);
	assert_int_not_equal(*ring_state_at(old, slot - 1), 0);
	shard_ring_close(old);
	shard_ring_close(new);
}

static void ring_says_when_the_table_is_full_and_goes_on(void **state)
{
	struct world *w = *state;
	struct shard_ring *r = shard_ring_open(w->memfd);
	uint32_t kept[200], count = 0;
	while (count < 200) {
		say(w, "x");
		assert_int_equal(shard_ring_receive(r, w->server, 1), 1);
		const uint32_t slot = shard_ring_keep(r, 0);
		if (!slot)
			break;
		kept[count++] = slot;
	}
	assert_int_equal(count, 64 + RING_LARGE_SLOTS);
	while (count)
		shard_ring_release(r, kept[--count]);
	assert_int_not_equal(shard_ring_keep(r, 0), 0);
	shard_ring_close(r);
}

static void ring_keeps_the_longest_datagram_whole(void **state)
{
	struct world *w = *state;
	static char text[SHARD_RING_DATAGRAM + 100];
	struct shard_ring *r = shard_ring_open(w->memfd);
	struct shard_datagram d;
	memset(text, 'x', sizeof(text));
	assert_int_equal(
		send(w->client, text, SHARD_RING_DATAGRAM, 0), SHARD_RING_DATAGRAM);
	assert_int_equal(send(w->client, text, sizeof(text), 0), sizeof(text));
	assert_int_equal(shard_ring_receive(r, w->server, 1), 2);
	shard_ring_at(r, 0, &d);
	assert_int_equal(d.len, SHARD_RING_DATAGRAM);
	assert_false(d.head.msg_flags & MSG_TRUNC);
	const uint32_t slot = shard_ring_keep(r, 0);
	assert_true(slot > 64);
	shard_ring_at(r, 1, &d);
	assert_true(d.head.msg_flags & MSG_TRUNC);
	shard_ring_close(r);
}

static void ring_of_another_address_or_layout_is_refused(void **state)
{
	struct world *w = *state;
	struct sockaddr_in other = home;
	assert_int_equal(shard_ring_matches(w->memfd, HOME), 1);
	other.sin_port = 1;
	assert_int_equal(
		shard_ring_matches(w->memfd, (struct sockaddr *)&other, sizeof(other)),
		0);
	assert_int_equal(shard_ring_matches(w->server, HOME), 0);
	const uint32_t layout = RING_LAYOUT + 1;
	assert_int_equal(pwrite(w->memfd, &layout, sizeof(layout),
				 offsetof(struct ring_head, layout)),
		sizeof(layout));
	assert_null(shard_ring_open(w->memfd));
	assert_int_equal(errno, EPROTO);
}

static void ring_full_of_the_dead_takes_one_more(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	for (int i = 0; i < SHARD_RING_OWNERS; i++) {
		say(w, "one");
		in_a_process(w, die_with_one_kept_and_one_answered, false);
	}
	struct shard_ring *r = shard_ring_open(w->memfd);
	assert_non_null(r);
	assert_int_equal(shard_ring_take_over(r), SHARD_RING_OWNERS);
	for (int i = 0; i < SHARD_RING_OWNERS; i++)
		assert_int_equal(shard_ring_replay(r, 0, &d), 1);
	struct shard_ring *more[SHARD_RING_OWNERS - 1];
	for (int i = 0; i < SHARD_RING_OWNERS - 1; i++)
		assert_non_null(more[i] = shard_ring_open(w->memfd));
	assert_null(shard_ring_open(w->memfd));
	assert_int_equal(errno, EBUSY);
	for (int i = 0; i < SHARD_RING_OWNERS - 1; i++)
		shard_ring_close(more[i]);
	shard_ring_close(r);
}

/* Damage of any word is survived: lengths are checked, states judged. */
static void ring_survives_damage(void **state)
{
	struct world *w = *state;
	struct shard_datagram d;
	unsigned seed = 1;
	for (int round = 0; round < 200; round++) {
		struct shard_ring *r = shard_ring_open(w->memfd);
		assert_non_null(r);
		say(w, "one");
		shard_ring_receive(r, w->server, 1);
		shard_ring_keep(r, 0);
		for (int i = 0; i < 300; i++) {
			const size_t at = sizeof(struct ring_head) +
					  (size_t)rand_r(&seed) %
						  (r->size - sizeof(struct ring_head));
			if (at < sizeof(struct ring_head) +
						SHARD_RING_OWNERS *
							sizeof(struct ring_owner) &&
				(at - sizeof(struct ring_head)) %
						sizeof(struct ring_owner) <
					offsetof(struct ring_owner, leaving))
				continue; /* pids: of living strangers, perhaps */
			r->base[at] = (uint8_t)rand_r(&seed);
		}
		shard_ring_take_over(r);
		while (shard_ring_replay(r, 0, &d)) {
			assert_true(d.len <= SHARD_RING_DATAGRAM);
			assert_true(d.head.msg_namelen <= RING_NAME);
			shard_ring_release(r, d.slot);
		}
		shard_ring_close(r);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(ring_gives_the_successor_what_the_dead_one_held),
		TEST(ring_gives_of_a_batch_what_its_turn_had_not_come_for),
		TEST(ring_replays_what_was_pending_and_not_what_was_answered),
		TEST(ring_copies_what_one_who_stands_still_holds_less_its_work),
		TEST(ring_copies_no_work_that_was_kept_and_nothing_twice),
		TEST(ring_replays_once_what_was_kept_and_still_in_the_batch),
		TEST(ring_replays_once_what_was_taken_over_by_one_that_died),
		TEST(ring_forgets_what_is_too_old),
		TEST(ring_left_in_order_holds_nothing),
		TEST(ring_counts_the_deaths_that_one_datagram_saw),
		TEST(ring_shared_by_two_generations_takes_nothing_from_the_living),
		TEST(ring_says_when_the_table_is_full_and_goes_on),
		TEST(ring_keeps_the_longest_datagram_whole),
		TEST(ring_of_another_address_or_layout_is_refused),
		TEST(ring_full_of_the_dead_takes_one_more),
		TEST(ring_survives_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
