/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/bpf.c - `shoal bpf`: load the steering programs once, for instances without rights. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "shard.h"

static const struct option options[] = {
	{ "group", required_argument, NULL, 'g' },
	{ "guard", no_argument, NULL, 'G' },
	{ "strict", no_argument, NULL, 'S' },
	{ "force", no_argument, NULL, 'F' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* What an error of loading means for the operator. */
static const char *reason(int error)
{
	switch (error) {
	case ENOSYS:
		return "this build has no programs (meson -Dbpf=enabled needs clang)";
	case EPERM:
		return "not allowed: needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, or "
		       "root";
	case ENOENT:
		return "no bpffs: mount -t bpf bpf /sys/fs/bpf";
	case EACCES: /* the verifier's word, too */
		return "the kernel does not accept the programs from us: needs "
		       "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, or root";
	case EINVAL:
	case E2BIG:
		return "this kernel refuses the programs (Linux 5.14 is the least)";
	case ECANCELED:
		return "switched off by SHARD_DISABLE";
	default:
		return strerror(error);
	}
}

/* -g, else the group of the run folder, which is that of the instances. */
static bool find_group(const char *name, const char *run, gid_t *gid)
{
	struct stat st;
	if (name) {
		const struct group *g = getgrnam(name);
		if (!g)
			fprintf(stderr, "shoal: no group %s\n", name);
		*gid = g ? g->gr_gid : 0;
		return g;
	}
	*gid = stat(run, &st) == 0 ? st.st_gid : getegid();
	return true;
}

static int load(const char *folder, gid_t gid, unsigned flags)
{
	const int e = shard_steer_load(folder, gid, flags);
	if (e == -EBUSY) {
		fprintf(stderr,
			"shoal: steering is loaded with other options, and sockets are "
			"in it: it stays; stop all instances first\n");
		return 1;
	}
	if (e < 0) {
		fprintf(stderr, "shoal: steering is not loaded: %s\n", reason(-e));
		return 1;
	}
	printf("%s %s%s\n", e ? "loaded already:" : "loaded:", folder,
		flags & SHARD_STEER_GUARD ? " (guarded)" : "");
	return 0;
}

static int unload(const char *folder, unsigned flags)
{
	const int e = shard_steer_unload(folder, flags);
	if (e == -EBUSY)
		fprintf(stderr, "shoal: sockets are steered by it: it stays; stop all "
				"instances "
				"(and their socket units) first, or --force\n");
	else if (e == -ENOENT)
		printf("not loaded\n");
	else if (e < 0)
		fprintf(stderr, "shoal: %s: %s\n", folder, strerror(-e));
	return e < 0 && e != -ENOENT;
}

static int show(const char *folder)
{
	struct shard_steer *s = shard_steer_open(folder);
	const int error = errno;
	if (!s) {
		printf("not loaded: %s: %s\n", folder,
			error == ENOENT   ? "nothing is pinned"
			: error == EPROTO ? "of another version"
					  : reason(error));
		return 1;
	}
	const unsigned flags = shard_steer_flags(s);
	printf("loaded: %s%s%s\n", folder,
		flags & SHARD_STEER_GUARD ? " (guarded)" : "",
		flags & SHARD_STEER_STRICT ? " (strict)" : "");
	shard_steer_close(s);
	return 0;
}

int cli_bpf(int argc, char **argv)
{
	const char *group = NULL, *run = fd_run_folder();
	unsigned flags = 0;
	char folder[PATH_MAX];
	gid_t gid;
	for (int o; (o = getopt_long(argc, argv, "g:h", options, NULL)) != -1;) {
		switch (o) {
		case 'g':
			group = optarg;
			break;
		case 'G':
			flags |= SHARD_STEER_GUARD;
			break;
		case 'S':
			flags |= SHARD_STEER_STRICT;
			break;
		case 'F':
			flags |= SHARD_STEER_FORCE;
			break;
		case 'h':
			return cli_explain("bpf");
		default:
			return cli_usage("bpf");
		}
	}
	if (optind + 1 != argc)
		return cli_usage("bpf");
	const int e = shard_steer_path(folder, sizeof(folder), run);
	if (e < 0) {
		fprintf(stderr, "shoal: %s: %s\n", run, strerror(-e));
		return 1;
	}
	const char *what = argv[optind];
	if (strcmp(what, "load") == 0)
		return find_group(group, run, &gid) ? load(folder, gid, flags) : 1;
	if (strcmp(what, "unload") == 0)
		return unload(folder, flags);
	return strcmp(what, "status") == 0 ? show(folder) : cli_usage("bpf");
}
