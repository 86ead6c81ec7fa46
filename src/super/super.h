/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/super.h - keep instances running, in the foreground. */
#pragma once

#include <stddef.h>

struct super_plan {
	const char *shoald; /* the program */
	const char *conf;
	const char *run_folder;
	const char *const *names;
	size_t count;
};

/* Until told to stop. Exit code: 0 all stopped well, 1 could not start or not all did.
 */
int super_run(const struct super_plan *plan);
