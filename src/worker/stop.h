/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/stop.h - leave without losing a query: out of the group, drain, answer, go. */
#pragma once

#include "worker/worker.h"

void stop_begin(struct worker *w);
/* Nobody comes after it: no keeper shall hold for a successor what siblings can take. */
void stop_for_good(struct worker *w);
/* loop_signal's callback for SIGTERM and SIGINT; the second one ends at once. */
void stop_signal(void *ctx, int signo);
