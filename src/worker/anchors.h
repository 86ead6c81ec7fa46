/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/anchors.h - the trust anchors of this instance: as configured, later as the
 * zones change them. */
#pragma once

#include "worker/worker.h"

/* Before the resolver. False: out of memory. */
bool anchors_open(struct worker *w);
void anchors_close(struct worker *w);
