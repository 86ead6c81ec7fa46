/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/rights.h - who this process is: from root to the configured user. */
#pragma once

#include <stdbool.h>

#include "worker/worker.h"

/* Become user(): the run folder is made and given to it. Only binding of low ports and
 * big receive buffers remain, until rights_give_up(). Files made from here on belong to
 * the user. False: `error`. */
bool rights_take_user(struct worker *w, char error[static 1024]);
/* The sockets are open: nothing more is needed. */
void rights_give_up(const struct worker *w);
