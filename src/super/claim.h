/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/claim.h - one supervisor a run folder, and none where instances run already that it would not succeed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "super/super.h"

/* The descriptor that holds the claim until it is closed, or -1 and a line in `error`
 * that says who is there and what to do. Makes the folder. `succeeded`: how many instances of a
 * `shoal run` that was killed serve on until those of the plan do. */
int claim_take(
	const struct super_plan *plan, size_t *succeeded, char error[static 1024]);
/* The file that was locked may have been removed: another one, where nobody has taken the claim meanwhile.
 * True: made anew. */
bool claim_renew(const char *run_folder, int *claim);
