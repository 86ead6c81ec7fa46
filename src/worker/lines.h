/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/lines.h - the servers that the configuration wants to be asked over TLS. */
#pragma once

#include "worker/worker.h"

/* Reads their authorities. False: `error`. */
bool lines_open(struct worker *w, char error[static 1024]);
struct upstream_line *lines_get(struct worker *w, const struct conf_tls_peer *peer);
/* Once a second. */
void lines_tick(struct worker *w);
/* After upstream_free(). */
void lines_close(struct worker *w);
/* Can all authorities be read? */
bool lines_check(const struct conf *conf, char error[static 1024]);
