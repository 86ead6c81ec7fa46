/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/listen.h - the sockets that the configuration names: inherited or opened, then
 * served. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "worker/worker.h"

/* Bind all; the group is joined here, so call it last before serving. False: `error`
 * says why. */
bool listen_open(struct worker *w, char error[static 1024]);
/* Can what was handed over to this process be served? Opens nothing. */
bool listen_check(const struct conf *c, char error[static 1024]);
/* They are nobody's after us: the keeper closes its listeners, which would stay in their groups. kept_barrier(). */
int listen_give_up(struct worker *w);
void listen_close(struct worker *w);
/* Once a second: what dead processes held is taken over, parked sockets are replaced.
 */
void listen_tick(struct worker *w);
/* The census forgot this instance's connections. */
void listen_count_again(struct worker *w);
