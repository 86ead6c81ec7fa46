/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/backoff.h - an instance that dies young again and again starts slower. */
#pragma once

/* Sleeps up to 10 seconds where nobody else spaces restarts out (`shoal run` does).
 */
void backoff_wait(const char *run_folder, const char *name);
