/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int log_pipe[2]; /* of the output */
static struct output out;
static char got[8 * 1024 * 1024];

static int set_up(void **state)
{
	(void)state;
	return pipe2(log_pipe, O_NONBLOCK) == 0 && output_init(&out, log_pipe[1], 5)
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	(void)state;
	output_fini(&out);
	close(log_pipe[0]);
	close(log_pipe[1]);
	return 0;
}

static const char *read_log(void)
{
	const ssize_t n = read(log_pipe[0], got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = 0;
	return got;
}

static int open_source(struct source *s, const char *name)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_true(source_open(s, name, ends[0]));
	return ends[1];
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void output_merges_whole_lines_with_names(void **state)
{
	(void)state;
	struct source one, two;
	const int w1 = open_source(&one, "1"), w2 = open_source(&two, "dns2");
	say(w1, "begin ");
	assert_true(source_read(&one, &out));
	say(w2, "all at once\nand more\n");
	assert_true(source_read(&two, &out));
	say(w1, "end\r\n\033[2J\ttab\n");
	assert_true(source_read(&one, &out));
	output_say(&out, "shoal", "%d of %d", 1, 2);
	assert_string_equal(read_log(), "dns2  | all at once\n"
					"dns2  | and more\n"
					"1     | begin end\n"
					"1     | ?[2J\ttab\n"
					"shoal | 1 of 2\n");
	assert_string_equal(one.last, "?[2J\ttab");
	close(w1);
	assert_false(source_read(&one, &out));
	source_close(&one, &out);
	source_close(&two, &out);
	close(w2);
}

static void output_shows_last_words_without_newline(void **state)
{
	(void)state;
	struct source s;
	const int w = open_source(&s, "1");
	say(w, "first\nassertion failed: x");
	close(w);
	source_close(&s, &out);
	assert_string_equal(read_log(), "1     | first\n1     | assertion failed: x\n");
	assert_string_equal(s.last, "assertion failed: x");
	assert_int_equal(s.fd, -1);
	source_close(&s, &out); /* again: nothing */
}

static void output_cuts_a_long_line_and_marks_the_rest(void **state)
{
	(void)state;
	struct source s;
	const int w = open_source(&s, "1");
	char line[OUTPUT_LINE_MAX + 11];
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	assert_int_equal(write(w, line, sizeof(line)), sizeof(line));
	say(w, "next\n");
	assert_true(source_read(&s, &out));
	read_log();
	assert_int_equal(strncmp(got, "1     | xxx", 11), 0);
	const char *rest = strchr(got, '\n') + 1;
	assert_int_equal(rest - got, 8 + OUTPUT_LINE_MAX + 1);
	assert_string_equal(rest, "1     + xxxxxxxxxx\n1     | next\n");
	close(w);
	source_close(&s, &out);
}

static void output_never_waits_for_a_reader_and_counts_what_it_loses(void **state)
{
	(void)state;
	char text[1000];
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	for (int i = 0; i < 2000; i++)
		output_say(&out, "1", "%s", text);
	assert_true(out.lost > 1000);
	const unsigned long lost = out.lost;
	size_t lines = 0;
	char want[64] = "";
	for (int i = 0; i < 1000; i++) {
		read_log();
		for (const char *at = got; (at = strchr(at, '\n')); at++)
			lines++;
		if (strstr(got, "were lost")) {
			snprintf(want, sizeof(want), "shoal | %lu lines were lost",
				lost);
			assert_non_null(strstr(got, want));
		}
		output_flush(&out);
	}
	assert_true(want[0]);
	assert_int_equal(lines, 2000 - lost + 1);
	assert_int_equal(out.lost, 0);
}

static void output_tells_at_the_end_what_it_lost(void **state)
{
	(void)state;
	char text[1000];
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_true(fcntl(log_pipe[1], F_SETPIPE_SZ, 1024 * 1024) > 0);
	for (int i = 0; i < 2000; i++)
		output_say(&out, "1", "%s", text);
	assert_true(out.lost);
	static char rest[1024 * 1024];
	ssize_t n = read(log_pipe[0], rest, sizeof(rest)); /* the reader comes back */
	assert_true(n > 0);
	output_fini(&out);
	assert_true(output_init(&out, log_pipe[1], 5)); /* for the end of the test */
	n = read(log_pipe[0], rest, sizeof(rest) - 1);
	assert_true(n > 0);
	rest[n] = 0;
	assert_non_null(strstr(rest, " lines were lost"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(output_merges_whole_lines_with_names),
		T(output_shows_last_words_without_newline),
		T(output_cuts_a_long_line_and_marks_the_rest),
		T(output_never_waits_for_a_reader_and_counts_what_it_loses),
		T(output_tells_at_the_end_what_it_lost),
	};
#undef T
	return cmocka_run_group_tests(tests, NULL, NULL);
}
