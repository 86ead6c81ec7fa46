/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr;
static FILE *sink;

/* What was logged since the last call. */
static const char *logged(void)
{
	static char buf[16384];
	rewind(sink);
	const size_t len = fread(buf, 1, sizeof(buf) - 1, sink);
	buf[len] = 0;
	rewind(sink);
	assert_int_equal(ftruncate(fileno(sink), 0), 0);
	lseek(STDERR_FILENO, 0, SEEK_SET);
	return buf;
}

static int catch_stderr(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	sink = tmpfile();
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(sink), STDERR_FILENO);
	log_set_target(LOG_TO_STDERR);
	log_set_level(LOG_LEVEL_NOTICE);
	return 0;
}

static int give_stderr_back(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	fclose(sink);
	return 0;
}

static void a_line_has_group_and_text(void **state)
{
	(void)state;
	log_notice(SYSTEM, "listening on %s", "127.0.0.1@53");
	assert_string_equal(logged(), "[system] listening on 127.0.0.1@53\n");
}

static void levels_and_groups_choose(void **state)
{
	(void)state;
	log_info(IO, "no");
	log_debug(IO, "no");
	assert_string_equal(logged(), "");
	log_set_group(LOG_IO, true);
	log_debug(IO, "yes");
	log_debug(NET, "no");
	log_set_group(LOG_IO, false);
	log_set_level(LOG_LEVEL_ERR);
	log_warning(IO, "no");
	log_error(IO, "yes");
	assert_string_equal(logged(), "[io] yes\n[io] yes\n");
}

/* One line stays one line, and no terminal obeys a stranger. */
static void control_characters_are_escaped(void **state)
{
	(void)state;
	log_error(NET, "a\nb\r\x1b[2J\x7f\t\xc2\x9b ok \xc3\xa9");
	assert_string_equal(logged(),
		"[net] a\\x0ab\\x0d\\x1b[2J\\x7f\\x09\\xc2\\x9b ok \xc3\xa9\n");
}

static void long_text_is_cut_within_one_line(void **state)
{
	(void)state;
	static char text[9000];
	memset(text, '\n', sizeof(text) - 1);
	log_error(NET, "%s", text);
	const char *line = logged();
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_in_range(strlen(line), 4000, 4100);
}

static void errno_survives_and_is_seen(void **state)
{
	(void)state;
	errno = ENOENT;
	log_error(IO, "%m");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(logged(), "[io] No such file or directory\n");
}

static void the_journal_gets_priorities_and_others_do_not(void **state)
{
	(void)state;
	struct stat st;
	char stream[64];
	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_set_target(LOG_TO_STDERR);
	log_error(IO, "x");
	assert_string_equal(logged(), "<3>[io] x\n");
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_set_target(LOG_TO_STDERR);
	log_error(IO, "x");
	assert_string_equal(logged(), "[io] x\n");
	unsetenv("JOURNAL_STREAM");
}

static void names_are_found_again(void **state)
{
	(void)state;
	for (int i = 0; i < LOG_GROUP_COUNT; i++)
		assert_int_equal(log_group_find(log_group_name((enum log_group)i)), i);
	assert_int_equal(log_group_find("nonsense"), -1);
	for (int i = LOG_LEVEL_CRIT; i <= LOG_LEVEL_DEBUG; i++)
		assert_int_equal(log_level_find(log_level_name((enum log_level)i)), i);
	assert_int_equal(log_level_find(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define LOGGING(f) cmocka_unit_test_setup_teardown(f, catch_stderr, give_stderr_back)
		LOGGING(a_line_has_group_and_text),
		LOGGING(levels_and_groups_choose),
		LOGGING(control_characters_are_escaped),
		LOGGING(long_text_is_cut_within_one_line),
		LOGGING(errno_survives_and_is_seen),
		LOGGING(the_journal_gets_priorities_and_others_do_not),
		cmocka_unit_test(names_are_found_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
