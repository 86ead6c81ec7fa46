/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/claim.h - one supervisor a run folder, and none where instances run already. */
#pragma once

#include <stddef.h>

/* The descriptor that holds the claim until it is closed, or -1 and a line in `error`
 * that says who is there and what to do. Makes the folder. */
int claim_take(const char *run_folder, char error[static 1024]);
