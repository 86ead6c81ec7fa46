/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/policy.h - (query, conf) -> verdict; pure.
 *
 * Order as in that dialect: user rules, then view rules, then what is answered locally
 * (hints, special names); a chain action (FLAGS) goes on with the next rule. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "conf/conf.h"
#include "wire/msg.h"
#include "wire/rrset.h"

struct policy_query {
	const uint8_t *name; /* case as sent */
	uint16_t type, rclass;
	struct addr client; /* family 0: an internal query */
	struct addr server; /* our address, for view:addr with dst */
	bool tcp;
	bool as_is; /* no DNS64: the client said CD */
	/* Of a request over HTTP, for callbacks: each "name NUL value NUL"; may be NULL. */
	const char *fields;
	size_t fields_len;
};

enum policy_outcome {
	OUTCOME_RESOLVE, /* go on: cache, then upstream as `route` says */
	OUTCOME_ANSWER,  /* local: rcode, records, ede below */
	OUTCOME_REFUSE,  /* REFUSED with ede */
	OUTCOME_SERVFAIL,
	OUTCOME_SILENCE, /* no answer at all */
	OUTCOME_TRUNCATE,
	OUTCOME_CALL, /* the script decides: `callback`, rule index to go on after in `resume` */
};

enum route_kind { ROUTE_ITERATE, ROUTE_FORWARD, ROUTE_STUB };

struct route {
	enum route_kind kind;
	const struct addr *targets; /* FORWARD, STUB */
	size_t target_count;
	const struct conf_tls_peer *const *
		tls; /* as many: by which each is asked over TLS; NULL: in clear text */
	const uint8_t
		*zone;  /* the suffix that the rule covers; the root for policy.all */
	uint32_t flags; /* of enum conf_flag: what holds for this query */
	uint64_t
		domain; /* cache domain: instances with the same settings share, others never mix */
};

struct policy_record { /* one local RRset */
	enum msg_section section;
	struct rrset rr;
};

struct policy_verdict {
	enum policy_outcome outcome;
	struct route route;
	uint16_t rcode;
	bool aa;
	int ede;              /* -1 none */
	const char *ede_text; /* NULL none */
	struct policy_record records[8];
	size_t record_count;
	int callback;
	size_t resume;
};

/* Is this client served at all (local networks, net.allow, view rules that pass it)? */
bool policy_allows(const struct conf *conf, const struct addr *client);
/* The verdict; records are built in `arena`. Start with resume = 0; after an OUTCOME_CALL that passed, again with the
 * verdict's own `resume` and the same `out` (it carries the flags gathered so far). */
void policy_decide(const struct conf *conf, const struct policy_query *q,
	struct arena *arena, size_t resume, struct policy_verdict *out);
/* True when no rule, no local data and no special name touches this query, whoever asks: policy_decide would say
 * "resolve, in conf->domain". Lets the fast path skip it. */
bool policy_is_plain(
	const struct conf *conf, const uint8_t *name, uint16_t type, uint16_t rclass);
/* Where a name met on the way (CNAME target, name server) is resolved: forward and stub rules by suffix apply to it,
 * answering rules do not ("not on CNAME targets"). */
void policy_route(const struct conf *conf, const uint8_t *name, struct route *out);
/* One rule alone, as a callback gave it. False: it does not match, or it chains (flags are in `out` then). `out` comes from
 * policy_decide. */
bool policy_apply(const struct conf *conf, const struct policy_rule *rule,
	const struct policy_query *q, struct arena *arena, struct policy_verdict *out);
