/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/server.h - a client's message in, its answer out: now, later, or never. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/worker.h"

enum server_outcome {
	SERVER_ANSWER, /* written to the slot */
	SERVER_LATER,  /* the resolution will answer by server_deliver() */
	SERVER_SILENT, /* none */
};

/* `pkt`: any bytes; `cut`: there was more of it. slot->cap at least 4096. */
enum server_outcome server_query(struct worker *w, const struct client *client,
	const uint8_t *pkt, size_t len, bool cut, struct reply_slot *slot);

/* A resolution has ended: resolve_env.answer, ctx is the worker. */
void server_deliver(
	void *ctx, struct waiter *waiter, const struct resolve_result *result);
