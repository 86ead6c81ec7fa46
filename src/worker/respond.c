/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/respond.h"

#include <assert.h>
#include <string.h>

#include "wire/codes.h"
#include "wire/name.h"
#include "wire/writer.h"

enum {
	HEADER_LEN = 12,
	OPT_FIXED = 11,
	OPTION_HEAD = 4,
	PLAIN_UDP = 512, /* RFC 1035 section 4.2.1 */
	NSID_MAX = 128,
	EDE_TEXT_MAX = 200,
	KEEPALIVE_UNIT_MS = 100,
};

static_assert(OPT_FIXED + OPTION_HEAD + NSID_MAX + OPTION_HEAD + COOKIE_FULL_LEN +
			      3 * (OPTION_HEAD + 2) + EDE_TEXT_MAX <=
		      RESPOND_OPT_MAX,
	"all options fit");

void respond_setup(struct respond_env *env, const struct conf *conf)
{
	const uint32_t size = conf->bufsize_down;
	const int64_t idle = conf->tcp_in_idle_ms / KEEPALIVE_UNIT_MS;
	*env = (struct respond_env){
		.udp_size = (uint16_t)(size < PLAIN_UDP ? PLAIN_UDP : size),
		.padding = (uint16_t)conf->tls_padding,
		.extended_error = conf_module_on(conf, MODULE_extended_error),
		.rotate = conf->reorder_rr,
	};
	if (conf_module_on(conf, MODULE_edns_keepalive))
		env->keepalive = (uint16_t)(idle > UINT16_MAX ? UINT16_MAX : idle);
	if (conf_module_on(conf, MODULE_nsid) && conf->nsid) {
		const size_t len = strlen(conf->nsid);
		env->nsid = conf->nsid;
		env->nsid_len = (uint16_t)(len > NSID_MAX ? NSID_MAX : len);
	}
}

size_t respond_limit(
	const struct respond_env *env, const struct query *q, enum transport via)
{
	if (via != TRANSPORT_UDP)
		return RESPOND_MAX;
	if (!q->edns)
		return PLAIN_UDP;
	return q->udp_size < env->udp_size ? q->udp_size : env->udp_size;
}

uint16_t respond_flags(const struct query *q, const struct respond_what *what)
{
	unsigned flags = FLAG_QR | FLAG_RA;
	flags |= q->flags & (FLAG_OPCODE_MASK | FLAG_RD | FLAG_CD);
	flags |= what->aa ? FLAG_AA : 0u;
	flags |= what->ad ? FLAG_AD : 0u;
	return (uint16_t)(flags | (what->rcode & FLAG_RCODE_MASK));
}

/* --- OPT ---------------------------------------------------------------------- */

static bool tells_nsid(const struct respond_env *env, const struct query *q)
{
	return q->wants_nsid && env->nsid;
}

static bool tells_keepalive(
	const struct respond_env *env, const struct query *q, enum transport via)
{
	return (via == TRANSPORT_TCP || via == TRANSPORT_TLS) && q->has_keepalive &&
	       env->keepalive;
}

/* What is added to an answer of this length: RFC 7830; RFC 8467 section 4.1. */
static size_t padding_len(const struct respond_env *env, const struct query *q,
	enum transport via, size_t len, size_t limit)
{
	const bool encrypted = via == TRANSPORT_TLS || via == TRANSPORT_HTTPS;
	const size_t block = env->padding;
	if (!encrypted || !q->has_padding || block < 2 || len + OPTION_HEAD > limit)
		return 0;
	size_t padded = (len + OPTION_HEAD + block - 1) / block * block;
	if (padded > limit)
		padded = limit;
	return padded - len;
}

static bool tells_error(const struct respond_env *env, const struct respond_what *what)
{
	return env->extended_error && what->ede != EDE_NONE;
}

size_t respond_opt_len(const struct respond_env *env, const struct query *q,
	enum transport via, const struct respond_what *what)
{
	if (!q->edns)
		return 0;
	size_t len = OPT_FIXED;
	if (tells_nsid(env, q))
		len += OPTION_HEAD + (size_t)env->nsid_len;
	if (q->tells_cookie)
		len += OPTION_HEAD + COOKIE_FULL_LEN;
	if (tells_keepalive(env, q, via))
		len += OPTION_HEAD + 2;
	if (tells_error(env, what))
		len += (OPTION_HEAD + 2) * (what->ede_origin > 0 ? (size_t)2 : 1);
	return len;
}

static uint8_t *put16(uint8_t *at, unsigned n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
	return at + 2;
}

static uint8_t *put_option(uint8_t *at, uint16_t code, unsigned len)
{
	return put16(put16(at, code), len);
}

size_t respond_opt(const struct respond_env *env, const struct query *q,
	enum transport via, const struct respond_what *what, uint8_t *out, size_t len,
	size_t limit)
{
	const size_t own = respond_opt_len(env, q, via, what);
	if (!own)
		return len;
	if (len + own > limit)
		return 0;
	size_t text = 0;
	if (tells_error(env, what) && what->ede_text)
		text = strnlen(what->ede_text, EDE_TEXT_MAX);
	if (len + own + text > limit)
		text = 0;
	const size_t padding = padding_len(env, q, via, len + own + text, limit);

	uint8_t *at = out + len;
	*at++ = 0;
	at = put16(at, TYPE_OPT);
	at = put16(at, env->udp_size);
	at = put16(at, (unsigned)(what->rcode >> 4) << 8); /* upper bits; version 0 */
	at = put16(at, q->dnssec_ok ? EDNS_DO : 0);
	at = put16(at, (unsigned)(own + text + padding - OPT_FIXED));
	if (tells_nsid(env, q)) {
		at = put_option(at, OPTION_NSID, env->nsid_len);
		memcpy(at, env->nsid, env->nsid_len);
		at += env->nsid_len;
	}
	if (q->tells_cookie) {
		at = put_option(at, OPTION_COOKIE, COOKIE_FULL_LEN);
		memcpy(at, q->cookie_reply, COOKIE_FULL_LEN);
		at += COOKIE_FULL_LEN;
	}
	if (tells_keepalive(env, q, via))
		at = put16(put_option(at, OPTION_KEEPALIVE, 2),
			env->leaving ? 0 : env->keepalive);
	if (tells_error(env, what)) {
		at = put16(put_option(at, OPTION_EDE, 2 + (unsigned)text),
			(unsigned)what->ede);
		if (text)
			memcpy(at, what->ede_text, text);
		at += text;
		if (what->ede_origin > 0)
			at = put16(put_option(at, OPTION_EDE, 2),
				(unsigned)what->ede_origin);
	}
	if (padding) {
		at = put_option(at, OPTION_PADDING, (unsigned)(padding - OPTION_HEAD));
		memset(at, 0, padding - OPTION_HEAD);
	}
	const unsigned additional = (unsigned)out[10] << 8 | out[11];
	put16(out + 10, additional + 1);
	return len + own + text + padding;
}

/* --- records ------------------------------------------------------------------ */

/* RFC 4035 section 3.2.1: without DO no signatures and proofs, unless asked for by
 * type. */
static bool is_unwanted(const struct query *q, const struct iter_record *r)
{
	if (q->dnssec_ok || r->rr.type == q->qtype || q->qtype == TYPE_ANY)
		return false;
	return r->rr.type == TYPE_RRSIG || r->rr.type == TYPE_NSEC ||
	       r->rr.type == TYPE_NSEC3;
}

/* False: a record that must be there does not fit. Additional ones may be missing (RFC
 * 2181 section 9). */
static bool put_section(struct writer *w, const struct query *q,
	const struct respond_what *what, enum msg_section section)
{
	for (size_t i = 0; i < what->count; i++) {
		const struct iter_record *r = &what->records[i];
		if (r->section != section || is_unwanted(q, r))
			continue;
		const uint32_t rotate = section == SECTION_ANSWER ? what->rotate : 0;
		if (!writer_rrset(w, section, &r->rr, rotate, q->dnssec_ok))
			return section == SECTION_ADDITIONAL;
	}
	return true;
}

static bool put_records(
	struct writer *w, const struct query *q, const struct respond_what *what)
{
	return put_section(w, q, what, SECTION_ANSWER) &&
	       put_section(w, q, what, SECTION_AUTHORITY) &&
	       put_section(w, q, what, SECTION_ADDITIONAL);
}

static void begin(struct writer *w, const struct query *q,
	const struct respond_what *what, uint8_t *out, size_t cap)
{
	writer_begin(w, out, cap, q->id, respond_flags(q, what));
	if (q->question_len)
		writer_question(w, q->name, q->qtype, q->qclass);
}

size_t respond_body(const struct query *q, const struct respond_what *what,
	uint8_t *out, size_t cap)
{
	struct writer w;
	begin(&w, q, what, out, cap);
	if (!put_records(&w, q, what) || w.full)
		return 0;
	return writer_end(&w);
}

size_t respond_cut(
	const struct query *q, uint16_t rcode, bool aa, uint8_t *out, size_t cap)
{
	const struct respond_what what = { .rcode = rcode, .aa = aa, .ede = EDE_NONE };
	struct writer w;
	begin(&w, q, &what, out, cap);
	writer_truncate(&w);
	return writer_end(&w);
}

size_t respond_write(const struct respond_env *env, const struct query *q,
	enum transport via, const struct respond_what *what, uint8_t *out, size_t cap,
	bool *tc)
{
	assert(cap >= HEADER_LEN + NAME_MAX_LEN + 4 + RESPOND_OPT_MAX);
	size_t limit = respond_limit(env, q, via);
	if (limit > cap)
		limit = cap;
	const size_t opt = respond_opt_len(env, q, via, what);
	struct writer w;
	begin(&w, q, what, out, limit);
	writer_reserve(&w, opt);
	const bool fits = put_records(&w, q, what);
	if (!fits)
		writer_truncate(&w);
	if (tc)
		*tc = !fits;
	const size_t len = respond_opt(env, q, via, what, out, writer_end(&w), limit);
	assert(len); /* header, question and OPT fit into the smallest limit */
	return len;
}
