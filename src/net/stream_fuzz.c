/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_fuzz.c - however the bytes are cut into reads, the messages are those of
 * the plain split, in order, and each answer is read back whole.
 *
 * The input's first bytes say how long the reads and writes are; a layer in memory
 * stands for the socket, an eventfd that is always ready for its readiness. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/limits.h"
#include "net/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
	struct stream_layer layer; /* first */
	const uint8_t *cuts;       /* lengths of reads and writes, round and round */
	size_t cut_count, cut_next;
	const uint8_t *in;
	size_t in_len, in_at;
	bool again; /* every other read says "later" */

	size_t query_at; /* the reference: where the next message must begin */
	size_t reply_at; /* and the next answer, which is its query */
	struct stream_server *server;
};

static void must(bool ok)
{
	if (!ok)
		__builtin_trap();
}

static size_t play_cut(struct play *p, size_t at_most)
{
	const size_t cut = p->cut_count ? p->cuts[p->cut_next++ % p->cut_count] : 1;
	const size_t len = cut ? cut * cut : 1; /* up to 65,025 */
	return len < at_most ? len : at_most;
}

static ssize_t play_read(struct stream_layer *y, void *buf, size_t len)
{
	struct play *p = (struct play *)y;
	p->again = !p->again;
	if (p->again)
		return LAYER_WANT_READ;
	const size_t left = p->in_len - p->in_at;
	const size_t n = play_cut(p, left < len ? left : len);
	if (!left)
		return LAYER_DONE;
	memcpy(buf, p->in + p->in_at, n);
	p->in_at += n;
	return (ssize_t)n;
}

/* Answers repeat their queries, so what is written repeats what was read. */
static ssize_t play_write(struct stream_layer *y, const void *buf, size_t len)
{
	struct play *p = (struct play *)y;
	const size_t n = play_cut(p, len);
	must(p->reply_at + n <= p->query_at);
	must(memcmp(p->in + p->reply_at, buf, n) == 0);
	p->reply_at += n;
	return (ssize_t)n;
}

static void play_free(struct stream_layer *y)
{
	(void)y;
}

static const struct layer_ops play_ops = {
	.read = play_read,
	.write = play_write,
	.free = play_free,
};

static struct stream_layer *play_layer(void *ctx, int fd)
{
	struct play *p = ctx;
	p->layer = (struct stream_layer){ .ops = &play_ops, .fd = fd };
	return &p->layer;
}

static void play_query(void *ctx, struct stream_server *s, struct stream_id id,
	const struct addr *from, const struct addr *to, const uint8_t *msg, size_t len)
{
	(void)from;
	(void)to;
	struct play *p = ctx;
	const uint8_t *at = p->in + p->query_at;
	must(p->in_len - p->query_at >= 2 + len);
	must((size_t)(at[0] << 8 | at[1]) == len);
	must(memcmp(at + 2, msg, len) == 0);
	p->query_at += 2 + len;
	must(stream_reply(s, id, msg, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	static struct counters counters;
	if (!loop)
		loop = loop_new();
	struct play p = { 0 };
	const size_t cuts = size ? data[0] % 16u : 0;
	if (!size || size < 1 + cuts)
		return 0;
	p.cuts = data + 1;
	p.cut_count = cuts;
	p.in = data + 1 + cuts;
	p.in_len = size - 1 - cuts;
	const struct stream_conf conf = { .max_clients = 1,
		.max_clients_per_address = 1,
		.pipeline = 1 + data[0] / 16,
		.idle_ms = 60000,
		.layer_new = play_layer,
		.layer_ctx = &p };
	const struct stream_hooks hooks = { .query = play_query, .ctx = &p };
	p.server = stream_server_new(loop, -1, &conf, &hooks, &counters);
	const struct addr from = { .family = 4 };
	const int fd = eventfd(1, EFD_NONBLOCK);
	must(p.server && stream_server_adopt(p.server, fd, &from, &from));
	for (size_t turns = 0; stream_server_clients(p.server); turns++) {
		must(turns < 10000 + 20 * size); /* it ends */
		loop_turn(loop, 0);
	}
	/* nothing whole was left unread or unanswered */
	const size_t rest = p.in_len - p.query_at;
	const uint8_t *at = p.in + p.query_at;
	must(rest < 2 || rest - 2 < (size_t)(at[0] << 8 | at[1]));
	must(p.reply_at == p.query_at);
	stream_server_free(p.server);
	return 0;
}
