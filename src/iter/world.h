/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/world.h - for tests: a small internet in memory, and a client that asks in it.
 *
 * Zones are text; servers answer from the zones that stand at their address, and may
 * misbehave. Time is the world's own: an answer takes 10 ms, a timeout as long as it
 * was asked for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnssec/anchor.h"
#include "dnssec/verify.h"
#include "iter/iter.h"

enum manner { /* of a server; several may be set */
	MANNER_SILENT = 1 << 0,
	MANNER_SERVFAIL = 1 << 1,
	MANNER_REFUSED = 1 << 2,
	MANNER_UPWARD = 1 << 3,      /* refers to the root: lame */
	MANNER_TC = 1 << 4,          /* truncates over UDP */
	MANNER_TC_GARBLED = 1 << 5,  /* refuses TCP */
	MANNER_WRONG_ID = 1 << 6,    /* a wrong id first, over UDP nothing else */
	MANNER_SPOOF_FIRST = 1 << 7, /* a wrong id first, then the right answer */
	MANNER_LOWER_CASE = 1 << 8,
	MANNER_GARBAGE = 1 << 9,      /* half a message first, then the right one */
	MANNER_NO_EDNS = 1 << 10,     /* FORMERR to EDNS */
	MANNER_DENIES_ENT = 1 << 11,  /* NXDOMAIN for empty non-terminals */
	MANNER_REFUSES_NS = 1 << 12,  /* REFUSED to type NS below the apex */
	MANNER_RECURSIVE = 1 << 13,   /* RA, never AA */
	MANNER_POISON = 1 << 14,      /* adds records of victim.test. to everything */
	MANNER_UNREACHABLE = 1 << 15, /* cannot be sent to from here */
	MANNER_CD_ONLY = 1 << 16,     /* SERVFAIL without CD */
	MANNER_DEAF_NS = 1 << 17,     /* silent to type NS */
	MANNER_GLUE_LATE = 1 << 18,   /* glue for questions of type A only */
	MANNER_STRIPS = 1 << 19,      /* no DNSSEC records in any answer */
	MANNER_NO_PROOF = 1 << 20,    /* no NSEC in any answer */
	MANNER_WRONG_IDS = 1 << 21,   /* three wrong ids, over UDP nothing else */
	MANNER_LATE = 1 << 22,        /* its answer takes 300 ms */
	MANNER_SPOOFED = 1 << 23,     /* over UDP as MANNER_STRIPS */
	MANNER_NAME_ERROR = 1 << 24,  /* RCODE NXDOMAIN whatever it answers */
	MANNER_REFERS_DS = 1 << 25,   /* answers a DS question with the delegation;
					 with MANNER_SPOOFED over UDP only */
	MANNER_DENIES_NS =
		1 << 26, /* NODATA to type NS below the apex, without proof */
	MANNER_NO_PROOF_BEHIND = 1 << 27, /* no NSEC where an alias comes first */
};

/* How a zone is signed. */
enum sign {
	SIGN_WELL = 0,
	SIGN_EXPIRED = 1 << 0,
	SIGN_EARLY = 1 << 1,      /* not yet valid */
	SIGN_WRONG = 1 << 2,      /* a bit of each signature is flipped */
	SIGN_NO_KEY = 1 << 3,     /* no DNSKEY RRset */
	SIGN_NOTHING = 1 << 4,    /* the keys alone */
	SIGN_SECOND_KEY = 1 << 5, /* all but the keys by another key than the DS's */
	SIGN_NEW_KEY =
		1 << 6,      /* that other key alone: a parent signed later names it */
	SIGN_NSEC3 = 1 << 7, /* all of them come with every denial */
	SIGN_OPT_OUT = 1 << 8, /* NSEC3, none for unsigned delegations */
};

struct world_result {
	enum cache_status status;
	bool bogus;
	uint16_t rcode;
	int ede;
	int ede_origin;
	bool from_cache, cacheable, due;
	unsigned packets;
	bool stale;
	uint32_t ttl;
	int64_t took_ms;
	char text[4096]; /* answer records, sorted as given: "name TYPE rdata\n"; then
			    "-- " and the authority's */
};

struct world {
	struct now now;
	struct random random;
	struct counters counters;
	struct conf *conf;
	struct cache *cache;
	struct infra *infra;
	struct pages *pages; /* NULL: no denial answers for another name */
	char folder[64];
	struct world_zone *zones;
	struct world_server *servers;
	unsigned zone_count, server_count;
	char log[65536]; /* "IP [tcp ]name TYPE\n" of each question since the last
			    world_forget_log */
	size_t log_len;
	bool join_in_vain;    /* the first joinable question is answered by a shared
				timeout */
	bool join_published;  /* each joinable question is answered as if another had
				asked */
	uint32_t flags;       /* of the client's route */
	bool cd;              /* clients ask with CD */
	const char *insecure; /* a negative anchor, for world_trust */
	struct verifier verifier;
	struct anchor_set *anchors; /* NULL: nothing is validated */
	unsigned agains;
	const char *meanwhile; /* A is asked for this name too, by another resolution,
				  once the next one lets others have their turn */
	int64_t late_us; /* when the answer of MANNER_LATE to the message sent last comes */
};

/* Root hints: 192.0.2.1, a.root. The root zone is the test's to make. */
struct world *world_new(void);
void world_free(struct world *w);
/* `at`: addresses with blanks between. `text`: a line "owner TTL TYPE rdata" each,
 * names absolute. A zone without SOA line gets one of TTL 300, minimum 60. */
void world_zone(struct world *w, const char *origin, const char *at, const char *text);
/* Children before parents: a delegation of a signed zone gets its DS. */
void world_sign(struct world *w, const char *origin, unsigned how);
void world_unsign(struct world *w, const char *origin);
/* Its key is a trust anchor, the only one. */
void world_trust(struct world *w, const char *origin);
void world_manner(struct world *w, const char *ip, unsigned manner);
/* Servers and glue alike. */
void world_move(struct world *w, const char *from, const char *to);
void world_sleep(struct world *w, int64_t ms);
/* What is below `suffix` goes to `ip`: the only rule there is. */
void world_forward(
	struct world *w, const char *suffix, const char *ip, enum policy_action action);
struct world_result world_ask(struct world *w, const char *name, uint16_t type);
/* With CD, no_cache and the route as given. */
struct world_result world_resolve(
	struct world *w, const char *name, uint16_t type, bool no_cache);
/* What near its end in the cache is asked for anew. */
struct world_result world_refresh(struct world *w, const char *name, uint16_t type);
/* The cache alone, expired data too. */
struct world_result world_stale(struct world *w, const char *name, uint16_t type);
/* A server's answer to a question, as it would send it; 0: none. */
size_t world_reply(
	struct world *w, const struct iter_ask *ask, uint8_t *out, size_t cap);
/* How many logged questions contain this text? */
unsigned world_asked(const struct world *w, const char *text);
void world_forget_log(struct world *w);
/* How many cache entries have a name at or below this one? */
unsigned world_cached_below(struct world *w, const char *name);
