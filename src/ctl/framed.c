/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ctl/framed.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PROMPT = 2,        /* "> ", sent before the mode was changed */
	HEAD = PROMPT + 4, /* and the length of what follows */
};

static size_t claimed(const struct framed *r)
{
	const uint8_t *b = (const uint8_t *)r->buf + PROMPT;
	return (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
}

static int grow(struct framed *r, size_t len)
{
	if (r->cap - r->len >= len)
		return 0;
	if (len > (size_t)FRAMED_MAX + HEAD - r->len)
		return -EMSGSIZE;
	size_t cap = r->cap ? r->cap : 4096;
	while (cap - r->len < len)
		cap *= 2;
	char *more = realloc(r->buf, cap);
	if (!more)
		return -ENOMEM;
	r->buf = more;
	r->cap = cap;
	return 0;
}

int framed_add(struct framed *r, const void *data, size_t len)
{
	const int err = grow(r, len);
	if (err)
		return err;
	memcpy(r->buf + r->len, data, len);
	r->len += len;
	if (r->len >= PROMPT && memcmp(r->buf, "> ", PROMPT) != 0)
		return -EPROTO;
	if (r->len < HEAD)
		return 0;
	const size_t want = claimed(r);
	if (want > FRAMED_MAX)
		return -EMSGSIZE;
	if (want == 0)
		return -EPROTO;
	if (r->len > HEAD && r->buf[HEAD] != '+' && r->buf[HEAD] != '-')
		return -EPROTO;
	return r->len - HEAD >= want;
}

int framed_take(const struct framed *r, char **text, bool *ok)
{
	assert(r->len > HEAD && r->len - HEAD >= claimed(r));
	const size_t len = claimed(r) - 1;
	char *copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, r->buf + HEAD + 1, len);
	copy[len] = 0;
	*ok = r->buf[HEAD] == '+';
	*text = copy;
	return 0;
}

void framed_fini(struct framed *r)
{
	free(r->buf);
	*r = (struct framed){ 0 };
}
