/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/cleaned.c - somebody emptied the run folder: instances, `shoal restart` and a second `shoal run` must find
 * us again.
 *
 * An instance whose READY=1 finds nobody is killed as one that never became ready. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/notify.h"
#include "super/claim.h"
#include "super/internal.h"

static bool is_missing(const struct super *s, const char *file)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%.4000s/%s", s->plan->run_folder, file);
	return access(path, F_OK) < 0 && errno == ENOENT;
}

static bool notify_again(struct super *s)
{
	if (s->notify_path[0] != '/' || !is_missing(s, NOTIFY_FILE))
		return false;
	int before = s->notify.fd;
	loop_unwatch(s->loop, &s->notify);
	fd_close(&before);
	const int e = notify_open(s);
	if (e < 0)
		say(s, "%s: %s: instances cannot tell that they are ready",
			s->notify_path, strerror(-e));
	return true;
}

void cleaned_tick(struct super *s)
{
	bool cleaned = claim_renew(s->plan->run_folder, &s->claim);
	cleaned |= notify_again(s);
	if (s->control && is_missing(s, "control/" CONTROL_SUPERVISOR)) {
		control_close(s->control);
		asked_listen(s);
		cleaned = true;
	}
	if (s->steer && is_missing(s, "control/.steer")) {
		steer_listen(s);
		cleaned = true;
	}
	if (cleaned)
		say(s,
			"somebody removed our files in %s: made anew; `shoal restart` "
			"brings those of the instances back",
			s->plan->run_folder);
}
