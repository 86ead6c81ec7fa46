/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/prime.h - ask the root for its own servers: RFC 9609. */
#pragma once

#include "worker/worker.h"

/* At start, and again before the answer expires; nothing if the module priming is
 * unloaded. */
void prime_start(struct worker *w);
