/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/dns64.c - AAAA made of A, and the names of such addresses: RFC 6147.
 *
 * Only what the client is told is made; the cache keeps what the servers said. What is
 * made is never secure, and where validation fails nothing is made of it. */
#include <string.h>

#include "iter/state.h"

enum {
	NO_SOA_TTL = 600, /* RFC 6147 section 5.1.7 */
	V4_LEN = 4,
	V6_LEN = 16,
};

static bool is_wanted(const struct iter *it)
{
	return !it->q.as_is && conf_dns64_on(it->env.conf, it->q.route.flags);
}

/* --- AAAA of A -------------------------------------------------------------------- */

static struct rrset *find(struct frame *f, enum msg_section section, uint16_t type)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->records[i].section == section && f->records[i].rr.type == type)
			return &f->records[i].rr;
	return NULL;
}

/* How many are not excluded. */
static unsigned copy_allowed(const struct iter *it, const struct rrset *rr, uint8_t *to)
{
	unsigned count = 0;
	for (unsigned i = 0; i < rr->count; i++) {
		const struct rdata item = rrset_at(rr, i);
		const uint16_t len = V6_LEN;
		if (item.len != V6_LEN || conf_dns64_excluded(it->env.conf, item.bytes))
			continue;
		memcpy(to, &len, sizeof(len));
		memcpy(to + sizeof(len), item.bytes, V6_LEN);
		to += sizeof(len) + V6_LEN;
		count++;
	}
	return count;
}

/* True: there are AAAA for the client. Its signatures go with what was left out. */
static bool keep_allowed(struct iter *it, struct frame *f, struct rrset *rr)
{
	uint8_t *data = arena_alloc(it->arena, rr->data_len);
	const unsigned count = data ? copy_allowed(it, rr, data) : 0;
	if (count == rr->count || !data)
		return true;
	it->dns64.excluded = true;
	if (!count)
		return false;
	rr->count = (uint16_t)count;
	rr->sig_count = 0;
	rr->data = data;
	rr->data_len = count * (uint32_t)(sizeof(uint16_t) + V6_LEN);
	frame_status(f, CACHE_INSECURE, EDE_NONE);
	return true;
}

/* Where the aliases among the records lead. */
static const uint8_t *chain_end(const struct frame *f)
{
	const uint8_t *name = f->asked;
	for (size_t i = 0; i < f->count; i++) {
		const struct rrset *rr = &f->records[i].rr;
		if (f->records[i].section == SECTION_ANSWER && rr->type == TYPE_CNAME &&
			name_equal(rr->name, name))
			name = rrset_at(rr, 0).bytes;
	}
	return name;
}

/* The aliases alone stay; what they were with lies in it->dns64. False: no memory. */
static bool set_aside(struct iter *it, struct frame *f)
{
	it->dns64.records = f->records;
	it->dns64.count = f->count;
	it->dns64.status = f->status;
	it->dns64.note = f->note;
	f->records = NULL;
	f->count = 0;
	for (size_t i = 0; i < it->dns64.count; i++) {
		const struct iter_record *r = &it->dns64.records[i];
		if (r->section == SECTION_ANSWER && r->rr.type != TYPE_AAAA &&
			!chain_add(it, f, SECTION_ANSWER, &r->rr, r->rr.ttl))
			return false;
	}
	return true;
}

static void put_back(struct iter *it, struct frame *f)
{
	f->records = it->dns64.records;
	f->count = it->dns64.count;
	f->status = it->dns64.status;
	f->note = it->dns64.note;
	f->rcode = RCODE_NOERROR;
	f->ede = EDE_NONE;
}

static bool ask_for_a(struct iter *it, struct frame *f)
{
	const struct rrset *soa = find(f, SECTION_AUTHORITY, TYPE_SOA);
	uint8_t *name = arena_alloc(it->arena, NAME_MAX_LEN);
	if (!name)
		return false;
	/* its TTL is that of the denial already: RFC 2308 section 5 */
	it->dns64.ttl = soa ? soa->ttl : NO_SOA_TTL;
	name_copy_lower(name, chain_end(f));
	if (!set_aside(it, f)) {
		put_back(it, f);
		return false;
	}
	it->dns64.begun = true;
	f->type = TYPE_A;
	chain_begin(it, f, name);
	log_debug(ITERAT, "no AAAA: on to %s", iter_text(name, TYPE_A));
	return true;
}

/* False: no memory, or nothing in it. */
static bool make_aaaa(struct iter *it, struct rrset *rr)
{
	const size_t each = it->env.conf->dns64.prefix_count;
	const size_t most = LIMIT_RRSET_RECORDS / each;
	const size_t count = rr->count < most ? rr->count : most;
	uint8_t *data = arena_alloc(it->arena, count * each * CONF_DNS64_ITEM);
	if (!data)
		return false;
	uint8_t *at = data;
	for (unsigned i = 0; i < count; i++) {
		const struct rdata item = rrset_at(rr, i);
		if (item.len == V4_LEN)
			at = conf_dns64_make(it->env.conf, item.bytes, at);
	}
	if (at == data)
		return false;
	rr->type = TYPE_AAAA;
	rr->count = (uint16_t)((size_t)(at - data) / CONF_DNS64_ITEM);
	rr->sig_count = 0;
	rr->data = data;
	rr->data_len = (uint32_t)(at - data);
	if (rr->ttl > it->dns64.ttl)
		rr->ttl = it->dns64.ttl;
	return true;
}

static void leave_answers(struct frame *f)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->count; i++)
		if (f->records[i].section == SECTION_ANSWER)
			f->records[kept++] = f->records[i];
	f->count = kept;
}

/* RFC 6147 section 5.1.6: without A the answer is the one without AAAA. */
static void finish(struct iter *it, struct frame *f)
{
	f->type = TYPE_AAAA;
	if (f->failed)
		return;
	struct rrset *rr =
		f->rcode == RCODE_NOERROR ? find(f, SECTION_ANSWER, TYPE_A) : NULL;
	if (rr && make_aaaa(it, rr)) {
		leave_answers(f);
		frame_status(f, CACHE_INSECURE, EDE_NONE);
		counter_up(it->env.counters, answers_dns64);
	} else if (!it->dns64.excluded) {
		put_back(it, f);
	} else {
		frame_status(f, CACHE_INSECURE, EDE_NONE);
	}
}

/* Below it are the names of addresses that are made: it exists, with nothing in it, or who
 * asked takes those for absent, too (RFC 8020). */
static void name_exists(const struct iter *it, struct frame *f)
{
	uint8_t name[NAME_MAX_LEN];
	size_t kept = 0;
	name_copy_lower(name, chain_end(f));
	if (!conf_dns64_above(it->env.conf, name))
		return;
	for (size_t i = 0; i < f->count; i++)
		if (f->records[i].section == SECTION_ANSWER ||
			f->records[i].rr.type == TYPE_SOA)
			f->records[kept++] = f->records[i];
	f->count = kept;
	f->rcode = RCODE_NOERROR;
	frame_status(f, CACHE_INSECURE, EDE_NONE);
}

bool dns64_goes_on(struct iter *it, struct frame *f)
{
	if (it->dns64.begun) {
		finish(it, f);
		return false;
	}
	if (f->failed || !is_wanted(it))
		return false;
	if (f->rcode == RCODE_NXDOMAIN) {
		name_exists(it, f);
		return false;
	}
	if (f->type != TYPE_AAAA || f->rcode != RCODE_NOERROR)
		return false;
	struct rrset *rr = find(f, SECTION_ANSWER, TYPE_AAAA);
	return !(rr && keep_allowed(it, f, rr)) && ask_for_a(it, f);
}

/* --- the names of such addresses --------------------------------------------------- */

/* RFC 6147 section 5.3.1, the second way. */
bool dns64_reverse(struct iter *it, struct frame *f, enum step *step)
{
	struct {
		uint16_t len;
		uint8_t name[NAME_MAX_LEN];
	} target;
	if (f->purpose != FOR_CLIENT || !is_wanted(it))
		return false;
	target.len = (uint16_t)conf_dns64_reverse(it->env.conf, f->name, target.name);
	if (!target.len)
		return false;
	const struct rrset cname = {
		.name = f->name,
		.type = TYPE_CNAME,
		.rclass = CLASS_IN,
		.count = 1,
		.data_len = (uint32_t)sizeof(target.len) + target.len,
		.data = (const uint8_t *)&target,
	};
	frame_status(f, CACHE_INSECURE, EDE_NONE);
	if (!chain_add(it, f, SECTION_ANSWER, &cname, it->env.conf->dns64.rev_ttl)) {
		*step = iter_frame_fail(it, f, EDE_OTHER);
	} else if (f->type == TYPE_CNAME) {
		f->rcode = RCODE_NOERROR;
		f->state = STATE_DONE;
		*step = STEP_ON;
	} else {
		*step = chain_follow(it, f, target.name);
	}
	return true;
}
