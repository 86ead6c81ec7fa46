/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/rights.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

enum { RUN_FOLDER_MODE = 0755 };

static bool fail(char error[static 1024], const char *what, const char *which)
{
	snprintf(error, 1024, "%s %s: %s", what, which, strerror(errno));
	return false;
}

/* The user may write the folder, so what lies in it may be a second name of a file that
 * must never become his. */
static bool give_file(int folder, const char *name, uid_t uid, gid_t gid)
{
	struct stat st;
	int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	bool given = fstat(fd, &st) == 0;
	if (given &&
		((!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode)) || st.st_nlink > 1)) {
		errno = EPERM;
		given = false;
	}
	given = given && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0;
	const int error = errno;
	fd_close(&fd);
	errno = error;
	return given;
}

/* Folders and segments that an earlier start as another user left: ours to use from now
 * on. */
static void give_folder(const char *path, uid_t uid, gid_t gid)
{
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fchown(fd, uid, gid) < 0)
		log_warning(SYSTEM, "cannot give %s to the user: %s", path,
			strerror(errno));
	DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_type == DT_REG || e->d_type == DT_SOCK)
			if (!give_file(fd, e->d_name, uid, gid))
				log_warning(SYSTEM, "cannot give %s/%s to the user: %s",
					path, e->d_name, strerror(errno));
	closedir(d);
}

static void give_run_folder(const char *run, uid_t uid, gid_t gid)
{
	static const char *const ours[] = { "control", "stats", "shm" };
	char path[4096];
	if (chown(run, uid, gid) < 0)
		log_warning(
			SYSTEM, "cannot give %s to the user: %s", run, strerror(errno));
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		snprintf(path, sizeof(path), "%s/%s", run, ours[i]);
		give_folder(path, uid, gid);
	}
}

/* capset(2) of exactly these, permitted and effective. */
static bool capabilities_set(uint32_t wanted)
{
	struct __user_cap_header_struct head = { .version =
							 _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = wanted,
		.permitted = wanted } };
	return syscall(SYS_capset, &head, data) == 0;
}

static bool become(uid_t uid, gid_t gid, const char *user, char error[static 1024])
{
	const uint32_t binding = 1u << CAP_NET_BIND_SERVICE,
		       buffers = 1u << CAP_NET_ADMIN;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || initgroups(user, gid) < 0 ||
		setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return fail(error, "cannot become user", user);
	/* in a container there may be less than all: then ports decide what is missing
	 */
	if (!capabilities_set(binding | buffers) && !capabilities_set(binding))
		capabilities_set(0);
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	/* core files and /proc/self as for any process of this user */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return true;
}

/* Who may write it can put files of his own in the place of all that lies there. */
static void look_at_run_folder(const char *run, uid_t own)
{
	struct stat st;
	if (stat(run, &st) < 0)
		return;
	if (st.st_uid != own && st.st_uid != 0)
		log_warning(SYSTEM,
			"run folder %s belongs to user id %u, who can take the place "
			"of what lies there",
			run, (unsigned)st.st_uid);
	else if (st.st_mode & S_IWOTH)
		log_warning(SYSTEM,
			"run folder %s can be written by all users, who can take the "
			"place of what lies there",
			run);
}

bool rights_take_user(struct worker *w, char error[static 1024])
{
	const char *user = w->conf->user, *group = w->conf->group;
	const int e = fd_make_folder(w->run_folder, RUN_FOLDER_MODE);
	if (e < 0 && e != -EEXIST)
		log_warning(SYSTEM, "run folder %s: %s", w->run_folder, strerror(-e));
	if (!user) {
		look_at_run_folder(w->run_folder, geteuid());
		return true;
	}
	errno = 0;
	const struct passwd *pw = getpwnam(user);
	if (!pw) {
		snprintf(error, 1024, "user('%s'): no such user", user);
		return false;
	}
	const uid_t uid = pw->pw_uid;
	gid_t gid = pw->pw_gid;
	if (group) {
		const struct group *gr = getgrnam(group);
		if (!gr) {
			snprintf(error, 1024, "user('%s', '%s'): no such group", user,
				group);
			return false;
		}
		gid = gr->gr_gid;
	}
	if (geteuid() == uid && getegid() == gid)
		return true;
	if (geteuid() != 0) {
		snprintf(error, 1024, "user('%s'): only root can become another user",
			user);
		return false;
	}
	give_run_folder(w->run_folder, uid, gid);
	look_at_run_folder(w->run_folder, uid);
	return become(uid, gid, user, error);
}

void rights_give_up(const struct worker *w)
{
	if (w->conf->user && geteuid() != 0)
		capabilities_set(0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
