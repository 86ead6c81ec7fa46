/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/rfc5011.h - the keys of a zone that follow its rollovers by themselves: a
 * state for each key, and what a DNSKEY answer changes in it.
 *
 * Pure: the answer, the time and the limits are handed in; a trust point can be copied
 * and compared as bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "dnssec/verify.h"
#include "wire/name.h"

enum key_state { /* RFC 5011 section 4.2; its Start is "not in the table" */
	KEY_ADD_PEND,
	KEY_VALID,
	KEY_MISSING, /* trusted as before: an absent key is not a revoked one */
	KEY_REVOKED,
	KEY_REMOVED,
	KEY_STATE_COUNT,
	KEY_NONE = KEY_STATE_COUNT,
};
const char *key_state_name(enum key_state state);
enum key_state key_state_find(const char *name, size_t len); /* KEY_NONE: no such */
static inline bool key_state_trusted(enum key_state state)
{
	return state == KEY_VALID || state == KEY_MISSING;
}

struct tracked_key {
	int64_t due_s; /* ADD_PEND: trusted from then; REVOKED: removed then */
	enum key_state state;
	uint16_t type; /* DNSKEY; DS until its key is seen */
	uint16_t tag;
	uint16_t len;
	uint8_t rdata[LIMIT_TRACKED_KEY_BYTES];
};

/* A key that was revoked and left the table: RDATA of a DS. */
struct revoked_key {
	uint16_t len;
	uint8_t ds[4 + DIGEST_LEN_MAX];
};

struct trust_point {
	uint8_t owner[NAME_MAX_LEN]; /* lower case */
	int64_t next_s; /* when the zone is to be asked again; 0: unknown */
	unsigned count;
	struct tracked_key key[LIMIT_TRACKED_KEYS];
	unsigned revoked_count;
	struct revoked_key revoked[LIMIT_REVOKED_KEYS]; /* the oldest first */
};

/* False: full, too long, not DS or DNSKEY, malformed, or no key that may be one. The
 * tag is made. */
bool trust_point_add(struct trust_point *tp, uint16_t type, const uint8_t *rdata,
	size_t len, enum key_state state, int64_t due_s);
/* This key is never new again. How many older ones had to go for it; malformed ones do
 * not count. */
unsigned trust_point_revoke(struct trust_point *tp, const uint8_t *ds, size_t len);
unsigned trust_point_trusted(const struct trust_point *tp); /* how many keys are */
bool trust_point_trusts(const struct trust_point *tp, uint16_t tag);

struct rfc5011_conf {
	int64_t hold_down_s; /* 30 days */
	int64_t refresh_s;   /* 0: by section 2.3 */
	unsigned keep_removed;
};

struct key_event { /* for the log */
	uint16_t tag;
	enum key_state from, to;
};

struct rfc5011_result {
	bool trusted; /* a trusted key signed the set; else nothing but revocations count
		       */
	int ede;      /* not trusted: why */
	bool changed;     /* of the trust point, more than next_s */
	unsigned refused; /* keys for which no room was left, or which cannot be checked
			     here */
	unsigned forgotten; /* revoked keys that are not remembered any more */
	unsigned event_count;
	struct key_event events[LIMIT_TRACKED_KEYS * 2];
};

/* A DNSKEY RRset of the owner with its signatures, from anybody. Sets next_s. */
struct rfc5011_result rfc5011_update(struct trust_point *tp, struct verifier *verifier,
	const struct rrset *rr, const struct rfc5011_conf *conf, int64_t now_s);
/* Nobody answered, or not usefully: when to ask again. */
void rfc5011_failed(
	struct trust_point *tp, const struct rfc5011_conf *conf, int64_t now_s);
