/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/policy.h - small eBPF programs that choose a socket, for comparison with libshard's.
 *
 * Made of instructions here, so that neither a compiler for BPF nor a library is needed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "compare/steer.h"

struct policy;

/* STEER_ROUND or STEER_LEAST for these sockets of one group. NULL with errno. */
struct policy *policy_new(enum steer_policy policy, const int *fds, unsigned count);
void policy_free(struct policy *p);
/* The worker answered one more. */
void policy_done(struct policy *p, unsigned index);
