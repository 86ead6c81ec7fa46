/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/units.h - instances that are units of systemd: `shoal restart` and `shoal stop` speak to systemctl. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/fleet.h"

/* What is to be done where no supervisor is. Exit code. */
typedef int units_fn(const struct fleet *f, char *const *names, size_t count);

/* The names of a command line: asked of whoever supervises these instances, `super` or systemd. Exit
 * code; where nobody does, an unknown or no instance's name is given, it has said so. */
struct supervisor;
int units_or_supervisor(
	int (*super)(const struct supervisor *s, char *const *names, size_t count),
	units_fn *units, char *const *names, size_t count);
/* Is it among these, or are there none? */
bool units_is_named(const char *name, char *const *names, size_t count);
/* `systemctl VERB shoald@NAME.KIND`: 0, or 1 and it has said so. */
int units_systemctl(const char *verb, const char *name, const char *kind);
/* Does systemd hold its sockets by a socket unit, or did, when it ended? */
bool units_has_socket(const struct member *m);
