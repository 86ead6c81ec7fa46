/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/socknum.h - what the sockets receive, hold and lose: in the stats block, for each and in sum. */
#pragma once

struct worker;

/* Their names: after the listeners were opened. */
void socknum_tell(struct worker *w);
/* Once a second. */
void socknum_tick(struct worker *w);
