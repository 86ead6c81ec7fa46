/* SPDX-License-Identifier: GPL-3.0-or-later */
/* play.h - a scenario as convert.py wrote it down, and what is done with it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/msg.h"

/* What of a message must equal the entry: X(bit, word) */
#define PLAY_FIELDS(X)                                                                 \
	X(OPCODE, "opcode")                                                            \
	X(QTYPE, "qtype")                                                              \
	X(QNAME, "qname")                                                              \
	X(QCASE, "qcase")                                                              \
	X(SUBDOMAIN, "subdomain")                                                      \
	X(FLAGS, "flags")                                                              \
	X(RCODE, "rcode")                                                              \
	X(ANSWER, "answer")                                                            \
	X(AUTHORITY, "authority")                                                      \
	X(ADDITIONAL, "additional")                                                    \
	X(ANSWERTYPES, "answertypes")                                                  \
	X(ANSWERRRSIGS, "answerrrsigs")                                                \
	X(TTL, "ttl")                                                                  \
	X(EDNS, "edns")                                                                \
	X(NOEDNS, "noedns")                                                            \
	X(DO, "DO")                                                                    \
	X(TCP, "TCP")                                                                  \
	X(UDP, "UDP")                                                                  \
	X(NONE, "none")

enum play_field_bit {
#define X(bit, word) PLAY_BIT_##bit,
	PLAY_FIELDS(X)
#undef X
		PLAY_FIELD_COUNT
};
enum play_field {
#define X(bit, word) PLAY_##bit = 1 << PLAY_BIT_##bit,
	PLAY_FIELDS(X)
#undef X
};

enum {
	PLAY_STEPS = 128,
	PLAY_RANGES = 64,
	PLAY_ENTRIES = 256, /* of a range */
	PLAY_ADDRESSES = 64,
	PLAY_MESSAGE = 65535,
	PLAY_EDE_ANY = -2, /* any extended error will do */
};

struct play_entry {
	unsigned line;  /* of the scenario */
	bool matchable; /* there was a MATCH */
	uint32_t match; /* of enum play_field */
	int ede;        /* wanted extended error; -1: none, PLAY_EDE_ANY */
	bool copy_id, copy_query, raw_id, silent;
	int64_t sleep_us;
	uint16_t rcode;
	bool raw, mandatory;
	const uint8_t *wire;
	size_t len;
	bool fired; /* in this run */
};

struct play_range {
	unsigned first, last;
	struct addr at[PLAY_ADDRESSES];
	unsigned at_count;
	struct play_entry *entries;
	unsigned entry_count;
};

enum play_kind { PLAY_QUERY, PLAY_CHECK, PLAY_PASS, PLAY_REPLY };

struct play_step {
	unsigned number;
	enum play_kind kind;
	struct addr at; /* REPLY; family 0: anywhere */
	int64_t elapse_ms;
	bool tcp, raw;
	const uint8_t *query, *plain_query; /* the second with DO and without CD */
	size_t query_len, plain_len;
	bool has_entry;
	struct play_entry entry;
	bool used; /* in this run */
};

struct play {
	char name[256];
	char config[1024];
	int64_t start_s;
	struct addr from, to;
	struct addr servers[PLAY_ADDRESSES];
	unsigned server_count;
	struct play_range ranges[PLAY_RANGES];
	unsigned range_count;
	struct play_step steps[PLAY_STEPS];
	unsigned step_count;
	char *text; /* the file; messages lie in it */
};

/* NULL: said on stderr. */
struct play *play_read(const char *path);
void play_free(struct play *p);
/* All that was used is fresh again. */
void play_rewind(struct play *p);

/* match.c: does the message fit the entry? If not, `why` says it. `m` of a server's view:
 * the transport counts. */
bool match_entry(const struct play_entry *e, const struct msg *m, bool tcp,
	char why[static 512]);

/* Records of a message, to be compared without order: lower case, names uncompressed. */
struct record_key {
	const uint8_t *bytes; /* owner, class, type, RDATA */
	size_t len;
	uint32_t ttl;
	uint16_t type;
	uint16_t covers; /* of an RRSIG */
};
struct record_list {
	struct record_key *keys;
	size_t count, room;
};
/* Adds the section's records. The message has been read. */
void records_add(struct record_list *l, const struct msg *m, enum msg_section section);
void records_sort(struct record_list *l);
const struct record_key *records_find(
	const struct record_list *sorted, const struct record_key *key);
int record_order(const void *a, const void *b);
void records_free(struct record_list *l);
