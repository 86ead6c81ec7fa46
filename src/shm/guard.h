/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shm/guard.h - which mappings the SIGBUS handler looks after; for shm.c alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* False when the table is full: that mapping is then unguarded. */
bool guard_add(void *base, size_t size);
void guard_remove(const void *base);
bool guard_was_cut(const void *base);
