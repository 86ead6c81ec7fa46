/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool hit(const char *pattern, const char *text)
{
	return pattern_match(
		pattern, strlen(pattern), (const uint8_t *)text, strlen(text));
}

static void pattern_match_does_what_lua_does(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		bool hit;
	} cases[] = {
		{ "", "", true },
		{ "abc", "xabcx", true },
		{ "^abc", "xabc", false },
		{ "c$", "abc", true },
		{ "c$x", "c$x", true },
		{ "%d+", "a12", true },
		{ "^%a+%d-$", "abc123", true },
		{ "[^a-c]", "abc", false },
		{ "[]]", "]", true },
		{ "[%]x]", "]", true },
		{ "[a-]", "-", true },
		{ "(a+)b%1$", "aabaa", true },
		{ "^(a+)b%1$", "aaba", false },
		{ "%b()", "f(a(b)c)", true },
		{ "%b()", "f(a(b c", false },
		{ "%f[%w]the", "in the", true },
		{ "%f[%w]he", "in the", false },
		{ "a?b", "b", true },
		{ "%.", "a", false },
		{ "%z", "a", false },
		{ "\003ads[0-9]", "\003www\003ads1", true },
		{ ".-a.-a.-a.-a.-a.-a.-a.-b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (hit(cases[i].pattern, cases[i].text) != cases[i].hit)
			fail_msg("%s on %s", cases[i].pattern, cases[i].text);
}

static void pattern_may_hold_nul_bytes(void **state)
{
	(void)state;
	const uint8_t name[] = { 5, 'l', 'o', 'c', 'a', 'l', 0 };
	assert_true(pattern_match("\005local\0$", 8, name, sizeof(name)));
	assert_true(pattern_match("l%z$", 4, name, sizeof(name)));
	assert_false(pattern_match("\005local\0.", 8, name, sizeof(name)));
}

static void pattern_check_names_what_is_wrong(void **state)
{
	(void)state;
	static const char *const bad[] = { "%", "[a", "[", "[^", "[%", "(a", "a)", "%b",
		"%bx", "%fx", "%1", "(%1)", "%0" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (!pattern_check(bad[i], strlen(bad[i])))
			fail_msg("%s", bad[i]);
		assert_false(hit(bad[i], "a%"));
	}
	assert_null(pattern_check("^(a)[%w-]%1%b()%f[a]x-$", 23));
}

static void pattern_that_would_try_forever_ends(void **state)
{
	(void)state;
	char text[256], pattern[64] = "";
	memset(text, 'a', 255);
	text[255] = 0;
	for (int i = 0; i < 14; i++)
		strcat(pattern, ".-a*");
	strcat(pattern, "b");
	assert_false(hit(pattern, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pattern_match_does_what_lua_does),
		cmocka_unit_test(pattern_may_hold_nul_bytes),
		cmocka_unit_test(pattern_check_names_what_is_wrong),
		cmocka_unit_test(pattern_that_would_try_forever_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
