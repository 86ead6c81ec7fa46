/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/rfc5011.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nettle/eddsa.h>

#include "dnssec/ds.h"
#include "dnssec/rfc5011_file.h"
#include "dnssec/test_help.h"
#include "wire/codes.h"

enum { KEYS = 40, DAY = 86400, START = 1760000000, TTL = 172800 };

static struct verifier verifier;
static uint8_t secret[KEYS][ED25519_KEY_SIZE], public[KEYS][ED25519_KEY_SIZE];
static struct test_set set;
static struct trust_point tp;
static int64_t now_s;
static const struct rfc5011_conf conf = { .hold_down_s = 30 * DAY };
static const uint8_t root[1] = { 0 };

static int setup_all(void **state)
{
	(void)state;
	static const struct hash_key key = { 1, 2 };
	for (int i = 0; i < KEYS; i++) {
		memset(secret[i], i + 1, sizeof(secret[i]));
		ed25519_sha512_public_key(public[i], secret[i]);
	}
	return verifier_init(&verifier, 64, CRYPTO_SHA1, &key) ? 0 : -1;
}

static int teardown_all(void **state)
{
	(void)state;
	verifier_fini(&verifier);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&tp, 0, sizeof(tp));
	now_s = START;
	return 0;
}

/* Flags beside the zone bit: R revoked, Z a zone key that is no entry point. */
static size_t make_key(uint8_t out[36], int key, char kind)
{
	const uint16_t flags = kind == 'Z' ? 0x0100 : kind == 'R' ? 0x0181 : 0x0101;
	out[0] = (uint8_t)(flags >> 8);
	out[1] = (uint8_t)flags;
	out[2] = DNSKEY_PROTOCOL;
	out[3] = ALGORITHM_ED25519;
	memcpy(out + 4, public[key], ED25519_KEY_SIZE);
	return 36;
}

static uint16_t tag_of(int key, char kind)
{
	uint8_t rdata[36];
	return dnskey_tag(rdata, make_key(rdata, key, kind));
}

/* "0 1R 2Z" is what the zone has; "0 1R" who signed it. "!": the signature is broken. */
struct spec {
	int key;
	char kind;
};
static unsigned parse(const char *text, struct spec *out)
{
	unsigned count = 0;
	while (*text) {
		char *end;
		out[count].key = (int)strtol(text, &end, 10);
		out[count].kind = strchr("RZ!", *end) && *end ? *end++ : 'K';
		count++;
		text = end + strspn(end, " ");
	}
	return count;
}

static void sign(const struct spec *by, bool broken)
{
	uint8_t rdata[18 + 1 + ED25519_SIGNATURE_SIZE] = { 0 }, *fixed = rdata;
	const uint32_t ttl = TTL, ends = (uint32_t)now_s + 14 * DAY,
		       begins = (uint32_t)now_s - DAY;
	const uint16_t tag = tag_of(by->key, by->kind);
	const uint32_t words[] = { ttl, ends, begins };
	fixed[1] = TYPE_DNSKEY;
	fixed[2] = ALGORITHM_ED25519;
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 4; j++)
			fixed[4 + 4 * i + j] = (uint8_t)(words[i] >> (24 - 8 * j));
	fixed[16] = (uint8_t)(tag >> 8);
	fixed[17] = (uint8_t)tag;
	struct canon canon = { 0 };
	size_t len;
	assert_int_equal(canon_prepare(&canon, &set.rr), CANON_OK);
	const uint8_t *message =
		canon_message(&canon, &set.rr, root, fixed, root, &len);
	assert_non_null(message);
	ed25519_sha512_sign(public[by->key], secret[by->key], len, message, rdata + 19);
	rdata[19] ^= broken;
	canon_fini(&canon);
	set_add(&set, rdata, sizeof(rdata), 1);
}

static struct rfc5011_result see(const char *keys, const char *signers)
{
	struct spec specs[KEYS];
	uint8_t rdata[36];
	set_begin(&set, ".", TYPE_DNSKEY);
	unsigned count = parse(keys, specs);
	for (unsigned i = 0; i < count; i++)
		set_add(&set, rdata, make_key(rdata, specs[i].key, specs[i].kind), 0);
	count = parse(signers, specs);
	for (unsigned i = 0; i < count; i++) {
		const bool broken = specs[i].kind == '!';
		if (broken)
			specs[i].kind = 'K';
		sign(&specs[i], broken);
	}
	return rfc5011_update(&tp, &verifier, &set.rr, &conf, now_s);
}

static void trust(int key)
{
	uint8_t rdata[36];
	assert_true(trust_point_add(
		&tp, TYPE_DNSKEY, rdata, make_key(rdata, key, 'K'), KEY_VALID, 0));
}

static enum key_state state_of(int key)
{
	uint8_t rdata[36];
	make_key(rdata, key, 'K');
	for (unsigned i = 0; i < tp.count; i++)
		if (tp.key[i].len == 36 && tp.key[i].type == TYPE_DNSKEY &&
			memcmp(tp.key[i].rdata, rdata, 36) == 0)
			return tp.key[i].state;
	return KEY_NONE;
}

static void a_new_key_waits_thirty_days(void **state)
{
	(void)state;
	trust(0);
	struct rfc5011_result r = see("0 1 2Z", "0");
	assert_true(r.trusted && r.changed);
	assert_int_equal(state_of(1), KEY_ADD_PEND);
	assert_int_equal(tp.count, 2); /* no zone-signing key */
	assert_int_equal(r.event_count, 1);
	assert_int_equal(r.events[0].tag, tag_of(1, 'K'));
	now_s += 30 * DAY - 1;
	r = see("0 1", "0");
	assert_false(r.changed);
	assert_int_equal(state_of(1), KEY_ADD_PEND);
	now_s += 1;
	r = see("0 1", "0");
	assert_true(r.changed);
	assert_int_equal(state_of(1), KEY_VALID);
}

/* Whoever stole a key can show one of his own, but not for 30 days in each answer. */
static void a_pending_key_that_was_gone_once_begins_anew(void **state)
{
	(void)state;
	trust(0);
	see("0 1", "0");
	now_s += 20 * DAY;
	see("0", "0");
	assert_int_equal(state_of(1), KEY_NONE);
	now_s += 1;
	see("0 1", "0");
	now_s += 20 * DAY;
	see("0 1", "0");
	assert_int_equal(state_of(1), KEY_ADD_PEND);
	now_s += 10 * DAY;
	see("0 1", "0");
	assert_int_equal(state_of(1), KEY_VALID);
}

static void an_answer_that_no_trusted_key_signed_changes_nothing(void **state)
{
	(void)state;
	trust(0);
	const char *const lies[][2] = { { "0 1", "1" }, { "0 1", "" }, { "1", "1" },
		{ "0 1", "0!" }, { "", "" }, { "0 1R", "1R" } };
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		const struct rfc5011_result r = see(lies[i][0], lies[i][1]);
		assert_false(r.trusted);
		assert_false(r.changed);
		assert_int_equal(tp.count, 1);
		assert_int_equal(state_of(0), KEY_VALID);
		assert_int_equal(tp.next_s, now_s + 3600);
	}
}

static void a_pending_key_vouches_for_nothing(void **state)
{
	(void)state;
	trust(0);
	see("0 1", "0");
	now_s += 31 * DAY;
	/* signed by the pending one alone: not even for itself */
	assert_false(see("0 1", "1").trusted);
	assert_int_equal(state_of(1), KEY_ADD_PEND);
	assert_true(trust_point_trusts(&tp, tp.key[0].tag));
	assert_false(trust_point_trusts(&tp, tp.key[1].tag));
	assert_false(see("1 2", "1").trusted);
	assert_int_equal(state_of(0), KEY_VALID);
	assert_int_equal(state_of(2), KEY_NONE);
}

static void an_absent_key_is_missing_and_still_trusted(void **state)
{
	(void)state;
	trust(0);
	trust(1);
	see("0", "0");
	assert_int_equal(state_of(1), KEY_MISSING);
	assert_int_equal(trust_point_trusted(&tp), 2);
	assert_true(trust_point_trusts(&tp, tp.key[1].tag));
	now_s += 1000 * DAY;
	assert_true(see("1", "1").trusted);
	assert_int_equal(state_of(1), KEY_VALID);
	assert_int_equal(state_of(0), KEY_MISSING);
}

static void a_revocation_counts_at_once_and_forever(void **state)
{
	(void)state;
	trust(0);
	trust(1);
	struct rfc5011_result r = see("0R 1", "0R 1");
	assert_true(r.trusted);
	assert_int_equal(state_of(0), KEY_REVOKED);
	assert_int_equal(trust_point_trusted(&tp), 1);
	/* the thief shows it without the bit: not trusted again, and no new key */
	r = see("0 1", "0 1");
	assert_int_equal(state_of(0), KEY_REVOKED);
	assert_false(see("0 2", "0").trusted);
	now_s += 30 * DAY;
	see("0 1", "1");
	assert_int_equal(state_of(0), KEY_NONE); /* removed */
	assert_int_equal(tp.count, 1);
}

static bool read_back(void)
{
	static char text[RFC5011_FILE_MAX];
	static struct trust_point before;
	char error[256];
	before = tp;
	const size_t len = rfc5011_file_write(&tp, text, sizeof(text));
	memset(&tp, 0, sizeof(tp));
	return len && rfc5011_file_read(&tp, text, len, 30 * DAY, error) &&
	       memcmp(&tp, &before, sizeof(tp)) == 0;
}

static void a_revoked_key_is_never_new_again(void **state)
{
	(void)state;
	struct dnskey key;
	uint8_t rdata[36], ds[4 + DIGEST_LEN_MAX];
	trust(0);
	trust(1);
	see("0R 1", "0R 1");
	for (int i = 0; i < 100; i++, now_s += DAY) {
		see("0 1", "0 1");
		assert_true(read_back());
		assert_int_equal(state_of(0), i < 30 ? KEY_REVOKED : KEY_NONE);
		assert_int_equal(trust_point_trusted(&tp), 1);
	}
	assert_false(see("0 1", "0").trusted);
	/* one that was known by its digest alone */
	assert_true(dnskey_read(&key, rdata, make_key(rdata, 2, 'K')));
	const size_t len = ds_make(&verifier, root, &key, DIGEST_SHA384, ds);
	assert_true(trust_point_add(&tp, TYPE_DS, ds, len, KEY_VALID, 0));
	see("1 2R", "1 2R");
	for (int i = 0; i < 100; i++, now_s += DAY) {
		see("0 1 2 3", "1");
		assert_true(read_back());
		assert_int_equal(state_of(2), KEY_NONE);
	}
	assert_int_equal(state_of(3), KEY_VALID);
	assert_int_equal(trust_point_trusted(&tp), 2);
}

static void of_revoked_keys_the_oldest_are_forgotten(void **state)
{
	(void)state;
	uint8_t ds[36] = { 0, 0, ALGORITHM_ED25519, DIGEST_SHA256 };
	trust(0);
	for (int i = 0; i < LIMIT_REVOKED_KEYS; i++) {
		ds[0] = (uint8_t)i;
		assert_int_equal(trust_point_revoke(&tp, ds, sizeof(ds)), 0);
		assert_int_equal(trust_point_revoke(&tp, ds, sizeof(ds)), 0);
	}
	assert_int_equal(tp.revoked_count, LIMIT_REVOKED_KEYS);
	assert_true(read_back());
	assert_int_equal(trust_point_revoke(&tp, ds, 3), 0);
	ds[0] = LIMIT_REVOKED_KEYS;
	assert_int_equal(trust_point_revoke(&tp, ds, sizeof(ds)), 1);
	assert_int_equal(tp.revoked_count, LIMIT_REVOKED_KEYS);
	assert_int_equal(tp.revoked[0].ds[0], 1);
	assert_int_equal(tp.revoked[LIMIT_REVOKED_KEYS - 1].ds[0], LIMIT_REVOKED_KEYS);
	assert_true(read_back());
}

static void a_revocation_needs_the_keys_own_signature(void **state)
{
	(void)state;
	trust(0);
	trust(1);
	/* a thief of key 1 cannot revoke key 0 */
	see("0R 1", "1");
	assert_int_equal(state_of(0), KEY_MISSING);
	assert_int_equal(trust_point_trusted(&tp), 2);
	assert_true(see("0 1", "0").trusted);
	assert_int_equal(state_of(0), KEY_VALID);
}

static void a_key_can_revoke_itself_without_any_other(void **state)
{
	(void)state;
	trust(0);
	trust(1);
	const struct rfc5011_result r = see("0R", "0R");
	assert_false(r.trusted);
	assert_true(r.changed);
	assert_int_equal(state_of(0), KEY_REVOKED);
	assert_int_equal(state_of(1), KEY_VALID); /* an untrusted set says nothing */
}

/* As the root did from 2024 to 2027, seen daily. */
static void a_rollover_is_followed_to_its_end(void **state)
{
	(void)state;
	struct dnskey key;
	uint8_t rdata[36], ds[4 + DIGEST_LEN_MAX];
	assert_true(dnskey_read(&key, rdata, make_key(rdata, 0, 'K')));
	for (uint8_t type = DIGEST_SHA256; type <= DIGEST_SHA384; type += 2) {
		const size_t len = ds_make(&verifier, root, &key, type, ds);
		assert_true(trust_point_add(&tp, TYPE_DS, ds, len, KEY_VALID, 0));
	}
	for (int day = 0; day < 700; day++, now_s += DAY) {
		const struct rfc5011_result r = day < 10    ? see("0 9Z", "0")
						: day < 300 ? see("0 1 9Z", "0")
						: day < 500 ? see("0 1 9Z", "1")
						: day < 600 ? see("0R 1 9Z", "0R 1")
							    : see("1 9Z", "1");
		assert_true(r.trusted);
		if (day == 0) /* two digests were one key */
			assert_int_equal(tp.count, 1);
		if (day == 39)
			assert_int_equal(state_of(1), KEY_ADD_PEND);
		if (day == 40)
			assert_int_equal(state_of(1), KEY_VALID);
		if (day == 500)
			assert_int_equal(state_of(0), KEY_REVOKED);
		if (day == 530)
			assert_int_equal(state_of(0), KEY_NONE);
	}
	assert_int_equal(tp.count, 1);
	assert_int_equal(state_of(1), KEY_VALID);
}

static void removed_keys_are_kept_as_told(void **state)
{
	(void)state;
	const struct rfc5011_conf keep = { .hold_down_s = DAY, .keep_removed = 1 };
	trust(0);
	trust(1);
	trust(2);
	see("0R 1R 2", "0R 1R 2");
	now_s += 31 * DAY;
	see("2", "2");
	assert_int_equal(tp.count, 1);
	setup(NULL);
	trust(0);
	trust(1);
	trust(2);
	see("0R 1R 2", "0R 1R 2");
	now_s += 31 * DAY;
	rfc5011_update(&tp, &verifier, &set.rr, &keep, now_s);
	assert_int_equal(tp.count, 2);
	assert_int_equal(state_of(1), KEY_REMOVED);
}

static void many_new_keys_do_not_overrun(void **state)
{
	(void)state;
	char keys[256] = "";
	trust(0);
	for (int i = 0; i < KEYS - 1; i++)
		snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%d ", i);
	const struct rfc5011_result r = see(keys, "0");
	assert_true(r.trusted);
	assert_int_equal(tp.count, LIMIT_TRACKED_KEYS);
	assert_int_equal(r.refused, KEYS - 1 - LIMIT_TRACKED_KEYS);
	see("0", "0");
	assert_int_equal(tp.count, 1);
}

static void the_next_time_follows_ttl_and_signature(void **state)
{
	(void)state;
	trust(0);
	see("0", "0");
	assert_int_equal(tp.next_s, now_s + TTL / 2);
	/* a hold-down that ends before is not slept over */
	see("0 1", "0");
	now_s += 30 * DAY - 7200;
	see("0 1", "0");
	assert_int_equal(tp.next_s, now_s + 7200);
	const struct rfc5011_conf fast = { .hold_down_s = 10, .refresh_s = 2 };
	rfc5011_update(&tp, &verifier, &set.rr, &fast, now_s);
	assert_int_equal(tp.next_s, now_s + 2);
}

/* --- the file -------------------------------------------------------------------- */

static bool read_text(const char *text, char error[256])
{
	error[0] = 0;
	return rfc5011_file_read(&tp, text, strlen(text), 30 * DAY, error);
}

static void the_file_keeps_all_states(void **state)
{
	(void)state;
	static struct trust_point before;
	static char text[RFC5011_FILE_MAX];
	char error[256];
	trust(0);
	trust(1);
	trust(2);
	see("0R 1 3", "0R 1");
	tp.next_s = START + 77;
	before = tp;
	const size_t len = rfc5011_file_write(&tp, text, sizeof(text));
	assert_true(len);
	memset(&tp, 0, sizeof(tp));
	assert_true(read_text(text, error));
	assert_memory_equal(&tp, &before, sizeof(tp));
	assert_int_equal(state_of(0), KEY_REVOKED);
	assert_int_equal(state_of(1), KEY_VALID);
	assert_int_equal(state_of(2), KEY_MISSING);
	assert_int_equal(state_of(3), KEY_ADD_PEND);
	/* who reads plain records sees the trusted ones alone */
	unsigned plain = 0;
	for (const char *line = text; line && *line;
		line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		plain += *line != ';';
	assert_int_equal(plain, 2);
	assert_int_equal(rfc5011_file_write(&tp, text, 100), 0);
}

#define KEY_A "AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq"
#define DS_A                                                                           \
	"20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"

static void files_of_others_are_read(void **state)
{
	(void)state;
	char error[256];
	assert_true(read_text(". IN DS " DS_A "\n"
			      ". 3600 IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219"
			      " 298D0A450D612C483AF444A4C0FB2B16\n",
		error));
	assert_int_equal(tp.count, 2);
	assert_int_equal(tp.key[0].tag + tp.key[1].tag, 20326 + 38696);
	/* dns-root-data */
	assert_true(read_text(". IN DNSKEY 257 3 8 " KEY_A " ; keytag 20326\n", error));
	assert_int_equal(tp.key[0].state, KEY_VALID);
	/* Knot Resolver */
	assert_true(read_text(".\t172800\tDNSKEY\t257 3 8 " KEY_A
			      " ; Missing:1600000000 ; KeyTag:1\n"
			      "; .\t172800\tDNSKEY\t257 3 8 " KEY_A
			      "AAAA ; AddPend:1700000000 ; KeyTag:2\n"
			      "; a remark\n; . DNSKEY 257 3 8 " KEY_A " ; no state\n",
		error));
	assert_int_equal(tp.count, 2);
	assert_int_equal(tp.key[0].state, KEY_MISSING);
	assert_int_equal(tp.key[1].state, KEY_ADD_PEND);
	assert_int_equal(tp.key[1].due_s, 1700000000);
	/* Unbound: what pends is no comment there */
	assert_true(
		read_text("; autotrust trust anchor file\n;;id: . 1\n"
			  ". 172800 IN DNSKEY 257 3 8 " KEY_A
			  " ;{id = 1 (ksk), size = 2048b} ;;state=2 [  VALID  ] "
			  ";;count=0 ;;lastchange=1502438004 ;;Fri Aug 11\n"
			  ". 172800 IN DNSKEY 257 3 8 " KEY_A
			  "AAAA ;{id = 2 (ksk), size = 2048b} ;;state=1 [ ADDPEND ] "
			  ";;count=3 ;;lastchange=1700000000 ;;x\n",
			error));
	assert_int_equal(tp.count, 2);
	assert_int_equal(tp.key[0].state, KEY_VALID);
	assert_int_equal(tp.key[1].state, KEY_ADD_PEND);
	assert_int_equal(tp.key[1].due_s, 1700000000 + 30 * DAY);
	/* other records beside, several lines */
	assert_true(read_text("$TTL 1h\nexample. SOA a. b. 1 2 3 4 5\n"
			      "\tTXT \"; (\"\n\tDNSKEY ( 257 3 8 ; first\n  " KEY_A
			      " ) ; Valid:\n",
		error));
	assert_int_equal(tp.count, 1);
	assert_int_equal(tp.key[0].state, KEY_VALID);
}

static void a_key_that_somebody_commented_out_is_not_trusted(void **state)
{
	(void)state;
	char error[256];
	assert_true(read_text(". DS " DS_A "\n; . DNSKEY 257 3 8 " KEY_A
			      " ; Valid: ; KeyTag:1\n",
		error));
	assert_int_equal(tp.count, 1);
	assert_int_equal(tp.key[0].type, TYPE_DS);
}

static void a_damaged_file_says_where(void **state)
{
	(void)state;
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "", "0: no DS or DNSKEY" },
		{ "; nothing\n\n", "no DS or DNSKEY" },
		{ "\n. IN DS 20326 8 2 E0\n", "2: this record cannot" },
		{ ". IN DS 20326 8 2 xy\n", "1: malformed" },
		{ ". DNSKEY 257 3 8 AwE=A\n", "1: malformed" },
		{ ". DNSKEY 256000 3 8 AwEA\n", "1: malformed" },
		{ ". DNSKEY 1 3 8 AwEA\n", "1: this record cannot" },
		{ ". DNSKEY 385 3 8 AwEA\n", "1: this record cannot" },
		{ ". DS " DS_A "\na. DS " DS_A "\n", "2: keys of two zones" },
		{ ". DS " DS_A "\n\x01\x02\x03", "2: not a record" },
		{ ". DS " DS_A "\n. IN", "2: not a record" },
		{ " DS " DS_A "\n", "1: not a record" },
		{ ". DS ( " DS_A "\n", "1: a parenthesis is not closed" },
		{ ". DS " DS_A " )\n", "1: a parenthesis too many" },
		{ "$INCLUDE x\n", "1: $ORIGIN" },
	};
	char error[256];
	trust(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_false(read_text(rows[i].text, error));
		if (!strstr(error, rows[i].error))
			fail_msg("%s: %s", rows[i].text, error);
		assert_int_equal(tp.count, 1); /* what was there stays */
	}
}

static void a_pending_key_without_a_time_is_never_trusted(void **state)
{
	(void)state;
	char error[256];
	assert_true(read_text(". DS " DS_A "\n; . DNSKEY 257 3 8 " KEY_A
			      " ; AddPend: ; KeyTag:1\n",
		error));
	assert_int_equal(tp.key[1].state, KEY_ADD_PEND);
	assert_true(tp.key[1].due_s > INT64_C(1) << 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_key_waits_thirty_days, setup),
		cmocka_unit_test_setup(
			a_pending_key_that_was_gone_once_begins_anew, setup),
		cmocka_unit_test_setup(
			an_answer_that_no_trusted_key_signed_changes_nothing, setup),
		cmocka_unit_test_setup(a_pending_key_vouches_for_nothing, setup),
		cmocka_unit_test_setup(
			an_absent_key_is_missing_and_still_trusted, setup),
		cmocka_unit_test_setup(a_revocation_counts_at_once_and_forever, setup),
		cmocka_unit_test_setup(a_revoked_key_is_never_new_again, setup),
		cmocka_unit_test_setup(of_revoked_keys_the_oldest_are_forgotten, setup),
		cmocka_unit_test_setup(
			a_revocation_needs_the_keys_own_signature, setup),
		cmocka_unit_test_setup(
			a_key_can_revoke_itself_without_any_other, setup),
		cmocka_unit_test_setup(a_rollover_is_followed_to_its_end, setup),
		cmocka_unit_test_setup(removed_keys_are_kept_as_told, setup),
		cmocka_unit_test_setup(many_new_keys_do_not_overrun, setup),
		cmocka_unit_test_setup(the_next_time_follows_ttl_and_signature, setup),
		cmocka_unit_test_setup(the_file_keeps_all_states, setup),
		cmocka_unit_test_setup(files_of_others_are_read, setup),
		cmocka_unit_test_setup(
			a_key_that_somebody_commented_out_is_not_trusted, setup),
		cmocka_unit_test_setup(a_damaged_file_says_where, setup),
		cmocka_unit_test_setup(
			a_pending_key_without_a_time_is_never_trusted, setup),
	};
	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
