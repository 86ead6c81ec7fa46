/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/respond.h - the bytes of an answer to a client: pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "iter/iter.h"
#include "wire/query.h"
#include "worker/transport.h"

enum {
	RESPOND_MAX = 65535,
	RESPOND_OPT_MAX = 512, /* OPT with all that we put into it */
};

/* What of the configuration every answer needs, ready to use. */
struct respond_env {
	uint16_t udp_size; /* told to clients; no answer over UDP is longer */
	const char *nsid;  /* NULL: not told */
	uint16_t nsid_len;
	uint16_t padding;   /* encrypted answers: a multiple of this; 0: not padded */
	uint16_t keepalive; /* RFC 7828, units of 100 ms; 0: not told */
	bool leaving;       /* keepalive 0 is told: close and come back, RFC 7828 3.4 */
	bool extended_error;
	bool rotate;
};

void respond_setup(struct respond_env *env, const struct conf *conf);

struct respond_what {
	uint16_t rcode;
	bool aa, ad;
	int ede;              /* EDE_NONE, or a code of RFC 8914 */
	const char *ede_text; /* NULL: none */
	int ede_origin;       /* what is behind a cached error; 0: nothing to tell */
	const struct iter_record *records;
	size_t count;
	uint32_t rotate; /* where multi-record RRsets of the answer section begin */
};

/* The longest answer that may go to this client. */
size_t respond_limit(
	const struct respond_env *env, const struct query *q, enum transport via);

/* The whole answer. `cap` >= 12 + question + RESPOND_OPT_MAX. Never fails: what does
 * not fit turns into a truncated answer. `tc`, if not NULL, tells that. Returns its
 * length. */
size_t respond_write(const struct respond_env *env, const struct query *q,
	enum transport via, const struct respond_what *what, uint8_t *out, size_t cap,
	bool *tc);

/* Header, question and records without OPT, as the cache keeps them; 0 if longer than
 * cap. */
size_t respond_body(const struct query *q, const struct respond_what *what,
	uint8_t *out, size_t cap);

/* Header with TC and question, to which respond_opt() may follow. */
size_t respond_cut(
	const struct query *q, uint16_t rcode, bool aa, uint8_t *out, size_t cap);

/* Append OPT if the client used EDNS. Texts that would not fit below `limit` are left
 * out; 0 if not even the bare OPT fits. Returns the new length. */
size_t respond_opt(const struct respond_env *env, const struct query *q,
	enum transport via, const struct respond_what *what, uint8_t *out, size_t len,
	size_t limit);
/* How long OPT is without optional text; 0 without EDNS. */
size_t respond_opt_len(const struct respond_env *env, const struct query *q,
	enum transport via, const struct respond_what *what);

/* The header's flags of the answer to this query. */
uint16_t respond_flags(const struct query *q, const struct respond_what *what);
