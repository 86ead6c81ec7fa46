/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/json.h"

#include <inttypes.h>
#include <stdio.h>

static void quote(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		const unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void begin(struct json *j, const char *key)
{
	if (j->some)
		putchar(',');
	if (j->depth)
		printf("\n%*s", j->depth * 2, "");
	j->some = true;
	if (key) {
		quote(key);
		fputs(": ", stdout);
	}
}

void json_open(struct json *j, const char *key, char bracket)
{
	begin(j, key);
	putchar(bracket);
	j->some = false;
	j->depth++;
}

void json_close(struct json *j, char bracket)
{
	j->depth--;
	if (j->some)
		printf("\n%*s", j->depth * 2, "");
	putchar(bracket);
	j->some = true;
	if (j->depth == 0)
		putchar('\n');
}

void json_text(struct json *j, const char *key, const char *text)
{
	begin(j, key);
	quote(text);
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
	begin(j, key);
	printf("%" PRIu64, value);
}

void json_double(struct json *j, const char *key, double value)
{
	begin(j, key);
	printf("%.3f", value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	begin(j, key);
	fputs(value ? "true" : "false", stdout);
}
