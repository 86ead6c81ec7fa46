/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exec/folder.c - where a run's control socket is. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/control.h"
#include "exec/exec.h"

const char *exec_root(void)
{
	static char path[EXEC_PATH / 2];
	const char *given = getenv("SHARD_RUN");
	const char *user = getenv("XDG_RUNTIME_DIR");
	if (given && *given)
		return given;
	if (geteuid() == 0 || !user || !*user)
		return "/run/shard";
	snprintf(path, sizeof(path), "%s/shard", user);
	return path;
}

static bool is_there(const char *root, const char *name)
{
	char path[EXEC_PATH];
	snprintf(
		path, sizeof(path), "%s/%s/control/%s", root, name, CONTROL_SUPERVISOR);
	return access(path, F_OK) == 0;
}

/* How many runs there are; the last one's name, and all in `all`. */
static size_t find_runs(char name[static NAME_MAX + 1], char *all, size_t cap)
{
	size_t count = 0, at = 0;
	DIR *d = opendir(exec_root());
	*all = 0;
	for (const struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] == '.' || !is_there(exec_root(), e->d_name))
			continue;
		snprintf(name, NAME_MAX + 1, "%s", e->d_name);
		count++;
		if (at < cap)
			at += (size_t)snprintf(
				all + at, cap - at, "%s%s", at ? ", " : "", name);
	}
	if (d)
		closedir(d);
	return count;
}

bool exec_folder(const char *name, char out[static EXEC_PATH])
{
	char found[NAME_MAX + 1] = "", all[1024];
	const size_t count = find_runs(found, all, sizeof(all));
	if (!name && count == 1)
		name = found;
	if (!name) {
		if (count)
			fprintf(stderr, "shard: which one? --name NAME: %s\n", all);
		else
			fprintf(stderr,
				"shard: nothing runs in %s (SHARD_RUN names another "
				"folder)\n",
				exec_root());
		return false;
	}
	if (!is_there(exec_root(), name)) {
		fprintf(stderr, "shard: no run named %s in %s%s%s\n", name, exec_root(),
			count ? "; there are: " : "", all);
		return false;
	}
	return snprintf(out, EXEC_PATH, "%s/%s", exec_root(), name) < EXEC_PATH;
}
