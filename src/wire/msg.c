/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/msg.h"

#include "base/limits.h"
#include "wire/codes.h"

enum {
	HEADER_LEN = 12,
	EDE_FIXED = 2,
	KEEPALIVE_LEN = 2,
};

/* A record's header and RDATA; the owner was read before. */
static bool record_rest(struct cursor *c, struct msg_rr *rr)
{
	const uint8_t *fixed = cursor_take(c, 10);
	if (!fixed)
		return false;
	struct cursor f = cursor_over(fixed, 10);
	rr->type = cursor_u16(&f);
	rr->rclass = cursor_u16(&f);
	rr->ttl = cursor_u32(&f);
	rr->rdata_len = cursor_u16(&f);
	rr->rdata = cursor_take(c, rr->rdata_len);
	return rr->rdata != NULL;
}

static bool options_read(struct msg *m, const uint8_t *data, size_t len)
{
	struct cursor c = cursor_over(data, len);
	while (cursor_left(&c)) {
		const uint16_t code = cursor_u16(&c);
		const uint16_t size = cursor_u16(&c);
		const uint8_t *value = cursor_take(&c, size);
		if (!value)
			return false;
		if (code == OPTION_EDE && size >= EDE_FIXED && m->ede == EDE_NONE)
			m->ede = value[0] << 8 | value[1];
		if (code == OPTION_COOKIE && !m->cookie) {
			m->cookie = value;
			m->cookie_len = size;
		}
		if (code == OPTION_KEEPALIVE && size == KEEPALIVE_LEN)
			m->keepalive = value[0] << 8 | value[1];
	}
	return true;
}

static bool opt_read(
	struct msg *m, const struct msg_rr *opt, unsigned section, size_t owner_len)
{
	if (section != SECTION_ADDITIONAL || owner_len != 1 || m->edns ||
		!options_read(m, opt->rdata, opt->rdata_len))
		return false;
	m->edns = true;
	m->udp_size = opt->rclass;
	m->rcode |= (uint16_t)(opt->ttl >> 24 << 4);
	m->edns_version = (uint8_t)(opt->ttl >> 16);
	m->dnssec_ok = opt->ttl & EDNS_DO;
	return true;
}

/* One record checked; false: malformed. */
static bool record_check(struct msg *m, struct cursor *c, unsigned section)
{
	struct msg_rr rr;
	const size_t owner_len = name_verify(c, m->pkt);
	if (!owner_len || !record_rest(c, &rr))
		return false;
	return rr.type != TYPE_OPT || opt_read(m, &rr, section, owner_len);
}

static bool questions_read(struct msg *m, struct cursor *c)
{
	for (unsigned i = 0; i < m->qd_count; i++) {
		if (m->qd_count == 1)
			name_read(c, m->pkt, m->qname);
		else
			name_skip(c);
		m->qtype = cursor_u16(c);
		m->qclass = cursor_u16(c);
		if (cursor_bad(c))
			return false;
	}
	return true;
}

/* The counts are claims: a section ends where the first record is not there. */
static bool sections_check(struct msg *m, struct cursor *c, const uint16_t claim[3])
{
	unsigned total = 0;
	for (unsigned section = 0; section < 3; section++) {
		for (unsigned i = 0; i < claim[section]; i++) {
			if (++total > LIMIT_MESSAGE_RECORDS)
				return false;
			if (!record_check(m, c, section))
				return m->flags & FLAG_TC;
			m->count[section]++;
		}
	}
	return true;
}

bool msg_read(struct msg *m, const uint8_t *pkt, size_t len)
{
	/* not qname: it is written when there is one */
	m->pkt = pkt;
	m->len = len;
	m->qname[0] = 0;
	m->qtype = m->qclass = 0;
	m->count[0] = m->count[1] = m->count[2] = 0;
	m->edns = m->dnssec_ok = false;
	m->edns_version = 0;
	m->udp_size = 0;
	m->ede = EDE_NONE;
	m->cookie = NULL;
	m->cookie_len = 0;
	m->keepalive = -1;

	struct cursor c = cursor_over(pkt, len);
	m->id = cursor_u16(&c);
	m->flags = cursor_u16(&c);
	m->rcode = m->flags & FLAG_RCODE_MASK;
	m->qd_count = cursor_u16(&c);
	const uint16_t answers = cursor_u16(&c), authorities = cursor_u16(&c);
	const uint16_t claim[3] = { answers, authorities, cursor_u16(&c) };
	m->body = HEADER_LEN;
	if (cursor_bad(&c) || !questions_read(m, &c))
		return false;
	m->body = (size_t)(c.pos - pkt);
	return sections_check(m, &c, claim);
}

struct msg_walk msg_begin(const struct msg *m)
{
	return (struct msg_walk){
		.m = m,
		.c = cursor_over(m->pkt + m->body, m->len - m->body),
		.left = m->count[0],
	};
}

bool msg_next(struct msg_walk *w, struct msg_rr *rr)
{
	for (;;) {
		while (!w->left) {
			if (w->section >= SECTION_ADDITIONAL)
				return false;
			w->left = w->m->count[++w->section];
		}
		w->left--;
		rr->section = (enum msg_section)w->section;
		rr->name_len = (uint8_t)name_read(&w->c, w->m->pkt, rr->name);
		if (!rr->name_len || !record_rest(&w->c, rr)) {
			/* msg_read() saw it whole: the packet was changed behind us */
			w->section = SECTION_ADDITIONAL;
			w->left = 0;
			return false;
		}
		if (rr->type != TYPE_OPT)
			return true;
	}
}
