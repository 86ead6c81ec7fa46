/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/anchor_files.h - files of trust anchors: seen when they change, and kept up to
 * date by RFC 5011.
 *
 * Any number of instances share a file. One of them, the holder of FILE.lock (an open
 * file description lock, which ends with its process), asks the zone for its keys and
 * writes the file; the others see it change within a second. */
#pragma once

#include "dnssec/rfc5011.h"
#include "worker/worker.h"

/* False: out of memory. What cannot be read was complained about; it has no keys. */
bool anchor_files_open(struct worker *w);
void anchor_files_close(struct worker *w);
/* Once a second. */
void anchor_files_tick(struct worker *w);
/* Of conf->anchor_files[i]. */
const struct trust_point *anchor_files_point(const struct worker *w, size_t i);
