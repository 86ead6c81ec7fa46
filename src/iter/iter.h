/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/iter.h - one resolution as a state machine without I/O.
 *
 * iter_step(it, event, now, wish) takes what happened and says what it wants next: ask
 * a server, wait on, be called again at once, or that the answer is ready. Clocks,
 * random numbers and the cache are handed in, so a scripted scenario is a unit test. At
 * most one question is outstanding at a time per resolution. One budget for all that
 * the client's query causes, never reset. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/random.h"
#include "cache/cache.h"
#include "cache/fetch.h"
#include "cache/infra.h"
#include "conf/conf.h"
#include "policy/policy.h"
#include "wire/msg.h"
#include "wire/rrset.h"

struct iter;
struct anchor_set;
struct pages;
struct verifier;

struct iter_env { /* all outlive the resolution */
	const struct conf *conf;
	struct cache *cache;
	struct infra *infra;
	struct random *random;
	struct counters *counters;
	/* sealed; NULL: nothing is validated. A resolution holds the one that it began
	 * with. */
	struct anchor_set *anchors;
	struct verifier *verifier; /* NULL: nothing is validated, all is insecure */
	const struct hash_key
		*cookie_key; /* changes by the day; NULL: servers get no cookies */
	struct pages *pages; /* NULL: no denial answers for another name */
};

struct iter_query {
	const uint8_t *name; /* copied; any case */
	uint16_t type;
	uint16_t rclass;
	bool checking_disabled; /* CD */
	bool as_is;    /* the client wants it as it lies in the DNS: no DNS64 */
	bool no_cache; /* do not answer from the cache (priming) */
	bool refresh;  /* what nears its end in the cache counts as expired */
	/* RFC 8767: the cache alone, expired data too; nothing is asked. Fails with
	 * SERVFAIL where it has none. */
	bool stale;
	struct route route; /* from policy; targets and zone outlive the resolution */
};

enum iter_event_kind {
	ITER_START,
	ITER_MESSAGE, /* bytes from the asked server, any content; or, `shared`, what
			 another resolution accepted for the same fetch */
	ITER_TIMEOUT, /* the ask is over; `shared`: only the waiting for another's fetch
			 is */
	ITER_UNREACHABLE, /* could not be sent: a local failure */
	ITER_UNTRUSTED,   /* TLS: it is not who it should be */
	ITER_CLOSED,      /* TCP refused, reset or closed without an answer */
	ITER_CONTINUE,    /* after ITER_AGAIN */
};

struct iter_event {
	enum iter_event_kind kind;
	bool shared;
	const uint8_t *msg;
	size_t len;
	int64_t rtt_us;   /* ITER_MESSAGE, not shared: since it was sent */
	int64_t first_us; /* since the same message was sent first */
};

enum iter_want {
	ITER_WAIT, /* nothing new: the question outstanding goes on (the message did not
		      fit it) */
	ITER_ASK,  /* wish->ask; any question outstanding before is over */
	ITER_AGAIN, /* call with ITER_CONTINUE in a later turn: let others have theirs
		     */
	ITER_DONE,  /* iter_answer() */
};

struct iter_ask {
	struct addr server;
	bool tcp;
	const struct conf_tls_peer *tls; /* over TLS to this one; NULL: in clear text */
	const uint8_t *msg;              /* lives until the next step */
	size_t len;
	int64_t timeout_us;
	bool again; /* the same message to the same server as the last one, which timed
			  out */
	bool joinable; /* may be joined with an equal fetch under way, by key */
	struct fetch_key key;
};

struct iter_wish {
	enum iter_want want;
	bool accepted; /* the event's message was the answer to its question: publish it
			  to those who joined, once it is judged */
	unsigned reply; /* accepted: its number, for iter_is_judging() */
	struct iter_ask ask;
};

struct iter_record {
	enum msg_section section;
	struct rrset rr; /* with its signatures; ttl = seconds left */
};

struct iter_answer {
	uint16_t rcode;
	int ede;                  /* -1 none */
	int ede_origin;           /* the error behind a cached one, else -1 */
	const char *ede_text;     /* NULL none; printable ASCII */
	enum cache_status status; /* the least of all records */
	const struct iter_record *records;
	size_t record_count;
	/* for keeping it as a finished answer */
	bool cacheable;      /* false: failures, TTL 0, stale */
	bool bogus;          /* SERVFAIL because of DNSSEC */
	bool stale;          /* with expired data: TTL 30 */
	uint32_t ttl;        /* of the whole: the smallest */
	const uint8_t *deps; /* names that it hangs on besides the question: wire names
				one behind the other */
	uint16_t deps_len;
	bool made;        /* of a wildcard: perhaps nobody asked this name before */
	bool from_cache;  /* no upstream packet was sent */
	bool due;         /* some of what came from the cache nears its end */
	unsigned packets; /* upstream packets sent */
};

/* NULL when out of memory. */
struct iter *iter_new(
	const struct iter_env *env, const struct iter_query *q, const struct now *now);
void iter_free(struct iter *it);
void iter_step(struct iter *it, const struct iter_event *ev, const struct now *now,
	struct iter_wish *wish);
/* After ITER_DONE; lives as long as `it`. Records for a client with DO; without DO the
 * caller leaves out signatures and the denial types. */
const struct iter_answer *iter_answer(const struct iter *it);
/* Is the reply that was accepted with this number still being validated? Afterwards what
 * is genuine of it lies in the cache, and nobody needs to check it again. */
bool iter_is_judging(const struct iter *it, unsigned reply);
/* The start: clear generation for what is stored of it. */
uint64_t iter_generation(const struct iter *it);
/* A line for people of where it stands (log, explain). */
const char *iter_where(const struct iter *it, char buf[static 512]);
