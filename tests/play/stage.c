/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "dnssec/anchor.h"
#include "wire/codes.h"
#include "wire/writer.h"
#include "worker/server.h"

enum {
	RTT_US = 1000,
	ASKS = 64,
	TURN_US = 10000, /* at most so far does the clock go without a turn of the loop
			  */
	OPT_LEN = 11,
	TEXT = 512,
	CLIENT_PORT = 4711,
};

/* A question to a server, until the asker cancels it or it times out. */
struct ask {
	bool open;
	ask_fn *fn;
	void *fn_ctx;
	int64_t answer_us; /* 0: none comes, or it came */
	int64_t end_us;
	uint8_t *reply;
	size_t reply_len;
};

struct stage {
	struct worker w;
	struct counters counters;
	const struct play *play;
	struct stage_conf conf;
	unsigned step;
	struct ask asks[ASKS];
	unsigned asked;
	uint8_t *answer; /* NULL: not there yet */
	size_t answer_len;
	char unscripted[TEXT];
};

/* --- clock and random numbers ------------------------------------------------------- */

static struct now stage_now = { .mono_us = 1000000 };

/* In place of base/clock's: all of the program sees this one. */
struct now clock_read(void)
{
	return stage_now;
}

static void let_pass(int64_t us)
{
	stage_now.mono_us += us;
	stage_now.wall_ms += us / 1000;
}

static void scripted_fill(struct random *r, void *out, size_t len)
{
	uint64_t x;
	memcpy(&x, r->buf, sizeof(x));
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		((uint8_t *)out)[i] = (uint8_t)(x >> 24);
	}
	memcpy(r->buf, &x, sizeof(x));
}

/* --- what net would do with answers --------------------------------------------------- */

static void take_answer(struct stage *s, const uint8_t *data, size_t len)
{
	if (s->answer)
		return;
	s->answer = malloc(len ? len : 1);
	assert(s->answer);
	memcpy(s->answer, data, len);
	s->answer_len = len;
}

void udp_server_reply(struct udp_server *s, const struct udp_peer *to,
	const uint8_t *data, size_t len)
{
	(void)to;
	take_answer((struct stage *)(void *)s, data, len);
}

void udp_server_keep(struct udp_server *s, struct udp_peer *peer)
{
	(void)s, (void)peer;
}

void udp_server_forget(struct udp_server *s, const struct udp_peer *peer)
{
	(void)s, (void)peer;
}

bool stream_reply(
	struct stream_server *s, struct stream_id id, const uint8_t *data, size_t len)
{
	(void)id;
	take_answer((struct stage *)(void *)s, data, len);
	return true;
}

const char *stream_fields(struct stream_server *s, struct stream_id id, size_t *len)
{
	(void)s, (void)id;
	*len = 0;
	return NULL;
}

/* --- the scripted servers --------------------------------------------------------- */

static bool among(const struct addr *list, unsigned count, const struct addr *a)
{
	for (unsigned i = 0; i < count; i++)
		if (addr_same_ip(&list[i], a))
			return true;
	return false;
}

/* Is it the address of any range? */
static bool is_placed(const struct play *p, const struct addr *a)
{
	for (unsigned i = 0; i < p->range_count; i++)
		if (among(p->ranges[i].at, p->ranges[i].at_count, a))
			return true;
	return false;
}

static bool fits(const struct play_entry *e, const struct msg *query, bool tcp)
{
	char why[TEXT];
	return e->matchable && match_entry(e, query, tcp, why);
}

static struct play_entry *find_entry(
	struct stage *s, const struct addr *at, const struct msg *query, bool tcp)
{
	/* what was used is part of the run: play_rewind() */
	struct play *p = (struct play *)(uintptr_t)s->play;
	const bool placed = is_placed(p, at);
	for (unsigned i = 0; i < p->range_count; i++) {
		struct play_range *r = &p->ranges[i];
		if (s->step < r->first || s->step > r->last ||
			(r->at_count && placed && !among(r->at, r->at_count, at)))
			continue;
		for (unsigned k = 0; k < r->entry_count; k++)
			if (fits(&r->entries[k], query, tcp))
				return &r->entries[k];
	}
	for (unsigned i = 0; i < p->step_count; i++) {
		struct play_step *step = &p->steps[i];
		if (step->kind != PLAY_REPLY || step->number < s->step || step->used ||
			(step->at.family && !addr_same_ip(&step->at, at)) ||
			!step->has_entry || !fits(&step->entry, query, tcp))
			continue;
		step->used = true;
		return &step->entry;
	}
	return NULL;
}

static void put16(uint8_t *at, unsigned n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

/* EDNS as the query has it. */
static size_t put_opt(uint8_t *out, size_t len, const struct msg *query, uint16_t rcode,
	unsigned size)
{
	if (!query->edns && rcode <= FLAG_RCODE_MASK)
		return len;
	uint8_t *at = out + len;
	memset(at, 0, OPT_LEN);
	put16(at + 1, TYPE_OPT);
	put16(at + 3, size);
	at[5] = (uint8_t)(rcode >> 4);
	at[7] = query->dnssec_ok ? 0x80 : 0;
	put16(out + 10, (unsigned)(out[10] << 8 | out[11]) + 1);
	return len + OPT_LEN;
}

static size_t put_question(
	uint8_t *out, const uint8_t *name, unsigned type, unsigned rclass)
{
	const size_t len = name_copy(out, name);
	put16(out + len, type);
	put16(out + len + 2, rclass);
	return len + 4;
}

static size_t no_entry(struct stage *s, const struct addr *at, const struct msg *query,
	bool tcp, uint8_t *out)
{
	char ip[ADDR_TEXT_MAX], name[NAME_TEXT_MAX], type[16];
	if (!s->unscripted[0])
		snprintf(s->unscripted, TEXT, "step %u: %s%s %.300s %s", s->step,
			addr_ip_text(at, ip), tcp ? " TCP" : "",
			name_to_text(query->qname, name),
			type_to_text(query->qtype, type));
	memset(out, 0, 12);
	put16(out, query->id);
	put16(out + 2, FLAG_QR | (query->flags & (FLAG_RD | FLAG_OPCODE_MASK)) |
			       RCODE_SERVFAIL);
	put16(out + 4, 1);
	const size_t len =
		12 + put_question(out + 12, query->qname, query->qtype, query->qclass);
	return put_opt(out, len, query, 0, 4096);
}

/* The entry's message, as an answer to this query; 0: silence. */
static size_t compose(
	struct play_entry *e, const struct msg *query, uint8_t *out, size_t cap)
{
	struct msg own;
	e->fired = true;
	if (e->silent || e->len + NAME_MAX_LEN + OPT_LEN > cap)
		return 0;
	memcpy(out, e->wire, e->len);
	if ((e->copy_id || e->raw_id) && e->len >= 2)
		put16(out, query->id);
	if (e->raw)
		return e->len;
	const bool readable = msg_read(&own, e->wire, e->len);
	assert(readable);
	size_t len = 12;
	const bool asks = e->copy_query || own.qd_count;
	put16(out + 4, asks);
	if (asks)
		len += put_question(out + 12,
			e->copy_query || e->copy_id ? query->qname : own.qname,
			e->copy_query ? query->qtype : own.qtype,
			e->copy_query ? query->qclass : own.qclass);
	memcpy(out + len, e->wire + own.body, e->len - own.body);
	return put_opt(out, len + e->len - own.body, query, e->rcode, 1232);
}

/* What is sent, for people. */
static void show(const uint8_t *msg, size_t len)
{
	char name[NAME_TEXT_MAX], type[16];
	struct msg m;
	if (!msg_read(&m, msg, len)) {
		fprintf(stderr, "        %zu octets, no message\n", len);
		return;
	}
	fprintf(stderr, "        rcode %u flags %04x\n", m.rcode, m.flags);
	struct msg_walk walk = msg_begin(&m);
	struct msg_rr rr;
	while (msg_next(&walk, &rr))
		fprintf(stderr, "        %u %s %s\n", rr.section,
			name_to_text(rr.name, name), type_to_text(rr.type, type));
}

static size_t serve(struct stage *s, const struct addr *at, const struct msg *query,
	bool tcp, uint8_t *out, size_t cap, int64_t *sleep_us)
{
	if (!among(s->play->servers, s->play->server_count, at))
		return 0;
	struct play_entry *e = find_entry(s, at, query, tcp);
	if (s->conf.trace) {
		char ip[ADDR_TEXT_MAX], name[NAME_TEXT_MAX], type[16];
		fprintf(stderr, "    step %u: %s%s %s %s: line %u\n", s->step,
			addr_ip_text(at, ip), tcp ? " TCP" : "",
			name_to_text(query->qname, name),
			type_to_text(query->qtype, type), e ? e->line : 0);
	}
	*sleep_us = e ? e->sleep_us : 0;
	size_t len = e ? compose(e, query, out, cap) : no_entry(s, at, query, tcp, out);
	if (len && s->conf.meddle)
		len = s->conf.meddle(s->conf.meddle_ctx, s->play, out, len, cap);
	if (s->conf.trace && s->conf.meddle)
		show(out, len);
	return len;
}

static struct ask *ask_begin(
	void *ctx, const struct iter_ask *what, ask_fn *fn, void *fn_ctx)
{
	static uint8_t out[PLAY_MESSAGE];
	struct stage *s = ctx;
	struct msg query;
	int64_t sleep_us = 0;
	struct ask *a = s->asks;
	while (a < s->asks + ASKS && a->open)
		a++;
	if (a == s->asks + ASKS)
		return NULL;
	const bool readable = msg_read(&query, what->msg, what->len);
	assert(readable && query.qd_count == 1);
	s->asked++;
	const size_t reply =
		serve(s, &what->server, &query, what->tcp, out, sizeof(out), &sleep_us);
	*a = (struct ask){ .open = true,
		.fn = fn,
		.fn_ctx = fn_ctx,
		.end_us = stage_now.mono_us + what->timeout_us };
	if (reply) { /* exactly as long as it is, so that a sanitizer sees any read past it
		      */
		a->reply = malloc(reply);
		assert(a->reply);
		memcpy(a->reply, out, reply);
		a->reply_len = reply;
		a->answer_us = stage_now.mono_us + RTT_US + sleep_us;
	}
	return a;
}

static void ask_cancel(void *ctx, struct ask *a)
{
	(void)ctx;
	assert(a->open);
	free(a->reply);
	*a = (struct ask){ 0 };
}

/* --- time goes on --------------------------------------------------------------------- */

static int64_t next_us(const struct ask *a)
{
	return a->answer_us && a->answer_us < a->end_us ? a->answer_us : a->end_us;
}

static struct ask *next_ask(struct stage *s)
{
	struct ask *next = NULL;
	for (struct ask *a = s->asks; a < s->asks + ASKS; a++)
		if (a->open && (!next || next_us(a) < next_us(next)))
			next = a;
	return next;
}

static void happen(struct ask *a)
{
	ask_fn *const fn = a->fn;
	void *const fn_ctx = a->fn_ctx;
	if (next_us(a) != a->answer_us) { /* over by itself */
		free(a->reply);
		*a = (struct ask){ 0 };
		fn(fn_ctx, a, ASK_TIMEOUT, NULL, 0);
		return;
	}
	uint8_t *reply = a->reply;
	a->reply = NULL;
	a->answer_us = 0;
	fn(fn_ctx, a, ASK_MESSAGE, reply, a->reply_len); /* it may be cancelled */
	free(reply);
}

static void turn(struct stage *s)
{
	struct ask *a = next_ask(s);
	const int64_t at_us = a ? next_us(a) : INT64_MAX;
	loop_turn(s->w.loop, 0);
	if (s->answer || a != next_ask(s))
		return;
	const int64_t ahead = at_us - stage_now.mono_us;
	if (resolve_in_flight(s->w.resolve))
		let_pass(ahead < 0 ? 0 : ahead < TURN_US ? ahead : TURN_US);
	loop_refresh(s->w.loop);
	if (a && at_us <= stage_now.mono_us)
		happen(a);
}

struct stage_answer stage_query(
	struct stage *s, const uint8_t *msg, size_t len, bool tcp, int64_t patience_ms)
{
	static uint8_t out[SCRATCH_LEN];
	const int64_t begin_us = stage_now.mono_us,
		      end_us = begin_us + patience_ms * 1000;
	struct client client = { .peer = { .from = s->play->from, .to = s->play->to },
		.transport = tcp ? TRANSPORT_TCP : TRANSPORT_UDP,
		.arrived_us = begin_us };
	client.peer.from.port = CLIENT_PORT;
	if (tcp)
		client.stream = (struct stream_server *)(void *)s;
	else
		client.udp = (struct udp_server *)(void *)s;
	free(s->answer);
	s->answer = NULL;
	s->asked = 0;
	loop_refresh(s->w.loop);
	struct reply_slot slot = { .out = out, .cap = tcp ? sizeof(out) : 4096 };
	const enum server_outcome outcome =
		server_query(&s->w, &client, msg, len, false, &slot);
	if (outcome == SERVER_ANSWER)
		take_answer(s, out, slot.len);
	while (outcome == SERVER_LATER && !s->answer && stage_now.mono_us < end_us)
		turn(s);
	return (struct stage_answer){ .msg = s->answer,
		.len = s->answer_len,
		.asked = s->asked,
		.took_ms = (stage_now.mono_us - begin_us) / 1000 };
}

void stage_at(struct stage *s, unsigned step)
{
	s->step = step;
}

void stage_pass(struct stage *s, int64_t ms)
{
	stage_now.wall_ms += ms;
	loop_refresh(s->w.loop);
}

/* --- beginning and end -------------------------------------------------------------- */

static struct anchor_set *make_anchors(const struct conf *c)
{
	struct anchor_set *set = anchor_set_new();
	assert(set);
	if (c->anchor_builtin)
		anchor_set_builtin(set);
	for (size_t i = 0; i < c->anchor_count; i++)
		anchor_set_add(set, c->anchors[i].owner, c->anchors[i].type,
			c->anchors[i].rdata, c->anchors[i].rdata_len);
	for (size_t i = 0; i < c->insecure_count; i++)
		anchor_set_negative(set, c->insecure[i].name, c->insecure[i].reason,
			c->insecure[i].until_s);
	const bool sealed = anchor_set_seal(set);
	assert(sealed);
	return set;
}

static void open_memory(struct worker *w, uint64_t seed)
{
	static const char nowhere[] = "/nonexistent/run"; /* a private segment */
	const struct cache_conf cc = { .run_folder = nowhere, .size = CACHE_SIZE_MIN };
	const struct hash_key secret = { seed, 2 };
	w->cache = cache_open(&cc, w->counters, &w->random);
	w->infra = infra_open(NULL, &w->random);
	w->pages = pages_open(NULL, w->cache, w->counters, &w->random);
	w->arena = arena_new(1024 * 1024);
	w->keep_seen = calloc(KEEP_SLOTS, sizeof(*w->keep_seen));
	w->scratch = malloc(SCRATCH_LEN);
	w->reply = malloc(SCRATCH_LEN);
	const bool fine = verifier_init(&w->verifier, 256, CRYPTO_SHA1, &secret);
	assert(fine && w->cache && w->infra && w->pages && w->arena && w->keep_seen &&
		w->scratch && w->reply);
}

struct stage *stage_new(const struct stage_conf *conf)
{
	char error[1024];
	int warnings;
	struct stage *s = calloc(1, sizeof(*s));
	assert(s);
	struct worker *w = &s->w;
	s->conf = *conf;
	s->play = conf->play;
	log_set_level(conf->trace ? LOG_LEVEL_DEBUG : LOG_LEVEL_CRIT);
	stage_now.wall_ms = s->play->start_s * 1000;
	w->script = script_load(s->play->config, "1", true, NULL, error, &warnings);
	if (!w->script) {
		fprintf(stderr, "%s\n", error);
		exit(2);
	}
	w->conf = script_conf(w->script);
	w->counters = &s->counters;
	w->random.fill = scripted_fill;
	const uint64_t seed = conf->seed * 2 + 1;
	memcpy(w->random.buf, &seed, sizeof(seed));
	w->loop = loop_new();
	assert(w->loop);
	open_memory(w, seed);
	w->anchors = make_anchors(w->conf);
	const struct resolve_env env = {
		.loop = w->loop,
		.iter = { .conf = w->conf,
			.cache = w->cache,
			.infra = w->infra,
			.pages = w->pages,
			.random = &w->random,
			.counters = w->counters,
			.anchors = w->anchors,
			.verifier = &w->verifier },
		.counters = w->counters,
		.random = &w->random,
		.serve_stale = conf_module_on(w->conf, MODULE_serve_stale),
		.stale_after_us = INT64_C(1800) * 1000,
		.ask = ask_begin,
		.cancel = ask_cancel,
		.ask_ctx = s,
		.answer = server_deliver,
		.ctx = w,
	};
	w->resolve = resolve_new(&env);
	assert(w->resolve);
	respond_setup(&w->respond, w->conf);
	return s;
}

void stage_free(struct stage *s)
{
	struct worker *w = &s->w;
	resolve_give_up(w->resolve, EDE_NOT_READY, "the scenario is over");
	resolve_free(w->resolve);
	for (unsigned i = 0; i < ASKS; i++)
		assert(!s->asks[i].open);
	anchor_set_drop(w->anchors);
	pages_close(w->pages);
	infra_close(w->infra);
	cache_close(w->cache);
	verifier_fini(&w->verifier);
	arena_free(w->arena);
	free(w->keep_seen);
	free(w->scratch);
	free(w->reply);
	loop_free(w->loop);
	script_free(w->script);
	free(s->answer);
	free(s);
}

const char *stage_unscripted(const struct stage *s)
{
	return s->unscripted[0] ? s->unscripted : NULL;
}

const struct counters *stage_counters(const struct stage *s)
{
	return &s->counters;
}
