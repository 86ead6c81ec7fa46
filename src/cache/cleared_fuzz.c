/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any file as the list of clears: refused, or whole names and no more than there may be;
 * and afterwards a clear and a mark work. */
#include "cache/cleared.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/cache.h"
#include "wire/name.h"

static char folder[] = "/tmp/shoal-fuzz-XXXXXX";
static char path[300];

static bool look(void *ctx, const struct cleared *what)
{
	unsigned *count = ctx;
	assert(what->all || name_check(what->name, NAME_MAX_LEN));
	return ++*count <= CLEARED_MAX + 1;
}

static void tidy(void)
{
	unlink(path);
	rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!path[0]) {
		assert(mkdtemp(folder));
		snprintf(path, sizeof(path), "%s/cache-v%d.cleared", folder,
			CACHE_LAYOUT);
		atexit(tidy);
	}
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	unsigned count = 0, after = 0;
	const int err = cleared_read(folder, look, &count);
	assert(!err || !count);
	const struct cleared what = { .lineage = 1, .name = (const uint8_t *)"\1a" };
	assert(cleared_append(folder, &what) >= 0);
	struct cleared_mark mark;
	assert(cleared_mark(folder, &mark) == 0 && mark.count);
	assert(cleared_drop(folder, &mark) == 0);
	assert(cleared_read(folder, look, &after) == 0 && !after);
	return 0;
}
