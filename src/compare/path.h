/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/path.h - a path with a delay inside one host, for handshakes that take time.
 *
 * A TUN device whose packets come back late, with source and destination exchanged (their
 * checksums stay right): who connects from PATH_NEAR to PATH_FAR + n arrives at PATH_NEAR,
 * as a client PATH_FAR + n. RFC 2544's addresses, in a network namespace of our own. */
#pragma once

#include <stdbool.h>

enum { PATH_NEAR = 0xc6120001 /* 198.18.0.1 */, PATH_FAR = 0xc6120101 };

struct crew;
/* The device, its address and the process that carries; each way takes `delay_us`. False:
 * not allowed here (errno). */
struct path {
	int fd;
	int delay_us;
};
bool path_open(struct path *p, int delay_us);
/* For crew_start(). */
void path_carry(struct crew *c, unsigned index, void *path);
