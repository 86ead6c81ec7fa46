/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf_hosts.c - /etc/hosts form: "ADDRESS NAME [NAME]...", '#' comments:
 * hosts(5). */
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

enum {
	HOSTS_BYTES_MAX = 256 * 1024 * 1024, /* a block list of 10 million names */
	HOSTS_WORD_MAX = 1100,               /* a name with every byte escaped */
};

struct hosts_line {
	const char *at, *end;
};

/* The next word of the line into `word`; its length, 0 at the end or comment, -1: too
 * long. */
static int word_next(struct hosts_line *l, char word[static HOSTS_WORD_MAX])
{
	while (l->at < l->end && (*l->at == ' ' || *l->at == '\t' || *l->at == '\r'))
		l->at++;
	const char *start = l->at;
	while (l->at < l->end && !strchr(" \t\r#", *l->at))
		l->at++;
	const size_t len = (size_t)(l->at - start);
	if (len >= HOSTS_WORD_MAX)
		return -1;
	memcpy(word, start, len);
	word[len] = 0;
	return (int)len;
}

static const char *hosts_line_add(struct conf *c, struct hosts_line *l)
{
	char word[HOSTS_WORD_MAX];
	uint8_t name[NAME_MAX_LEN];
	struct addr addr;
	int len = word_next(l, word);
	if (len == 0)
		return NULL;
	/* "fe80::1%lo0" stands in many hosts files: no use for DNS */
	const bool scoped = len > 0 && strchr(word, '%');
	if (!scoped &&
		(len < 0 || strpbrk(word, "@") || !addr_from_text(&addr, word, 0)))
		return "not an address";
	while ((len = word_next(l, word)) > 0) {
		if (!name_from_text(name, word))
			return "not a name";
		if (!scoped && !conf_hint_add(c, name, &addr))
			return "out of memory";
	}
	return len < 0 ? "not a name" : NULL;
}

bool conf_hosts_text(struct conf *c, const char *path, const char *text, size_t len,
	char error[static 256])
{
	const char *const end = text + len;
	if (memchr(text, 0, len)) {
		snprintf(error, 256, "%.160s: not a text file", path);
		return false;
	}
	for (int line = 1; text < end; line++) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		struct hosts_line l = { text, eol ? eol : end };
		const char *wrong = hosts_line_add(c, &l);
		if (wrong) {
			snprintf(error, 256, "%.160s:%d: %s", path, line, wrong);
			return false;
		}
		text = l.end + (eol != NULL);
	}
	return true;
}

bool conf_hosts_file(struct conf *c, const char *path, char error[static 256])
{
	char *text;
	size_t len;
	const int err = fd_read_file(path, HOSTS_BYTES_MAX, &text, &len);
	if (err < 0) {
		snprintf(error, 256, "%.160s: %s", path, fd_read_error(err));
		return false;
	}
	const bool fine = conf_hosts_text(c, path, text, len, error);
	free(text);
	return fine;
}
