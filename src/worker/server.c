/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/server.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "dnssec/anchor.h"
#include "policy/policy.h"
#include "wire/codes.h"
#include "wire/name.h"
#include "worker/clock.h"
#include "worker/cookies.h"
#include "worker/fast.h"
#include "worker/keep.h"
#include "worker/poison.h"
#include "worker/prefetch.h"
#include "worker/rate.h"
#include "worker/sentinel.h"
#include "worker/tally.h"

enum {
	CALLS_MAX = 64, /* policy callbacks for one query */
	REPLY_MIN = 4096,
};

/* One query on its way through this file. */
struct asked {
	struct worker *w;
	const struct client *client;
	const struct query *q;
	enum transport via;
	struct reply_slot *slot;
};

static enum server_outcome answer_with(
	const struct asked *a, const struct respond_what *what, int64_t took_us)
{
	struct counters *c = a->w->counters;
	bool cut = false;
	a->slot->len = respond_write(
		&a->w->respond, a->q, a->via, what, a->slot->out, a->slot->cap, &cut);
	bool data = false;
	for (size_t i = 0; i < what->count && !data; i++)
		data = what->records[i].section == SECTION_ANSWER;
	if (cut)
		counter_up(c, answers_truncated);
	if (what->ad)
		counter_up(c, answers_ad);
	tally_answer(c, what->rcode, data, took_us);
	return SERVER_ANSWER;
}

static enum server_outcome answer_code(
	const struct asked *a, uint16_t rcode, int ede, const char *text)
{
	const struct respond_what what = {
		.rcode = rcode, .ede = ede, .ede_text = text
	};
	return answer_with(a, &what, 0);
}

/* --- what is refused before anything else -------------------------------- */

static enum server_outcome refuse_verdict(
	const struct asked *a, enum query_verdict verdict)
{
	struct counters *c = a->w->counters;
	if (verdict == QUERY_NOTIMP) {
		counter_up(c, queries_notimp);
		return answer_code(a, RCODE_NOTIMP, EDE_NONE, NULL);
	}
	if (verdict == QUERY_BADVERS)
		return answer_code(a, RCODE_BADVERS, EDE_NONE, NULL);
	if (verdict == QUERY_COOKIE)
		return answer_code(a, RCODE_NOERROR, EDE_NONE, NULL);
	counter_up(c, queries_formerr);
	return answer_code(a, RCODE_FORMERR, EDE_NONE, NULL);
}

static enum server_outcome refuse(const struct asked *a, int ede, const char *text)
{
	counter_up(a->w->counters, queries_refused);
	return answer_code(a, RCODE_REFUSED, ede, text);
}

/* Types that nobody resolves: 0 when the type is fine, else the RCODE. */
static uint16_t type_refused(uint16_t type)
{
	static const struct {
		uint16_t type, rcode;
	} rows[] = {
		{ 0, RCODE_FORMERR },
		{ TYPE_OPT, RCODE_FORMERR },
		{ TYPE_NXNAME, RCODE_FORMERR }, /* RFC 9824 section 3.5 */
		{ TYPE_AXFR, RCODE_REFUSED },
		{ TYPE_IXFR, RCODE_REFUSED },
		{ TYPE_ANY, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].type == type)
			return rows[i].rcode;
	return type_is_meta(type) ? RCODE_NOTIMP : 0;
}

static enum server_outcome refuse_type(const struct asked *a, uint16_t rcode)
{
	if (rcode == RCODE_REFUSED)
		return refuse(a, EDE_NOT_SUPPORTED, "no zone transfers here");
	return refuse_verdict(a, rcode == RCODE_NOTIMP ? QUERY_NOTIMP : QUERY_FORMERR);
}

/* --- policy ----------------------------------------------------------------------- */

static enum server_outcome answer_local(
	const struct asked *a, const struct policy_verdict *v)
{
	struct iter_record records[sizeof(v->records) / sizeof(*v->records)];
	for (size_t i = 0; i < v->record_count; i++)
		records[i] =
			(struct iter_record){ v->records[i].section, v->records[i].rr };
	const struct respond_what what = {
		.rcode = v->rcode,
		.aa = v->aa,
		.ede = v->ede,
		.ede_text = v->ede_text,
		.records = records,
		.count = v->record_count,
		.rotate = a->w->respond.rotate ? a->w->rotate++ : 0,
	};
	counter_up(a->w->counters, answers_local);
	return answer_with(a, &what, 0);
}

static enum server_outcome answer_truncated(const struct asked *a)
{
	struct worker *w = a->w;
	const size_t limit = respond_limit(&w->respond, a->q, a->via);
	const struct respond_what what = { .ede = EDE_NONE };
	const size_t len =
		respond_cut(a->q, RCODE_NOERROR, false, a->slot->out, a->slot->cap);
	a->slot->len = respond_opt(&w->respond, a->q, a->via, &what, a->slot->out, len,
		limit < a->slot->cap ? limit : a->slot->cap);
	counter_up(w->counters, answers_truncated);
	tally_answer(w->counters, RCODE_NOERROR, false, 0);
	return SERVER_ANSWER;
}

/* The verdict with the script's callbacks asked where rules want that. */
static void decide(const struct asked *a, struct policy_verdict *v)
{
	struct worker *w = a->w;
	struct policy_query pq = {
		.name = a->q->name,
		.type = a->q->qtype,
		.rclass = a->q->qclass,
		.client = a->client->from,
		.server = a->client->to,
		.tcp = a->via != TRANSPORT_UDP,
		.as_is = a->q->flags & FLAG_CD,
	};
	arena_reset(w->arena);
	policy_decide(w->conf, &pq, w->arena, 0, v);
	for (unsigned i = 0; v->outcome == OUTCOME_CALL; i++) {
		if (i == CALLS_MAX || !w->script) {
			v->outcome = OUTCOME_SERVFAIL;
			return;
		}
		if (a->via == TRANSPORT_HTTPS && w->conf->doh_headers)
			pq.fields = stream_fields(a->client->stream,
				a->client->stream_id, &pq.fields_len);
		const size_t resume = v->resume;
		if (script_policy(w->script, v->callback, &pq, w->arena, v))
			continue;
		policy_decide(w->conf, &pq, w->arena, resume, v);
	}
}

/* --- resolving -------------------------------------------------------------------- */

static enum server_outcome resolve(const struct asked *a, const struct route *route)
{
	struct worker *w = a->w;
	const struct query *q = a->q;
	const struct resolve_query rq = {
		.iter = {
			.name = q->name,
			.type = q->qtype,
			.rclass = q->qclass,
			.checking_disabled =
				q->flags & FLAG_CD || clock_spares(w, q->name),
			.as_is = q->flags & FLAG_CD,
			.no_cache = route->flags & CONF_NO_CACHE,
			.route = *route,
		},
		.cache_only = !(q->flags & FLAG_RD),
	};
	struct waiter waiter;
	waiter.next = NULL;
	waiter.client = *a->client;
	if (a->client->udp) /* until the answer is out, a successor can find it */
		udp_server_keep(a->client->udp, &waiter.client.peer);
	waiter.q = *q;
	waiter.q.cookie = NULL; /* it is in the packet, which goes */
	waiter.q.name = waiter.name;
	waiter.slot = a->slot;
	waiter.done = NULL;
	waiter.ctx = NULL;
	memcpy(waiter.name, q->name, q->name_len);
	w->due_s = 0;
	switch (resolve_ask(w->resolve, &rq, &waiter)) {
	case RESOLVE_DONE:
		if (w->due_s && !rq.cache_only)
			prefetch_start(w, q, route, w->due_s);
		return SERVER_ANSWER;
	case RESOLVE_LATER:
		return SERVER_LATER;
	case RESOLVE_BUSY:
		break;
	}
	counter_up(w->counters, queries_shed);
	return answer_code(a, RCODE_SERVFAIL, EDE_OTHER, "too many queries under way");
}

/* False: no finished answer is cached. */
static bool answer_fast(const struct asked *a, const struct route *route)
{
	uint32_t due_s;
	a->slot->len = fast_answer(
		a->w, a->q, a->via, route->domain, a->slot->out, a->slot->cap, &due_s);
	if (due_s)
		prefetch_start(a->w, a->q, route, due_s);
	return a->slot->len;
}

static enum server_outcome look_up(const struct asked *a, const struct route *route)
{
	if (a->q->qclass != CLASS_IN)
		return refuse(a, EDE_NOT_SUPPORTED, "class not served");
	if (!(route->flags & CONF_NO_CACHE)) {
		if (answer_fast(a, route))
			return SERVER_ANSWER;
	}
	return resolve(a, route);
}

static enum server_outcome slow_path(const struct asked *a)
{
	struct policy_verdict v;
	decide(a, &v);
	switch (v.outcome) {
	case OUTCOME_RESOLVE:
		return look_up(a, &v.route);
	case OUTCOME_ANSWER:
		return answer_local(a, &v);
	case OUTCOME_REFUSE:
		return refuse(a, v.ede, v.ede_text);
	case OUTCOME_SERVFAIL:
		return answer_code(a, RCODE_SERVFAIL, v.ede, v.ede_text);
	case OUTCOME_TRUNCATE:
		return answer_truncated(a);
	case OUTCOME_SILENCE:
	case OUTCOME_CALL:
		break;
	}
	return SERVER_SILENT;
}

/* --- the way in ------------------------------------------------------------------- */

/* Our own address as the sender, or a port nobody has: answers would go round in
 * circles. */
static bool is_loop(const struct worker *w, const struct client *client)
{
	const struct addr *from = &client->peer.from;
	if (client->stream && client->proxied)
		return false; /* who connected cannot be forged; the port may be missing */
	if (!from->port || addr_is_unusable(from))
		return true;
	for (size_t i = 0; i < w->listener_count; i++) {
		const struct addr *own = &w->listeners[i].addr;
		if (own->port == from->port &&
			(addr_same_ip(own, from) ||
				addr_same_ip(&client->peer.to, from)))
			return true;
	}
	return false;
}

static void count_query(struct counters *c, const struct query *q, enum transport via)
{
	counter_up(c, queries);
	switch (via) {
	case TRANSPORT_UDP:
		counter_up(c, queries_udp);
		break;
	case TRANSPORT_TCP:
		counter_up(c, queries_tcp);
		break;
	case TRANSPORT_TLS:
		counter_up(c, queries_dot);
		break;
	case TRANSPORT_HTTPS:
		counter_up(c, queries_doh);
		break;
	}
	if (q->edns)
		counter_up(c, queries_edns);
	if (q->dnssec_ok)
		counter_up(c, queries_do);
}

/* False: over its rate, and `outcome` says what it gets. Who proved its address by a cookie
 * is no victim of forgery, so is not limited, as nobody over TCP is. */
static bool is_within_rate(const struct asked *a, enum query_verdict verdict,
	enum cookie_verdict cookie, enum server_outcome *outcome)
{
	struct worker *w = a->w;
	*outcome = SERVER_SILENT;
	if (cookie == COOKIE_GOOD)
		return true;
	switch (rate_judge(w, &a->client->from)) {
	case RATE_SERVE:
		return true;
	case RATE_DROP:
		return false;
	case RATE_TRUNCATE:
		break;
	}
	const bool fine = verdict == QUERY_OK || verdict == QUERY_COOKIE;
	if (fine && cookie != COOKIE_NONE) { /* RFC 7873 section 5.2.3 */
		counter_up(w->counters, answers_badcookie);
		*outcome = answer_code(a, RCODE_BADCOOKIE, EDE_NONE, NULL);
	} else if (verdict == QUERY_OK) {
		*outcome = answer_truncated(a);
	}
	return false;
}

/* A well-formed query of a client that is served. */
static enum server_outcome serve_query(const struct asked *a)
{
	struct worker *w = a->w;
	const struct query *q = a->q;
	/* CHAOS names are asked for by monitors with and without RD */
	if (!(q->flags & FLAG_RD) && q->qclass != CLASS_CH &&
		conf_module_on(w->conf, MODULE_refuse_nord))
		return refuse(a, EDE_NOT_AUTHORITATIVE, "recursion only: set RD");
	const bool plain = !w->conf->has_callbacks &&
			   policy_is_plain(w->conf, q->name, q->qtype, q->qclass);
	if (plain && !(w->conf->flags & CONF_NO_CACHE)) {
		static const uint8_t root[1] = { 0 };
		const struct route route = { .kind = ROUTE_ITERATE,
			.zone = root,
			.flags = w->conf->flags,
			.domain = w->conf->domain };
		if (answer_fast(a, &route))
			return SERVER_ANSWER;
	}
	const uint16_t refused = type_refused(q->qtype);
	if (refused)
		return refuse_type(a, refused);
	return slow_path(a);
}

static enum server_outcome serve(const struct asked *a)
{
	const struct query *q = a->q;
	if (poison_has(a->w->poison, q->name, q->qtype, q->qclass,
		    loop_now(a->w->loop)->wall_ms)) {
		counter_up(a->w->counters, queries_poison);
		return answer_code(a, RCODE_SERVFAIL, EDE_OTHER,
			"this question ended a process: try again in some minutes");
	}
	const struct poison_mark before = poison_begin(q->name, q->qtype, q->qclass);
	const enum server_outcome outcome = serve_query(a);
	poison_end(before);
	return outcome;
}

enum server_outcome server_query(struct worker *w, const struct client *client,
	const uint8_t *pkt, size_t len, bool cut, struct reply_slot *slot)
{
	struct query q;
	const struct asked a = { .w = w,
		.client = client,
		.q = &q,
		.via = client->transport,
		.slot = slot };
	enum server_outcome outcome;
	assert(slot->cap >= REPLY_MIN);
	slot->vouched = false;
	enum query_verdict verdict = query_read(&q, pkt, len);
	if (verdict == QUERY_DROP || is_loop(w, client)) {
		counter_up(w->counters, queries_dropped);
		return SERVER_SILENT;
	}
	count_query(w->counters, &q, a.via);
	const enum cookie_verdict cookie = cookies_judge(w, &q, &client->from);
	if (!policy_allows(w->conf, &client->from)) {
		counter_up(w->counters, queries_not_allowed);
		return refuse(&a, EDE_PROHIBITED, NULL);
	}
	if (a.via == TRANSPORT_UDP) {
		if (!is_within_rate(&a, verdict, cookie, &outcome))
			return outcome;
		/* addresses of this host's own loopback never come from outside */
		slot->vouched = cookie == COOKIE_GOOD || client->proxied ||
				addr_is_loopback(&client->peer.from);
	}
	if (cut)
		verdict = QUERY_FORMERR;
	return verdict == QUERY_OK ? serve(&a) : refuse_verdict(&a, verdict);
}

/* --- the way out ------------------------------------------------------------------ */

/* An answer that came too late is thrown away: who piles them up can't have them fired
 * at once. */
static bool too_late(struct worker *w, const struct client *client, int64_t took_us)
{
	if (client->stream || took_us <= (LIMIT_QUERY_TIME_MS + 1000) * INT64_C(1000))
		return false;
	counter_up(w->counters, answers_late);
	return true;
}

static void send_reply(const struct client *client, const struct reply_slot *slot)
{
	if (client->stream)
		stream_reply(client->stream, client->stream_id, slot->out, slot->len);
	else if (client->udp)
		udp_server_reply(client->udp, &client->peer, slot->out, slot->len);
}

void server_deliver(
	void *ctx, struct waiter *waiter, const struct resolve_result *result)
{
	struct worker *w = ctx;
	const struct iter_answer *answer = result->answer;
	const struct query *q = &waiter->q;
	const struct client *client = &waiter->client;
	const int64_t took_us = loop_now(w->loop)->mono_us - client->arrived_us;
	if (too_late(w, client, took_us)) {
		if (client->udp)
			udp_server_forget(client->udp, &client->peer);
		return;
	}
	const char *reason = NULL;
	int ede = answer->ede;
	if (ede == EDE_NONE && clock_spares(w, q->name))
		ede = EDE_NEGATIVE_ANCHOR;
	if (ede == EDE_NEGATIVE_ANCHOR && w->anchors)
		reason = anchor_reason(
			w->anchors, q->name, now_wall_s(loop_now(w->loop)));
	const struct respond_what what = {
		.rcode = answer->rcode,
		.ad = answer->status == CACHE_SECURE &&
		      (q->dnssec_ok || q->flags & FLAG_AD),
		.ede = ede,
		.ede_text = answer->ede_text ? answer->ede_text : reason,
		.ede_origin = answer->ede_origin > 0 ? answer->ede_origin : 0,
		.records = answer->records,
		.count = answer->record_count,
		.rotate = w->respond.rotate ? w->rotate++ : 0,
	};
	const struct respond_what fail = { .rcode = RCODE_SERVFAIL, .ede = EDE_NONE };
	const bool sentinel = sentinel_fails(w, q, answer);
	struct reply_slot own = { .out = w->reply, .cap = SCRATCH_LEN };
	const struct asked a = {
		.w = w,
		.client = client,
		.q = q,
		.via = client->transport,
		.slot = waiter->slot ? waiter->slot : &own,
	};
	if (answer->from_cache)
		counter_up(w->counters, answers_cached);
	if (answer->due && answer->from_cache && answer->cacheable)
		w->due_s = answer->ttl;
	if (answer->stale)
		counter_up(w->counters, answers_stale);
	answer_with(&a, sentinel ? &fail : &what, took_us);
	if (!waiter->slot)
		send_reply(client, &own);
	if (!sentinel)
		keep_answer(w, q, result);
}
