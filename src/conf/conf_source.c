/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf_source.c - which files a configuration was read from, and what stood in them.
 *
 * Instances that run from one file may differ by design, for it can ask who it runs for;
 * that one read an older version of the file is told by the bytes alone. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/limits.h"
#include "conf/conf.h"

/* Compared between processes: fixed. */
static const struct hash_key key = { 0x73686f616c66696c, 0x6573206f6620636f };

/* The same however it is spelled; never 0. */
static uint64_t path_hash(const char *path)
{
	char *real = realpath(path, NULL);
	const char *text = real ? real : path;
	const uint64_t hash = hash_sip13(&key, text, strlen(text));
	free(real);
	return hash ? hash : 1;
}

void conf_source_add(struct conf *c, const char *path, const char *text, size_t len)
{
	const struct conf_source fresh = { path_hash(path),
		hash_sip13(&key, text, len) };
	for (size_t i = 0; i < c->source_count; i++)
		if (c->sources[i].path == fresh.path)
			return;
	if (c->source_count < CONF_SOURCES)
		c->sources[c->source_count++] = fresh;
}

void conf_source_file(struct conf *c, const char *path)
{
	struct stat st;
	char *text;
	size_t len;
	/* what the kernel makes up at each look has no size */
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !st.st_size ||
		fd_read_file(path, LIMIT_CONFIG_BYTES, &text, &len) < 0)
		return;
	conf_source_add(c, path, text, len);
	free(text);
}
