/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/heavy.h - which clients send much: what a server that uses libshard must know to
 * vouch for them. A table of counts that is wiped ten times a second. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	HEAVY_PLACES = 4096,
	HEAVY_WINDOW_US = 100000,
	HEAVY_LEAST = 50, /* in a window: 500 a second */
};

struct heavy {
	int64_t until_us;
	uint16_t counts[HEAVY_PLACES];
};

/* One more of this client. True: so many that it is heavy (once in a window). */
bool heavy_count(
	struct heavy *h, const struct sockaddr *client, socklen_t len, int64_t now_us);
