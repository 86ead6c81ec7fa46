/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/rate.h - what one client may take, counted for the whole host: queries a second over UDP
 * (net.rate_limit), connections.
 *
 * A client is an IPv4 address or an IPv6 /56. Its address may be forged, and then it is
 * the victim of answers: so what is over the limit is dropped, but one query in
 * net.rate_limit_slip gets an empty answer with TC, and who is real comes by TCP. */
#pragma once

#include <stdbool.h>

struct addr;
struct worker;

enum rate_verdict { RATE_SERVE, RATE_DROP, RATE_TRUNCATE };

/* False: no memory. */
bool rate_open(struct worker *w);
/* Once a second. True: the connections that this instance has are to be counted again. */
bool rate_tick(struct worker *w);
void rate_close(struct worker *w);
enum rate_verdict rate_judge(struct worker *w, const struct addr *client);
