/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/netwatch.h - the host's network changed: what was learnt about silent servers
 * is void. */
#pragma once

#include "worker/worker.h"

/* rtnetlink(7). Where the kernel refuses, penalties only decay by themselves. */
void netwatch_start(struct worker *w);
void netwatch_stop(struct worker *w);
