/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/upstream.h - ask servers: a connected UDP socket with a random port for each question, TCP, or a
 * line to one server: long-lived TLS connections that many questions share.
 *
 * A socket that brought the one answer to its question, and nothing else, is kept for the next question to the same
 * server (net/port.h: why its port is as hard to guess). Ports are drawn by us from the whole range 1024..65535 by the CSPRNG (the same for every instance) and fall
 * back to the kernel's choice. Fragments: IP_PMTUDISC_OMIT, and answers that came in fragments are not accepted
 * where the kernel tells (IP_RECVFRAGSIZE). ICMP errors do not end the wait. Whether an answer fits is the asker's judgement:
 * each datagram from the asked address is handed over, and the wait goes on until cancelled or timed out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counters.h"
#include "base/random.h"
#include "loop/loop.h"
#include "net/late.h"

enum ask_event {
	ASK_MESSAGE, /* a datagram, or one whole message over TCP; the ask stays open */
	ASK_TIMEOUT, /* the ask is over; the same message asked again now goes out by the same socket, to which a late answer still comes */
	ASK_UNREACHABLE, /* could not be sent: no route, family, descriptors; the ask is over: a local failure */
	ASK_UNTRUSTED, /* TLS: the server is not the one that it should be; the ask is over */
	ASK_CLOSED, /* TCP or TLS refused, reset or closed without an answer; the ask is over */
};

struct ask;
typedef void ask_fn(
	void *ctx, struct ask *a, enum ask_event what, const uint8_t *msg, size_t len);

struct upstream_conf {
	struct addr outgoing_v4, outgoing_v6; /* family 0: any */
	size_t max_asks;                      /* LIMIT_ASKS */
	late_fn *
		late; /* a server answered after the time-out, and nobody waits any more */
	void *late_ctx;
};

struct upstream;

struct upstream *upstream_new(struct loop *l, const struct upstream_conf *conf,
	struct random *rnd, struct counters *counters);
void upstream_free(struct upstream *u);
/* `msg` is copied or sent at once. NULL: table full (nothing is called). The callback never runs from in here. */
struct ask *upstream_ask(struct upstream *u, const struct addr *server, bool tcp,
	const uint8_t *msg, size_t len, int64_t timeout_us, ask_fn *fn, void *ctx);

struct tls_peer;
struct upstream_line;

/* To ask this server over TLS (RFC 7858) and never otherwise; lives as long as `u`, `peer` longer.
 * NULL: out of memory. */
struct upstream_line *upstream_line_new(
	struct upstream *u, const struct addr *server, struct tls_peer *peer);
/* Like upstream_ask(). The message gets an id of the line's choice on its way. */
struct ask *upstream_ask_line(struct upstream_line *line, const uint8_t *msg,
	size_t len, int64_t timeout_us, ask_fn *fn, void *ctx);

/* Over: the callback is not called any more. Fine inside the callback, also that of the last event; not later.
 * A TCP connection that has answered in full is kept for two seconds for the next question to that server. */
void upstream_cancel(struct upstream *u, struct ask *a);
/* Addresses or routes are others: sockets that were kept for the next question are closed. */
void upstream_network_changed(struct upstream *u);
size_t upstream_in_flight(const struct upstream *u);
