/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/check.h - is the configuration fine, before anything is started. */
#pragma once

#include <stdbool.h>

#include "super/super.h"

/* `shoald --check` for each name until one fails; what that one said goes to standard
 * error. */
bool check_plan(const struct super_plan *plan);
