/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/orphan.h - the `shoal run` that started this instance was killed: it serves on, and leaves when
 * another process serves under its name.
 *
 * That is the successor of a restart that was under way, or one of a new `shoal run`. */
#pragma once

struct worker;

/* Once a second. */
void orphan_tick(struct worker *w);
