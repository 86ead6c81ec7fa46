/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lua/script.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "policy/pattern.h"
#include "wire/codes.h"
#include "wire/name.h"

/* The cache is not part of this layer's test: what was asked of it is enough. */
static struct {
	char name[NAME_TEXT_MAX];
	bool subtree;
	uint16_t type;
	unsigned all;
} cleared;

bool cache_clear(struct cache *c, const uint8_t *name, bool subtree, uint16_t type)
{
	(void)c;
	name_to_text(name, cleared.name);
	cleared.subtree = subtree;
	cleared.type = type;
	return true;
}

bool cache_clear_all(struct cache *c)
{
	(void)c;
	cleared.all++;
	return true;
}

void cache_stats(const struct cache *c, struct cache_stats *out)
{
	(void)c;
	*out = (struct cache_stats){ .size = 1 << 20, .entries = 7 };
}

static struct {
	int id;
	int64_t ms;
	bool recurrent;
	int cleared;
	bool quit;
} seen;

static struct cache *host_cache(void *ctx)
{
	return ctx;
}

static bool host_event_set(void *ctx, int id, int64_t ms, bool recurrent)
{
	(void)ctx;
	seen.id = id;
	seen.ms = ms;
	seen.recurrent = recurrent;
	return true;
}

static void host_event_clear(void *ctx, int id)
{
	(void)ctx;
	seen.cleared = id;
}

static void host_quit(void *ctx)
{
	(void)ctx;
	seen.quit = true;
}

static bool host_map(void *ctx, const char *lua, script_row_fn *row, void *rowctx)
{
	(void)ctx;
	(void)lua;
	row(rowctx, "1", true, "{ 'a', ['n'] = 1 }");
	row(rowctx, "2", true, "false");
	return true;
}

static const struct script_host host = {
	.ctx = &seen, /* anything but NULL */
	.cache = host_cache,
	.event_set = host_event_set,
	.event_clear = host_event_clear,
	.map = host_map,
	.quit = host_quit,
};

static char path[] = "/tmp/script-test-XXXXXX";
static char error[1024];
static int warnings;

static int file_make(void **state)
{
	(void)state;
	const int fd = mkstemp(path);
	close(fd);
	return fd < 0;
}

static int file_remove(void **state)
{
	(void)state;
	return unlink(path);
}

static void file_write(const char *text, size_t len)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static struct script *load(const char *text, const char *instance, bool check)
{
	file_write(text, strlen(text));
	error[0] = 0;
	return script_load(path, instance, check, &host, error, &warnings);
}

static struct script *good(const char *text)
{
	struct script *s = load(text, "1", false);
	if (!s)
		fail_msg("%s", error);
	return s;
}

/* Loading fails, as PATH:LINE: and this text somewhere behind. */
static void bad_line(const char *text, int line, const char *why)
{
	char place[64];
	struct script *s = load(text, "1", false);
	if (s)
		fail_msg("accepted: %s", text);
	snprintf(place, sizeof(place), "%s:%d: ", path, line);
	if (strncmp(error, place, strlen(place)) != 0 || !strstr(error, why) ||
		strchr(error, '\n'))
		fail_msg("'%s' for: %s", error, text);
}

static void bad(const char *text, const char *why)
{
	bad_line(text, 1, why);
}

static void eval_is(struct script *s, const char *line, bool ok, const char *wanted)
{
	char *out;
	const bool was = script_eval(s, line, &out);
	if (was != ok || strcmp(out, wanted) != 0)
		fail_msg("%s -> %d %s", line, was, out);
	free(out);
}

static void ok_eval(const char *text, const char *line, const char *wanted)
{
	struct script *s = good(text);
	script_running(s);
	eval_is(s, line, true, wanted);
	script_free(s);
}

/* --- the documentation's two snippets, as they stand ------------------------------ */

static const char snippet_nsid[] =
	"local systemd_instance = os.getenv(\"SYSTEMD_INSTANCE\")\n"
	"modules.load('nsid')\n"
	"nsid.name(systemd_instance)\n";
static const char snippet_listen[] =
	"local systemd_instance = os.getenv(\"SYSTEMD_INSTANCE\")\n"
	"if string.match(systemd_instance, '^dns') then\n"
	"	net.listen('127.0.0.1', 53, { kind = 'dns' })\n"
	"elseif string.match(systemd_instance, '^tls') then\n"
	"	net.listen('127.0.0.1', 853, { kind = 'tls' })\n"
	"elseif string.match(systemd_instance, '^doh') then\n"
	"	net.listen('127.0.0.1', 443, { kind = 'doh2' })\n"
	"else\n"
	"	panic(\"Use kresd@dns*, kresd@tls* or kresd@doh* instance names\")\n"
	"end\n";

static void snippet_gives_each_instance_its_name(void **state)
{
	(void)state;
	struct script *s = load(snippet_nsid, "dns2", false);
	assert_non_null(s);
	assert_string_equal(script_conf(s)->nsid, "dns2");
	assert_true(conf_module_on(script_conf(s), MODULE_nsid));
	eval_is(s, "worker.id", true, "dns2");
	script_free(s);
}

/* However the port is written. */
static void ports_imply_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum conf_kind kind;
		uint16_t port;
	} cases[] = { { "'192.0.2.1', 853", KIND_TLS, 853 },
		{ "'192.0.2.1@853'", KIND_TLS, 853 },
		{ "'2001:db8::1#853'", KIND_TLS, 853 },
		{ "'192.0.2.1@443'", KIND_DOH2, 443 },
		{ "'192.0.2.1@5353'", KIND_DNS, 5353 },
		{ "{ '192.0.2.1@853', '192.0.2.1' }", KIND_TLS, 853 },
		{ "{ '192.0.2.1@853' }, nil, { freebind = true }", KIND_TLS, 853 },
		{ "'192.0.2.1@853', { kind = 'dns' }", KIND_DNS, 853 },
		{ "'192.0.2.1@53', { kind = 'tls' }", KIND_TLS, 53 },
		{ "'192.0.2.1', { kind = 'tls' }", KIND_TLS, 853 } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256];
		snprintf(text, sizeof(text), "net.listen(%s)", cases[i].text);
		struct script *s = load(text, "1", false);
		assert_non_null(s);
		assert_int_equal(warnings, 0);
		const struct conf_listen *l = script_conf(s)->listens;
		assert_int_equal(l[0].kind, cases[i].kind);
		assert_int_equal(l[0].addr.port, cases[i].port);
		if (script_conf(s)->listen_count > 1) {
			assert_int_equal(l[1].kind, KIND_DNS);
			assert_int_equal(l[1].addr.port, 53);
		}
		script_free(s);
	}
}

static void snippet_listens_by_the_instances_name(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum conf_kind kind;
		uint16_t port;
		int warnings;
	} cases[] = { { "dns1", KIND_DNS, 53, 0 }, { "tls", KIND_TLS, 853, 0 },
		{ "doh", KIND_DOH2, 443, 0 } };
	for (size_t i = 0; i < 3; i++) {
		struct script *s = load(snippet_listen, cases[i].name, true);
		assert_non_null(s);
		const struct conf *c = script_conf(s);
		assert_int_equal(c->listen_count, 1);
		assert_int_equal(c->listens[0].kind, cases[i].kind);
		assert_int_equal(c->listens[0].addr.port, cases[i].port);
		assert_int_equal(warnings, cases[i].warnings);
		script_free(s);
	}
	assert_null(load(snippet_listen, "web", true));
	assert_non_null(strstr(error, ":9: Use kresd@dns*, kresd@tls* or kresd@doh* "));
}

/* --- errors ----------------------------------------------------------------------- */

static void errors_name_file_and_line(void **state)
{
	(void)state;
	bad("cache.sise = 1", "unknown field 'sise' of cache (did you mean 'size'?)");
	bad("hints.root_file('x')",
		"module 'hints' is not loaded: modules.load('hints')");
	bad("nothing.at_all()", "attempt to index global 'nothing' (a nil value)");
	bad_line("\n\nnet.lisen('::1')", 3,
		"unknown field 'lisen' of net (did you mean 'listen'?)");
	bad("net.listn('::1')",
		"unknown field 'listn' of net (did you mean 'listen'?)");
	bad("x = = 1", "unexpected symbol near '='");
	bad_line("\nlocal function f()\n", 3, "'end' expected");
	bad("undefined_global.x = 1", "attempt to index global 'undefined_global'");
	bad("panic('no %s', 'way')", "no way");
	bad("error('a\\nb')", "a b");
	bad("error({})", "error of type table");
	bad("cache.max_ttl(99999999999)",
		"cache.max_ttl: 99999999999 is not within 1..2147483647");
	bad("cache.size = 'x'", "cache.size: expected a number, got string");
	bad("cache.current_size = 1", "cache.current_size can only be read");
	bad("cache = 5", "cache: expected a table, got number");
	bad("net.ipv6 = 1", "net.ipv6: expected true or false, got number");
	bad("return net.listen(5)", "net.listen: addresses: expected a table");
	bad("modules.load('hintz')",
		"module 'hintz' not found (did you mean 'hints'?)");
	bad_line("local f = function()\n net.listen('1.2.3')\nend\nf()", 2,
		"net.listen: '1.2.3' is not an address");
}

/* What a property gives is a copy. */
static void nobody_writes_into_a_copy_in_silence(void **state)
{
	(void)state;
	bad_line("\ntrust_anchors.insecure[1] = 'x.test'", 2,
		"trust_anchors.insecure is a copy, what is changed in it has no "
		"effect: "
		"use trust_anchors.set_insecure{ 'NAME' }");
	bad_line("trust_anchors.set_insecure{ 'a.test', 'b.test' }\n"
		 "local list = trust_anchors.insecure\nlist[2] = nil",
		2, "trust_anchors.insecure is a copy");
	bad("table.insert(trust_anchors.time_servers, 'ntp.test')",
		"use trust_anchors.set_time_servers");
	bad("trust_anchors.insecure = { 'x.test' }",
		"trust_anchors.insecure can only be read: use "
		"trust_anchors.set_insecure");
	bad("trust_anchors = { insecure = { 'x.test' } }", "can only be read: use");
	bad("policy.rules[1] = policy.all(policy.DENY)", "use policy.add(RULE)");
	bad("policy.add(policy.all(policy.DENY)) policy.rules[1].count = 5",
		"policy.rules is a copy");
	bad("local r = policy.add(policy.all(policy.DENY)) r.cb = policy.PASS",
		"rule.cb can only be read: use policy.del(ID)");
	bad_line("modules = { 'hints' } hints['a.test'] = '192.0.2.1'\n"
		 "hints['a.test'][2] = '::1'",
		2, "hints['a.test'] is a copy");
	struct script *s = good(
		"assert(#trust_anchors.insecure == 0)\n"
		"for _, name in ipairs(trust_anchors.insecure) do error(name) end\n"
		"local r = policy.add(policy.all(policy.DENY))\n"
		"assert(r.id == policy.rules[1].id and r.count == 0 and r.cb)\n"
		"policy.del(r)\n");
	assert_true(script_conf(s)->rules[0].deleted);
	script_running(s);
	eval_is(s, "trust_anchors.insecure", true, "{}");
	eval_is(s, "trust_anchors.insecure[1] = 'x'", false,
		"eval:1: trust_anchors.insecure is a copy, what is changed in it has "
		"no "
		"effect: use trust_anchors.set_insecure{ 'NAME' }");
	script_free(s);
}

static void keys_are_not_asked_for_more_often_than_once_a_second(void **state)
{
	(void)state;
	bad("trust_anchors.refresh_time = 1",
		"trust_anchors.refresh_time: 1 is not within 1000..1296000000");
	bad("trust_anchors.refresh_time = 999", "is not within 1000..");
	bad("trust_anchors.refresh_time = -1", "is not within 1000..");
	bad("trust_anchors.refresh_time = 1296000001", "is not within");
	script_free(good("trust_anchors.refresh_time = 1000\n"
			 "trust_anchors.refresh_time = 0\n"
			 "assert(trust_anchors.refresh_time == nil)\n"));
}

static void what_is_no_list_is_not_taken_for_an_empty_one(void **state)
{
	(void)state;
	bad("trust_anchors.set_insecure{ ['x.test'] = true }",
		"trust_anchors.set_insecure: expected a list, got a table with the "
		"field "
		"'x.test'");
	bad("trust_anchors.set_insecure{ { 'x.test', 'lost keys' } }",
		"unknown field '2'");
	bad("trust_anchors.set_time_servers{ name = 'x.test' }", "expected a list");
	bad("net.allow{ '192.0.2.0/24', also = '198.51.100.0/24' }",
		"expected a list, got a table with the field 'also'");
	bad("policy.FORWARD{ '192.0.2.1', port = 5353 }", "expected a list");
	bad("policy.suffix(policy.DENY, { [2] = todname('x.test') })",
		"expected a list");
}

/* Of a function or a table, where a call is meant. */
static void a_name_of_the_dialect_that_is_hidden_is_warned_of(void **state)
{
	static const char *const lines[] = { "log_level = 'debug'", "user = 'nobody'",
		"policy = {}", "nsid = { name = 'x' }", "cache.ns_tout(5)",
		"option('TRACE', true)", "policy.add(policy.all(policy.QTRACE))",
		"policy.add(policy.all(policy.FLAGS('ALWAYS_CUT')))",
		"debugging.assertion_abort = true",
		"trust_anchors.bootstrap_url = 'https://x.test/'" };
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		script_free(good(lines[i]));
		assert_int_equal(warnings, 1);
	}
	script_free(good("option('REORDER_RR', false) assert(not reorder_RR())"));
	assert_int_equal(warnings, 0);
	script_free(good("mine = 1 local log_level = 2 modules = {} cache = {}"));
	assert_int_equal(warnings, 0);
}

static void file_that_is_no_script_is_a_clear_error(void **state)
{
	(void)state;
	assert_null(script_load("/nonexistent/x.lua", "1", true, NULL, error, NULL));
	assert_string_equal(error, "/nonexistent/x.lua:1: cannot read: No such file or "
				   "directory (-c names another file)");
	assert_null(script_load("/", "1", true, NULL, error, NULL));
	assert_string_equal(error, "/:1: cannot read: Is a directory");
	file_write("\033LJ\2", 4);
	assert_null(script_load(path, "1", true, NULL, error, NULL));
	assert_non_null(strstr(error, ":1: not a text file"));
	file_write("x = 1\0", 6);
	assert_null(script_load(path, "1", true, NULL, error, NULL));
	assert_non_null(strstr(error, ":1: not a text file"));
	assert_int_equal(truncate(path, 64 << 20), 0);
	assert_null(script_load(path, "1", true, NULL, error, NULL));
	assert_non_null(strstr(error, ":1: larger than 8 MB"));
}

static void long_file_name_stands_whole_in_errors(void **state)
{
	(void)state;
	char folder[200] = "/tmp/script-test-", file[256];
	memset(folder + strlen(folder), 'x', 120);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(file, sizeof(file), "%s/shoal.lua", folder);
	for (int syntax = 0; syntax < 2; syntax++) {
		FILE *f = fopen(file, "w");
		fputs(syntax ? "\nx x" : "\ncache.sise = 1", f);
		fclose(f);
		assert_null(script_load(file, "1", true, NULL, error, NULL));
		assert_int_equal(strncmp(error, file, strlen(file)), 0);
		assert_int_equal(strncmp(error + strlen(file), ":2: ", 4), 0);
	}
	unlink(file);
	rmdir(folder);
}

static void memory_of_a_script_is_bounded(void **state)
{
	(void)state;
	assert_null(
		load("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(2^20) .. i end",
			"1", false));
	assert_non_null(strstr(error, "out of memory"));
}

static void callback_that_never_ends_is_stopped(void **state)
{
	(void)state;
	struct script *s = good("function f() while true do pcall(function() "
				"while true do end end) end end");
	char *out;
	assert_false(script_eval(s, "f()", &out));
	assert_non_null(strstr(out, "runs for too long"));
	free(out);
	eval_is(s, "1 + 1", true, "2");
	script_free(s);
}

/* --- settings --------------------------------------------------------------------- */

static void tables_of_the_dialect_merge(void **state)
{
	(void)state;
	struct script *s =
		good("net = { '127.0.0.1', ipv6 = false }\n"
		     "cache = { size = 20 * MB }\n"
		     "modules = { 'hints > iterate', 'stats' }\n"
		     "net.bufsize(4096)\ncache.min_ttl(0)\n"
		     "option('no_0x20', true) mode('strict')\n"
		     "reorder_RR(false) log_level('debug') log_groups{ 'io' }\n"
		     "cache.storage = 'lmdb:///var/cache/x'\n");
	const struct conf *c = script_conf(s);
	assert_false(c->net_ipv6);
	assert_true(c->net_ipv4);
	assert_int_equal(c->listen_count, 1);
	assert_int_equal(c->cache_size, 20 << 20);
	assert_int_equal(c->bufsize_up, 4096);
	assert_int_equal(c->cache_min_ttl, 0);
	assert_true(conf_flag_on(c, CONF_NO_0X20));
	assert_true(conf_flag_on(c, CONF_STRICT));
	assert_false(c->reorder_rr);
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(c->cache_storage, "/var/cache/x");
	assert_true(conf_module_on(c, MODULE_hints) && conf_module_on(c, MODULE_stats));
	log_set_level(LOG_LEVEL_NOTICE);
	log_set_group(LOG_IO, false);
	script_free(s);
}

static void unset_globals_are_nil_and_modules_come_and_go(void **state)
{
	(void)state;
	struct script *s = good("if hints then panic('early') end\n"
				"if ta_update then modules.unload('ta_update') end\n"
				"if ta_update then panic('late') end\n"
				"modules.load('hints') hints.ttl(60)\n"
				"if nothing_at_all then panic('?') end");
	assert_false(conf_module_on(script_conf(s), MODULE_ta_update));
	assert_int_equal(script_conf(s)->hints_ttl, 60);
	script_free(s);
}

static void listen_knows_every_form(void **state)
{
	(void)state;
	struct script *s =
		good("net.listen(net.lo)\n"
		     "net.listen({ '192.0.2.1', { '192.0.2.2' } }, 5353)\n"
		     "net.listen('192.0.2.3', { kind = 'dns', freebind = true })\n"
		     "assert(net.close('192.0.2.2') == true)\n"
		     "assert(net.close('192.0.2.2') == false)\n");
	const struct conf *c = script_conf(s);
	bool freebind = false, closed = true;
	for (size_t i = 0; i < c->listen_count; i++) {
		char text[ADDR_TEXT_MAX];
		addr_to_text(&c->listens[i].addr, text);
		freebind |= strcmp(text, "192.0.2.3@53") == 0 && c->listens[i].freebind;
		closed &= strcmp(text, "192.0.2.2@5353") != 0;
	}
	assert_true(freebind && closed);
	script_free(s);
	bad("net.listen('::1', 53, { kind = 'doh' })", "was renamed");
	bad("net.listen('::1', 53, { kimd = 'dns' })", "did you mean 'kind'");
	bad("net.listen('::1', 0)", "not within 1..65535");
	bad_line("net.listen('::1')\nnet.listen('::1')", 2, "is listened on already");
}

static void module_that_keeps_answers_safe_is_not_left_out_silently(void **state)
{
	(void)state;
	bad("modules = { rebinding = true }",
		"module 'rebinding' is not in this version");
	struct script *s = load("modules = { 'renumber' }\n"
				"policy.add(policy.rpz(policy.DENY, 'x.rpz'))",
		"1", true);
	assert_non_null(s);
	assert_int_equal(warnings, 2);
	script_free(s);
	s = load("modules = { predict = { window = 15 } }\n"
		 "predict.config{ period = 0 } http.prometheus = 1",
		"1", false);
	assert_null(s); /* http was not loaded: a nil global */
	s = load("modules.load('predict < cache')\npredict.config{ period = 0 }", "1",
		false);
	assert_non_null(s);
	assert_int_equal(warnings, 0);
	assert_true(conf_module_on(script_conf(s), MODULE_predict));
	script_free(s);
	s = load("modules = { 'view', dns64 = '2001:db8:64::/96' }\n"
		 "dns64.config({ prefix = '2001:db8:64::', rev_ttl = 5,\n"
		 "exclude_subnets = { '::ffff/96', '2001:db8::/32' } })\n"
		 "view:addr('192.0.2.0/24', "
		 "policy.all(policy.FLAGS('DNS64_DISABLE')))",
		"1", false);
	assert_non_null(s);
	assert_int_equal(warnings, 0);
	assert_true(conf_module_on(script_conf(s), MODULE_dns64));
	assert_int_equal(script_conf(s)->dns64.prefix_count, 1);
	assert_int_equal(script_conf(s)->dns64.prefixes[0].base.ip[5], 0x64);
	assert_int_equal(script_conf(s)->dns64.prefixes[0].bits, 96);
	assert_int_equal(script_conf(s)->dns64.rev_ttl, 5);
	assert_int_equal(script_conf(s)->dns64.excluded_count, 2);
	assert_int_equal(script_conf(s)->dns64.excluded[0].base.ip[10], 0xff);
	script_free(s);
	static const char *const lists[] = {
		"modules = { dns64 = { '2001:db8:64::/64', '64:ff9b::' } }",
		"modules.load('dns64')\n"
		"dns64.config({ '2001:db8:64::/64', '64:ff9b::' })",
		"modules = { dns64 = { prefix = { '2001:db8:64::/64', '64:ff9b::' } } "
		"}",
	};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		s = load(lists[i], "1", false);
		assert_non_null(s);
		assert_int_equal(warnings, 0);
		assert_int_equal(script_conf(s)->dns64.prefix_count, 2);
		assert_int_equal(script_conf(s)->dns64.prefixes[0].bits, 64);
		assert_int_equal(script_conf(s)->dns64.prefixes[1].bits, 96);
		script_free(s);
	}
	s = load("modules = { dns64 = 'fe80::21b:77ff:0:0' }", "1", false);
	assert_non_null(s);
	assert_int_equal(warnings, 1);
	script_free(s);
	bad("modules = { dns64 = '192.0.2.0' }", "not an IPv6 prefix of 32, 40");
	bad("modules = { dns64 = '64:ff9b::/65' }", "not an IPv6 prefix of 32, 40");
	bad("modules = { dns64 = '64:ff9b::1' }", "write '64:ff9b::/96'");
	bad("modules = { dns64 = { prefix = {} } }", "the list is empty");
	bad("modules = { dns64 = { prefix = 64 } }", "expected a table, got number");
	bad("modules = { dns64 = { '64:ff9b::', rev_ttl = 5 } }",
		"the field 'rev_ttl'");
	bad("modules = { dns64 = { perfix = '::' } }", "unknown field 'perfix'");
	bad("modules = { dns64 = { exclude_subnets = 'x' } }", "not an IPv6 subnet");
	bad("modules = { predict = { widnow = 15 } }", "unknown field 'widnow'");
	s = load("modules = { 'serve_stale < cache' } serve_stale.timeout = 500", "1",
		false);
	assert_non_null(s);
	assert_int_equal(warnings, 0);
	assert_true(conf_module_on(script_conf(s), MODULE_serve_stale));
	assert_int_equal(script_conf(s)->serve_stale_timeout_ms, 500);
	script_free(s);
	bad("modules.load('serve_stale') serve_stale.timeout = -1", "is not within");
	bad("serve_stale.timeout = 500", "serve_stale");
}

#define PIN "FHkyLhvI0n70E47cJlRTamTrnYVcsYdjUGbr79CfAVI="

static void servers_asked_over_tls(void **state)
{
	(void)state;
	struct script *s = good(
		"net.tls_client({'192.0.2.1', hostname = 'a.example', ca_file = "
		"'ca.pem'})\n"
		"policy.add(policy.all(policy.TLS_FORWARD({'192.0.2.1',"
		" {'2001:db8::1@8853', pin_sha256 = '" PIN "'}})))\n"
		"policy.add(policy.all(policy.TLS_FORWARD({{'192.0.2.3', insecure = "
		"true}})))\n"
		"assert(net.tls_client()['192.0.2.1@853'].hostname == 'a.example')\n"
		"assert(net.tls_client_clear('192.0.2.1'))\n"
		"assert(not net.tls_client_clear('192.0.2.1'))");
	const struct conf *c = script_conf(s);
	const struct policy_rule *r = &c->rules[0];
	assert_int_equal(c->tls_peer_count, 3);
	assert_int_equal(r->action, POLICY_FORWARD);
	assert_int_equal(r->target_count, 2);
	assert_int_equal(r->targets[0].port, 853);
	assert_string_equal(r->tls[0]->hostname, "a.example");
	assert_string_equal(r->tls[0]->ca_files[0], "ca.pem");
	assert_int_equal(r->targets[1].port, 8853);
	assert_int_equal(r->tls[1]->pin_count, 1);
	assert_int_equal(r->tls[1]->pins[0], 0x14);
	assert_int_equal(r->tls[1]->pins[31], 0x52);
	assert_null(r->tls[1]->hostname);
	assert_true(c->rules[1].tls[0]->insecure);
	script_free(s);
	bad("policy.TLS_FORWARD({{'1.1.1.1'}})", "how is the server known");
	bad("policy.TLS_FORWARD({'1.1.1.1'})", "how is the server known");
	bad("policy.TLS_FORWARD({{'1.1.1', hostname = 'a'}})", "is not an address");
	bad("policy.TLS_FORWARD({{'1.1.1.1', pin_sha256 = 'abc'}})", "is no SHA-256");
	bad("policy.TLS_FORWARD({{'1.1.1.1', pin_sha256 = 'a*c'}})", "is not base64");
	bad("policy.TLS_FORWARD({{'1.1.1.1', ca_file = 'x'}})", "needs a hostname");
	bad("policy.TLS_FORWARD({{'1.1.1.1', hostname = 'x', ca_file = 'x', "
	    "pin_sha256 = '" PIN "'}})",
		"exclude each other");
	bad("policy.TLS_FORWARD({{'1.1.1.1', insecure = true, pin_sha256 = '" PIN
	    "'}})",
		"stands neither");
	bad("policy.TLS_FORWARD({{'1.1.1.1', hostname = 'a'}, "
	    "{'1.1.1.1@853', hostname = 'b'}})",
		"stands twice");
	bad("net.tls_client({'1.1.1.1', hostnam = 'a'})", "unknown field 'hostnam'");
	bad("net.tls(cert, key)", "net.tls: argument 1 is nil");
	bad("net.tls('a.crt', nil)", "net.tls: argument 2 is nil");
	bad("net.tls_sticket_secret(os.getenv('NONE'))",
		"net.tls_sticket_secret: argument 1 is nil");
	bad("net.cookie_secret(nil)", "net.cookie_secret: argument 1 is nil");
}

static void designated_resolvers(void **state)
{
	(void)state;
	struct script *s = good(
		"net.designated('dns.example')\n"
		"net.designated('b.example', { tls = true, addresses = '192.0.2.1' })\n"
		"net.resinfo{ infourl = 'https://dns.example/' }");
	const struct conf *c = script_conf(s);
	assert_int_equal(c->designated_count, 2);
	assert_true(c->designated[0].as_listened);
	assert_int_equal(c->designated[1].tls, 853);
	assert_int_equal(c->designated[1].doh2, 0);
	assert_int_equal(c->designated[1].hint_count, 1);
	assert_string_equal(c->infourl, "https://dns.example/");
	script_free(s);
	bad("net.designated('a..b')", "net.designated");
	bad("net.designated('a', { tls = 0 })", "is no port");
	bad("net.designated('a', { dot = true })", "unknown field 'dot'");
	bad("net.designated('a', { path = 'dns' })", "is no template");
	bad("net.designated('a', { addresses = 'x' })", "is not an address");
	bad("net.resinfo{ infourl = 'http://a' }", "is no https://");
}

static void certificates_and_ticket_secrets(void **state)
{
	(void)state;
	struct script *s = good(
		"assert(net.tls_padding() == true)\n"
		"net.tls_padding(128) assert(net.tls_padding() == 128)\n"
		"assert(net.tls() == nil)\n"
		"net.tls('a.crt', 'a.key')\n"
		"assert(net.tls().cert_file == 'a.crt')\n"
		"net.tls({ { 'b.crt', 'b.key' }, { 'c.crt', 'c.key' } })\n"
		"net.tls_sticket_secret(('\\0x'):rep(16))\n"
		"net.proxy_allowed('10.0.0.1')\n"
		"net.proxy_allowed({ '192.0.2.0/24', '::1' })\n"
		"assert(#net.proxy_allowed() == 2)\n"
		"assert(net.proxy_allowed()[1] == '192.0.2.0/24')\n"
		"net.cookie_secret('00112233445566778899aabbccddeeff', "
		"('ab'):rep(16))\n"
		"assert(net.cookies()) net.cookies(false) assert(not net.cookies())\n"
		"net.listen('::1', 8443, { kind = 'doh2', tls = false })\n");
	const struct conf *c = script_conf(s);
	assert_int_equal(c->proxy_allow_count, 2);
	assert_int_equal(c->cookie_secret_count, 2);
	assert_int_equal(c->cookie_secrets[0][15], 0xff);
	assert_int_equal(c->cookie_secrets[1][0], 0xab);
	assert_int_equal(c->tls_padding, 128);
	assert_int_equal(c->tls_pair_count, 2);
	assert_string_equal(c->tls_pairs[1].key, "c.key");
	assert_int_equal(c->tls_secret_len, 32);
	assert_memory_equal(c->tls_secret, "\0x\0x", 4);
	assert_true(c->listens[0].plain);
	script_free(s);
	bad("net.proxy_allowed('10.0.0.0/33')", "is not a subnet");
	s = load("net.proxy_allowed({ '0.0.0.0/0', '192.0.2.0/24', '::/0' })", "1",
		false);
	assert_non_null(s);
	assert_int_equal(warnings, 2);
	script_free(s);
	bad("net.cookie_secret('short')", "secret 1 is not 32 hexadecimal digits");
	bad("local s = ('a'):rep(32) net.cookie_secret(s, s, s, s, s)",
		"1 to 4 secrets");
	bad("net.cookie_secret_file('/nonexistent/file')", "/nonexistent/file");
	bad("net.tls('a.crt')", "net.tls: key");
	bad("net.tls({})", "empty");
	bad("net.tls_sticket_secret('short')", "at least 32 bytes");
	bad("net.tls_sticket_secret_file('/nonexistent/file')", "/nonexistent/file");
	bad("net.tls_padding(9999)", "is not within");
	bad("net.listen('::1', 53, { kind = 'dns', tls = true })",
		"does not go with kind");
}

static void policy_rules_become_data(void **state)
{
	(void)state;
	struct script *s = good(
		"policy.add(policy.suffix(policy.FORWARD({'192.0.2.1@5353', '::1'}),\n"
		"	policy.todnames({'B.test', 'a.test'})))\n"
		"policy:add(policy.domains(policy.ANSWER({ [kres.type.A] =\n"
		"	{ rdata = kres.str2ip('192.0.2.7'), ttl = 300 } }, true), { "
		"todname('x.test') }))\n"
		"local r = policy.add(policy.all(policy.DENY))\n"
		"policy.del(r.id)\n"
		"policy.add(policy.pattern(policy.DENY_MSG('no'), '\\4evil'))\n"
		"policy.add(policy.all(policy.FLAGS('NO_CACHE', {'TCP'})))\n");
	const struct conf *c = script_conf(s);
	assert_int_equal(c->rule_count, 5);
	assert_int_equal(c->rules[0].action, POLICY_FORWARD);
	assert_int_equal(c->rules[0].target_count, 2);
	assert_int_equal(c->rules[0].targets[0].port, 5353);
	assert_int_equal(c->rules[0].targets[1].port, 53);
	assert_memory_equal(c->rules[0].names[0], "\001a\004test", 8);
	assert_memory_equal(c->rules[0].names[1], "\001b\004test", 8);
	assert_int_equal(c->rules[0].where.line, 1);
	assert_int_equal(c->rules[1].answers[0].ttl, 300);
	assert_true(c->rules[1].nodata);
	assert_true(c->rules[2].deleted);
	assert_int_equal(c->rules[3].pattern_len, 5);
	assert_int_equal(c->rules[4].flags_set, CONF_NO_CACHE);
	assert_int_equal(c->rules[4].flags_clear, CONF_TCP);
	assert_false(c->has_callbacks);
	script_free(s);
	bad("policy.add(policy.DENY)", "expected a rule, got an action: policy.all(");
	bad("policy.add(policy.all(1))", "policy.all: expected an action");
	bad("policy.FORWARD('nowhere')", "'nowhere' is not an address");
	bad("policy.add(policy.pattern(policy.DENY, '[a'))", "malformed pattern");
	bad("policy.FLAGS('NO_MINIMISE')", "did you mean 'NO_MINIMIZE'");
}

static void callback_rules_ask_the_script(void **state)
{
	(void)state;
	struct script *s = good("policy.add(function(req, query)\n"
				"	if query.stype == kres.type.TXT and "
				"req.qsource.addr == '10.0.0.1' then\n"
				"		return policy.DENY\n"
				"	end\n"
				"	if query:name() == todname('boom.example') "
				"then error('boom') end\n"
				"end)\n");
	const struct conf *c = script_conf(s);
	assert_true(c->has_callbacks);
	uint8_t name[NAME_MAX_LEN];
	name_from_text(name, "a.example");
	struct policy_query q = { .name = name, .type = TYPE_TXT, .rclass = CLASS_IN };
	addr_from_text(&q.client, "10.0.0.1", 0);
	struct arena *arena = arena_new(1 << 20);
	struct policy_verdict v;
	policy_decide(c, &q, arena, 0, &v);
	assert_int_equal(v.outcome, OUTCOME_CALL);
	assert_true(script_policy(s, v.callback, &q, arena, &v));
	assert_int_equal(v.rcode, RCODE_NXDOMAIN);
	q.type = TYPE_A;
	policy_decide(c, &q, arena, 0, &v);
	assert_false(script_policy(s, v.callback, &q, arena, &v));
	name_from_text(name, "boom.example"); /* logged, and passed over */
	assert_false(script_policy(s, v.callback, &q, arena, &v));
	policy_decide(c, &q, arena, v.resume, &v);
	assert_int_equal(v.outcome, OUTCOME_RESOLVE);
	arena_free(arena);
	script_free(s);
}

static void callbacks_see_the_headers(void **state)
{
	(void)state;
	struct script *s =
		good("assert(#net.doh_headers('X') == 1)\n"
		     "assert(net.doh_headers({ ':Path', 'a-b' })[1] == ':path')\n"
		     "policy.add(function(req)\n"
		     "	local h = req.qsource.headers\n"
		     "	if h.len == 2 and h.at[0].name == 'a-b' and "
		     "h.at[0].value == '' and h.at[1].value == 'x y' then\n"
		     "		return policy.REFUSE\n"
		     "	end\n"
		     "end)\n");
	const struct conf *c = script_conf(s);
	assert_string_equal(c->doh_headers, ":path a-b");
	static const char fields[] = "a-b\0\0:path\0x y";
	const uint8_t name[] = "\001a\007example";
	struct policy_query q = { .name = name, .type = TYPE_A, .rclass = CLASS_IN };
	struct arena *arena = arena_new(1 << 20);
	struct policy_verdict v;
	policy_decide(c, &q, arena, 0, &v);
	assert_false(script_policy(s, v.callback, &q, arena, &v));
	q.fields = fields;
	q.fields_len = sizeof(fields);
	policy_decide(c, &q, arena, 0, &v);
	assert_true(script_policy(s, v.callback, &q, arena, &v));
	assert_int_equal(v.outcome, OUTCOME_REFUSE);
	arena_free(arena);
	script_free(s);
	s = good("net.doh_headers('x')\nnet.doh_headers({})");
	assert_null(script_conf(s)->doh_headers);
	script_free(s);
	bad("net.doh_headers('a b')", "is no name of a header field");
}

static void callbacks_forwarders_outlive_the_query(void **state)
{
	(void)state;
	struct script *s =
		good("policy.add(function(req, query)\n"
		     "	return policy.FORWARD({ '10.0.0.1', '10.0.0.2@5353' })\n"
		     "end)");
	const uint8_t name[] = "\001a\007example";
	struct policy_query q = { .name = name, .type = TYPE_A, .rclass = CLASS_IN };
	struct arena *arena = arena_new(1 << 20);
	struct policy_verdict v, again;
	policy_decide(script_conf(s), &q, arena, 0, &v);
	assert_true(script_policy(s, v.callback, &q, arena, &v));
	arena_reset(arena);
	policy_decide(script_conf(s), &q, arena, 0, &again);
	assert_true(script_policy(s, again.callback, &q, arena, &again));
	arena_free(arena);
	assert_int_equal(v.route.kind, ROUTE_FORWARD);
	assert_ptr_equal(v.route.targets, again.route.targets);
	assert_int_equal(v.route.domain, again.route.domain);
	assert_int_equal(v.route.targets[1].port, 5353);
	script_free(s);
}

static uint64_t hash_of(const char *text)
{
	struct script *s = good(text);
	const uint64_t hash = script_conf(s)->hash;
	script_free(s);
	return hash;
}

static void configuration_hash_covers_the_code_of_callbacks(void **state)
{
	(void)state;
	static const char deny[] = "policy.add(function() return policy.DENY, "
				   "{ a = 1, b = 2, c = 3 } end)";
	assert_int_equal(hash_of(deny), hash_of(deny));
	assert_int_not_equal(hash_of(deny),
		hash_of("policy.add(function() return policy.DROP end)"));
	assert_int_not_equal(
		hash_of("net.listen('127.0.0.1')"), hash_of("net.listen('::1')"));
	assert_int_equal(
		hash_of("cache.size = 8 * MB"), hash_of("cache.size = 8192 * kB"));
}

/* Order counts: a file takes the place of what was said for its zone before. */
static void anchors_add_up_and_replace(void **state)
{
	(void)state;
	struct script *s = good("assert(trust_anchors.refresh_time == nil)\n"
				"trust_anchors.refresh_time = 2 * sec\n"
				"trust_anchors.hold_down_time = 1 * day\n"
				"trust_anchors.keep_removed = 3\n"
				"trust_anchors.set_time_servers{ 'ntp.test' }\n"
				"trust_anchors.set_insecure{ 'a.test', { 'b.test', "
				"reason = 'lost keys', expires = '2030-01-02' }, "
				"{ 'c.test', expires = '1970-01-02T00:00:01Z' }, "
				"{ 'd.test', expires = 77 } }\n");
	struct conf *c = script_conf(s);
	assert_true(c->anchor_builtin);
	assert_int_equal(c->anchors_refresh_ms, 2000);
	assert_int_equal(c->anchors_hold_down_ms, 86400000);
	assert_int_equal(c->anchors_keep_removed, 3);
	assert_int_equal(c->time_server_count, 1);
	assert_int_equal(c->insecure_count, 4);
	assert_true(c->insecure[0].until_s == INT64_MAX);
	assert_null(c->insecure[0].reason);
	assert_string_equal(c->insecure[1].reason, "lost keys");
	assert_int_equal(c->insecure[1].until_s, 1893542400);
	assert_int_equal(c->insecure[2].until_s, 86401);
	assert_int_equal(c->insecure[3].until_s, 77);
	script_free(s);

	static const char file[] = "/tmp/shoal-script-test-keys";
	static const char ds[] = "DS 1 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BB"
				 "C683457104237C7F8EC8D";
	FILE *out = fopen(file, "w");
	assert_non_null(out);
	fprintf(out, "example. %s\n", ds);
	fclose(out);
	char text[1024];
	snprintf(text, sizeof(text),
		"trust_anchors.add('example. %s') trust_anchors.add('. %s')\n"
		"trust_anchors.add_file('%s', true)\n",
		ds, ds, file);
	s = good(text);
	c = script_conf(s);
	assert_true(c->anchor_builtin);
	assert_int_equal(c->anchor_count, 1);
	assert_int_equal(c->anchor_file_count, 1);
	assert_true(c->anchor_files[0].readonly);
	script_free(s);
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
		"assert(trust_anchors.remove('example'))\n"
		"assert(trust_anchors.remove('.'))\n"
		"assert(not trust_anchors.remove('.'))\n"
		"assert(trust_anchors.summary():match('disabled'))\n");
	s = good(text);
	c = script_conf(s);
	assert_false(c->anchor_builtin);
	assert_int_equal(c->anchor_count + c->anchor_file_count, 0);
	script_free(s);
	unlink(file);
}

static void anchors_that_turn_validation_off_are_warned_of(void **state)
{
#define REST "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D')"
	static const struct {
		const char *text;
		int warnings;
	} rows[] = {
		{ "trust_anchors.add('. DS 1 13 99 " REST, 0 },
		{ "trust_anchors.add('. DS 1 13 2 E06D44')", 1 },
		{ "trust_anchors.remove('.') trust_anchors.add('. DS 1 13 99 " REST,
			1 },
		{ "trust_anchors.add('a.test. DS 1 200 2 " REST, 1 },
		{ "trust_anchors.add('a.test. DS 1 200 2 " REST
		  "trust_anchors.add('a.test. DS 1 13 2 " REST,
			0 },
		{ "trust_anchors.add('a.test. DS 1 7 2 " REST, 0 },
		{ "trust_anchors.add('a.test. DS 1 7 2 " REST
		  "trust_anchors.sha1 = false",
			1 },
		{ "trust_anchors.set_insecure{ '.' }", 1 },
		{ "trust_anchors.set_insecure{ 'a.test' }", 0 },
		{ "trust_anchors.set_insecure{ 'a.test b.test' }", 1 },
		{ "trust_anchors.set_insecure{ { 'a.test b.test' } }", 1 },
		{ "trust_anchors.set_insecure{ 'a\\\\032b.test' }", 0 },
		{ "trust_anchors.set_insecure{ kres.str2dname(('a'):rep(32)) }", 0 },
		{ "trust_anchors.set_insecure{ { 'a.test', expires = '2020-02-29' } }",
			1 },
		{ "trust_anchors.set_insecure{ { '.', expires = '2020-02-29' } }", 1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		script_free(good(rows[i].text));
		if (warnings != rows[i].warnings)
			fail_msg("%d warnings: %s", warnings, rows[i].text);
	}
#undef REST
}

static void files_of_anchors_that_turn_validation_off_are_warned_of(void **state)
{
#define REST "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"
#define KEY                                                                            \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
	"AAAAAAAAAA==\n"
	static const struct {
		const char *text, *more;
		int warnings;
	} rows[] = {
		{ "a.test. DS 1 13 2 " REST, "", 0 },
		{ "a.test. DS 1 200 2 " REST "a.test. DS 1 13 99 " REST, "", 1 },
		{ "a.test. DS 1 200 2 " REST "a.test. DS 1 13 2 " REST, "", 0 },
		{ "a.test. DNSKEY 257 3 200 " KEY, "", 1 },
		{ "a.test. DNSKEY 257 3 13 " KEY, "", 0 },
		{ "a.test. DS 1 7 2 " REST, "", 0 },
		{ "a.test. DS 1 7 2 " REST, "trust_anchors.sha1 = false", 1 },
		{ "a.test. DS 1 200 2 " REST,
			"trust_anchors.add('a.test. DS 1 13 2 "
			"E06D44B80B8F1D39A95C0B0D7C6"
			"5D08458E880409BBC683457104237C7F8EC8D')",
			0 },
		{ "a.test. DS 1 200 2 " REST, "trust_anchors.remove('a.test')", 0 },
	};
	(void)state;
	char file[] = "/tmp/shoal-keys-XXXXXX";
	const int fd = mkstemp(file);
	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[512];
		FILE *out = fopen(file, "w");
		assert_non_null(out);
		fputs(rows[i].text, out);
		fclose(out);
		snprintf(text, sizeof(text), "trust_anchors.add_file('%s', true) %s",
			file, rows[i].more);
		script_free(good(text));
		if (warnings != rows[i].warnings)
			fail_msg("%d warnings: %s%s", warnings, rows[i].text,
				rows[i].more);
	}
	unlink(file);
#undef KEY
#undef REST
}

static void anchors_make_a_domain(void **state)
{
	(void)state;
	struct script *a = good(""), *b = good("trust_anchors.set_insecure{'x'}"),
		      *c = good("trust_anchors.set_insecure{{'x', reason='r'}}");
	struct script *d = good("trust_anchors.sha1 = false");
	assert_true(script_conf(a)->anchors_sha1 && !script_conf(d)->anchors_sha1);
	assert_true(script_conf(a)->domain != script_conf(d)->domain);
	script_free(d);
	assert_true(script_conf(a)->domain != script_conf(b)->domain);
	assert_true(script_conf(b)->domain == script_conf(c)->domain);
	assert_true(script_conf(b)->hash != script_conf(c)->hash);
	script_free(a);
	script_free(b);
	script_free(c);
}

static void hints_and_views_and_anchors_are_kept(void **state)
{
	(void)state;
	struct script *s = good(
		"modules = { 'hints', 'view' }\n"
		"hints['a.test'] = '192.0.2.1'\nhints.set('b.test ::1')\n"
		"hints.set('c.test 192.0.2.3') hints.del('c.test')\n"
		"hints.root({ ['k.root.'] = { '10.53.0.1', '10.53.0.2@5353' } })\n"
		"view:addr('198.51.100.0/24', policy.all(policy.PASS))\n"
		"trust_anchors.add('. IN DS 20326 8 2 "
		"E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D')\n"
		"trust_anchors.set_insecure({ 'bad.test' })\n"
		"assert(trust_anchors.insecure[1] == 'bad.test.')\n"
		"net.allow{ '203.0.113.0/24' }\n"
		"net.chaos{ hostname = 'h' }\n");
	const struct conf *c = script_conf(s);
	assert_int_equal(c->hint_count, 2);
	assert_int_equal(c->root_count, 2);
	assert_int_equal(c->roots[1].addr.port, 5353);
	assert_int_equal(c->view_count, 1);
	assert_int_equal(c->anchor_count, 1);
	assert_int_equal(c->allow_count, 1);
	assert_string_equal(c->chaos_hostname, "h");
	struct addr a;
	addr_from_text(&a, "198.51.100.1", 0);
	assert_true(policy_allows(c, &a));
	script_free(s);
	bad("trust_anchors.config = 'x'", "was removed: use trust_anchors.add_file");
	bad("trust_anchors.add_file('/nonexistent', true)", "No such file");
	bad("trust_anchors.add_file('/nonexistent/root.keys')", "No such file");
	bad("trust_anchors.add_file('/etc')", "Is a directory");
	bad("trust_anchors.add_file('/etc/hosts')", "/etc/hosts:1: ");
	bad("trust_anchors.add_file('/nonexistent') trust_anchors.add('. DS 1 8 2 "
	    "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D')",
		"the keys of this zone are in /nonexistent");
	bad("trust_anchors.add('. DNSKEY 385 3 8 AwEA')", "cannot be a trust anchor");
	bad_line("\ntrust_anchors.add('. DNSKEY 257 3 13 AAAA')", 2,
		"trust_anchors.add: the key has not the form of its algorithm");
	bad("trust_anchors.set_insecure{ { 'a', expires = '2026-02-30' } }",
		"expires: there is no '2026-02-30'");
	bad("trust_anchors.set_insecure{ { 'a', expires = '2126-01-31T24:00:00Z' } }",
		"expires: expected");
	bad("trust_anchors.set_insecure{ { 'a', expires = 'soon' } }",
		"expires: expected 'YYYY-MM-DD'");
	bad("trust_anchors.set_insecure{ { 'a', until_s = 1 } }",
		"unknown field 'until_s'");
	bad("trust_anchors.set_insecure{ { 'a', reason = 'tab\\t' } }",
		"reason: expected printable ASCII");
	bad("trust_anchors.set_time_servers{ '.' }", "a host name");
	bad("trust_anchors.hold_down_time = 1", "is not within");
	bad("trust_anchors.add('x y z')", "trust_anchors.add: ");
	ok_eval("trust_anchors.remove('.')", "trust_anchors.summary()",
		"No valid trust anchors, DNSSEC validation is disabled");
}

/* --- a running instance ----------------------------------------------------------- */

static void running_instance_refuses_settings_and_does_actions(void **state)
{
	(void)state;
	struct script *s =
		good("modules.load('stats')\nn = 0\n"
		     "id = event.after(2 * sec, function(ev) n = n + ev end)\n");
	assert_int_equal(seen.id, 0);
	script_running(s);
	assert_int_equal(seen.ms, 2000);
	script_event(s, seen.id);
	eval_is(s, "n", true, "1");
	script_event(s, seen.id); /* it was for once */
	eval_is(s, "n", true, "1");
	eval_is(s, "event.recurrent(minute, print)", true, "2");
	assert_true(seen.recurrent);
	eval_is(s, "event.cancel(2)", true, "true");
	assert_int_equal(seen.cleared, 2);
	eval_is(s, "cache.size = 5*MB", false,
		"eval:1: cache.size is set in the configuration file: change it there "
		"and "
		"restart the instances");
	eval_is(s, "net.listen('::1')", false,
		"eval:1: net.listen is set in the configuration file: change it there "
		"and "
		"restart the instances");
	eval_is(s, "cache.clear('Example.com')", true, "{\n    ['count'] = 0,\n}");
	assert_string_equal(cleared.name, "example.com.");
	assert_true(cleared.subtree);
	eval_is(s, "cache.clear('example.com', true, 'AAAA')", true,
		"{\n    ['count'] = 0,\n}");
	assert_int_equal(cleared.type, TYPE_AAAA);
	eval_is(s, "cache.clear_everything()", true, "true");
	assert_int_equal(cleared.all, 1);
	eval_is(s, "cache.count()", true, "7");
	eval_is(s, "map('x').n", true, "2");
	eval_is(s, "map('x')[1].n", true, "1");
	eval_is(s, "map('x')[2]", true, "false");
	eval_is(s, "stats.list()['answer.slow']", true, "0");
	eval_is(s, "quit()", true, "nil");
	assert_true(seen.quit);
	script_free(s);
}

static void values_print_as_lua(void **state)
{
	(void)state;
	struct script *s = good("");
	eval_is(s, "{ 1, 'a\\'b', x = true, [10] = {} }", true,
		"{\n    1,\n    'a\\'b',\n    [10] = {},\n    ['x'] = true,\n}");
	eval_is(s, "nil", true, "nil");
	eval_is(s, "0.5", true, "0.5");
	eval_is(s, "x = 5", true, "nil");
	eval_is(s, "x", true, "5");
	eval_is(s, "fromjson(tojson({ 'a', { b = 1 } }))[2].b", true, "1");
	eval_is(s, "fromjson('[\"\\\\u20ac\\\\ud83d\\\\ude00\"]')[1]", true, "€😀");
	eval_is(s, "fromjson('[1,')", false, "eval:1: fromjson: not JSON at byte 4");
	eval_is(s, "kres.dname2str(todname('A.b'))", true, "A.b.");
	eval_is(s, "kres.type.AAAA", true, "28");
	eval_is(s, "#kres.parse_rdata({'MX 10 mail.test.'})[1]", true, "13");
	eval_is(s, "require('ffi').cdef", false,
		"eval:1: ffi is not available to scripts ('ffi.cdef')");
	eval_is(s, "os.exit()", false,
		"eval:1: os.exit would kill the instance: use quit()");
	script_free(s);
}

static bool host_resolve(void *ctx, int id, const uint8_t *name, uint16_t type,
	uint16_t rclass, uint32_t flags)
{
	(void)ctx;
	(void)name;
	seen.id = id;
	return type == TYPE_AAAA && rclass == CLASS_IN && flags == CONF_NO_CACHE;
}

static void resolve_calls_back_when_it_is_done(void **state)
{
	(void)state;
	file_write("", 0);
	struct script_host with = host;
	with.resolve = host_resolve;
	struct script *s = script_load(path, "1", false, &with, error, NULL);
	assert_non_null(s);
	eval_is(s, "resolve('a.test')", false,
		"eval:1: resolve() works in a running instance only");
	script_running(s);
	eval_is(s,
		"resolve{ name = 'a.test', type = 'AAAA', options = 'NO_CACHE', "
		"finish = function(pkt) got = pkt:rcode() .. tostring(pkt) end }",
		true, "true");
	script_resolved(s, seen.id, 3, "!");
	eval_is(s, "got", true, "3!");
	script_resolved(s, seen.id, 3, "once only");
	script_free(s);
}

/* Decimal escapes of every byte: any text as a Lua string. */
static const char *escaped(char *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sprintf(out + 4 * i, "\\%03u", (unsigned)(uint8_t)text[i]);
	out[4 * len] = 0;
	return out;
}

static void our_patterns_match_what_lua_matches(void **state)
{
	(void)state;
	static const char alphabet[] = "aab1%%()[]^-*+?.$dwf%1";
	struct script *s = good("");
	uint32_t random = 1;
	unsigned compared = 0;
	for (unsigned round = 0; round < 20000; round++) {
		char pattern[12], text[12], p[64], t[64], line[512], *out;
		size_t lens[2];
		for (unsigned i = 0; i < 2; i++) {
			char *to = i ? text : pattern;
			random = random * 1664525 + 1013904223;
			lens[i] = (random >> 16) % sizeof(text);
			for (size_t n = 0; n < lens[i]; n++) {
				random = random * 1664525 + 1013904223;
				to[n] = i ? "aab1"[(random >> 20) % 4]
					  : alphabet[(random >> 16) %
						     (sizeof(alphabet) - 1)];
			}
		}
		if (pattern_check(pattern, lens[0]))
			continue;
		snprintf(line, sizeof(line),
			"(function() local ok, at = pcall(string.find, \"%s\", \"%s\") "
			"return ok and at ~= nil, ok end)()",
			escaped(t, text, lens[1]), escaped(p, pattern, lens[0]));
		assert_true(script_eval(s, line, &out));
		const bool hit =
			pattern_match(pattern, lens[0], (const uint8_t *)text, lens[1]);
		if (hit != (strcmp(out, "true") == 0))
			fail_msg("'%.*s' in '%.*s': Lua says %s", (int)lens[0], pattern,
				(int)lens[1], text, out);
		free(out);
		compared++;
	}
	assert_true(compared > 5000);
	script_free(s);
}

/* --- whole configurations in the shape of packaged examples ----------------------- */

static void packaged_shapes_pass_the_check(void **state)
{
	(void)state;
	static const char *const shapes[] = {
		/* at home */
		"net.listen('127.0.0.1', 53, { kind = 'dns' })\n"
		"net.listen('127.0.0.1', 853, { kind = 'tls' })\n"
		"net.listen('::1', 53, { kind = 'dns', freebind = true })\n"
		"net.listen('::1', 853, { kind = 'tls', freebind = true })\n"
		"modules = {\n\t'hints > iterate',\n\t'stats',\n\t'predict',\n}\n"
		"cache.size = 100 * MB\n",
		/* a provider */
		"cache.size = 4 * GB\nmodules = { 'view', 'stats' }\n"
		"local ffi = require('ffi')\n"
		"local stat_id = event.recurrent(1 * second, function(evid)\n"
		"	log_info(ffi.C.LOG_GRP_STATISTICS, "
		"table_print(stats.list()))\nend)\n"
		"event.after(1 * minute, function(evid) event.cancel(stat_id) end)\n"
		"function speed_monitor()\n	local previous = stats.list()\n"
		"	return function(evid)\n		local now = stats.list()\n"
		"		local total = now['answer.total'] - "
		"previous['answer.total']\n"
		"		previous = now\n	end\nend\nspeed_monitor()()\n"
		"local monitor_id = event.recurrent(1 * minute, speed_monitor())\n"
		"policy.add(policy.rpz(policy.DENY, 'blacklist.rpz'))\n"
		"view:addr('192.168.1.0/24', policy.all(policy.PASS))\n"
		"view:addr('0.0.0.0/0', policy.all(policy.DROP))\n",
		/* split view */
		"modules = {\n'hints > iterate',\n'stats',\n"
		"graphite = {\n host = '192.168.1.2',\n},\n"
		"dns64 = 'fe80::21b:77ff:0:0',\n}\n"
		"policy.add(policy.suffix(policy.FORWARD('192.168.1.3'), "
		"{todname('company.cz')}))\n",
		/* a farm */
		"net.listen('127.0.0.1', 443, { kind = 'doh2' })\ncache.size = 16 * "
		"GB\n"
		"modules = { 'hints > iterate', 'stats', graphite = { host = "
		"'192.168.1.2' } }\n"
		"hints.root({\n['j.root-servers.net.'] = { '192.168.1.4', "
		"'2001:503:c27::2:30' }\n})\n"
		"user('nobody') trust_anchors.add_file = nil",
	};
	for (size_t i = 0; i < 3; i++) {
		struct script *s = load(shapes[i], "1", true);
		if (!s)
			fail_msg("%s", error);
		script_free(s);
	}
	/* the last one ends in a mistake on purpose */
	assert_null(load(shapes[3], "1", true));
	assert_non_null(strstr(error, "trust_anchors.add_file is a function: call it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snippet_gives_each_instance_its_name),
		cmocka_unit_test(ports_imply_kinds),
		cmocka_unit_test(snippet_listens_by_the_instances_name),
		cmocka_unit_test(errors_name_file_and_line),
		cmocka_unit_test(nobody_writes_into_a_copy_in_silence),
		cmocka_unit_test(keys_are_not_asked_for_more_often_than_once_a_second),
		cmocka_unit_test(what_is_no_list_is_not_taken_for_an_empty_one),
		cmocka_unit_test(a_name_of_the_dialect_that_is_hidden_is_warned_of),
		cmocka_unit_test(file_that_is_no_script_is_a_clear_error),
		cmocka_unit_test(long_file_name_stands_whole_in_errors),
		cmocka_unit_test(memory_of_a_script_is_bounded),
		cmocka_unit_test(callback_that_never_ends_is_stopped),
		cmocka_unit_test(tables_of_the_dialect_merge),
		cmocka_unit_test(unset_globals_are_nil_and_modules_come_and_go),
		cmocka_unit_test(listen_knows_every_form),
		cmocka_unit_test(
			module_that_keeps_answers_safe_is_not_left_out_silently),
		cmocka_unit_test(servers_asked_over_tls),
		cmocka_unit_test(designated_resolvers),
		cmocka_unit_test(certificates_and_ticket_secrets),
		cmocka_unit_test(policy_rules_become_data),
		cmocka_unit_test(callback_rules_ask_the_script),
		cmocka_unit_test(callbacks_see_the_headers),
		cmocka_unit_test(callbacks_forwarders_outlive_the_query),
		cmocka_unit_test(configuration_hash_covers_the_code_of_callbacks),
		cmocka_unit_test(hints_and_views_and_anchors_are_kept),
		cmocka_unit_test(anchors_add_up_and_replace),
		cmocka_unit_test(anchors_that_turn_validation_off_are_warned_of),
		cmocka_unit_test(
			files_of_anchors_that_turn_validation_off_are_warned_of),
		cmocka_unit_test(anchors_make_a_domain),
		cmocka_unit_test(running_instance_refuses_settings_and_does_actions),
		cmocka_unit_test(values_print_as_lua),
		cmocka_unit_test(our_patterns_match_what_lua_matches),
		cmocka_unit_test(resolve_calls_back_when_it_is_done),
		cmocka_unit_test(packaged_shapes_pass_the_check),
	};
	return cmocka_run_group_tests(tests, file_make, file_remove);
}
