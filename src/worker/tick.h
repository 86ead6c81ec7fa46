/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/tick.h - what an instance does by the clock: its heart beat, gauges, the
 * watchdog. */
#pragma once

#include "worker/worker.h"

void tick_start(struct worker *w);
