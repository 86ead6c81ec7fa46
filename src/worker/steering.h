/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/steering.h - which member of a group gets what comes, by libshard's BPF programs.
 *
 * Where they are not to be had everything works by the kernel's hash and connect-parking;
 * `shoal status` says which. */
#pragma once

#include <stdbool.h>

struct worker;
struct listener;
struct leaver;
struct addr;

/* What the supervisor passes on, else the pins. While still privileged: the pins may not be the user's. */
void steering_open(struct worker *w);
/* The listener's sockets take new flows from now on. */
void steering_join(struct worker *w, struct listener *l);
/* Its UDP socket is another one now. */
void steering_rejoin_udp(struct worker *w, struct listener *l);
/* Take no new flows. False: not by steering, or nobody else is there. */
bool steering_leave_udp(struct listener *l);
bool steering_leave_tcp(struct listener *l);
/* Is it the program that chooses among the members of this socket's group? */
bool steering_chooses(const struct listener *l);
/* A socket that is not served any more. */
void steering_drop(struct worker *w, int fd);
/* A stranger is in the group of its UDP or TCP socket, and may have replaced the program. */
void steering_against(struct worker *w, const struct listener *l, bool udp);
/* Others serve with programs of their own: ours stand in their way no more. */
void steering_yield(struct worker *w, bool yields);
bool steering_yields(const struct worker *w);
/* Every half second. */
void steering_tick(struct worker *w);
void steering_gauges(struct worker *w);
/* A query by UDP: heavy flows that are vouched for (no forgery, not over their rate) are spread over all instances. */
void steering_saw(struct worker *w, const struct addr *client, bool vouched);
void steering_close(struct worker *w);
