/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/restart/load.h - what the generators share: time, messages, the account of each
 * query. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PATIENCE_MS = 4000, /* a query without an answer after that is lost, or late */
	LATE_MS = 8000,     /* for the late ones, at the end */
	DNS_HEADER = 12,
	QUERY_MAX = 64,
	BEHIND_MS =
		20, /* what we could not send in time is skipped, not sent at once */
};

/* One program each; arguments behind its name. */
int authority_main(char **v);
int path_main(char **v);
int udp_main(char **v);
int tcp_main(char **v);

_Noreturn void load_die(const char *what);
int64_t load_now_us(void);
void load_raise_files(void);
struct sockaddr_in load_addr(const char *ip, const char *port);

/* "hN.lab. A" (hot: cached) or "cN.lab. A" (cold: asked once), with EDNS; the length. */
size_t load_write_query(
	uint8_t out[static QUERY_MAX], uint16_t id, bool cold, uint32_t n);

/* --- the account: one record a query, in the order of sending ------------------------ */

enum outcome {
	OUTCOME_LOST, /* until something better is known */
	OUTCOME_OK,
	OUTCOME_SERVFAIL,
	OUTCOME_REFUSED,
	OUTCOME_RCODE,
	OUTCOME_EMPTY,
	OUTCOME_RESET,
	OUTCOME_CLOSED,
	OUTCOME_NO_LISTENER,
	OUTCOME_UNSENT,
	OUTCOME_LATE, /* answered, but after PATIENCE_MS */
	OUTCOME_COUNT,
};

/* What a response of `len` bytes is, after its id was compared. */
enum outcome load_judge(const uint8_t *m, size_t len);

/* Starts the account, the clock and the reading of standard input. */
void account_start(double rate);
/* How many queries are due now; false when standard input has ended. */
bool account_due(uint64_t *due);
/* A new record; its number. `peer` is how the server sees the client. */
uint32_t account_open(bool cold, const struct sockaddr_in *peer);
void account_close(uint32_t number, enum outcome outcome);
/* All records to standard output, as JSON; `drops`: overflows of our own queues. */
void account_print(uint64_t drops);
