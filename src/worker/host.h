/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/host.h - what a running instance lends to its script. */
#pragma once

#include "lua/script.h"
#include "worker/worker.h"

/* ctx is the worker, whose parts may come to be later. */
struct script_host host_of(struct worker *w);
