/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/anchor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dnssec/ds.h"
#include "dnssec/test_help.h"
#include "wire/codes.h"
#include "wire/name.h"

static const uint8_t *name(const char *text)
{
	static uint8_t bufs[4][NAME_MAX_LEN];
	static unsigned turn;
	uint8_t *buf = bufs[turn++ % 4];
	assert_true(name_from_text(buf, text));
	return buf;
}

static struct anchor_set *set_new(void)
{
	struct anchor_set *set = anchor_set_new();
	assert_non_null(set);
	return set;
}

static struct anchor_set *sealed(struct anchor_set *set)
{
	assert_true(anchor_set_seal(set));
	return set;
}

static bool add_ds(struct anchor_set *set, const char *owner, uint16_t tag)
{
	uint8_t rdata[4 + 32] = { (uint8_t)(tag >> 8), (uint8_t)tag, 8, 2, 0xaa };
	return anchor_set_add(set, name(owner), TYPE_DS, rdata, sizeof(rdata));
}

static void assert_owner(
	const struct anchor *a, enum anchor_kind kind, const char *owner)
{
	assert_non_null(a);
	assert_int_equal(a->kind, kind);
	assert_true(name_equal(a->owner, name(owner)));
}

static void an_empty_set_validates_nothing(void **state)
{
	(void)state;
	struct anchor_set *set = sealed(set_new());
	assert_null(anchor_find(set, name("."), 0));
	assert_null(anchor_find(set, name("a.b"), 0));
	assert_int_equal(anchor_set_count(set), 0);
	anchor_set_drop(set);
}

static void the_builtin_anchors_are_both_keys_of_the_root(void **state)
{
	(void)state;
	struct anchor_set *set = set_new();
	anchor_set_builtin(set);
	sealed(set);
	const struct anchor *a = anchor_find(set, name("www.example.org"), 0);
	assert_owner(a, ANCHOR_POSITIVE, ".");
	assert_int_equal(a->ds.count, 2);
	assert_true(rrset_valid(&a->ds));
	unsigned sum = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct ds ds;
		const struct rdata r = rrset_at(&a->ds, i);
		assert_true(ds_read(&ds, r.bytes, r.len));
		assert_int_equal(ds.algorithm, 8);
		assert_int_equal(ds.digest_type, 2);
		sum += ds.tag;
	}
	assert_int_equal(sum, 20326 + 38696);
	anchor_set_drop(set);
}

static void the_closest_anchor_counts(void **state)
{
	(void)state;
	struct anchor_set *set = set_new();
	anchor_set_builtin(set);
	assert_true(add_ds(set, "Island.Example", 7));
	anchor_set_negative(set, name("example"), "keys lost", 1000);
	anchor_set_negative(set, name("x.island.example"), NULL, ANCHOR_FOREVER);
	sealed(set);
	assert_owner(anchor_find(set, name("org"), 5), ANCHOR_POSITIVE, ".");
	const struct anchor *a = anchor_find(set, name("WWW.EXAMPLE"), 5);
	assert_owner(a, ANCHOR_NEGATIVE, "example");
	assert_string_equal(a->reason, "keys lost");
	assert_int_equal(a->until_s, 1000);
	assert_owner(anchor_find(set, name("a.island.example"), 5), ANCHOR_POSITIVE,
		"island.example");
	assert_owner(anchor_find(set, name("island.example"), 5), ANCHOR_POSITIVE,
		"island.example");
	a = anchor_find(set, name("a.b.x.island.example"), 5);
	assert_owner(a, ANCHOR_NEGATIVE, "x.island.example");
	assert_null(a->reason);
	/* a label's end is no parent */
	assert_owner(anchor_find(set, name("notexample"), 5), ANCHOR_POSITIVE, ".");
	anchor_set_drop(set);
}

static void a_negative_anchor_ends_in_time(void **state)
{
	(void)state;
	struct anchor_set *set = set_new();
	anchor_set_builtin(set);
	anchor_set_negative(set, name("example"), "a", 1000);
	anchor_set_negative(set, name("example"), "b", 2000);
	anchor_set_negative(set, name("other"), "c", 1500);
	sealed(set);
	assert_int_equal(anchor_set_count(set), 3);
	assert_owner(
		anchor_find(set, name("example"), 1999), ANCHOR_NEGATIVE, "example");
	assert_owner(anchor_find(set, name("example"), 2000), ANCHOR_POSITIVE, ".");
	assert_int_equal(anchor_set_next_s(set, 0), 1500);
	assert_int_equal(anchor_set_next_s(set, 1500), 2000);
	assert_int_equal(anchor_set_next_s(set, 2000), ANCHOR_FOREVER);
	anchor_set_drop(set);
}

static void at_one_name_the_negative_anchor_counts(void **state)
{
	(void)state;
	struct anchor_set *set = set_new();
	assert_true(add_ds(set, "example", 1));
	anchor_set_negative(set, name("example"), NULL, 10);
	sealed(set);
	assert_owner(anchor_find(set, name("example"), 9), ANCHOR_NEGATIVE, "example");
	assert_owner(anchor_find(set, name("example"), 10), ANCHOR_POSITIVE, "example");
	assert_null(anchor_find(set, name("org"), 9));
	anchor_set_drop(set);
}

static void ds_records_belong_to_the_parent(void **state)
{
	(void)state;
	struct anchor_set *set = set_new();
	anchor_set_builtin(set);
	anchor_set_negative(set, name("example"), NULL, ANCHOR_FOREVER);
	sealed(set);
	assert_owner(anchor_find_type(set, name("example"), TYPE_DS, 0),
		ANCHOR_POSITIVE, ".");
	assert_owner(anchor_find_type(set, name("example"), TYPE_A, 0), ANCHOR_NEGATIVE,
		"example");
	assert_owner(anchor_find_type(set, name("a.example"), TYPE_DS, 0),
		ANCHOR_NEGATIVE, "example");
	assert_owner(
		anchor_find_type(set, name("."), TYPE_DS, 0), ANCHOR_POSITIVE, ".");
	anchor_set_drop(set);
}

/* The root's key of 2017, as dns-root-data has it. */
static void a_key_becomes_its_ds(void **state)
{
	(void)state;
	static const char key[] = "0101030803010001acffb409bcc939f831f7a1e5ec88f7a592"
				  "55ec53040be432027390a4ce896d6f9086f3c5e177fbfe1181"
				  "63aaec7af1462c47945944c4e2c026be5e98bbcded25978272"
				  "e1e3e079c5094d573f0e83c92f02b32d3513b1550b826929c8"
				  "0dd0f92cac966d17769fd5867b647c3f38029abdc48152eb8f"
				  "207159ecc5d232c7c1537c79f4b7ac28ff11682f21681bf6d6"
				  "aba555032bf6f9f036beb2aaa5b3778d6eebfba6bf9ea191be"
				  "4ab0caea759e2f773a1f9029c73ecb8d5735b9321db085f1b8"
				  "e2d8038fe2941992548cee0d67dd4547e11dd63af9c9fc1c54"
				  "66fb684cf009d7197c2cf79e792ab501e6a8a1ca519af2cb9b"
				  "5f6367e94c0d47502451357be1b5";
	uint8_t rdata[512];
	const size_t len = unhex(rdata, key);
	struct anchor_set *set = set_new();
	anchor_set_builtin(set);
	assert_true(anchor_set_add(set, name("."), TYPE_DNSKEY, rdata, len));
	assert_true(anchor_set_add(set, name("."), TYPE_DNSKEY, rdata, len));
	sealed(set);
	const struct anchor *a = anchor_find(set, name("."), 0);
	/* its SHA-256 is the built-in one: no third record */
	assert_int_equal(a->ds.count, 2);
	assert_int_equal(a->keys.count, 1);
	assert_true(rrset_has(&a->keys, rdata, (uint16_t)len));
	anchor_set_drop(set);
}

static void what_cannot_be_an_anchor_is_refused(void **state)
{
	(void)state;
	static const uint8_t zsk[] = { 0, 1, 3, 8, 1, 2, 3 },
			     revoked[] = { 1, 0x81, 3, 8, 1, 2, 3 },
			     protocol[] = { 1, 1, 2, 8, 1, 2, 3 },
			     short_ds[] = { 0, 1, 8, 2, 1, 2, 3 };
	struct anchor_set *set = set_new();
	assert_false(anchor_set_add(set, name("."), TYPE_DNSKEY, zsk, 7));
	assert_false(anchor_set_add(set, name("."), TYPE_DNSKEY, revoked, 7));
	assert_false(anchor_set_add(set, name("."), TYPE_DNSKEY, protocol, 7));
	assert_false(anchor_set_add(set, name("."), TYPE_DNSKEY, zsk, 3));
	assert_false(anchor_set_add(set, name("."), TYPE_DS, short_ds, 4));
	assert_false(anchor_set_add(set, name("."), TYPE_A, short_ds, 4));
	sealed(set);
	assert_int_equal(anchor_set_count(set), 0);
	anchor_set_drop(set);
}

static uint64_t hash_of(struct anchor_set *set)
{
	sealed(set);
	const uint64_t hash = anchor_set_hash(set);
	anchor_set_drop(set);
	return hash;
}

static void the_hash_is_over_what_is_trusted(void **state)
{
	(void)state;
	struct anchor_set *a = set_new(), *b = set_new(), *c = set_new(),
			  *d = set_new();
	anchor_set_builtin(a);
	anchor_set_negative(a, name("x"), "one", 5);
	anchor_set_negative(b, name("X"), "other", 7);
	anchor_set_builtin(b);
	anchor_set_builtin(c);
	assert_true(add_ds(d, "x", 1));
	anchor_set_builtin(d);
	const uint64_t ha = hash_of(a), hb = hash_of(b), hc = hash_of(c),
		       hd = hash_of(d);
	assert_true(ha == hb);
	assert_true(ha != hc && ha != hd && hc != hd);
}

static void a_held_set_outlives_its_successor(void **state)
{
	(void)state;
	struct anchor_set *set = set_new();
	anchor_set_builtin(set);
	sealed(set);
	struct anchor_set *held = anchor_set_hold(set);
	anchor_set_drop(set);
	assert_owner(anchor_find(held, name("a"), 0), ANCHOR_POSITIVE, ".");
	anchor_set_drop(held);
	anchor_set_drop(NULL);
}

static void many_negative_anchors_are_found(void **state)
{
	(void)state;
	struct anchor_set *set = set_new();
	char text[64];
	anchor_set_builtin(set);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "n%u.example", i * 7919 % 1000);
		anchor_set_negative(set, name(text), NULL, ANCHOR_FOREVER);
	}
	sealed(set);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "a.b.n%u.example", i);
		assert_owner(
			anchor_find(set, name(text), 0), ANCHOR_NEGATIVE, text + 4);
	}
	assert_owner(anchor_find(set, name("n1000.example"), 0), ANCHOR_POSITIVE, ".");
	anchor_set_drop(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_set_validates_nothing),
		cmocka_unit_test(the_builtin_anchors_are_both_keys_of_the_root),
		cmocka_unit_test(the_closest_anchor_counts),
		cmocka_unit_test(a_negative_anchor_ends_in_time),
		cmocka_unit_test(at_one_name_the_negative_anchor_counts),
		cmocka_unit_test(ds_records_belong_to_the_parent),
		cmocka_unit_test(a_key_becomes_its_ds),
		cmocka_unit_test(what_cannot_be_an_anchor_is_refused),
		cmocka_unit_test(the_hash_is_over_what_is_trusted),
		cmocka_unit_test(a_held_set_outlives_its_successor),
		cmocka_unit_test(many_negative_anchors_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
