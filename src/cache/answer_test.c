/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/answer.h"

#include "cache/test_help.h"
#include "wire/codes.h"
#include "wire/msg.h"
#include "wire/writer.h"

static const uint8_t three_a[] = { 4, 0, 192, 0, 2, 1, 4, 0, 192, 0, 2, 2, 4, 0, 192, 0,
	2, 3 };

/* www.test CNAME host.test, three addresses, a longer name's NS behind. */
static size_t write_answer(uint8_t *buf, size_t cap)
{
	static const uint8_t cname[] = { 11, 0, 4, 'h', 'o', 's', 't', 4, 't', 'e', 's',
		't', 0 };
	static const uint8_t ns[] = { 4, 0, 2, 'n', 's', 0 };
	const struct rrset alias = { .name = help_name("www.test"),
		.type = TYPE_CNAME,
		.rclass = 1,
		.count = 1,
		.ttl = 100,
		.data = cname,
		.data_len = sizeof(cname) };
	const struct rrset host = { .name = help_name("host.test"),
		.type = TYPE_A,
		.rclass = 1,
		.count = 3,
		.ttl = 50,
		.data = three_a,
		.data_len = sizeof(three_a) };
	static char text[300];
	memset(text, 'x', 240);
	for (int i = 50; i < 240; i += 60)
		text[i] = '.';
	const struct rrset far = { .name = help_name(text),
		.type = TYPE_NS,
		.rclass = 1,
		.count = 1,
		.ttl = 7,
		.data = ns,
		.data_len = sizeof(ns) };
	struct writer w;
	writer_begin(&w, buf, cap, 0, FLAG_QR | FLAG_RA | FLAG_AD);
	writer_question(&w, help_name("www.test"), TYPE_A, CLASS_IN);
	assert_true(writer_rrset(&w, SECTION_ANSWER, &alias, 0, false));
	assert_true(writer_rrset(&w, SECTION_ANSWER, &host, 0, false));
	assert_true(writer_rrset(&w, SECTION_AUTHORITY, &far, 0, false));
	return writer_end(&w);
}

static struct cache_key answer_key(void)
{
	struct cache_key key = help_key("www.test", TYPE_A);
	key.kind = CACHE_ANSWER;
	return key;
}

static size_t store(struct help *h, uint8_t *msg, size_t cap)
{
	const size_t len = write_answer(msg, cap);
	const struct cache_key key = answer_key();
	const struct cache_meta meta = help_meta(h, 50);
	assert_true(answer_put(h->cache, &key, &h->now, &meta, msg, len));
	return len;
}

static void an_answer_comes_back_patched(void **state)
{
	struct help *h = *state;
	uint8_t stored[1024], got[1024];
	const size_t len = store(h, stored, sizeof(stored));
	const struct cache_key key = answer_key();
	struct cache_meta meta;
	bool too_long = true;
	h->now.wall_ms += 9000;
	assert_int_equal(
		answer_get(h->cache, &key, &h->now, 0xabcd, FLAG_RD,
			help_name("wWw.Test"), 0, got, sizeof(got), &meta, &too_long),
		len);
	assert_false(too_long);
	struct msg m;
	assert_true(msg_read(&m, got, len));
	assert_int_equal(m.id, 0xabcd);
	assert_int_equal(m.flags, FLAG_QR | FLAG_RA | FLAG_AD | FLAG_RD);
	assert_true(name_equal_case(m.qname, help_name("wWw.Test")));
	static const uint32_t ttls[] = { 91, 41, 41, 41, 0 };
	struct msg_rr rr;
	unsigned i = 0;
	for (struct msg_walk w = msg_begin(&m); msg_next(&w, &rr); i++)
		assert_int_equal(rr.ttl, ttls[i]);
	assert_int_equal(i, 5);
	assert_int_equal(meta.stored_s + 9, now_wall_s(&h->now));
}

static void addresses_rotate(void **state)
{
	struct help *h = *state;
	uint8_t stored[1024], got[1024];
	const size_t len = store(h, stored, sizeof(stored));
	const struct cache_key key = answer_key();
	for (uint32_t by = 0; by < 5; by++) {
		struct cache_meta meta;
		bool too_long;
		assert_int_equal(answer_get(h->cache, &key, &h->now, 1, 0, key.name, by,
					 got, sizeof(got), &meta, &too_long),
			len);
		struct msg m;
		assert_true(msg_read(&m, got, len));
		struct msg_rr rr;
		uint32_t i = 0;
		for (struct msg_walk w = msg_begin(&m); msg_next(&w, &rr);) {
			if (rr.type != TYPE_A)
				continue;
			assert_int_equal(rr.rdata[3], 1 + (i + by) % 3);
			i++;
		}
		assert_int_equal(i, 3);
	}
}

static void what_does_not_fit_is_told(void **state)
{
	struct help *h = *state;
	uint8_t stored[1024], got[1024];
	const size_t len = store(h, stored, sizeof(stored));
	const struct cache_key key = answer_key();
	struct cache_meta meta;
	bool too_long = false;
	assert_int_equal(answer_get(h->cache, &key, &h->now, 1, 0, key.name, 0, got,
				 len - 1, &meta, &too_long),
		0);
	assert_true(too_long);
	assert_int_equal(answer_get(h->cache, &key, &h->now, 1, 0, key.name, 0, got,
				 len, &meta, &too_long),
		len);
	h->now.wall_ms += 60000;
	assert_int_equal(answer_get(h->cache, &key, &h->now, 1, 0, key.name, 0, got,
				 len, &meta, &too_long),
		0);
	assert_false(too_long);
}

/* A value with a right check may still come from another writer of the segment. */
static void senseless_values_are_misses(void **state)
{
	struct help *h = *state;
	uint8_t value[600], got[1024];
	const struct cache_key key = answer_key();
	struct cache_meta meta = help_meta(h, 50), out;
	bool too_long;
	for (unsigned i = 0; i < 20000; i++) {
		const size_t len = random_below(&h->rnd, i % 4 ? 40 : sizeof(value));
		random_fill(&h->rnd, value, sizeof(value));
		if (i % 2 && len > 10) { /* few TTLs, few records to rotate */
			memset(value, 0, 10);
			value[1] = value[0] % 8;
			value[7] = 3;
			value[5] = 20;
			value[9] = 4;
		}
		assert_true(cache_put(h->cache, &key, &h->now, &meta, value, len));
		answer_get(h->cache, &key, &h->now, 1, 0, key.name, 1, got, sizeof(got),
			&out, &too_long);
	}
	/* the longest that can be promised */
	memset(value, 0, sizeof(value));
	value[0] = value[1] = 255;
	assert_true(cache_put(h->cache, &key, &h->now, &meta, value, sizeof(value)));
	assert_int_equal(answer_get(h->cache, &key, &h->now, 1, 0, key.name, 1, got,
				 sizeof(got), &out, &too_long),
		0);
}

static void only_whole_messages_for_the_key_are_stored(void **state)
{
	struct help *h = *state;
	uint8_t msg[1024];
	const size_t len = write_answer(msg, sizeof(msg));
	struct cache_key key = answer_key();
	const struct cache_meta meta = help_meta(h, 50);
	for (size_t cut = 0; cut < len; cut++)
		assert_false(answer_put(h->cache, &key, &h->now, &meta, msg, cut));
	key.name = help_name("other.test");
	assert_false(answer_put(h->cache, &key, &h->now, &meta, msg, len));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, help_setup, help_teardown)
	const struct CMUnitTest tests[] = {
		T(an_answer_comes_back_patched),
		T(addresses_rotate),
		T(what_does_not_fit_is_told),
		T(senseless_values_are_misses),
		T(only_whole_messages_for_the_key_are_stored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
