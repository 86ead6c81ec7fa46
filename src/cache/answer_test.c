/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/answer.h"

#include "cache/bundle.h"
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
		if (i % 2 && len > 14) { /* few TTLs, few records to rotate, few cuts */
			const uint8_t few = value[0] % 8;
			const uint16_t head[7] = { few, few, value[1], 20, 3,
				(uint16_t)(4 | i % 3 << 8), (uint16_t)(i % 5) };
			memcpy(value, head, sizeof(head));
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

/* --- signatures -------------------------------------------------- */

enum { SIG = 18 + 6 + 128 };

/* N records and a signature over them, as struct rrset has its data. */
struct signed_set {
	uint8_t data[4 * 6 + 2 + SIG];
	struct rrset rr;
};

static void put_len(uint8_t *at, uint16_t len)
{
	memcpy(at, &len, sizeof(len));
}

static void sign(struct signed_set *s, const char *name, uint16_t type,
	const uint8_t *rdata, uint16_t len, uint16_t count, uint8_t fill)
{
	size_t at = 0;
	for (uint16_t i = 0; i < count; i++) {
		put_len(s->data + at, len);
		memcpy(s->data + at + 2, rdata, len);
		s->data[at + 1 + len] = (uint8_t)(s->data[at + 1 + len] + i);
		at += 2u + len;
	}
	put_len(s->data + at, SIG);
	uint8_t *sig = s->data + at + 2;
	memset(sig, fill, SIG);
	sig[0] = (uint8_t)(type >> 8);
	sig[1] = (uint8_t)type;
	memcpy(sig + 18, "\4test", 6);
	s->rr = (struct rrset){ .name = help_name(name),
		.type = type,
		.rclass = 1,
		.count = count,
		.sig_count = 1,
		.ttl = 300,
		.data = s->data,
		.data_len = (uint32_t)(at + 2 + SIG) };
}

static void put_bundle(struct help *h, enum cache_kind kind, const char *name,
	uint16_t type, const struct signed_set *const *sets, size_t count)
{
	static uint8_t value[CACHE_VALUE_MAX];
	struct bundle_item items[4];
	struct cache_key key = help_key(name, type);
	key.kind = (uint8_t)kind;
	for (size_t i = 0; i < count; i++)
		items[i] = (struct bundle_item){ SECTION_AUTHORITY, sets[i]->rr };
	const struct cache_meta meta = help_meta(h, 300);
	const size_t len = bundle_write(value, sizeof(value), key.name, items, count);
	assert_true(len && cache_put(h->cache, &key, &h->now, &meta, value, len));
}

static uint64_t bytes_used(struct help *h)
{
	struct cache_stats stats;
	cache_stats(h->cache, &stats);
	return stats.bytes_used;
}

/* www.test CNAME host.test, three addresses, both signed, a wildcard's proof beside. */
static struct signed_set alias, host, proof, soa;

static void make_sets(void)
{
	static const uint8_t target[] = "\4host\4test", a[] = { 192, 0, 2, 1 };
	static const uint8_t none[] = "\1a\4test\0\0\1\100";
	static const uint8_t start[] = "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
	sign(&alias, "www.test", TYPE_CNAME, target, sizeof(target), 1, 1);
	sign(&host, "host.test", TYPE_A, a, 4, 3, 2);
	sign(&proof, "a.test", TYPE_NSEC, none, 11, 1, 3);
	sign(&soa, "test", TYPE_SOA, start, 22, 1, 4);
}

static void put_sets(struct help *h)
{
	const struct signed_set *one[] = { &alias };
	const struct signed_set *two[] = { &host, &proof };
	put_bundle(h, CACHE_RRSET, "www.test", TYPE_CNAME, one, 1);
	put_bundle(h, CACHE_RRSET, "host.test", TYPE_A, two, 2);
}

static size_t write_signed(uint8_t *msg, size_t cap)
{
	struct writer w;
	writer_begin(&w, msg, cap, 0, FLAG_QR | FLAG_RA);
	writer_question(&w, help_name("www.test"), TYPE_A, CLASS_IN);
	assert_true(writer_rrset(&w, SECTION_ANSWER, &alias.rr, 300, true));
	assert_true(writer_rrset(&w, SECTION_ANSWER, &host.rr, 300, true));
	assert_true(writer_rrset(&w, SECTION_AUTHORITY, &proof.rr, 300, true));
	return writer_end(&w);
}

static size_t get_signed(struct help *h, uint32_t rotate, uint8_t *got, size_t cap)
{
	struct cache_key key = answer_key();
	struct cache_meta meta;
	bool too_long;
	key.flags = CACHE_KEY_DO;
	return answer_get(h->cache, &key, &h->now, 0, 0, help_name("www.test"), rotate,
		got, cap, &meta, &too_long);
}

static uint64_t put_signed(struct help *h, const uint8_t *msg, size_t len)
{
	struct cache_key key = answer_key();
	const struct cache_meta meta = help_meta(h, 300);
	const uint64_t before = bytes_used(h);
	key.flags = CACHE_KEY_DO;
	assert_true(answer_put(h->cache, &key, &h->now, &meta, msg, len));
	return bytes_used(h) - before;
}

static void signatures_are_kept_once(void **state)
{
	struct help *h = *state;
	uint8_t msg[2048], got[2048], turned[2048];
	make_sets();
	const size_t len = write_signed(msg, sizeof(msg));
	const uint64_t whole = put_signed(h, msg, len); /* nothing to refer to */
	assert_int_equal(get_signed(h, 0, got, sizeof(got)), len);
	assert_memory_equal(got, msg, len);
	assert_int_equal(get_signed(h, 2, turned, sizeof(turned)), len);
	put_sets(h);
	const uint64_t cut = put_signed(h, msg, len);
	print_message("%zu octets: %lu bytes with its signatures, %lu without\n", len,
		(unsigned long)whole, (unsigned long)cut);
	assert_true(cut < whole - 3 * SIG + 120);
	memset(got, 0, sizeof(got));
	assert_int_equal(get_signed(h, 0, got, sizeof(got)), len);
	assert_memory_equal(got, msg, len);
	assert_int_equal(get_signed(h, 2, got, sizeof(got)), len);
	assert_memory_equal(got, turned, len);
	assert_int_equal(get_signed(h, 0, got, len - 1), 0);
}

static void a_denials_signatures_are_kept_once(void **state)
{
	struct help *h = *state;
	const struct signed_set *sets[] = { &soa, &proof };
	uint64_t whole = 0;
	for (unsigned kind = 0; kind < 3; kind++) {
		uint8_t msg[2048], got[2048];
		struct writer w;
		make_sets();
		writer_begin(&w, msg, sizeof(msg), 0, FLAG_QR | 3);
		writer_question(&w, help_name("www.test"), TYPE_A, CLASS_IN);
		assert_true(writer_rrset(&w, SECTION_AUTHORITY, &soa.rr, 300, true));
		assert_true(writer_rrset(&w, SECTION_AUTHORITY, &proof.rr, 300, true));
		const size_t len = writer_end(&w);
		cache_clear_all(h->cache);
		if (!kind)
			whole = put_signed(h, msg, len);
		/* the last: a name above does not exist */
		put_bundle(h, kind ? CACHE_NXDOMAIN : CACHE_NODATA,
			kind == 2 ? "test" : "www.test", kind ? 0 : TYPE_A, sets, 2);
		const uint64_t cut = put_signed(h, msg, len);
		print_message("%u: %lu bytes, then %lu\n", kind, (unsigned long)whole,
			(unsigned long)cut);
		assert_true(cut < whole - 2 * SIG + 100);
		assert_int_equal(get_signed(h, 0, got, sizeof(got)), len);
		assert_memory_equal(got, msg, len);
	}
}

/* Its entry is gone, or another one stands there: a miss, never other octets. */
static void a_part_that_is_gone_is_a_miss(void **state)
{
	struct help *h = *state;
	uint8_t msg[2048], got[2048];
	make_sets();
	put_sets(h);
	const size_t len = write_signed(msg, sizeof(msg));
	put_signed(h, msg, len);
	char text[1500];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	unsigned round = 0;
	size_t is = len;
	for (; is && round < 20000; round++) {
		char name[32];
		snprintf(name, sizeof(name), "n%u.other", round);
		help_put(h, name, 1, text);
		is = round % 500 ? is : get_signed(h, 0, got, sizeof(got));
		assert_true(!is || memcmp(got, msg, len) == 0);
	}
	assert_int_equal(is, 0);
	/* made anew from what is there now */
	put_sets(h);
	put_signed(h, msg, len);
	assert_int_equal(get_signed(h, 0, got, sizeof(got)), len);
	assert_memory_equal(got, msg, len);
	/* another size: places mean other things there */
	assert_int_equal(cache_resize(h->cache, 8 * 1024 * 1024), 0);
	is = get_signed(h, 0, got, sizeof(got));
	assert_true(!is || memcmp(got, msg, len) == 0);
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
		T(signatures_are_kept_once),
		T(a_denials_signatures_are_kept_once),
		T(a_part_that_is_gone_is_a_miss),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
