/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/json.h - print JSON, commas and escapes in the right places. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct json {
	bool some; /* the object or list that is open has a member already */
	int depth;
};

/* `key` is NULL in a list and at the top. */
void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);                 /* '}' or ']' */
void json_text(struct json *j, const char *key, const char *text);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_double(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
