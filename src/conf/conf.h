/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf.h - the configuration as typed data: what the script said, checked.
 *
 * Built once by src/lua in an arena of its own, then read by everybody; changed at run time only
 * by putting another whole struct in its place. Knows no Lua. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/limits.h"
#include "base/log.h"
#include "wire/name.h"

/* Scalar options, one row each: X(type, field, Lua name, default, lowest, highest, help).
 * Types: BOOL, U32 (with range), MS (milliseconds, int64), SIZE (bytes, uint64), SECONDS (u32). */
#define CONF_OPTIONS(X)                                                                \
	X(BOOL, net_ipv4, "net.ipv4", 1, 0, 1, "ask servers over IPv4")                \
	X(BOOL, net_ipv6, "net.ipv6", 1, 0, 1, "ask servers over IPv6")                \
	X(U32, bufsize_down, "net.bufsize", 1232, 512, 65535,                          \
		"EDNS size told to clients")                                           \
	X(U32, bufsize_up, "net.bufsize", 1232, 512, 65535,                            \
		"EDNS size told to servers")                                           \
	X(U32, tcp_pipeline, "net.tcp_pipeline", LIMIT_TCP_PIPELINE, 1, 65535,         \
		"unanswered queries of one TCP connection")                            \
	X(U32, rate_limit, "net.rate_limit", 0, 0, 100000,                             \
		"queries a second of one client over UDP; 0: as many as come")         \
	X(U32, rate_limit_slip, "net.rate_limit_slip", 2, 0, 100,                      \
		"of those over it one in so many gets TC; 0: none")                    \
	X(BOOL, cookies, "net.cookies", 1, 0, 1,                                       \
		"DNS cookies, to clients and to servers")                              \
	X(MS, tcp_in_idle_ms, "net.tcp_in_idle", 10000, 100, 3600000,                  \
		"idle TCP connections of clients are closed after this")               \
	X(MS, tls_handshake_timeout_ms, "net.tls_handshake_timeout", 6000, 100,        \
		600000, "time for a TLS handshake")                                    \
	X(U32, tls_padding, "net.tls_padding", 468, 0, 4096,                           \
		"encrypted answers are a multiple of this long; 0: not padded")        \
	X(SIZE, cache_size, "cache.size", 104857600, 1048576, 1099511627776,           \
		"bytes of the shared cache")                                           \
	X(SECONDS, cache_max_ttl, "cache.max_ttl", 86400, 1, 2147483647,               \
		"longest TTL")                                                         \
	X(SECONDS, cache_min_ttl, "cache.min_ttl", 5, 0, 2147483647, "shortest TTL")   \
	X(MS, serve_stale_timeout_ms, "serve_stale.timeout", 1800, 0, 10000,           \
		"expired data is the answer when fresh is not there after this")       \
	X(SECONDS, hints_ttl, "hints.ttl", 5, 0, 2147483647,                           \
		"TTL of hosts-style entries")                                          \
	X(BOOL, hints_use_nodata, "hints.use_nodata", 1, 0, 1,                         \
		"other types of a name with a hint are NODATA")                        \
	X(BOOL, reorder_rr, "reorder_RR", 1, 0, 1, "rotate the records of an RRset")   \
	X(MS, anchors_hold_down_ms, "trust_anchors.hold_down_time", 2592000000, 1000,  \
		31536000000,                                                           \
		"how long a zone must show a new key before it is trusted")            \
	X(MS, anchors_refresh_ms, "trust_anchors.refresh_time", 0, 0, 1296000000,      \
		"how often managed zones are asked for their keys; 0: as RFC 5011 "    \
		"says")                                                                \
	X(U32, anchors_keep_removed, "trust_anchors.keep_removed", 0, 0, 16,           \
		"removed keys that stay in the file")                                  \
	X(BOOL, anchors_sha1, "trust_anchors.sha1", 1, 0, 1,                           \
		"signatures and digests of SHA-1 count; else such zones are insecure")

/* Flags by name: option('NAME', true), policy.FLAGS. One bit each. */
#define CONF_FLAGS(X)                                                                  \
	X(NO_MINIMIZE)                                                                 \
	X(NO_IPV6)                                                                     \
	X(NO_IPV4)                                                                     \
	X(TCP)                                                                         \
	X(NO_ANSWER)                                                                   \
	X(NO_EDNS)                                                                     \
	X(NO_CACHE)                                                                    \
	X(ALLOW_LOCAL)                                                                 \
	X(DNSSEC_WANT)                                                                 \
	X(DNSSEC_CD)                                                                   \
	X(STUB)                                                                        \
	X(ALWAYS_CUT)                                                                  \
	X(PERMISSIVE)                                                                  \
	X(STRICT)                                                                      \
	X(REORDER_RR)                                                                  \
	X(TRACE)                                                                       \
	X(NO_0X20)                                                                     \
	X(NONAUTH)                                                                     \
	X(FORWARD)                                                                     \
	X(DNS64_DISABLE)

enum conf_flag_bit {
#define X(name) CONF_BIT_##name,
	CONF_FLAGS(X)
#undef X
		CONF_FLAG_COUNT
};
enum conf_flag {
#define X(name) CONF_##name = 1 << CONF_BIT_##name,
	CONF_FLAGS(X)
#undef X
};
int conf_flag_find(
	const char *name); /* any case; the flag's bit number, -1 if unknown */
const char *conf_flag_name(unsigned bit);

/* Modules that are on unless unloaded; others come on by load. One bit each. */
#define CONF_MODULES(X)                                                                \
	X(ta_update, 1)                                                                \
	X(ta_signal_query, 1)                                                          \
	X(policy, 1)                                                                   \
	X(priming, 1)                                                                  \
	X(detect_time_skew, 1)                                                         \
	X(detect_time_jump, 1)                                                         \
	X(ta_sentinel, 1)                                                              \
	X(edns_keepalive, 1)                                                           \
	X(refuse_nord, 1)                                                              \
	X(watchdog, 1)                                                                 \
	X(extended_error, 1)                                                           \
	X(hints, 0)                                                                    \
	X(view, 0)                                                                     \
	X(nsid, 0)                                                                     \
	X(stats, 0)                                                                    \
	X(predict, 0)                                                                  \
	X(serve_stale, 0)                                                              \
	X(dns64, 0)

enum conf_module {
#define X(name, on) MODULE_##name,
	CONF_MODULES(X)
#undef X
		MODULE_COUNT
};

enum conf_kind {
	KIND_DNS,
	KIND_TLS,
	KIND_DOH2,
	KIND_DOH_LEGACY,
	KIND_WEBMGMT,
	KIND_CONTROL,
	KIND_XDP
};
const char *conf_kind_name(enum conf_kind kind);
int conf_kind_find(const char *name);       /* -1 if unknown */
bool conf_kind_served(enum conf_kind kind); /* is it there yet in this version */

struct conf_where {
	const char *file;
	int line;
};

struct conf_listen {
	struct addr addr;
	enum conf_kind kind;
	bool plain; /* doh2: HTTP/2 in clear text, a proxy in front has the TLS */
	bool freebind;
	bool optional; /* implied default (::1 may be missing): not there is a warning */
	struct conf_where where;
};

struct conf_tls_pair { /* PEM files */
	const char *cert, *key;
	struct conf_where where;
};

struct conf_hint {           /* hosts-style: name -> addresses, both ways */
	const uint8_t *name; /* lower case */
	struct addr addr;    /* port 0 */
	uint32_t order;      /* as said: the last name of an address is its PTR */
};

struct conf_root { /* one root server of the hints */
	const uint8_t *name;
	struct addr addr; /* port 53 unless said otherwise */
};

enum policy_action {
	POLICY_PASS,
	POLICY_DENY,     /* NXDOMAIN with a synthetic SOA */
	POLICY_DENY_MSG, /* the same, with a text */
	POLICY_REFUSE,
	POLICY_DROP,      /* SERVFAIL, as in that dialect */
	POLICY_NO_ANSWER, /* silence */
	POLICY_TC,        /* over UDP: truncated; goes on over TCP */
	POLICY_ANSWER,
	POLICY_FORWARD,
	POLICY_STUB,
	POLICY_FLAGS, /* chain: goes on with the next rule */
	POLICY_CALL,  /* ask the script: user callback */
};

struct policy_answer { /* policy.ANSWER: records of one type */
	uint16_t type;
	uint32_t ttl;
	uint16_t count;
	const uint8_t *rdata; /* count x (16-bit native length, bytes) */
	uint32_t rdata_len;
};

enum policy_filter {
	FILTER_ALL,
	FILTER_SUFFIX,
	FILTER_DOMAINS,
	FILTER_PATTERN,
	FILTER_CALL
};

enum { CONF_SOURCES = 64 }; /* further ones are not told apart */

struct conf_source {
	uint64_t path, content; /* hashes */
};

/* A server that is asked over TLS: policy.TLS_FORWARD, net.tls_client. */
struct conf_tls_peer {
	struct addr addr;
	const char *hostname; /* NULL: by pins, or insecure */
	const char *const *ca_files;
	size_t ca_count;     /* 0: the system's authorities */
	const uint8_t *pins; /* pin_count x 32 octets */
	size_t pin_count;
	bool insecure;
	uint32_t number; /* its place among all */
	struct conf_where where;
};

/* net.designated: where this resolver is to be had encrypted, RFC 9462. */
struct conf_designated {
	const uint8_t *name;      /* of its certificate */
	bool as_listened;         /* the ports are those of this instance's listeners */
	uint16_t tls, doh2;       /* ports; 0: not that way */
	const char *path;         /* of DoH, a URI template */
	const struct addr *hints; /* its addresses */
	size_t hint_count;
};

struct policy_rule {
	uint32_t id;
	bool deleted;
	enum policy_filter filter;
	const uint8_t *const
		*names; /* SUFFIX, DOMAINS: lower case, in conf_name_order */
	size_t name_count;
	const char *pattern;    /* PATTERN: Lua pattern on the lower-case wire name */
	size_t pattern_len;     /* it may hold NULs */
	int callback;           /* FILTER_CALL or POLICY_CALL: the script's reference */
	uint64_t callback_hash; /* of its code: for the configuration hash */
	struct subnet net; /* view rules: the client's address (or ours if view_dst) */
	bool view;
	bool view_dst;
	enum policy_action action;
	const struct addr *targets; /* FORWARD, STUB: with port */
	size_t target_count;
	/* TLS_FORWARD: as many, and each is asked over TLS only; NULL: in clear text */
	const struct conf_tls_peer *const *tls;
	const struct policy_answer *answers;
	size_t answer_count;
	bool nodata;                     /* ANSWER: other types are NODATA */
	const char *message;             /* DENY_MSG */
	int ede;                         /* -1: the action's own */
	uint32_t flags_set, flags_clear; /* FLAGS */
	struct conf_where where;
	uint64_t *hits; /* how often it was the verdict */
};

struct conf_anchor { /* kept and shown; checked by DNSSEC */
	const uint8_t *owner;
	const char *text; /* one record in zone-file form */
	uint16_t type;    /* DS or DNSKEY */
	uint16_t rdata_len;
	const uint8_t *rdata;
	struct conf_where where;
};

struct conf_anchor_file {
	const char *path;
	const uint8_t *owner; /* as the file said; the root if it is not there yet */
	bool readonly;        /* watched, never written: no RFC 5011 */
	/* when it was read: is a key of it trusted, one that is checked here, one that
	 * is without SHA-1 */
	bool trusted, counts, counts_without_sha1;
	struct conf_where where;
};

struct conf_insecure { /* negative trust anchor */
	const uint8_t *name;
	const char *reason; /* NULL: none */
	int64_t until_s;    /* INT64_MAX: for good */
};

struct conf_dns64 {              /* used while the module dns64 is on */
	struct subnet *prefixes; /* what is behind their bits is zero */
	size_t prefix_count;
	uint32_t rev_ttl;        /* of the CNAME to in-addr.arpa */
	struct subnet *excluded; /* AAAA that count as if they were not there */
	size_t excluded_count;
};

struct conf {
	struct arena *arena; /* owns everything below */
	const char *file;    /* the main configuration file */
	const char *instance;
	const char *run_folder;

#define CONF_FIELD_BOOL bool
#define CONF_FIELD_U32 uint32_t
#define CONF_FIELD_MS int64_t
#define CONF_FIELD_SIZE uint64_t
#define CONF_FIELD_SECONDS uint32_t
#define X(type, field, lua, def, low, high, help) CONF_FIELD_##type field;
	CONF_OPTIONS(X)
#undef X
	struct addr outgoing_v4, outgoing_v6; /* family 0: any */
	const char *cache_storage;            /* folder of the snapshot, or NULL */

	struct conf_listen *listens;
	size_t listen_count;
	bool listen_said;    /* any net.listen at all, also a closed one */
	bool has_callbacks;  /* some rule asks the script: no fast path */
	bool anchor_builtin; /* the root's keys, unless removed */

	struct conf_tls_pair *tls_pairs; /* none: an ephemeral certificate */
	size_t tls_pair_count;
	const uint8_t *tls_secret; /* of session tickets, from the operator */
	size_t tls_secret_len;     /* 0: the host's own */

	const uint8_t (
		*cookie_secrets)[16]; /* from the operator; the first makes cookies */
	size_t cookie_secret_count;   /* 0: the host's own */

	const struct conf_tls_peer **tls_peers;
	size_t tls_peer_count;

	struct conf_designated *designated;
	size_t designated_count;
	const char *infourl;     /* RFC 9606; NULL: none */
	const char *doh_headers; /* names in lower case, by spaces; NULL: none */

	struct subnet *allow; /* clients besides the local networks */
	size_t allow_count;
	struct subnet *proxy_allow; /* whose PROXY headers are believed */
	size_t proxy_allow_count;

	struct conf_root *roots; /* never empty after conf_finish */
	size_t root_count;
	struct conf_hint *hints; /* after conf_finish: by name in conf_name_order */
	size_t hint_count;
	const struct conf_hint *
		*hints_by_addr; /* after conf_finish: by address, as many */

	struct policy_rule *rules; /* policy.add, in order */
	size_t rule_count;
	struct policy_rule *views; /* view:addr, in order; run after policy */
	size_t view_count;

	struct conf_anchor *anchors;
	size_t anchor_count;
	struct conf_anchor_file *anchor_files;
	size_t anchor_file_count;
	struct conf_insecure *insecure; /* trust_anchors.set_insecure */
	size_t insecure_count;
	const uint8_t **time_servers; /* unvalidated while the clock is wrong */
	size_t time_server_count;

	struct conf_dns64 dns64;

	uint32_t flags;             /* of enum conf_flag: option() */
	uint32_t modules;           /* 1 << enum conf_module */
	const char *nsid;           /* NULL: not told */
	const char *chaos_hostname; /* hostname.bind, id.server; NULL: refused */
	const char *chaos_version;  /* version.bind, version.server; NULL: refused */
	const char *user, *group;   /* to become after the sockets are open */
	enum log_level log_level;
	enum log_target log_target;
	uint64_t log_groups; /* 1 << enum log_group */

	/* The files that it was read from, the configuration file itself first. */
	struct conf_source sources[CONF_SOURCES];
	size_t source_count;

	uint64_t
		hash; /* of the effective configuration: the same text on all instances and restarts */
	uint64_t
		domain; /* hash of what changes resolution for queries without rule (roots, flags, anchors) */
};

static inline bool conf_module_on(const struct conf *c, enum conf_module m)
{
	return c->modules >> m & 1;
}
/* Are AAAA made of A for a question with these flags? */
bool conf_dns64_on(const struct conf *c, uint32_t flags);
enum { CONF_DNS64_ITEM = 2 + 16 }; /* of a struct rrset's data */
/* The AAAA that stand for an IPv4 address, one for each prefix (RFC 6052 section 2.2), as a
 * struct rrset has them. Returns what is behind the last. */
uint8_t *conf_dns64_make(const struct conf *c, const uint8_t *v4, uint8_t *to);
bool conf_dns64_excluded(const struct conf *c, const uint8_t *v6);
/* A lower-case name of an address that is made, below ip6.arpa: the IPv4 address's name below
 * in-addr.arpa, of NAME_MAX_LEN bytes at most. Its length, 0: it is not such a name. */
size_t conf_dns64_reverse(const struct conf *c, const uint8_t *name, uint8_t *target);
/* Are there such names below this lower-case name? */
bool conf_dns64_above(const struct conf *c, const uint8_t *name);
/* One more prefix, "ADDRESS/BITS"; without bits it has 96. False and a text if it is none. */
bool conf_dns64_prefix(struct conf *c, const char *text, char error[static 256]);
/* Are bits 64 to 71 of the last one set, which RFC 6052 section 2.2 wants zero? */
bool conf_dns64_odd(const struct conf *c);
/* The prefix and what is excluded as they are unless said otherwise. */
bool conf_dns64_default(struct conf *c);
int conf_module_find(const char *name); /* -1 if unknown */
const char *conf_module_name(enum conf_module m);

/* All defaults, built-in root hints included. NULL when out of memory. */
struct conf *conf_new(void);
/* After the script: default listeners where none were said, hashes. */
void conf_finish(struct conf *c);
void conf_free(struct conf *c);
bool conf_flag_on(const struct conf *c, enum conf_flag flag);

struct conf_option_row {
	const char *field, *lua, *help;
	enum {
		CONF_TYPE_BOOL,
		CONF_TYPE_U32,
		CONF_TYPE_MS,
		CONF_TYPE_SIZE,
		CONF_TYPE_SECONDS
	} type;
	size_t offset;
	double def, low, high;
};
extern const struct conf_option_row conf_option_rows[];
extern const size_t conf_option_count;

/* A file that the configuration was read from; a second time counts for nothing. */
void conf_source_add(struct conf *c, const char *path, const char *text, size_t len);
/* The same of a file that somebody else reads. Nothing if it is no ordinary one. */
void conf_source_file(struct conf *c, const char *path);
uint64_t conf_hash(const struct conf *c);
uint64_t conf_domain_hash(const struct conf *c);
/* The domain of what is resolved by another way than conf's own: flags, forwarders for a zone. */
uint64_t conf_domain_route(uint64_t base, uint32_t flags, int kind,
	const struct addr *targets, const struct conf_tls_peer *const *tls,
	size_t count, const uint8_t *zone);

/* Both names of bufsize share one Lua name: a field's own name finds either. NULL if unknown. */
const struct conf_option_row *conf_option_find(const char *lua_or_field);
double conf_option_get(const struct conf *c, const struct conf_option_row *row);
/* False and "NAME: VALUE is not within LOW..HIGH" in `error`. */
bool conf_option_set(struct conf *c, const struct conf_option_row *row, double value,
	char error[static 256]);

/* Room for one more item at the end of an array that lives in c's arena and grew by this function alone; NULL when over
 * the arena's limit. The item is zeroed, the count raised. */
void *conf_push(struct conf *c, void *array_ptr, size_t *count, size_t item_len);
/* A total order over lower-case wire names that is cheap, not canonical; for search in sorted lists. */
int conf_name_order(const uint8_t *a, const uint8_t *b);
void conf_names_sort(const uint8_t **names, size_t count);
/* The longest of the (sorted, lower-case) names that `name` (lower case) is at or below; exact: equal. NULL: none. */
const uint8_t *conf_names_find(
	const uint8_t *const *names, size_t count, const uint8_t *name, bool exact);

/* False and a text if the same address and port was said before. */
bool conf_listen_add(
	struct conf *c, const struct conf_listen *l, char error[static 256]);
bool conf_hint_add(struct conf *c, const uint8_t *name, const struct addr *addr);
/* All addresses of the name (addr NULL) or one: how many went. */
size_t conf_hint_del(struct conf *c, const uint8_t *name, const struct addr *addr);
/* The hints of a lower-case name, after conf_finish: the first of *count. */
const struct conf_hint *conf_hint_find(
	const struct conf *c, const uint8_t *name, size_t *count);
/* The name that PTR tells for an address, after conf_finish; NULL: none. */
const uint8_t *conf_hint_ptr(const struct conf *c, const struct addr *addr);
bool conf_root_add(struct conf *c, const uint8_t *name, const struct addr *addr);
/* "OWNER [TTL] [CLASS] DS|DNSKEY RDATA". */
bool conf_anchor_add(struct conf *c, const char *text, struct conf_where where,
	char error[static 256]);
/* What the operator should know of it, once all anchors are said: its digest is malformed, or
 * none of its zone's anchors is of an algorithm and digest that are checked here (told of the
 * first). NULL: nothing. */
const char *conf_anchor_doubt(const struct conf *c, const struct conf_anchor *a);
/* The same of a file, as it was read. */
const char *conf_anchor_file_doubt(
	const struct conf *c, const struct conf_anchor_file *f);
/* A file of keys, in place of what was said for its zone before. */
bool conf_anchor_file(struct conf *c, const char *path, bool readonly,
	struct conf_where where, char error[static 256]);
/* Nothing is trusted for this zone by itself. False: nothing was. */
bool conf_anchor_remove(struct conf *c, const uint8_t *zone);

/* Text of a zone file (root hints) by libzscanner: NS of "." and their addresses into c->roots (replaced). On an error: false, and
 * `error` says file, line and reason. */
bool conf_root_file(struct conf *c, const char *path, char error[static 256]);
/* /etc/hosts form into c->hints (added). */
bool conf_hosts_file(struct conf *c, const char *path, char error[static 256]);
/* One RDATA in zone-file form ("192.0.2.1") to uncompressed wire form: length or -1. */
int conf_rdata_from_text(uint16_t type, const char *text, uint8_t *out, size_t cap);
/* hosts text in memory, for conf_hosts_file and its fuzzer; `path` is for errors only. */
bool conf_hosts_text(struct conf *c, const char *path, const char *text, size_t len,
	char error[static 256]);
