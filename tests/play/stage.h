/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stage.h - the program's own way from a client's message to its answer, in this process:
 * server, policy, resolutions, cache and validation are the real ones. Network and clock
 * are not: an answer takes a millisecond, silence as long as it was waited for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counters.h"
#include "play.h"

struct stage;

/* May change a server's reply, `len` of `cap` bytes; returns its new length, 0: it is
 * lost. */
typedef size_t stage_meddle_fn(
	void *ctx, const struct play *p, uint8_t *msg, size_t len, size_t cap);

struct stage_conf {
	const struct play *play;
	uint64_t seed; /* of all random numbers */
	stage_meddle_fn *meddle;
	void *meddle_ctx;
	bool trace; /* the questions to servers, on stderr */
};

/* Aborts where it cannot be set up: a scenario's configuration is known to be fine. */
struct stage *stage_new(const struct stage_conf *conf);
void stage_free(struct stage *s);
/* Now it is this step. */
void stage_at(struct stage *s, unsigned step);
void stage_pass(struct stage *s, int64_t ms);

struct stage_answer {
	const uint8_t *msg; /* NULL: none came */
	size_t len;
	unsigned asked; /* questions to servers */
	int64_t took_ms;
};
struct stage_answer stage_query(
	struct stage *s, const uint8_t *msg, size_t len, bool tcp, int64_t patience_ms);

/* The first question that no entry answers; NULL: there was none. */
const char *stage_unscripted(const struct stage *s);
const struct counters *stage_counters(const struct stage *s);
