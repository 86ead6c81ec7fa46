/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/poison.h - questions that ended a process are refused host-wide for a while.
 *
 * The process says which question it works on; a handler of the signals that end processes by
 * their own fault (SIGSEGV, SIGABRT...) puts that one into a small shared table. A SIGKILL tells
 * nothing about the question: only what was under work in two deaths is suspect (the ring counts). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"

enum {
	POISON_MS = 10 * 60 * 1000,
	POISON_DEATHS = 2, /* of processes that were killed while they worked on it */
};

struct poison;

/* Never fails but for memory (NULL): without a file the table is this process's own. */
struct poison *poison_open(const char *run_folder, struct random *rnd);
void poison_close(struct poison *p);
/* From here on a crash of this process adds the question under work. One table a process. */
void poison_watch(struct poison *p);

struct poison_mark {
	const uint8_t *name; /* wire format; NULL: no question */
	uint16_t type, rclass;
};

/* "I work on this": the name must live until poison_end() of what this returns. */
struct poison_mark poison_begin(const uint8_t *name, uint16_t type, uint16_t rclass);
void poison_end(struct poison_mark before);

bool poison_has(const struct poison *p, const uint8_t *name, uint16_t type,
	uint16_t rclass, int64_t wall_ms);
void poison_add(struct poison *p, const uint8_t *name, uint16_t type, uint16_t rclass,
	int64_t wall_ms);
