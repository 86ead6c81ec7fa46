/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/anchors.h - what this instance trusts: of the configuration, of files, and for
 * as long as the clock is wrong; one set, put in place as a whole. */
#pragma once

#include "worker/worker.h"

/* Before the resolver. False: out of memory. */
bool anchors_open(struct worker *w);
void anchors_close(struct worker *w);
/* A file has changed: `why`; or (NULL) the clock is found wrong, or right again. */
void anchors_renew(struct worker *w, const char *why);
/* The root's keys: those of dns-root-data where it is installed, else the built-in ones.
 */
void anchors_add_root(struct anchor_set *set);
/* trust_anchors.summary(), of one zone or (NULL) of all; malloc'ed. */
char *anchors_summary(void *ctx, const uint8_t *zone);
