/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many names a small cache holds: 100,000 signed A records in 27 MB, and what the
 * finished answers of a second round of questions do to them. */
#include "cache/test_help.h"

#include "cache/answer.h"
#include "cache/bundle.h"
#include "wire/codes.h"
#include "wire/writer.h"

enum { NAMES = 100000, SIGNATURE = 18 + 13 + 64 /* ECDSA P-256, by zone00001.com. */ };

static const uint8_t *name_of(unsigned i)
{
	char text[48];
	snprintf(text, sizeof(text), "www.n%05u.com", i);
	return help_name(text);
}

static struct rrset set_of(const uint8_t *name, uint8_t data[static 128])
{
	const uint16_t a = 4, sig = SIGNATURE;
	memset(data, 7, 128);
	memcpy(data, &a, 2);
	memcpy(data + 6, &sig, 2);
	/* RRSIG over A */
	memcpy(data + 8, "\0\1", 2);
	memcpy(data + 8 + 18, "\7n0000_1\3com", 13);
	return (struct rrset){ .name = name,
		.type = TYPE_A,
		.rclass = CLASS_IN,
		.count = 1,
		.sig_count = 1,
		.ttl = DAY,
		.data = data,
		.data_len = 2 + 4 + 2 + SIGNATURE };
}

static void put_set(struct help *h, unsigned i)
{
	uint8_t data[128], value[512];
	const struct bundle_item item = { .section = SECTION_ANSWER,
		.rr = set_of(name_of(i), data) };
	const struct cache_key key = { .kind = CACHE_RRSET,
		.type = TYPE_A,
		.rclass = CLASS_IN,
		.name = item.rr.name };
	const struct cache_meta meta = help_meta(h, DAY);
	const size_t len = bundle_write(value, sizeof(value), key.name, &item, 1);
	assert_true(len && cache_put(h->cache, &key, &h->now, &meta, value, len));
}

/* As an instance does when it is asked for what it knows. */
static bool ask(struct help *h, unsigned i, bool finished)
{
	static uint8_t buf[CACHE_VALUE_MAX];
	struct cache_meta meta;
	struct cache_key key = { .kind = CACHE_RRSET,
		.type = TYPE_A,
		.rclass = CLASS_IN,
		.name = name_of(i) };
	if (cache_get(h->cache, &key, &h->now, &meta, buf, sizeof(buf)) < 0)
		return false;
	if (!finished)
		return true;
	uint8_t data[128], msg[512];
	struct rrset rr = set_of(key.name, data);
	struct writer w;
	writer_begin(&w, msg, sizeof(msg), 0, 0x8180);
	writer_question(&w, key.name, TYPE_A, CLASS_IN);
	writer_rrset(&w, SECTION_ANSWER, &rr, DAY, true);
	key.kind = CACHE_ANSWER;
	key.flags = CACHE_KEY_DO;
	answer_put(h->cache, &key, &h->now, &meta, msg, writer_end(&w));
	return true;
}

static unsigned round_of(struct help *h, bool finished)
{
	unsigned hits = 0;
	for (unsigned i = 0; i < NAMES; i++) {
		if (ask(h, i, finished))
			hits++;
		else
			put_set(h, i); /* resolved again */
	}
	return hits;
}

static void a_hundred_thousand_signed_names_fit(void **state)
{
	struct help *h = *state;
	for (unsigned i = 0; i < NAMES; i++)
		put_set(h, i);
	struct cache_stats stats;
	cache_stats(h->cache, &stats);
	const unsigned plain = round_of(h, false), finished = round_of(h, true),
		       after = round_of(h, true);
	print_message(
		"%.0f bytes a name; hits: %.1f %%; while answers are kept %.1f %%, "
		"then %.1f %%\n",
		(double)stats.bytes_used / NAMES, plain / 1e3, finished / 1e3,
		after / 1e3);
	assert_true(plain >= NAMES * 95 / 100);
	assert_true(finished >= NAMES * 95 / 100);
	assert_true(after >= NAMES * 95 / 100);
}

static int setup(void **state)
{
	return help_setup_size(state, 27 * 1024 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_hundred_thousand_signed_names_fit, setup, help_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
