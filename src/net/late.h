/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/late.h - sockets of questions that timed out, open a while longer.
 *
 * A server slower than was thought still answers: by its late answer its round trip is
 * learned, and a repeat of the same question goes out by the same socket, so that the
 * answer to any try fits. And no fresh question gets the port to which a late answer
 * comes, where it would look like a guess of its id. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counters.h"
#include "base/random.h"
#include "loop/loop.h"

/* What makes an answer that question's: its id and the question, to the letter. */
struct late_mark {
	uint64_t hash;
	uint16_t len; /* of the question; 0: nothing that can be known again */
};

/* The right answer of a server came, so long after the question was sent (last). */
typedef void late_fn(void *ctx, const struct addr *server, int64_t rtt_us);

struct late;

struct late *late_new(struct loop *l, struct random *rnd, struct counters *counters,
	late_fn *fn, void *ctx);
void late_free(struct late *l);
void late_mark(
	const struct late *l, const uint8_t *msg, size_t len, struct late_mark *out);
/* Is this message the answer to that question? */
bool late_fits(const struct late *l, const struct late_mark *mark, const uint8_t *msg,
	size_t len);
/* Takes fd, which is connected to the server and not watched. */
void late_keep(struct late *l, int fd, const struct addr *server,
	const struct late_mark *mark, int64_t sent_us);
/* The socket by which the same was asked, for a repeat; or -1. */
int late_take(struct late *l, const struct addr *server, const struct late_mark *mark);
/* Descriptors run short: gives one back. False: there is none. */
bool late_shed(struct late *l);
size_t late_count(const struct late *l);
