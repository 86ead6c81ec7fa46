/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chaos.h - a scenario whose servers' replies are meddled with on their way. */
#pragma once

#include "play.h"

/* Once as it is, then so many times with changed replies, and what may never be is looked
 * for. False: it was, and stands on stdout with the seed that brings it back. */
bool chaos_play(struct play *p, unsigned rounds, uint64_t seed, bool trace);
