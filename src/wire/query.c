/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/query.h"

#include "base/limits.h"
#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/name.h"

enum {
	HEADER_LEN = 12,
	QUESTION_FIXED = 4,
	UDP_SIZE_MIN = 512,
};

/* OPT's RDATA, looked at when all records were read. */
struct options {
	const uint8_t *data;
	uint16_t len;
};

static uint16_t be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static bool question_read(struct query *q, struct cursor *c)
{
	const size_t len = name_check(c->pos, cursor_left(c));
	if (!len)
		return false;
	const uint8_t *name = cursor_take(c, len + QUESTION_FIXED);
	if (!name)
		return false;
	q->name = name;
	q->name_len = (uint8_t)len;
	q->question_len = (uint16_t)(len + QUESTION_FIXED);
	q->qtype = be16(name + len);
	q->qclass = be16(name + len + 2);
	return true;
}

/* One record; OPT is taken over, others are stepped over. False: malformed. */
static bool record_read(
	struct query *q, struct cursor *c, bool additional, struct options *options)
{
	const bool root = cursor_left(c) && *c->pos == 0;
	name_skip(c);
	const uint16_t type = cursor_u16(c);
	const uint16_t rclass = cursor_u16(c);
	const uint32_t ttl = cursor_u32(c);
	const uint16_t len = cursor_u16(c);
	const uint8_t *data = cursor_take(c, len);
	if (cursor_bad(c))
		return false;
	if (type != TYPE_OPT)
		return true;
	if (!additional || !root || q->edns)
		return false;
	q->edns = true;
	q->dnssec_ok = ttl & EDNS_DO;
	q->edns_version = (uint8_t)(ttl >> 16);
	q->udp_size = rclass < UDP_SIZE_MIN ? UDP_SIZE_MIN : rclass;
	*options = (struct options){ data, len };
	return true;
}

static bool cookie_read(struct query *q, const uint8_t *data, uint16_t len)
{
	if (q->cookie) /* RFC 7873 section 5.2: only the first one counts */
		return true;
	/* RFC 7873 section 4: 8, or with the server's part 16 to 40 */
	if (len != COOKIE_CLIENT_LEN &&
		(len < COOKIE_CLIENT_LEN + COOKIE_SERVER_MIN_LEN ||
			len > COOKIE_MAX_LEN))
		return false;
	q->cookie = data;
	q->cookie_len = (uint8_t)len;
	return true;
}

/* False: malformed; that the query was padded is told all the same. */
static bool options_read(struct query *q, const struct options *options)
{
	struct cursor c = cursor_over(options->data, options->len);
	bool fine = true;
	for (unsigned count = 0; cursor_left(&c); count++) {
		const uint16_t code = cursor_u16(&c);
		const uint16_t len = cursor_u16(&c);
		const uint8_t *data = cursor_take(&c, len);
		if (cursor_bad(&c) || count == LIMIT_EDNS_OPTIONS)
			return false;
		q->has_padding |= code == OPTION_PADDING;
		if (!fine ||
			q->edns_version) /* of another version no other one is known */
			continue;
		fine = code != OPTION_COOKIE || cookie_read(q, data, len);
		q->wants_nsid |= code == OPTION_NSID;
		q->has_keepalive |= code == OPTION_KEEPALIVE;
	}
	return fine;
}

enum query_verdict query_read(struct query *q, const uint8_t *pkt, size_t len)
{
	*q = (struct query){ .udp_size = UDP_SIZE_MIN };
	struct cursor c = cursor_over(pkt, len);
	const uint8_t *header = cursor_take(&c, HEADER_LEN);
	if (!header || be16(header + 2) & FLAG_QR)
		return QUERY_DROP;
	q->id = be16(header);
	q->flags = be16(header + 2);
	if (q->flags & FLAG_OPCODE_MASK)
		return QUERY_NOTIMP;
	const uint16_t questions = be16(header + 4);
	if (questions > 1 || (questions && !question_read(q, &c)))
		return QUERY_FORMERR;

	/* Claims, not facts: the first record that is not there ends the loop. */
	unsigned before = (unsigned)be16(header + 6) + be16(header + 8);
	unsigned additional = be16(header + 10);
	struct options options = { 0 };
	for (; before; before--)
		if (!record_read(q, &c, false, &options))
			return QUERY_FORMERR;
	for (; additional; additional--)
		if (!record_read(q, &c, true, &options))
			return QUERY_FORMERR;
	if (cursor_left(&c))
		return QUERY_FORMERR;
	if (!q->edns)
		return questions ? QUERY_OK : QUERY_FORMERR;
	const bool fine = options_read(q, &options);
	if (q->edns_version)
		return QUERY_BADVERS;
	if (!fine)
		return QUERY_FORMERR;
	return questions ? QUERY_OK : q->cookie ? QUERY_COOKIE : QUERY_FORMERR;
}
