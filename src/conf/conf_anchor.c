/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf_anchor.c - files of trust anchors as the script names them: checked here,
 * read again by whoever follows them. */
#include "conf/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "dnssec/rfc5011_file.h"

static const uint8_t root[1] = { 0 };

/* Is there a folder to make it in? */
static bool has_folder(const char *path)
{
	char folder[4096];
	struct stat st;
	snprintf(folder, sizeof(folder), "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = 0;
	return stat(slash ? folder : ".", &st) == 0 && S_ISDIR(st.st_mode);
}

/* The zone whose keys it holds. NULL: `error` says why not. */
static const uint8_t *owner_of(
	const struct conf *c, const char *path, bool readonly, char error[static 256])
{
	char reason[256];
	struct trust_point *tp = calloc(1, sizeof(*tp));
	char *text = NULL;
	size_t len;
	const uint8_t *owner = NULL;
	const int e = fd_read_file(path, LIMIT_ANCHOR_FILE_BYTES, &text, &len);
	if (e == -ENOENT && !readonly && has_folder(path))
		owner = root; /* it is made, with the keys that are built in */
	else if (e < 0)
		snprintf(error, 256, "%.160s: %s", path, strerror(-e));
	else if (!tp)
		snprintf(error, 256, "out of memory");
	else if (!rfc5011_file_read(
			 tp, text, len, c->anchors_hold_down_ms / 1000, reason))
		snprintf(error, 256, "%.120s:%.120s", path, reason);
	else
		owner = arena_dup(c->arena, tp->owner, name_len(tp->owner));
	free(text);
	free(tp);
	return owner;
}

bool conf_anchor_remove(struct conf *c, const uint8_t *zone)
{
	bool any = false;
	size_t kept = 0;
	for (size_t i = 0; i < c->anchor_count; i++)
		if (!name_equal(c->anchors[i].owner, zone))
			c->anchors[kept++] = c->anchors[i];
	any |= kept < c->anchor_count;
	c->anchor_count = kept;
	kept = 0;
	for (size_t i = 0; i < c->anchor_file_count; i++)
		if (!name_equal(c->anchor_files[i].owner, zone))
			c->anchor_files[kept++] = c->anchor_files[i];
	any |= kept < c->anchor_file_count;
	c->anchor_file_count = kept;
	if (name_is_root(zone)) {
		any |= c->anchor_builtin;
		c->anchor_builtin = false;
	}
	return any;
}

bool conf_anchor_file(struct conf *c, const char *path, bool readonly,
	struct conf_where where, char error[static 256])
{
	const uint8_t *owner = owner_of(c, path, readonly, error);
	if (!owner)
		return false;
	conf_anchor_remove(c, owner);
	struct conf_anchor_file *f =
		conf_push(c, &c->anchor_files, &c->anchor_file_count, sizeof(*f));
	const char *copy = arena_strdup(c->arena, path);
	if (!f || !copy) {
		snprintf(error, 256, "out of memory");
		return false;
	}
	*f = (struct conf_anchor_file){
		.path = copy, .owner = owner, .readonly = readonly, .where = where
	};
	return true;
}
