/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/tls/bench.h - a client for DNS over TCP, TLS and HTTPS, and bare servers to measure it
 * by. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum how { HOW_KEPT, HOW_NEW, HOW_RESUMED };
enum kind { KIND_TCP, KIND_DOT, KIND_DOH };

struct load {
	enum kind kind;
	enum how how;
	uint16_t port;
	unsigned conns, in_flight, seconds;
	const char *name; /* that is asked for */
};

/* Prints "ready", waits for a line, works, prints what was done. 0: no error. */
int load_run(const struct load *l);

/* On 127.0.0.1, for ever: sends back what comes. `close_first`: and closes, after one piece. */
int bare_run(uint16_t port, bool close_first);
