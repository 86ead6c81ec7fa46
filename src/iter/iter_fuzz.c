/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/iter_fuzz.c - whatever servers send, and whatever else happens, a resolution
 * ends within its budget.
 *
 * Input: one byte picks the question, then for each event a byte of kind; messages
 * follow as a length byte and bytes, most of them behind a header and question that
 * fit. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "iter/world.h"
#include "wire/codes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world *world;

/* Within what the signatures last. */
enum { SIGNED_MS = 20 * 86400 * 1000 };
static int64_t born_ms;

static void close_world(void)
{
	world_free(world);
}

static void check(bool fine)
{
	if (!fine)
		abort();
}

/* The next `len` bytes of the input, fewer at its end. */
static size_t take(struct cursor *in, uint8_t *to, size_t len)
{
	const uint8_t *from = cursor_bad(in) ? NULL : cursor_take(in, len);
	if (from)
		memcpy(to, from, len);
	return from ? len : 0;
}

static void *need(size_t len)
{
	void *p = malloc(len ? len : 1);
	check(p);
	return p;
}

/* The asked question, as an answer: the header's flags and counts and all records are
 * the input's. */
static uint8_t *fitting(const struct iter_ask *ask, struct cursor *in, size_t *len)
{
	const size_t question = 12 + name_len(ask->msg + 12) + 4;
	const uint8_t flags = cursor_u8(in), rcode = cursor_u8(in);
	const uint8_t counts = cursor_u8(in);
	size_t body = cursor_u8(in);
	body = body * 2 < cursor_left(in) ? body * 2 : cursor_left(in);
	uint8_t *msg = need(question + body);
	memcpy(msg, ask->msg, question);
	msg[2] = (uint8_t)(0x80 | (flags & 7));
	msg[3] = rcode & 0x8f;
	memset(msg + 6, 0, 6);
	msg[7] = counts & 7;
	msg[9] = counts >> 3 & 7;
	msg[11] = counts >> 6;
	*len = question + take(in, msg + question, body);
	return msg;
}

static uint8_t *raw(struct cursor *in, size_t *len)
{
	size_t n = cursor_u8(in);
	n = n < cursor_left(in) ? n : cursor_left(in);
	uint8_t *msg = need(n);
	*len = take(in, msg, n);
	return msg;
}

static void happen(struct iter *it, const struct iter_ask *ask, struct cursor *in,
	struct iter_wish *wish)
{
	const uint8_t what = cursor_left(in) ? cursor_u8(in) : 9;
	struct iter_event ev = { .kind = ITER_MESSAGE,
		.shared = what & 0x40 && ask->joinable,
		.rtt_us = 1000 };
	uint8_t *msg = NULL;
	switch (what & 15) {
	case 9:
		ev.kind = ITER_TIMEOUT;
		world_sleep(world, ask->timeout_us / 1000 + 1);
		break;
	case 10:
		ev.kind = ITER_UNREACHABLE;
		ev.shared = false;
		break;
	case 11:
		ev.kind = ITER_CLOSED;
		ev.shared = false;
		break;
	case 12:
		ev.kind = ITER_CONTINUE;
		break;
	case 13:
		msg = raw(in, &ev.len);
		break;
	case 14:
	case 15: { /* what the world's server says */
		msg = need(4096);
		ev.len = world_reply(world, ask, msg, 4096);
		break;
	}
	default:
		msg = fitting(ask, in, &ev.len);
	}
	ev.msg = msg;
	world->now.mono_us += 1000;
	iter_step(it, &ev, &world->now, wish);
	free(msg);
}

static void check_answer(const struct iter *it)
{
	const struct iter_answer *a = iter_answer(it);
	check(a->packets <= LIMIT_UPSTREAM_PACKETS);
	for (size_t i = 0; i < a->record_count; i++) {
		const struct rrset *rr = &a->records[i].rr;
		check(rrset_valid(rr));
		check(name_check(rr->name, NAME_MAX_LEN) > 0);
		check(rr->ttl <= world->conf->cache_max_ttl);
	}
	check(a->rcode == RCODE_NOERROR || a->rcode == RCODE_NXDOMAIN ||
		a->rcode == RCODE_YXDOMAIN || a->rcode == RCODE_SERVFAIL);
}

static void make_world(void)
{
	world = world_new();
	atexit(close_world);
	world_zone(world, ".", "192.0.2.1",
		". 518400 NS a.root.\n"
		"a.root. 518400 A 192.0.2.1\n"
		"com. 172800 NS a.com.\n"
		"com. 172800 NS b.net.\n"
		"a.com. 172800 A 192.0.2.2\n");
	world_zone(world, "com.", "192.0.2.2",
		"com. 100 NS a.com.\n"
		"w.com. 100 CNAME x.y.com.\n"
		"y.com. 100 NS ns.y.com.\n"
		"y.com. 100 NS ns.z.com.\n"
		"ns.y.com. 100 A 192.0.2.3\n");
	world_sign(world, "com.", SIGN_WELL);
	world_sign(world, ".", SIGN_WELL);
	world_trust(world, ".");
	born_ms = world->now.wall_ms;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { TYPE_A, TYPE_NS, TYPE_DS, TYPE_CNAME,
		TYPE_DNAME, TYPE_RRSIG, TYPE_AAAA, TYPE_SOA };
	static const char *const names[] = { "\1w\3com", "\1a\1b\1c\1y\3com", "",
		"\1x\1y\3com" };
	if (!world)
		make_world();
	struct cursor in = cursor_over(data, size);
	const uint8_t pick = cursor_u8(&in);
	const struct iter_env env = { .conf = world->conf,
		.cache = world->cache,
		.infra = world->infra,
		.random = &world->random,
		.counters = &world->counters,
		.verifier = &world->verifier,
		.anchors = pick & 0x20 ? NULL : world->anchors };
	struct iter_query q = { .name = (const uint8_t *)names[pick >> 3 & 3],
		.type = types[pick & 7],
		.rclass = CLASS_IN,
		.checking_disabled = pick & 0x40,
		.no_cache = pick & 0x80 };
	cache_clear_all(world->cache);
	world_sleep(world, 100 * 1000);
	if (world->now.wall_ms > born_ms + SIGNED_MS) /* else all is expired */
		world->now.wall_ms = born_ms;
	policy_route(world->conf, q.name, &q.route);
	struct iter *it = iter_new(&env, &q, &world->now);
	check(it);
	const struct iter_event start = { .kind = ITER_START };
	struct iter_ask ask = { 0 };
	struct iter_wish wish;
	iter_step(it, &start, &world->now, &wish);
	for (unsigned turn = 0; wish.want != ITER_DONE; turn++) {
		check(turn < 10 * LIMIT_STEPS + size);
		check(wish.want != ITER_WAIT || ask.msg);
		if (wish.want == ITER_ASK)
			ask = wish.ask;
		if (wish.want == ITER_AGAIN) {
			const struct iter_event again = { .kind = ITER_CONTINUE };
			iter_step(it, &again, &world->now, &wish);
		} else {
			happen(it, &ask, &in, &wish);
		}
	}
	check_answer(it);
	iter_free(it);
	return 0;
}
