/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/line_fuzz.c - a server over TLS that does as the input says: answers well, badly, late, twice,
 * never, closes, falls silent, is not who it should be; askers ask, ask on from their callbacks, give
 * up. Layers of ours stand for TLS, sockets that are connected to nothing (and so always ready) for
 * TCP, the clock is ours.
 *
 * Whatever happens: what is delivered fits its question and has its id, an ask that is over stays so
 * and none is forgotten, nothing is said to who has not proved who he is, and connections and
 * questions keep their limits. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "net/tls_client.h"
#include "net/upstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	ASKS = 200,
	LAYERS = 16, /* of one time: more than there may be */
	HEAD_LEN = 12,
	QUESTION_LEN = HEAD_LEN + 3 + 4,
	NAMES = 8,
	HEARD = LIMIT_TLS_PIPELINE,
	SAID_MAX = 4096,
	MORE = 32,
};

static void must(bool ok)
{
	if (!ok)
		__builtin_trap();
}

/* --- the server ---------------------------------------------------------------------- */

struct tls_peer {
	struct play *play;
};

struct server_end {
	struct stream_layer base; /* first */
	struct play *play;
	enum { SHAKES, BREAKS, UNTRUSTED, HANGS } how;
	bool live, shook, ended, broken, stuck;
	uint8_t said[SAID_MAX]; /* waits to be read */
	size_t said_len;
	uint8_t heard[HEARD][QUESTION_LEN]; /* the last questions, round and round */
	unsigned heard_count;
	uint8_t part[2 + QUESTION_LEN];
	size_t part_len;
};

struct asker {
	struct play *play;
	struct ask *a; /* NULL: none */
	uint8_t msg[QUESTION_LEN];
};

struct play {
	struct loop *loop;
	struct upstream *up;
	struct upstream_line *line;
	struct server_end ends[LAYERS];
	struct asker askers[ASKS];
	unsigned open; /* asks */
	unsigned layers;
	unsigned next_how;
	unsigned ask_on; /* from callbacks, so many more */
	bool asked[NAMES];
	bool keep; /* an asker does not stop at its first answer */
};

static int64_t fake_us = 1000000000;

struct now clock_read(void)
{
	return (struct now){ .mono_us = fake_us, .wall_ms = fake_us / 1000 };
}

/* In place of the C library's: nothing leaves this process. */
int connect(int fd, __CONST_SOCKADDR_ARG name, socklen_t len)
{
	(void)name;
	return fd >= 0 && len ? 0 : -1;
}

static int end_handshake(struct stream_layer *y)
{
	struct server_end *e = (struct server_end *)y;
	e->shook = e->how == SHAKES;
	if (e->how == HANGS)
		return LAYER_WANT_READ;
	return e->shook ? LAYER_DONE : LAYER_BROKEN;
}

static ssize_t end_read(struct stream_layer *y, void *buf, size_t len)
{
	struct server_end *e = (struct server_end *)y;
	must(e->shook);
	if (e->broken)
		return LAYER_BROKEN;
	const size_t n = e->said_len < len ? e->said_len : len;
	memcpy(buf, e->said, n);
	memmove(e->said, e->said + n, e->said_len - n);
	e->said_len -= n;
	if (n)
		return (ssize_t)n;
	return e->ended ? LAYER_DONE : LAYER_WANT_READ;
}

static void question_make(uint8_t name, uint8_t out[static QUESTION_LEN])
{
	static const uint8_t rest[] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0,
		1 };
	out[0] = 0x5a;
	out[1] = name;
	memcpy(out + 2, rest, sizeof(rest));
	out[HEAD_LEN + 1] = name % NAMES;
}

/* A whole question that somebody asked; its asker may have gone since. */
static void end_hear(struct server_end *e)
{
	uint8_t want[QUESTION_LEN];
	uint8_t *got = e->heard[e->heard_count++ % HEARD];
	must(e->part_len == 2 + QUESTION_LEN);
	memcpy(got, e->part + 2, QUESTION_LEN);
	question_make(got[HEAD_LEN + 1], want);
	must(got[HEAD_LEN + 1] < NAMES && e->play->asked[got[HEAD_LEN + 1]]);
	must(memcmp(got + 2, want + 2, QUESTION_LEN - 2) == 0);
	e->part_len = 0;
}

static ssize_t end_write(struct stream_layer *y, const void *data, size_t len)
{
	struct server_end *e = (struct server_end *)y;
	const uint8_t *at = data;
	must(e->shook && len <= 2 * UINT16_MAX);
	if (e->broken)
		return LAYER_BROKEN;
	if (e->stuck)
		return LAYER_WANT_WRITE;
	for (size_t i = 0; i < len; i++) {
		must(e->part_len < sizeof(e->part));
		e->part[e->part_len++] = at[i];
		if (e->part_len > 2 &&
			e->part_len - 2 == (size_t)(e->part[0] << 8 | e->part[1]))
			end_hear(e);
	}
	return (ssize_t)len;
}

static bool end_buffered(struct stream_layer *y)
{
	const struct server_end *e = (const struct server_end *)y;
	return e->said_len > SAID_MAX / 2;
}

static void end_goodbye(struct stream_layer *y)
{
	must(((struct server_end *)y)->shook);
}

static void end_free(struct stream_layer *y)
{
	struct server_end *e = (struct server_end *)y;
	must(e->live);
	e->live = false;
	e->play->layers--;
}

static const struct layer_ops end_ops = { end_handshake, end_read, end_write,
	end_buffered, end_goodbye, end_free };

struct stream_layer *layer_tls_client_new(struct tls_peer *peer, int fd)
{
	struct play *p = peer->play;
	struct server_end *e = p->ends;
	while (e->live)
		e++;
	must(p->layers < LIMIT_TLS_CONNECTIONS);
	p->layers++;
	e->base = (struct stream_layer){ .ops = &end_ops, .fd = fd };
	e->play = p;
	e->how = p->next_how;
	e->live = true;
	e->shook = e->ended = e->broken = e->stuck = false;
	e->said_len = e->part_len = 0;
	e->heard_count = 0;
	return &e->base;
}

bool layer_tls_client_why(const struct stream_layer *y, char why[static TLS_ERROR_MAX])
{
	why[0] = 0;
	return ((const struct server_end *)(const void *)y)->how == UNTRUSTED;
}

static void say(struct server_end *e, const uint8_t *data, size_t len)
{
	if (len > sizeof(e->said) - e->said_len)
		return;
	memcpy(e->said + e->said_len, data, len);
	e->said_len += len;
}

/* --- askers ------------------------------------------------------------------------------ */

static void play_event(
	void *ctx, struct ask *a, enum ask_event what, const uint8_t *msg, size_t len);

static void play_ask(struct play *p, uint8_t name, int64_t timeout_us)
{
	struct asker *k = p->askers;
	while (k < p->askers + ASKS && k->a)
		k++;
	if (k == p->askers + ASKS)
		return;
	k->play = p;
	question_make(name, k->msg);
	p->asked[name % NAMES] = true;
	k->a = upstream_ask_line(
		p->line, k->msg, sizeof(k->msg), timeout_us, play_event, k);
	must(k->a);
	p->open++;
}

static void asker_done(struct asker *k)
{
	k->a = NULL;
	k->play->open--;
}

static void play_event(
	void *ctx, struct ask *a, enum ask_event what, const uint8_t *msg, size_t len)
{
	struct asker *k = ctx;
	struct play *p = k->play;
	must(k->a == a);
	if (what == ASK_MESSAGE) {
		must(len >= HEAD_LEN && memcmp(msg, k->msg, 2) == 0);
		const unsigned count = (unsigned)(msg[4] << 8 | msg[5]);
		must(count <= 1);
		if (count) /* the names of these questions have no letters */
			must(len >= QUESTION_LEN &&
				memcmp(msg + HEAD_LEN, k->msg + HEAD_LEN,
					QUESTION_LEN - HEAD_LEN) == 0);
		if (p->keep)
			return;
		upstream_cancel(p->up, a);
	}
	asker_done(k);
	if (p->ask_on) {
		p->ask_on--;
		play_ask(p, (uint8_t)p->ask_on, 1000000);
	}
}

/* --- the input ----------------------------------------------------------------------------- */

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

static void server_acts(struct play *p, struct input *in)
{
	const uint8_t which = take(in), what = take(in);
	struct server_end *e = &p->ends[which % LAYERS];
	if (!e->live)
		return;
	uint8_t answer[2 + QUESTION_LEN + MORE] = { 0, QUESTION_LEN };
	const unsigned known = e->heard_count < HEARD ? e->heard_count : HEARD;
	if (known)
		memcpy(answer + 2,
			e->heard[(e->heard_count - 1 - which / LAYERS % known) % HEARD],
			QUESTION_LEN);
	answer[4] |= 0x80;
	switch (what % 8) {
	case 0: /* an answer, as it should be or spoilt in one place */
	case 1:
		if (what % 8)
			answer[2 + take(in) % QUESTION_LEN] ^= take(in);
		say(e, answer, 2 + QUESTION_LEN);
		break;
	case 2: { /* anything */
		const size_t len = what / 8 < in->left ? what / 8 : in->left;
		say(e, in->data, len);
		in->data += len;
		in->left -= len;
		break;
	}
	case 3: /* an answer with the input as its additional part */
		if (in->left < MORE)
			return;
		answer[1] += MORE;
		answer[2 + 11] = 1;
		memcpy(answer + 2 + QUESTION_LEN, in->data, MORE);
		say(e, answer, sizeof(answer));
		break;
	case 4:
		e->ended = true;
		break;
	case 5:
		e->broken = true;
		break;
	case 6:
		e->stuck = !e->stuck;
		break;
	default:
		e->how = what / 8 % 4;
	}
}

static void play_step(struct play *p, struct input *in)
{
	const uint8_t op = take(in);
	struct asker *k = &p->askers[op / 8 * 6 % ASKS];
	switch (op % 8) {
	case 0:
		for (unsigned i = 0; i <= op / 8u; i++)
			play_ask(p, (uint8_t)(op + i), 1000000);
		break;
	case 1:
		play_ask(p, op / 8, 50000);
		break;
	case 2:
		if (k->a) {
			upstream_cancel(p->up, k->a);
			asker_done(k);
		}
		break;
	case 3:
		fake_us += (int64_t)(op / 8) * (op / 8) * 20000;
		break;
	case 4:
		p->next_how = op / 8 % 4;
		p->ask_on = op / 32;
		p->keep = op & 128;
		break;
	default:
		server_acts(p, in);
	}
	if (op & 1)
		loop_turn(p->loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct upstream_conf conf = { .max_asks = ASKS + 1 };
	static const struct addr server = {
		.family = 4, .ip = { 127, 0, 0, 1 }, .port = 9
	};
	static struct random rnd;
	static struct play p;
	struct counters counters = { 0 };
	struct input in = { data, size };
	if (!p.loop) {
		random_init(&rnd);
		p.loop = loop_new();
	}
	struct loop *loop = p.loop;
	memset(&p, 0, sizeof(p));
	p.loop = loop;
	p.up = upstream_new(p.loop, &conf, &rnd, &counters);
	struct tls_peer peer = { &p };
	p.line = upstream_line_new(p.up, &server, &peer);
	must(p.up && p.line);
	while (in.left) {
		play_step(&p, &in);
		must(counters.upstream_tls_connections == p.layers);
		must(upstream_in_flight(p.up) == p.open);
	}
	p.ask_on = 0;
	fake_us += 2000000; /* all are answered by now, or over */
	for (unsigned i = 0; i < 8; i++)
		loop_turn(p.loop, 0);
	must(p.open == 0 && upstream_in_flight(p.up) == 0);
	fake_us += 130 * INT64_C(1000000); /* and all connections idle */
	for (unsigned i = 0; i < 8; i++)
		loop_turn(p.loop, 0);
	must(p.layers == 0);
	upstream_free(p.up);
	return 0;
}
