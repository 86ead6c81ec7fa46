/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/infra.h - what the host knows of servers: round-trip times, failures, oddities.
 *
 * Lies in a segment of its own beside the cache (shm/servers-v<layout>); lossy: a lost
 * entry means asking an unknown server. Writers of two instances may overwrite each
 * other's sample, never tear one. Penalties decay by themselves. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/random.h"
#include "wire/cookie.h"

enum infra_flag {
	/* answered FORMERR, NOTIMP or BADVERS to EDNS, and well without */
	INFRA_NO_EDNS = 1,
	/* changes the case of questions */
	INFRA_NO_0X20 = 2,
	/* wrong ids came: spoofing suspected; or UDP answers are fragmented */
	INFRA_WANTS_TCP = 4,
	INFRA_NO_TCP = 8,
	INFRA_NO_MINIMIZE = 16,
	/* answers badly, or not, when there is a cookie */
	INFRA_NO_COOKIE = 32,
};

struct infra_server {
	bool known; /* a round trip was measured */
	/* RFC 6298 smoothing; unknown servers: a default drawn around 300 ms */
	uint32_t srtt_us;
	uint32_t rttvar_us;
	uint16_t timeouts; /* in a row, since the last answer */
	uint16_t flags;    /* of enum infra_flag, those that have not run out */
	bool down; /* several timeouts in a row and its probe time has not come */
};

struct infra;

/* run_folder NULL: private memory (tests). NULL only for lack of memory. */
struct infra *infra_open(const char *run_folder, struct random *rnd);
void infra_close(struct infra *i);

void infra_get(struct infra *i, const struct addr *server, const struct now *now,
	struct infra_server *out);
void infra_answered(struct infra *i, const struct addr *server, uint32_t rtt_us,
	const struct now *now);
/* Back-off is bounded: at most 60 s until the next probe, whatever the history. */
void infra_timed_out(struct infra *i, const struct addr *server, const struct now *now);
void infra_set_flag(struct infra *i, const struct addr *server, enum infra_flag flag,
	const struct now *now, uint32_t for_s);
/* Lame or broken for one zone: REFUSED, upward referral, no authority. */
void infra_set_lame(struct infra *i, const struct addr *server, const uint8_t *zone,
	const struct now *now, uint32_t for_s);
bool infra_is_lame(struct infra *i, const struct addr *server, const uint8_t *zone,
	const struct now *now);
/* A family that fails everywhere (broken IPv6) is noticed from answers and timeouts of
 * many servers: true while the family (4 or 6) should not be tried first. */
bool infra_family_broken(struct infra *i, uint8_t family, const struct now *now);
/* Goes up with each change of the network. */
uint32_t infra_network(const struct infra *i);
/* The server's cookie for our client cookie: its length, 0 if none is known. */
size_t infra_cookie_get(struct infra *i, const struct addr *server,
	const uint8_t client[static COOKIE_CLIENT_LEN],
	uint8_t out[static COOKIE_SERVER_MAX_LEN]);
/* len 0: it has none any more. */
void infra_cookie_set(struct infra *i, const struct addr *server,
	const uint8_t client[static COOKIE_CLIENT_LEN], const uint8_t *cookie,
	size_t len, const struct now *now);
/* A change of the network (interface, route): all penalties are forgotten, round trips
 * stay. */
void infra_network_changed(struct infra *i);
/* Retransmission time for a server: srtt + the greater of 4 rttvar and srtt / 2, bounded
 * 50 ms..2 s (unknown: 400 ms..). */
int64_t infra_timeout_us(const struct infra_server *s);
