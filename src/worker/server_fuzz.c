/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes from a client, over UDP or TCP: whatever leaves is a whole, valid answer to
 * them. No network: every server is unreachable, one finished answer lies in the cache.
 * The first byte of the input chooses the circumstances. */
#include "worker/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cache/answer.h"
#include "wire/codes.h"
#include "wire/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BY_TCP = 1, STRANGER = 2, CUT = 4, OWN_ADDRESS = 8, REFUSE_NORD_OFF = 16 };

static const uint8_t *asked;
static size_t asked_len;
static size_t limit;

static void must(bool fine)
{
	if (!fine)
		abort();
}

static void check_answer(const uint8_t *out, size_t len)
{
	struct msg m;
	must(len <= limit && asked_len >= 12 && msg_read(&m, out, len));
	must(m.id == (asked[0] << 8 | asked[1]));
	must(m.flags & FLAG_QR);
	/* RD, opcode and CD come back */
	must((m.flags & (FLAG_OPCODE_MASK | FLAG_RD)) ==
		((asked[2] << 8) & (FLAG_OPCODE_MASK | FLAG_RD)));
	if (m.qd_count)
		must(asked_len >= 12 + name_len(m.qname) + 4 &&
			memcmp(m.qname, asked + 12, name_len(m.qname)) == 0);
	if (m.flags & FLAG_TC)
		must(!m.count[SECTION_ANSWER] && !m.count[SECTION_AUTHORITY]);
}

/* Answers outside the call; these stand in for net's. */
void udp_server_reply(struct udp_server *s, const struct udp_peer *to,
	const uint8_t *data, size_t len)
{
	(void)s, (void)to;
	check_answer(data, len);
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
	(void)s, (void)id;
	check_answer(data, len);
	return true;
}

const char *stream_fields(struct stream_server *s, struct stream_id id, size_t *len)
{
	(void)s, (void)id, (void)len;
	abort(); /* no rules here */
}

bool script_policy(struct script *s, int callback, const struct policy_query *q,
	struct arena *arena, struct policy_verdict *out)
{
	(void)s, (void)callback, (void)q, (void)arena, (void)out;
	abort(); /* no rules here */
}

static struct ask *ask_nobody(
	void *ctx, const struct iter_ask *what, ask_fn *fn, void *fn_ctx)
{
	(void)ctx, (void)fn, (void)fn_ctx;
	struct msg m;
	must(msg_read(
		&m, what->msg, what->len)); /* what we would send is well-formed too */
	return NULL;
}

static void cancel_nothing(void *ctx, struct ask *a)
{
	(void)ctx, (void)a;
	abort();
}

static struct worker w;
static struct conf *conf;
static struct counters counters;
static struct listener listener;

/* "www." A, twice: something for the fast path to find and to cut. */
static void put_finished_answer(void)
{
	static const uint8_t name[] = { 3, 'w', 'w', 'w', 0 };
	uint8_t msg[4096] = { 0, 1, 0x81, 0x80, 0, 1, 0, 60 };
	size_t len = 12;
	memcpy(msg + len, name, sizeof(name));
	memcpy(msg + len + sizeof(name), "\0\1\0\1", 4);
	len += sizeof(name) + 4;
	for (uint8_t i = 0; i < 60; i++) {
		memcpy(msg + len, "\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\xc0\0\2", 15);
		msg[len + 15] = i;
		len += 16;
	}
	const struct now *now = loop_now(w.loop);
	struct cache_meta meta = {
		.stored_s = now_wall_s(now),
		.expire_s = now_wall_s(now) + 3600 * 24,
		.generation = cache_generation(w.cache),
		.epoch = cache_epoch(w.cache),
		.rank = RANK_AUTH_ANSWER,
		.ede = EDE_NONE,
	};
	struct cache_key key = { .kind = CACHE_ANSWER,
		.type = TYPE_A,
		.rclass = CLASS_IN,
		.domain = conf->domain,
		.name = name };
	must(answer_put(w.cache, &key, now, &meta, msg, len));
}

static void set_up(void)
{
	conf = conf_new();
	conf->nsid = "fuzz";
	w.cookies.on = true;
	w.cookies.server.count = 2;
	conf->modules |= 1u << MODULE_nsid;
	conf_finish(conf);
	random_init(&w.random);
	w.conf = conf;
	w.counters = &counters;
	w.loop = loop_new();
	log_set_level(LOG_LEVEL_CRIT);
	const struct cache_conf cc = { .run_folder = "/nonexistent/run",
		.size = CACHE_SIZE_MIN };
	w.cache = cache_open(&cc, &counters, &w.random);
	w.infra = infra_open(NULL, &w.random);
	w.arena = arena_new(1024 * 1024);
	w.keep_seen = calloc(KEEP_SLOTS, sizeof(*w.keep_seen));
	w.scratch = malloc(SCRATCH_LEN);
	w.reply = malloc(SCRATCH_LEN);
	listener.addr =
		(struct addr){ .family = 4, .ip = { 127, 0, 0, 1 }, .port = 53 };
	w.listeners = &listener;
	w.listener_count = 1;
	const struct resolve_env env = {
		.loop = w.loop,
		.iter = { .conf = conf,
			.cache = w.cache,
			.infra = w.infra,
			.random = &w.random,
			.counters = &counters },
		.counters = &counters,
		.random = &w.random,
		.ask = ask_nobody,
		.cancel = cancel_nothing,
		.answer = server_deliver,
		.ctx = &w,
	};
	w.resolve = resolve_new(&env);
	respond_setup(&w.respond, conf);
	must(w.cache && w.infra && w.arena && w.keep_seen && w.scratch && w.reply &&
		w.resolve);
	put_finished_answer();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[SCRATCH_LEN];
	if (!w.conf)
		set_up();
	const uint8_t how = size ? *data++ : 0;
	asked = data;
	asked_len = size ? size - 1 : 0;
	struct client client = {
		.peer.from = { .family = 4, .ip = { 10, 0, 0, 1 }, .port = 4711 },
		.peer.to = listener.addr,
		.arrived_us = loop_now(w.loop)->mono_us,
	};
	if (how & STRANGER)
		client.peer.from.ip[0] = 9;
	if (how & OWN_ADDRESS)
		client.peer.from = listener.addr;
	client.from = client.peer.from;
	client.to = client.peer.to;
	if (how & BY_TCP)
		client.stream =
			(struct stream_server *)(void *)out; /* never looked into */
	else
		client.udp = (struct udp_server *)(void *)out;
	conf->modules |= 1u << MODULE_refuse_nord;
	if (how & REFUSE_NORD_OFF)
		conf->modules &= ~(1u << MODULE_refuse_nord);
	limit = how & BY_TCP ? 65535 : 1232;

	struct reply_slot slot = { .out = out,
		.cap = how & BY_TCP ? sizeof(out) : 4096 };
	const enum server_outcome got =
		server_query(&w, &client, asked, asked_len, how & CUT, &slot);
	if (got == SERVER_ANSWER)
		check_answer(out, slot.len);
	must(got != SERVER_ANSWER || !(how & OWN_ADDRESS));
	for (int i = 0; i < 8 && resolve_in_flight(w.resolve); i++)
		loop_turn(w.loop, 0);
	resolve_give_up(w.resolve, EDE_NOT_READY, "fuzz");
	must(resolve_in_flight(w.resolve) == 0 && resolve_waiting(w.resolve) == 0);
	return 0;
}
