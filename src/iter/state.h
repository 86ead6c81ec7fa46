/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/state.h - what one resolution knows: shared by the files of this folder, seen by
 * nobody else.
 *
 * A frame is one question being resolved: frame 0 is the client's, those above it are
 * what the frame beneath waits for: a name server's address, a zone's keys, a DS. Each frame has a state, and
 * iter.c has a table that gives each state its step. A step changes the frame and says
 * STEP_ON, or fills the wish and says STEP_WISH. Frames borrow from the resolution's
 * arena; `scratch` holds the reply being judged and is reset with the next one. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/log.h"
#include "cache/bundle.h"
#include "dnssec/anchor.h"
#include "dnssec/verify.h"
#include "iter/iter.h"
#include "iter/reply.h"
#include "wire/codes.h"
#include "wire/name.h"

/* X(state, step, what it does in words) */
#define ITER_STATES(X)                                                                 \
	X(LOOKUP, start_lookup, "looking into the cache")                              \
	X(CUT, cut_find, "finding the zone cut")                                       \
	X(SELECT, select_server, "choosing a server")                                  \
	X(ADDRESS, nsaddr_take, "waiting for a name server's address")                 \
	X(ASK, ask_send, "asking")                                                     \
	X(WAIT, receive_event, "waiting for a server")                                 \
	X(VALIDATE, validate_run, "validating")                                        \
	X(REFERRAL, cut_referral, "following a referral")                              \
	X(ANSWER, chain_take, "taking an answer")                                      \
	X(NEGATIVE, negative_take, "taking a negative answer")                         \
	X(STUCK, cut_stuck, "out of servers")                                          \
	X(DONE, iter_frame_done, "done")

enum iter_state {
#define X(state, step, words) STATE_##state,
	ITER_STATES(X)
#undef X
		STATE_COUNT
};

enum step { STEP_ON, STEP_WISH };

enum {
	SERVERS_PER_CUT = 64,
	MINIMISE_TIMEOUTS = 2,    /* some servers are silent to NS questions */
	MINIMISE_MAX = 10,        /* RFC 9156 section 2.3: MAX_MINIMISE_COUNT */
	NEGATIVE_TTL_MAX = 10800, /* RFC 2308 section 5: one to three hours */
	NEGATIVE_TTL_NO_SOA = 5,  /* no SOA says how long: only dampen */
	FAILURE_TTL = 5,          /* RFC 9520 section 3.2; doubled while it goes on */
	FAILURE_TTL_MAX = 300,    /* the same section */
	STALE_TTL = 30,           /* of stale records: RFC 8767 section 4 */
	STALE_RECHECK_S = 30,     /* no new try after a stale answer: section 5 */
	STALE_MAX_S = 86400,      /* after their end: one to three days, section 5 */
	TURNS_PER_STEP = 64,      /* then others have their turn: ITER_AGAIN */
	WORK_PER_STEP = 1,        /* see iter_may_work(): 0.65 ms each at most */
	BLOCKS_AT_ONCE = 64,      /* of SHA-1, without asking for it: 5 us */
	ANCESTORS_READ = 24,      /* for RFC 8020 and DNAME; of a zone that denies */
	LAME_S = 600,
	FLAG_S = 3600,     /* oddities of a server are tried again after this */
	SPOOF_S = 60,      /* TCP after several near misses */
	SPOOF_MISSES = 3,  /* of one question: a single one may be a late answer to
			      another, on the same port by chance */
	KEYS_FRESH_S = 5,  /* so long keys are not fetched anew */
	RECORDS_MAX = 128, /* RRsets of one answer */
};

/* AAAA and, for DNS64, A: stale data is looked for in one step (worker/stale.c). */
static_assert(TURNS_PER_STEP >= 2 * (LIMIT_CHAIN + 2),
	"the longest chain of aliases out of the cache is one step");

struct server {
	struct addr addr;
	const struct conf_tls_peer *tls; /* asked over TLS, never otherwise */
	struct infra_server infra;       /* as read when it was first looked at */
	uint8_t ns;                      /* index of its name */
	uint8_t tries, timeouts;         /* for the present question */
	bool looked;                     /* infra is filled */
	bool lame;                       /* known not to serve this zone: last choice */
	bool failed;                     /* answered badly: no more */
	bool tcp;                        /* next by TCP */
	bool truncated;                  /* a reply was: there is no way around TCP */
	bool no_tcp;                     /* it does not serve TCP, as far as we know */
	bool plain;                      /* without EDNS */
	bool same_case;                  /* without 0x20 */
	bool no_cookie;                  /* without one */
	bool cookie_seen;                /* its own is known: it answers with ours */
	uint8_t bad_cookies;             /* BADCOOKIE for the present question */
	bool case_seen;                  /* a reply in the wrong case came */
	uint8_t misses;                  /* replies with a wrong id, or malformed */
	int64_t first_us; /* when it was asked the present question first */
	bool shy;         /* failed a minimised question */
	bool wants_cd;    /* forwarder: SERVFAIL without CD */
	bool doubted;     /* its reply by UDP was bogus: perhaps not its own */
	bool asked_again; /* because of that */
};

struct ns {
	const uint8_t *name;
	bool has_address;
	bool asked[2]; /* A, AAAA looked up */
};

struct cut {
	const uint8_t *zone;
	struct ns *ns;
	struct server *servers;
	unsigned ns_count, server_count, server_room;
	unsigned lookups;     /* names without address that were looked up */
	int64_t expire_s;     /* of the parent's NS RRset; INT64_MAX for hints and
			     forwarders */
	int64_t stored_s;     /* from the cache: since when it is there */
	struct cut *rests_on; /* the cached one that led here, or itself; NULL: hints */
	bool fresh;           /* from a referral of this resolution */
	bool glue_tried; /* the parents' word on its servers' addresses was taken */
	bool forward;    /* not a cut: the targets of a rule */
};

/* What the frame's question is for. */
enum purpose { FOR_CLIENT, FOR_ADDRESS, FOR_TRUST };

/* Is what comes validated? */
enum guard {
	GUARD_CHECK,
	GUARD_OPEN, /* no: nothing says that it is signed, all is insecure */
	GUARD_OFF,  /* no: CD, or addresses of servers, of which any may lie anyway */
};

/* A zone, as far as this resolution knows. */
enum zone_state {
	ZONE_UNKNOWN,
	ZONE_SECURE,   /* signed: `ds` says with which keys */
	ZONE_INSECURE, /* proven to be unsigned, or signed as nobody here can check */
	ZONE_NONE,     /* proven: no zone begins at this name */
	ZONE_BOGUS,    /* no chain of trust comes to it, or it could not be had */
};

struct zone {
	struct zone *next;
	const uint8_t *name;
	enum zone_state state;
	int ede;         /* why INSECURE or BOGUS */
	bool silent;     /* BOGUS: only because nobody answers */
	bool from_above; /* its DS is asked for by the way to its parent, not to itself */
	bool renewable; /* the keys lay in the cache, and not only since just now */
	int64_t ds_stored_s; /* of a DS of the cache, 0: it is new */
	struct rrset ds;
	const struct keyset *keys; /* NULL: not fetched yet */
};

/* How far the validation of the reply is. */
struct check {
	bool begun;
	bool running; /* `verify` is at work on RRset `at` */
	size_t at;
	unsigned labels; /* of the name up to which cuts were looked for */
	int ede;         /* what is wrong */
	bool silent;     /* only that nobody answers */
	bool final;      /* whichever server says it */
	enum iter_state then;
	struct verify verify;
	struct keyset *keys; /* of a DNSKEY RRset that is to be proved */
};

struct frame {
	enum iter_state state;
	enum purpose purpose;
	const uint8_t *asked; /* as the frame began */
	uint64_t asked_domain;
	const uint8_t *name; /* now, after aliases */
	uint16_t type;
	bool no_cache;
	bool looped; /* something was left out because a frame beneath waits for it */
	struct route route;
	unsigned chain;

	struct iter_record *records;
	size_t count;

	struct cut *cut;
	unsigned cut_labels;  /* look for a cut of at most this many labels */
	struct cut *given_up; /* before the delegation was fetched anew */
	unsigned climbs;      /* how often */

	const struct cut *counted; /* aggressive_may_ask was asked for it */

	unsigned min_labels; /* labels that the next minimised question has at least */
	unsigned min_count;
	unsigned min_timeouts;
	bool min_off;
	bool min_never;
	bool uncounted; /* aggressive_may_ask let it pass: the zone had no quota yet */

	/* the question outstanding, or being judged */
	struct server *server;
	const uint8_t
		*ask_name; /* lower case as far as minimised; sent in `sent_name` */
	uint16_t ask_type;
	uint16_t sent_type; /* of the message that went out last */
	bool minimised;
	bool alone;  /* another's fetch was waited for in vain */
	bool shared; /* the reply came by another's fetch */
	bool check_case;
	bool tcp;
	uint16_t id;

	/* the address that the frame above is to find */
	unsigned want_ns;
	uint16_t want_type;

	/* validation */
	enum guard guard;
	struct check check;
	struct reply held; /* the reply under judgement, while a frame above asks */
	struct arena *held_arena;
	enum cache_status status; /* the least of the records */
	int note;                 /* why it is insecure, EDE_NONE */
	bool unsigned_cut;        /* DS is denied: there is a delegation, or may be */
	unsigned bogus_tries;
	unsigned accepted; /* number of the reply that was taken last */
	int bogus_ede;     /* of the first bogus reply */
	bool bogus;        /* failed because of that */

	uint16_t rcode;
	int ede;
	bool failed;
};

struct iter {
	struct iter_env env;
	struct iter_query q;
	struct arena *arena;
	struct arena *scratch;
	struct now now;
	int64_t begin_us;
	uint64_t generation;
	uint32_t epoch;

	/* the budget: all frames share it */
	unsigned packets;
	unsigned timeouts;
	unsigned steps;
	uint64_t bytes;
	unsigned replies; /* accepted */
	struct dnssec_work work;
	unsigned slice; /* of iter_may_work() in this step */

	unsigned asks;          /* with those joined */
	unsigned local_trouble; /* asks that never left */
	unsigned other_trouble; /* servers that failed */
	bool error_seen;        /* a server answered, badly */
	bool due;               /* what the cache gave frame 0 nears its end */
	bool no_route[2];       /* IPv4, IPv6: could not be sent */

	struct zone *zones;
	struct frame *frames[LIMIT_FRAMES + 1];
	unsigned depth;
	bool over;

	const struct iter_event *event; /* NULL once used */
	struct iter_wish *wish;
	struct reply reply;

	/* the AAAA answer that had nothing, while A is looked for */
	struct {
		bool begun;
		bool excluded; /* it had AAAA, all of them excluded */
		uint32_t ttl;
		struct iter_record *records;
		size_t count;
		enum cache_status status;
		int note;
	} dns64;

	bool stale; /* something expired was taken */
	bool made;  /* something was made of a wildcard that lay in the cache */
	int ede_origin;
	struct iter_answer answer;
	char ede_text[160];
	uint8_t sent_name[NAME_MAX_LEN];
	bool cookie_sent; /* in `msg` */
	uint8_t cookie[COOKIE_CLIENT_LEN];
	uint8_t msg[512];
	size_t msg_len;
	/* who was sent `msg` over UDP and let it time out, nothing else being asked since;
	 * or NULL */
	const struct server *late;
};

/* --- cookies.c ---------------------------------------------------------------- */
/* The option's content for the next question to `s`; its length, 0: none. */
size_t cookies_write(
	struct iter *it, struct server *s, uint8_t out[static COOKIE_MAX_LEN]);
/* Would the next question have a cookie as the last one had? */
bool cookies_same(const struct iter *it, const struct server *s);
/* May the reply be the server's? Else it is as if it had not come. */
bool cookies_fit(struct iter *it, const struct server *s, bool tcp);
/* From a reply that fits. */
void cookies_learn(struct iter *it, struct server *s);
/* A reply came only because there was none. */
bool cookies_disliked(const struct iter *it, const struct server *s);
void cookies_forget(struct iter *it, struct server *s);

/* --- iter.c ------------------------------------------------------------------ */
struct frame *iter_frame_top(struct iter *it);
/* The one gate of costly work: a signature check, the digests of a zone's keys, a proof's
 * hashes. Only steps that follow ITER_AGAIN may do any, each one piece; who calls them
 * bounds their time, so no zone decides how long a turn of the loop is. False: not now. */
static inline bool iter_may_work(struct iter *it)
{
	if (!it->slice)
		return false;
	it->slice--;
	return true;
}
/* Others have their turn; the step that asked is made again then, with iter_may_work(). */
static inline enum step iter_yield(struct iter *it)
{
	it->wish->want = ITER_AGAIN;
	return STEP_WISH;
}
/* A frame more, for this question. NULL: nested too deep, or out of memory. */
struct frame *iter_frame_push(
	struct iter *it, const uint8_t *name, uint16_t type, enum purpose purpose);
enum step iter_frame_done(struct iter *it, struct frame *f);
/* The frame's question cannot be answered: SERVFAIL, kept for a while (RFC 9520). */
enum step iter_frame_fail(struct iter *it, struct frame *f, int ede);
/* The whole resolution ends. */
enum step iter_give_up(struct iter *it, int ede, const char *why);
/* Remember who failed, for the extended error's text. */
void iter_trouble(struct iter *it, const struct addr *server, const char *what);
/* What is taken lowers what the frame's answer is. */
static inline void frame_status(struct frame *f, unsigned status, int note)
{
	if (status < f->status)
		f->status = (enum cache_status)status;
	if (status == CACHE_INSECURE && f->note == EDE_NONE)
		f->note = note;
}
bool iter_flag(const struct iter *it, enum conf_flag flag);
bool iter_family_allowed(const struct iter *it, uint8_t family);
/* "name TYPE" for log lines. */
const char *iter_text(const uint8_t *name, uint16_t type);

struct stored;

/* --- start.c ----------------------------------------------------------------- */
enum step start_lookup(struct iter *it, struct frame *f);
/* Does the cache know that this name is there, or its NS type is not? Then asking for
 * it is needless. */
bool start_knows_ns(struct iter *it, const struct frame *f, const uint8_t *name);
/* What is cached joins the records: how the frame goes on. */
enum step start_take(struct iter *it, struct frame *f, const struct stored *s);

/* Is what lies in the cache good enough for this frame? */
bool start_accepts(const struct frame *f, const struct cache_meta *meta);

/* --- aggressive.c ------------------------------------------------------------ */
/* The reply is good: its secure denials and wildcards serve other names too. */
void aggressive_learn(struct iter *it, struct frame *f);
/* Is the frame's question answered by denials of other names, or by a wildcard? */
bool aggressive_answer(struct iter *it, struct frame *f, enum step *step);
/* False: too many new names of this zone were asked for in vain. */
bool aggressive_may_ask(struct iter *it, struct frame *f);

/* --- stale.c ----------------------------------------------------------------- */
/* The last look-up of a stale question: what has expired will do. */
enum step stale_lookup(struct iter *it, struct frame *f);

/* --- chain.c ----------------------------------------------------------------- */
enum step chain_take(struct iter *it, struct frame *f);
/* NSEC and RRSIG stand beside an alias (RFC 4035 section 2.5): who asks for them does not ask
 * for what it leads to. */
static inline bool chain_is_for(uint16_t type)
{
	return type != TYPE_CNAME && type != TYPE_NSEC && type != TYPE_RRSIG;
}
/* Go on at an alias's target. */
enum step chain_follow(struct iter *it, struct frame *f, const uint8_t *target);
/* Where `name` is resolved. */
void chain_route(const struct iter *it, const struct frame *f, const uint8_t *name,
	struct route *out);
/* A copy of the RRset joins the frame's records. False: too many or out of memory. */
bool chain_add(struct iter *it, struct frame *f, enum msg_section section,
	const struct rrset *rr, uint32_t ttl);
/* The CNAME that a DNAME makes of `name`: RFC 6672 section 2.2. False: too long. */
bool chain_synthesize(struct iter *it, const struct rrset *dname, const uint8_t *name,
	struct rrset *out);

/* The frame begins anew with this name (lower case, in the arena), at its route. */
void chain_begin(struct iter *it, struct frame *f, const uint8_t *name);

/* --- dns64.c ----------------------------------------------------------------- */
/* The client's frame has ended. True: it goes on, with the question for A. */
bool dns64_goes_on(struct iter *it, struct frame *f);
/* Is it the name of an address within the prefix? Then it is an alias. */
bool dns64_reverse(struct iter *it, struct frame *f, enum step *step);

/* --- negative.c -------------------------------------------------------------- */
enum step negative_take(struct iter *it, struct frame *f);
/* Keep and answer that `name` is not there, or not of this type. */
enum step negative_finish(
	struct iter *it, struct frame *f, const uint8_t *name, bool nxdomain);

/* --- cut.c, forward.c -------------------------------------------------------- */
enum step cut_find(struct iter *it, struct frame *f);
enum step cut_referral(struct iter *it, struct frame *f);
enum step cut_stuck(struct iter *it, struct frame *f);
/* The cached delegation that led to f->cut is not believed any more: false: it cannot be that. */
bool cut_climb(const struct iter *it, struct frame *f);
struct cut *cut_new(struct iter *it, const uint8_t *zone, unsigned ns_max);
/* Its index, or -1 when it is not used: over the limit. Known names give the same
 * index. */
int cut_add_ns(struct iter *it, struct cut *cut, const uint8_t *name);
/* Addresses of an A or AAAA RRset; those that nobody can have are left out, each comes
 * once. */
void cut_add_addresses(
	struct iter *it, struct cut *cut, int ns, const struct rrset *rr);
void cut_add_server(struct iter *it, struct cut *cut, int ns, const struct addr *addr,
	bool local_fine);
/* Servers that gave up on us before keep that. */
void cut_inherit(struct cut *cut, const struct cut *old);
struct cut *forward_cut(struct iter *it, const struct route *route);

/* --- adopt.c ----------------------------------------------------------------- */
/* What was found for the frame's question, unchecked, is validated now. False: it is of
 * no use. */
bool adopt_stored(
	struct iter *it, struct frame *f, const struct stored *s, enum step *step);
/* A DS, or its denial, that a referral brought. */
bool adopt_ds(struct iter *it, struct frame *f, enum step *step);

/* --- validate.c -------------------------------------------------------------- */
enum verdict {
	CHECK_GOOD,  /* secure, or insecure: its status says */
	CHECK_WRONG, /* bogus; check.ede */
	CHECK_LATER, /* a frame was pushed */
	CHECK_YIELD, /* others have their turn first */
	CHECK_OVER,  /* out of budget: the resolution, or the frame, has ended */
};
/* The reply is validated, then the frame goes on in that state. */
enum step validate_begin(struct iter *it, struct frame *f, enum iter_state then);
enum step validate_run(struct iter *it, struct frame *f);
/* Is this extended error one of a validation that failed? */
bool validate_is_bogus(int ede);
/* The frame's question has a bogus answer, and that is final. */
enum step validate_fail(struct iter *it, struct frame *f, int ede);
/* No server is left: one whose bogus reply came by UDP is asked once more, by TCP. False:
 * there is none. */
bool validate_doubts(struct frame *f);
/* Does the frame validate anything? Decided anew for each name. */
void validate_guard(struct iter *it, struct frame *f);

/* --- proof.c ----------------------------------------------------------------- */
/* All RRsets are judged: what do the denials among them prove? */
enum verdict proof_check(struct iter *it, struct frame *f);
/* One of its signatures, of which any may be the good one, is a wildcard's: RFC 4035
 * section 5.3.4. */
bool proof_may_be_expanded(const struct rrset *rr);
/* Does the reply need its NSEC and NSEC3 records? */
bool proof_wanted(const struct reply *r);

/* --- trust.c ----------------------------------------------------------------- */
/* What is known of a zone. LATER: a frame asks for it; WRONG: it cannot. */
enum verdict trust_zone(
	struct iter *it, struct frame *f, const uint8_t *name, struct zone **out);
/* The keys of a secure zone: z->keys. Its state may have changed afterwards. Those of the
 * cache are fetched anew, once, when none of them can have made a signature of `rr`: the
 * zone may have changed them before their TTL was over. */
enum verdict trust_keys(
	struct iter *it, struct frame *f, struct zone *z, const struct rrset *rr);
/* The DS of the cache fits none of the zone's keys: GOOD: there is a newer one; LATER: its
 * parent is asked, once; WRONG: it stays. */
enum verdict trust_renew_ds(struct iter *it, struct frame *f, struct zone *z);
/* Is there an unsigned delegation from `base` (secure) on down to `name`? GOOD: yes.
 * `self`: the name itself may be one. */
enum verdict trust_walk(struct iter *it, struct frame *f, const uint8_t *base,
	const uint8_t *name, bool self, struct zone **out);
/* A referral was proven: the zone is signed with this DS (NULL: unsigned). */
void trust_learn(
	struct iter *it, const uint8_t *zone, const struct rrset *ds, int note);
/* The same of a cut as it lies in the cache. */
void trust_learn_cut(struct iter *it, const uint8_t *zone, const struct stored *s);
/* The frame above, which was asked for trust, has ended. */
void trust_take(struct iter *it, struct frame *f);

/* --- select.c ---------------------------------------------------------------- */
enum step select_server(struct iter *it, struct frame *f);

/* --- nsaddr.c ---------------------------------------------------------------- */
/* Begin to look up the next name server without address. False: none left. */
bool nsaddr_begin(struct iter *it, struct frame *f);
/* When all else failed: addresses that parents gave for its name servers, where what
 * the servers say of themselves is missing or wrong. False: none that is new. */
bool nsaddr_glue(struct iter *it, struct frame *f);
enum step nsaddr_take(struct iter *it, struct frame *f);
/* Could a look-up give this cut a server? */
bool nsaddr_possible(const struct cut *cut);

/* --- ask.c ------------------------------------------------------------------- */
enum step ask_send(struct iter *it, struct frame *f);

/* --- receive.c --------------------------------------------------------------- */
enum step receive_event(struct iter *it, struct frame *f);

/* --- store.c ----------------------------------------------------------------- */
/* TTL as it is used and kept: cache.min_ttl, cache.max_ttl; 2^31 and above is large
 * (RFC 8767). */
uint32_t store_ttl(const struct iter *it, uint32_t ttl);
/* The same for an RRset: cache.min_ttl does not raise it past a signature's end. */
uint32_t store_rrset_ttl(const struct iter *it, const struct rrset *rr);
/* Is a signature of it over? */
bool store_sig_ended(const struct iter *it, const struct rrset *rr);
uint32_t store_negative_ttl(
	const struct iter *it, const uint8_t *name, const struct reply *r);
/* One RRset, with the proofs that belong to a wildcard's expansion. */
void store_rrset(struct iter *it, const struct frame *f, const struct reply_rrset *set,
	enum cache_rank rank, const struct reply *proofs);
void store_negative(struct iter *it, const struct frame *f, const uint8_t *name,
	bool nxdomain, const struct reply *r);
/* The delegation as the parent gave it: NS, DS or its denial, glue. It ends with the
 * parent's own (ghost domains). */
void store_cut(struct iter *it, const struct frame *f, const struct rrset *ns,
	const struct reply *r, int64_t expire_s);
void store_failure(
	struct iter *it, uint64_t domain, const uint8_t *name, const struct frame *f);
/* The question was answered with stale data: no new try for a while. */
void store_recheck(struct iter *it, const struct frame *f);
bool store_is_denial(uint16_t type);

/* cache_meta's user: the denial of a DS leaves room for an unsigned delegation. */
enum { STORE_UNSIGNED_CUT = 1 };

struct stored { /* a cache entry as read; borrows a buffer that the next read overwrites
		 */
	struct cache_meta meta;
	struct bundle_item items[BUNDLE_MAX];
	int count;
};
bool store_get(struct iter *it, uint64_t domain, enum cache_kind kind,
	const uint8_t *name, uint16_t type, struct stored *out);
/* The same, expired ones of the last day too. */
bool store_get_stale(struct iter *it, uint64_t domain, enum cache_kind kind,
	const uint8_t *name, uint16_t type, struct stored *out);
/* When the newest of all that is kept about this name and type was stored, expired or
 * not; 0: nothing is. Leaves that in `out`. */
int64_t store_newest(struct iter *it, const struct frame *f, const uint8_t *name,
	uint16_t type, struct stored *out);
/* Seconds that an item has left. */
uint32_t store_left(const struct iter *it, const struct stored *s, uint32_t ttl);

/* --- answer.c ---------------------------------------------------------------- */
void answer_build(struct iter *it, struct frame *f);
