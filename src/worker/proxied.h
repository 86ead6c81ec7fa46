/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/proxied.h - whose PROXY headers are believed (net.proxy_allowed), and who the
 * client of a datagram is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addr;
struct client;
struct worker;

bool proxied_allows(const struct worker *w, const struct addr *peer);
/* In the log, once a minute: a header that was not taken, and whose. */
void proxied_tell_refused(struct worker *w, const struct addr *peer, bool malformed);
/* Any bytes: a header in front is taken off, and client->from and ->to become what it says.
 * False: it is malformed, or from who may send none; counted. */
bool proxied_take(
	struct worker *w, struct client *client, const uint8_t **data, size_t *len);
