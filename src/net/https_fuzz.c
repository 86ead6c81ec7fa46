/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTTP/2 frames from anybody: one byte says how the input is cut, the rest comes behind
 * the client's preface or, when that byte is odd, instead of it. Queries are answered at
 * once, later, or never. */
#include <stdlib.h>
#include <string.h>

#include "net/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LATER_MAX = 8, ANSWER_LEN = 300 };

struct play {
	int64_t now_us;
	struct stream_codec *codec;
	uint32_t later[LATER_MAX];
	unsigned later_count, asked;
	size_t sent;
};

static void must(bool ok)
{
	if (!ok)
		__builtin_trap();
}

static void play_message(void *ctx, uint32_t request, const uint8_t *msg, size_t len)
{
	struct play *p = ctx;
	uint8_t answer[ANSWER_LEN] = { 0 };
	must(len >= 12 && len <= 65535 && !(msg[2] & 0x80));
	memcpy(answer, msg, 12);
	answer[2] |= 0x80;
	switch (p->asked++ % 3) {
	case 0:
		p->codec->ops->answer(p->codec, request, answer, sizeof(answer));
		break;
	case 1:
		if (p->later_count < LATER_MAX)
			p->later[p->later_count++] = request;
		break;
	default:
		p->codec->ops->skip(p->codec, request);
	}
}

static bool play_send(
	void *ctx, const void *head, size_t head_len, const void *data, size_t len)
{
	struct play *p = ctx;
	must(head && head_len && (data || !len));
	p->sent += head_len + len;
	return true;
}

static void play_mark(void *ctx)
{
	const struct play *p = ctx;
	must(p->sent > 0);
}

static void play_stray(void *ctx)
{
	(void)ctx;
}

/* A second goes by from look to look. */
static int64_t play_now(void *ctx)
{
	struct play *p = ctx;
	return p->now_us += 1000 * 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct counters counters;
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				      "\0\0\0\4\0\0\0\0";
	struct play p = { 0 };
	if (!size)
		return 0;
	const struct codec_owner owner = { play_message, play_send, play_mark, &p,
		&counters, 10, ":path cookie", play_stray, play_now, 3 * 1000 * 1000 };
	p.codec = codec_https_new(&owner);
	must(p.codec);
	const size_t cut = 1 + (size_t)data[0] * 4;
	if (!(data[0] & 1))
		p.codec->ops->input(p.codec, (const uint8_t *)preface, sizeof(preface));
	for (size_t at = 1; at < size; at += cut) {
		const size_t len = size - at < cut ? size - at : cut;
		p.codec->ops->input(p.codec, data + at, len);
		p.codec->ops->output(p.codec);
	}
	for (unsigned i = 0; i < p.later_count; i++)
		p.codec->ops->answer(
			p.codec, p.later[i], data, size < 400 ? size : 400);
	p.codec->ops->output(p.codec);
	p.codec->ops->leave(p.codec);
	p.codec->ops->output(p.codec);
	p.codec->ops->goodbye(p.codec);
	p.codec->ops->output(p.codec);
	must(p.codec->ops->held(p.codec) <= 10 * 65535);
	must(p.sent < 100000 + 400 * size);
	p.codec->ops->free(p.codec);
	return 0;
}
