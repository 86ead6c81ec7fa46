/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/codes.h"

static void name(uint8_t out[static NAME_MAX_LEN], const char *text)
{
	assert_true(name_from_text(out, text) > 0);
}

static void file_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void conf_new_has_every_default_and_26_root_addresses(void **state)
{
	(void)state;
	struct conf *c = conf_new();
	assert_non_null(c);
	assert_int_equal(c->cache_size, 100 * 1024 * 1024);
	assert_int_equal(c->bufsize_down, 1232);
	assert_true(c->net_ipv6);
	assert_int_equal(c->root_count, 26);
	assert_true(conf_module_on(c, MODULE_priming));
	assert_false(conf_module_on(c, MODULE_hints));
	conf_finish(c);
	assert_int_equal(c->listen_count, 2);
	assert_false(c->listens[0].optional);
	assert_true(c->listens[1].optional);
	conf_free(c);
}

static void conf_option_set_names_the_range(void **state)
{
	(void)state;
	struct conf *c = conf_new();
	char error[256];
	const struct conf_option_row *row = conf_option_find("cache.max_ttl");
	assert_non_null(row);
	assert_false(conf_option_set(c, row, 99999999999.0, error));
	assert_string_equal(
		error, "cache.max_ttl: 99999999999 is not within 1..2147483647");
	assert_false(conf_option_set(c, row, 1.5, error));
	assert_true(conf_option_set(c, row, 60, error));
	assert_int_equal(c->cache_max_ttl, 60);
	conf_free(c);
}

static uint64_t hash_with(const char *option, double value, const char *instance)
{
	struct conf *c = conf_new();
	char error[256];
	c->instance = instance;
	c->nsid = instance; /* as nsid.name(os.getenv('SYSTEMD_INSTANCE')) does */
	if (option)
		assert_true(conf_option_set(c, conf_option_find(option), value, error));
	conf_finish(c);
	const uint64_t hash = c->hash;
	conf_free(c);
	return hash;
}

static void conf_hash_tells_a_changed_value_not_the_instance(void **state)
{
	(void)state;
	assert_int_equal(hash_with(NULL, 0, "1"), hash_with(NULL, 0, "2"));
	assert_int_not_equal(
		hash_with(NULL, 0, "1"), hash_with("cache.max_ttl", 60, "1"));
}

static void conf_domain_depends_on_roots_not_on_size(void **state)
{
	(void)state;
	struct conf *a = conf_new(), *b = conf_new();
	char error[256];
	conf_option_set(b, conf_option_find("cache.size"), 1 << 24, error);
	conf_finish(a);
	conf_finish(b);
	assert_int_equal(a->domain, b->domain);
	struct addr addr;
	uint8_t n[NAME_MAX_LEN];
	name(n, "k.root.test");
	assert_true(addr_from_text(&addr, "10.0.0.1", 53));
	conf_root_add(b, n, &addr);
	conf_finish(b);
	assert_int_not_equal(a->domain, b->domain);
	conf_free(a);
	conf_free(b);
}

static void conf_hints_look_up_both_ways_and_the_last_name_is_the_ptr(void **state)
{
	(void)state;
	struct conf *c = conf_new();
	char error[256];
	const char text[] = "192.0.2.1 b.test\n192.0.2.1 A.test # last\n::1 b.test\n";
	assert_true(conf_hosts_text(c, "h", text, strlen(text), error));
	conf_finish(c);
	uint8_t n[NAME_MAX_LEN];
	name(n, "b.test");
	size_t count;
	assert_non_null(conf_hint_find(c, n, &count));
	assert_int_equal(count, 2);
	struct addr addr;
	assert_true(addr_from_text(&addr, "192.0.2.1", 0));
	name(n, "a.test");
	assert_true(name_equal_case(conf_hint_ptr(c, &addr), n));
	assert_int_equal(conf_hint_del(c, n, NULL), 1);
	assert_int_equal(c->hint_count, 2);
	conf_free(c);
}

static void conf_hosts_error_has_file_and_line(void **state)
{
	(void)state;
	struct conf *c = conf_new();
	char error[256];
	const char text[] = "127.0.0.1 a\n\nlocalhost 127.0.0.1\n";
	assert_false(conf_hosts_text(c, "etc/hosts", text, strlen(text), error));
	assert_string_equal(error, "etc/hosts:3: not an address");
	assert_false(conf_hosts_file(c, "/nonexistent/hosts", error));
	assert_string_equal(error, "/nonexistent/hosts: No such file or directory");
	assert_false(conf_hosts_file(c, "/", error));
	conf_free(c);
}

static void conf_root_file_replaces_the_builtin_hints(void **state)
{
	(void)state;
	struct conf *c = conf_new();
	char error[256], path[] = "/tmp/conf-test-XXXXXX";
	const int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	file_write(path, ". 60 NS K.root.test.\nk.root.test. 60 A 10.53.0.1\n"
			 "k.root.test. 60 AAAA fd00::1\nother.test. 60 A 10.0.0.9\n");
	assert_true(conf_root_file(c, path, error));
	assert_int_equal(c->root_count, 2);
	assert_int_equal(c->roots[0].addr.port, 53);
	file_write(path, ". 60 NS k.root.test.\nk.root.test. 60 A 10.53.0\n");
	assert_false(conf_root_file(c, path, error));
	assert_non_null(strstr(error, ":2: "));
	file_write(path, "k.root.test. 60 A 10.53.0.1");
	assert_false(conf_root_file(c, path, error));
	assert_int_equal(c->root_count, 2);
	unlink(path);
	assert_false(conf_root_file(c, "/nonexistent", error));
	conf_free(c);
}

static void conf_rdata_from_text_reads_one_record_only(void **state)
{
	(void)state;
	uint8_t out[300];
	assert_int_equal(
		conf_rdata_from_text(TYPE_A, "192.0.2.1", out, sizeof(out)), 4);
	assert_int_equal(out[0], 192);
	assert_int_equal(
		conf_rdata_from_text(TYPE_TXT, "\"a b\" c", out, sizeof(out)), 6);
	assert_int_equal(conf_rdata_from_text(TYPE_A, "192.0.2", out, sizeof(out)), -1);
	assert_int_equal(conf_rdata_from_text(TYPE_A, "192.0.2.1\n. 0 A 192.0.2.2", out,
				 sizeof(out)),
		-1);
	assert_int_equal(conf_rdata_from_text(TYPE_A, "192.0.2.1", out, 3), -1);
}

static void conf_anchor_add_refuses_other_types(void **state)
{
	(void)state;
	struct conf *c = conf_new();
	char error[256];
	const struct conf_where where = { "f", 1 };
	assert_true(conf_anchor_add(c,
		". IN DS 20326 8 2 "
		"E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
		where, error));
	assert_int_equal(c->anchor_count, 1);
	assert_int_equal(c->anchors[0].rdata_len, 36);
	assert_false(conf_anchor_add(c, ". IN A 192.0.2.1", where, error));
	assert_false(conf_anchor_add(c, "", where, error));
	assert_false(conf_anchor_add(c, "$INCLUDE /etc/passwd", where, error));
	assert_int_equal(c->anchor_count, 1);
	conf_free(c);
}

static bool is_vain(const struct conf *c, size_t i)
{
	const char *doubt = conf_anchor_doubt(c, &c->anchors[i]);
	return doubt && strstr(doubt, "count as insecure");
}

/* What is malformed makes a zone bogus; what is of another algorithm or digest makes it insecure,
 * where nothing better stands beside it. */
static void conf_anchors_that_vouch_for_nothing_are_found(void **state)
{
#define DIGEST "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
#define MALFORMED ". DS 1 13 2 E06D44"
#define P256                                                                           \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
	"AAAAAAAAAA=="
	(void)state;
	char error[256];
	const struct conf_where where = { "f", 1 };
	static const struct {
		const char *text, *fault;
		bool vain, sha1_matters;
	} rows[] = {
		{ ". DS 1 13 2 " DIGEST, NULL, false, false },
		{ ". DS 1 13 99 " DIGEST, NULL, true, false },
		{ ". DS 1 200 2 " DIGEST, NULL, true, false },
		{ ". DS 1 7 2 " DIGEST, NULL, false, true },
		{ ". DS 1 8 1 E06D44B80B8F1D39A95C0B0D7C65D08458E88040", NULL, false,
			true },
		{ ". DNSKEY 257 3 13 " P256, NULL, false, false },
		{ ". DNSKEY 257 3 200 " P256, NULL, true, false },
		{ ". DNSKEY 257 3 8 AwEAAQEAAQ==", NULL, true, false }, /* too short */
		{ MALFORMED, NULL, false, false },
		{ ". DNSKEY 257 3 13 AAAA", "the key has not the form", false, false },
		{ ". DNSKEY 256 2 13 " P256, "cannot be a trust anchor", false, false },
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct conf *c = conf_new();
		conf_anchor_remove(c, (const uint8_t *)"");
		const bool fine = conf_anchor_add(c, rows[i].text, where, error);
		if (fine != !rows[i].fault || (!fine && !strstr(error, rows[i].fault)))
			fail_msg("%s: %s", rows[i].text, fine ? "taken" : error);
		for (int sha1 = 0; fine && sha1 < 2; sha1++) {
			c->anchors_sha1 = sha1;
			const bool vain =
				rows[i].vain || (rows[i].sha1_matters && !sha1);
			if (is_vain(c, 0) != vain)
				fail_msg("%s: vain is not %d", rows[i].text, vain);
		}
		const char *doubt = fine ? conf_anchor_doubt(c, &c->anchors[0]) : NULL;
		const bool malformed = doubt && strstr(doubt, "vouches for no key");
		assert_int_equal(malformed, strcmp(rows[i].text, MALFORMED) == 0);
		/* told once, and not beside one that counts, wherever that stands */
		if (rows[i].vain) {
			assert_true(conf_anchor_add(c, rows[i].text, where, error));
			assert_true(is_vain(c, 0));
			assert_false(is_vain(c, 1));
			c->anchor_builtin = true;
			assert_false(is_vain(c, 0));
			c->anchor_builtin = false;
			assert_true(conf_anchor_add(
				c, i % 2 ? rows[0].text : MALFORMED, where, error));
			assert_false(is_vain(c, 0));
		}
		conf_free(c);
	}
#undef DIGEST
#undef MALFORMED
#undef P256
}

static void conf_listen_add_refuses_the_same_address_twice(void **state)
{
	(void)state;
	struct conf *c = conf_new();
	char error[256];
	struct conf_listen l = { .kind = KIND_DNS, .where = { "a.lua", 7 } };
	assert_true(addr_from_text(&l.addr, "127.0.0.1", 53));
	assert_true(conf_listen_add(c, &l, error));
	assert_false(conf_listen_add(c, &l, error));
	assert_string_equal(
		error, "net.listen: 127.0.0.1@53 is listened on already, by a.lua:7");
	conf_free(c);
}

static void conf_names_find_takes_the_longest_suffix(void **state)
{
	(void)state;
	uint8_t a[NAME_MAX_LEN], b[NAME_MAX_LEN], q[NAME_MAX_LEN];
	name(a, "test");
	name(b, "b.test");
	const uint8_t *names[] = { a, b };
	conf_names_sort(names, 2);
	name(q, "x.b.test");
	assert_ptr_equal(conf_names_find(names, 2, q, false), b);
	assert_null(conf_names_find(names, 2, q, true));
	name(q, "bb.test");
	assert_ptr_equal(conf_names_find(names, 2, q, false), a);
	name(q, "example");
	assert_null(conf_names_find(names, 2, q, false));
}

static void conf_domain_depends_on_dns64_while_it_is_on(void **state)
{
	(void)state;
	struct conf *a = conf_new(), *b = conf_new();
	assert_true(a && b);
	b->dns64.rev_ttl = 5;
	assert_int_equal(conf_domain_hash(a), conf_domain_hash(b));
	b->modules |= UINT32_C(1) << MODULE_dns64;
	assert_int_not_equal(conf_domain_hash(a), conf_domain_hash(b));
	a->modules |= UINT32_C(1) << MODULE_dns64;
	assert_int_not_equal(conf_domain_hash(a), conf_domain_hash(b));
	a->dns64.rev_ttl = 5;
	assert_int_equal(conf_domain_hash(a), conf_domain_hash(b));
	a->dns64.prefixes[0].base.ip[0] = 0x20;
	assert_int_not_equal(conf_domain_hash(a), conf_domain_hash(b));
	assert_int_not_equal(conf_hash(a), conf_hash(b));
	a->dns64.prefixes[0].base.ip[0] = 0;
	assert_int_equal(conf_domain_hash(a), conf_domain_hash(b));
	a->dns64.prefixes[0].bits = 64;
	assert_int_not_equal(conf_domain_hash(a), conf_domain_hash(b));
	a->dns64.prefixes[0].bits = 96;
	a->dns64.excluded[0].bits = 80;
	assert_int_not_equal(conf_domain_hash(a), conf_domain_hash(b));
	conf_free(a);
	conf_free(b);
}

/* RFC 6052 section 2.4 */
static const struct {
	const char *prefix, *made;
} vectors[] = {
	{ "2001:db8::/32", "2001:db8:c000:221::" },
	{ "2001:db8:100::/40", "2001:db8:1c0:2:21::" },
	{ "2001:db8:122::/48", "2001:db8:122:c000:2:2100::" },
	{ "2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::" },
	{ "2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::" },
	{ "2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33" },
	{ "64:ff9b::/96", "64:ff9b::192.0.2.33" },
};
enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static struct conf *conf_with_prefixes(size_t from, size_t to)
{
	char error[256];
	struct conf *c = conf_new();
	assert_non_null(c);
	c->modules |= UINT32_C(1) << MODULE_dns64;
	c->dns64 = (struct conf_dns64){ .rev_ttl = 60 };
	for (size_t i = from; i < to; i++)
		assert_true(conf_dns64_prefix(c, vectors[i].prefix, error));
	return c;
}

/* The name of the address's first nibbles. */
static void reverse_name(uint8_t *to, const uint8_t *ip, unsigned nibbles)
{
	static const uint8_t end[] = "\003ip6\004arpa";
	for (unsigned i = nibbles; i-- > 0; to += 2) {
		to[0] = 1;
		to[1] = (uint8_t) "0123456789abcdef"[(ip[i / 2] >> (i % 2 ? 0 : 4)) &
						     0xf];
	}
	memcpy(to, end, sizeof(end));
}

static void dns64_makes_what_rfc_6052_shows(void **state)
{
	(void)state;
	static const uint8_t v4[] = { 192, 0, 2, 33 };
	uint8_t made[VECTORS * CONF_DNS64_ITEM], at[NAME_MAX_LEN], to[NAME_MAX_LEN],
		expected[NAME_MAX_LEN];
	struct addr a;
	name(expected, "33.2.0.192.in-addr.arpa");
	for (size_t i = 0; i < VECTORS; i++) {
		struct conf *c = conf_with_prefixes(i, i + 1);
		assert_ptr_equal(conf_dns64_make(c, v4, made), made + CONF_DNS64_ITEM);
		assert_true(addr_from_text(&a, vectors[i].made, 0));
		assert_memory_equal(made + 2, a.ip, 16);
		/* and back */
		reverse_name(at, a.ip, 32);
		assert_int_equal(conf_dns64_reverse(c, at, to), name_len(expected));
		assert_true(name_equal(to, expected));
		assert_false(conf_dns64_above(c, at));
		for (unsigned n = 0; n < 32; n++) {
			reverse_name(at, a.ip, n);
			assert_true(conf_dns64_above(c, at));
			assert_int_equal(conf_dns64_reverse(c, at, to), 0);
		}
		/* another network, the octet of bits 64 to 71, what is behind */
		const uint8_t bits = c->dns64.prefixes[0].bits;
		for (unsigned n = 0; n < 3; n++) {
			struct addr b = a;
			const unsigned byte = n == 0 ? 3 : n == 1 ? 8 : 15;
			if (n == 2 && bits == 96)
				continue;
			b.ip[byte] ^= 1;
			reverse_name(at, b.ip, 32);
			assert_int_equal(conf_dns64_reverse(c, at, to), 0);
			reverse_name(at, b.ip, 2 * byte + 1);
			assert_true(conf_dns64_above(c, at));
			if (byte < 15) {
				reverse_name(at, b.ip, 2 * byte + 2);
				assert_false(conf_dns64_above(c, at));
			}
		}
		conf_free(c);
	}
	/* all at once: each in its turn */
	struct conf *c = conf_with_prefixes(0, VECTORS);
	assert_ptr_equal(conf_dns64_make(c, v4, made), made + sizeof(made));
	for (size_t i = 0; i < VECTORS; i++) {
		const uint16_t len = 16;
		assert_true(addr_from_text(&a, vectors[i].made, 0));
		assert_memory_equal(made + i * CONF_DNS64_ITEM, &len, 2);
		assert_memory_equal(made + i * CONF_DNS64_ITEM + 2, a.ip, 16);
		reverse_name(at, a.ip, 32);
		assert_int_equal(conf_dns64_reverse(c, at, to), name_len(expected));
	}
	name(at, "x.ip6.arpa");
	assert_false(conf_dns64_above(c, at));
	name(at, "8.b.d.0.1.0.0.2.ip6.int");
	assert_false(conf_dns64_above(c, at));
	conf_free(c);
}

static void dns64_prefixes_are_checked(void **state)
{
	(void)state;
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "64:ff9b::1", "write '64:ff9b::/96'" },
		{ "2001:db8:64::1/64", "write '2001:db8:64::/64'" },
		{ "2001:db8:164::/40", "write '2001:db8:100::/40'" },
		{ "64:ff9b::/72", "32, 40, 48, 56, 64 or 96 bits" },
		{ "64:ff9b::/128", "32, 40, 48, 56, 64 or 96 bits" },
		{ "::/0", "32, 40, 48, 56, 64 or 96 bits" },
		{ "192.0.2.0/32", "is not an IPv6 prefix" },
		{ "fe80::%lo/64", "is not an IPv6 prefix" },
		{ "64:ff9b::", "said twice" },
	};
	char error[256];
	struct conf *c = conf_new();
	assert_non_null(c);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_false(conf_dns64_prefix(c, cases[i].text, error));
		assert_non_null(strstr(error, cases[i].error));
	}
	assert_int_equal(c->dns64.prefix_count, 1);
	assert_false(conf_dns64_odd(c));
	for (unsigned i = 1; i < LIMIT_DNS64_PREFIXES; i++) {
		char text[64];
		snprintf(text, sizeof(text), "2001:db8:%x:0:100::", i);
		assert_true(conf_dns64_prefix(c, text, error));
		assert_true(conf_dns64_odd(c));
	}
	assert_false(conf_dns64_prefix(c, "2001:db9::/32", error));
	assert_non_null(strstr(error, "more than 16"));
	conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conf_new_has_every_default_and_26_root_addresses),
		cmocka_unit_test(conf_option_set_names_the_range),
		cmocka_unit_test(conf_hash_tells_a_changed_value_not_the_instance),
		cmocka_unit_test(conf_domain_depends_on_roots_not_on_size),
		cmocka_unit_test(conf_domain_depends_on_dns64_while_it_is_on),
		cmocka_unit_test(dns64_makes_what_rfc_6052_shows),
		cmocka_unit_test(dns64_prefixes_are_checked),
		cmocka_unit_test(
			conf_hints_look_up_both_ways_and_the_last_name_is_the_ptr),
		cmocka_unit_test(conf_hosts_error_has_file_and_line),
		cmocka_unit_test(conf_root_file_replaces_the_builtin_hints),
		cmocka_unit_test(conf_rdata_from_text_reads_one_record_only),
		cmocka_unit_test(conf_anchor_add_refuses_other_types),
		cmocka_unit_test(conf_anchors_that_vouch_for_nothing_are_found),
		cmocka_unit_test(conf_listen_add_refuses_the_same_address_twice),
		cmocka_unit_test(conf_names_find_takes_the_longest_suffix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
